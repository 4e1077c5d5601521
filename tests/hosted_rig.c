/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/hosted_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/image_build.h"
#include "port/sim/bootloader.h"

static void restarted(void *ctx)
{
    struct rig *rig = ctx;

    rig->restarts++;
}

static void power_on(struct rig *rig, int running)
{
    rig->slots = (struct otter_flash_slots){
        .flash = otter_nor_flash(&rig->nor),
        .layout = rig->layout,
        .hash = otter_sha256_hash(&rig->sha[0]),
        .running = running,
        .rollback = true,
        .buf = rig->read_buf[0],
        .buf_size = sizeof(rig->read_buf[0]),
    };
    otter_flash_slots_init(&rig->slots);
    const struct otter_update_config update = {
        .slots = otter_flash_slots_table(&rig->slots),
        .hash = otter_sha256_hash(&rig->sha[1]),
        .buf = rig->read_buf[1],
        .buf_size = sizeof(rig->read_buf[1]),
    };
    assert_int_equal(otter_update_init(&rig->update, &update), OTTER_OK);
    rig->transport.update = &rig->update;
    const struct otter_hosted_config device = {
        .sink = otter_update_sink(&rig->transport),
        .buf = rig->message,
        .buf_size = sizeof(rig->message),
        .version = {"rig", 1, 2, 3, 4, 5},
        .restart_ms = OTTER_HOSTED_RESTART_MS,
        .silence_ms = RIG_SILENCE_MS,
        .restart = restarted,
        .restart_ctx = rig,
    };
    assert_int_equal(otter_hosted_device_init(&rig->device, &device), OTTER_OK);
    rig->out_len = 0;
    rig->restarts = 0;
}

bool rig_boot(struct rig *rig)
{
    const struct otter_bootloader bl = {
        .flash = otter_nor_flash(&rig->nor),
        .layout = rig->layout,
        .hash = otter_sha256_hash(&rig->sha[2]),
        .chip_id = OTTER_CHIP_ANY,
        .rollback = true,
        .buf = rig->read_buf[0],
        .buf_size = sizeof(rig->read_buf[0]),
    };
    struct otter_boot_report report;

    assert_int_equal(otter_bootloader_run(&bl, &report), OTTER_OK);
    assert_true(report.booted >= 0);
    const uint8_t *slot = rig->nor.bytes + otter_layout_slot(&rig->layout, report.booted).offset;
    bool is_new = memcmp(slot, rig->new_image, rig->new_len) == 0;

    if (!is_new) {
        assert_memory_equal(slot, rig->old_image, rig->old_len);
    }
    power_on(rig, report.booted);
    bool restart;
    assert_int_equal(otter_boot_verdict(rig->update.config.slots, true, &restart), OTTER_OK);
    assert_int_equal(rig->nor.violations, 0);
    return is_new;
}

static void build(uint8_t **image, size_t *len, const char *version, uint32_t size, uint32_t seed)
{
    const struct otter_image_spec spec = {
        .project = "rig", .version = version, .size = size, .seed = seed};

    assert_int_equal(otter_image_build(&spec, image, len), OTTER_OK);
}

void rig_start(struct rig *rig, uint32_t erase_unit, uint32_t slot_size, uint32_t image_size)
{
    *rig = (struct rig){.slot_size = slot_size, .now = UINT32_MAX - 1000u}; /* it wraps early */
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(otter_sha256_new(&rig->sha[i]), OTTER_OK);
    }
    build(&rig->old_image, &rig->old_len, "1.0.0", image_size, 1);
    build(&rig->new_image, &rig->new_len, "1.1.0", image_size, 2);
    assert_true(rig->old_len <= slot_size && rig->new_len <= slot_size);

    rig->nor = (struct otter_nor){
        .size = 2 * erase_unit + 2 * slot_size, .erase_unit = erase_unit, .write_unit = 4};
    rig->nor.bytes = malloc(rig->nor.size);
    rig->pristine = malloc(rig->nor.size);
    assert_non_null(rig->nor.bytes);
    assert_non_null(rig->pristine);
    rig->layout = (struct otter_layout){
        .otadata = {0, 2 * erase_unit},
        .otadata_stride = erase_unit,
        .ota = {{2 * erase_unit, slot_size}, {2 * erase_unit + slot_size, slot_size}},
        .ota_slots = 2,
    };
    memset(rig->nor.bytes, 0xFF, rig->nor.size);
    memcpy(rig->nor.bytes + rig->layout.ota[0].offset, rig->old_image, rig->old_len);
    assert_false(rig_boot(rig));
    memcpy(rig->pristine, rig->nor.bytes, rig->nor.size);
}

void rig_reset(struct rig *rig)
{
    memcpy(rig->nor.bytes, rig->pristine, rig->nor.size);
    power_on(rig, 0);
}

void rig_stop(struct rig *rig)
{
    for (size_t i = 0; i < 3; i++) {
        otter_sha256_free(&rig->sha[i]);
    }
    free(rig->old_image);
    free(rig->new_image);
    free(rig->nor.bytes);
    free(rig->pristine);
}

/* Polls until the device wants time or bytes, and takes what it sends. */
static uint32_t settle(struct rig *rig)
{
    for (;;) {
        uint32_t wait = otter_hosted_device_poll(&rig->device, rig->now);
        const uint8_t *data;
        size_t len = otter_hosted_device_output(&rig->device, &data);

        if (len > 0) {
            assert_true(rig->out_len + len <= sizeof(rig->out));
            memcpy(rig->out + rig->out_len, data, len);
            rig->out_len += len;
            otter_hosted_device_sent(&rig->device, len);
        } else if (wait > 0) {
            return wait;
        }
    }
}

void rig_feed(struct rig *rig, const uint8_t *data, size_t len)
{
    /* A copy of exactly this size, so that a sanitizer sees a read past its end. */
    uint8_t *copy = malloc(len > 0 ? len : 1);

    assert_non_null(copy);
    memcpy(copy, data, len);
    for (size_t at = 0; at < len;) {
        at += otter_hosted_device_input(&rig->device, copy + at, len - at, rig->now);
        (void)settle(rig);
    }
    free(copy);
}

void rig_pass(struct rig *rig, uint32_t ms)
{
    while (ms > 0) {
        uint32_t wait = settle(rig);
        uint32_t step = wait < ms ? wait : ms;

        rig->now += step;
        ms -= step;
    }
    (void)settle(rig);
}

bool rig_response(struct rig *rig, struct otter_hosted_message *m)
{
    static uint8_t buf[1024]; /* m->data points into it */
    struct otter_hosted_decoder dec;

    otter_hosted_decoder_init(&dec, buf, sizeof(buf));
    size_t used = otter_hosted_decoder_feed(&dec, rig->out, rig->out_len);
    memmove(rig->out, rig->out + used, rig->out_len - used);
    rig->out_len -= used;
    if (dec.status != OTTER_HOSTED_FRAME_WHOLE) {
        return false;
    }
    assert_int_equal(otter_hosted_decode(m, buf, dec.len), OTTER_OK);
    assert_int_equal(m->type, OTTER_HOSTED_RESPONSE);
    return true;
}

static size_t request(uint8_t *frame, size_t size, uint16_t id, int32_t uid, const uint8_t *data,
                      size_t len)
{
    const struct otter_hosted_message m = {
        .type = OTTER_HOSTED_REQUEST,
        .id = id,
        .uid = uid,
        .has_payload = true,
        .data = data,
        .data_len = len,
    };
    size_t used;

    assert_int_equal(otter_hosted_encode(&m, frame, size, &used), OTTER_OK);
    return used;
}

int32_t rig_ask(struct rig *rig, uint16_t id, const uint8_t *data, size_t len)
{
    struct otter_hosted_message m;
    uint8_t *frame = malloc(len + 64);

    assert_non_null(frame);
    size_t frame_len = request(frame, len + 64, id, -7, data, len);
    rig->out_len = 0;
    rig_feed(rig, frame, frame_len);
    free(frame);
    assert_true(rig_response(rig, &m));
    assert_int_equal(m.id, id + OTTER_HOSTED_RESPONSE_OFFSET);
    assert_int_equal(m.uid, -7);
    assert_true(m.has_payload);
    return m.resp;
}

uint8_t *rig_stream(const uint8_t *image, size_t image_len, size_t chunk, size_t *len)
{
    size_t size = image_len + 64 * (image_len / chunk + 3);
    uint8_t *out = malloc(size);
    int32_t uid = 1;

    assert_non_null(out);
    size_t used = request(out, size, OTTER_HOSTED_BEGIN, uid++, NULL, 0);
    for (size_t at = 0; at < image_len; at += chunk) {
        size_t n = image_len - at < chunk ? image_len - at : chunk;

        used += request(out + used, size - used, OTTER_HOSTED_WRITE, uid++, image + at, n);
    }
    *len = used + request(out + used, size - used, OTTER_HOSTED_END, uid, NULL, 0);
    return out;
}

void rig_fresh_update(struct rig *rig)
{
    size_t at = 0;

    assert_int_equal(rig_ask(rig, OTTER_HOSTED_BEGIN, NULL, 0), 0);
    while (at < rig->new_len) {
        size_t n =
            rig->new_len - at < OTTER_HOSTED_CHUNK_MAX ? rig->new_len - at : OTTER_HOSTED_CHUNK_MAX;

        assert_int_equal(rig_ask(rig, OTTER_HOSTED_WRITE, rig->new_image + at, n), 0);
        at += n;
    }
    assert_int_equal(rig_ask(rig, OTTER_HOSTED_END, NULL, 0), 0);
    rig_pass(rig, OTTER_HOSTED_RESTART_MS);
    assert_int_equal(rig->restarts, 1);
    assert_true(rig_boot(rig));
}

void rig_assert_sound(struct rig *rig)
{
    const struct otter_region running = otter_layout_slot(&rig->layout, rig->slots.running);

    /* Nobody wrote to the slot that was running. */
    assert_memory_equal(rig->nor.bytes + running.offset, rig->pristine + running.offset,
                        running.size);
    (void)rig_boot(rig);
    rig_fresh_update(rig);
}

uint32_t rig_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}
