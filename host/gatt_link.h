/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A GATT connection from a host to one device, as an update needs it: ATT over a socket
 * (host/att_link.c), BlueZ. host/gatt_update.c does everything above it, for all of them.
 *
 * Calls marked "waits" block until they are done, time is over, the link is lost, or the user
 * asks to stop (OTTER_ERR_CANCELLED). What comes from the device
 * meanwhile goes to the handlers, which must not call the link.
 */
#ifndef OTTER_HOST_GATT_LINK_H
#define OTTER_HOST_GATT_LINK_H

#include "otter/gatt.h"

struct otter_gatt_handlers {
    /* A notification or indication of characteristic `index` of found. */
    void (*received)(void *ctx, size_t index, const uint8_t *data, size_t len);
    /* The write request that was taken last is answered: OTTER_ATT_OK or the error. */
    void (*written)(void *ctx, uint8_t att);
    void *ctx;
};

struct otter_gatt_link_ops {
    /* Waits. Connects, exchanges the MTU (at most mtu bytes) and finds services. On failure a
     * sentence is in link->message and the link is closed. OTTER_ERR_ARG: the address makes no
     * sense. */
    otter_err (*open)(void *link, const char *address, uint16_t mtu, uint32_t timeout_ms);
    /* What the device offers: valid until close(). Indices of it name characteristics below. */
    size_t (*found)(void *link, const struct otter_gatt_found **found);
    uint16_t (*mtu)(void *link);
    /* Waits. The whole value. */
    otter_err (*read)(void *link, size_t index, uint8_t *value, size_t cap, size_t *len);
    /* Waits. */
    otter_err (*subscribe)(void *link, size_t index, uint16_t cccd);
    /* Hands one write to the link. OTTER_ERR_AGAIN: no room now; wait(). */
    otter_err (*write)(void *link, size_t index, bool request, const uint8_t *data, size_t len);
    /* Waits until something happened (also room for writing after OTTER_ERR_AGAIN, and a signal),
     * at most timeout_ms, and perhaps for less. OTTER_ERR_LINK once the link is lost. */
    otter_err (*wait)(void *link, uint32_t timeout_ms);
    void (*close)(void *link); /* harmless when closed */
};

struct otter_gatt_link {
    const struct otter_gatt_link_ops *ops;
    void *link;
    char *message; /* why open() failed, one sentence; lives in link */
};

#endif
