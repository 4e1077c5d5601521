/* SPDX-License-Identifier: Apache-2.0 */
/* src/core/health: when a new image is confirmed, and when it is rolled back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "otter/health.h"
#include "unit/ram_slots.h"

struct fixture {
    struct ram_slots slots;
    struct otter_health health;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    ram_slots_init(&f->slots);
    f->slots.boot = OTTER_BOOT_PENDING;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static otter_err begin(struct fixture *f, bool check, bool path, uint32_t deadline_ms)
{
    struct otter_health_config config = {
        .slots = ram_slots_table(&f->slots),
        .need_check = check,
        .need_path = path,
        .deadline_ms = deadline_ms,
    };

    assert_int_equal(otter_health_init(&f->health, &config), OTTER_OK);
    return otter_health_start(&f->health, 1000);
}

static enum otter_health_state poll_at(struct fixture *f, uint32_t now, uint32_t wait)
{
    uint32_t said;
    enum otter_health_state state = otter_health_poll(&f->health, now, &said);

    assert_int_equal(said, wait);
    return state;
}

static void nothing_pending_nothing_done(void **state)
{
    struct fixture *f = *state;

    f->slots.boot = OTTER_BOOT_CONFIRMED;
    assert_int_equal(begin(f, true, true, 1000), OTTER_OK);
    assert_int_equal(otter_health_check(&f->health, false), OTTER_HEALTH_IDLE);
    assert_int_equal(otter_health_path(&f->health), OTTER_HEALTH_IDLE);
    assert_int_equal(poll_at(f, 999999, OTTER_HEALTH_NEVER), OTTER_HEALTH_IDLE);
    assert_false(f->slots.marked);
}

static void nothing_needed_confirms_at_once(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(begin(f, false, false, 0), OTTER_OK);
    assert_int_equal(f->health.state, OTTER_HEALTH_CONFIRMED);
    assert_true(f->slots.marked_valid);
}

/* F12 is a reset in here: nothing was marked, so the bootloader goes back. */
static void F12_waits_for_both(void **state)
{
    struct fixture *f = *state;

    for (int order = 0; order < 2; order++) {
        assert_int_equal(begin(f, true, true, 60000), OTTER_OK);
        f->slots.marked = false;
        assert_int_equal(poll_at(f, 1000, 60000), OTTER_HEALTH_WAITING);
        if (order == 0) {
            assert_int_equal(otter_health_check(&f->health, true), OTTER_HEALTH_WAITING);
            assert_false(f->slots.marked);
            assert_int_equal(otter_health_path(&f->health), OTTER_HEALTH_CONFIRMED);
        } else {
            assert_int_equal(otter_health_path(&f->health), OTTER_HEALTH_WAITING);
            assert_false(f->slots.marked);
            assert_int_equal(otter_health_check(&f->health, true), OTTER_HEALTH_CONFIRMED);
        }
        assert_true(f->slots.marked && f->slots.marked_valid);
        assert_int_equal(poll_at(f, 90000, OTTER_HEALTH_NEVER), OTTER_HEALTH_CONFIRMED);
        f->slots.boot = OTTER_BOOT_PENDING;
    }
}

static void one_need_is_enough_when_one_is_configured(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(begin(f, true, false, 0), OTTER_OK);
    assert_int_equal(poll_at(f, 5000000, OTTER_HEALTH_NEVER), OTTER_HEALTH_WAITING);
    assert_int_equal(otter_health_check(&f->health, true), OTTER_HEALTH_CONFIRMED);
    f->slots.boot = OTTER_BOOT_PENDING;
    assert_int_equal(begin(f, false, true, 0), OTTER_OK);
    assert_int_equal(otter_health_path(&f->health), OTTER_HEALTH_CONFIRMED);
}

static void F13_a_failed_check_rolls_back(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(begin(f, true, true, 60000), OTTER_OK);
    assert_int_equal(otter_health_path(&f->health), OTTER_HEALTH_WAITING);
    assert_int_equal(otter_health_check(&f->health, false), OTTER_HEALTH_REFUSED);
    assert_true(f->slots.marked && !f->slots.marked_valid);
    assert_int_equal(otter_health_check(&f->health, true), OTTER_HEALTH_REFUSED);
}

static void the_deadline_rolls_back(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(begin(f, true, true, 60000), OTTER_OK);
    assert_int_equal(otter_health_check(&f->health, true), OTTER_HEALTH_WAITING);
    assert_int_equal(poll_at(f, 60999, 1), OTTER_HEALTH_WAITING);
    assert_int_equal(poll_at(f, 61000, OTTER_HEALTH_NEVER), OTTER_HEALTH_REFUSED);
    assert_true(f->slots.marked && !f->slots.marked_valid);
}

/* Flash that refuses to be marked is asked again until the deadline. */
static void F08_confirming_fails_for_a_while(void **state)
{
    struct fixture *f = *state;

    f->slots.mark_result = OTTER_ERR_FLASH_WRITE;
    assert_int_equal(begin(f, false, false, 5000), OTTER_ERR_FLASH_WRITE);
    assert_int_equal(poll_at(f, 2000, 1000), OTTER_HEALTH_WAITING);
    f->slots.mark_result = OTTER_OK;
    assert_int_equal(poll_at(f, 3000, OTTER_HEALTH_NEVER), OTTER_HEALTH_CONFIRMED);
}

static void nowhere_to_go_back_to(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(begin(f, true, false, 5000), OTTER_OK);
    f->slots.mark_result = OTTER_ERR_NO_FALLBACK;
    assert_int_equal(otter_health_check(&f->health, false), OTTER_HEALTH_STUCK);
    assert_int_equal(f->health.err, OTTER_ERR_NO_FALLBACK);
    assert_int_equal(poll_at(f, 9000, OTTER_HEALTH_NEVER), OTTER_HEALTH_STUCK);
}

static void needs_slots(void **state)
{
    struct otter_health health;

    assert_int_equal(otter_health_init(&health, &(struct otter_health_config){0}), OTTER_ERR_ARG);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(nothing_pending_nothing_done),
        CASE(nothing_needed_confirms_at_once),
        CASE(F12_waits_for_both),
        CASE(one_need_is_enough_when_one_is_configured),
        CASE(F13_a_failed_check_rolls_back),
        CASE(the_deadline_rolls_back),
        CASE(F08_confirming_fails_for_a_while),
        CASE(nowhere_to_go_back_to),
        cmocka_unit_test(needs_slots),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
