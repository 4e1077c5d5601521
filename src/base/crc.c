/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc.h"

/* 16 entries, one nibble a step: half the speed of 256 entries and 480 bytes smaller. */
uint16_t otter_crc16(uint16_t crc, const uint8_t *data, size_t len)
{
    static const uint16_t nibble[16] = {
        0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50A5, 0x60C6, 0x70E7,
        0x8108, 0x9129, 0xA14A, 0xB16B, 0xC18C, 0xD1AD, 0xE1CE, 0xF1EF,
    };

    for (size_t i = 0; i < len; i++) {
        crc = (uint16_t)(crc << 4 ^ nibble[crc >> 12 ^ data[i] >> 4]);
        crc = (uint16_t)(crc << 4 ^ nibble[crc >> 12 ^ (data[i] & 0x0F)]);
    }
    return crc;
}

/* Bit by bit: on a device it covers the four bytes of an otadata copy and nothing else. */
uint32_t otter_crc32(uint32_t crc, const uint8_t *data, size_t len)
{
    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (0xEDB88320u & (0u - (crc & 1u)));
        }
    }
    return ~crc;
}
