/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc.h"

/*
 * No table: four bytes a step, by what division by the polynomial comes to. Modulo 2, with
 * P = z^16 + z^12 + z^5 + 1, the new crc is the remainder of w * z^16 by P, where w is the old crc
 * over the four bytes. The quotient is
 *
 *     q = w / (1 + s),  s = z^-4 + z^-11 + z^-16,  powers of z below 0 cut off,
 *       = w (1 + s) (1 + s^2) (1 + s^4),           as s^8 is below every bit of w,
 *       = w (1 + z^-4 + z^-11 + z^-20 + z^-27) (1 + z^-8 + z^-22),
 *
 * and the remainder is what q (z^12 + z^5 + 1) has below z^16. To multiply by a power of z is to
 * shift, to add is to xor.
 *
 * A machine of 64 bits takes eight bytes at a time: (1 + s^8) is one factor more, s^16 is below.
 */
static uint32_t read_be32(const uint8_t *data)
{
    return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
}

uint16_t otter_crc16(uint16_t crc, const uint8_t *data, size_t len)
{
    uint32_t c = crc; /* in its lower half */

#if UINTPTR_MAX > UINT32_MAX
    for (; len >= 8; data += 8, len -= 8) {
        uint64_t w = (uint64_t)(c << 16 ^ read_be32(data)) << 32 | read_be32(data + 4);
        uint64_t q = w ^ w >> 4 ^ w >> 11 ^ w >> 16;
        q ^= q >> 8 ^ q >> 22 ^ q >> 32;
        q ^= q >> 16 ^ q >> 44;
        q ^= q >> 32;
        c = (uint32_t)(q ^ q << 5 ^ q << 12);
    }
#endif
    for (; len >= 4; data += 4, len -= 4) {
        uint32_t w = c << 16 ^ read_be32(data);
        uint32_t q = w ^ w >> 4 ^ w >> 11 ^ w >> 20 ^ w >> 27;
        q ^= q >> 8 ^ q >> 22;
        c = q ^ q << 5 ^ q << 12;
    }
    for (; len > 0; data++, len--) {
        uint32_t q = (c >> 8 & 0xFF) ^ *data; /* the same for one byte */
        q ^= q >> 4;
        c = c << 8 ^ q ^ q << 5 ^ q << 12;
    }
    return (uint16_t)c;
}

/* Bit by bit: on a device it covers an otadata copy and signature blocks, little and seldom. */
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
