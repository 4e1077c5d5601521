/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/wifi: a station's connection, against a driver that does what a case says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/wifi_rows.h"
#include "otter/wifi.h"

struct fixture {
    struct otter_wifi wifi;
    unsigned joins, leaves, changes;
    otter_err join_result, leave_result;
    uint32_t now;
};

static otter_err join(void *ctx)
{
    struct fixture *f = ctx;

    f->joins++;
    return f->join_result;
}

static otter_err leave(void *ctx)
{
    struct fixture *f = ctx;

    f->leaves++;
    return f->leave_result;
}

static void changed(void *ctx, enum otter_wifi_state now)
{
    struct fixture *f = ctx;

    f->changes++;
}

static void start(struct fixture *f, bool stay)
{
    struct otter_wifi_config config = {
        .join = join, .leave = leave, .changed = changed, .ctx = f, .stay = stay};

    assert_int_equal(otter_wifi_init(&f->wifi, &config), OTTER_OK);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->now = UINT32_MAX - 2000; /* the clock wraps in every case */
    start(f, true);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void happens(struct fixture *f, enum otter_wifi_event event)
{
    otter_wifi_event(&f->wifi, event, f->now);
    (void)otter_wifi_poll(&f->wifi, f->now);
}

/* Time passes until something is due. Returns how much. */
static uint32_t pass(struct fixture *f)
{
    uint32_t wait = otter_wifi_poll(&f->wifi, f->now);

    if (wait != OTTER_WIFI_NEVER) {
        f->now += wait;
        (void)otter_wifi_poll(&f->wifi, f->now);
    }
    return wait;
}

static void come_on(struct fixture *f)
{
    assert_int_equal(otter_wifi_connect(&f->wifi, f->now), OTTER_WIFI_PENDING);
    happens(f, OTTER_WIFI_JOINED);
    happens(f, OTTER_WIFI_ADDRESS);
    assert_int_equal(f->wifi.answer, OTTER_WIFI_OK);
    assert_int_equal(f->wifi.state, OTTER_WIFI_ON);
    assert_int_equal(pass(f), OTTER_WIFI_NEVER);
}

static void connects_and_disconnects(void **state)
{
    struct fixture *f = *state;

    come_on(f);
    assert_int_equal(otter_wifi_connect(&f->wifi, f->now), OTTER_WIFI_ALREADY);
    assert_int_equal(otter_wifi_disconnect(&f->wifi, f->now), OTTER_WIFI_PENDING);
    assert_int_equal(otter_wifi_disconnect(&f->wifi, f->now), OTTER_WIFI_ALREADY);
    happens(f, OTTER_WIFI_LEFT);
    assert_int_equal(f->wifi.answer, OTTER_WIFI_OK);
    assert_int_equal(f->wifi.state, OTTER_WIFI_OFF);
    assert_int_equal(otter_wifi_disconnect(&f->wifi, f->now), OTTER_WIFI_ALREADY);
    assert_int_equal(f->joins, 1);
    assert_int_equal(f->leaves, 1);
    assert_int_equal(f->changes, 5);
    come_on(f);
}

static void an_access_point_that_is_not_there(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(otter_wifi_connect(&f->wifi, f->now), OTTER_WIFI_PENDING);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(f->wifi.answer, OTTER_WIFI_PENDING);
        happens(f, OTTER_WIFI_LEFT);
    }
    assert_int_equal(f->wifi.answer, OTTER_WIFI_CONNECTION_ERROR);
    assert_int_equal(f->wifi.state, OTTER_WIFI_OFF);
    assert_int_equal(f->joins, 3);
    come_on(f);
}

static void a_driver_that_says_nothing(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(otter_wifi_connect(&f->wifi, f->now), OTTER_WIFI_PENDING);
    assert_int_equal(pass(f), 15000);
    assert_int_equal(f->wifi.state, OTTER_WIFI_LEAVING);
    assert_int_equal(f->wifi.answer, OTTER_WIFI_PENDING);
    assert_int_equal(pass(f), 5000);
    assert_int_equal(f->wifi.answer, OTTER_WIFI_CONNECTION_ERROR);
    come_on(f);
    assert_int_equal(otter_wifi_disconnect(&f->wifi, f->now), OTTER_WIFI_PENDING);
    assert_int_equal(pass(f), 5000);
    assert_int_equal(f->wifi.answer, OTTER_WIFI_TIMEOUT);
    assert_int_equal(f->wifi.state, OTTER_WIFI_OFF);
}

static void no_address_comes(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(otter_wifi_connect(&f->wifi, f->now), OTTER_WIFI_PENDING);
    f->now += 14999;
    happens(f, OTTER_WIFI_JOINED);
    assert_int_equal(pass(f), 5000);
    assert_int_equal(f->leaves, 1);
    happens(f, OTTER_WIFI_LEFT);
    assert_int_equal(f->wifi.answer, OTTER_WIFI_ADDRESS_TIMEOUT);
    come_on(f);
}

static void lost_before_the_address(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(otter_wifi_connect(&f->wifi, f->now), OTTER_WIFI_PENDING);
    for (int i = 0; i < 3; i++) {
        happens(f, OTTER_WIFI_JOINED);
        happens(f, OTTER_WIFI_LEFT);
    }
    assert_int_equal(f->wifi.answer, OTTER_WIFI_DISCONNECTED);
    assert_int_equal(f->wifi.state, OTTER_WIFI_OFF);
}

static void disconnect_while_connecting(void **state)
{
    struct fixture *f = *state;

    for (int joined = 0; joined < 2; joined++) {
        assert_int_equal(otter_wifi_connect(&f->wifi, f->now), OTTER_WIFI_PENDING);
        if (joined) {
            happens(f, OTTER_WIFI_JOINED);
        }
        assert_int_equal(otter_wifi_disconnect(&f->wifi, f->now), OTTER_WIFI_PENDING);
        happens(f, OTTER_WIFI_ADDRESS); /* too late */
        happens(f, OTTER_WIFI_LEFT);
        assert_int_equal(f->wifi.answer, OTTER_WIFI_OK);
        assert_int_equal(f->wifi.state, OTTER_WIFI_OFF);
    }
}

static void comes_back_after_a_loss(void **state)
{
    struct fixture *f = *state;
    uint32_t pause = 1000;

    come_on(f);
    for (int i = 0; i < 9; i++) {
        happens(f, OTTER_WIFI_LEFT);
        assert_int_equal(f->wifi.state, OTTER_WIFI_LOST);
        assert_int_equal(pass(f), pause);
        assert_int_equal(f->wifi.state, OTTER_WIFI_REJOINING);
        pause = pause * 2 < 60000 ? pause * 2 : 60000;
    }
    happens(f, OTTER_WIFI_JOINED);
    happens(f, OTTER_WIFI_ADDRESS);
    assert_int_equal(f->wifi.state, OTTER_WIFI_ON);
    happens(f, OTTER_WIFI_LEFT);
    assert_int_equal(pass(f), 1000); /* once on, the pause is short again */

    /* Nothing is heard of the join, then of the address; then the address is lost. */
    assert_int_equal(pass(f), 15000);
    assert_int_equal(f->wifi.state, OTTER_WIFI_LOST);
    happens(f, OTTER_WIFI_LEFT); /* that of our own leave */
    assert_int_equal(pass(f), 2000);
    happens(f, OTTER_WIFI_JOINED);
    assert_int_equal(pass(f), 5000);
    assert_int_equal(f->wifi.state, OTTER_WIFI_LOST);
    assert_int_equal(pass(f), 4000);
    happens(f, OTTER_WIFI_JOINED);
    happens(f, OTTER_WIFI_ADDRESS);
    happens(f, OTTER_WIFI_ADDRESS_LOST);
    assert_int_equal(f->wifi.state, OTTER_WIFI_LOST);
    assert_int_equal(f->leaves, 3);
    assert_int_equal(otter_wifi_disconnect(&f->wifi, f->now), OTTER_WIFI_OK);
    assert_int_equal(f->wifi.state, OTTER_WIFI_OFF);
}

static void a_loss_ends_it_when_told_so(void **state)
{
    struct fixture *f = *state;

    start(f, false);
    come_on(f);
    happens(f, OTTER_WIFI_LEFT);
    assert_int_equal(f->wifi.state, OTTER_WIFI_OFF);
    come_on(f);
    happens(f, OTTER_WIFI_ADDRESS_LOST);
    assert_int_equal(f->wifi.state, OTTER_WIFI_OFF);
    assert_int_equal(f->leaves, 1);
}

static void a_driver_that_refuses(void **state)
{
    struct fixture *f = *state;

    f->join_result = OTTER_ERR_LINK;
    assert_int_equal(otter_wifi_connect(&f->wifi, f->now), OTTER_WIFI_SYSTEM_ERROR);
    assert_int_equal(f->wifi.state, OTTER_WIFI_OFF);
    f->join_result = OTTER_OK;
    come_on(f);
    f->leave_result = OTTER_ERR_LINK;
    assert_int_equal(otter_wifi_disconnect(&f->wifi, f->now), OTTER_WIFI_SYSTEM_ERROR);
    assert_int_equal(f->wifi.state, OTTER_WIFI_OFF);
    f->leave_result = OTTER_OK;
    come_on(f);
    happens(f, OTTER_WIFI_LEFT);
    f->join_result = OTTER_ERR_LINK; /* later, the driver is out of memory for a while */
    assert_int_equal(pass(f), 1000);
    assert_int_equal(f->wifi.state, OTTER_WIFI_LOST);
    assert_int_equal(pass(f), 2000);
    f->join_result = OTTER_OK;
    assert_int_equal(pass(f), 4000);
    assert_int_equal(f->wifi.state, OTTER_WIFI_REJOINING);
}

/* Whatever the driver says and whoever asks in whatever order: requests are answered in bounded
 * time, and nothing is commanded while off. */
static void random_events(void **state)
{
    struct fixture *f = *state;

    for (unsigned seed = 1; seed <= 2000; seed++) {
        uint32_t r = seed * 2654435769u;
        f->join_result = f->leave_result = OTTER_OK;
        start(f, seed % 3 != 0);
        for (int i = 0; i < 200; i++) {
            r ^= r << 13;
            r ^= r >> 17;
            r ^= r << 5;
            f->join_result = r % 11 == 0 ? OTTER_ERR_LINK : OTTER_OK;
            f->leave_result = r % 13 == 0 ? OTTER_ERR_LINK : OTTER_OK;
            unsigned what = r >> 8 & 7;
            if (what < 4) {
                happens(f, (enum otter_wifi_event)what);
            } else if (what == 4) {
                (void)otter_wifi_connect(&f->wifi, f->now);
            } else if (what == 5) {
                (void)otter_wifi_disconnect(&f->wifi, f->now);
            } else {
                (void)pass(f);
            }
        }
        for (int i = 0; i < 5 && f->wifi.answer == OTTER_WIFI_PENDING; i++) {
            assert_int_not_equal(pass(f), OTTER_WIFI_NEVER);
        }
        if (f->wifi.answer == OTTER_WIFI_PENDING) {
            fail_msg("seed %u: a request is never answered", seed);
        }
    }
}

static void needs_its_commands(void **state)
{
    struct otter_wifi wifi;

    assert_int_equal(otter_wifi_init(&wifi, &(struct otter_wifi_config){0}), OTTER_ERR_ARG);
}

/* docs/esp-idf.md shows the rows that the code runs by, all of them and in order. */
static void the_page_shows_the_table(void **state)
{
#define ROW(s, e, act, n, x) {#s, #e, #act, #n, #x},
    static const char *const rows[][5] = {OTTER_WIFI_ROWS(ROW)};
    static char page[65536];
    FILE *file = fopen("../docs/esp-idf.md", "r"); /* tests run in the build folder */

    assert_non_null(file);
    page[fread(page, 1, sizeof(page) - 1, file)] = '\0';
    fclose(file);
    const char *at = page;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char line[200];
        const char *action = strcmp(rows[i][2], "nothing") == 0 ? "\xE2\x80\x94" : rows[i][2];
        snprintf(line, sizeof(line), "| %s | %s | %s | %s | %s |\n", rows[i][0], rows[i][1], action,
                 rows[i][3], rows[i][4]);
        for (char *c = line; *c != '\0'; c++) {
            *c = *c == '_' ? ' ' : *c;
        }
        at = strstr(at, line);
        if (at == NULL) {
            fail_msg("not there, or not in order: %s", line);
        }
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(connects_and_disconnects),       CASE(an_access_point_that_is_not_there),
        CASE(a_driver_that_says_nothing),     CASE(no_address_comes),
        CASE(lost_before_the_address),        CASE(disconnect_while_connecting),
        CASE(comes_back_after_a_loss),        CASE(a_loss_ends_it_when_told_so),
        CASE(a_driver_that_refuses),          CASE(random_events),
        cmocka_unit_test(needs_its_commands), cmocka_unit_test(the_page_shows_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
