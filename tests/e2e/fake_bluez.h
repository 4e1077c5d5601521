/* SPDX-License-Identifier: Apache-2.0 */
/* What the two files of the fake bluetoothd share: fake_bluez.c (adapter, devices), fake_gatt.c. */
#ifndef OTTER_TESTS_FAKE_BLUEZ_H
#define OTTER_TESTS_FAKE_BLUEZ_H

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "host/att_link.h"

#define DEVICES_MAX 4
#define CHARS_MAX 48

struct fake_device {
    char path[64];
    const char *address, *name, *socket; /* of its otter-device --att */
    bool gattota, espble;                /* advertised */
    bool shy;                            /* does not call itself discoverable */
    bool heard, connected, paired;
};

struct fake_char {
    size_t index; /* in what the link found */
    char path[128], service[96];
    int in, out; /* our ends of AcquireNotify's and AcquireWrite's descriptors, or -1 */
    bool notifying;
    sd_bus_slot *slot;
};

struct fake {
    sd_bus *bus;
    const char *powered; /* "on", "off", "none" */
    bool no_le;
    bool old;           /* tells no MTU, knows no pattern */
    bool pattern;       /* of the search: the shy ones are told of, too */
    bool calls;         /* gives out no descriptors */
    bool pairing;       /* writing and listening need it */
    bool write_pairing; /* writing alone */
    const char *fails[8];
    size_t fail_count;
    struct fake_device devices[DEVICES_MAX];
    size_t device_count;

    struct fake_device *peer; /* connected; NULL: none */
    struct otter_att_link att;
    struct otter_gatt_link link;
    struct fake_char chars[CHARS_MAX];
    sd_bus_slot *services[CHARS_MAX];
    size_t count, service_count;
    bool waiting; /* for the answer to a write */
    uint8_t answer;
};

extern struct fake fake;

/* Logs a call. Not 0: it has been answered with the failure asked for. */
int fake_call(sd_bus_message *m);

/* fake_gatt.c: opens a link to the device and shows its services. False: not reached. */
bool fake_gatt_open(struct fake_device *device);
void fake_gatt_close(void);
/* Passes on what there is; false when the link is gone. */
bool fake_gatt_step(void);

#endif
