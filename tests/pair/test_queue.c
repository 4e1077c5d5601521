/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both protocols through the queue that an ESP32 has between its Bluetooth stack and the task that
 * works for the services: a host half, a link with faults, the queue, a device half, a slow flash.
 * A write that finds no room waits, as it does there. OTTER_SEED runs one seed alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "otter/gatt_queue.h"
#include "pair/pair.h"

#define SEEDS 1500u

static struct pair world;

/* The queue mounted in front of the device half. */
static struct {
    struct otter_gatt_queue queue;
    struct otter_gatt_mount inner;
    uint32_t ring[8192 / 4];
    unsigned waits;
} front;

static void no_lock(void *ctx) {}

static enum otter_att on_write(void *service, uint16_t conn, uint8_t id, const uint8_t *data,
                               size_t len)
{
    uint8_t *room = otter_gatt_queue_reserve(&front.queue, len);

    if (room == NULL) {
        front.waits++;
        return OTTER_ATT_HOLD;
    }
    memcpy(room, data, len);
    otter_gatt_queue_commit(&front.queue, conn, 0, id, len);
    return OTTER_ATT_OK;
}

static size_t on_read(void *service, uint8_t id, uint8_t *out, size_t cap)
{
    return otter_gatt_queue_read(&front.queue, 0, id, out, cap);
}

static void on_gone(void *service, uint16_t conn)
{
    otter_gatt_queue_gone(&front.queue, conn);
}

static uint32_t on_poll(void *service, uint32_t now_ms)
{
    bool taken;

    return otter_gatt_queue_run(&front.queue, now_ms, &taken);
}

static void mount_queue(struct pair *p, size_t ring)
{
    static const struct otter_gatt_service_ops ops = {on_write, on_read, on_gone, on_poll};

    front.inner = p->sim.mount;
    const struct otter_gatt_queue_config config = {
        .mounts = &front.inner,
        .count = 1,
        .buf = (uint8_t *)front.ring,
        .buf_size = ring,
        .lock = no_lock,
        .unlock = no_lock,
    };
    assert_int_equal(otter_gatt_queue_init(&front.queue, &config), OTTER_OK);
    p->sim.mount = (struct otter_gatt_mount){front.inner.table, &ops, &front};
}

static uint32_t pick(uint32_t *state, uint32_t n)
{
    *state = (uint32_t)(*state * 1664525ull + 1013904223u);
    return (*state >> 8) % n;
}

/* Everything that can vary, from the seed alone. */
static size_t shape(struct pair *p, enum pair_protocol protocol, uint32_t seed)
{
    static const uint16_t mtus[] = {23, 185, 247, 498, 512, 517};
    uint32_t r = seed * 747796405u + 2891336453u;
    uint32_t harm = pick(&r, 3);

    pair_init(p, protocol, 9 + pick(&r, 6 * 4096), seed);
    p->sim.faults = (struct otter_sim_faults){
        .drop = harm > 0 ? (uint16_t)pick(&r, 24) : 0,
        .duplicate = harm > 1 ? (uint16_t)pick(&r, 40) : 0,
        .swap = harm > 1 ? (uint16_t)pick(&r, 40) : 0,
        .cut_after = pick(&r, 4) == 0 ? 1 + pick(&r, 200) : 0,
    };
    p->sim.latency_us = 1000 + pick(&r, 30000);
    p->sim.up_limit = 1 + pick(&r, 40); /* the simulated link keeps room for confirmations */
    p->sim.down_limit = 1 + pick(&r, 6);
    p->slot.write_us = pick(&r, 5000);
    p->slot.erase_us = pick(&r, 120000);
    p->espble_config.window = (uint8_t)(1 + pick(&r, 4));
    p->espble_host_config.gatt.mtu = mtus[pick(&r, sizeof(mtus) / sizeof(mtus[0]))];
    p->gattota_host_config.gatt.mtu = p->espble_host_config.gatt.mtu;
    uint16_t cccd = pick(&r, 3) == 0 ? OTTER_GATT_CCCD_INDICATE : OTTER_GATT_CCCD_NOTIFY;
    for (int i = 0; i < OTTER_ESPBLE_CHARS; i++) {
        p->sim.cccd[i] = cccd;
    }
    return pick(&r, 2) == 0 ? OTTER_GATT_QUEUE_MIN : 4096;
}

/* What must hold whatever happened; NULL, or what does not. */
static const char *judge(struct pair *p, bool clean)
{
    const struct otter_gatt_status *status = pair_status(p);

    if (status->result == OTTER_OK && status->answered && !pair_new(p)) {
        return "accepted, but the new image does not run";
    }
    if (status->result != OTTER_OK && !pair_old(p)) {
        return "failed, but the old image does not run";
    }
    if (!pair_new(p) && !pair_old(p)) {
        return "neither image runs";
    }
    return clean && !pair_new(p) ? "nothing went wrong, and it failed" : NULL;
}

static void run(enum pair_protocol protocol, uint32_t seed)
{
    size_t ring = shape(&world, protocol, seed);
    const struct otter_sim_faults *f = &world.sim.faults;
    bool clean = f->drop == 0 && f->duplicate == 0 && f->swap == 0 && f->cut_after == 0;

    pair_boot(&world);
    mount_queue(&world, ring);
    pair_connect_host(&world);
    pair_update(&world);
    const char *wrong = judge(&world, clean);
    pair_free(&world);
    if (wrong != NULL) {
        fail_msg("OTTER_SEED=%u protocol %d: %s", (unsigned)seed, (int)protocol, wrong);
    }
}

static void run_seeds(enum pair_protocol protocol)
{
    const char *one = getenv("OTTER_SEED");
    uint32_t first = one != NULL ? (uint32_t)strtoul(one, NULL, 10) : 1;
    uint32_t last = one != NULL ? first : SEEDS;

    front.waits = 0;
    for (uint32_t seed = first; seed <= last; seed++) {
        run(protocol, seed);
    }
}

static void B15_espble_behind_the_queue(void **state)
{
    run_seeds(PAIR_ESPBLE);
}

/* Write commands with a barrier now and then: here the queue does run full. */
static void B15_gattota_behind_the_queue(void **state)
{
    run_seeds(PAIR_GATTOTA);
    assert_true(front.waits > 0 || getenv("OTTER_SEED") != NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(B15_espble_behind_the_queue),
        cmocka_unit_test(B15_gattota_behind_the_queue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
