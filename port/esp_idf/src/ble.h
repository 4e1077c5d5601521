/* SPDX-License-Identifier: Apache-2.0 */
/* What the three files of the Bluetooth side share. */
#ifndef OTTER_IDF_BLE_PRIVATE_H
#define OTTER_IDF_BLE_PRIVATE_H

#include <stdbool.h>

#include <host/ble_hs.h>
#include <sdkconfig.h>

#include "otter/gatt.h"
#include "otter/gatt_queue.h"

#define BLE_MOUNTS 2

/* Options of menuconfig as 0 and 1; one that is not set has no macro there. */
#ifdef CONFIG_OTTER_BLE_ESPBLE
#define OTTER_BLE_ESPBLE 1
#else
#define OTTER_BLE_ESPBLE 0
#endif
#ifdef CONFIG_OTTER_BLE_GATTOTA
#define OTTER_BLE_GATTOTA 1
#else
#define OTTER_BLE_GATTOTA 0
#endif
#ifdef CONFIG_OTTER_BLE_GATTOTA_FIELD_UUID
#define OTTER_BLE_GATTOTA_FIELD_UUID 1
#else
#define OTTER_BLE_GATTOTA_FIELD_UUID 0
#endif
#ifdef CONFIG_OTTER_BLE_DIS
#define OTTER_BLE_DIS 1
#else
#define OTTER_BLE_DIS 0
#endif
#if defined(CONFIG_OTTER_BLE_SECURITY_AUTHENTICATED) || defined(CONFIG_OTTER_BLE_SECURITY_BONDED)
#define OTTER_BLE_MITM 1
#else
#define OTTER_BLE_MITM 0
#endif
#ifdef CONFIG_OTTER_BLE_SECURITY_OPEN
#define OTTER_BLE_BOND 0
#else
#define OTTER_BLE_BOND 1
#endif

/* Where a characteristic of ours belongs: the arg of its access callback. */
struct ble_place {
    uint8_t mount;
    uint8_t id;
    uint16_t handle; /* of its value, filled in by the stack */
};

/* ---- ble_table.c: our tables as NimBLE wants them -------------------------------------------- */

/* Translates count mounts, Device Information behind them. The result lives as long as the
 * program. */
const struct ble_gatt_svc_def *otter_idf_ble_table(const struct otter_gatt_mount *mounts,
                                                   uint8_t count);
struct ble_place *otter_idf_ble_place(uint8_t mount, uint8_t id);
/* The one with this value handle, or NULL. */
const struct ble_place *otter_idf_ble_find(uint16_t handle);

/* ---- ble_link.c: connections ----------------------------------------------------------------- */

/* Registers for the stack's events. wake: something happened that the worker should look at. */
int otter_idf_ble_link_start(struct otter_gatt_queue *queue, void (*wake)(void));

/* Notifies or indicates, as the CCCD asks. */
otter_err otter_idf_ble_link_send(uint16_t conn, const struct ble_place *place, const uint8_t *data,
                                  size_t len);

/* Asks for a fast link, or lets go of it. */
void otter_idf_ble_link_fast(uint16_t conn, bool fast);

/* Whether it asked for an older version; only one that has subscribed can. */
void otter_idf_ble_link_ask(uint16_t conn, bool asks);
bool otter_idf_ble_link_asked(uint16_t conn);

/* True once after a central has connected. */
bool otter_idf_ble_link_seen(void);

/* 0, or the ATT error for a connection that is not secure enough. */
int otter_idf_ble_link_refuses(uint16_t conn);

/* ---- ble.c ----------------------------------------------------------------------------------- */

/* From an access callback: takes a write off the stack's task. Returns an ATT error or 0. */
int otter_idf_ble_take(uint16_t conn, const struct ble_place *place, const struct os_mbuf *om);

/* The last value of a characteristic. */
int otter_idf_ble_give(const struct ble_place *place, struct os_mbuf *om);

#endif
