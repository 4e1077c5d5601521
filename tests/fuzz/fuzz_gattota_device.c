/* SPDX-License-Identifier: Apache-2.0 */
/* The gattota device: any writes of several clients, with polls, losses and a full link between.
 * Input: u16 size of the buffer, then what happens. */
#include "ble.h"

#include <stdlib.h>
#include <string.h>

#include "otter/gattota.h"

static void data_of(struct ble_device *b, struct otter_reader *r)
{
    uint8_t conn = otter_read_u8(r);
    size_t len = otter_read_u16(r) % (OTTER_GATT_WRITE_MAX + 1u);
    uint8_t *copy = malloc(len > 0 ? len : 1); /* of exactly that size */

    if (copy != NULL) {
        memset(copy, conn, len);
        ble_write(b, conn & 3, OTTER_GATTOTA_DATA, copy, len);
        free(copy);
    }
}

static void control(struct ble_device *b, struct otter_reader *r)
{
    uint8_t conn = otter_read_u8(r);
    uint8_t value[2] = {otter_read_u8(r), 0};

    ble_write(b, conn & 3, OTTER_GATTOTA_CONTROL, value, conn & 4 ? conn >> 3 & 3 & 2 : 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct otter_reader r = otter_reader_on(data, size);
    struct ble_device b = {0};
    struct otter_gattota_device device;
    uint16_t buf_size = (uint16_t)(OTTER_GATT_WRITE_MAX + otter_read_u16(&r) % 4096);
    struct otter_gattota_device_config config = {
        .sink = ble_sink(&b),
        .server = ble_server(&b),
        .app = ble_app(&b),
        .buf = malloc(buf_size),
        .buf_size = buf_size,
    };

    if (config.buf == NULL || otter_gattota_device_init(&device, &config) != OTTER_OK) {
        return 0;
    }
    b.mount = otter_gattota_device_mount(&device);
    while (r.left > 0 && !r.bad && !b.restarted) {
        switch (otter_read_u8(&r) % 6) {
        case 0:
            data_of(&b, &r);
            break;
        case 1:
            control(&b, &r);
            break;
        case 2:
            ble_wait(&b, otter_read_u16(&r));
            break;
        case 3:
            ble_lost(&b, otter_read_u8(&r) & 3);
            break;
        case 4:
            b.full = !b.full;
            break;
        default:
            (void)b.mount.ops->poll(b.mount.service, b.now_ms);
            break;
        }
        FUZZ_HOLDS(device.fill <= buf_size && device.head < buf_size);
    }
    free(config.buf);
    return 0;
}
