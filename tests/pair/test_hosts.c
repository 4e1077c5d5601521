/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host halves against devices as they are in the field: models of them, written from what
 * they do, not from our device.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pair/clients.h"

#define LEN (5 * 4096 + 99u)
#define SECTORS 6u

enum model {
    MODEL_QUIET, /* a wrong packet spoils its sector, which is answered at its end */
    MODEL_RAW,   /* every wrong packet is answered, and the sector goes on */
};

/* An espble device that takes what comes, as the reference firmware does. */
static struct old_device {
    enum model model;
    bool zero_next;  /* bytes 4..5 of a success are zero */
    bool no_crc;     /* neither checked */
    uint8_t window;  /* in the ACK of START */
    bool mute_start; /* START, STOP or a sector is never answered */
    bool mute_stop;
    int mute_sector; /* -1: none */
    bool reject_start, reject_stop;
    bool leaves_at_end;  /* restarts with the last byte: after its answer */
    bool leaves_unasked; /* the same, before its answer */
    bool unlikely;       /* write requests that are refused are answered with an ATT error */
    unsigned lose;       /* every so many packets one is lost in the stack; 0: none */

    bool started;
    uint32_t length;
    uint16_t sector;
    uint8_t packet;
    bool spoiled;
    uint8_t buf[8192];
    uint32_t fill;
    uint8_t *image;
    uint32_t written;
    bool leave;
    uint16_t mtu;
    unsigned packets, starts, stops, most_ahead;
} old;

static struct pair w;

static void send20(uint8_t id, uint16_t w0, uint16_t w1, uint16_t w2, uint16_t w3)
{
    struct otter_gatt_server server = otter_gatt_sim_server(&w.sim);
    uint8_t bytes[20] = {(uint8_t)w0, (uint8_t)(w0 >> 8), (uint8_t)w1, (uint8_t)(w1 >> 8),
                         (uint8_t)w2, (uint8_t)(w2 >> 8), (uint8_t)w3, (uint8_t)(w3 >> 8)};
    uint16_t crc = client_crc(0, bytes, 18);

    bytes[18] = (uint8_t)crc;
    bytes[19] = (uint8_t)(crc >> 8);
    (void)!server.send(server.ctx, w.sim.conn, &otter_espble_service.chars[id], bytes, 20);
}

static void answer_sector(uint16_t sector, uint16_t status)
{
    uint16_t next = status == 0 && old.zero_next ? 0 : old.sector;

    if (old.mute_sector != sector) {
        send20(OTTER_ESPBLE_RECV_FW, sector, status, next, 0);
    }
}

static void old_command(const uint8_t *data, size_t len)
{
    assert_int_equal(len, 20);
    if (!old.no_crc) {
        assert_int_equal(client_crc(0, data, 18), data[18] | data[19] << 8);
    }
    if (data[0] == CLIENT_START) {
        old.starts++;
        memcpy(&old.length, data + 2, 4);
        assert_int_equal(old.length, w.len);
        old.started = !old.reject_start;
        old.sector = 0;
        old.packet = 0;
        old.fill = 0;
        old.written = 0;
        old.spoiled = false;
        if (!old.mute_start) {
            send20(OTTER_ESPBLE_COMMAND_CHAR, CLIENT_ACK, CLIENT_START, old.reject_start,
                   old.window);
        }
    } else {
        assert_int_equal(data[0], CLIENT_STOP);
        old.stops++;
        if (!old.mute_stop) {
            send20(OTTER_ESPBLE_COMMAND_CHAR, CLIENT_ACK, CLIENT_STOP, old.reject_stop, 0);
        }
    }
}

static void restart_sector(void)
{
    old.packet = 0;
    old.fill = 0;
}

static enum otter_att refused(void)
{
    return old.unlikely ? OTTER_ATT_UNLIKELY : OTTER_ATT_OK;
}

static enum otter_att end_sector(const uint8_t *data, size_t len)
{
    uint16_t sector = old.sector;

    if (!old.no_crc && client_crc(0, old.buf, old.fill) != (data[len - 2] | data[len - 1] << 8)) {
        restart_sector();
        answer_sector(sector, 1);
        return refused();
    }
    assert_true(old.written + old.fill <= old.length);
    memcpy(old.image + old.written, old.buf, old.fill);
    old.written += old.fill;
    old.sector++;
    restart_sector();
    if (old.written == old.length && old.leaves_unasked) {
        old.leave = true;
        return OTTER_ATT_OK;
    }
    answer_sector(sector, 0);
    old.leave = old.written == old.length && old.leaves_at_end;
    return OTTER_ATT_OK;
}

static enum otter_att old_packet(const uint8_t *data, size_t len)
{
    uint16_t sector = (uint16_t)(data[0] | data[1] << 8);
    bool last = data[2] == 0xFF;
    uint32_t n = (uint32_t)len - 3 - (last ? 2 : 0);

    old.packets++;
    assert_in_range(len, 4, old.mtu - 3);
    if (old.lose > 0 && old.packets % old.lose == 0) {
        return OTTER_ATT_OK;
    }
    if (sector - old.sector > (int)old.most_ahead) {
        old.most_ahead = (unsigned)(sector - old.sector);
    }
    if (!old.started || sector != old.sector) {
        if (old.model == MODEL_QUIET) {
            restart_sector();
            old.spoiled = false;
        }
        answer_sector(sector, 2);
        return refused();
    }
    if (!last && data[2] != old.packet) {
        if (old.model == MODEL_RAW) {
            answer_sector(sector, 3);
        } else {
            old.spoiled = true;
            restart_sector();
        }
        return refused();
    }
    if (last && old.spoiled) {
        old.spoiled = false;
        restart_sector();
        answer_sector(sector, 2);
        return refused();
    }
    if (old.fill + n > 4096) {
        restart_sector();
        answer_sector(sector, 3);
        return refused();
    }
    if (!last) {
        old.spoiled = false;
    }
    memcpy(old.buf + old.fill, data + 3, n);
    old.fill += n;
    old.packet++;
    return last ? end_sector(data, len) : OTTER_ATT_OK;
}

static enum otter_att old_write(void *service, uint16_t conn, uint8_t id, const uint8_t *data,
                                size_t len)
{
    if (id == OTTER_ESPBLE_COMMAND_CHAR) {
        old_command(data, len);
        return OTTER_ATT_OK;
    }
    return old_packet(data, len);
}

static uint32_t old_poll(void *service, uint32_t now_ms)
{
    w.restart_asked |= old.leave;
    old.leave = false;
    return OTTER_GATT_NEVER;
}

static void old_disconnected(void *service, uint16_t conn) {}

static const struct otter_gatt_service_ops old_ops = {
    .write = old_write, .disconnected = old_disconnected, .poll = old_poll};

static int setup(void **state)
{
    pair_init(&w, PAIR_ESPBLE, LEN, 9);
    memset(&old, 0, sizeof old);
    w.foreign = true;
    old.mute_sector = -1;
    old.mtu = 247;
    old.image = calloc(1, LEN);
    w.sim.mount = (struct otter_gatt_mount){&otter_espble_service, &old_ops, &old};
    return 0;
}

static int teardown(void **state)
{
    free(old.image);
    pair_free(&w);
    return 0;
}

static otter_err update(void)
{
    w.espble_host_config.gatt.mtu = old.mtu;
    pair_connect_host(&w);
    pair_update(&w);
    return pair_status(&w)->result;
}

static bool image_arrived(void)
{
    return old.written == LEN && memcmp(old.image, w.image, LEN) == 0;
}

static void success_with_zeros_for_next(void **state)
{
    old.zero_next = true;
    assert_int_equal(update(), OTTER_OK);
    assert_true(image_arrived());
    assert_true(pair_status(&w)->answered);
    assert_int_equal(pair_status(&w)->resent, 0);
    assert_int_equal(old.stops, 1);
}

static void without_a_window_one_sector_at_a_time(void **state)
{
    assert_int_equal(update(), OTTER_OK);
    assert_true(image_arrived());
    assert_int_equal(old.most_ahead, 0);
    assert_int_equal(pair_status(&w)->window, 1);
}

static void window_of_the_device_and_of_the_user(void **state)
{
    old.window = 64;
    assert_int_equal(update(), OTTER_OK);
    assert_int_equal(pair_status(&w)->window, 64);
    w.espble_host_config.gatt.window = 3;
    assert_int_equal(update(), OTTER_OK);
    assert_int_equal(pair_status(&w)->window, 3);
    assert_true(image_arrived());
}

static void only_indicate_and_write(void **state)
{
    for (int i = 0; i < OTTER_ESPBLE_CHARS; i++) {
        w.sim.cccd[i] = OTTER_GATT_CCCD_INDICATE;
    }
    w.espble_host_config.gatt.data_props = OTTER_GATT_WRITE | OTTER_GATT_INDICATE;
    assert_int_equal(update(), OTTER_OK);
    assert_true(pair_status(&w)->requests);
    assert_true(image_arrived());
}

static void crc_never_checked(void **state)
{
    old.no_crc = true;
    w.espble_host_config.crc_init = OTTER_ESPBLE_CRC_CCITT;
    assert_int_equal(update(), OTTER_OK);
    assert_true(image_arrived());
}

static void restarts_before_stop_is_answered(void **state)
{
    old.leaves_at_end = true;
    assert_int_equal(update(), OTTER_OK);
    assert_true(image_arrived());
    assert_false(pair_status(&w)->answered);
    assert_true(pair_status(&w)->finished);
}

static void restarts_before_the_last_sector_is_answered(void **state)
{
    old.leaves_unasked = true;
    assert_int_equal(update(), OTTER_OK);
    assert_true(image_arrived());
    assert_false(pair_status(&w)->answered);
}

static void link_lost_in_the_middle(void **state)
{
    w.sim.faults.cut_after = 30;
    assert_int_equal(update(), OTTER_ERR_LINK);
    assert_false(image_arrived());
}

/* A stack that loses packets, on either kind of device, at any distance of losses. */
static void packets_lost(void **state)
{
    for (int v = 0; v < 8; v++) {
        for (unsigned lose = 7; lose < 120; lose += 3) {
            old.model = v & 1 ? MODEL_RAW : MODEL_QUIET;
            old.window = v & 2 ? 4 : 0;
            old.unlikely = v & 4;
            old.no_crc = false;
            old.lose = lose;
            w.espble_host_config.gatt.mtu = 247;
            otter_err err = update();
            /* 17 packets a sector: a loss every 40 leaves one try of two clean. */
            assert_int_equal(err, lose < 40 ? err : OTTER_OK);
            assert_true(err != OTTER_OK || image_arrived());
            if (err == OTTER_OK && pair_status(&w)->resent > 1) {
                assert_true(pair_status(&w)->requests); /* the second fault made it careful */
            }
        }
    }
}

static void refused_at_start(void **state)
{
    old.reject_start = true;
    assert_int_equal(update(), OTTER_ERR_REFUSED);
    assert_int_equal(old.packets, 0);
}

static void refused_at_stop(void **state)
{
    old.reject_stop = true;
    assert_int_equal(update(), OTTER_ERR_REFUSED);
    assert_false(pair_status(&w)->answered);
}

static void B12_nothing_is_answered(void **state)
{
    uint64_t before_us = w.sim.now_us;

    old.mute_start = true;
    assert_int_equal(update(), OTTER_ERR_TIMEOUT);
    assert_int_equal(old.starts, 6); /* once, and five times again */
    assert_in_range((w.sim.now_us - before_us) / 1000, 180000, 200000);
    assert_int_equal(old.packets, 0);
}

static void B12_a_sector_is_never_answered(void **state)
{
    old.mute_sector = 2;
    old.window = 2;
    assert_int_equal(update(), OTTER_OK); /* index errors tell that it is there */
    assert_true(image_arrived());

    old.mute_sector = SECTORS - 1;
    w.espble_host_config.gatt.retries = 2;
    assert_int_equal(update(), OTTER_ERR_TIMEOUT);
    assert_int_equal(pair_status(&w)->resent, 2);

    w.espble_host_config.gatt.retries = OTTER_GATT_NO_RETRIES;
    assert_int_equal(update(), OTTER_ERR_TIMEOUT);
    assert_int_equal(pair_status(&w)->resent, 0);
}

static void B12_stop_is_never_answered(void **state)
{
    old.mute_stop = true;
    assert_int_equal(update(), OTTER_ERR_TIMEOUT);
    assert_int_equal(old.stops, 6);
}

static void B10_every_mtu(void **state)
{
    static const uint16_t mtus[] = {23, 24, 100, 185, 247, 498, 512, 514, 515, 517, 1000};

    for (size_t i = 0; i < sizeof mtus / sizeof mtus[0]; i++) {
        old.mtu = mtus[i];
        assert_int_equal(update(), OTTER_OK);
        assert_true(image_arrived());
        assert_int_equal(pair_status(&w)->packet, mtus[i] - 3 < 512 ? mtus[i] - 3 : 512);
    }
    w.espble_host_config.gatt.packet = 100;
    assert_int_equal(update(), OTTER_OK);
    assert_int_equal(pair_status(&w)->packet, 100);
    w.espble_host_config.gatt.packet = 5; /* less than any link takes */
    assert_int_equal(update(), OTTER_OK);
    assert_int_equal(pair_status(&w)->packet, 20);
}

/* Answers nobody asked for, with wrong CRCs, lengths, and sectors that were never sent. */
static void noise_is_not_taken_for_answers(void **state)
{
    static const uint8_t noise[20] = {3, 0, 1, 0, 1, 0};
    const struct otter_gatt_updater *u = &w.sim.updater;

    pair_connect_host(&w);
    for (unsigned i = 0; i < 40; i++) {
        pair_run(&w, 20);
        for (size_t len = 0; len <= 20; len++) {
            u->ops->received(u->updater, OTTER_ESPBLE_COMMAND_CHAR, noise, len);
            u->ops->received(u->updater, OTTER_ESPBLE_RECV_FW, noise, len);
        }
        send20(OTTER_ESPBLE_RECV_FW, 500, 0, 501, 0);
        send20(OTTER_ESPBLE_COMMAND_CHAR, CLIENT_ACK, 9, 1, 0);
    }
    pair_update(&w);
    assert_int_equal(pair_status(&w)->result, OTTER_OK);
    assert_true(image_arrived());
}

static void cancel_sends_stop(void **state)
{
    const struct otter_gatt_updater *u = &w.sim.updater;

    old.reject_stop = true; /* as a device does that has not everything */
    pair_connect_host(&w);
    pair_run(&w, 150);
    assert_true(old.packets > 0);
    u->ops->cancel(u->updater);
    pair_update(&w);
    assert_int_equal(pair_status(&w)->result, OTTER_ERR_CANCELLED);
    assert_int_equal(old.stops, 1);

    pair_connect_host(&w); /* before anything was sent */
    u->ops->cancel(u->updater);
    pair_update(&w);
    assert_int_equal(pair_status(&w)->result, OTTER_ERR_CANCELLED);
    assert_int_equal(old.stops, 1);
}

static void cancel_too_late(void **state)
{
    const struct otter_gatt_updater *u = &w.sim.updater;

    pair_connect_host(&w);
    while (old.stops == 0) {
        pair_run(&w, 1);
    }
    u->ops->cancel(u->updater);
    pair_update(&w);
    assert_int_equal(pair_status(&w)->result, OTTER_OK);
    assert_true(pair_status(&w)->answered);
}

static otter_err fails_to_read(void *ctx, uint32_t offset, uint8_t *buf, size_t len)
{
    return offset < 4096 ? OTTER_OK : OTTER_ERR_FLASH_READ;
}

static void source_fails(void **state)
{
    w.espble_host_config.source.read = fails_to_read;
    old.no_crc = true;
    assert_int_equal(update(), OTTER_ERR_FLASH_READ);
}

static void configs_that_cannot_work(void **state)
{
    struct otter_espble_host host;
    struct otter_espble_host_config c = w.espble_host_config;
    struct otter_gattota_host ghost;
    struct otter_gattota_host_config g = w.gattota_host_config;

    c.source.length = 0;
    assert_int_equal(otter_espble_host_init(&host, &c), OTTER_ERR_EMPTY);
    c.source.length = 0xFFFFFFFF;
    assert_int_equal(otter_espble_host_init(&host, &c), OTTER_ERR_TOO_LARGE);
    c.source.length = 65535 * 4096u;
    assert_int_equal(otter_espble_host_init(&host, &c), OTTER_OK);
    c.source.read = NULL;
    assert_int_equal(otter_espble_host_init(&host, &c), OTTER_ERR_ARG);
    g.source.length = 0;
    assert_int_equal(otter_gattota_host_init(&ghost, &g), OTTER_ERR_EMPTY);
    g.gatt.client.write = NULL;
    assert_int_equal(otter_gattota_host_init(&ghost, &g), OTTER_ERR_ARG);
}

/* ---- gattota ------------------------------------------------------------------------------- */

/* The reference device: writes what comes, answers control, restarts. */
static struct {
    uint8_t grant, verdict; /* what it answers */
    bool leaves;            /* restarts without DONE_ACK */
    unsigned lose;
    unsigned packets, requests, dones;
    bool running;
    uint32_t written;
} ref;

static void send_control(uint8_t value)
{
    struct otter_gatt_server server = otter_gatt_sim_server(&w.sim);

    (void)!server.send(server.ctx, w.sim.conn, &otter_gattota_service.chars[OTTER_GATTOTA_CONTROL],
                       &value, 1);
}

static enum otter_att ref_write(void *service, uint16_t conn, uint8_t id, const uint8_t *data,
                                size_t len)
{
    if (id == OTTER_GATTOTA_DATA && !ref.running) {
        assert_int_equal(len, 2);
        assert_int_equal(data[0] | data[1] << 8, 244);
    } else if (id == OTTER_GATTOTA_DATA) {
        ref.packets++;
        if (ref.lose == 0 || ref.packets % ref.lose != 0) {
            memcpy(old.image + ref.written, data, len);
            ref.written += (uint32_t)len;
        }
    } else if (data[0] == 1) {
        ref.requests++;
        ref.running = ref.grant == 2;
        ref.written = 0;
        send_control(ref.grant);
    } else if (data[0] == 4) {
        bool whole = ref.written == LEN && memcmp(old.image, w.image, LEN) == 0;
        ref.dones++;
        ref.running = false;
        old.leave = ref.leaves;
        if (!ref.leaves) {
            send_control(whole ? ref.verdict : 6);
        }
    }
    return OTTER_ATT_OK;
}

static const struct otter_gatt_service_ops ref_ops = {
    .write = ref_write, .disconnected = old_disconnected, .poll = old_poll};

static int ref_setup(void **state)
{
    setup(state);
    w.protocol = PAIR_GATTOTA;
    memset(&ref, 0, sizeof ref);
    ref.grant = 2;
    ref.verdict = 5;
    w.sim.mount = (struct otter_gatt_mount){&otter_gattota_service_field, &ref_ops, &ref};
    return 0;
}

static void gattota_reference_device(void **state)
{
    w.gattota_host_config.gatt.data_props = OTTER_GATT_WRITE;
    assert_int_equal(update(), OTTER_OK);
    assert_true(pair_status(&w)->answered);
    assert_true(pair_status(&w)->requests);
    assert_int_equal(ref.written, LEN);
    assert_int_equal(ref.packets, (LEN + 243) / 244);
}

static void gattota_write_commands_with_a_barrier(void **state)
{
    for (uint8_t window = 0; window < 40; window = (uint8_t)(window + 3)) {
        w.gattota_host_config.gatt.window = window;
        assert_int_equal(update(), OTTER_OK);
        assert_int_equal(ref.written, LEN);
        assert_false(pair_status(&w)->requests);
    }
}

static void gattota_refused(void **state)
{
    ref.grant = 3;
    assert_int_equal(update(), OTTER_ERR_REFUSED);
    assert_int_equal(ref.packets, 0);
    ref.grant = 2;
    ref.verdict = 6;
    assert_int_equal(update(), OTTER_ERR_REFUSED);
    assert_int_equal(ref.dones, 2); /* once with commands, once with requests */
}

static void gattota_lost_commands_are_sent_again_as_requests(void **state)
{
    ref.lose = 50; /* a loss in the first pass */
    otter_err err = update();
    assert_int_equal(err, OTTER_ERR_REFUSED);
    assert_true(pair_status(&w)->requests);
    ref.lose = 200; /* the first pass is packets 151 to 235, the second 236 to 320 */
    ref.packets = 150;
    assert_int_equal(update(), OTTER_OK);
    assert_true(pair_status(&w)->requests);
    assert_int_equal(pair_status(&w)->resent, 1);
}

static void gattota_leaves_without_an_answer(void **state)
{
    ref.leaves = true;
    assert_int_equal(update(), OTTER_OK);
    assert_false(pair_status(&w)->answered);
    assert_int_equal(ref.written, LEN);
}

static void gattota_nothing_is_answered(void **state)
{
    ref.grant = 0;
    assert_int_equal(update(), OTTER_ERR_TIMEOUT);
    assert_int_equal(ref.requests, 3);
    ref.grant = 2;
    ref.verdict = 0;
    assert_int_equal(update(), OTTER_ERR_TIMEOUT);
}

static void gattota_cancel(void **state)
{
    const struct otter_gatt_updater *u = &w.sim.updater;

    pair_connect_host(&w);
    pair_run(&w, 120);
    assert_true(ref.packets > 0);
    u->ops->cancel(u->updater);
    assert_true(pair_status(&w)->finished);
    assert_int_equal(pair_status(&w)->result, OTTER_ERR_CANCELLED);
    pair_update(&w);
    assert_int_equal(ref.dones, 0);
}

/* ---- recognition --------------------------------------------------------------------------- */

static struct otter_gatt_uuid full(uint16_t uuid)
{
    return (struct otter_gatt_uuid){16,
                                    {0xFB, 0x34, 0x9B, 0x5F, 0x80, 0x00, 0x00, 0x80, 0x00, 0x10,
                                     0x00, 0x00, (uint8_t)uuid, (uint8_t)(uuid >> 8), 0, 0}};
}

static void both_protocols_are_recognised(void **state)
{
    const struct otter_gatt_char *g = otter_gattota_service.chars;
    struct otter_gatt_uuid other = {2, {0x11, 0x18}};
    struct otter_gatt_found found[] = {
        {full(0x180A), full(0x2A26), OTTER_GATT_READ},
        {other, full(0x8020), 0},
        {full(0x8018), full(0x8022), 0},
        {full(0x8018), {2, {0x20, 0x80}}, 0},
        {other, g[0].uuid, 0},
        {otter_gattota_service_field.uuid, g[1].uuid, 0},
    };
    int index[OTTER_ESPBLE_CHARS];
    int gindex[OTTER_GATTOTA_CHARS];

    assert_true(otter_espble_recognise(found, 6, index));
    assert_int_equal(index[OTTER_ESPBLE_RECV_FW], 3); /* in its own service first */
    assert_int_equal(index[OTTER_ESPBLE_COMMAND_CHAR], 2);
    assert_int_equal(index[OTTER_ESPBLE_PROGRESS], -1);
    assert_true(otter_espble_recognise(found, 3, index)); /* in any other */
    assert_int_equal(index[OTTER_ESPBLE_RECV_FW], 1);
    assert_false(otter_espble_recognise(found, 2, index));
    assert_true(otter_gattota_recognise(found, 6, gindex));
    assert_int_equal(gindex[OTTER_GATTOTA_CONTROL], 4);
    assert_int_equal(gindex[OTTER_GATTOTA_DATA], 5);
    assert_false(otter_gattota_recognise(found, 5, gindex));
}

static void subscription_prefers_notifications(void **state)
{
    assert_int_equal(otter_gatt_subscription(OTTER_GATT_NOTIFY | OTTER_GATT_INDICATE), 1);
    assert_int_equal(otter_gatt_subscription(OTTER_GATT_INDICATE), 2);
    assert_int_equal(otter_gatt_subscription(OTTER_GATT_READ), 0);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define GATTOTA(test) cmocka_unit_test_setup_teardown(test, ref_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(success_with_zeros_for_next),
        ROW(without_a_window_one_sector_at_a_time),
        ROW(window_of_the_device_and_of_the_user),
        ROW(only_indicate_and_write),
        ROW(crc_never_checked),
        ROW(restarts_before_stop_is_answered),
        ROW(restarts_before_the_last_sector_is_answered),
        ROW(link_lost_in_the_middle),
        ROW(packets_lost),
        ROW(refused_at_start),
        ROW(refused_at_stop),
        ROW(B12_nothing_is_answered),
        ROW(B12_a_sector_is_never_answered),
        ROW(B12_stop_is_never_answered),
        ROW(B10_every_mtu),
        ROW(noise_is_not_taken_for_answers),
        ROW(cancel_sends_stop),
        ROW(cancel_too_late),
        ROW(source_fails),
        ROW(configs_that_cannot_work),
        GATTOTA(gattota_reference_device),
        GATTOTA(gattota_write_commands_with_a_barrier),
        GATTOTA(gattota_refused),
        GATTOTA(gattota_lost_commands_are_sent_again_as_requests),
        GATTOTA(gattota_leaves_without_an_answer),
        GATTOTA(gattota_nothing_is_answered),
        GATTOTA(gattota_cancel),
        ROW(both_protocols_are_recognised),
        ROW(subscription_prefers_notifications),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
