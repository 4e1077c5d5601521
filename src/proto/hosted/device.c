/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device half. A request goes through the table in device_rows.h; its answer leaves when the row,
 * or the steps it started, are done. Until then no input is taken.
 */
#include <string.h>

#include "base/fsm.h"
#include "proto/hosted/device_rows.h"
#include "proto/hosted/wire.h"

enum event { ON_BEGIN, ON_WRITE, ON_END, ON_STEP, ON_SILENCE, ON_RESTART };

static otter_err begin(void *machine, void *arg)
{
    struct otter_hosted_device *d = machine;

    return d->config.sink.ops->begin(d->config.sink.ctx, OTTER_LENGTH_UNKNOWN);
}

static otter_err take_chunk(void *machine, void *arg)
{
    struct otter_hosted_device *d = machine;
    const struct otter_hosted_message *m = arg;

    if (m->data_len > OTTER_HOSTED_CHUNK_MAX) {
        return OTTER_ERR_LENGTH;
    }
    d->chunk = m->data;
    d->chunk_left = m->data_len;
    return OTTER_OK;
}

static otter_err write_step(void *machine, void *arg)
{
    struct otter_hosted_device *d = machine;
    size_t used = 0;

    if (d->chunk_left == 0) {
        return OTTER_OK;
    }
    otter_err err = d->config.sink.ops->write(d->config.sink.ctx, d->chunk, d->chunk_left, &used);
    d->chunk += used;
    d->chunk_left -= used;
    return err == OTTER_OK && d->chunk_left > 0 ? OTTER_ERR_AGAIN : err;
}

static otter_err check_step(void *machine, void *arg)
{
    struct otter_hosted_device *d = machine;

    return d->config.sink.ops->finish(d->config.sink.ctx);
}

static otter_err give_up(void *machine, void *arg)
{
    struct otter_hosted_device *d = machine;

    d->config.sink.ops->abort(d->config.sink.ctx);
    return OTTER_OK;
}

static otter_err restart(void *machine, void *arg)
{
    struct otter_hosted_device *d = machine;

    d->config.restart(d->config.restart_ctx);
    return OTTER_OK;
}

#define nothing NULL
#define ROW(s, e, act, n, f) {OTTER_HOSTED_##s, ON_##e, OTTER_HOSTED_##n, OTTER_HOSTED_##f, act},
static const struct otter_fsm_row rows[] = {OTTER_HOSTED_DEVICE_ROWS(ROW)};
static const struct otter_fsm machine = {rows, sizeof(rows) / sizeof(rows[0]), OTTER_ERR_STATE};

otter_err otter_hosted_device_init(struct otter_hosted_device *d,
                                   const struct otter_hosted_config *config)
{
    const char *name = config->version.name;

    if (config->buf == NULL || config->buf_size < OTTER_HOSTED_DATA_MAX ||
        config->buf_size > UINT16_MAX || config->restart == NULL ||
        (name != NULL && strlen(name) > OTTER_HOSTED_NAME_MAX)) {
        return OTTER_ERR_ARG;
    }
    *d = (struct otter_hosted_device){.config = *config};
    otter_hosted_decoder_init(&d->decoder, config->buf, config->buf_size);
    return OTTER_OK;
}

static bool working(const struct otter_hosted_device *d)
{
    return d->state == OTTER_HOSTED_WRITING || d->state == OTTER_HOSTED_CHECKING;
}

/* Puts a message where _output() finds it. */
static void put(struct otter_hosted_device *d, const struct otter_hosted_message *m)
{
    size_t len = 0;

    /* The buffer holds the longest response there is. */
    if (otter_hosted_encode(m, d->reply, sizeof(d->reply), &len) == OTTER_OK) {
        d->reply_len = (uint8_t)len;
        d->reply_sent = 0;
    }
}

void otter_hosted_device_hello(struct otter_hosted_device *d)
{
    const struct otter_hosted_message m = {
        .type = OTTER_HOSTED_EVENT, .id = OTTER_HOSTED_EVENT_ESP_INIT, .has_payload = true};

    if (d->reply_len == 0 && !working(d)) {
        put(d, &m);
    }
}

/* Answers the request in hand. */
static void answer(struct otter_hosted_device *d, otter_err err)
{
    const struct otter_hosted_version *v = &d->config.version;
    struct otter_hosted_message m = {
        .type = OTTER_HOSTED_RESPONSE,
        .id = (uint16_t)(d->msg_id + OTTER_HOSTED_RESPONSE_OFFSET),
        .uid = d->uid,
        .req_resp_type = d->req_resp_type,
        .resp = err,
        .has_payload = true,
    };

    if (d->msg_id == OTTER_HOSTED_GET_VERSION) {
        m.data = (const uint8_t *)v->name;
        m.data_len = v->name != NULL ? strlen(v->name) : 0;
        memcpy(m.version,
               (uint32_t[]){v->major1, v->major2, v->minor, v->rev_patch1, v->rev_patch2},
               sizeof(m.version));
    } else if (d->msg_id < OTTER_HOSTED_BEGIN || d->msg_id > OTTER_HOSTED_END) {
        m.has_payload = false; /* a request of no update: the host need not wait for nothing */
    }
    put(d, &m);
    otter_hosted_decoder_next(&d->decoder);
}

/* Runs an event; answers the request in hand when that is done. */
static void run(struct otter_hosted_device *d, enum event event, struct otter_hosted_message *m,
                uint32_t now)
{
    otter_err err = otter_fsm_event(&machine, &d->state, (uint8_t)event, d, m);

    if (err != OTTER_ERR_AGAIN && !working(d)) {
        if (d->state != OTTER_HOSTED_RESTARTING || event == ON_STEP) {
            d->since = now; /* a request that is refused does not put the restart off */
        }
        answer(d, err);
    }
}

static void request(struct otter_hosted_device *d, uint32_t now)
{
    struct otter_hosted_message m;
    otter_err err = otter_hosted_decode(&m, d->config.buf, d->decoder.got);

    if (d->decoder.status == OTTER_HOSTED_FRAME_TOO_LONG) {
        err = OTTER_ERR_LENGTH;
    } else if (err == OTTER_OK && m.id == OTTER_HOSTED_WRITE && !m.has_payload) {
        err = OTTER_ERR_PROTOCOL; /* the others have nothing in theirs, and hosts leave it out */
    }
    /* The published C host leaves the type out, too. */
    if (m.type > OTTER_HOSTED_REQUEST || m.id < OTTER_HOSTED_REQUEST_FIRST ||
        m.id > OTTER_HOSTED_REQUEST_LAST || d->decoder.events) {
        otter_hosted_decoder_next(&d->decoder);
        return;
    }
    d->msg_id = m.id;
    d->uid = m.uid;
    d->req_resp_type = m.req_resp_type;
    if (err == OTTER_OK && m.id >= OTTER_HOSTED_BEGIN && m.id <= OTTER_HOSTED_END) {
        run(d, (enum event)(ON_BEGIN + (m.id - OTTER_HOSTED_BEGIN)), &m, now);
    } else {
        answer(d, err);
    }
}

size_t otter_hosted_device_input(struct otter_hosted_device *d, const uint8_t *data, size_t len,
                                 uint32_t now)
{
    size_t used = 0;

    if (otter_hosted_decoder_inside(&d->decoder) && now - d->frame_at > OTTER_HOSTED_GAP_MS) {
        otter_hosted_decoder_next(&d->decoder);
    }
    while (used < len && !working(d) && d->reply_len == 0) {
        used += otter_hosted_decoder_feed(&d->decoder, data + used, len - used);
        if (d->decoder.status != OTTER_HOSTED_FRAME_NONE) {
            request(d, now);
        }
    }
    d->frame_at = used > 0 ? now : d->frame_at;
    return used;
}

/* What is left of a time that began at since; 0: it is over. */
static uint32_t left(uint32_t since, uint32_t ms, uint32_t now)
{
    return now - since < ms ? ms - (now - since) : 0;
}

/* Runs event when the time is over. */
static uint32_t timer(struct otter_hosted_device *d, enum event event, uint32_t ms, uint32_t now)
{
    uint32_t wait = left(d->since, ms, now);

    if (wait > 0) {
        return wait;
    }
    return otter_fsm_event(&machine, &d->state, (uint8_t)event, d, NULL) == OTTER_OK
               ? OTTER_HOSTED_NEVER
               : 0;
}

uint32_t otter_hosted_device_poll(struct otter_hosted_device *d, uint32_t now)
{
    if (working(d)) {
        run(d, ON_STEP, NULL, now);
        return 0;
    }
    if (d->state == OTTER_HOSTED_RESTARTING) {
        /* The answer should leave first, but a host that went away cannot hold the restart up. */
        uint32_t more = d->reply_len > 0 ? OTTER_HOSTED_GAP_MS : 0;

        return timer(d, ON_RESTART, d->config.restart_ms + more, now);
    }
    if (d->state == OTTER_HOSTED_RECEIVING) {
        return timer(d, ON_SILENCE, d->config.silence_ms, now);
    }
    return OTTER_HOSTED_NEVER;
}

size_t otter_hosted_device_output(const struct otter_hosted_device *d, const uint8_t **data)
{
    *data = d->reply + d->reply_sent;
    return (size_t)d->reply_len - d->reply_sent;
}

void otter_hosted_device_sent(struct otter_hosted_device *d, size_t len)
{
    d->reply_sent = (uint8_t)(d->reply_sent + len);
    if (d->reply_sent >= d->reply_len) {
        d->reply_len = 0;
        d->reply_sent = 0;
    }
}

void otter_hosted_device_link_lost(struct otter_hosted_device *d)
{
    d->reply_len = 0;
    d->reply_sent = 0;
    if (!working(d)) {
        otter_hosted_decoder_next(&d->decoder);
    }
}
