/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Espressif BLE OTA: what is on the wire. All integers are little-endian.
 *
 *   firmware packet, client to device on RECV_FW
 *   0        2     3                                 end-2     end
 *   +--------+-----+------------------- - - ---------+---------+
 *   | sector | seq | payload [, padding]             |  crc16  |   crc16 only when seq is 0xFF
 *   +--------+-----+------------------- - - ---------+---------+
 *
 *   frames of 20 bytes: commands and their ACKs on COMMAND, firmware ACKs on RECV_FW
 *   0        2        4        6        8                  18        20
 *   +--------+--------+--------+--------+------------------+---------+
 *   | word 0 | word 1 | word 2 | word 3 | zero             |  crc16  |   over bytes 0..17
 *   +--------+--------+--------+--------+------------------+---------+
 *   | START  | firmware length |   0    |
 *   | STOP   |   0    |   0    |   0    |
 *   | ACK    | command| result | window |   window: byte 6, in the ACK of START; byte 7 is 0
 *   | sector | status | next   |   0    |   firmware ACK: next is the sector wanted next
 *   +--------+--------+--------+--------+
 */
#ifndef OTTER_PROTO_ESPBLE_WIRE_H
#define OTTER_PROTO_ESPBLE_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "otter/err.h"
#include "otter/espble.h"

#define ESPBLE_HEADER 3u /* bytes before the payload of a firmware packet */
#define ESPBLE_CRC 2u    /* bytes */
#define ESPBLE_LAST_PACKET 0xFFu
#define ESPBLE_SECTORS_MAX 0xFFFFu /* so that `next` can say "all of them" */

enum espble_command { ESPBLE_START = 1, ESPBLE_STOP = 2, ESPBLE_ACK = 3 };
enum espble_result { ESPBLE_ACCEPT = 0, ESPBLE_REJECT = 1 };
enum espble_status {
    ESPBLE_SUCCESS = 0,
    ESPBLE_CRC_ERROR = 1,
    ESPBLE_INDEX_ERROR = 2,
    ESPBLE_LENGTH_ERROR = 3,
};

/* A frame, opened. */
struct espble_frame {
    uint16_t word[4];
    uint16_t crc_init; /* the convention its sender uses */
};

/* A firmware packet, opened. */
struct espble_packet {
    const uint8_t *payload; /* without the crc16 */
    uint32_t len;           /* bytes of payload */
    uint32_t sector;
    uint32_t seq;
    uint16_t crc; /* of the sector, when seq is ESPBLE_LAST_PACKET */
};

void otter_espble_seal(const struct espble_frame *frame, uint8_t out[OTTER_ESPBLE_COMMAND]);

/* Fills frame as far as there are bytes, with zeros after. OTTER_ERR_LENGTH, OTTER_ERR_CRC; then
 * crc_init is left alone. */
OTTER_CHECKED otter_err otter_espble_open(struct espble_frame *frame, const uint8_t *data,
                                          size_t len);

/* OTTER_ERR_LENGTH when it is too short for its kind. */
OTTER_CHECKED otter_err otter_espble_packet(struct espble_packet *packet, const uint8_t *data,
                                            size_t len);

/* How many sectors length bytes of firmware make, and how many bytes one of them has. */
static inline uint32_t otter_espble_sectors(uint32_t length)
{
    return length / OTTER_ESPBLE_SECTOR + (length % OTTER_ESPBLE_SECTOR != 0);
}

static inline uint32_t otter_espble_sector_len(uint32_t length, uint32_t sector)
{
    uint32_t left = length - sector * OTTER_ESPBLE_SECTOR;

    return left < OTTER_ESPBLE_SECTOR ? left : OTTER_ESPBLE_SECTOR;
}

#endif
