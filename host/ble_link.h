/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A GATT link through bluetoothd. Its address is that of ble_find.h. Opened a second time, it goes
 * to the device it was connected to, by its address: after an update its name may be another.
 *
 * Packets without response go through a descriptor that bluetoothd gives out (AcquireWrite), which
 * is several times faster than a call each; a full descriptor is back-pressure. Calls could
 * overtake what waits in it, so a call is made only once bluetoothd has read all of it.
 * bluetoothd takes no WriteValue for a characteristic with such a descriptor: a write request in
 * between two commands goes through the descriptor, too, and is answered when a read behind it
 * is.
 */
#ifndef OTTER_HOST_BLE_LINK_H
#define OTTER_HOST_BLE_LINK_H

#include "host/ble_tree.h"
#include "host/gatt_link.h"
#include "host/target.h"

#define OTTER_BLE_CHARS 48u

struct otter_ble_char {
    char path[OTTER_BLE_PATH];
    int out;          /* AcquireWrite's descriptor, or -1 */
    int in;           /* AcquireNotify's, or -1 */
    bool may_acquire; /* for writing */
    bool may_listen;  /* AcquireNotify */
    bool commands;    /* one was sent since the last request */
};

enum otter_ble_asking {
    OTTER_BLE_IDLE,
    OTTER_BLE_ACQUIRING,
    OTTER_BLE_COMMAND,
    OTTER_BLE_REQUEST,
    OTTER_BLE_BARRIER,
    OTTER_BLE_PAIRING
};

struct otter_ble_link {
    struct otter_ble_bus bus;
    struct otter_gatt_handlers handlers;
    char adapter[OTTER_BLE_PATH];
    char device[OTTER_BLE_PATH]; /* empty: not connected */
    char name[64];
    char known[18]; /* its address, once it was connected; later openings go there */
    char wanted_adapter[16];
    bool forget; /* what bluetoothd remembers of it is not used */
    bool calls;  /* no descriptors */
    struct otter_gatt_found found[OTTER_BLE_CHARS + 1]; /* the last one is the device's name */
    struct otter_ble_char chars[OTTER_BLE_CHARS];
    size_t count; /* of chars */
    uint16_t mtu;
    bool lost;
    bool ours;    /* we connected it, so we disconnect it */
    bool full;    /* a descriptor had no room */
    bool hung_up; /* one has ended */

    /* The one question to bluetoothd that may be under way besides those that wait. */
    enum otter_ble_asking asking;
    sd_bus_slot *slot;
    size_t index; /* of the characteristic it is about */
    bool barrier; /* a read is to be sent when the descriptors are empty */
    /* A question that bluetoothd was too busy for, to be asked again. */
    enum otter_ble_asking again;
    bool request; /* what is in value is a write request */
    bool tried_to_pair;
    uint32_t again_at, busy_since;
    bool was_busy;
    uint16_t len; /* of value */
    uint8_t value[OTTER_GATT_WRITE_MAX];
    char message[320]; /* why it could not be opened, why a call was refused, why it is lost */
};

/* The caller keeps link. Of options counts what says "ble"; it may be NULL. */
struct otter_gatt_link otter_ble_link_init(struct otter_ble_link *link,
                                           const struct otter_gatt_handlers *handlers,
                                           const struct otter_target_options *options,
                                           const volatile sig_atomic_t *cancel);

/* After all: has bluetoothd forget the device that was connected last. */
void otter_ble_link_forget(struct otter_ble_link *link);

#endif
