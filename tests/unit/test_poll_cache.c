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

/* Whatever the number of those that were kept, none is left of them. */
static void test_kept_until_cleared(void **state)
{
    (void)state;
    static const int counts[] = {1000, 1, 0, 255, 256, 257, 1000, 10};
    struct poll_cache *cache = poll_cache_new();
    struct store_poll out = {0};
    char id[16];
    assert_non_null(cache);
    assert_false(poll_cache_get(cache, "a", &out));
    for (int round = 0; round < (int)(sizeof counts / sizeof counts[0]); round++) {
        for (int i = 0; i < 1000; i++) {
            snprintf(id, sizeof id, "%d", i);
            struct store_poll poll = answer(id, i + round);
            assert_false(poll_cache_get(cache, id, &out));
            if (i < counts[round]) {
                poll_cache_put(cache, &poll);
            }
        }
        for (int i = 0; i < counts[round]; i++) {
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

static void test_kept_once(void **state)
{
    (void)state;
    struct poll_cache *cache = poll_cache_new();
    struct store_poll out;
    struct store_poll poll = answer("a", 1);
    assert_non_null(cache);
    for (int i = 0; i < 20; i++) { /* more than a set holds */
        poll.last_seen = i;
        poll_cache_put(cache, &poll);
    }
    poll.last_seen = 0;
    assert_true(poll_cache_get(cache, "a", &out));
    assert_same(&out, &poll);
    poll_cache_free(cache);
}

static void test_without_memory_nothing_is_kept(void **state)
{
    (void)state;
    struct store_poll out;
    struct store_poll poll = answer("a", 1);
    poll_cache_put(NULL, &poll);
    poll_cache_seen(NULL, "a", 2);
    poll_cache_clear(NULL);
    assert_false(poll_cache_get(NULL, "a", &out));
    poll_cache_free(NULL);
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

/* Puts so many devices, ids of so many bytes at least; how many are kept, which must be right. */
static unsigned keep(struct poll_cache *cache, struct store_poll *poll, int width, unsigned count)
{
    struct store_poll out;
    unsigned kept = 0;
    for (unsigned i = 0; i < count; i++) {
        snprintf(poll->id, sizeof poll->id, "%0*u", width, i);
        poll->last_seen = i;
        poll_cache_put(cache, poll);
    }
    for (unsigned i = 0; i < count; i++) {
        snprintf(poll->id, sizeof poll->id, "%0*u", width, i);
        if (poll_cache_get(cache, poll->id, &out)) {
            poll->last_seen = i;
            assert_same(&out, poll);
            kept++;
        }
    }
    return kept;
}

/* Twice as much as fits, with the longest texts there are. */
static void test_bounded(void **state)
{
    (void)state;
    struct poll_cache *cache = poll_cache_new();
    static struct store_poll poll;
    struct store_poll out;
    size_t texts = sizeof poll.id + sizeof poll.from + sizeof poll.file + sizeof poll.version +
                   sizeof poll.running + sizeof poll.address + sizeof poll.digest;
    assert_non_null(cache);
    memset(poll.from, 'f', sizeof poll.from - 1);
    memset(poll.file, 'g', sizeof poll.file - 1);
    memset(poll.version, 'h', sizeof poll.version - 1);
    memset(poll.running, 'i', sizeof poll.running - 1);
    memset(poll.address, 'j', sizeof poll.address - 1);
    memset(poll.digest, 'k', sizeof poll.digest - 1);
    unsigned kept = keep(cache, &poll, 255, (unsigned)(2 * POLL_CACHE_ROOM / texts));
    /* numbers, and what is lost to alignment */
    assert_in_range(kept, POLL_CACHE_ROOM / (texts + 128), POLL_CACHE_ROOM / texts);
    poll_cache_clear(cache);
    poll_cache_put(cache, &poll);
    assert_true(poll_cache_get(cache, poll.id, &out));
    assert_same(&out, &poll);
    poll_cache_free(cache);
}

/* There is room for all the entries, but more than sets of eight tags can have. */
static void test_full_sets(void **state)
{
    (void)state;
    struct poll_cache *cache = poll_cache_new();
    static struct store_poll poll;
    assert_non_null(cache);
    assert_true(POLL_CACHE_ROOM / 64 > 300000);
    assert_in_range(keep(cache, &poll, 1, 300000), 200000, 32768 * 8);
    poll_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept_until_cleared),
        cmocka_unit_test(test_kept_once),
        cmocka_unit_test(test_without_memory_nothing_is_kept),
        cmocka_unit_test(test_seen_changes_one),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_full_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
