/* SPDX-License-Identifier: Apache-2.0 */
/* The identity text. Holds: what reads well is written back in the order and with the words of this
 * version, ends as it did (up to a NUL in it), and reads as the same. */
#include "fuzz.h"

#include <string.h>

#include "otter/identity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct otter_identity identity, again;
    uint8_t text[OTTER_IDENTITY_SIZE];

    if (!otter_identity_read(&identity, data, size)) {
        return 0;
    }
    size_t len = otter_identity_write(&identity, text, sizeof(text));
    FUZZ_HOLDS(len > 0 && len <= size);
    size_t end = 2 * OTTER_IDENTITY_IMAGE + 1 + strlen(identity.project);
    FUZZ_HOLDS(memmem(data, size, text + len - end, end) != NULL);
    FUZZ_HOLDS(otter_identity_read(&again, text, len));
    FUZZ_HOLDS(memcmp(&again.image, &identity.image, sizeof(again.image)) == 0);
    FUZZ_HOLDS(strcmp(again.project, identity.project) == 0);
    FUZZ_HOLDS(again.state == identity.state && again.older == identity.older);
    FUZZ_HOLDS(again.wants_signature == identity.wants_signature &&
               again.wants_encryption == identity.wants_encryption &&
               again.decrypts == identity.decrypts && again.buffered == identity.buffered);
    return 0;
}
