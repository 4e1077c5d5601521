/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ESP-Hosted, host half: what a device may send. Input: steps of a byte: 0..0xEF: so many bytes of
 * the stream follow; 0xF0..0xF3: begin, write, end, version; 0xF4: time passes; 0xF5: gives up;
 * 0xF6: the answer to what was asked, with the u8 after it as its code.
 *
 * Holds: one request at a time, and it ends; nothing is taken while none is under way; an answer's
 * name lies in the buffer; only a response with the request's uid ends it before its time.
 */
#include "fuzz.h"

#include <string.h>

#include "base/cursor.h"
#include "proto/hosted/host.h"

struct target {
    struct otter_hosted_host host;
    uint32_t now;
    uint8_t buf[600];
};

static void on_event(void *ctx, uint16_t id, const uint8_t *data, size_t len)
{
    const struct target *t = ctx;

    (void)id;
    FUZZ_HOLDS(data == t->buf && len <= sizeof(t->buf));
}

static void check(struct target *t)
{
    const struct otter_hosted_message *m = &t->host.answer;
    otter_err result = otter_hosted_host_poll(&t->host, t->now);

    FUZZ_HOLDS((result == OTTER_ERR_AGAIN) == (t->host.state == OTTER_HOSTED_HOST_WAITING));
    FUZZ_HOLDS((otter_hosted_host_wait(&t->host, t->now) == OTTER_HOSTED_NEVER) ==
               (t->host.state == OTTER_HOSTED_HOST_IDLE));
    FUZZ_HOLDS(m->data_len == 0 ||
               (m->data >= t->buf && m->data + m->data_len <= t->buf + sizeof(t->buf)));
    FUZZ_HOLDS(result != OTTER_ERR_REFUSED || m->resp != 0);
}

static void feed(struct target *t, const uint8_t *data, size_t len)
{
    bool waiting = t->host.state == OTTER_HOSTED_HOST_WAITING;
    size_t used = otter_hosted_host_input(&t->host, data, len);

    FUZZ_HOLDS(used <= len && (waiting || used == 0));
    FUZZ_HOLDS(used == len || t->host.state == OTTER_HOSTED_HOST_IDLE);
}

static void ask(struct target *t, uint16_t id)
{
    static uint8_t frame[OTTER_HOSTED_REQUEST_MAX], firmware[OTTER_HOSTED_CHUNK_MAX];
    bool waiting = t->host.state == OTTER_HOSTED_HOST_WAITING;
    size_t used;
    otter_err err = otter_hosted_host_request(&t->host, id, firmware,
                                              id == OTTER_HOSTED_WRITE ? sizeof(firmware) : 0,
                                              30000, t->now, frame, sizeof(frame), &used);

    FUZZ_HOLDS(err == (waiting ? OTTER_ERR_STATE : OTTER_OK));
}

static void answer(struct target *t, uint8_t code)
{
    const struct otter_hosted_message m = {
        .type = OTTER_HOSTED_RESPONSE,
        .id = (uint16_t)(t->host.msg_id + OTTER_HOSTED_RESPONSE_OFFSET),
        .uid = t->host.uid,
        .resp = code,
        .has_payload = true,
    };
    /* In the middle of a frame it would be taken for the rest of that. */
    bool taken = t->host.state == OTTER_HOSTED_HOST_WAITING &&
                 !otter_hosted_decoder_inside(&t->host.decoder);
    uint8_t frame[128];
    size_t used;

    FUZZ_HOLDS(otter_hosted_encode(&m, frame, sizeof(frame), &used) == OTTER_OK);
    feed(t, frame, used);
    FUZZ_HOLDS(!taken || (t->host.state == OTTER_HOSTED_HOST_IDLE &&
                          t->host.result == (code == 0 ? OTTER_OK : OTTER_ERR_REFUSED)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint16_t ids[] = {OTTER_HOSTED_BEGIN, OTTER_HOSTED_WRITE, OTTER_HOSTED_END,
                                   OTTER_HOSTED_GET_VERSION};
    static struct target t;
    struct otter_reader r = otter_reader_on(data, size);
    const struct otter_hosted_host_config config = {.buf = t.buf,
                                                    .buf_size = sizeof(t.buf),
                                                    .first_uid = INT32_MAX - 1,
                                                    .on_event = on_event,
                                                    .event_ctx = &t};

    t.now = 0;
    FUZZ_HOLDS(otter_hosted_host_init(&t.host, &config) == OTTER_OK);
    while (r.left > 0 && !r.bad) {
        uint8_t step = otter_read_u8(&r);

        if (step < 0xF0) {
            size_t len = step < r.left ? step : r.left;

            feed(&t, otter_read_view(&r, len), len);
        } else if (step < 0xF4) {
            ask(&t, ids[step - 0xF0]);
        } else if (step == 0xF4) {
            t.now += 10000;
        } else if (step == 0xF5) {
            otter_hosted_host_drop(&t.host);
        } else {
            answer(&t, otter_read_u8(&r));
        }
        check(&t);
    }
    return 0;
}
