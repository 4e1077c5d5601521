/* SPDX-License-Identifier: Apache-2.0 */
#include "host/ble_find.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "host/clock.h"

#define CALL_MS 10000u
#define CALM_MS 100u /* where many devices are, something changes all the time */

otter_err otter_ble_address_parse(struct otter_ble_address *address, const char *text)
{
    const char *slash = strchr(text, '/');
    size_t len = slash != NULL ? (size_t)(slash - text) : 0;

    *address = (struct otter_ble_address){0};
    if (slash != NULL) {
        if (len == 0 || len >= sizeof(address->adapter)) {
            return OTTER_ERR_ARG;
        }
        memcpy(address->adapter, text, len);
        text = slash + 1;
    }
    if (*text == '\0' || strlen(text) >= sizeof(address->device)) {
        return OTTER_ERR_ARG;
    }
    snprintf(address->device, sizeof(address->device), "%s", text);
    return OTTER_OK;
}

const struct otter_ble_object *
otter_ble_adapter(struct otter_ble_bus *bus, const struct otter_ble_tree *tree, const char *name)
{
    const struct otter_ble_object *off = NULL;

    for (size_t i = 0; i < tree->count; i++) {
        const struct otter_ble_object *o = &tree->objects[i];

        if (o->kind != OTTER_BLE_IS_ADAPTER ||
            (*name != '\0' && strcmp(strrchr(o->path, '/') + 1, name) != 0)) {
            continue;
        }
        if (o->powered) {
            return o;
        }
        off = o;
    }
    if (off != NULL) {
        snprintf(bus->why, sizeof(bus->why),
                 "the Bluetooth adapter %s is off: turn it on with \"bluetoothctl power on\" (if "
                 "it stays off: rfkill unblock bluetooth)",
                 strrchr(off->path, '/') + 1);
    } else if (*name != '\0') {
        snprintf(bus->why, sizeof(bus->why), "there is no Bluetooth adapter %s", name);
    } else {
        snprintf(bus->why, sizeof(bus->why), "this machine has no Bluetooth adapter");
    }
    return NULL;
}

const struct otter_ble_object *otter_ble_device(struct otter_ble_bus *bus,
                                                const struct otter_ble_tree *tree,
                                                const char *adapter_path, const char *device,
                                                bool *several)
{
    const struct otter_ble_object *named = NULL;

    *several = false;
    for (size_t i = 0; i < tree->count; i++) {
        const struct otter_ble_object *o = &tree->objects[i];

        if (o->kind != OTTER_BLE_IS_DEVICE || !otter_ble_inside(o->path, adapter_path)) {
            continue;
        }
        if (strcasecmp(o->address, device) == 0) {
            *several = false;
            return o;
        }
        if (strcmp(o->name, device) == 0 && (o->near || o->connected)) {
            if (named != NULL) {
                *several = true;
                snprintf(bus->why, sizeof(bus->why),
                         "several devices have this name; name one by its address: ble:%s, ble:%s",
                         named->address, o->address);
            }
            named = o;
        }
    }
    return *several ? NULL : named;
}

/* Only LE, and every device: a filter by service would miss those that do not advertise theirs.
 * Later versions of bluetoothd tell nothing of a device that does not call itself discoverable,
 * unless it matches a pattern, as all do the empty one; before 5.54 there are no patterns. */
static otter_err set_filter(struct otter_ble_bus *bus, const char *adapter_path, bool pattern)
{
    sd_bus_message *message =
        otter_ble_bus_message(bus, adapter_path, OTTER_BLE_ADAPTER, "SetDiscoveryFilter");

    if (message != NULL) {
        (void)(pattern ? sd_bus_message_append(message, "a{sv}", 2, "Transport", "s", "le",
                                               "Pattern", "s", "")
                       : sd_bus_message_append(message, "a{sv}", 1, "Transport", "s", "le"));
    }
    return otter_ble_bus_call(bus, message, CALL_MS, NULL);
}

static otter_err start(struct otter_ble_bus *bus, const char *adapter_path)
{
    otter_err err = set_filter(bus, adapter_path, true);

    if (err != OTTER_OK && err != OTTER_ERR_CANCELLED && !bus->gone) {
        err = set_filter(bus, adapter_path, false);
    }
    if (err != OTTER_OK) {
        return err;
    }
    return otter_ble_bus_do(bus, adapter_path, OTTER_BLE_ADAPTER, "StartDiscovery", CALL_MS);
}

/* Until something has changed since looked. */
static otter_err await_change(struct otter_ble_bus *bus, uint32_t looked, uint32_t begun,
                              uint32_t timeout_ms)
{
    for (;;) {
        uint32_t now = otter_clock_ms();
        uint32_t left = now - begun < timeout_ms ? timeout_ms - (now - begun) : 0;
        uint32_t calm = now - looked < CALM_MS ? CALM_MS - (now - looked) : 0;

        if (bus->cancel != NULL && *bus->cancel != 0) {
            return OTTER_ERR_CANCELLED;
        }
        if (left == 0) {
            return OTTER_ERR_TIMEOUT;
        }
        if (bus->changed && calm == 0) {
            return OTTER_OK;
        }
        otter_err err = otter_ble_bus_wait(bus, NULL, 0, bus->changed && calm < left ? calm : left);
        if (err != OTTER_OK) {
            return err;
        }
    }
}

static otter_err look(struct otter_ble_bus *bus, uint32_t timeout_ms,
                      bool (*seen)(void *ctx, const struct otter_ble_tree *tree), void *ctx)
{
    uint32_t begun = otter_clock_ms();
    struct otter_ble_tree tree;

    for (;;) {
        uint32_t looked = otter_clock_ms();

        bus->changed = false;
        otter_err err = otter_ble_tree_load(&tree, bus);
        bool enough = err == OTTER_OK && seen(ctx, &tree);
        otter_ble_tree_free(&tree);
        if (err != OTTER_OK || enough) {
            return err;
        }
        err = await_change(bus, looked, begun, timeout_ms);
        if (err != OTTER_OK) {
            return err;
        }
    }
}

otter_err otter_ble_search(struct otter_ble_bus *bus, const char *adapter_path, uint32_t timeout_ms,
                           bool (*seen)(void *ctx, const struct otter_ble_tree *tree), void *ctx)
{
    otter_err err = start(bus, adapter_path);

    if (err == OTTER_OK) {
        err = look(bus, timeout_ms, seen, ctx);
    } else if (err != OTTER_ERR_CANCELLED) { /* which may come after it has begun */
        return err;
    }
    char why[sizeof(bus->why)];
    snprintf(why, sizeof(why), "%s", bus->why);
    /* A search that goes on disturbs the connection. When this fails bluetoothd ends it with us. */
    const volatile sig_atomic_t *cancel = bus->cancel;
    bus->cancel = NULL;
    (void)!otter_ble_bus_do(bus, adapter_path, OTTER_BLE_ADAPTER, "StopDiscovery", CALL_MS);
    bus->cancel = cancel;
    snprintf(bus->why, sizeof(bus->why), "%s", why);
    return err;
}

otter_err otter_ble_remove(struct otter_ble_bus *bus, const char *adapter_path,
                           const char *device_path)
{
    sd_bus_message *message =
        otter_ble_bus_message(bus, adapter_path, OTTER_BLE_ADAPTER, "RemoveDevice");

    if (message != NULL && sd_bus_message_append(message, "o", device_path) < 0) {
        message = sd_bus_message_unref(message);
    }
    return otter_ble_bus_call(bus, message, CALL_MS, NULL);
}
