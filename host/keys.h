/* SPDX-License-Identifier: Apache-2.0 */
/* A key as a signature block has it; what else there is of keys is in host/signing.h. */
#ifndef OTTER_HOST_KEYS_H
#define OTTER_HOST_KEYS_H

#include "host/signing.h"

#define OTTER_KEY_PART_MAX (2u * OTTER_RSA_SIZE + 8u) /* bytes */

/* Writes the bytes of a block from offset 36 that the key's digest covers. Returns how many, or 0
 * for a key of another kind. */
size_t otter_key_part(const EVP_PKEY *key, uint8_t part[OTTER_KEY_PART_MAX]);

#endif
