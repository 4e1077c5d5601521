/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/fuota_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/image_build.h"
#include "proto/fuota/rows.h"

static void on_event(void *ctx, const struct otter_fuota_event *event)
{
    struct fixture *t = ctx;

    t->events[event->kind]++;
    t->last = *event;
    strcpy(t->file_seen, event->file);
}

void start(struct fixture *t)
{
    assert_int_equal(otter_fuota_init(&t->fuota, &t->config, t->now), OTTER_OK);
}

int setup(void **state)
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

int teardown(void **state)
{
    struct fixture *t = *state;

    assert_int_equal(t->slots.opens, t->slots.closes + (t->update.state == OTTER_UPDATE_RECEIVING));
    otter_sha256_free(&t->sha);
    free(t->image);
    free(t);
    return 0;
}

void count_keep(void *ctx)
{
    ((struct fixture *)ctx)->keeps++;
}

enum otter_fuota_do until_due(struct fixture *t)
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

void give_header(struct fixture *t, const char *line)
{
    char name[64];
    const char *colon = strchr(line, ':');

    snprintf(name, sizeof(name), "%.*s", (int)(colon - line), line);
    otter_fuota_header(&t->fuota, name, colon + 2);
}

otter_err answer(struct fixture *t, const struct reply *r)
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

otter_err answer_text(struct fixture *t, uint16_t status, const char *body)
{
    struct reply r = {.status = status, .body = (const uint8_t *)body, .len = strlen(body)};

    return answer(t, &r);
}

void assert_asks(struct fixture *t, const char *url)
{
    assert_int_equal(until_due(t), OTTER_FUOTA_ASK);
    assert_string_equal(t->fuota.request.url, url);
}

void assert_over(struct fixture *t, enum otter_fuota_result result, otter_err err)
{
    assert_int_equal(t->last.kind, OTTER_FUOTA_EVENT_OVER);
    assert_int_equal(t->last.result, result);
    assert_int_equal(t->last.err, err);
    assert_int_equal(t->fuota.result, result);
    assert_int_equal(t->fuota.state, OTTER_FUOTA_IDLE);
    assert_int_not_equal(t->update.state, OTTER_UPDATE_RECEIVING);
}

void offer(struct fixture *t)
{
    assert_asks(t, CHECK_URL);
    assert_int_equal(answer_text(t, 200, OFFER), OTTER_OK);
    assert_asks(t, FILE_URL);
}

otter_err serve(struct fixture *t, size_t most)
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

void serve_file(struct fixture *t, size_t most)
{
    assert_int_equal(serve(t, most), OTTER_OK);
}

void assert_updated(struct fixture *t)
{
    assert_int_equal(until_due(t), OTTER_FUOTA_RESTART);
    assert_int_equal(t->last.result, OTTER_FUOTA_UPDATED);
    assert_true(t->slots.selected);
    assert_memory_equal(t->slots.mem, t->image, t->len);
}

void assert_next_attempt_works(struct fixture *t)
{
    assert_false(t->slots.selected);
    offer(t);
    assert_string_equal(t->fuota.request.range, "");
    serve_file(t, SIZE_MAX);
    assert_updated(t);
}
