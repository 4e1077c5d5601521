/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Searching for devices. What one advertises is told as soon as it is heard; with probe, each is
 * then connected to and looked at, as not all that can be updated say so.
 */
#include "host/ble_scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/ble_find.h"
#include "host/ble_link.h"
#include "host/clock.h"
#include "host/gatt_update.h"

#define SCAN_MS 5000u /* a slow advertiser is heard within */
#define LOOK_MS 6000u /* to connect to one and look at it */
#define ALL_MS 60000u /* to look at all of them */
#define SEEN_MAX 256u
#define RSSI_STEP 4 /* dB, less is not worth telling */

struct seen {
    char address[18];
    bool paired;
    struct otter_target_device device;
};

struct scan {
    const struct otter_target_options *options;
    const struct otter_target_observer *observer;
    otter_target_found found;
    void *ctx;
    char adapter[OTTER_BLE_PATH];
    struct seen seen[SEEN_MAX];
    size_t count;
};

static bool cancelled(const struct scan *scan)
{
    return otter_target_cancelled(scan->observer);
}

/* False: the search shall end. */
static bool tell(struct scan *scan, const struct seen *s)
{
    char uri[64];
    bool chosen = scan->options->adapter != NULL;

    snprintf(uri, sizeof(uri), "ble:%.15s%s%s", chosen ? scan->options->adapter : "",
             chosen ? "/" : "", s->address);
    return scan->found(scan->ctx, uri, &s->device);
}

/* Devices in the field that advertise nothing but a name (PROTOCOLS: 1.1, 2). */
static void guess_protocols(const struct otter_ble_object *o, char *text, size_t size)
{
    bool espble = o->espble || strcmp(o->name, "nimble-ble-ota") == 0;
    bool gattota = o->gattota || strcmp(o->name, "esp32") == 0;

    snprintf(text, size, "%s%s%s", espble ? "espble" : "", espble && gattota ? " " : "",
             gattota ? "gattota" : "");
}

static struct seen *entry_of(struct scan *scan, const char *address)
{
    for (size_t i = 0; i < scan->count; i++) {
        if (strcmp(scan->seen[i].address, address) == 0) {
            return &scan->seen[i];
        }
    }
    if (scan->count == SEEN_MAX) {
        return NULL;
    }
    struct seen *s = &scan->seen[scan->count++];
    snprintf(s->address, sizeof(s->address), "%s", address);
    return s;
}

/* Takes over what is new. True when that is worth telling. */
static bool take(struct seen *s, const struct otter_ble_object *o)
{
    struct otter_target_device new = {0};

    snprintf(new.name, sizeof(new.name), "%s", o->name);
    guess_protocols(o, new.protocols, sizeof(new.protocols));
    new.rssi = o->near ? o->rssi : 0;
    bool changed = s->device.rssi == 0 || abs(new.rssi - s->device.rssi) >= RSSI_STEP ||
                   strcmp(new.name, s->device.name) != 0 ||
                   strcmp(new.protocols, s->device.protocols) != 0;
    s->paired = o->paired;
    if (changed) {
        s->device = new;
    }
    return changed;
}

static bool look_at(void *ctx, const struct otter_ble_tree *tree)
{
    struct scan *scan = ctx;

    for (size_t i = 0; i < tree->count; i++) {
        const struct otter_ble_object *o = &tree->objects[i];

        if (o->kind != OTTER_BLE_IS_DEVICE || !otter_ble_inside(o->path, scan->adapter) ||
            !(o->near || o->connected)) {
            continue;
        }
        struct seen *s = entry_of(scan, o->address);
        if (s != NULL && take(s, o) && (s->device.protocols[0] != '\0' || scan->options->all) &&
            !tell(scan, s)) {
            return true;
        }
    }
    return false;
}

/* ---- looking at what was heard --------------------------------------------------------------- */

/* Those that say what they are first, then the nearest. */
static int by_promise(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;
    int promise = (y->device.protocols[0] != '\0') - (x->device.protocols[0] != '\0');

    return promise != 0 ? promise : (y->device.rssi - x->device.rssi);
}

static void note(const struct scan *scan, const char *line)
{
    if (scan->observer != NULL && scan->observer->detail != NULL) {
        scan->observer->detail(scan->observer->ctx, line);
    }
}

/* False: the search shall end. */
static bool probe_one(struct scan *scan, struct otter_ble_link *ble, struct seen *s)
{
    struct otter_gatt_handlers none = {0};
    struct otter_target_device device;
    struct otter_gatt_link link = otter_ble_link_init(
        ble, &none, scan->options, scan->observer != NULL ? scan->observer->cancel : NULL);

    otter_err err = link.ops->open(link.link, s->address, OTTER_GATT_MTU_MAX, LOOK_MS);
    if (err == OTTER_OK) {
        err = otter_gatt_identify(link, &device);
    } else {
        note(scan, link.message);
    }
    link.ops->close(link.link);
    if (err != OTTER_OK) {
        return true;
    }
    device.rssi = s->device.rssi;
    if (device.name[0] == '\0') {
        snprintf(device.name, sizeof(device.name), "%s", s->device.name);
    }
    s->device = device;
    if (device.protocols[0] == '\0' && !s->paired) {
        otter_ble_link_forget(ble); /* a stranger: bluetoothd would keep it for good */
    }
    return (device.protocols[0] == '\0' && !scan->options->all) || tell(scan, s);
}

static void probe(struct scan *scan)
{
    struct otter_ble_link *ble = calloc(1, sizeof(*ble));
    uint32_t begun = otter_clock_ms();
    char line[128];

    qsort(scan->seen, scan->count, sizeof(scan->seen[0]), by_promise);
    for (size_t i = 0; ble != NULL && i < scan->count && !cancelled(scan); i++) {
        if (otter_clock_ms() - begun >= ALL_MS) {
            snprintf(line, sizeof(line), "no time for the other %zu devices", scan->count - i);
            note(scan, line);
            break;
        }
        snprintf(line, sizeof(line), "looking at %s (%zu of %zu)", scan->seen[i].address, i + 1,
                 scan->count);
        note(scan, line);
        if (!probe_one(scan, ble, &scan->seen[i])) {
            break;
        }
    }
    free(ble);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static otter_err find_adapter(struct otter_ble_bus *bus, struct scan *scan)
{
    struct otter_ble_tree tree;
    const char *wanted = scan->options->adapter != NULL ? scan->options->adapter : "";
    otter_err err = otter_ble_tree_load(&tree, bus);

    if (err == OTTER_OK) {
        bool none = true;
        const struct otter_ble_object *adapter = otter_ble_adapter(bus, &tree, wanted);

        for (size_t i = 0; i < tree.count; i++) {
            none = none && tree.objects[i].kind != OTTER_BLE_IS_ADAPTER;
        }
        if (adapter == NULL) {
            err = none ? OTTER_ERR_UNSUPPORTED : OTTER_ERR_STATE;
        } else {
            snprintf(scan->adapter, sizeof(scan->adapter), "%s", adapter->path);
        }
    }
    otter_ble_tree_free(&tree);
    return err;
}

otter_err otter_ble_scan(const struct otter_target_options *options,
                         const struct otter_target_observer *observer, otter_target_found found,
                         void *ctx, char *message, size_t size)
{
    struct otter_ble_bus bus = {.cancel = observer != NULL ? observer->cancel : NULL};
    struct scan *scan = calloc(1, sizeof(*scan));

    if (scan == NULL) {
        snprintf(message, size, "out of memory");
        return OTTER_ERR_ARG;
    }
    scan->options = options;
    scan->observer = observer;
    scan->found = found;
    scan->ctx = ctx;
    otter_err err = otter_ble_bus_open(&bus);
    if (err == OTTER_OK) {
        err = find_adapter(&bus, scan);
    }
    if (err == OTTER_OK) {
        err = otter_ble_search(&bus, scan->adapter,
                               options->scan_ms != 0 ? options->scan_ms : SCAN_MS, look_at, scan);
    }
    otter_ble_bus_close(&bus);
    if (err == OTTER_ERR_TIMEOUT || err == OTTER_ERR_CANCELLED) { /* the search is over */
        if (options->probe) {
            probe(scan);
        }
        err = OTTER_OK;
    }
    if (err != OTTER_OK) {
        snprintf(message, size, "Bluetooth: %s", bus.why);
    }
    free(scan);
    return err;
}
