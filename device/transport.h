/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A way for updates to come in: one file, one row of the table in device/transports.c. The row's
 * option on the command line brings it into being; it is up while the device offers its services,
 * and down while the device restarts.
 *
 * All transports share device->update. Each has handles of its own (struct otter_update_transport)
 * so that one update at a time is one across all of them.
 */
#ifndef OTTER_DEVICE_TRANSPORT_H
#define OTTER_DEVICE_TRANSPORT_H

#include <poll.h>
#include <stddef.h>

#include "device/device.h"

struct transport_type {
    const char *option;   /* "att": --att */
    const char *argument; /* "PATH" */
    const char *help;     /* one line */

    /* Once, at the program's start. On failure says why with device_error() and returns NULL. */
    void *(*create)(struct device *device, const char *argument);
    /* The device has booted: offer the service. False: it cannot, and has said why. */
    bool (*up)(void *transport);
    /* Descriptors to wait for, at most max; returns how many. Only while up. */
    size_t (*fds)(void *transport, struct pollfd *fds, size_t max);
    /* Events on them (as poll() left them) and the passing of time: does one bounded step and
     * returns in how many ms it wants to be called again, OTTER_GATT_NEVER: after an event. */
    uint32_t (*run)(void *transport, const struct pollfd *fds, size_t count, uint32_t now_ms);
    /* True while the outside is still to be told what became of an update: --once waits for that.
     * NULL: never. */
    bool (*owes)(void *transport);
    /* The device restarts: close every link at once. */
    void (*down)(void *transport);
    void (*destroy)(void *transport);
};

/* One in use. */
struct transport {
    const struct transport_type *type;
    void *self;
    struct transport *next;
};

/* The i-th type, or NULL past the last. */
const struct transport_type *transport_type_at(size_t i);

#endif
