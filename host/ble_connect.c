/* SPDX-License-Identifier: Apache-2.0 */
/* From an address to a connected device whose services bluetoothd knows. */
#include <stdio.h>
#include <string.h>

#include "host/ble_parts.h"
#include "host/clock.h"

#define TRY_MS 200u /* between two tries to connect */

#define NOT_REACHED "no connection: the device is off, out of range, or connected to somebody else"

struct wanted {
    struct otter_ble_link *link;
    const char *device;
    bool several;
};

static bool seen(void *ctx, const struct otter_ble_tree *tree)
{
    struct wanted *wanted = ctx;
    struct otter_ble_link *link = wanted->link;
    const struct otter_ble_object *device =
        otter_ble_device(&link->bus, tree, link->adapter, wanted->device, &wanted->several);

    if (device != NULL) {
        snprintf(link->device, sizeof(link->device), "%s", device->path);
    }
    return device != NULL || wanted->several;
}

/* What bluetoothd knows already: fills adapter, and device when it is among that. */
static otter_err look(struct otter_ble_link *link, const char *adapter_name, struct wanted *wanted)
{
    struct otter_ble_tree tree;
    otter_err err = otter_ble_tree_load(&tree, &link->bus);

    if (err == OTTER_OK) {
        const struct otter_ble_object *adapter = otter_ble_adapter(&link->bus, &tree, adapter_name);

        if (adapter == NULL) {
            err = OTTER_ERR_STATE;
        } else {
            snprintf(link->adapter, sizeof(link->adapter), "%s", adapter->path);
            (void)seen(wanted, &tree);
        }
    }
    otter_ble_tree_free(&tree);
    return err;
}

otter_err otter_ble_find(struct otter_ble_link *link, const struct otter_ble_address *address,
                         uint32_t timeout_ms)
{
    struct wanted wanted = {.link = link, .device = address->device};

    otter_err err = look(link, address->adapter, &wanted);
    if (err == OTTER_OK && link->forget && link->device[0] != '\0') {
        char path[sizeof(link->device)];

        memcpy(path, link->device, sizeof(path));
        link->device[0] = '\0'; /* that it goes is no loss */
        err = otter_ble_remove(&link->bus, link->adapter, path);
    }
    if (err == OTTER_OK && link->device[0] == '\0' && !wanted.several) {
        err = otter_ble_search(&link->bus, link->adapter, timeout_ms, seen, &wanted);
        if (err == OTTER_ERR_TIMEOUT) {
            snprintf(link->bus.why, sizeof(link->bus.why),
                     "not heard within %u s: it is off, out of range, or connected to somebody "
                     "else",
                     timeout_ms / 1000);
        }
    }
    return err == OTTER_OK && wanted.several ? OTTER_ERR_STATE : err;
}

void otter_ble_link_forget(struct otter_ble_link *link)
{
    struct wanted wanted = {.link = link, .device = link->known};
    const char *name = strrchr(link->adapter, '/');

    if (link->known[0] == '\0' || name == NULL || otter_ble_bus_open(&link->bus) != OTTER_OK) {
        return;
    }
    char adapter[sizeof(link->wanted_adapter)];
    snprintf(adapter, sizeof(adapter), "%s", name + 1);
    if (look(link, adapter, &wanted) == OTTER_OK && link->device[0] != '\0') {
        (void)!otter_ble_remove(&link->bus, link->adapter, link->device);
    }
    link->device[0] = '\0';
    otter_ble_bus_close(&link->bus);
}

/* The state of our device; OTTER_ERR_LINK when bluetoothd does not know it any more. */
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
            snprintf(link->known, sizeof(link->known), "%s", device.address);
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

        link->ours = true;
        err = spent < timeout_ms ? otter_ble_bus_do(&link->bus, link->device, OTTER_BLE_DEVICE,
                                                    "Connect", timeout_ms - spent)
                                 : OTTER_ERR_TIMEOUT;
        if (err == OTTER_OK) {
            break;
        }
        if (err == OTTER_ERR_CANCELLED || err == OTTER_ERR_POLICY || err == OTTER_ERR_STATE ||
            err == OTTER_ERR_UNSUPPORTED || link->bus.gone) {
            return err;
        }
        /* A connection attempt fails for many passing reasons. */
        if (otter_clock_ms() - begun + TRY_MS >= timeout_ms) {
            snprintf(link->bus.why, sizeof(link->bus.why), NOT_REACHED);
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
