/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OTTER_SECURE_BYTES_H
#define OTTER_SECURE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool otter_all_bytes(const uint8_t *data, size_t len, uint8_t value)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] != value) {
            return false;
        }
    }
    return true;
}

#endif
