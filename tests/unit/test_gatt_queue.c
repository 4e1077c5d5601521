/* SPDX-License-Identifier: Apache-2.0 */
/* src/proto/gatt/queue: writes between two threads, in order, bounded, none lost. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "otter/gatt_queue.h"

#define RING 1280u

static const struct otter_gatt_char chars[] = {
    {.props = OTTER_GATT_WRITE, .id = 0},
    {.props = OTTER_GATT_READ, .id = 1},
};
static const struct otter_gatt_service table = {.chars = chars, .count = 2};

/* A service that takes note of what it is given. */
struct service {
    uint8_t bytes[1 << 20];
    size_t len;
    uint16_t gone[64];
    unsigned gone_count;
    unsigned polls;
    bool hold;
    uint32_t wait;
};

struct fixture {
    struct otter_gatt_queue queue;
    struct otter_gatt_mount mount[2];
    struct service service[2];
    pthread_mutex_t mutex;
    uint32_t ring[RING / 4];
};

static enum otter_att on_write(void *service, uint16_t conn, uint8_t id, const uint8_t *data,
                               size_t len)
{
    struct service *s = service;

    if (s->hold) {
        return OTTER_ATT_HOLD;
    }
    memcpy(s->bytes + s->len, data, len);
    s->len += len;
    return OTTER_ATT_OK;
}

static size_t on_read(void *service, uint8_t id, uint8_t *out, size_t cap)
{
    struct service *s = service;

    assert_int_equal(id, 1);
    assert_true(cap >= 2);
    out[0] = (uint8_t)s->len;
    out[1] = 7;
    return 2;
}

static void on_gone(void *service, uint16_t conn)
{
    struct service *s = service;

    s->gone[s->gone_count++] = conn;
}

static uint32_t on_poll(void *service, uint32_t now)
{
    struct service *s = service;

    s->polls++;
    return s->wait;
}

static void lock(void *ctx)
{
    struct fixture *f = ctx;

    pthread_mutex_lock(&f->mutex);
}

static void unlock(void *ctx)
{
    struct fixture *f = ctx;

    pthread_mutex_unlock(&f->mutex);
}

static int setup(void **state)
{
    static const struct otter_gatt_service_ops ops = {on_write, on_read, on_gone, on_poll};
    struct fixture *f = calloc(1, sizeof(*f));

    pthread_mutex_init(&f->mutex, NULL);
    for (int i = 0; i < 2; i++) {
        f->service[i].wait = OTTER_GATT_NEVER;
        f->mount[i] =
            (struct otter_gatt_mount){.table = &table, .ops = &ops, .service = &f->service[i]};
    }
    struct otter_gatt_queue_config config = {.mounts = f->mount,
                                             .count = 2,
                                             .buf = (uint8_t *)f->ring,
                                             .buf_size = RING,
                                             .lock = lock,
                                             .unlock = unlock,
                                             .ctx = f};
    assert_int_equal(otter_gatt_queue_init(&f->queue, &config), OTTER_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    pthread_mutex_destroy(&f->mutex);
    free(f);
    return 0;
}

static bool put(struct fixture *f, uint16_t conn, uint8_t mount, const void *data, size_t len)
{
    uint8_t *room = otter_gatt_queue_reserve(&f->queue, len);

    if (room == NULL) {
        return false;
    }
    memcpy(room, data, len);
    otter_gatt_queue_commit(&f->queue, conn, mount, 0, len);
    return true;
}

static uint32_t run(struct fixture *f, bool taken)
{
    bool was;
    uint32_t wait = otter_gatt_queue_run(&f->queue, 0, &was);

    assert_int_equal(was, taken);
    return wait;
}

static void hands_over_in_order(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(run(f, false), OTTER_GATT_NEVER);
    assert_true(put(f, 1, 0, "abc", 3));
    assert_true(put(f, 2, 1, "", 0));
    assert_true(put(f, 1, 0, "defgh", 5));
    otter_gatt_queue_gone(&f->queue, 1);
    assert_int_equal(run(f, true), 0);
    assert_int_equal(run(f, true), 0);
    assert_int_equal(run(f, true), 0);
    assert_int_equal(f->service[0].gone_count, 0);
    assert_int_equal(run(f, true), 0);
    assert_int_equal(run(f, false), OTTER_GATT_NEVER);
    assert_int_equal(f->service[0].len, 8);
    assert_memory_equal(f->service[0].bytes, "abcdefgh", 8);
    for (int i = 0; i < 2; i++) { /* every service hears of it */
        assert_int_equal(f->service[i].gone_count, 1);
        assert_int_equal(f->service[i].gone[0], 1);
    }
    f->service[1].wait = 30;
    f->service[0].wait = 50;
    assert_int_equal(run(f, false), 30);
}

static void values_are_read_without_the_service(void **state)
{
    struct fixture *f = *state;
    uint8_t out[4];

    assert_int_equal(otter_gatt_queue_read(&f->queue, 0, 1, out, 4), 0);
    assert_true(put(f, 1, 0, "abc", 3));
    run(f, true);
    assert_int_equal(otter_gatt_queue_read(&f->queue, 0, 1, out, 4), 2);
    assert_memory_equal(out, "\x03\x07", 2);
    assert_int_equal(otter_gatt_queue_read(&f->queue, 0, 1, out, 1), 1);
    assert_int_equal(otter_gatt_queue_read(&f->queue, 9, 1, out, 4), 0);
    assert_int_equal(otter_gatt_queue_read(&f->queue, 0, 9, out, 4), 0);
}

/* B15: memory is bounded, and nothing that was taken is lost. */
static void B15_full_and_held(void **state)
{
    struct fixture *f = *state;
    uint8_t value[OTTER_GATT_WRITE_MAX + 1];
    unsigned taken = 0;

    memset(value, 'x', sizeof(value));
    assert_null(otter_gatt_queue_reserve(&f->queue, sizeof(value)));
    f->service[0].hold = true;
    while (put(f, 1, 0, value, 100)) {
        taken++;
    }
    assert_in_range(taken, 9, 11);
    assert_int_equal(run(f, false), 20); /* and again soon */
    assert_int_equal(f->service[0].len, 0);
    for (uint16_t i = 0; i < OTTER_GATT_QUEUE_CONNECTIONS; i++) {
        otter_gatt_queue_gone(&f->queue, (uint16_t)(100 + i)); /* fits even now */
    }
    f->service[0].hold = false;
    while (taken-- > 0) {
        assert_int_equal(run(f, true), 0);
    }
    for (unsigned i = 0; i < OTTER_GATT_QUEUE_CONNECTIONS; i++) {
        run(f, true);
        assert_int_equal(f->service[0].gone[i], 100 + i);
    }
    run(f, false);
}

/* A held write of a link that is gone does not hold up the others. */
static void B07_held_and_gone(void **state)
{
    struct fixture *f = *state;

    f->service[0].hold = true;
    assert_true(put(f, 1, 0, "a", 1));
    assert_true(put(f, 2, 1, "b", 1));
    run(f, false);
    otter_gatt_queue_gone(&f->queue, 2);
    run(f, false);
    otter_gatt_queue_gone(&f->queue, 1);
    run(f, true);
    run(f, true);
    assert_int_equal(f->service[0].len, 0);
    assert_memory_equal(f->service[1].bytes, "b", 1);
    run(f, true);
    run(f, true);
    assert_int_equal(f->service[0].gone[0], 2);
    assert_int_equal(f->service[0].gone[1], 1);
}

/* Every length at every place of the ring. */
static void wraps_anywhere(void **state)
{
    struct fixture *f = *state;
    uint8_t value[OTTER_GATT_WRITE_MAX];
    size_t sent = 0;
    uint32_t r = 1;

    for (int i = 0; i < 4000; i++) {
        r = r * 1664525u + 1013904223u;
        size_t len = (r >> 16) % (i % 2 == 0 ? sizeof(value) + 1 : 40);
        for (size_t k = 0; k < len; k++) {
            value[k] = (uint8_t)((sent + k) * 7);
        }
        while (!put(f, 1, 0, value, len)) {
            run(f, true);
        }
        sent += len;
    }
    while (f->queue.fill > 0) {
        bool taken;
        (void)otter_gatt_queue_run(&f->queue, 0, &taken);
    }
    assert_int_equal(f->service[0].len, sent);
    for (size_t k = 0; k < sent; k++) {
        assert_int_equal(f->service[0].bytes[k], (uint8_t)(k * 7));
    }
}

static void *producer(void *arg)
{
    struct fixture *f = arg;
    uint8_t value[200];
    size_t sent = 0;

    for (int i = 0; i < 5000; i++) {
        size_t len = (size_t)i % sizeof(value);
        for (size_t k = 0; k < len; k++) {
            value[k] = (uint8_t)(sent + k);
        }
        while (!put(f, 1, 0, value, len)) {
            sched_yield();
        }
        sent += len;
    }
    otter_gatt_queue_gone(&f->queue, 1);
    return NULL;
}

static void two_threads(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, producer, f), 0);
    while (f->service[0].gone_count == 0) {
        bool taken;
        if (otter_gatt_queue_run(&f->queue, 0, &taken) != 0) {
            sched_yield();
        }
    }
    pthread_join(thread, NULL);
    assert_int_equal(f->service[0].len, 5000 / 200 * (199 * 200 / 2));
    for (size_t k = 0; k < f->service[0].len; k++) {
        assert_int_equal(f->service[0].bytes[k], (uint8_t)k);
    }
}

static void refuses_what_it_cannot_work_with(void **state)
{
    struct fixture *f = *state;
    struct otter_gatt_queue_config good = f->queue.config;

    for (int i = 0; i < 7; i++) {
        struct otter_gatt_queue_config c = good;
        c.mounts = i == 0 ? NULL : c.mounts;
        c.count = i == 1 ? 0 : i == 2 ? OTTER_GATT_QUEUE_MOUNTS + 1 : c.count;
        c.buf = i == 3 ? c.buf + 1 : c.buf;
        c.buf_size = i == 4 ? OTTER_GATT_QUEUE_MIN - 4 : i == 5 ? RING + 2 : c.buf_size;
        c.lock = i == 6 ? NULL : c.lock;
        assert_int_equal(otter_gatt_queue_init(&f->queue, &c), OTTER_ERR_ARG);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(hands_over_in_order),
        CASE(values_are_read_without_the_service),
        CASE(B15_full_and_held),
        CASE(B07_held_and_gone),
        CASE(wraps_anywhere),
        CASE(two_threads),
        CASE(refuses_what_it_cannot_work_with),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
