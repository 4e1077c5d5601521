/* SPDX-License-Identifier: Apache-2.0 */
/* The espble host: any answers at any time. Input: u32 length, u16 MTU, u8 properties and options,
 * then what happens. */
#include "ble.h"

#include <string.h>

#include "base/crc.h"
#include "otter/espble.h"

static void frame(struct ble_host *b, struct otter_reader *r, uint8_t id)
{
    uint8_t bytes[20] = {0};

    otter_read_bytes(r, bytes, 8);
    uint16_t crc = otter_crc16(bytes[7] & 1 ? 0xFFFF : 0, bytes, 18);
    bytes[18] = (uint8_t)crc;
    bytes[19] = (uint8_t)(crc >> 8);
    b->updater.ops->received(b->updater.updater, id, bytes, sizeof bytes);
}

/* Success for a sector, so that a fuzzer gets to the end. */
static void success(struct ble_host *b, uint16_t sector, uint8_t id, uint16_t command)
{
    uint8_t bytes[20] = {(uint8_t)sector, (uint8_t)(sector >> 8), (uint8_t)command, 0, 0, 0, 4};
    uint16_t crc = otter_crc16(0, bytes, 18);

    bytes[18] = (uint8_t)crc;
    bytes[19] = (uint8_t)(crc >> 8);
    b->updater.ops->received(b->updater.updater, id, bytes, sizeof bytes);
}

static void noise(struct ble_host *b, struct otter_reader *r)
{
    uint8_t bytes[24] = {0}, id = otter_read_u8(r);
    size_t len = otter_read_u8(r) % (sizeof bytes + 1);

    len = len < r->left ? len : r->left;
    otter_read_bytes(r, bytes, len);
    b->updater.ops->received(b->updater.updater, id, bytes, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct otter_reader r = otter_reader_on(data, size);
    struct ble_host b = {.length = otter_read_u32(&r) % BLE_LEN_MAX};
    struct otter_espble_host host;
    struct otter_espble_host_config config = {
        .gatt = {.client = ble_client(&b), .mtu = otter_read_u16(&r)},
        .source = ble_source(&b),
    };
    uint8_t options = otter_read_u8(&r);

    config.gatt.data_props = options & 12;
    config.gatt.requests = options & 1;
    config.padded = options & 2;
    config.crc_init = options & 16 ? 0xFFFF : 0;
    config.gatt.window = options >> 5;
    if (otter_espble_host_init(&host, &config) != OTTER_OK) {
        return 0;
    }
    b.updater = otter_espble_host_updater(&host);
    while (r.left > 0 && !r.bad) {
        switch (otter_read_u8(&r) % 10) {
        case 0:
            ble_poll_host(&b, otter_read_u16(&r));
            break;
        case 1:
            b.room = otter_read_u8(&r);
            ble_poll_host(&b, 0);
            break;
        case 2:
            frame(&b, &r, OTTER_ESPBLE_RECV_FW);
            break;
        case 3:
            frame(&b, &r, OTTER_ESPBLE_COMMAND_CHAR);
            break;
        case 4:
            success(&b, (uint16_t)host.base, OTTER_ESPBLE_RECV_FW, 0);
            break;
        case 5:
            success(&b, 3, OTTER_ESPBLE_COMMAND_CHAR, otter_read_u8(&r) & 3);
            break;
        case 6:
            ble_written(&b, otter_read_u8(&r) & 1 ? OTTER_ATT_UNLIKELY : OTTER_ATT_OK);
            break;
        case 7:
            ble_written(&b, otter_read_u8(&r));
            break;
        case 8:
            noise(&b, &r);
            break;
        default:
            (otter_read_u8(&r) & 1 ? b.updater.ops->lost
                                   : b.updater.ops->cancel)(b.updater.updater);
            break;
        }
        FUZZ_HOLDS(host.base <= host.sectors && host.sector <= host.sectors);
        FUZZ_HOLDS(host.sector >= host.base && host.offset < OTTER_ESPBLE_SECTOR);
        FUZZ_HOLDS(host.sector - host.base <= OTTER_ESPBLE_WINDOW_MAX);
    }
    return 0;
}
