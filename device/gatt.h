/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The GATT services of the virtual device: Generic Access (its name), Device Information, espble
 * and gattota. For any transport that carries GATT: it mounts `mounts` on its server.
 */
#ifndef OTTER_DEVICE_GATT_H
#define OTTER_DEVICE_GATT_H

#include "device/device.h"
#include "otter/espble.h"
#include "otter/gattota.h"

#define DEVICE_GATT_MOUNTS 4u
#define DEVICE_GATT_WINDOW_MAX 64u /* espble sectors in flight */

struct device_gatt {
    struct device *device;
    struct otter_gatt_server carrier; /* the transport's own way to send */
    struct device_way espble_handle;
    struct device_way gattota_handle;
    struct otter_espble_device espble;
    struct otter_gattota_device gattota;
    struct otter_gatt_service espble_table; /* ours, or that of an old device */
    struct otter_gatt_char espble_chars[OTTER_ESPBLE_CHARS];
    struct otter_gatt_mount mounts[DEVICE_GATT_MOUNTS];
    size_t count;
    uint8_t window; /* of espble */
    uint16_t asked; /* the connection that asked for an older version, while asked_by is this */
    /* for LEGACY_EARLY_RESTART */
    uint16_t sectors; /* of the firmware that the client announced */
    bool leave_early; /* the last of them is acknowledged */
    bool left_early;
    uint8_t sector_buf[DEVICE_GATT_WINDOW_MAX * OTTER_ESPBLE_SECTOR];
    uint8_t packet_buf[4096];
};

/* Prepares everything after each power on. window: espble's, unless an option says otherwise.
 * carrier.send is the transport's. */
OTTER_CHECKED otter_err device_gatt_init(struct device_gatt *gatt, struct device *device,
                                         uint8_t window, struct otter_gatt_server carrier);

/* A bounded step of each service; returns in how many ms to call again. */
uint32_t device_gatt_poll(struct device_gatt *gatt, uint32_t now_ms);

/* True when the update of this owner is one by the connection that asked for an older version. */
bool device_gatt_asked(const struct device_gatt *gatt, const void *owner);

/* For all services. */
void device_gatt_disconnected(struct device_gatt *gatt, uint16_t conn);

#endif
