/* SPDX-License-Identifier: Apache-2.0 */
/* The gattota device, row by row of the list of faults, with the test as its client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pair/pair.h"

#define LEN 10000u

enum { NOP, REQUEST, REQUEST_ACK, REQUEST_NAK, DONE, DONE_ACK, DONE_NAK };

static struct pair w;

static int setup(void **state)
{
    pair_init(&w, PAIR_GATTOTA, LEN, 5);
    pair_boot(&w);
    return 0;
}

static int teardown(void **state)
{
    pair_free(&w);
    return 0;
}

static void control(uint8_t value)
{
    pair_write(&w, OTTER_GATTOTA_CONTROL, true, &value, 1);
    pair_run(&w, 1000);
}

static void expect(uint8_t value)
{
    uint8_t read = 0xFF;
    const struct otter_gatt_mount *m = &w.sim.mount;

    pair_run(&w, 1000);
    assert_int_equal(w.value_len[OTTER_GATTOTA_CONTROL], 1);
    assert_int_equal(w.value[OTTER_GATTOTA_CONTROL][0], value);
    assert_int_equal(m->ops->read(m->service, OTTER_GATTOTA_CONTROL, &read, 1), 1);
    assert_int_equal(read, value);
}

static void announce(uint16_t size)
{
    uint8_t bytes[] = {(uint8_t)size, (uint8_t)(size >> 8)};

    pair_write(&w, OTTER_GATTOTA_DATA, true, bytes, sizeof bytes);
    assert_int_equal(w.att, OTTER_ATT_OK);
}

static void request(void)
{
    pair_connect_test(&w);
    announce(244);
    control(REQUEST);
    expect(REQUEST_ACK);
}

static void send_from(uint32_t from, uint32_t size, bool with_response)
{
    for (uint32_t at = from; at < w.len; at += size) {
        uint32_t n = w.len - at < size ? w.len - at : size;
        pair_write(&w, OTTER_GATTOTA_DATA, with_response, w.image + at, n);
    }
}

static void finish(void)
{
    control(DONE);
    assert_int_equal(w.value[OTTER_GATTOTA_CONTROL][0], DONE_ACK);
    pair_run(&w, 2000);
    assert_true(pair_new(&w));
    w.slot.boots = SLOT_BOOTS_OLD;
}

static void reference_client(void **state)
{
    request();
    send_from(0, 244, true);
    finish();
    assert_int_equal(w.slot.written, LEN);
    assert_true(pair_fresh_attempt(&w));
}

/* The ESP32 restarts half a second after the answer, as documented. */
static void restarts_after_500_ms(void **state)
{
    request();
    send_from(0, 512, true);
    control(DONE);
    assert_int_equal(w.value[OTTER_GATTOTA_CONTROL][0], DONE_ACK);
    assert_int_equal(w.restarts, 1);
}

static void either_service_uuid(void **state)
{
    assert_ptr_equal(w.sim.mount.table, &otter_gattota_service);
    w.gattota_config.field_uuid = true;
    pair_boot(&w);
    assert_ptr_equal(w.sim.mount.table, &otter_gattota_service_field);
    assert_int_equal(w.sim.mount.table->uuid.bytes[5], 0x14);
    request();
    send_from(0, 244, true);
    finish();
}

static void B07_link_lost_after_every_packet(void **state)
{
    unsigned total = (LEN + 243) / 244;

    for (unsigned cut = 0; cut <= total; cut++) {
        request();
        for (unsigned i = 0; i < cut; i++) {
            uint32_t at = i * 244;
            pair_write(&w, OTTER_GATTOTA_DATA, true, w.image + at, LEN - at < 244 ? LEN - at : 244);
        }
        otter_gatt_sim_cut(&w.sim);
        pair_run(&w, 5000);
        assert_true(pair_old(&w)); /* without DONE nobody knows that it is whole */
        assert_int_equal(w.slot.aborts, cut + 1);
    }
    assert_true(pair_fresh_attempt(&w));
}

static void B07_link_lost_after_done(void **state)
{
    uint8_t done = DONE;

    w.slot.write_us = 10000;
    request();
    send_from(0, 244, false);
    pair_write(&w, OTTER_GATTOTA_CONTROL, true, &done, 1);
    otter_gatt_sim_cut(&w.sim);
    pair_run(&w, 5000);
    assert_true(pair_new(&w));
}

static void B07_owner_falls_silent(void **state)
{
    request();
    send_from(5000, 244, true);
    pair_run(&w, 65000);
    assert_int_equal(w.slot.aborts, 1);
    pair_write(&w, OTTER_GATTOTA_DATA, true, w.image, 244);
    assert_int_equal(w.att, OTTER_ATT_WRITE_REJECTED);
    control(DONE);
    expect(DONE_NAK);
    assert_true(pair_old(&w));
    otter_gatt_sim_cut(&w.sim);
    assert_true(pair_fresh_attempt(&w));
}

static void B09_second_central(void **state)
{
    const struct otter_gatt_mount *m = &w.sim.mount;

    request();
    for (uint32_t at = 0; at < LEN; at += 500) {
        uint8_t value = REQUEST;
        pair_write(&w, OTTER_GATTOTA_DATA, true, w.image + at, 500);
        assert_int_equal(m->ops->write(m->service, 9, OTTER_GATTOTA_CONTROL, &value, 1),
                         OTTER_ATT_OK);
        value = DONE;
        assert_int_equal(m->ops->write(m->service, 9, OTTER_GATTOTA_CONTROL, &value, 1),
                         OTTER_ATT_OK);
        assert_int_equal(m->ops->write(m->service, 9, OTTER_GATTOTA_DATA, w.image, 100),
                         OTTER_ATT_WRITE_REJECTED);
        m->ops->disconnected(m->service, 9);
    }
    assert_int_equal(w.slot.begins, 1);
    finish();
}

static void B10_every_size_of_packet(void **state)
{
    for (uint32_t size = 1; size <= 514; size += size < 30 ? 1 : 22) {
        request();
        send_from(0, size, size % 2);
        finish();
    }
}

static void B15_flash_slower_than_link(void **state)
{
    w.slot.write_us = 50000;
    w.slot.erase_us = 400000;
    w.sim.latency_us = 1000;
    for (uint16_t size = 514; size <= 4096; size = (uint16_t)(size + 597)) {
        w.gattota_config.buf_size = size;
        pair_boot(&w);
        request();
        send_from(0, 514, false);
        control(DONE);
        pair_run(&w, 10000);
        assert_int_equal(w.value[OTTER_GATTOTA_CONTROL][0], DONE_ACK);
        assert_true(pair_new(&w));
        w.slot.boots = SLOT_BOOTS_OLD;
    }
}

static void B16_flash_fails(void **state)
{
    for (unsigned at = 1; at <= 3; at++) {
        for (int erase = 0; erase < 2; erase++) {
            w.slot.writes = 0;
            w.slot.erases = 0;
            w.slot.fail_write = erase ? 0 : at;
            w.slot.fail_erase = erase ? at : 0;
            request();
            send_from(0, 244, true);
            expect(DONE_NAK);
            assert_int_equal(w.att, OTTER_ATT_WRITE_REJECTED);
            control(DONE);
            expect(DONE_NAK);
            assert_true(pair_old(&w));
            otter_gatt_sim_cut(&w.sim);
        }
    }
    w.slot.fail_begin = true;
    pair_connect_test(&w);
    control(REQUEST);
    expect(REQUEST_NAK);
    assert_true(pair_old(&w));
    otter_gatt_sim_cut(&w.sim);
    assert_true(pair_fresh_attempt(&w));
}

static void B16_image_does_not_verify(void **state)
{
    request();
    w.image[77] ^= 4;
    send_from(0, 244, true);
    w.image[77] ^= 4;
    control(DONE);
    expect(DONE_NAK);
    assert_true(pair_old(&w));
    otter_gatt_sim_cut(&w.sim);
    assert_true(pair_fresh_attempt(&w));
}

static void B18_announced_size_is_a_hint(void **state)
{
    static const uint16_t sizes[] = {0, 1, 2, 244, 512, 513, 4096, 65535};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        pair_connect_test(&w);
        announce(sizes[i]);
        announce(sizes[i]);
        control(REQUEST);
        expect(REQUEST_ACK);
        send_from(0, 199, true);
        assert_int_equal(w.slot.written, LEN); /* not a byte more for the short last packet */
        finish();
    }
    pair_connect_test(&w); /* and nothing announced at all */
    control(REQUEST);
    expect(REQUEST_ACK);
    send_from(0, 244, true);
    finish();
}

static void B18_padding_is_tolerated(void **state)
{
    uint8_t stale[244];

    memset(stale, 0xA5, sizeof stale);
    request();
    send_from(0, 244, true);
    pair_write(&w, OTTER_GATTOTA_DATA, true, stale, sizeof stale);
    finish();
}

static void B19_data_before_request(void **state)
{
    pair_connect_test(&w);
    pair_write(&w, OTTER_GATTOTA_DATA, true, w.image, 244);
    assert_int_equal(w.att, OTTER_ATT_WRITE_REJECTED);
    pair_write(&w, OTTER_GATTOTA_DATA, false, w.image, 244);
    control(DONE);
    expect(DONE_NAK);
    control(REQUEST);
    expect(REQUEST_ACK);
    send_from(0, 244, true);
    finish();
}

static void B19_done_before_data(void **state)
{
    pair_connect_test(&w);
    control(DONE);
    expect(DONE_NAK);
    control(REQUEST);
    expect(REQUEST_ACK);
    control(DONE);
    expect(DONE_NAK);
    assert_true(pair_old(&w));
    control(REQUEST);
    expect(REQUEST_ACK);
    send_from(0, 244, true);
    finish();
}

static void B19_request_twice(void **state)
{
    uint8_t value = REQUEST;

    request();
    send_from(4000, 244, false); /* these bytes must not be seen again */
    pair_write(&w, OTTER_GATTOTA_CONTROL, true, &value, 1);
    pair_write(&w, OTTER_GATTOTA_CONTROL, true, &value, 1);
    expect(REQUEST_ACK);
    send_from(0, 244, true);
    assert_int_equal(w.slot.written, LEN);
    finish();
}

static void B19_other_control_values(void **state)
{
    pair_connect_test(&w);
    for (unsigned v = 0; v < 256; v++) {
        uint8_t value = (uint8_t)v;
        if (v == REQUEST || v == DONE) {
            continue;
        }
        pair_write(&w, OTTER_GATTOTA_CONTROL, true, &value, 1);
        assert_int_equal(w.att, v == NOP ? OTTER_ATT_OK : OTTER_ATT_VALUE_NOT_ALLOWED);
    }
    pair_write(&w, OTTER_GATTOTA_CONTROL, true, "", 0);
    assert_int_equal(w.att, OTTER_ATT_INVALID_LENGTH);
    pair_write(&w, OTTER_GATTOTA_CONTROL, true, "\1\1", 2);
    assert_int_equal(w.att, OTTER_ATT_INVALID_LENGTH);
    assert_int_equal(w.slot.begins, 0);
    request();
    send_from(0, 244, true);
    control(NOP);
    finish();
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(reference_client),           ROW(restarts_after_500_ms),
        ROW(either_service_uuid),        ROW(B07_link_lost_after_every_packet),
        ROW(B07_link_lost_after_done),   ROW(B07_owner_falls_silent),
        ROW(B09_second_central),         ROW(B10_every_size_of_packet),
        ROW(B15_flash_slower_than_link), ROW(B16_flash_fails),
        ROW(B16_image_does_not_verify),  ROW(B18_announced_size_is_a_hint),
        ROW(B18_padding_is_tolerated),   ROW(B19_data_before_request),
        ROW(B19_done_before_data),       ROW(B19_request_twice),
        ROW(B19_other_control_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
