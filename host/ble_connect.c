/* SPDX-License-Identifier: Apache-2.0 */
/* From an address to a connected device whose services bluetoothd knows. */
#include <stdio.h>
#include <string.h>

#include "host/ble_parts.h"
#include "host/clock.h"

#define TRY_MS 200u /* between two tries to connect */

struct wanted {
    struct otter_ble_link *link;
    const char *device;
};

static bool keep_device(struct otter_ble_link *link, const struct otter_ble_object *device)
{
    if (device == NULL) {
        return false;
    }
    snprintf(link->device, sizeof(link->device), "%s", device->path);
    return true;
}

static bool seen(void *ctx, const struct otter_ble_tree *tree)
{
    const struct wanted *wanted = ctx;

    return keep_device(wanted->link, otter_ble_device(tree, wanted->link->adapter, wanted->device));
}

/* Fills adapter and device of link. */
otter_err otter_ble_find(struct otter_ble_link *link, const struct otter_ble_address *address,
                         uint32_t timeout_ms)
{
    struct wanted wanted = {link, address->device};
    struct otter_ble_tree tree;

    otter_err err = otter_ble_tree_load(&tree, &link->bus);
    if (err == OTTER_OK) {
        const struct otter_ble_object *adapter =
            otter_ble_adapter(&link->bus, &tree, address->adapter);

        if (adapter == NULL) {
            err = OTTER_ERR_STATE;
        } else {
            snprintf(link->adapter, sizeof(link->adapter), "%s", adapter->path);
            keep_device(link, otter_ble_device(&tree, adapter->path, address->device));
        }
    }
    otter_ble_tree_free(&tree);
    if (err != OTTER_OK || link->device[0] != '\0') {
        return err;
    }
    err = otter_ble_search(&link->bus, link->adapter, timeout_ms, seen, &wanted);
    if (err == OTTER_ERR_TIMEOUT) {
        snprintf(link->bus.why, sizeof(link->bus.why),
                 "not heard: it is off, out of range, or connected to somebody else");
    }
    return err;
}

/* The state of our device; false when bluetoothd does not know it any more. */
static otter_err look_up(struct otter_ble_link *link, struct otter_ble_object *device)
{
    struct otter_ble_tree tree;
    otter_err err = otter_ble_tree_load(&tree, &link->bus);

    *device = (struct otter_ble_object){0};
    for (size_t i = 0; i < tree.count; i++) {
        if (strcmp(tree.objects[i].path, link->device) == 0) {
            *device = tree.objects[i];
        }
    }
    otter_ble_tree_free(&tree);
    if (err == OTTER_OK && device->path[0] == '\0') {
        snprintf(link->bus.why, sizeof(link->bus.why), "the device is gone");
        err = OTTER_ERR_LINK;
    }
    return err;
}

static otter_err wait_resolved(struct otter_ble_link *link, uint32_t begun, uint32_t timeout_ms)
{
    struct otter_ble_object device;

    for (;;) {
        link->bus.changed = false;
        otter_err err = look_up(link, &device);
        if (err != OTTER_OK || device.resolved) {
            snprintf(link->name, sizeof(link->name), "%s", device.name);
            return err;
        }
        while (!link->bus.changed) {
            uint32_t spent = otter_clock_ms() - begun;

            if (link->lost || !device.connected) {
                snprintf(link->bus.why, sizeof(link->bus.why), "the connection is lost");
                return OTTER_ERR_LINK;
            }
            if (spent >= timeout_ms) {
                snprintf(link->bus.why, sizeof(link->bus.why),
                         "connected, but it does not say what it offers");
                return OTTER_ERR_TIMEOUT;
            }
            if (link->bus.cancel != NULL && *link->bus.cancel != 0) {
                return OTTER_ERR_CANCELLED;
            }
            err = otter_ble_bus_wait(&link->bus, NULL, 0, timeout_ms - spent);
            if (err != OTTER_OK) {
                return err;
            }
        }
    }
}

/* A pause that bluetoothd can use. */
static otter_err rest(struct otter_ble_link *link, uint32_t ms)
{
    uint32_t begun = otter_clock_ms();

    while (otter_clock_ms() - begun < ms) {
        otter_err err = otter_ble_bus_wait(&link->bus, NULL, 0, ms - (otter_clock_ms() - begun));
        if (err != OTTER_OK) {
            return err;
        }
    }
    return OTTER_OK;
}

otter_err otter_ble_connect(struct otter_ble_link *link, uint32_t timeout_ms)
{
    uint32_t begun = otter_clock_ms();
    struct otter_ble_object device;
    otter_err err = look_up(link, &device);

    while (err == OTTER_OK && !device.connected) {
        uint32_t spent = otter_clock_ms() - begun;

        if (spent >= timeout_ms) {
            return OTTER_ERR_TIMEOUT;
        }
        link->ours = true;
        err = otter_ble_bus_do(&link->bus, link->device, OTTER_BLE_DEVICE, "Connect",
                               timeout_ms - spent);
        if (err == OTTER_OK) {
            break;
        }
        if (err == OTTER_ERR_CANCELLED || err == OTTER_ERR_POLICY || err == OTTER_ERR_STATE ||
            err == OTTER_ERR_UNSUPPORTED || link->bus.gone) {
            return err;
        }
        /* A connection attempt fails for many passing reasons. */
        if (otter_clock_ms() - begun + TRY_MS >= timeout_ms) {
            return err;
        }
        err = rest(link, TRY_MS);
        if (err == OTTER_OK) {
            err = look_up(link, &device);
        }
    }
    link->lost = false;
    return err == OTTER_OK ? wait_resolved(link, begun, timeout_ms) : err;
}
