/* SPDX-License-Identifier: Apache-2.0 */
/* src/proto/fuota: downloads that are cut, lied about, resumed, and taken up after a restart. */
#include "unit/fuota_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/fuota/http.h"
#include "proto/fuota/rows.h"

static void H01_body_cut_at_any_byte(void **state)
{
    struct fixture *t = *state;

    for (size_t cut = 0; cut < t->len; cut += cut < 600 ? 1 : 97) {
        start(t);
        t->slots.selected = false;
        t->update.state = OTTER_UPDATE_IDLE;
        offer(t);
        serve_file(t, cut);
        assert_int_equal(t->last.kind, OTTER_FUOTA_EVENT_PAUSE);
        assert_false(t->slots.selected);
        assert_asks(t, FILE_URL);
        assert_int_equal(t->fuota.request.range[0] != '\0', cut > 0);
        serve_file(t, SIZE_MAX);
        assert_updated(t);
    }
}

/* A server that cuts everything after a few bytes: tried a bounded number of times. */
static void H01_cut_again_and_again(void **state)
{
    struct fixture *t = *state;
    unsigned tries = 0;

    offer(t);
    while (t->fuota.state != OTTER_FUOTA_IDLE) {
        serve_file(t, 700);
        tries++;
        if (t->fuota.state == OTTER_FUOTA_PAUSE) {
            assert_asks(t, FILE_URL);
        }
    }
    assert_int_equal(tries, 5);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_LINK);
    assert_next_attempt_works(t);
}

/* The device restarts: what it remembers and what is in the flash stay, nothing else. */
static void restart_with(struct fixture *t, struct otter_fuota_kept *kept)
{
    t->config.kept = kept;
    t->config.keep = count_keep;
    t->config.keep_ctx = t;
    t->slots.closes += t->update.state == OTTER_UPDATE_RECEIVING;
    t->update.state = OTTER_UPDATE_IDLE;
    start(t);
}

static void H01_goes_on_after_a_restart(void **state)
{
    struct fixture *t = *state;
    struct otter_fuota_kept kept = {0};

    restart_with(t, &kept);
    offer(t);
    serve_file(t, 5000);
    assert_int_equal(kept.done, 5000);
    assert_int_equal(kept.total, t->len);
    assert_string_equal(kept.file, OFFER);
    assert_string_equal(kept.etag, "\"one\"");

    unsigned erases = t->slots.erases;
    restart_with(t, &kept);
    offer(t);
    assert_string_equal(t->fuota.request.range, "bytes=4096-"); /* whole erase units */
    serve_file(t, SIZE_MAX);
    assert_updated(t);
    assert_int_equal(t->slots.erases, erases + 2); /* the first unit is as it was */
    assert_int_equal(kept.done, 0);
}

static void H01_after_a_restart_another_file_is_offered(void **state)
{
    struct fixture *t = *state;
    struct otter_fuota_kept kept = {.done = 4096, .total = 8000, .etag = "\"x\"", .file = "other"};

    restart_with(t, &kept);
    offer(t);
    assert_string_equal(t->fuota.request.range, "");
    serve_file(t, SIZE_MAX);
    assert_updated(t);
    assert_int_equal(kept.done, 0);
}

static void H01_after_a_restart_the_flash_differs(void **state)
{
    struct fixture *t = *state;
    struct otter_fuota_kept kept = {0};

    /* In the header: seen at once, all of it is asked for. Further on: the digest tells. */
    for (size_t at = 0; at < 2; at++) {
        restart_with(t, &kept);
        t->slots.selected = false;
        offer(t);
        serve_file(t, 5000);
        t->slots.mem[at == 0 ? 0 : 2000] = 0;
        restart_with(t, &kept);
        offer(t);
        if (at == 0) {
            assert_string_equal(t->fuota.request.range, "");
        } else {
            assert_int_equal(serve(t, SIZE_MAX), OTTER_ERR_IMAGE_CHECKSUM);
            assert_over(t, OTTER_FUOTA_SYSTEM_ERROR, OTTER_ERR_IMAGE_CHECKSUM);
            assert_int_equal(kept.done, 0);
            offer(t);
            assert_string_equal(t->fuota.request.range, "");
        }
        serve_file(t, SIZE_MAX);
        assert_updated(t);
    }
}

static void the_server_says_how_often(void **state)
{
    static const struct {
        const char *header;
        uint32_t ms;
    } cases[] = {{"Otter-Poll: 60", 60000},           {"otter-poll: 0", 3600000},
                 {"Otter-Poll: soon", 3600000},       {"Otter-Poll: -5", 3600000},
                 {"Otter-Poll: 99999999", 604800000}, {"Otter-Poll: 99999999999", 3600000}};
    struct fixture *t = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct reply r = {.status = 204, .headers = {cases[i].header}};

        assert_asks(t, CHECK_URL);
        (void)answer(t, &r);
        assert_in_range(t->last.wait_ms, cases[i].ms / 10 * 9, cases[i].ms / 10 * 11);
    }
}

static void what_was_given_up_is_not_taken_again(void **state)
{
    struct fixture *t = *state;
    char header[100];
    struct reply r = {
        .status = 200, .headers = {header}, .body = (const uint8_t *)OFFER, .len = strlen(OFFER)};
    char digest[65];

    memset(digest, 'a', 64);
    digest[64] = '\0';
    t->config.given_up = digest;
    start(t);
    snprintf(header, sizeof(header), "Otter-Image-SHA256: %s", digest);
    assert_asks(t, CHECK_URL);
    assert_int_equal(answer(t, &r), OTTER_OK);
    assert_over(t, OTTER_FUOTA_NO_UPDATE, OTTER_OK);
    /* Another one is. */
    header[sizeof("Otter-Image-SHA256: ")] = 'b';
    assert_asks(t, CHECK_URL);
    assert_int_equal(answer(t, &r), OTTER_OK);
    assert_asks(t, FILE_URL);
}

static void H01_without_an_etag_nothing_is_kept(void **state)
{
    struct fixture *t = *state;
    struct otter_fuota_kept kept = {0};
    struct reply r = {.status = 200, .body = t->image, .len = 5000, .end = OTTER_ERR_LINK};

    restart_with(t, &kept);
    offer(t);
    assert_int_equal(answer(t, &r), OTTER_OK);
    assert_int_equal(kept.done, 0);
}

static void H02_content_length_lies(void **state)
{
    struct fixture *t = *state;
    char length[40];
    struct reply r = {.status = 200, .headers = {length}, .body = t->image, .len = t->len};

    /* Too short: the client stops where the header says. */
    offer(t);
    snprintf(length, sizeof(length), "Content-Length: %zu", t->len - 1);
    r.len = t->len - 1;
    (void)answer(t, &r);
    while (t->fuota.state == OTTER_FUOTA_FINISHING) {
        (void)until_due(t);
    }
    assert_over(t, OTTER_FUOTA_SYSTEM_ERROR, OTTER_ERR_TRUNCATED);

    /* Too long: the connection ends before. */
    offer(t);
    snprintf(length, sizeof(length), "Content-Length: %zu", t->len + 1);
    r.len = t->len;
    r.end = OTTER_ERR_LINK;
    (void)answer(t, &r);
    for (int i = 1; i < 5; i++) {
        assert_asks(t, FILE_URL);
        (void)answer_text(t, 416, "");
    }
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_PROTOCOL);

    /* More than one, and nonsense. */
    offer(t);
    r.headers[1] = "Content-Length: 5";
    assert_int_equal(answer(t, &r), OTTER_ERR_PROTOCOL);
    assert_asks(t, FILE_URL);
    r.headers[1] = NULL;
    strcpy(length, "Content-Length: -1");
    assert_int_equal(answer(t, &r), OTTER_ERR_PROTOCOL);
    otter_fuota_cancel(&t->fuota, t->now);
    assert_next_attempt_works(t);
}

static void H02_content_length_absent(void **state)
{
    struct fixture *t = *state;
    struct reply r = {.status = 200, .body = t->image, .len = t->len - 1};

    offer(t);
    assert_int_equal(answer(t, &r), OTTER_OK);
    assert_asks(t, CHECK_URL);
    assert_int_equal(t->last.kind, OTTER_FUOTA_EVENT_CHECK);
    assert_false(t->slots.selected);
    answer_text(t, 200, OFFER);
    assert_asks(t, FILE_URL);
    r.len = t->len;
    assert_int_equal(answer(t, &r), OTTER_OK);
    assert_updated(t);
}

/* Half of the file is there; then the answer to the range request is not what was asked for. */
static void H10_ranges_that_do_not_fit(void **state)
{
    struct fixture *t = *state;
    const char *wrong[] = {
        "Content-Range: bytes 4999-9007/9008", "Content-Range: bytes 0-9007/9008",
        "Content-Range: bytes 5000-9006/9008", "Content-Range: bytes 5000-9008/9009",
        "Content-Range: bytes */9008",         "Content-Range: bytes 5000-9007/*",
        "Content-Range: pages 1-2/3",          "X-Range: none at all",
    };

    assert_int_equal(t->len, 9008);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct reply r = {
            .status = 206, .headers = {wrong[i], "ETag: \"one\""}, .body = t->image, .len = 100};
        start(t);
        otter_update_abort(&t->update);
        t->slots.selected = false;
        t->update.state = OTTER_UPDATE_IDLE;
        offer(t);
        serve_file(t, 5000);
        assert_asks(t, FILE_URL);
        assert_int_equal(answer(t, &r), OTTER_ERR_PROTOCOL);
        assert_asks(t, FILE_URL);
        assert_string_equal(t->fuota.request.range, ""); /* again from its first byte */
        serve_file(t, SIZE_MAX);
        assert_updated(t);
    }
}

static void H10_whole_file_or_another_one(void **state)
{
    struct fixture *t = *state;
    struct reply whole = {
        .status = 200, .headers = {"ETag: \"two\""}, .body = t->image, .len = t->len};
    struct reply changed = {.status = 206,
                            .headers = {"ETag: \"two\"", "Content-Range: bytes 5000-9007/9008"},
                            .body = t->image,
                            .len = 10};

    offer(t);
    serve_file(t, 5000);
    assert_asks(t, FILE_URL);
    assert_int_equal(answer(t, &changed), OTTER_ERR_PROTOCOL);
    assert_asks(t, FILE_URL);
    assert_string_equal(t->fuota.request.range, "");
    serve_file(t, 5000);
    assert_asks(t, FILE_URL);
    assert_string_equal(t->fuota.request.range, "bytes=5000-");
    assert_int_equal(answer(t, &whole), OTTER_OK); /* 200: from the start */
    assert_updated(t);
}

/* 206 that nobody asked for. */
static void H10_a_range_without_request(void **state)
{
    struct fixture *t = *state;
    struct reply r = {.status = 206,
                      .headers = {"Content-Range: bytes 0-9007/9008"},
                      .body = t->image,
                      .len = t->len};

    assert_asks(t, CHECK_URL);
    assert_int_equal(answer(t, &r), OTTER_ERR_PROTOCOL);
    offer(t);
    assert_int_equal(answer(t, &r), OTTER_ERR_PROTOCOL);
    otter_fuota_cancel(&t->fuota, t->now);
    assert_next_attempt_works(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(H01_body_cut_at_any_byte),
        CASE(H01_cut_again_and_again),
        CASE(H01_goes_on_after_a_restart),
        CASE(H01_after_a_restart_another_file_is_offered),
        CASE(H01_after_a_restart_the_flash_differs),
        CASE(H01_without_an_etag_nothing_is_kept),
        CASE(the_server_says_how_often),
        CASE(what_was_given_up_is_not_taken_again),
        CASE(H02_content_length_lies),
        CASE(H02_content_length_absent),
        CASE(H10_ranges_that_do_not_fit),
        CASE(H10_whole_file_or_another_one),
        CASE(H10_a_range_without_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
