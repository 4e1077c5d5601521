/* SPDX-License-Identifier: Apache-2.0 */
/* The espble device: any writes of several clients, with polls, losses and a full link between.
 * Input: u8 window, then what happens. */
#include "ble.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "otter/espble.h"

/* A frame of 20 bytes with a CRC that is right. */
static void command(struct ble_device *b, struct otter_reader *r, uint16_t id)
{
    uint8_t conn = otter_read_u8(r);
    uint32_t length = id == 1 ? otter_read_u32(r) : 0;
    uint8_t frame[20] = {(uint8_t)id,
                         0,
                         (uint8_t)length,
                         (uint8_t)(length >> 8),
                         (uint8_t)(length >> 16),
                         (uint8_t)(length >> 24)};
    uint16_t crc = otter_crc16(conn & 4 ? 0xFFFF : 0, frame, 18);

    frame[18] = (uint8_t)crc;
    frame[19] = (uint8_t)(crc >> 8);
    ble_write(b, conn & 3, OTTER_ESPBLE_COMMAND_CHAR, frame, sizeof frame);
}

/* A whole sector as an honest client sends it, so that a fuzzer need not find CRCs. */
static void sector(struct ble_device *b, struct otter_reader *r)
{
    uint8_t conn = otter_read_u8(r);
    uint16_t number = otter_read_u16(r);
    uint16_t len = otter_read_u16(r) % 4097;
    uint8_t payload = (uint8_t)(otter_read_u8(r) | 32), packet[3 + 256 + 2];
    uint16_t crc = conn & 4 ? 0xFFFF : 0;

    packet[0] = (uint8_t)number;
    packet[1] = (uint8_t)(number >> 8);
    memset(packet + 3, number, 256);
    for (unsigned seq = 0; seq < 255; seq++) {
        uint16_t n = len < payload ? len : payload;
        size_t size = 3u + n;
        bool last = n == len;
        crc = otter_crc16(crc, packet + 3, n);
        packet[2] = last ? 0xFF : (uint8_t)seq;
        if (last) {
            packet[size++] = (uint8_t)crc;
            packet[size++] = (uint8_t)(crc >> 8);
        }
        ble_write(b, conn & 3, OTTER_ESPBLE_RECV_FW, packet, size);
        memset(packet + 3, number, 256);
        len = (uint16_t)(len - n);
        if (last) {
            return;
        }
    }
}

static void raw(struct ble_device *b, struct otter_reader *r)
{
    uint8_t conn = otter_read_u8(r), id = otter_read_u8(r);
    size_t len = otter_read_u16(r) % (OTTER_GATT_WRITE_MAX + 1u);
    len = len < r->left ? len : r->left;
    uint8_t *copy = malloc(len > 0 ? len : 1); /* of exactly that size */

    if (copy != NULL) {
        otter_read_bytes(r, copy, len);
        ble_write(b, conn & 3, id, copy, len);
        free(copy);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct otter_reader r = otter_reader_on(data, size);
    struct ble_device b = {0};
    struct otter_espble_device device;
    uint8_t window = (uint8_t)(1 + otter_read_u8(&r) % 4);
    struct otter_espble_device_config config = {
        .sink = ble_sink(&b),
        .server = ble_server(&b),
        .app = ble_app(&b),
        .sectors = malloc(window * OTTER_ESPBLE_SECTOR),
        .window = window,
    };

    if (config.sectors == NULL || otter_espble_device_init(&device, &config) != OTTER_OK) {
        return 0;
    }
    b.mount = otter_espble_device_mount(&device);
    while (r.left > 0 && !r.bad && !b.restarted) {
        switch (otter_read_u8(&r) % 8) {
        case 0:
            raw(&b, &r);
            break;
        case 1:
            command(&b, &r, 1);
            break;
        case 2:
            command(&b, &r, 2);
            break;
        case 3:
            sector(&b, &r);
            break;
        case 4:
            ble_wait(&b, otter_read_u16(&r));
            break;
        case 5:
            ble_lost(&b, otter_read_u8(&r) & 3);
            break;
        case 6:
            b.full = !b.full;
            break;
        default:
            (void)b.mount.ops->poll(b.mount.service, b.now_ms);
            break;
        }
        FUZZ_HOLDS(device.wanted - device.written <= window);
        FUZZ_HOLDS(device.written <= device.wanted && device.wanted <= device.sectors);
        FUZZ_HOLDS(device.told <= device.written);
    }
    free(config.sectors);
    return 0;
}
