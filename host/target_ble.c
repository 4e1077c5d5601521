/* SPDX-License-Identifier: Apache-2.0 */
/* ble:ADDRESS and ble:NAME: devices over Bluetooth Low Energy, through bluetoothd. */
#include <stdio.h>
#include <stdlib.h>

#include "host/ble_link.h"
#include "host/ble_scan.h"
#include "host/gatt_update.h"
#include "host/schemes.h"

#define OPEN_MS 10000u

static void ble_update(const char *address, struct otter_firmware *firmware,
                       const struct otter_target_options *options,
                       const struct otter_target_observer *observer,
                       struct otter_target_result *result)
{
    struct otter_gatt_update *update = calloc(1, sizeof(*update));
    struct otter_ble_link *ble = calloc(1, sizeof(*ble));

    *result = (struct otter_target_result){0};
    if (update == NULL || ble == NULL) {
        otter_target_end(result, OTTER_TARGET_FAILED, OTTER_ERR_ARG, "out of memory");
    } else {
        struct otter_gatt_handlers handlers = otter_gatt_update_handlers(update);
        struct otter_gatt_link link = otter_ble_link_init(
            ble, &handlers, options, observer != NULL ? observer->cancel : NULL);

        otter_gatt_update_run(update, link, address, firmware, options, observer, result);
        if (options->forget) {
            otter_ble_link_forget(ble);
        }
    }
    free(update);
    free(ble);
}

static otter_err ble_identify(const char *address, const struct otter_target_options *options,
                              struct otter_target_device *device, char *message, size_t size)
{
    struct otter_gatt_handlers none = {0};
    struct otter_ble_link *ble = calloc(1, sizeof(*ble));

    if (ble == NULL) {
        snprintf(message, size, "out of memory");
        return OTTER_ERR_ARG;
    }
    struct otter_gatt_link link = otter_ble_link_init(ble, &none, options, NULL);
    otter_err err = otter_gatt_identify_at(link, address, OPEN_MS, device, message, size);
    free(ble);
    return err;
}

const struct otter_target_scheme otter_target_ble = {
    .name = "ble",
    .example = "ble:24:6F:28:12:34:56",
    .help = "a device over Bluetooth Low Energy, by address or name",
    .scan = otter_ble_scan,
    .update = ble_update,
    .identify = ble_identify,
};
