/* SPDX-License-Identifier: Apache-2.0 */
#include "otter/gatt.h"

#include <string.h>

/* A 16-bit UUID stands in bytes 12 and 13 of this one: 0000xxxx-0000-1000-8000-00805F9B34FB. */
static const uint8_t base_uuid[16] = {0xFB, 0x34, 0x9B, 0x5F, 0x80, 0x00, 0x00, 0x80,
                                      0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};

static void expand(const struct otter_gatt_uuid *uuid, uint8_t out[16])
{
    memcpy(out, base_uuid, sizeof base_uuid);
    if (uuid->size == 2) {
        memcpy(out + 12, uuid->bytes, 2);
    } else {
        memcpy(out, uuid->bytes, 16);
    }
}

bool otter_gatt_uuid_equal(const struct otter_gatt_uuid *a, const struct otter_gatt_uuid *b)
{
    uint8_t full_a[16], full_b[16];

    expand(a, full_a);
    expand(b, full_b);
    return memcmp(full_a, full_b, sizeof full_a) == 0;
}

void otter_gatt_find(const struct otter_gatt_service *service, const struct otter_gatt_found *found,
                     size_t count, int *index)
{
    for (uint8_t c = 0; c < service->count; c++) {
        index[c] = -1;
        for (size_t i = 0; i < count; i++) {
            bool here = otter_gatt_uuid_equal(&found[i].service, &service->uuid);

            if (otter_gatt_uuid_equal(&found[i].uuid, &service->chars[c].uuid) &&
                (index[c] < 0 || here)) {
                index[c] = (int)i;
            }
        }
    }
}
