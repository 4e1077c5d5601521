/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GATT over nothing, in virtual time: one service (a device half) and one client (a host half, or
 * a test) joined by two queues, with whatever goes wrong between them. The same seed gives the
 * same run, to the microsecond.
 *
 *   client --write--> [ up queue ]   --> service.write, held at its head while it says HOLD
 *   client <--------- [ down queue ] <-- service sends, responses
 */
#ifndef OTTER_PORT_GATT_SIM_H
#define OTTER_PORT_GATT_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "otter/gatt.h"

#define OTTER_SIM_QUEUE 64u /* PDUs each way at most */
#define OTTER_SIM_CHARS 8u

/* What goes wrong, each in 1024ths of the PDUs it can happen to. ATT requests, their responses
 * and indications are never dropped: on a real link their loss is the link's. */
struct otter_sim_faults {
    uint16_t drop;
    uint16_t duplicate;
    uint16_t swap;  /* with the one before, if that is still under way */
    uint16_t delay; /* by up to delay_us; what follows waits behind it */
    uint32_t delay_us;
    uint32_t cut_after; /* the link is lost after so many PDUs both ways; 0: never */
};

struct otter_sim_pdu {
    uint64_t due_us;
    uint16_t len;
    uint8_t kind;
    uint8_t id;
    uint8_t att;
    uint8_t data[OTTER_GATT_WRITE_MAX];
};

struct otter_sim_queue {
    struct otter_sim_pdu pdu[OTTER_SIM_QUEUE];
    unsigned head;
    unsigned count;
    uint64_t last_due_us;
};

struct otter_gatt_sim {
    /* set by the caller before connecting */
    struct otter_gatt_mount mount;
    struct otter_gatt_updater updater; /* or updater.ops NULL: see on_value */
    struct otter_sim_faults faults;
    uint32_t seed;       /* not 0 */
    uint32_t latency_us; /* each way; 0: 15,000 */
    unsigned up_limit;   /* PDUs under way, 1..OTTER_SIM_QUEUE; 0: OTTER_SIM_QUEUE */
    unsigned down_limit;
    uint16_t cccd[OTTER_SIM_CHARS]; /* what the client subscribed to */
    /* When a PDU of len bytes given at now_us arrives; NULL: after latency_us. */
    uint64_t (*air)(void *ctx, bool up, size_t len, uint64_t now_us);
    void *air_ctx;
    /* A client that is a test: what it is told. May be NULL. */
    void (*on_value)(void *ctx, uint8_t id, const uint8_t *data, size_t len);
    void (*on_response)(void *ctx, uint8_t att);
    void *client_ctx;

    /* kept here */
    uint64_t now_us;
    uint64_t busy_until_us; /* the device's processor: see otter_gatt_sim_work() */
    uint64_t service_due_us;
    uint64_t updater_due_us;
    uint64_t att_due_us; /* when the client gives an unanswered request up */
    uint16_t conn;
    bool connected;
    bool indicating;    /* an indication waits for its confirmation */
    bool held;          /* the head of the up queue was not taken */
    uint32_t carried;   /* PDUs so far */
    uint32_t most_held; /* the up queue at its fullest */
    struct otter_sim_queue up;
    struct otter_sim_queue down;
};

/* Joins both ends as connection conn. The CCCDs stay as they were set. */
void otter_gatt_sim_connect(struct otter_gatt_sim *sim, uint16_t conn);

/* The link is gone: both ends are told, nothing under way arrives. */
void otter_gatt_sim_cut(struct otter_gatt_sim *sim);

/* For the halves' configs. */
struct otter_gatt_server otter_gatt_sim_server(struct otter_gatt_sim *sim);
struct otter_gatt_client otter_gatt_sim_client(struct otter_gatt_sim *sim);

/* The device's processor is busy for us, beginning now: for sinks that model a slow flash. */
void otter_gatt_sim_work(struct otter_gatt_sim *sim, uint64_t us);

/* Lets the next thing happen. False when nothing is due before limit_us (virtual time is then
 * limit_us), or ever. */
bool otter_gatt_sim_step(struct otter_gatt_sim *sim, uint64_t limit_us);

#endif
