/* SPDX-License-Identifier: Apache-2.0 */
/* What bluetoothd knows: adapters, devices, and the GATT services of connected ones. */
#ifndef OTTER_HOST_BLE_TREE_H
#define OTTER_HOST_BLE_TREE_H

#include <stddef.h>

#include "host/ble_bus.h"
#include "otter/gatt.h"

#define OTTER_BLE_PATH 128u

enum otter_ble_kind {
    OTTER_BLE_IS_ADAPTER,
    OTTER_BLE_IS_DEVICE,
    OTTER_BLE_IS_SERVICE,
    OTTER_BLE_IS_CHAR,
};

struct otter_ble_object {
    enum otter_ble_kind kind;
    char path[OTTER_BLE_PATH];
    /* adapter, device */
    char address[18];
    char name[64];
    /* adapter */
    bool powered;
    bool central;    /* has Low Energy; true also where bluetoothd does not say */
    bool peripheral; /* can advertise; the same */
    /* device */
    bool connected;
    bool resolved; /* its services are known */
    bool paired;
    bool near;    /* heard during this search */
    int16_t rssi; /* dBm, when near */
    bool espble;  /* advertises as devices do that speak it */
    bool gattota; /* the same */
    /* service, characteristic */
    struct otter_gatt_uuid uuid;
    /* characteristic */
    uint8_t props;
    bool can_acquire_write;
    bool can_acquire_notify;
    uint16_t mtu; /* 0: not told */
};

struct otter_ble_tree {
    struct otter_ble_object *objects; /* parents before what is in them */
    size_t count;
};

/* Asks bluetoothd. Free it in any case. */
OTTER_CHECKED otter_err otter_ble_tree_load(struct otter_ble_tree *tree, struct otter_ble_bus *bus);
void otter_ble_tree_free(struct otter_ble_tree *tree);

/* True when inner stands below outer. */
bool otter_ble_inside(const char *inner, const char *outer);

/* "0000180a-0000-1000-8000-00805f9b34fb". */
OTTER_CHECKED otter_err otter_ble_uuid_parse(struct otter_gatt_uuid *uuid, const char *text);
void otter_ble_uuid_format(const struct otter_gatt_uuid *uuid, char text[37]);

#endif
