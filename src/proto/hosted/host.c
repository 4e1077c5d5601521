/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/hosted/host.h"

#include "base/fsm.h"

#define BUF_MIN 512u

enum event { ON_REQUEST, ON_RESPONSE, ON_TIMEOUT, ON_DROP };

/* These return the request's result. arg is the response. */
static otter_err take_response(void *machine, void *arg)
{
    struct otter_hosted_host *h = machine;
    const struct otter_hosted_message *m = arg;

    h->answer = *m;
    if (!m->has_payload) {
        return OTTER_ERR_PROTOCOL;
    }
    return m->resp == 0 ? OTTER_OK : OTTER_ERR_REFUSED;
}

static otter_err time_out(void *machine, void *arg)
{
    const struct otter_hosted_host *h = machine;

    return h->heard > 0 ? OTTER_ERR_PROTOCOL : OTTER_ERR_TIMEOUT;
}

static otter_err drop(void *machine, void *arg)
{
    return OTTER_ERR_CANCELLED;
}

#define IDLE OTTER_HOSTED_HOST_IDLE
#define WAITING OTTER_HOSTED_HOST_WAITING
static const struct otter_fsm_row rows[] = {
    {IDLE, ON_REQUEST, WAITING, IDLE, NULL},
    {WAITING, ON_RESPONSE, IDLE, IDLE, take_response},
    {WAITING, ON_TIMEOUT, IDLE, IDLE, time_out},
    {WAITING, ON_DROP, IDLE, IDLE, drop},
};
static const struct otter_fsm machine = {rows, sizeof(rows) / sizeof(rows[0]), OTTER_ERR_STATE};

otter_err otter_hosted_host_init(struct otter_hosted_host *h,
                                 const struct otter_hosted_host_config *config)
{
    if (config->buf == NULL || config->buf_size < BUF_MIN || config->buf_size > UINT16_MAX) {
        return OTTER_ERR_ARG;
    }
    *h = (struct otter_hosted_host){.config = *config, .uid = config->first_uid};
    otter_hosted_decoder_init(&h->decoder, config->buf, config->buf_size);
    return OTTER_OK;
}

otter_err otter_hosted_host_request(struct otter_hosted_host *h, uint16_t msg_id,
                                    const uint8_t *data, size_t len, uint32_t timeout_ms,
                                    uint32_t now, uint8_t *frame, size_t size, size_t *used)
{
    struct otter_hosted_message m = {
        .type = OTTER_HOSTED_REQUEST,
        .id = msg_id,
        .uid = h->uid,
        .has_payload = true,
        .data = data,
        .data_len = len,
    };

    if (h->state != OTTER_HOSTED_HOST_IDLE) {
        return OTTER_ERR_STATE;
    }
    if (len > OTTER_HOSTED_CHUNK_MAX) {
        return OTTER_ERR_LENGTH;
    }
    otter_err err = otter_hosted_encode(&m, frame, size, used);
    if (err != OTTER_OK) {
        return err;
    }
    h->msg_id = msg_id;
    h->since = now;
    h->timeout = timeout_ms;
    h->heard = 0;
    h->answer = (struct otter_hosted_message){0};
    /* What is left of an answer that came too late would be taken for the start of this one. */
    otter_hosted_decoder_next(&h->decoder);
    return otter_fsm_event(&machine, &h->state, ON_REQUEST, h, NULL);
}

static void end(struct otter_hosted_host *h, enum event event, struct otter_hosted_message *m)
{
    h->result = otter_fsm_event(&machine, &h->state, (uint8_t)event, h, m);
    h->uid = h->uid == INT32_MAX ? 1 : h->uid + 1;
}

static void message(struct otter_hosted_host *h)
{
    struct otter_hosted_message m;
    otter_err err = otter_hosted_decode(&m, h->config.buf, h->decoder.got);

    if (m.type == OTTER_HOSTED_EVENT) {
        if (h->config.on_event != NULL) {
            h->config.on_event(h->config.event_ctx, m.id, h->config.buf, h->decoder.got);
        }
        return;
    }
    if (err != OTTER_OK || m.type != OTTER_HOSTED_RESPONSE || m.uid != h->uid ||
        m.id != h->msg_id + OTTER_HOSTED_RESPONSE_OFFSET) {
        return;
    }
    end(h, ON_RESPONSE, &m);
}

size_t otter_hosted_host_input(struct otter_hosted_host *h, const uint8_t *data, size_t len)
{
    size_t used = 0;

    while (used < len && h->state == OTTER_HOSTED_HOST_WAITING) {
        size_t n = otter_hosted_decoder_feed(&h->decoder, data + used, len - used);

        used += n;
        h->heard += (uint32_t)n;
        if (h->decoder.status != OTTER_HOSTED_FRAME_NONE) {
            message(h);
            otter_hosted_decoder_next(&h->decoder);
        }
    }
    return used;
}

uint32_t otter_hosted_host_wait(const struct otter_hosted_host *h, uint32_t now)
{
    if (h->state == OTTER_HOSTED_HOST_IDLE) {
        return OTTER_HOSTED_NEVER;
    }
    return now - h->since < h->timeout ? h->timeout - (now - h->since) : 0;
}

otter_err otter_hosted_host_poll(struct otter_hosted_host *h, uint32_t now)
{
    if (h->state == OTTER_HOSTED_HOST_WAITING) {
        if (otter_hosted_host_wait(h, now) > 0) {
            return OTTER_ERR_AGAIN;
        }
        end(h, ON_TIMEOUT, NULL);
    }
    return h->result;
}

void otter_hosted_host_drop(struct otter_hosted_host *h)
{
    if (h->state == OTTER_HOSTED_HOST_WAITING) {
        end(h, ON_DROP, NULL);
    }
}
