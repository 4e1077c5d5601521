/* SPDX-License-Identifier: Apache-2.0 */
/* ble:ADDRESS and ble:NAME: devices over Bluetooth Low Energy, through bluetoothd. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "host/ble_find.h"
#include "host/ble_link.h"
#include "host/gatt_update.h"
#include "host/schemes.h"

#define SCAN_MS 5000u /* a slow advertiser is heard within */
#define OPEN_MS 10000u
#define SEEN_MAX 64u

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
    otter_err err = link.ops->open(link.link, address, OTTER_GATT_MTU_MAX, OPEN_MS);
    if (err == OTTER_OK) {
        err = otter_gatt_identify(link, device);
        snprintf(message, size, "%s: %s", address, otter_err_text(err));
    } else {
        snprintf(message, size, "%s", link.message);
    }
    link.ops->close(link.link);
    free(ble);
    return err;
}

/* ---- searching ----------------------------------------------------------------------------------
 */

struct scan {
    const char *adapter;
    otter_target_found found;
    void *ctx;
    char seen[SEEN_MAX][18];
    size_t count;
};

static bool already(struct scan *scan, const char *address)
{
    for (size_t i = 0; i < scan->count; i++) {
        if (strcmp(scan->seen[i], address) == 0) {
            return true;
        }
    }
    if (scan->count == SEEN_MAX) {
        return true;
    }
    snprintf(scan->seen[scan->count++], sizeof(scan->seen[0]), "%s", address);
    return false;
}

/* Devices in the field that advertise nothing but a name (PROTOCOLS: 1.1, 2). */
static bool known_name(const char *name)
{
    return strcmp(name, "nimble-ble-ota") == 0 || strcmp(name, "esp32") == 0;
}

static bool look_at(void *ctx, const struct otter_ble_tree *tree)
{
    struct scan *scan = ctx;

    for (size_t i = 0; i < tree->count; i++) {
        const struct otter_ble_object *o = &tree->objects[i];
        struct otter_target_device device = {0};
        char uri[32];

        if (o->kind != OTTER_BLE_IS_DEVICE || !otter_ble_inside(o->path, scan->adapter) ||
            !(o->near || o->connected) || !(o->espble || o->gattota || known_name(o->name)) ||
            already(scan, o->address)) {
            continue;
        }
        snprintf(uri, sizeof(uri), "ble:%s", o->address);
        snprintf(device.name, sizeof(device.name), "%s", o->name);
        snprintf(device.protocols, sizeof(device.protocols), "%s%s%s", o->espble ? "espble" : "",
                 o->espble && o->gattota ? " " : "", o->gattota ? "gattota" : "");
        if (!scan->found(scan->ctx, uri, &device)) {
            return true;
        }
    }
    return false;
}

/* The path of the adapter to search with; empty on failure. */
static otter_err find_adapter(struct otter_ble_bus *bus, char path[OTTER_BLE_PATH])
{
    struct otter_ble_tree tree;
    otter_err err = otter_ble_tree_load(&tree, bus);

    if (err == OTTER_OK) {
        const struct otter_ble_object *adapter = otter_ble_adapter(bus, &tree, "");

        if (adapter == NULL) {
            err = OTTER_ERR_UNSUPPORTED;
        } else {
            snprintf(path, OTTER_BLE_PATH, "%s", adapter->path);
        }
    }
    otter_ble_tree_free(&tree);
    return err;
}

static otter_err ble_scan(const struct otter_target_options *options,
                          const struct otter_target_observer *observer, otter_target_found found,
                          void *ctx, char *message, size_t size)
{
    struct otter_ble_bus bus = {.cancel = observer != NULL ? observer->cancel : NULL};
    char adapter[OTTER_BLE_PATH] = "";
    struct scan scan = {.adapter = adapter, .found = found, .ctx = ctx};

    (void)options;
    otter_err err = otter_ble_bus_open(&bus);
    if (err == OTTER_OK) {
        err = find_adapter(&bus, adapter);
    }
    if (err == OTTER_OK) {
        err = otter_ble_search(&bus, adapter, SCAN_MS, look_at, &scan);
    }
    otter_ble_bus_close(&bus);
    if (err == OTTER_ERR_TIMEOUT || err == OTTER_ERR_CANCELLED) {
        return OTTER_OK; /* the search is over */
    }
    if (err != OTTER_OK) {
        snprintf(message, size, "Bluetooth: %s", bus.why);
    }
    return err;
}

const struct otter_target_scheme otter_target_ble = {
    .name = "ble",
    .example = "ble:24:6F:28:12:34:56",
    .help = "a device over Bluetooth Low Energy, by address or name",
    .scan = ble_scan,
    .update = ble_update,
    .identify = ble_identify,
};
