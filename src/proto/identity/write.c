/* SPDX-License-Identifier: Apache-2.0 */
#include "otter/identity.h"

#include <string.h>

#include "base/cursor.h"
#include "proto/identity/words.h"

static void put(struct otter_writer *w, bool said, const char *word)
{
    if (said) {
        otter_write_bytes(w, (const uint8_t *)word, strlen(word));
    }
}

size_t otter_identity_write(const struct otter_identity *identity, uint8_t *text, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    struct otter_writer w = otter_writer_on(text, size);

    put(&w, true, IDENTITY_PREFIX);
    put(&w, true, identity_state_word(identity->state));
    put(&w, identity->wants_signature, IDENTITY_SIGNED);
    put(&w, identity->wants_encryption, IDENTITY_ENCRYPTED);
    put(&w, identity->decrypts && !identity->wants_encryption, IDENTITY_DECRYPTS);
    put(&w, identity->older == OTTER_IDENTITY_OLDER_ASK, IDENTITY_ASK_OLDER);
    put(&w, identity->older == OTTER_IDENTITY_OLDER_REFUSED, IDENTITY_NO_OLDER);
    put(&w, identity->buffered, IDENTITY_BUFFERED);
    for (size_t i = 0; i < OTTER_IDENTITY_IMAGE; i++) {
        otter_write_u8(&w, (uint8_t)digits[identity->image[i] >> 4]);
        otter_write_u8(&w, (uint8_t)digits[identity->image[i] & 15]);
    }
    otter_write_u8(&w, ' ');
    put(&w, true, identity->project);
    return otter_writer_ok(&w) == OTTER_OK ? size - w.left : 0;
}

bool otter_identity_asks_older(const uint8_t *data, size_t len)
{
    return len == sizeof(OTTER_IDENTITY_ASK_OLDER) - 1 &&
           memcmp(data, OTTER_IDENTITY_ASK_OLDER, len) == 0;
}
