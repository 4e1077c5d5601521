/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the targets of the BLE halves share. An input is a list of things that happen, each a byte
 * and its arguments; past the end arguments are 0. What is checked is how a half keeps its
 * contracts: with the sink and the server, or with the source and the client.
 */
#ifndef OTTER_TESTS_FUZZ_BLE_H
#define OTTER_TESTS_FUZZ_BLE_H

#include <stdbool.h>

#include "base/cursor.h"
#include "fuzz.h"
#include "otter/gatt.h"
#include "otter/sink.h"
#include "otter/source.h"

#define BLE_LEN_MAX 70000u

/* ---- around a device ----------------------------------------------------------------------- */

struct ble_device {
    struct otter_gatt_mount mount;
    uint32_t now_ms;
    uint32_t length;  /* as begun */
    uint32_t written; /* bytes */
    bool open;        /* between begin and the end */
    bool finishing;
    bool selected;
    bool restarted;
    bool full; /* the link has no room */
    uint8_t steps;
};

struct otter_sink ble_sink(struct ble_device *device);
struct otter_gatt_server ble_server(struct ble_device *device);
struct otter_gatt_app ble_app(struct ble_device *device);

/* A write, polled for as a server does; whatever is held is taken after the service came to rest.
 */
void ble_write(struct ble_device *device, uint16_t conn, uint8_t id, const uint8_t *data,
               size_t len);

/* Polls until the service wants to wait. */
void ble_rest(struct ble_device *device);

/* The events that are the same for both protocols: conn is lost, ms pass, room comes or goes. */
void ble_lost(struct ble_device *device, uint16_t conn);
void ble_wait(struct ble_device *device, uint32_t ms);

/* ---- around a host ------------------------------------------------------------------------- */

struct ble_host {
    struct otter_gatt_updater updater;
    uint32_t now_ms;
    uint32_t length;
    unsigned room; /* writes the link still takes */
    bool waiting;  /* a request is not answered */
    bool over;     /* finished when it was looked at last */
    otter_err result;
    uint8_t sum; /* of all that was written */
};

struct otter_source ble_source(struct ble_host *host);
struct otter_gatt_client ble_client(struct ble_host *host);

/* Polls, ms later, and looks whether what was final still is. */
void ble_poll_host(struct ble_host *host, uint32_t ms);
void ble_written(struct ble_host *host, uint8_t att);

#endif
