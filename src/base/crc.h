/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OTTER_BASE_CRC_H
#define OTTER_BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* CRC-16, polynomial 0x1021, not reflected, no final xor. Start with one of these two, and pass
 * the result back in to continue over the next bytes. */
#define OTTER_CRC16_XMODEM 0x0000u /* Espressif's clients and devices; "123456789" gives 0x31C3 */
#define OTTER_CRC16_CCITT 0xFFFFu  /* the Python client; "123456789" gives 0x29B1 */
uint16_t otter_crc16(uint16_t crc, const uint8_t *data, size_t len);

/* CRC-32 as zlib's crc32(): start with 0, pass the result back in to continue. */
uint32_t otter_crc32(uint32_t crc, const uint8_t *data, size_t len);

#endif
