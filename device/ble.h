/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of --ble share: ble.c (centrals, the transport), ble_values.c (reads, writes,
 * notifications) and ble_objects.c (what bluetoothd reads of us). */
#ifndef OTTER_DEVICE_BLE_H
#define OTTER_DEVICE_BLE_H

#include "device/gatt.h"
#include "host/ble_find.h"

#define BLE_ROOT "/otter/device"
#define BLE_ADVERTISEMENT "/otter/advertisement"
#define BLE_CHARS_MAX 32u
#define BLE_CENTRALS_MAX 8u

struct ble;

struct ble_service {
    struct ble *ble;
    const struct otter_gatt_mount *mount;
    char path[48];
};

struct ble_char {
    struct ble *ble;
    const struct otter_gatt_mount *mount;
    const struct otter_gatt_char *chr;
    const char *service; /* its path */
    char path[64];
    bool subscribed;                /* somebody was, since the services were registered */
    int notify_fd;                  /* for what is sent, AcquireNotify's, or -1 */
    char notify_to[OTTER_BLE_PATH]; /* the central it was asked for */
};

struct ble {
    struct device *device;
    const char *wanted; /* adapter */
    bool pairing;       /* is required */
    struct otter_ble_bus bus;
    char adapter[OTTER_BLE_PATH];
    struct device_gatt gatt;
    struct ble_service services[DEVICE_GATT_MOUNTS];
    struct ble_char chars[BLE_CHARS_MAX];
    size_t service_count, char_count;
    char centrals[BLE_CENTRALS_MAX][OTTER_BLE_PATH]; /* that read or wrote; to be sent away */
    char owner[OTTER_BLE_PATH];                      /* the one that is served; empty: none */
    char leaving[OTTER_BLE_PATH]; /* was sent away and is not gone yet; empty: none */
    uint32_t heard_at;            /* when it last read or wrote */
    uint16_t conn;                /* its number, a new one each time */
    sd_bus_message *held;         /* a write that the service had no room for */
    bool full;                    /* a notification found no room */
};

/* ble.c: notes a central, to be sent away when the device restarts. */
void ble_remember(struct ble *ble, const char *central);
/* ble.c: true when this central is the one that is served: the first to write, until it leaves. */
bool ble_serve(struct ble *ble, const char *central);

/* ble_objects.c: puts everything that is mounted on the bus. A negative errno on failure. */
int ble_objects_add(struct ble *ble);

/* ble_values.c: the methods of a characteristic. */
int ble_on_read(sd_bus_message *m, void *chr, sd_bus_error *error);
int ble_on_write(sd_bus_message *m, void *chr, sd_bus_error *error);
int ble_on_acquire_notify(sd_bus_message *m, void *chr, sd_bus_error *error);
int ble_on_confirm(sd_bus_message *m, void *chr, sd_bus_error *error);

/* ble_values.c: ends what AcquireNotify began. */
void ble_release(struct ble *ble);

/* ble_values.c: offers the write that is held to the service again. False: still no room. */
bool ble_write_held(struct ble *ble);

/* ble_values.c: send() of the GATT server. */
otter_err ble_send(void *ble, uint16_t conn, const struct otter_gatt_char *chr, const uint8_t *data,
                   size_t len);

#endif
