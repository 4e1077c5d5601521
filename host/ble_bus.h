/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Talking to bluetoothd (org.bluez, on the system bus): calls that can be cancelled, what changed,
 * and a plain sentence for each way in which it fails. One thread.
 */
#ifndef OTTER_HOST_BLE_BUS_H
#define OTTER_HOST_BLE_BUS_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "otter/err.h"

#define OTTER_BLE_SERVICE "org.bluez"
#define OTTER_BLE_ADAPTER "org.bluez.Adapter1"
#define OTTER_BLE_DEVICE "org.bluez.Device1"
#define OTTER_BLE_CHAR "org.bluez.GattCharacteristic1"
#define OTTER_BLE_PROPERTIES "org.freedesktop.DBus.Properties"

#define OTTER_BLE_MORE_FDS 16u /* descriptors a caller can wait for besides the bus */

struct otter_ble_bus {
    sd_bus *bus;                         /* NULL: closed */
    const volatile sig_atomic_t *cancel; /* may be NULL */
    bool changed;                        /* bluetoothd said something; cleared by who looks */
    bool gone;                           /* bluetoothd, or the bus, has ended */
    bool not_paired;                     /* the last failure: the device wants pairing */
    char why[256];                       /* the last failure, one sentence */
    /* Every signal of bluetoothd. May be NULL. */
    void (*heard)(void *ctx, sd_bus_message *message);
    void *ctx;
};

/* OTTER_ERR_UNSUPPORTED: this machine has no bus or no bluetoothd. */
OTTER_CHECKED otter_err otter_ble_bus_open(struct otter_ble_bus *bus);
void otter_ble_bus_close(struct otter_ble_bus *bus); /* harmless when closed */

/* Waits until something happened on the bus or on one of more, at most timeout_ms, and handles
 * what bluetoothd said. OTTER_ERR_LINK when it is gone. */
OTTER_CHECKED otter_err otter_ble_bus_wait(struct otter_ble_bus *bus, struct pollfd *more,
                                           size_t count, uint32_t timeout_ms);

/* A method of bluetoothd; consumes message, which may be NULL when it could not be made. Waits for
 * the answer, handling what comes meanwhile; *reply (may be NULL) is the caller's. On failure the
 * sentence is in why. */
OTTER_CHECKED otter_err otter_ble_bus_call(struct otter_ble_bus *bus, sd_bus_message *message,
                                           uint32_t timeout_ms, sd_bus_message **reply);

/* The same for a method without arguments whose answer says nothing. */
OTTER_CHECKED otter_err otter_ble_bus_do(struct otter_ble_bus *bus, const char *path,
                                         const char *interface, const char *member,
                                         uint32_t timeout_ms);

/* A call with nothing in it yet, or NULL. */
sd_bus_message *otter_ble_bus_message(struct otter_ble_bus *bus, const char *path,
                                      const char *interface, const char *member);

/* Fills why and not_paired from an error, which may be unset: error is then a negative errno. */
otter_err otter_ble_bus_fail(struct otter_ble_bus *bus, const sd_bus_error *e, int error);

/* Lets pairing without a code happen ("just works"): what asks for a code is refused. default_one:
 * also for devices that ask on their own. */
OTTER_CHECKED otter_err otter_ble_bus_agent(struct otter_ble_bus *bus, bool default_one);

#endif
