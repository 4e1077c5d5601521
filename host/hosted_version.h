/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How Otter's devices put an image's version into the five numbers of ESP-Hosted: the numbers in
 * the text, in order, the rest 0. "v1.12.0-rc3" is 1, 12, 0, 3, 0.
 */
#ifndef OTTER_HOST_HOSTED_VERSION_H
#define OTTER_HOST_HOSTED_VERSION_H

#include <ctype.h>
#include <stdint.h>

static inline void otter_hosted_version_numbers(const char *text, uint32_t numbers[5])
{
    for (unsigned i = 0; i < 5; i++) {
        numbers[i] = 0;
        while (*text != '\0' && !isdigit((unsigned char)*text)) {
            text++;
        }
        while (isdigit((unsigned char)*text)) {
            numbers[i] = numbers[i] * 10u + (uint32_t)(*text++ - '0');
        }
    }
}

#endif
