/* SPDX-License-Identifier: Apache-2.0 */
/* src/proto/fuota: what is asked, what is made of the answers, and when it is asked again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/image_build.h"
#include "host/sha256.h"
#include "otter/fuota.h"
#include "otter/update.h"
#include "proto/fuota/http.h"
#include "proto/fuota/rows.h"
#include "unit/ram_slots.h"

#define SERVER "https://192.168.1.41:50000"
#define CHECK_URL SERVER "/devices/00001?app_ver=0.1.0"
#define FILE_URL SERVER "/files/esp32-fuota.bin.0.1.1"
#define OFFER "esp32-fuota.bin.0.1.1"

struct fixture {
    struct ram_slots slots;
    struct otter_sha256 sha;
    struct otter_update update;
    struct otter_update_transport transport;
    struct otter_fuota_config config;
    struct otter_fuota fuota;
    uint8_t buf[512];
    uint8_t *image;
    size_t len;
    uint32_t now;
    uint32_t waited; /* ms, since the last request */
    struct otter_fuota_event last;
    unsigned keeps;
    unsigned events[OTTER_FUOTA_EVENT_OVER + 1];
    char file_seen[OTTER_FUOTA_FILE_MAX + 1];
};

/* An answer. headers: "Name: value" texts up to a NULL. */
struct reply {
    uint16_t status; /* 0: no connection */
    const char *headers[6];
    const uint8_t *body;
    size_t len;
    otter_err end;
    uint32_t byte_ms; /* time that each byte takes */
};

static void on_event(void *ctx, const struct otter_fuota_event *event)
{
    struct fixture *t = ctx;

    t->events[event->kind]++;
    t->last = *event;
    strcpy(t->file_seen, event->file);
}

static void start(struct fixture *t)
{
    assert_int_equal(otter_fuota_init(&t->fuota, &t->config, t->now), OTTER_OK);
}

static int setup(void **state)
{
    struct fixture *t = calloc(1, sizeof(*t));
    struct otter_image_spec spec = {
        .chip_id = 5, .project = "esp32-fuota", .version = "0.1.1", .size = 9000, .seed = 1};

    ram_slots_init(&t->slots);
    assert_int_equal(otter_sha256_new(&t->sha), OTTER_OK);
    assert_int_equal(otter_image_build(&spec, &t->image, &t->len), OTTER_OK);
    struct otter_update_config update = {
        .slots = ram_slots_table(&t->slots),
        .hash = otter_sha256_hash(&t->sha),
        .buf = t->buf,
        .buf_size = sizeof(t->buf),
    };
    assert_int_equal(otter_update_init(&t->update, &update), OTTER_OK);
    t->transport.update = &t->update;
    t->config = (struct otter_fuota_config){
        .sink = otter_update_sink(&t->transport),
        .server = SERVER,
        .device_id = "00001",
        .version = "0.1.0",
        .poll_ms = 3600000,
        .seed = 7,
        .on_event = on_event,
        .event_ctx = t,
    };
    t->now = UINT32_MAX - 1000; /* the clock wraps in every test */
    start(t);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *t = *state;

    assert_int_equal(t->slots.opens, t->slots.closes + (t->update.state == OTTER_UPDATE_RECEIVING));
    otter_sha256_free(&t->sha);
    free(t->image);
    free(t);
    return 0;
}

static void count_keep(void *ctx)
{
    ((struct fixture *)ctx)->keeps++;
}

/* Lets time pass until something is to be done. */
static enum otter_fuota_do until_due(struct fixture *t)
{
    t->waited = 0;
    for (int i = 0; i < 1000; i++) {
        uint32_t wait;
        enum otter_fuota_do what = otter_fuota_poll(&t->fuota, t->now, &wait);
        if (what != OTTER_FUOTA_WAIT || wait == OTTER_FUOTA_NEVER) {
            return what;
        }
        t->now += wait;
        t->waited += wait;
    }
    fail_msg("it never comes to anything");
    return OTTER_FUOTA_WAIT;
}

static void give_header(struct fixture *t, const char *line)
{
    char name[64];
    const char *colon = strchr(line, ':');

    snprintf(name, sizeof(name), "%.*s", (int)(colon - line), line);
    otter_fuota_header(&t->fuota, name, colon + 2);
}

static otter_err answer(struct fixture *t, const struct reply *r)
{
    otter_err err = OTTER_OK;

    if (r->status != 0) {
        for (size_t i = 0; i < 6 && r->headers[i] != NULL; i++) {
            give_header(t, r->headers[i]);
        }
        err = otter_fuota_head(&t->fuota, r->status, t->now);
    }
    size_t piece = r->byte_ms != 0 ? 1 : 100;
    for (size_t at = 0; at < r->len && err == OTTER_OK; at += piece) {
        size_t n = r->len - at < piece ? r->len - at : piece;
        t->now += r->byte_ms;
        err = otter_fuota_body(&t->fuota, r->body + at, n, t->now);
    }
    otter_fuota_end(&t->fuota, err != OTTER_OK ? err : r->end, t->now);
    return err;
}

static otter_err answer_text(struct fixture *t, uint16_t status, const char *body)
{
    struct reply r = {.status = status, .body = (const uint8_t *)body, .len = strlen(body)};

    return answer(t, &r);
}

static void assert_asks(struct fixture *t, const char *url)
{
    assert_int_equal(until_due(t), OTTER_FUOTA_ASK);
    assert_string_equal(t->fuota.request.url, url);
}

static void assert_over(struct fixture *t, enum otter_fuota_result result, otter_err err)
{
    assert_int_equal(t->last.kind, OTTER_FUOTA_EVENT_OVER);
    assert_int_equal(t->last.result, result);
    assert_int_equal(t->last.err, err);
    assert_int_equal(t->fuota.result, result);
    assert_int_equal(t->fuota.state, OTTER_FUOTA_IDLE);
    assert_int_not_equal(t->update.state, OTTER_UPDATE_RECEIVING);
}

static void offer(struct fixture *t)
{
    assert_asks(t, CHECK_URL);
    assert_int_equal(answer_text(t, 200, OFFER), OTTER_OK);
    assert_asks(t, FILE_URL);
}

/* A server that does it all right: whole files, ranges, an ETag; cut after `most` bytes. */
static otter_err serve(struct fixture *t, size_t most)
{
    char length[40];
    char range[64];
    size_t from = 0;
    struct reply r = {.status = 200, .headers = {length, "ETag: \"one\""}};

    if (t->fuota.request.range[0] != '\0') {
        assert_int_equal(sscanf(t->fuota.request.range, "bytes=%zu-", &from), 1);
        assert_string_equal(t->fuota.request.if_range, "\"one\"");
        r.status = 206;
        snprintf(range, sizeof(range), "Content-Range: bytes %zu-%zu/%zu", from, t->len - 1,
                 t->len);
        r.headers[2] = range;
    }
    snprintf(length, sizeof(length), "Content-Length: %zu", t->len - from);
    r.body = t->image + from;
    r.len = t->len - from < most ? t->len - from : most;
    r.end = r.len < t->len - from ? OTTER_ERR_LINK : OTTER_OK;
    return answer(t, &r);
}

static void serve_file(struct fixture *t, size_t most)
{
    assert_int_equal(serve(t, most), OTTER_OK);
}

static void assert_updated(struct fixture *t)
{
    assert_int_equal(until_due(t), OTTER_FUOTA_RESTART);
    assert_int_equal(t->last.result, OTTER_FUOTA_UPDATED);
    assert_true(t->slots.selected);
    assert_memory_equal(t->slots.mem, t->image, t->len);
}

/* Whatever went wrong before: with a good server the next attempt succeeds. */
static void assert_next_attempt_works(struct fixture *t)
{
    assert_false(t->slots.selected);
    offer(t);
    assert_string_equal(t->fuota.request.range, "");
    serve_file(t, SIZE_MAX);
    assert_updated(t);
}

/* ---- the usual way ------------------------------------------------------------------------- */

static void updates_as_the_seed_describes(void **state)
{
    struct fixture *t = *state;

    assert_asks(t, CHECK_URL);
    assert_true(t->fuota.request.authorize);
    struct reply r = {.status = 200,
                      .headers = {"Content-Type: text/csv", "Content-Length: 21"},
                      .body = (const uint8_t *)OFFER,
                      .len = strlen(OFFER)};
    assert_int_equal(answer(t, &r), OTTER_OK);
    assert_string_equal(t->file_seen, OFFER);
    assert_asks(t, FILE_URL);
    assert_true(t->fuota.request.authorize);
    serve_file(t, SIZE_MAX);
    assert_updated(t);
    assert_int_equal(t->events[OTTER_FUOTA_EVENT_CHECK], 1);
    assert_int_equal(t->events[OTTER_FUOTA_EVENT_BEGIN], 1);
}

static void not_found_and_no_content_mean_no_update(void **state)
{
    struct fixture *t = *state;

    assert_asks(t, CHECK_URL);
    assert_true(t->waited <= t->config.poll_ms / 10);
    answer_text(t, 404, "<html>not found</html>");
    assert_over(t, OTTER_FUOTA_NO_UPDATE, OTTER_OK);
    assert_asks(t, CHECK_URL);
    assert_in_range(t->waited, 3240000, 3960000); /* an hour, a tenth either way */
    answer_text(t, 204, "");
    assert_over(t, OTTER_FUOTA_NO_UPDATE, OTTER_OK);
    offer(t);
    answer_text(t, 404, "");
    assert_over(t, OTTER_FUOTA_NO_UPDATE, OTTER_OK);
    assert_next_attempt_works(t);
}

static void errors_of_configuration_are_told_apart(void **state)
{
    struct fixture *t = *state;
    static const uint16_t status[] = {400, 401, 403};

    for (size_t i = 0; i < 3; i++) {
        assert_asks(t, CHECK_URL);
        answer_text(t, status[i], "");
        assert_over(t, OTTER_FUOTA_PARAMETER_ERROR, OTTER_ERR_REFUSED);
        assert_int_equal(t->last.status, status[i]);
    }
    offer(t);
    answer_text(t, 403, "");
    assert_over(t, OTTER_FUOTA_PARAMETER_ERROR, OTTER_ERR_REFUSED);
    assert_next_attempt_works(t);
}

static void checks_when_asked_only(void **state)
{
    struct fixture *t = *state;

    t->config.poll_ms = 0;
    start(t);
    assert_int_equal(until_due(t), OTTER_FUOTA_WAIT);
    otter_fuota_check(&t->fuota);
    assert_asks(t, CHECK_URL);
    answer_text(t, 503, "");
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_PROTOCOL);
    assert_in_range(t->last.wait_ms, 2500, 5000); /* advice */
    assert_int_equal(until_due(t), OTTER_FUOTA_WAIT);
    otter_fuota_check(&t->fuota);
    assert_next_attempt_works(t);
}

static void cancels_at_any_time(void **state)
{
    struct fixture *t = *state;

    otter_fuota_cancel(&t->fuota, t->now);
    assert_int_equal(t->last.kind, OTTER_FUOTA_EVENT_CHECK); /* nothing yet: kind 0 */
    assert_asks(t, CHECK_URL);
    otter_fuota_cancel(&t->fuota, t->now);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_CANCELLED);
    offer(t);
    otter_fuota_cancel(&t->fuota, t->now);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_CANCELLED);
    offer(t);
    serve_file(t, 5000);
    assert_int_equal(t->fuota.state, OTTER_FUOTA_PAUSE);
    otter_fuota_cancel(&t->fuota, t->now);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_CANCELLED);
    offer(t);
    serve_file(t, SIZE_MAX);
    assert_int_equal(t->fuota.state, OTTER_FUOTA_FINISHING);
    otter_fuota_cancel(&t->fuota, t->now);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_CANCELLED);
    otter_fuota_end(&t->fuota, OTTER_OK, t->now); /* a late end of something forgotten */
    assert_next_attempt_works(t);
}

static void urls_are_escaped_and_bounded(void **state)
{
    struct fixture *t = *state;
    char longest[OTTER_FUOTA_URL_MAX];
    const char *bad[] = {"", ".", "..", "a/b", "a\"b", "a\nb"};

    t->config.device_id = "a0:b1 #2%3?\xC3\xA9";
    t->config.version = "v1.0:2+dirty&x=1";
    start(t);
    assert_asks(t, SERVER "/devices/a0:b1%20%232%253%3F%C3%A9?app_ver=v1.0:2%2Bdirty%26x%3D1");

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        t->config.device_id = bad[i];
        assert_int_equal(otter_fuota_init(&t->fuota, &t->config, 0), OTTER_ERR_ARG);
    }
    t->config.device_id = "1";
    t->config.version = longest;
    size_t room = OTTER_FUOTA_URL_MAX - strlen(SERVER "/devices/1?app_ver=");
    memset(longest, 'v', room + 1);
    longest[room + 1] = '\0';
    assert_int_equal(otter_fuota_init(&t->fuota, &t->config, 0), OTTER_ERR_LENGTH);
    longest[room] = '\0';
    start(t);
    assert_int_equal(until_due(t), OTTER_FUOTA_ASK);
    assert_int_equal(strlen(t->fuota.request.url), OTTER_FUOTA_URL_MAX);
}

static void only_https_servers(void **state)
{
    struct fixture *t = *state;
    const char *bad[] = {"http://host", "https://", "host", "https://user@host", "https://h h", ""};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        t->config.server = bad[i];
        assert_int_equal(otter_fuota_init(&t->fuota, &t->config, 0), OTTER_ERR_ARG);
    }
    t->config.server = "https://[fd00::1]:443/ota";
    start(t);
    assert_asks(t, "https://[fd00::1]:443/ota/devices/00001?app_ver=0.1.0");
}

/* ---- rows of FAULTS.md ---------------------------------------------------------------------- */

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

static void H03_redirects(void **state)
{
    struct fixture *t = *state;
    struct reply r = {.status = 302, .headers = {"Location: /elsewhere?x=1#y"}};

    /* On the same server: credentials go along. */
    assert_asks(t, CHECK_URL);
    (void)answer(t, &r);
    assert_asks(t, SERVER "/elsewhere?x=1");
    assert_true(t->fuota.request.authorize);
    /* To another: they do not, and they come back when it leads back. */
    r.headers[0] = "LOCATION: https://cdn.example/fw";
    (void)answer(t, &r);
    assert_asks(t, "https://cdn.example/fw");
    assert_false(t->fuota.request.authorize);
    r.headers[0] = "Location: https://192.168.1.41:50001/fw";
    (void)answer(t, &r);
    assert_int_equal(until_due(t), OTTER_FUOTA_ASK);
    assert_false(t->fuota.request.authorize);
    r.headers[0] = "Location: " SERVER "/fw";
    (void)answer(t, &r);
    assert_asks(t, SERVER "/fw");
    assert_true(t->fuota.request.authorize);
    answer_text(t, 200, OFFER);
    assert_asks(t, FILE_URL);

    /* Downloads are redirected alike, and a resumed one begins at the server again. */
    r.headers[0] = "Location: https://cdn.example/fw";
    (void)answer(t, &r);
    assert_asks(t, "https://cdn.example/fw");
    serve_file(t, 5000);
    assert_asks(t, FILE_URL);
    assert_string_equal(t->fuota.request.range, "bytes=5000-");
    (void)answer(t, &r);
    assert_asks(t, "https://cdn.example/fw");
    assert_string_equal(t->fuota.request.range, "bytes=5000-");
    serve_file(t, SIZE_MAX);
    assert_updated(t);
}

static void H03_redirects_that_are_refused(void **state)
{
    struct fixture *t = *state;
    char far[700] = "Location: https://h/";
    const char *bad[] = {"Location: http://192.168.1.41:50000/x",
                         "Location: //other/x",
                         "Location: ftp://other/x",
                         "Location: x",
                         "Location: https://user:pw@other/x",
                         "Location: https:///x",
                         "Location: https://other/a b",
                         far};

    memset(far + strlen(far), 'x', 600);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct reply r = {.status = 307, .headers = {bad[i]}};
        assert_asks(t, CHECK_URL);
        (void)answer(t, &r);
        assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_PROTOCOL);
    }
    assert_asks(t, CHECK_URL); /* without any */
    answer_text(t, 301, "");
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_PROTOCOL);

    struct reply loop = {.status = 308, .headers = {"Location: /again"}};
    assert_asks(t, CHECK_URL);
    for (unsigned i = 0; i < OTTER_FUOTA_REDIRECTS; i++) {
        (void)answer(t, &loop);
        assert_asks(t, SERVER "/again");
    }
    (void)answer(t, &loop);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_PROTOCOL);
    assert_next_attempt_works(t);
}

static void H04_a_certificate_that_is_not_good(void **state)
{
    struct fixture *t = *state;
    struct reply r = {.end = OTTER_ERR_REFUSED};

    assert_asks(t, CHECK_URL);
    (void)answer(t, &r);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_REFUSED);
    assert_int_equal(t->last.status, 0);
    assert_next_attempt_works(t);
}

static void H06_one_byte_a_second(void **state)
{
    struct fixture *t = *state;
    struct reply r = {.status = 200, .body = t->image, .len = t->len, .byte_ms = 1000};
    struct reply drip = {
        .status = 200, .body = (const uint8_t *)OFFER OFFER, .len = 42, .byte_ms = 1000};

    assert_asks(t, CHECK_URL);
    assert_int_equal(answer(t, &drip), OTTER_ERR_TIMEOUT);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_TIMEOUT);

    offer(t);
    uint32_t before = t->now;
    assert_int_equal(answer(t, &r), OTTER_ERR_TIMEOUT);
    assert_in_range(t->now - before, 29000, 31000);
    assert_int_equal(t->last.kind, OTTER_FUOTA_EVENT_PAUSE);
    otter_fuota_cancel(&t->fuota, t->now);
    assert_next_attempt_works(t);
}

/* The same for clients that do not block: poll() says when to stop. */
static void H06_silence(void **state)
{
    struct fixture *t = *state;

    assert_asks(t, CHECK_URL);
    assert_int_equal(until_due(t), OTTER_FUOTA_STOP);
    assert_int_equal(t->waited, 30000);
    otter_fuota_end(&t->fuota, OTTER_ERR_LINK, t->now);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_TIMEOUT);

    offer(t);
    give_header(t, "Content-Length: 9000");
    assert_int_equal(otter_fuota_head(&t->fuota, 200, t->now), OTTER_OK);
    assert_int_equal(otter_fuota_body(&t->fuota, t->image, 8000, t->now), OTTER_OK);
    assert_int_equal(until_due(t), OTTER_FUOTA_STOP);
    assert_in_range(t->waited, 59000, 61000); /* 8000 bytes were enough for one window */
    otter_fuota_end(&t->fuota, OTTER_ERR_LINK, t->now);
    assert_int_equal(t->last.kind, OTTER_FUOTA_EVENT_PAUSE);
    assert_int_equal(t->last.err, OTTER_ERR_TIMEOUT);
    assert_asks(t, FILE_URL);
    assert_string_equal(t->fuota.request.range, "bytes=8000-");
    otter_fuota_cancel(&t->fuota, t->now);
    assert_next_attempt_works(t);
}

static void H07_backs_off_with_jitter(void **state)
{
    struct fixture *t = *state;
    static const uint16_t status[] = {429, 500, 502, 503, 0};
    uint32_t least = 2500;
    unsigned different = 0;

    assert_asks(t, CHECK_URL);
    for (unsigned i = 0; i < 20; i++) {
        struct reply r = {.status = status[i % 5], .end = OTTER_ERR_LINK};
        (void)answer(t, &r);
        assert_int_equal(t->fuota.result, OTTER_FUOTA_CONNECTION_ERROR);
        assert_asks(t, CHECK_URL);
        assert_in_range(t->waited, least, least * 2);
        different += t->waited != least && t->waited != least * 2;
        least = least * 2 < 1800000 ? least * 2 : 1800000;
    }
    assert_true(different >= 18);
    answer_text(t, 204, ""); /* and then all is well again */
    assert_asks(t, CHECK_URL);
    answer_text(t, 503, "");
    assert_asks(t, CHECK_URL);
    assert_in_range(t->waited, 2500, 5000);

    /* Devices that differ by one do not come at the same time. */
    uint32_t first[2];
    for (uint32_t i = 0; i < 2; i++) {
        t->config.seed = i;
        start(t);
        (void)until_due(t);
        first[i] = t->waited;
    }
    assert_int_not_equal(first[0] / 1000, first[1] / 1000);
}

static void H07_honours_retry_after(void **state)
{
    struct fixture *t = *state;
    struct {
        const char *retry;
        uint32_t least, most;
    } row[] = {
        {"Retry-After: 120", 120000, 132000},
        {"Retry-After: 99999999999", 3600000, 3960000},
        {"Retry-After: 4000", 3600000, 3960000},
        {"Retry-After: 0", 2500, 5000},
        {"Retry-After: soon", 2500, 5000},
        {"Retry-After: -5", 2500, 5000},
        {"Retry-After: Fri, 31 Dec 1999 23:59:59 GMT", 599000, 660000},
        {"Retry-After: Sun, 06 Nov 1994 08:49:37 GMT", 2500, 5000}, /* gone by */
        {"Retry-After: Fri, 31 Xyz 1999 23:59:59 GMT", 2500, 5000},
    };

    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct reply r = {.status = 503,
                          .headers = {row[i].retry, "Date: Fri, 31 Dec 1999 23:50:00 GMT"}};
        start(t);
        assert_asks(t, CHECK_URL);
        (void)answer(t, &r);
        assert_asks(t, CHECK_URL);
        assert_in_range(t->waited, row[i].least, row[i].most);
    }

    /* With "no update" it is the server's word on the polling interval, where that is longer. */
    struct reply later = {.status = 204, .headers = {"Retry-After: 3600"}};
    t->config.poll_ms = 5000;
    start(t);
    assert_asks(t, CHECK_URL);
    (void)answer(t, &later);
    assert_asks(t, CHECK_URL);
    assert_in_range(t->waited, 3600000, 3960000);

    /* In the middle of a download: a short time is waited, a long one ends the attempt. */
    struct reply busy = {.status = 503, .headers = {"Retry-After: 30"}};
    answer_text(t, 200, OFFER);
    assert_asks(t, FILE_URL);
    serve_file(t, 5000);
    assert_asks(t, FILE_URL);
    (void)answer(t, &busy);
    assert_asks(t, FILE_URL);
    assert_in_range(t->waited, 30000, 33000);
    assert_string_equal(t->fuota.request.range, "bytes=5000-");
    busy.headers[0] = "Retry-After: 600";
    (void)answer(t, &busy);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_PROTOCOL);
    assert_in_range(t->last.wait_ms, 600000, 660000);
    assert_next_attempt_works(t);
}

static void H08_a_page_instead_of_an_image(void **state)
{
    struct fixture *t = *state;
    static const char page[] = "<!DOCTYPE html><html><body>Log in to the guest network</body>";

    offer(t);
    assert_int_equal(answer_text(t, 200, page), OTTER_ERR_IMAGE_MAGIC);
    assert_over(t, OTTER_FUOTA_SYSTEM_ERROR, OTTER_ERR_IMAGE_MAGIC);
    assert_int_equal(t->slots.erases, 0);
    assert_next_attempt_works(t);
}

static void H09_larger_than_the_slot_and_endless(void **state)
{
    struct fixture *t = *state;
    struct reply r = {
        .status = 200, .headers = {"Content-Length: 32769"}, .body = t->image, .len = t->len};

    offer(t);
    assert_int_equal(answer(t, &r), OTTER_ERR_TOO_LARGE);
    assert_over(t, OTTER_FUOTA_SYSTEM_ERROR, OTTER_ERR_TOO_LARGE);
    assert_int_equal(t->slots.erases, 0);

    offer(t);
    uint32_t wait;
    otter_err err = otter_fuota_head(&t->fuota, 200, t->now);
    assert_int_equal(err, OTTER_OK);
    err = otter_fuota_body(&t->fuota, t->image, t->len, t->now);
    for (size_t sent = 0; err == OTTER_OK && sent < 0x100000; sent += sizeof(t->buf)) {
        uint8_t more[512] = {0};
        err = otter_fuota_body(&t->fuota, more, sizeof(more), t->now);
    }
    assert_int_equal(err, OTTER_ERR_TRAILING);
    otter_fuota_end(&t->fuota, OTTER_ERR_LINK, t->now);
    assert_over(t, OTTER_FUOTA_SYSTEM_ERROR, OTTER_ERR_TRAILING);
    assert_int_equal(otter_fuota_poll(&t->fuota, t->now, &wait), OTTER_FUOTA_WAIT);
    assert_next_attempt_works(t);
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

static void H11_paths(void **state)
{
    struct fixture *t = *state;
    char long_path[4097];
    struct {
        const char *body;
        const char *url; /* NULL: refused */
    } row[] = {
        {"", NULL},
        {"\r\n", NULL},
        {"a\"b", NULL},
        {"\"a\"", NULL},
        {"..", NULL},
        {"../data/devices.db", NULL},
        {"a/../b", NULL},
        {"a/..", NULL},
        {"a/./b", NULL},
        {"a\tb", NULL},
        {"a\x7F", NULL},
        {"a\\b", NULL},
        {"a\nb", NULL},
        {"<html>\n<body>", NULL},
        {"a.bin\n", SERVER "/files/a.bin"},
        {"a.bin\r\n", SERVER "/files/a.bin"},
        {"dir/a..b/c:1.bin", SERVER "/files/dir/a..b/c:1.bin"},
        {"a b?c#d%2e&'", SERVER "/files/a%20b%3Fc%23d%252e%26%27"},
        {"\xC3\xA9", SERVER "/files/%C3%A9"},
    };

    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        start(t);
        assert_asks(t, CHECK_URL);
        answer_text(t, 200, row[i].body);
        if (row[i].url == NULL) {
            assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_PROTOCOL);
            assert_string_equal(t->fuota.file, ""); /* nothing stale */
        } else {
            assert_asks(t, row[i].url);
        }
    }
    memset(long_path, 'a', sizeof(long_path) - 1);
    for (size_t len = 250; len <= 4096; len += len < 260 ? 1 : 3836) {
        start(t);
        assert_asks(t, CHECK_URL);
        long_path[4096] = '\0';
        answer_text(t, 200, long_path + 4096 - len);
        if (len <= 255) {
            assert_int_equal(until_due(t), OTTER_FUOTA_ASK);
            assert_int_equal(strlen(t->fuota.request.url), strlen(SERVER "/files/") + len);
        } else {
            assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_LENGTH);
        }
    }
    /* 255 bytes that become three times as many. */
    memset(long_path, ' ', 255);
    long_path[255] = '\0';
    start(t);
    assert_asks(t, CHECK_URL);
    answer_text(t, 200, long_path);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_LENGTH);

    struct reply nul = {.status = 200, .body = (const uint8_t *)"a\0b", .len = 3};
    assert_asks(t, CHECK_URL);
    assert_int_equal(answer(t, &nul), OTTER_ERR_LENGTH);
    struct reply cut = {
        .status = 200, .body = (const uint8_t *)"esp32-fuo", .len = 9, .end = OTTER_ERR_LINK};
    assert_asks(t, CHECK_URL);
    (void)answer(t, &cut);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_LINK);
    assert_next_attempt_works(t);
}

static void H12_gone_between_check_and_download(void **state)
{
    struct fixture *t = *state;
    struct reply gone = {.end = OTTER_ERR_LINK};

    offer(t);
    for (int i = 1; i < 5; i++) {
        (void)answer(t, &gone);
        assert_asks(t, FILE_URL);
    }
    (void)answer(t, &gone);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_LINK);
    assert_int_equal(t->slots.opens, 0);
    assert_next_attempt_works(t);
}

/* ---- the rest ------------------------------------------------------------------------------- */

static void another_transport_is_updating(void **state)
{
    struct fixture *t = *state;
    struct otter_update_transport other = {.update = &t->update};
    struct otter_sink sink = otter_update_sink(&other);

    assert_int_equal(sink.ops->begin(sink.ctx, OTTER_LENGTH_UNKNOWN), OTTER_OK);
    offer(t);
    struct reply r = {.status = 200, .body = t->image, .len = t->len};
    assert_int_equal(answer(t, &r), OTTER_ERR_BUSY);
    assert_int_equal(t->last.result, OTTER_FUOTA_SYSTEM_ERROR);
    assert_int_equal(t->update.state, OTTER_UPDATE_RECEIVING); /* the other's, undisturbed */
    sink.ops->abort(sink.ctx);
    assert_next_attempt_works(t);
}

static void flash_fails(void **state)
{
    struct fixture *t = *state;
    struct reply r = {.status = 200, .body = t->image, .len = t->len};

    t->slots.fail_write = 3;
    offer(t);
    assert_int_equal(answer(t, &r), OTTER_ERR_FLASH_WRITE);
    assert_over(t, OTTER_FUOTA_SYSTEM_ERROR, OTTER_ERR_FLASH_WRITE);
    t->slots.fail_read = 1;
    offer(t);
    assert_int_equal(answer(t, &r), OTTER_OK);
    assert_asks(t, CHECK_URL);
    answer_text(t, 204, "");
    assert_next_attempt_works(t);
}

static void a_compressed_body_is_not_firmware(void **state)
{
    struct fixture *t = *state;
    struct reply r = {
        .status = 200, .headers = {"Content-Encoding: gzip"}, .body = t->image, .len = t->len};

    offer(t);
    assert_int_equal(answer(t, &r), OTTER_ERR_PROTOCOL);
    assert_asks(t, FILE_URL);
    r.headers[0] = "Content-Encoding: identity";
    assert_int_equal(answer(t, &r), OTTER_OK);
    assert_updated(t);
}

/* Weak and over-long ETags cannot vouch for a range; then the digest alone decides. */
static void etags_that_are_of_no_use(void **state)
{
    struct fixture *t = *state;
    char long_tag[100] = "ETag: \"";
    const char *tags[] = {"ETag: W/\"one\"", long_tag, "ETag: one", "ETag: \""};

    memset(long_tag + 7, 'x', 80);
    strcpy(long_tag + 87, "\"");
    for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
        struct reply r = {.status = 200,
                          .headers = {tags[i]},
                          .body = t->image,
                          .len = 4100,
                          .end = OTTER_ERR_LINK};
        start(t);
        otter_update_abort(&t->update);
        offer(t);
        (void)answer(t, &r);
        assert_asks(t, FILE_URL);
        assert_string_equal(t->fuota.request.range, "bytes=4100-");
        assert_string_equal(t->fuota.request.if_range, "");
    }
}

static void dates_count_as_the_calendar_does(void **state)
{
    struct {
        const char *text;
        int64_t seconds;
    } row[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Thu, 01 Jan 1970 00:00:01 GMT", 1},
        {"Tue, 29 Feb 2000 12:00:00 GMT", 951825600},
        {"Wed, 31 Dec 2098 23:59:59 GMT", 4070908799},
        {"Sun, 06 Nov 1994", 0},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 0},
        {"", 0},
        {"Sun, 99 Nov 1994 08:49:37 GMT", 0},
        {"Sun, 06 Nov 1994 08:49:37 CET", 0},
        {"Sun, 06", 0},
    };

    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct otter_fuota_head head = {0};
        otter_fuota_read_header(&head, "date", row[i].text);
        assert_int_equal(head.date, row[i].seconds);
    }
}

/* docs/protocols/fuota.md shows the rows that the code runs by, all of them and in order. */
static void the_page_shows_the_table(void **state)
{
#define ROW(s, e, act, n, x) {#s, #e, #act, #n, #x},
    static const char *const rows[][5] = {OTTER_FUOTA_ROWS(ROW)};
    static char page[32768];
    FILE *file = fopen("../docs/protocols/fuota.md", "r"); /* tests run in the build folder */

    assert_non_null(file);
    page[fread(page, 1, sizeof(page) - 1, file)] = '\0';
    fclose(file);
    const char *at = strstr(page, "| state | event | action |");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char line[200];
        const char *action = strcmp(rows[i][2], "nothing") == 0 ? "\xE2\x80\x94" : rows[i][2];
        snprintf(line, sizeof(line), "| %s | %s | %s | %s | %s |\n", rows[i][0], rows[i][1], action,
                 rows[i][3], rows[i][4]);
        for (char *c = line; *c != '\0'; c++) {
            *c = *c == '_' ? ' ' : *c;
        }
        assert_non_null(at);
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
        CASE(updates_as_the_seed_describes),
        CASE(not_found_and_no_content_mean_no_update),
        CASE(errors_of_configuration_are_told_apart),
        CASE(checks_when_asked_only),
        CASE(cancels_at_any_time),
        CASE(urls_are_escaped_and_bounded),
        CASE(only_https_servers),
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
        CASE(H03_redirects),
        CASE(H03_redirects_that_are_refused),
        CASE(H04_a_certificate_that_is_not_good),
        CASE(H06_one_byte_a_second),
        CASE(H06_silence),
        CASE(H07_backs_off_with_jitter),
        CASE(H07_honours_retry_after),
        CASE(H08_a_page_instead_of_an_image),
        CASE(H09_larger_than_the_slot_and_endless),
        CASE(H10_ranges_that_do_not_fit),
        CASE(H10_whole_file_or_another_one),
        CASE(H10_a_range_without_request),
        CASE(H11_paths),
        CASE(H12_gone_between_check_and_download),
        CASE(another_transport_is_updating),
        CASE(flash_fails),
        CASE(a_compressed_body_is_not_firmware),
        CASE(etags_that_are_of_no_use),
        cmocka_unit_test(the_page_shows_the_table),
        cmocka_unit_test(dates_count_as_the_calendar_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
