/* SPDX-License-Identifier: Apache-2.0 */
#include "port/sim/gatt_sim.h"

#include <string.h>

#define NEVER_US UINT64_MAX
#define LATENCY_US 15000u
#define ATT_TIMEOUT_US 30000000u /* Core specification, Vol 3, Part F, 3.3.3 */

enum kind { COMMAND, REQUEST, RESPONSE, NOTIFICATION, INDICATION, CONFIRMATION };

static uint32_t next_random(struct otter_gatt_sim *sim)
{
    sim->seed ^= sim->seed << 13;
    sim->seed ^= sim->seed >> 17;
    sim->seed ^= sim->seed << 5;
    return sim->seed;
}

static bool happens(struct otter_gatt_sim *sim, uint16_t of_1024)
{
    return of_1024 > 0 && (next_random(sim) >> 8) % 1024 < of_1024;
}

static struct otter_sim_pdu *at(struct otter_sim_queue *q, unsigned i)
{
    return &q->pdu[(q->head + i) % OTTER_SIM_QUEUE];
}

static unsigned limit_of(unsigned limit)
{
    return limit > 0 && limit < OTTER_SIM_QUEUE ? limit : OTTER_SIM_QUEUE;
}

/* Commands and notifications are what a stack may lose, repeat or reorder. */
static bool may_suffer(const struct otter_sim_pdu *pdu)
{
    return pdu->kind == COMMAND || pdu->kind == NOTIFICATION;
}

static void swap_with_previous(struct otter_sim_queue *q)
{
    struct otter_sim_pdu *last = at(q, q->count - 1), *before = at(q, q->count - 2);
    struct otter_sim_pdu copy = *before;
    uint64_t due_us = last->due_us;

    *before = *last;
    before->due_us = copy.due_us;
    *last = copy;
    last->due_us = due_us;
}

static void put(struct otter_gatt_sim *sim, struct otter_sim_queue *q,
                const struct otter_sim_pdu *pdu)
{
    uint64_t due_us = sim->air != NULL
                          ? sim->air(sim->air_ctx, q == &sim->up, pdu->len, sim->now_us)
                          : sim->now_us + (sim->latency_us > 0 ? sim->latency_us : LATENCY_US);

    if (q->count == OTTER_SIM_QUEUE) {
        return;
    }
    if (may_suffer(pdu) && happens(sim, sim->faults.delay)) {
        due_us += next_random(sim) % (sim->faults.delay_us + 1);
    }
    q->last_due_us = due_us > q->last_due_us ? due_us : q->last_due_us;
    *at(q, q->count) = *pdu;
    at(q, q->count++)->due_us = q->last_due_us;
}

static void carry(struct otter_gatt_sim *sim, struct otter_sim_queue *q,
                  const struct otter_sim_pdu *pdu)
{
    sim->carried++;
    if (may_suffer(pdu) && happens(sim, sim->faults.drop)) {
        return;
    }
    put(sim, q, pdu);
    if (may_suffer(pdu) && happens(sim, sim->faults.duplicate)) {
        put(sim, q, pdu);
    }
    if (q->count >= 2 && may_suffer(pdu) && may_suffer(at(q, q->count - 2)) &&
        !(q == &sim->up && sim->held && q->count == 2) && happens(sim, sim->faults.swap)) {
        swap_with_previous(q);
    }
    if (q == &sim->up && q->count > sim->most_held) {
        sim->most_held = q->count;
    }
}

static void drop_head(struct otter_sim_queue *q)
{
    q->head = (q->head + 1) % OTTER_SIM_QUEUE;
    q->count--;
}

/* ---- the device's side --------------------------------------------------------------------- */

static otter_err server_send(void *ctx, uint16_t conn, const struct otter_gatt_char *chr,
                             const uint8_t *data, size_t len)
{
    struct otter_gatt_sim *sim = ctx;
    uint16_t cccd = sim->cccd[chr->id];

    if (!sim->connected || conn != sim->conn || cccd == OTTER_GATT_CCCD_NONE) {
        return OTTER_OK;
    }
    bool indicate = (cccd & OTTER_GATT_CCCD_NOTIFY) == 0;
    if (sim->down.count >= limit_of(sim->down_limit) || (indicate && sim->indicating)) {
        return OTTER_ERR_AGAIN;
    }
    struct otter_sim_pdu pdu = {
        .kind = indicate ? INDICATION : NOTIFICATION,
        .id = chr->id,
        .len = (uint16_t)len,
    };
    memcpy(pdu.data, data, len);
    sim->indicating |= indicate;
    carry(sim, &sim->down, &pdu);
    return OTTER_OK;
}

static void deliver_up(struct otter_gatt_sim *sim)
{
    struct otter_sim_pdu *pdu = at(&sim->up, 0);
    struct otter_sim_pdu response = {.kind = RESPONSE};

    if (pdu->kind == CONFIRMATION) {
        sim->indicating = false;
    } else {
        enum otter_att att =
            sim->mount.ops->write(sim->mount.service, sim->conn, pdu->id, pdu->data, pdu->len);
        sim->held = att == OTTER_ATT_HOLD;
        response.att = (uint8_t)att;
    }
    if (sim->held) {
        return; /* until the service was polled */
    }
    sim->service_due_us = sim->now_us;
    bool request = pdu->kind == REQUEST;
    drop_head(&sim->up);
    sim->updater_due_us = sim->now_us;
    if (request) {
        carry(sim, &sim->down, &response);
    }
}

static void poll_service(struct otter_gatt_sim *sim)
{
    sim->service_due_us = NEVER_US; /* work may set it */
    uint64_t began_us = sim->now_us;
    uint32_t wait_ms = sim->mount.ops->poll(sim->mount.service, (uint32_t)(sim->now_us / 1000));
    uint64_t due_us = wait_ms == OTTER_GATT_NEVER ? NEVER_US : began_us + (uint64_t)wait_ms * 1000;

    sim->service_due_us = due_us > sim->busy_until_us ? due_us : sim->busy_until_us;
    sim->held = false; /* offered again */
}

void otter_gatt_sim_work(struct otter_gatt_sim *sim, uint64_t us)
{
    uint64_t from_us = sim->busy_until_us > sim->now_us ? sim->busy_until_us : sim->now_us;

    sim->busy_until_us = from_us + us;
}

/* ---- the client's side --------------------------------------------------------------------- */

static otter_err client_write(void *ctx, uint8_t id, bool request, const uint8_t *data, size_t len)
{
    struct otter_gatt_sim *sim = ctx;
    struct otter_sim_pdu pdu = {
        .kind = request ? REQUEST : COMMAND,
        .id = id,
        .len = (uint16_t)len,
    };

    if (!sim->connected || len > sizeof pdu.data) {
        return OTTER_ERR_LINK;
    }
    if (sim->up.count >= limit_of(sim->up_limit)) {
        return OTTER_ERR_AGAIN;
    }
    memcpy(pdu.data, data, len);
    if (request) {
        sim->att_due_us = sim->now_us + ATT_TIMEOUT_US;
    }
    carry(sim, &sim->up, &pdu);
    return OTTER_OK;
}

static void deliver_down(struct otter_gatt_sim *sim)
{
    struct otter_sim_pdu pdu = *at(&sim->down, 0);
    const struct otter_gatt_updater *u = &sim->updater;

    drop_head(&sim->down);
    sim->service_due_us = sim->now_us;
    sim->updater_due_us = sim->now_us;
    if (pdu.kind == RESPONSE) {
        sim->att_due_us = NEVER_US;
        if (u->ops != NULL) {
            u->ops->written(u->updater, pdu.att);
        } else if (sim->on_response != NULL) {
            sim->on_response(sim->client_ctx, pdu.att);
        }
        return;
    }
    if (pdu.kind == INDICATION) {
        struct otter_sim_pdu confirmation = {.kind = CONFIRMATION};
        carry(sim, &sim->up, &confirmation);
    }
    if (u->ops != NULL) {
        u->ops->received(u->updater, pdu.id, pdu.data, pdu.len);
    } else if (sim->on_value != NULL) {
        sim->on_value(sim->client_ctx, pdu.id, pdu.data, pdu.len);
    }
}

static void poll_updater(struct otter_gatt_sim *sim)
{
    const struct otter_gatt_updater *u = &sim->updater;

    sim->updater_due_us = NEVER_US;
    if (u->ops == NULL) {
        return;
    }
    uint32_t wait_ms = u->ops->poll(u->updater, (uint32_t)(sim->now_us / 1000));
    if (wait_ms != OTTER_GATT_NEVER) {
        sim->updater_due_us = sim->now_us + (uint64_t)wait_ms * 1000;
    }
}

/* ---- time ---------------------------------------------------------------------------------- */

static uint64_t min_us(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max_us(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

bool otter_gatt_sim_step(struct otter_gatt_sim *sim, uint64_t limit_us)
{
    if (sim->faults.cut_after > 0 && sim->carried >= sim->faults.cut_after && sim->connected) {
        otter_gatt_sim_cut(sim);
        return true;
    }
    uint64_t up_us = sim->up.count > 0 && !sim->held
                         ? max_us(at(&sim->up, 0)->due_us, sim->busy_until_us)
                         : NEVER_US;
    uint64_t down_us = sim->down.count > 0 ? at(&sim->down, 0)->due_us : NEVER_US;
    uint64_t service_us = sim->service_due_us == NEVER_US
                              ? NEVER_US
                              : max_us(sim->service_due_us, sim->busy_until_us);
    uint64_t next_us = min_us(min_us(up_us, down_us),
                              min_us(min_us(service_us, sim->updater_due_us), sim->att_due_us));

    if (next_us == NEVER_US || next_us > limit_us) {
        sim->now_us = max_us(sim->now_us, limit_us);
        return false;
    }
    sim->now_us = max_us(sim->now_us, next_us);
    if (next_us == down_us) {
        deliver_down(sim);
    } else if (next_us == sim->updater_due_us) {
        poll_updater(sim);
    } else if (next_us == up_us) {
        deliver_up(sim);
    } else if (next_us == service_us) {
        poll_service(sim);
    } else {
        otter_gatt_sim_cut(sim); /* the client gives up a link that does not answer */
    }
    return true;
}

static void clear(struct otter_sim_queue *q)
{
    q->head = 0;
    q->count = 0;
    q->last_due_us = 0;
}

void otter_gatt_sim_connect(struct otter_gatt_sim *sim, uint16_t conn)
{
    clear(&sim->up);
    clear(&sim->down);
    sim->conn = conn;
    sim->connected = true;
    sim->indicating = false;
    sim->held = false;
    sim->carried = 0;
    sim->att_due_us = NEVER_US;
    sim->service_due_us = sim->now_us;
    sim->updater_due_us = sim->now_us;
}

void otter_gatt_sim_cut(struct otter_gatt_sim *sim)
{
    if (!sim->connected) {
        return;
    }
    clear(&sim->up);
    clear(&sim->down);
    sim->connected = false;
    sim->held = false;
    sim->att_due_us = NEVER_US;
    sim->mount.ops->disconnected(sim->mount.service, sim->conn);
    if (sim->updater.ops != NULL) {
        sim->updater.ops->lost(sim->updater.updater);
    }
    sim->service_due_us = sim->now_us;
    sim->updater_due_us = sim->now_us;
}

struct otter_gatt_server otter_gatt_sim_server(struct otter_gatt_sim *sim)
{
    return (struct otter_gatt_server){server_send, sim};
}

struct otter_gatt_client otter_gatt_sim_client(struct otter_gatt_sim *sim)
{
    return (struct otter_gatt_client){client_write, sim};
}
