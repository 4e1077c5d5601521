/* SPDX-License-Identifier: Apache-2.0 */
/* The identity text. Holds: what reads well is written back byte for byte, up to a NUL in it. */
#include "fuzz.h"

#include <string.h>

#include "otter/identity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct otter_identity identity;
    uint8_t text[OTTER_IDENTITY_SIZE];

    if (!otter_identity_read(&identity, data, size)) {
        return 0;
    }
    size_t len = otter_identity_write(&identity, text, sizeof(text));
    FUZZ_HOLDS(len > 0 && len <= size);
    FUZZ_HOLDS(memcmp(text, data, len) == 0);
    FUZZ_HOLDS(len == size || data[len] == 0);
    return 0;
}
