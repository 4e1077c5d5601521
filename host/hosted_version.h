/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How Otter's devices use the five numbers of ESP-Hosted's firmware version: the first four are
 * the numbers in the image's version text, in order ("v1.12.0-rc3" is 1, 12, 0, 3). The fifth is
 * the first four bytes of its SHA-256, big-endian, since a version text does not identify an
 * image: two builds may carry the same one.
 */
#ifndef OTTER_HOST_HOSTED_VERSION_H
#define OTTER_HOST_HOSTED_VERSION_H

#include <ctype.h>
#include <stdint.h>

#include "otter/image.h"

static inline void otter_hosted_version_numbers(const struct otter_image_facts *facts,
                                                uint32_t numbers[5])
{
    const char *text = facts->version;
    const uint8_t *digest = facts->digest;

    for (unsigned i = 0; i < 4; i++) {
        numbers[i] = 0;
        while (*text != '\0' && !isdigit((unsigned char)*text)) {
            text++;
        }
        while (isdigit((unsigned char)*text)) {
            numbers[i] = numbers[i] * 10u + (uint32_t)(*text++ - '0');
        }
    }
    numbers[4] = (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 | (uint32_t)digest[2] << 8 |
                 digest[3];
}

#endif
