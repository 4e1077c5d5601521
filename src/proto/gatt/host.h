/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host halves of the GATT protocols do alike: writes, one request at a time; a deadline;
 * running a state table until the update is over. A host half begins with a struct
 * otter_gatt_host, so that a pointer to one is a pointer to the other.
 */
#ifndef OTTER_PROTO_GATT_HOST_H
#define OTTER_PROTO_GATT_HOST_H

#include "base/fsm.h"
#include "otter/gatt.h"

#define GATT_PACKET_MIN (OTTER_GATT_MTU_MIN - 3)

/* X(event, what it is). The list of a protocol's events begins with these. */
#define GATT_HOST_EVENTS(X)                                                                        \
    X(STEP, "poll: send what can be sent")                                                         \
    X(ATT_ERROR, "a write request was refused")                                                    \
    X(TIMEOUT, "what is awaited did not come")                                                     \
    X(LOST, "the link is gone")                                                                    \
    X(CANCEL, "the user gives up")

/* A protocol's table. An action that returns OTTER_ERR_AGAIN leaves the state as it is. */
struct otter_gatt_host_kind {
    struct otter_fsm fsm;
    uint8_t done; /* the state in which the result is final */
};

/* Fills in all of *host. retries: where config has none. */
void otter_gatt_host_init(struct otter_gatt_host *host, const struct otter_gatt_host_kind *kind,
                          const struct otter_gatt_host_config *config, uint8_t retries,
                          const struct otter_source *source);

/* A deadline ms from the next poll, which knows the time. */
void otter_gatt_host_arm(struct otter_gatt_host *host, uint32_t ms);

/* OTTER_ERR_AGAIN: no room in the link, or a request while another is not answered yet. */
OTTER_CHECKED otter_err otter_gatt_host_send(struct otter_gatt_host *host, uint8_t id, bool request,
                                             const uint8_t *data, size_t len);

/* false: that was the last one. */
bool otter_gatt_host_try(struct otter_gatt_host *host);

/* Runs the row of the table for an event. */
void otter_gatt_host_event(struct otter_gatt_host *host, uint8_t event, void *arg);

/* Of struct otter_gatt_updater_ops; the updater is the host half. */
uint32_t otter_gatt_host_poll(void *host, uint32_t now_ms);
void otter_gatt_host_written(void *host, uint8_t att);
void otter_gatt_host_lost(void *host);
void otter_gatt_host_cancel(void *host);

/* Actions of several rows. */
otter_err gatt_att_error(void *host, void *att);
otter_err gatt_timed_out(void *host, void *arg);
otter_err gatt_lost(void *host, void *arg);
otter_err gatt_cancelled(void *host, void *arg);

#endif
