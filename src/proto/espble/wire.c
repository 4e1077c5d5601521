/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/espble/wire.h"

#include "base/crc.h"
#include "base/cursor.h"

#define CHAR(short_uuid, index, properties)                                                        \
    {                                                                                              \
        .uuid = {2, {(short_uuid)&0xFF, (short_uuid) >> 8}}, .props = (properties), .id = (index), \
    }
#define BOTH_WAYS                                                                                  \
    (OTTER_GATT_WRITE | OTTER_GATT_WRITE_COMMAND | OTTER_GATT_NOTIFY | OTTER_GATT_INDICATE)

static const struct otter_gatt_char chars[OTTER_ESPBLE_CHARS] = {
    CHAR(0x8020, OTTER_ESPBLE_RECV_FW, BOTH_WAYS),
    CHAR(0x8021, OTTER_ESPBLE_PROGRESS, OTTER_GATT_READ | OTTER_GATT_NOTIFY | OTTER_GATT_INDICATE),
    CHAR(0x8022, OTTER_ESPBLE_COMMAND_CHAR, BOTH_WAYS),
    CHAR(0x8023, OTTER_ESPBLE_CUSTOMER, BOTH_WAYS),
};

const struct otter_gatt_service otter_espble_service = {
    .uuid = {2, {0x18, 0x80}},
    .chars = chars,
    .count = OTTER_ESPBLE_CHARS,
};

#define CHECKED_BYTES (OTTER_ESPBLE_COMMAND - ESPBLE_CRC)

void otter_espble_seal(const struct espble_frame *frame, uint8_t out[OTTER_ESPBLE_COMMAND])
{
    for (uint32_t i = 0; i < OTTER_ESPBLE_COMMAND; i++) {
        uint16_t word = i / 2 < 4 ? frame->word[i / 2] : 0;
        out[i] = (uint8_t)(i % 2 == 0 ? word : word >> 8);
    }
    uint16_t crc = otter_crc16(frame->crc_init, out, CHECKED_BYTES);
    out[CHECKED_BYTES] = (uint8_t)crc;
    out[CHECKED_BYTES + 1] = (uint8_t)(crc >> 8);
}

otter_err otter_espble_open(struct espble_frame *frame, const uint8_t *data, size_t len)
{
    struct otter_reader r = otter_reader_on(data, len);

    for (int i = 0; i < 4; i++) {
        frame->word[i] = otter_read_u16(&r);
    }
    otter_read_skip(&r, CHECKED_BYTES - sizeof frame->word);
    uint16_t crc = otter_read_u16(&r);
    if (otter_reader_ok(&r) != OTTER_OK || len != OTTER_ESPBLE_COMMAND) {
        return OTTER_ERR_LENGTH;
    }
    if (otter_crc16(OTTER_CRC16_XMODEM, data, CHECKED_BYTES) == crc) {
        frame->crc_init = OTTER_CRC16_XMODEM;
    } else if (otter_crc16(OTTER_CRC16_CCITT, data, CHECKED_BYTES) == crc) {
        frame->crc_init = OTTER_CRC16_CCITT;
    } else {
        return OTTER_ERR_CRC;
    }
    return OTTER_OK;
}

otter_err otter_espble_packet(struct espble_packet *packet, const uint8_t *data, size_t len)
{
    struct otter_reader r = otter_reader_on(data, len);

    packet->sector = otter_read_u16(&r);
    packet->seq = otter_read_u8(&r);
    packet->len = (uint32_t)r.left;
    if (packet->seq == ESPBLE_LAST_PACKET) {
        packet->len -= ESPBLE_CRC; /* with less than that there is nothing to view */
    }
    packet->payload = otter_read_view(&r, packet->len);
    if (packet->seq == ESPBLE_LAST_PACKET) {
        packet->crc = otter_read_u16(&r);
    }
    return otter_reader_ok(&r) == OTTER_OK ? OTTER_OK : OTTER_ERR_LENGTH;
}
