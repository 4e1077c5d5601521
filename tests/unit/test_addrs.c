/* SPDX-License-Identifier: Apache-2.0 */
/* server/addrs.c: attempts to log in, counted by address. S08. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "server/addrs.h"

static struct addrs addrs;

static struct addr_key key_of(const char *text)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct sockaddr_in four = {.sin_family = AF_INET};

    if (inet_pton(AF_INET6, text, &six.sin6_addr) == 1) {
        return addr_key_of((const struct sockaddr *)&six);
    }
    assert_int_equal(inet_pton(AF_INET, text, &four.sin_addr), 1);
    return addr_key_of((const struct sockaddr *)&four);
}

static int start(void **state)
{
    (void)state;
    addrs_init(&addrs, 100, 10);
    return 0;
}

static int end(void **state)
{
    (void)state;
    addrs_free(&addrs);
    return 0;
}

static void spend_all(struct addr_key key, uint64_t now_ms)
{
    for (int i = 0; i < ADDRS_ATTEMPTS; i++) {
        assert_int_equal(addrs_wait_ms(&addrs, key, now_ms), 0);
        addrs_spend(&addrs, key, now_ms);
    }
}

static void attempts_come_back_one_by_one(void **state)
{
    struct addr_key key = key_of("192.0.2.1");

    (void)state;
    spend_all(key, 5000);
    assert_int_equal(addrs_wait_ms(&addrs, key, 5000), ADDRS_REFILL_MS);
    assert_int_equal(addrs_wait_ms(&addrs, key, 5001), ADDRS_REFILL_MS - 1);
    assert_int_equal(addrs_wait_ms(&addrs, key, 5000 + ADDRS_REFILL_MS), 0);
    addrs_spend(&addrs, key, 5000 + ADDRS_REFILL_MS);
    assert_true(addrs_wait_ms(&addrs, key, 5000 + ADDRS_REFILL_MS) > 0);
    addrs_sweep(&addrs, 5000 + ADDRS_REFILL_MS * (ADDRS_ATTEMPTS + 1));
    assert_int_equal(addrs.punished, 0);
}

/* Workers read the clock each for itself: one that read it a moment before another spent an
 * attempt comes with a time that lies before it. Nothing is forgiven by that. */
static void a_clock_read_earlier_forgives_nothing(void **state)
{
    struct addr_key key = key_of("192.0.2.1");

    (void)state;
    spend_all(key, 5000);
    assert_true(addrs_wait_ms(&addrs, key, 4999) >= ADDRS_REFILL_MS);
    addrs_spend(&addrs, key, 4999);
    addrs_sweep(&addrs, 4999);
    assert_true(addrs_wait_ms(&addrs, key, 5000) > 0);
    assert_int_equal(addrs.punished, 1);
}

static void a_network_of_ipv6_is_one_client(void **state)
{
    (void)state;
    spend_all(key_of("2001:db8:1:2::1"), 5000);
    assert_true(addrs_wait_ms(&addrs, key_of("2001:db8:1:2:ffff::7"), 5000) > 0);
    assert_int_equal(addrs_wait_ms(&addrs, key_of("2001:db8:1:3::1"), 5000), 0);
}

static void ipv4_is_the_same_when_it_comes_as_ipv6(void **state)
{
    (void)state;
    spend_all(key_of("192.0.2.1"), 5000);
    assert_true(addrs_wait_ms(&addrs, key_of("::ffff:192.0.2.1"), 5000) > 0);
    assert_int_equal(addrs_wait_ms(&addrs, key_of("::ffff:192.0.2.2"), 5000), 0);
}

static void connections_are_capped_in_all_and_each(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        assert_true(addrs_enter(&addrs, key_of("192.0.2.1")));
    }
    assert_false(addrs_enter(&addrs, key_of("192.0.2.1")));
    addrs_leave(&addrs, key_of("192.0.2.1"));
    assert_true(addrs_enter(&addrs, key_of("192.0.2.1")));
    for (uint16_t i = 0; i < 90; i++) {
        struct addr_key key = {.bytes = {1, (uint8_t)i}};
        assert_true(addrs_enter(&addrs, key));
    }
    assert_false(addrs_enter(&addrs, key_of("192.0.2.9")));
    assert_int_equal(addrs_total(&addrs), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(attempts_come_back_one_by_one, start, end),
        cmocka_unit_test_setup_teardown(a_clock_read_earlier_forgives_nothing, start, end),
        cmocka_unit_test_setup_teardown(a_network_of_ipv6_is_one_client, start, end),
        cmocka_unit_test_setup_teardown(ipv4_is_the_same_when_it_comes_as_ipv6, start, end),
        cmocka_unit_test_setup_teardown(connections_are_capped_in_all_and_each, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
