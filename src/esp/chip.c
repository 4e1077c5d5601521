/* SPDX-License-Identifier: Apache-2.0 */
#include "otter/image.h"

/* Source: ESP-IDF, esp_app_format.h (ids) and soc/<chip>/soc.h (SOC_IROM_*, SOC_DROM_*). Where one
 * window serves both, it stands twice. */
static const struct otter_chip chips[] = {
    {0, 0x400D0000, 0x403FFFFF, 0x3F400000, 0x3F7FFFFF, "ESP32"},
    {2, 0x40080000, 0x407FFFFF, 0x3F000000, 0x3FF7FFFF, "ESP32-S2"},
    {5, 0x42000000, 0x427FFFFF, 0x3C000000, 0x3C7FFFFF, "ESP32-C3"},
    {9, 0x42000000, 0x43FFFFFF, 0x3C000000, 0x3DFFFFFF, "ESP32-S3"},
    {12, 0x42000000, 0x423FFFFF, 0x3C000000, 0x3C3FFFFF, "ESP32-C2"},
    {13, 0x42000000, 0x42FFFFFF, 0x42000000, 0x42FFFFFF, "ESP32-C6"},
    {16, 0x42000000, 0x42FFFFFF, 0x42000000, 0x42FFFFFF, "ESP32-H2"},
    {18, 0x40000000, 0x43FFFFFF, 0x40000000, 0x43FFFFFF, "ESP32-P4"},
    {20, 0x42000000, 0x43FFFFFF, 0x42000000, 0x43FFFFFF, "ESP32-C61"},
    {23, 0x42000000, 0x43FFFFFF, 0x42000000, 0x43FFFFFF, "ESP32-C5"},
};

const struct otter_chip *otter_chip_at(size_t i)
{
    return i < sizeof chips / sizeof chips[0] ? &chips[i] : NULL;
}

const struct otter_chip *otter_chip_find(uint16_t id)
{
    const struct otter_chip *chip;

    for (size_t i = 0; (chip = otter_chip_at(i)) != NULL; i++) {
        if (chip->id == id) {
            return chip;
        }
    }
    return NULL;
}
