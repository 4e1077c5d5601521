/* SPDX-License-Identifier: Apache-2.0 */
/* The gattota host: any answers at any time. Input: u32 length, u16 MTU, u8 properties and
 * options, then what happens. */
#include "ble.h"

#include "otter/gattota.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct otter_reader r = otter_reader_on(data, size);
    struct ble_host b = {.length = otter_read_u32(&r) % BLE_LEN_MAX};
    struct otter_gattota_host host;
    struct otter_gattota_host_config config = {
        .gatt = {.client = ble_client(&b), .mtu = otter_read_u16(&r)},
        .source = ble_source(&b),
    };
    uint8_t options = otter_read_u8(&r), value[2];

    config.gatt.data_props = options & 12;
    config.gatt.requests = options & 1;
    config.gatt.window = options >> 4;
    if (otter_gattota_host_init(&host, &config) != OTTER_OK) {
        return 0;
    }
    b.updater = otter_gattota_host_updater(&host);
    while (r.left > 0 && !r.bad) {
        switch (otter_read_u8(&r) % 6) {
        case 0:
            ble_poll_host(&b, otter_read_u16(&r));
            break;
        case 1:
            b.room = otter_read_u8(&r);
            ble_poll_host(&b, 0);
            break;
        case 2:
            value[0] = otter_read_u8(&r);
            value[1] = 0;
            b.updater.ops->received(b.updater.updater, value[0] >> 6, value, value[0] & 32 ? 2 : 1);
            break;
        case 3:
            ble_written(&b, OTTER_ATT_OK);
            break;
        case 4:
            ble_written(&b, otter_read_u8(&r));
            break;
        default:
            (otter_read_u8(&r) & 1 ? b.updater.ops->lost
                                   : b.updater.ops->cancel)(b.updater.updater);
            break;
        }
        FUZZ_HOLDS(host.offset <= b.length && host.gatt.packet_len <= sizeof host.gatt.packet);
    }
    return 0;
}
