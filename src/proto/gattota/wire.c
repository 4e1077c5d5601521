/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/gattota/wire.h"

/* d6f1d96d-594c-4c53-b1c6-244a1dfde6d8 as documented; 144a in devices in the field: an octal
 * constant in the published source. */
#define SERVICE_UUID(variant)                                                                      \
    {                                                                                              \
        16,                                                                                        \
        {                                                                                          \
            0xD8, 0xE6, 0xFD, 0x1D, 0x4A, (variant), 0xC6, 0xB1, 0x53, 0x4C, 0x4C, 0x59, 0x6D,     \
                0xD9, 0xF1, 0xD6                                                                   \
        }                                                                                          \
    }

static const struct otter_gatt_char chars[OTTER_GATTOTA_CHARS] = {
    {
        /* 7ad671aa-21c0-46a4-b722-270e3ae3d830 */
        .uuid = {16,
                 {0x30, 0xD8, 0xE3, 0x3A, 0x0E, 0x27, 0x22, 0xB7, 0xA4, 0x46, 0xC0, 0x21, 0xAA,
                  0x71, 0xD6, 0x7A}},
        .props = OTTER_GATT_READ | OTTER_GATT_WRITE | OTTER_GATT_NOTIFY,
        .id = OTTER_GATTOTA_CONTROL,
    },
    {
        /* 23408888-1f40-4cd8-9b89-ca8d45f8a5b0 */
        .uuid = {16,
                 {0xB0, 0xA5, 0xF8, 0x45, 0x8D, 0xCA, 0x89, 0x9B, 0xD8, 0x4C, 0x40, 0x1F, 0x88,
                  0x88, 0x40, 0x23}},
        .props = OTTER_GATT_WRITE | OTTER_GATT_WRITE_COMMAND,
        .id = OTTER_GATTOTA_DATA,
    },
};

const struct otter_gatt_service otter_gattota_service = {
    .uuid = SERVICE_UUID(0x24), .chars = chars, .count = OTTER_GATTOTA_CHARS};
const struct otter_gatt_service otter_gattota_service_field = {
    .uuid = SERVICE_UUID(0x14), .chars = chars, .count = OTTER_GATTOTA_CHARS};
