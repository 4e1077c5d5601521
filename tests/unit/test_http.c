/* SPDX-License-Identifier: Apache-2.0 */
/* server/http_*.c: request heads, chunked bodies, targets, ranges. S10 and S03 as tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/http_parse.h"

/* Scans and parses text as a connection does, giving the scanner step bytes at a time. */
static enum http_refusal take(const char *text, size_t len, size_t step, struct http_head *head)
{
    /* Exactly as large as the text, so that a sanitizer sees a read past its end. */
    uint8_t *copy = malloc(len > 0 ? len : 1);
    memcpy(copy, text, len);
    size_t scanned = 0;
    size_t end = 0;
    enum http_refusal refusal = HTTP_ACCEPTED;
    for (size_t have = step; refusal == HTTP_ACCEPTED && end == 0; have += step) {
        refusal = http_head_scan(copy, have < len ? have : len, &scanned, &end);
        if (have >= len) {
            break;
        }
    }
    if (refusal == HTTP_ACCEPTED) {
        refusal = end == 0 ? HTTP_REFUSALS : http_head_parse(copy, end, head);
    }
    free(copy);
    return refusal;
}

#define H "Host: a\r\n"
#define NEVER HTTP_REFUSALS /* the head does not end: more bytes would be waited for */

static const struct {
    const char *text;
    enum http_refusal refusal;
} refused[] = {
    {"", NEVER},
    {"GET / HTTP/1.1\r\n" H, NEVER},
    {"\r\nGET / HTTP/1.1\r\n" H "\r\n", HTTP_BAD_REQUEST_LINE},
    {"\nGET / HTTP/1.1\r\n" H "\r\n", HTTP_BAD_LINE_END},
    {"GET / HTTP/1.1\n" H "\r\n", HTTP_BAD_LINE_END},
    {"GET / HTTP/1.1\r\nHost: a\n\r\n", HTTP_BAD_LINE_END},
    {"GET / HTTP/1.1\rX\r\n" H "\r\n", HTTP_BAD_LINE_END},
    {"GET / HTTP/1.1\r\nA: b\rc\r\n" H "\r\n", HTTP_BAD_LINE_END},
    {"GET / HTTP/1.1\r\r\n" H "\r\n", HTTP_BAD_LINE_END},
    {"GET /\r\n" H "\r\n", HTTP_BAD_REQUEST_LINE},
    {"GET\r\n" H "\r\n", HTTP_BAD_REQUEST_LINE},
    {"GET  / HTTP/1.1\r\n" H "\r\n", HTTP_BAD_REQUEST_LINE},
    {"GET /  HTTP/1.1\r\n" H "\r\n", HTTP_BAD_REQUEST_LINE},
    {"GET / HTTP/1.1 \r\n" H "\r\n", HTTP_BAD_REQUEST_LINE},
    {" GET / HTTP/1.1\r\n" H "\r\n", HTTP_BAD_REQUEST_LINE},
    {"GET\t/ HTTP/1.1\r\n" H "\r\n", HTTP_BAD_REQUEST_LINE},
    {"GET / a HTTP/1.1\r\n" H "\r\n", HTTP_BAD_REQUEST_LINE},
    {"GET / http/1.1\r\n" H "\r\n", HTTP_BAD_REQUEST_LINE},
    {"GET / HTTP/11\r\n" H "\r\n", HTTP_BAD_REQUEST_LINE},
    {"GET / HTTP/2.0\r\n" H "\r\n", HTTP_BAD_VERSION},
    {"GET / HTTP/1.2\r\n" H "\r\n", HTTP_BAD_VERSION},
    {"GET / HTTP/0.9\r\n" H "\r\n", HTTP_BAD_VERSION},
    {"get / HTTP/1.1\r\n" H "\r\n", HTTP_BAD_METHOD},
    {"PATCH / HTTP/1.1\r\n" H "\r\n", HTTP_BAD_METHOD},
    {"G(T / HTTP/1.1\r\n" H "\r\n", HTTP_BAD_REQUEST_LINE},
    {"GET http://a/ HTTP/1.1\r\n" H "\r\n", HTTP_BAD_TARGET},
    {"GET * HTTP/1.1\r\n" H "\r\n", HTTP_BAD_TARGET},
    {"GET /a#b HTTP/1.1\r\n" H "\r\n", HTTP_BAD_TARGET},
    {"GET /a\x7f HTTP/1.1\r\n" H "\r\n", HTTP_BAD_TARGET},
    {"GET /a\x01 HTTP/1.1\r\n" H "\r\n", HTTP_BAD_TARGET},
    {"GET / HTTP/1.1\r\n\r\n", HTTP_NO_HOST},
    {"GET / HTTP/1.1\r\n" H H "\r\n", HTTP_SECOND_HOST},
    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", HTTP_BAD_HOST},
    {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", HTTP_BAD_HOST},
    {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", HTTP_BAD_HOST},
    {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", HTTP_SPACE_BEFORE_COLON},
    {"GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", HTTP_SPACE_BEFORE_COLON},
    {"GET / HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n", HTTP_FOLDED_FIELD},
    {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", HTTP_FOLDED_FIELD},
    {"GET / HTTP/1.1\r\n" H ": b\r\n\r\n", HTTP_BAD_FIELD_NAME},
    {"GET / HTTP/1.1\r\n" H "Ab\r\n\r\n", HTTP_BAD_FIELD_NAME},
    {"GET / HTTP/1.1\r\n" H "A(b: c\r\n\r\n", HTTP_BAD_FIELD_NAME},
    {"GET / HTTP/1.1\r\n" H "A\xc3\xa4: c\r\n\r\n", HTTP_BAD_FIELD_NAME},
    {"GET / HTTP/1.1\r\n" H "A: b\x01\x63\r\n\r\n", HTTP_BAD_CONTROL},
    {"GET / HTTP/1.1\r\n" H "A: b\x7f\r\n\r\n", HTTP_BAD_CONTROL},
    {"PUT / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", HTTP_SECOND_LENGTH},
    {"PUT / HTTP/1.1\r\n" H "Content-Length: 1, 1\r\n\r\n", HTTP_BAD_LENGTH},
    {"PUT / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\n", HTTP_BAD_LENGTH},
    {"PUT / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", HTTP_BAD_LENGTH},
    {"PUT / HTTP/1.1\r\n" H "Content-Length: 0x10\r\n\r\n", HTTP_BAD_LENGTH},
    {"PUT / HTTP/1.1\r\n" H "Content-Length: 1 2\r\n\r\n", HTTP_BAD_LENGTH},
    {"PUT / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", HTTP_BAD_LENGTH},
    {"PUT / HTTP/1.1\r\n" H "Content-Length: 18446744073709551617\r\n\r\n", HTTP_BAD_LENGTH},
    {"PUT / HTTP/1.1\r\n" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
     HTTP_LENGTH_AND_CODING},
    {"PUT / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
     HTTP_LENGTH_AND_CODING},
    {"PUT / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
     HTTP_SECOND_CODING},
    {"PUT / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n", HTTP_BAD_CODING},
    {"PUT / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, identity\r\n\r\n", HTTP_BAD_CODING},
    {"PUT / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n", HTTP_BAD_CODING},
    {"PUT / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n", HTTP_CODING_IN_1_0},
    {"PUT / HTTP/1.1\r\n" H "Expect: magic\r\n\r\n", HTTP_BAD_EXPECT},
    {"GET / HTTP/1.1\r\n" H "Authorization: a\r\nAuthorization: b\r\n\r\n", HTTP_SECOND_FIELD},
    {"GET / HTTP/1.1\r\n" H "Range: a\r\nRange: b\r\n\r\n", HTTP_SECOND_FIELD},
    {"GET / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\n", HTTP_BODY_NOT_WANTED},
    {"HEAD / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n", HTTP_BODY_NOT_WANTED},
    {"DELETE / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\n", HTTP_BODY_NOT_WANTED},
};

static void S10_malformed_heads_are_refused(void **state)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        for (size_t step = 1; step < 4; step++) {
            struct http_head head;
            enum http_refusal got = take(refused[i].text, strlen(refused[i].text), step, &head);
            if (got != refused[i].refusal) {
                print_error("row %zu, step %zu: %d instead of %d\n", i, step, got,
                            refused[i].refusal);
            }
            assert_int_equal(got, refused[i].refusal);
        }
    }
}

static void S10_nul_bytes_are_refused(void **state)
{
    static const char good[] = "GET /abc HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    for (size_t i = 0; i < sizeof good - 1; i++) {
        char bad[sizeof good];
        memcpy(bad, good, sizeof good);
        bad[i] = 0;
        struct http_head head;
        assert_int_equal(take(bad, sizeof good - 1, 1, &head), HTTP_BAD_NUL);
    }
}

static void S10_large_heads_are_refused(void **state)
{
    static char text[16384];
    struct http_head head;

    memset(text, 'a', sizeof text);
    assert_int_equal(take(text, sizeof text, 1000, &head), HTTP_TARGET_TOO_LONG);

    int n = snprintf(text, sizeof text, "GET /%03000d HTTP/1.1\r\n" H "\r\n", 0);
    assert_int_equal(take(text, (size_t)n, 1000, &head), HTTP_TARGET_TOO_LONG);

    n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" H "X: %09000d\r\n\r\n", 0);
    assert_int_equal(take(text, (size_t)n, 1000, &head), HTTP_HEAD_TOO_LONG);

    n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" H);
    for (int i = 0; i < 64; i++) {
        n += snprintf(text + n, sizeof text - (size_t)n, "X: %d\r\n", i);
    }
    n += snprintf(text + n, sizeof text - (size_t)n, "\r\n");
    assert_int_equal(take(text, (size_t)n, 1000, &head), HTTP_TOO_MANY_FIELDS);
}

/* The largest head there may be, to the byte. */
static void head_of_8192_bytes_is_taken(void **state)
{
    static char text[16384];
    struct http_head head;
    int n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" H "X: ");
    memset(text + n, 'a', (size_t)(8192 - n - 4));
    memcpy(text + 8188, "\r\n\r\n", 5);
    assert_int_equal(take(text, 8192, 1, &head), HTTP_ACCEPTED);
    memcpy(text + 8188, "a\r\n\r\n", 6);
    assert_int_equal(take(text, 8193, 1, &head), HTTP_HEAD_TOO_LONG);
}

static void heads_are_understood(void **state)
{
    static const char curl[] = "PUT /files/a?b=c HTTP/1.1\r\nHost: [::1]:50000\r\n"
                               "authorization:Basic eDp5\t\r\nContent-Length:  816384 \r\n"
                               "EXPECT: 100-Continue\r\nUser-Agent: curl \xc3\xa4\r\n"
                               "Connection: TE, close\r\n\r\n";
    struct http_head head;
    size_t scanned = 0;
    size_t end = 0;
    size_t len = sizeof curl - 1;
    assert_int_equal(http_head_scan((const uint8_t *)curl, len, &scanned, &end), HTTP_ACCEPTED);
    assert_int_equal(end, len);
    assert_int_equal(http_head_parse((const uint8_t *)curl, end, &head), HTTP_ACCEPTED);
    assert_int_equal(head.method, HTTP_PUT);
    assert_int_equal(head.minor, 1);
    assert_true(head.has_length && head.expect_continue && !head.chunked && !head.keep_alive);
    assert_int_equal(head.length, 816384);
    assert_true(http_text_is(head.target, "/files/a?b=c"));
    assert_true(http_text_is(head.host, "[::1]:50000"));
    assert_true(http_text_is(head.authorization, "Basic eDp5"));
    assert_null(head.range.at);

    assert_int_equal(take("GET / HTTP/1.0\r\n\r\n", 18, 1, &head), HTTP_ACCEPTED);
    assert_false(head.keep_alive);
    assert_int_equal(take("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 42, 1, &head),
                     HTTP_ACCEPTED);
    assert_true(head.keep_alive);
}

/* Feeds a chunked body step bytes at a time; gathers its data. */
static enum http_refusal unchunk(const char *text, size_t len, size_t step, char *out, size_t *got)
{
    struct http_chunks chunks;
    http_chunks_begin(&chunks);
    *got = 0;
    for (size_t at = 0; at < len && !http_chunks_done(&chunks);) {
        size_t used;
        size_t data_at;
        size_t data_len;
        size_t give = len - at < step ? len - at : step;
        enum http_refusal refusal =
            http_chunks_take(&chunks, (const uint8_t *)text + at, give, &used, &data_at, &data_len);
        if (refusal != HTTP_ACCEPTED) {
            return refusal;
        }
        assert_true(used > 0 && used <= give && data_at + data_len <= give);
        memcpy(out + *got, text + at + data_at, data_len);
        *got += data_len;
        at += used;
    }
    return http_chunks_done(&chunks) ? HTTP_ACCEPTED : NEVER;
}

static const struct {
    const char *text;
    enum http_refusal refusal;
    const char *data;
} chunked[] = {
    {"0\r\n\r\n", HTTP_ACCEPTED, ""},
    {"3\r\nabc\r\n0\r\n\r\n", HTTP_ACCEPTED, "abc"},
    {"3;x=\"y\"\r\nabc\r\n0a\r\n0123456789\r\n00\r\nA: b\r\nC: d\r\n\r\n", HTTP_ACCEPTED,
     "abc0123456789"},
    {"1\r\n\r\r\n0\r\n\r\n", HTTP_ACCEPTED, "\r"},
    {"3\r\nabc", NEVER, NULL},
    {"3\r\nabc\r\n", NEVER, NULL},
    {"0\r\n", NEVER, NULL},
    {"\r\nabc", HTTP_BAD_CHUNK, NULL},
    {"g\r\n", HTTP_BAD_CHUNK, NULL},
    {"-1\r\n", HTTP_BAD_CHUNK, NULL},
    {"0x3\r\nabc\r\n", HTTP_BAD_CHUNK, NULL},
    {" 3\r\nabc\r\n", HTTP_BAD_CHUNK, NULL},
    {"3 \r\nabc\r\n", HTTP_BAD_CHUNK, NULL},
    {";\r\nabc\r\n", HTTP_BAD_CHUNK, NULL},
    {"3\nabc\r\n", HTTP_BAD_CHUNK, NULL},
    {"3\r\nabcd\r\n", HTTP_BAD_CHUNK, NULL},
    {"3\r\nab\r\n0\r\n\r\n", HTTP_BAD_CHUNK, NULL},
    {"3\r\nabc\n0\r\n\r\n", HTTP_BAD_CHUNK, NULL},
    {"3;a\nb\r\nabc\r\n", HTTP_BAD_CHUNK, NULL},
    {"ffffffffffffffff0\r\n", HTTP_BAD_CHUNK, NULL},
    {"0\r\n folded\r\n\r\n", HTTP_BAD_TRAILER, NULL},
    {"0\r\n: x\r\n\r\n", HTTP_BAD_TRAILER, NULL},
    {"0\r\nA: b\n\r\n", HTTP_BAD_CHUNK, NULL},
};

static void S05_chunked_bodies_at_every_split(void **state)
{
    for (size_t i = 0; i < sizeof chunked / sizeof chunked[0]; i++) {
        size_t len = strlen(chunked[i].text);
        for (size_t step = 1; step <= len; step++) {
            char out[64];
            size_t got;
            assert_int_equal(unchunk(chunked[i].text, len, step, out, &got), chunked[i].refusal);
            if (chunked[i].data != NULL) {
                assert_int_equal(got, strlen(chunked[i].data));
                assert_memory_equal(out, chunked[i].data, got);
            }
        }
    }
}

static void S10_endless_chunk_lines_are_refused(void **state)
{
    char line[600];
    char out[8];
    size_t got;
    memset(line, '0', sizeof line);
    assert_int_equal(unchunk(line, sizeof line, 7, out, &got), HTTP_BAD_CHUNK);
    memset(line, 'x', sizeof line);
    memcpy(line, "1;", 2);
    assert_int_equal(unchunk(line, sizeof line, 7, out, &got), HTTP_BAD_CHUNK);

    char trailers[4096] = "0\r\n";
    for (size_t n = 3; n + 8 < sizeof trailers; n += 6) {
        memcpy(trailers + n, "A: b\r\n", 7);
    }
    assert_int_equal(unchunk(trailers, strlen(trailers), 7, out, &got), HTTP_BAD_TRAILER);
}

static const struct {
    const char *target;
    const char *segments; /* joined by '|', or NULL: refused */
} targets[] = {
    {"/", ""},
    {"/a", "a"},
    {"/a/", "a"},
    {"/a/b?c=d", "a|b"},
    {"/a%20b/%C3%A4+:;'\"", "a b|\xc3\xa4+:;'\""},
    {"/1/2/3/4/5/6/7/8", "1|2|3|4|5|6|7|8"},
    {"/1/2/3/4/5/6/7/8/9", NULL},
    {"a", NULL},
    {"//", NULL},
    {"/a//b", NULL},
    {"//a", NULL},
    {"/a//", NULL},
    {"/.", NULL},
    {"/a/../b", NULL},
    {"/a/..", NULL},
    {"/%2e%2e/b", NULL},
    {"/%2E", NULL},
    {"/a%2fb", NULL},
    {"/a%2F", NULL},
    {"/a%5cb", "a\\b"},
    {"/a%00b", NULL},
    {"/a%0ab", NULL},
    {"/a%7f", NULL},
    {"/a%", NULL},
    {"/a%4", NULL},
    {"/a%4g", NULL},
    {"/a%%41", NULL},
    {"/...", "..."},
    {"/a..b", "a..b"},
};

static void S03_targets_are_taken_apart_or_refused(void **state)
{
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        struct http_text target = {targets[i].target, strlen(targets[i].target)};
        char text[HTTP_TARGET_MAX + 1];
        char joined[HTTP_TARGET_MAX] = "";
        struct http_path path;
        bool good = http_path_parse(target, text, &path);
        for (size_t k = 0; good && k < path.count; k++) {
            strcat(strcat(joined, k > 0 ? "|" : ""), path.segment[k]);
        }
        if (good != (targets[i].segments != NULL)) {
            print_error("%s\n", targets[i].target);
        }
        assert_int_equal(good, targets[i].segments != NULL);
        if (good) {
            assert_string_equal(joined, targets[i].segments);
        }
    }
}

static void queries_are_searched(void **state)
{
    static const struct {
        const char *query;
        int count;
        const char *value;
    } rows[] = {
        {"", 0, ""},
        {"app_ver=1.0", 1, "1.0"},
        {"x=1&app_ver=a%20b+c&y", 1, "a b c"},
        {"app_ver=1&app_ver=2", 2, "2"},
        {"app_ver=", 0, ""},
        {"app_ver", 0, ""},
        {"app_vers=1", 0, ""},
        {"xapp_ver=1", 0, ""},
        {"app_ver=v1:2/3?4", 1, "v1:2/3?4"},
        {"app_ver=%00", -1, ""},
        {"app_ver=%0a", -1, ""},
        {"app_ver=%4", -1, ""},
        {"app_ver=0123456789abcdef", -1, ""},
        {"&&app_ver=1&&", 1, "1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_text query = {rows[i].query, strlen(rows[i].query)};
        char out[16] = "";
        assert_int_equal(http_query_find(query, "app_ver", out, sizeof out), rows[i].count);
        if (rows[i].count > 0) {
            assert_string_equal(out, rows[i].value);
        }
    }
}

static void ranges_are_understood(void **state)
{
    static const struct {
        const char *field;
        enum http_range kind;
        uint64_t first;
        uint64_t length;
    } rows[] = {
        {"bytes=0-0", HTTP_RANGE_OK, 0, 1},
        {"bytes=10-", HTTP_RANGE_OK, 10, 90},
        {"bytes=99-200", HTTP_RANGE_OK, 99, 1},
        {"bytes=0-98", HTTP_RANGE_OK, 0, 99},
        {"bytes=0-99", HTTP_RANGE_OK, 0, 100},
        {"bytes=0-100", HTTP_RANGE_OK, 0, 100}, /* the last byte's number, not how many there are */
        {"bytes=0-101", HTTP_RANGE_OK, 0, 100},
        {"bytes=-99", HTTP_RANGE_OK, 1, 99},
        {"bytes=-100", HTTP_RANGE_OK, 0, 100},
        {"bytes=-101", HTTP_RANGE_OK, 0, 100},
        {"bytes=100-100", HTTP_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-1", HTTP_RANGE_OK, 99, 1},
        {"bytes=-1000", HTTP_RANGE_OK, 0, 100},
        {"bytes=0-999999999999999999", HTTP_RANGE_OK, 0, 100},
        {"bytes=100-", HTTP_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-0", HTTP_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=1-0", HTTP_RANGE_NONE, 0, 0},
        {"bytes=0-1,3-4", HTTP_RANGE_NONE, 0, 0},
        {"bytes=-", HTTP_RANGE_NONE, 0, 0},
        {"bytes=", HTTP_RANGE_NONE, 0, 0},
        {"bytes= 0-1", HTTP_RANGE_NONE, 0, 0},
        {"lines=0-1", HTTP_RANGE_NONE, 0, 0},
        {"bytes=9999999999999999999-", HTTP_RANGE_NONE, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_text field = {rows[i].field, strlen(rows[i].field)};
        uint64_t first = 0;
        uint64_t length = 0;
        assert_int_equal(http_range_parse(field, 100, &first, &length), rows[i].kind);
        if (rows[i].kind == HTTP_RANGE_OK) {
            assert_int_equal(first, rows[i].first);
            assert_int_equal(length, rows[i].length);
        }
    }
}

static void every_refusal_has_a_status_and_a_sentence(void **state)
{
    for (int i = HTTP_ACCEPTED + 1; i < HTTP_REFUSALS; i++) {
        const struct http_refusal_row *row = http_refusal_row((enum http_refusal)i);
        assert_in_range(row->status, 400, 505);
        assert_non_null(row->text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(S10_malformed_heads_are_refused),
        cmocka_unit_test(S10_nul_bytes_are_refused),
        cmocka_unit_test(S10_large_heads_are_refused),
        cmocka_unit_test(head_of_8192_bytes_is_taken),
        cmocka_unit_test(heads_are_understood),
        cmocka_unit_test(S05_chunked_bodies_at_every_split),
        cmocka_unit_test(S10_endless_chunk_lines_are_refused),
        cmocka_unit_test(S03_targets_are_taken_apart_or_refused),
        cmocka_unit_test(queries_are_searched),
        cmocka_unit_test(ranges_are_understood),
        cmocka_unit_test(every_refusal_has_a_status_and_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
