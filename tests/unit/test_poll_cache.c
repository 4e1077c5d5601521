/* SPDX-License-Identifier: Apache-2.0 */
/* server/poll_cache.c: what is put comes back, as long as nothing was cleared and there is room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/poll_cache.h"

static struct store_poll answer(const char *id, int number)
{
    struct store_poll poll = {.assigned = number % 2 == 0,
                              .has_file = number % 3 == 0,
                              .is_image = number % 5 == 0,
                              .last_seen = number};
    snprintf(poll.id, sizeof poll.id, "%s", id);
    snprintf(poll.from, sizeof poll.from, "1.%d", number);
    snprintf(poll.file, sizeof poll.file, "firmware-%d.bin", number);
    snprintf(poll.version, sizeof poll.version, "2.%d", number);
    snprintf(poll.address, sizeof poll.address, "10.0.0.%d", number % 256);
    memset(poll.digest, 'a' + number % 6, number % 3 == 0 ? 64 : 0);
    memset(poll.running, 'a' + number % 5, number % 4 == 0 ? 64 : 0);
    return poll;
}

static void assert_same(const struct store_poll *a, const struct store_poll *b)
{
    assert_string_equal(a->id, b->id);
    assert_string_equal(a->from, b->from);
    assert_string_equal(a->file, b->file);
    assert_string_equal(a->version, b->version);
    assert_string_equal(a->running, b->running);
    assert_string_equal(a->address, b->address);
    assert_string_equal(a->digest, b->digest);
    assert_true(a->assigned == b->assigned && a->has_file == b->has_file &&
                a->is_image == b->is_image && a->last_seen == b->last_seen);
}

static void test_kept_until_cleared(void **state)
{
    (void)state;
    struct poll_cache *cache = poll_cache_new();
    struct store_poll out = {0};
    assert_non_null(cache);
    assert_false(poll_cache_get(cache, "a", &out));
    for (int round = 0; round < 3; round++) {
        char id[16];
        for (int i = 0; i < 1000; i++) {
            snprintf(id, sizeof id, "%d", i);
            struct store_poll poll = answer(id, i + round);
            assert_false(poll_cache_get(cache, id, &out));
            poll_cache_put(cache, &poll);
        }
        for (int i = 0; i < 1000; i++) {
            snprintf(id, sizeof id, "%d", i);
            struct store_poll poll = answer(id, i + round);
            memset(&out, 'x', sizeof out); /* what was there before does not matter */
            assert_true(poll_cache_get(cache, id, &out));
            assert_same(&out, &poll);
        }
        assert_false(poll_cache_get(cache, "1000", &out));
        assert_false(poll_cache_get(cache, "", &out));
        poll_cache_clear(cache);
    }
    poll_cache_free(cache);
}

static void test_seen_changes_one(void **state)
{
    (void)state;
    struct poll_cache *cache = poll_cache_new();
    struct store_poll out;
    struct store_poll a = answer("a", 1);
    struct store_poll b = answer("b", 2);
    assert_non_null(cache);
    poll_cache_put(cache, &a);
    poll_cache_put(cache, &b);
    poll_cache_seen(cache, "a", -5);
    poll_cache_seen(cache, "c", 7);
    a.last_seen = -5;
    assert_true(poll_cache_get(cache, "a", &out));
    assert_same(&out, &a);
    assert_true(poll_cache_get(cache, "b", &out));
    assert_same(&out, &b);
    assert_false(poll_cache_get(cache, "c", &out));
    poll_cache_free(cache);
}

/* Far more than fits, with the longest texts there are: what was kept is right, the rest is not
 * there. */
static void test_bounded(void **state)
{
    (void)state;
    struct poll_cache *cache = poll_cache_new();
    static struct store_poll poll;
    struct store_poll out;
    unsigned kept = 0;
    unsigned most = POLL_CACHE_ROOM / (6 * 64);
    assert_non_null(cache);
    memset(poll.from, 'f', STORE_TEXT_MAX);
    memset(poll.file, 'g', STORE_TEXT_MAX);
    memset(poll.version, 'h', STORE_TEXT_MAX);
    for (unsigned i = 0; i < most; i++) {
        memset(poll.id, 'i', STORE_TEXT_MAX);
        snprintf(poll.id, sizeof poll.id, "%u", i);
        poll.last_seen = i;
        poll_cache_put(cache, &poll);
    }
    for (unsigned i = 0; i < most; i++) {
        snprintf(poll.id, sizeof poll.id, "%u", i);
        if (poll_cache_get(cache, poll.id, &out)) {
            poll.last_seen = i;
            assert_same(&out, &poll);
            kept++;
        }
    }
    assert_in_range(kept, 1000, POLL_CACHE_ROOM / (3 * STORE_TEXT_MAX));
    poll_cache_clear(cache);
    poll_cache_put(cache, &poll);
    assert_true(poll_cache_get(cache, poll.id, &out));
    poll_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept_until_cleared),
        cmocka_unit_test(test_seen_changes_one),
        cmocka_unit_test(test_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
