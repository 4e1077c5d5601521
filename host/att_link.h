/* SPDX-License-Identifier: Apache-2.0 */
/* A GATT link over a Unix socket. Its address is the socket's path. */
#ifndef OTTER_HOST_ATT_LINK_H
#define OTTER_HOST_ATT_LINK_H

#include <signal.h>

#include "host/att_client.h"
#include "host/att_socket.h"
#include "host/gatt_link.h"

struct otter_att_link {
    struct otter_att_socket socket;
    struct otter_att_client client;
    struct otter_att_profile profile;
    struct otter_gatt_handlers handlers;
    const volatile sig_atomic_t *cancel; /* may be NULL */
    bool pending;                        /* a request of ours, and not a write() of the caller */
    otter_err answer;                    /* of that request */
    char message[256];
};

/* The caller keeps link; cancel as in struct otter_target_observer. */
struct otter_gatt_link otter_att_link_init(struct otter_att_link *link,
                                           const struct otter_gatt_handlers *handlers,
                                           const volatile sig_atomic_t *cancel);

#endif
