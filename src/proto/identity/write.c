/* SPDX-License-Identifier: Apache-2.0 */
#include "otter/identity.h"

#include <string.h>

#include "base/cursor.h"
#include "proto/identity/words.h"

size_t otter_identity_write(const struct otter_identity *identity, uint8_t *text, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    struct otter_writer w = otter_writer_on(text, size);
    const char *state = identity_state_word(identity->state);

    otter_write_bytes(&w, IDENTITY_PREFIX, sizeof(IDENTITY_PREFIX) - 1);
    otter_write_bytes(&w, state, strlen(state));
    if (identity->wants_signature) {
        otter_write_bytes(&w, IDENTITY_SIGNED, sizeof(IDENTITY_SIGNED) - 1);
    }
    if (identity->wants_encryption) {
        otter_write_bytes(&w, IDENTITY_ENCRYPTED, sizeof(IDENTITY_ENCRYPTED) - 1);
    }
    for (size_t i = 0; i < OTTER_IDENTITY_IMAGE; i++) {
        otter_write_u8(&w, (uint8_t)digits[identity->image[i] >> 4]);
        otter_write_u8(&w, (uint8_t)digits[identity->image[i] & 15]);
    }
    otter_write_u8(&w, ' ');
    otter_write_bytes(&w, identity->project, strlen(identity->project));
    return otter_writer_ok(&w) == OTTER_OK ? size - w.left : 0;
}
