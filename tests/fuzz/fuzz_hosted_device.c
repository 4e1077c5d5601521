/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ESP-Hosted, device half: what a host may send. Input: u32 seed of what the sink does, then steps
 * of a byte: 0..0xEF: so many bytes of the stream follow; 0xF0: a write of firmware follows, of
 * the u16 size after it; 0xF1..0xF3: begin, end, version; 0xF4: time passes; 0xF5: the line is
 * closed; 0xF6: the device says that it has started.
 *
 * Holds: the sink's calls come in order, with bytes that are the host's; an answer is bounded and
 * nothing is taken while it waits; the device comes to rest; it restarts once.
 */
#include "fuzz.h"

#include <string.h>

#include "base/cursor.h"
#include "proto/hosted/wire.h"

struct target {
    struct otter_hosted_device device;
    uint32_t seed, now;
    bool open; /* the sink has an update */
    bool selected;
    unsigned restarts;
    uint8_t message[OTTER_HOSTED_DATA_MAX];
};

static otter_err sink_begin(void *ctx, uint32_t length)
{
    struct target *t = ctx;

    FUZZ_HOLDS(length == OTTER_LENGTH_UNKNOWN && !t->selected);
    t->open = fuzz_next(&t->seed) % 8 != 0;
    return t->open ? OTTER_OK : OTTER_ERR_BUSY;
}

static otter_err sink_write(void *ctx, const uint8_t *data, size_t len, size_t *used)
{
    struct target *t = ctx;

    FUZZ_HOLDS(t->open && len > 0 && len <= OTTER_HOSTED_CHUNK_MAX);
    FUZZ_HOLDS(data >= t->message && data + len <= t->message + sizeof(t->message));
    *used = fuzz_next(&t->seed) % (len + 1);
    t->open = fuzz_next(&t->seed) % 16 != 0;
    return t->open ? OTTER_OK : OTTER_ERR_FLASH_WRITE;
}

static otter_err sink_finish(void *ctx)
{
    struct target *t = ctx;
    uint32_t dice = fuzz_next(&t->seed) % 8;

    FUZZ_HOLDS(t->open);
    if (dice > 3) {
        return OTTER_ERR_AGAIN;
    }
    t->open = false;
    t->selected = dice > 0;
    return t->selected ? OTTER_OK : OTTER_ERR_IMAGE_DIGEST;
}

static void sink_abort(void *ctx)
{
    ((struct target *)ctx)->open = false;
}

static const struct otter_sink_ops sink_ops = {
    .begin = sink_begin, .write = sink_write, .finish = sink_finish, .abort = sink_abort};

static void restart(void *ctx)
{
    struct target *t = ctx;

    FUZZ_HOLDS(t->selected);
    t->restarts++;
}

/* Lets the device work and send until it rests. */
static void settle(struct target *t)
{
    for (unsigned n = 0;; n++) {
        const uint8_t *data;
        size_t len = otter_hosted_device_output(&t->device, &data);

        FUZZ_HOLDS(n < 100000 && len <= OTTER_HOSTED_REPLY_MAX);
        if (len > 0) {
            uint8_t byte = 0;

            FUZZ_HOLDS(otter_hosted_device_input(&t->device, &byte, 1, t->now) == 0);
            otter_hosted_device_sent(&t->device, 1 + fuzz_next(&t->seed) % len);
        } else if (otter_hosted_device_poll(&t->device, t->now) > 0 &&
                   otter_hosted_device_output(&t->device, &data) == 0) {
            break;
        }
    }
    FUZZ_HOLDS(t->device.state != OTTER_HOSTED_WRITING && t->device.state != OTTER_HOSTED_CHECKING);
    FUZZ_HOLDS((t->device.state == OTTER_HOSTED_RECEIVING) == t->open);
    FUZZ_HOLDS(t->restarts == (t->device.state == OTTER_HOSTED_RESTARTED ? 1u : 0u));
}

static void feed(struct target *t, const uint8_t *data, size_t len)
{
    while (len > 0) {
        size_t used = otter_hosted_device_input(&t->device, data, len, t->now);

        FUZZ_HOLDS(used <= len);
        data += used;
        len -= used;
        settle(t);
    }
}

static void ask(struct target *t, uint16_t id, const uint8_t *data, size_t len)
{
    static uint8_t frame[OTTER_HOSTED_HEAD_SIZE + 65535u];
    const struct otter_hosted_message m = {
        .type = OTTER_HOSTED_REQUEST, .id = id, .has_payload = true, .data = data, .data_len = len};
    size_t used;

    if (otter_hosted_encode(&m, frame, sizeof(frame), &used) == OTTER_OK) {
        feed(t, frame, used);
    }
}

static void act(struct target *t, uint8_t step, struct otter_reader *r)
{
    static uint8_t firmware[65535];

    switch (step) {
    case 0xF0:
        ask(t, OTTER_HOSTED_WRITE, firmware, otter_read_u16(r));
        break;
    case 0xF1:
        ask(t, OTTER_HOSTED_BEGIN, NULL, 0);
        break;
    case 0xF2:
        ask(t, OTTER_HOSTED_END, NULL, 0);
        break;
    case 0xF3:
        ask(t, OTTER_HOSTED_GET_VERSION, NULL, 0);
        break;
    case 0xF4:
        t->now += 1u << otter_read_u8(r) % 32;
        break;
    case 0xF5:
        otter_hosted_device_link_lost(&t->device);
        break;
    default:
        otter_hosted_device_hello(&t->device);
        break;
    }
    settle(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct target t;
    struct otter_reader r = otter_reader_on(data, size);

    memset(&t, 0, sizeof(t));
    t.seed = otter_read_u32(&r) | 1u;
    const struct otter_hosted_config config = {
        .sink = {&sink_ops, &t},
        .buf = t.message,
        .buf_size = sizeof(t.message),
        .version = {"fuzz", 1, 2, 3, 4, 5},
        .restart_ms = OTTER_HOSTED_RESTART_MS,
        .silence_ms = OTTER_HOSTED_SILENCE_MS,
        .restart = restart,
        .restart_ctx = &t,
    };
    FUZZ_HOLDS(otter_hosted_device_init(&t.device, &config) == OTTER_OK);
    while (r.left > 0 && !r.bad) {
        uint8_t step = otter_read_u8(&r);

        if (step >= 0xF0) {
            act(&t, step, &r);
        } else {
            size_t len = step < r.left ? step : r.left;

            feed(&t, otter_read_view(&r, len), len);
        }
    }
    return 0;
}
