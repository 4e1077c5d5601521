/* SPDX-License-Identifier: Apache-2.0 */
/* The espble device, row by row of the list of faults, with the test as its client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pair/clients.h"

#define LEN (2 * 4096 + 777u) /* three sectors, the last one short */
#define SECTORS 3u

/* Careful, small packets, everything waited for. */
static const struct client plain = {
    .mtu = 247, .packet = 244, .cccd = OTTER_GATT_CCCD_NOTIFY, .request = true, .waits = true};

static struct pair w;

static int setup(void **state)
{
    pair_init(&w, PAIR_ESPBLE, LEN, 7);
    pair_boot(&w);
    return 0;
}

static int teardown(void **state)
{
    pair_free(&w);
    return 0;
}

static struct answer firmware_answer(void)
{
    return client_answer(&w, OTTER_ESPBLE_RECV_FW, 0);
}

static struct answer command_answer(void)
{
    return client_answer(&w, OTTER_ESPBLE_COMMAND_CHAR, 0);
}

static void start(void)
{
    client_connect(&w, &plain);
    client_command(&w, &plain, CLIENT_START, w.len);
    pair_run(&w, 1000);
    assert_int_equal(command_answer().word[0], CLIENT_ACK);
    assert_int_equal(command_answer().word[2], 0);
}

static void expect_sector(uint16_t sector, uint16_t status, uint16_t next)
{
    pair_run(&w, 1000);
    assert_int_equal(firmware_answer().word[0], sector);
    assert_int_equal(firmware_answer().word[1], status);
    assert_int_equal(firmware_answer().word[2], next);
}

static void expect_command(uint16_t command, uint16_t result)
{
    pair_run(&w, 1000);
    assert_int_equal(command_answer().word[0], CLIENT_ACK);
    assert_int_equal(command_answer().word[1], command);
    assert_int_equal(command_answer().word[2], result);
}

static void send_sector(uint16_t sector)
{
    client_sector(&w, &plain, sector);
    expect_sector(sector, 0, (uint16_t)(sector + 1));
}

static void finish(uint16_t from)
{
    for (uint16_t sector = from; sector < SECTORS; sector++) {
        send_sector(sector);
    }
    client_command(&w, &plain, CLIENT_STOP, 0);
    expect_command(CLIENT_STOP, 0);
    pair_run(&w, 2000);
    assert_true(pair_new(&w));
}

static void assert_old_then_fresh(void)
{
    assert_true(pair_old(&w));
    otter_gatt_sim_cut(&w.sim);
    pair_run(&w, 1000);
    assert_true(pair_old(&w));
    assert_true(pair_fresh_attempt(&w));
}

static void plain_update(void **state)
{
    start();
    assert_int_equal(command_answer().word[3], 4); /* the window in byte 6, byte 7 zero */
    finish(0);
}

static void B01_packet_dropped(void **state)
{
    start();
    unsigned packets = client_packets(&w, &plain, 1);

    send_sector(0);
    for (unsigned missing = 0; missing + 1 < packets; missing++) {
        for (unsigned i = 0; i < packets; i++) {
            if (i != missing) {
                client_packet(&w, &plain, 1, i);
            }
        }
        expect_sector(1, 3, 1);
    }
    assert_int_equal(w.slot.written, 4096);
    finish(1);
}

/* Without its last packet a sector is not answered; the client begins it again. */
static void B01_last_packet_dropped(void **state)
{
    start();
    unsigned before = w.values[OTTER_ESPBLE_RECV_FW];

    for (unsigned i = 0; i + 1 < client_packets(&w, &plain, 0); i++) {
        client_packet(&w, &plain, 0, i);
    }
    pair_run(&w, 5000);
    assert_int_equal(w.values[OTTER_ESPBLE_RECV_FW], before);
    finish(0);
}

static void B02_packet_duplicated(void **state)
{
    start();
    for (uint16_t sector = 0; sector < SECTORS; sector++) {
        for (unsigned i = 0; i < client_packets(&w, &plain, sector); i++) {
            client_packet(&w, &plain, sector, i);
            client_packet(&w, &plain, sector, i);
        }
        pair_run(&w, 1000);
        assert_int_equal(w.espble.written, sector + 1);
    }
    assert_int_equal(w.slot.written, LEN);
    client_command(&w, &plain, CLIENT_STOP, 0);
    pair_run(&w, 2000);
    assert_true(pair_new(&w));
}

static void B03_packets_swapped(void **state)
{
    start();
    unsigned packets = client_packets(&w, &plain, 0);

    for (unsigned at = 0; at + 2 < packets; at++) {
        for (unsigned i = 0; i < packets; i++) {
            client_packet(&w, &plain, 0, i == at ? at + 1 : i == at + 1 ? at : i);
        }
        expect_sector(0, 3, 0);
        assert_int_equal(w.slot.written, 0);
    }
    finish(0);
}

static void B04_last_mark_too_early(void **state)
{
    uint8_t packet[] = {0, 0, 0xFF, 1, 2, 3, 0, 0};
    uint16_t crc = client_crc(0, packet + 3, 3);

    start();
    packet[6] = (uint8_t)crc;
    packet[7] = (uint8_t)(crc >> 8);
    pair_write(&w, OTTER_ESPBLE_RECV_FW, true, packet, sizeof packet);
    expect_sector(0, 3, 0);
    client_packet(&w, &plain, 0, 0);
    pair_write(&w, OTTER_ESPBLE_RECV_FW, true, packet, sizeof packet);
    expect_sector(0, 3, 0);
    assert_int_equal(w.slot.written, 0);
    finish(0);
}

static void B05_sector_crc_wrong(void **state)
{
    start();
    for (uint16_t sector = 0; sector < SECTORS; sector++) {
        uint32_t before = w.slot.written;

        w.image[sector * 4096u + 5] ^= 1;
        struct client wrong = plain;
        wrong.crc_init = 0x1234;
        client_sector(&w, &wrong, sector);
        w.image[sector * 4096u + 5] ^= 1;
        expect_sector(sector, 1, sector);
        assert_int_equal(w.slot.written, before);
        send_sector(sector);
    }
    finish(SECTORS);
}

static void B06_wrong_sector_index(void **state)
{
    static const uint16_t wrong[] = {1, 2, 0xFFFE, 0xFFFF, 0x0100};

    start();
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint8_t packet[64] = {(uint8_t)wrong[i], (uint8_t)(wrong[i] >> 8), 0};
        pair_write(&w, OTTER_ESPBLE_RECV_FW, true, packet, sizeof packet);
        expect_sector(wrong[i], 2, 0);
    }
    send_sector(0);
    send_sector(1);
    /* Behind: answered once, however many of its packets follow. */
    unsigned before = w.values[OTTER_ESPBLE_RECV_FW];
    client_sector(&w, &plain, 0);
    expect_sector(0, 2, 2);
    assert_int_equal(w.values[OTTER_ESPBLE_RECV_FW], before + 1);
    finish(2);
}

static void B07_link_lost_after_every_packet(void **state)
{
    unsigned total = 0;

    for (uint16_t sector = 0; sector < SECTORS; sector++) {
        total += client_packets(&w, &plain, sector);
    }
    for (unsigned cut = 0; cut <= total; cut++) {
        start();
        unsigned sent = 0;
        for (uint16_t sector = 0; sector < SECTORS; sector++) {
            for (unsigned i = 0; i < client_packets(&w, &plain, sector) && sent < cut; i++) {
                client_packet(&w, &plain, sector, i);
                sent++;
            }
        }
        otter_gatt_sim_cut(&w.sim);
        pair_run(&w, 5000);
        if (cut < total) {
            assert_true(pair_old(&w));
            assert_int_equal(w.restarts, 0);
            assert_int_equal(w.slot.aborts, cut + 1);
        } else {
            assert_true(pair_new(&w)); /* everything had arrived */
        }
    }
    assert_true(pair_fresh_attempt(&w));
}

/* The owner is silent: its update ends, whole or not, without its link. */
static void B07_owner_falls_silent(void **state)
{
    start();
    send_sector(0);
    pair_run(&w, 57000);
    assert_int_equal(w.slot.aborts, 0);
    pair_run(&w, 5000);
    assert_int_equal(w.slot.aborts, 1);
    client_sector(&w, &plain, 1);
    assert_int_equal(w.att, OTTER_ATT_WRITE_REJECTED);
    expect_command(CLIENT_START, 1);
    client_command(&w, &plain, CLIENT_START, w.len);
    expect_command(CLIENT_START, 0);
    for (uint16_t sector = 0; sector < SECTORS; sector++) {
        send_sector(sector);
    }
    pair_run(&w, 65000); /* and never sends STOP */
    assert_true(pair_new(&w));
}

static void B08_stale_client_after_new_start(void **state)
{
    uint8_t packet[64] = {1, 0, 0};
    uint16_t stale;

    start();
    send_sector(0);
    stale = w.sim.conn;
    otter_gatt_sim_cut(&w.sim);
    start();
    /* The first client is back on the air and goes on where it was. */
    assert_int_equal(w.sim.mount.ops->write(w.sim.mount.service, stale, OTTER_ESPBLE_RECV_FW,
                                            packet, sizeof packet),
                     OTTER_ATT_WRITE_REJECTED);
    finish(0);
}

/* The same on one connection: sectors of the old run are not taken for the new one's. */
static void B08_start_again_on_the_same_link(void **state)
{
    start();
    send_sector(0);
    client_packet(&w, &plain, 1, 0);
    client_command(&w, &plain, CLIENT_START, w.len);
    expect_command(CLIENT_START, 0);
    assert_int_equal(w.slot.begins, 2);
    client_packet(&w, &plain, 1, 1);
    expect_sector(1, 2, 0);
    finish(0);
}

static void B09_second_central(void **state)
{
    const struct otter_gatt_mount *m = &w.sim.mount;
    uint8_t command[20] = {CLIENT_START, 0, 0, 0x20};
    uint8_t packet[20] = {0, 0, 0};
    uint16_t crc = client_crc(0, command, 18);

    start();
    send_sector(0);
    command[18] = (uint8_t)crc;
    command[19] = (uint8_t)(crc >> 8);
    for (uint16_t sector = 1; sector < SECTORS; sector++) {
        unsigned n = client_packets(&w, &plain, sector);
        for (unsigned i = 0; i < n; i++) {
            client_packet(&w, &plain, sector, i);
            assert_int_equal(m->ops->write(m->service, 99, OTTER_ESPBLE_COMMAND_CHAR, command, 20),
                             OTTER_ATT_OK);
            packet[0] = (uint8_t)sector;
            assert_int_equal(m->ops->write(m->service, 99, OTTER_ESPBLE_RECV_FW, packet, 20),
                             OTTER_ATT_WRITE_REJECTED);
            m->ops->disconnected(m->service, 99);
        }
        expect_sector(sector, 0, (uint16_t)(sector + 1));
    }
    assert_int_equal(w.slot.begins, 1);
    finish(SECTORS);
}

static void B10_every_mtu(void **state)
{
    static const uint16_t mtus[] = {23, 185, 247, 498, 512, 517};

    for (size_t i = 0; i < sizeof mtus / sizeof mtus[0]; i++) {
        struct client c = plain;
        c.mtu = mtus[i];
        c.packet = (uint16_t)(mtus[i] - 3);
        client_connect(&w, &c);
        assert_true(client_update(&w, &c));
        pair_run(&w, 2000);
        assert_true(pair_new(&w));
        w.slot.boots = SLOT_BOOTS_OLD;
    }
    /* A larger MTU between START and the first packet. */
    start();
    struct client large = plain;
    large.packet = 512;
    client_sector(&w, &large, 0);
    expect_sector(0, 0, 1);
    finish(1);
}

static void B11_malformed_commands(void **state)
{
    uint8_t command[64] = {CLIENT_START, 0, 0, 0x10};

    client_connect(&w, &plain);
    for (size_t len = 0; len <= 40; len++) {
        uint16_t crc = len >= 2 ? client_crc(0, command, len - 2) : 0;
        if (len == 20) {
            continue;
        }
        uint8_t copy[64];
        memcpy(copy, command, sizeof copy);
        if (len >= 2) {
            copy[len - 2] = (uint8_t)crc;
            copy[len - 1] = (uint8_t)(crc >> 8);
        }
        pair_write(&w, OTTER_ESPBLE_COMMAND_CHAR, true, copy, len);
        pair_run(&w, 100);
        assert_int_equal(command_answer().word[0], CLIENT_ACK);
        assert_int_equal(command_answer().word[2], 1);
    }
    for (int bit = 0; bit < 160; bit++) { /* one wrong bit anywhere */
        uint16_t crc = client_crc(0, command, 18);
        uint8_t copy[20];
        memcpy(copy, command, 18);
        copy[18] = (uint8_t)crc;
        copy[19] = (uint8_t)(crc >> 8);
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        pair_write(&w, OTTER_ESPBLE_COMMAND_CHAR, true, copy, 20);
        pair_run(&w, 100);
        assert_int_equal(command_answer().word[2], 1);
    }
    for (unsigned id = 0; id < 0x10000; id += id < 16 ? 1 : 251) {
        if (id != CLIENT_START && id != CLIENT_STOP) {
            client_command(&w, &plain, (uint16_t)id, 4096);
            expect_command((uint16_t)id, 1);
        }
    }
    assert_int_equal(w.slot.begins, 0);

    /* Nor does any of it disturb a running update. */
    start();
    send_sector(0);
    client_command(&w, &plain, 77, 0);
    expect_command(77, 1);
    pair_write(&w, OTTER_ESPBLE_COMMAND_CHAR, true, command, 19);
    expect_command(CLIENT_START, 1);
    finish(1);
}

static void B11_short_packets(void **state)
{
    uint8_t packet[4] = {0, 0, 0xFF, 0};

    start();
    for (size_t len = 0; len < 3; len++) {
        pair_write(&w, OTTER_ESPBLE_RECV_FW, true, packet, len);
        assert_int_equal(w.att, OTTER_ATT_INVALID_LENGTH);
    }
    for (size_t len = 3; len < 5; len++) { /* a last packet without room for its CRC */
        pair_write(&w, OTTER_ESPBLE_RECV_FW, true, packet, len < 4 ? 3 : 4);
        assert_int_equal(w.att, OTTER_ATT_INVALID_LENGTH);
    }
    finish(0);
}

/* An ACK that got lost: the client sends the sector again and is told to go on. */
static void B12_ack_lost(void **state)
{
    start();
    send_sector(0);
    client_sector(&w, &plain, 0);
    expect_sector(0, 2, 1);
    client_sector(&w, &plain, 0);
    expect_sector(0, 2, 1);
    send_sector(1);
    send_sector(2);
    client_sector(&w, &plain, 2);
    expect_sector(2, 2, 3);
    finish(SECTORS);
}

static void B13_start_with_impossible_length(void **state)
{
    static const uint32_t lengths[] = {0, SLOT_SIZE + 1, 0x0FFFF001, 0xFFFFFFFF};

    client_connect(&w, &plain);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        client_command(&w, &plain, CLIENT_START, lengths[i]);
        expect_command(CLIENT_START, 1);
        assert_int_equal(w.slot.begins, 0);
        assert_int_equal(w.slot.erases, 0);
    }
    assert_old_then_fresh();
}

static void B14_stop_out_of_place(void **state)
{
    client_connect(&w, &plain);
    client_command(&w, &plain, CLIENT_STOP, 0);
    expect_command(CLIENT_STOP, 1);
    client_command(&w, &plain, CLIENT_START, w.len);
    expect_command(CLIENT_START, 0);
    for (uint16_t sector = 0; sector < SECTORS; sector++) {
        client_command(&w, &plain, CLIENT_STOP, 0);
        expect_command(CLIENT_STOP, 1);
        client_packet(&w, &plain, sector, 0);
        client_command(&w, &plain, CLIENT_STOP, 0);
        expect_command(CLIENT_STOP, 1);
        send_sector(sector);
    }
    client_command(&w, &plain, CLIENT_STOP, 0);
    pair_run(&w, 100);
    assert_int_equal(command_answer().word[2], 0);
    client_command(&w, &plain, CLIENT_STOP, 0);
    pair_run(&w, 100);
    assert_int_equal(command_answer().word[2], 1);
    pair_run(&w, 2000);
    assert_true(pair_new(&w));
    assert_int_equal(w.restarts, 1);
}

/* Flash many times slower than the link: everything still arrives, from a client that waits for
 * nothing, and no more is kept than the buffers and the link hold. */
static void B15_flash_slower_than_link(void **state)
{
    for (uint8_t window = 1; window <= PAIR_WINDOW_MAX; window *= 2) {
        w.espble_config.window = window;
        pair_boot(&w);
        w.slot.erase_us = 400000;
        w.slot.write_us = 50000;
        w.sim.latency_us = 1000;
        client_connect(&w, &client_python);
        assert_true(client_update(&w, &client_python));
        pair_run(&w, 20000);
        assert_true(pair_new(&w));
        w.slot.boots = SLOT_BOOTS_OLD;
    }
}

static void B16_flash_fails(void **state)
{
    for (unsigned at = 1; at <= 12; at++) {
        for (int erase = 0; erase < 2; erase++) {
            w.slot.writes = 0;
            w.slot.erases = 0;
            w.slot.fail_write = erase ? 0 : at;
            w.slot.fail_erase = erase ? at : 0;
            client_connect(&w, &plain);
            bool done = client_update(&w, &plain);
            pair_run(&w, 1000);
            if (at > (erase ? SECTORS : 9)) {
                assert_true(done);
                continue;
            }
            assert_false(done);
            assert_true(pair_old(&w));
            assert_int_equal(client_answer(&w, OTTER_ESPBLE_RECV_FW, 0).word[1], 3);
            assert_int_equal(command_answer().word[1], CLIENT_START);
            assert_int_equal(command_answer().word[2], 1);
            client_packet(&w, &plain, 0, 0);
            assert_int_equal(w.att, OTTER_ATT_WRITE_REJECTED);
            otter_gatt_sim_cut(&w.sim);
        }
    }
    w.slot.boots = SLOT_BOOTS_OLD;
    w.slot.fail_begin = true;
    client_connect(&w, &plain);
    client_command(&w, &plain, CLIENT_START, w.len);
    expect_command(CLIENT_START, 1);
    assert_old_then_fresh();
}

static void B16_image_does_not_verify(void **state)
{
    start();
    w.image[5000] ^= 1;
    for (uint16_t sector = 0; sector < SECTORS; sector++) {
        send_sector(sector);
    }
    w.image[5000] ^= 1;
    client_command(&w, &plain, CLIENT_STOP, 0);
    expect_command(CLIENT_STOP, 1);
    assert_int_equal(w.restarts, 0);
    assert_old_then_fresh();
}

static void update_as(const struct client *c)
{
    unsigned before = w.restarts;

    client_connect(&w, c);
    assert_true(client_update(&w, c));
    pair_run(&w, 5000);
    assert_int_equal(w.restarts, before + 1);
    assert_true(pair_new(&w));
    w.slot.boots = SLOT_BOOTS_OLD;
}

static void B17_android(void **state)
{
    update_as(&client_android);
    assert_int_equal(w.value[OTTER_ESPBLE_PROGRESS][0], 100);
    assert_int_equal(w.value[OTTER_ESPBLE_PROGRESS][1], 0);
}

static void B17_ios(void **state)
{
    update_as(&client_ios);
}

static void B17_python(void **state)
{
    update_as(&client_python);
}

static void B17_every_variant(void **state)
{
    struct client c = plain;

    for (unsigned v = 0; v < 512; v++) {
        c.crc_init = v & 1 ? 0xFFFF : 0;
        c.padded = v & 2;
        c.crc_of_4096 = v & 4;
        c.whole_sectors = v & 8;
        c.request = v & 16;
        c.waits = v & 32;
        c.extra_room = v & 64;
        c.cccd = !c.waits  ? OTTER_GATT_CCCD_NONE
                 : v & 128 ? OTTER_GATT_CCCD_INDICATE
                           : OTTER_GATT_CCCD_NOTIFY;
        c.packet = v & 256 ? 244 : 100;
        update_as(&c);
    }
}

/* Lengths at which sectors and packets end together. */
static void B17_edges_of_length(void **state)
{
    static const uint32_t lens[] = {9, 241, 242, 239, 4095, 4096, 4097, 8191, 8192, 8193, 12288};

    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        pair_free(&w);
        pair_init(&w, PAIR_ESPBLE, lens[i], 3);
        pair_boot(&w);
        update_as(&plain);
        update_as(&client_android);
        update_as(&client_python);
        assert_true(pair_fresh_attempt(&w));
    }
}

static void progress_is_kept_and_notified(void **state)
{
    uint8_t value[2];

    start();
    assert_int_equal(w.value[OTTER_ESPBLE_PROGRESS][0], 0);
    send_sector(0);
    assert_int_equal(w.value[OTTER_ESPBLE_PROGRESS][0], 33);
    assert_int_equal(w.value[OTTER_ESPBLE_PROGRESS][1], 33);
    const struct otter_gatt_mount *m = &w.sim.mount;
    assert_int_equal(m->ops->read(m->service, OTTER_ESPBLE_PROGRESS, value, 2), 2);
    assert_int_equal(value[0], 33);
    assert_int_equal(value[1], 33);
    send_sector(1);
    assert_int_equal(w.value[OTTER_ESPBLE_PROGRESS][1], 66);
    finish(2);
    assert_int_equal(w.value[OTTER_ESPBLE_PROGRESS][0], 100);
}

static struct {
    uint16_t conn;
    uint8_t data[32];
    size_t len;
} customer;

static void on_customer(void *ctx, uint16_t conn, const uint8_t *data, size_t len)
{
    customer.conn = conn;
    memcpy(customer.data, data, len);
    customer.len = len;
}

static void customer_data_both_ways(void **state)
{
    w.espble_config.app.customer = on_customer;
    pair_boot(&w);
    client_connect(&w, &plain);
    pair_write(&w, OTTER_ESPBLE_CUSTOMER, true, "hello", 5);
    assert_int_equal(customer.conn, w.sim.conn);
    assert_int_equal(customer.len, 5);
    assert_memory_equal(customer.data, "hello", 5);
    assert_int_equal(otter_espble_device_customer(&w.espble, w.sim.conn, (const uint8_t *)"you", 3),
                     OTTER_OK);
    pair_run(&w, 100);
    assert_memory_equal(w.value[OTTER_ESPBLE_CUSTOMER], "you", 3);
}

/* The published transcript of the Python client. */
static void transcript_of_the_python_client(void **state)
{
    static const uint8_t start_crc[] = {0x79, 0x1d}, stop_crc[] = {0xe8, 0xb5};
    uint8_t command[20] = {CLIENT_START, 0, 0x40, 0x84, 0x08, 0x00};

    pair_free(&w);
    pair_init(&w, PAIR_ESPBLE, 558144, 11);
    pair_boot(&w);
    client_connect(&w, &client_python);

    memcpy(command + 18, start_crc, 2);
    pair_write(&w, OTTER_ESPBLE_COMMAND_CHAR, true, command, 20);
    for (uint16_t sector = 0; sector < 137; sector++) {
        assert_int_equal(client_packets(&w, &client_python, sector), sector < 136 ? 9 : 3);
        client_sector(&w, &client_python, sector);
    }
    memset(command, 0, sizeof command);
    command[0] = CLIENT_STOP;
    memcpy(command + 18, stop_crc, 2);
    pair_write(&w, OTTER_ESPBLE_COMMAND_CHAR, true, command, 20);
    pair_run(&w, 5000);
    assert_true(pair_new(&w));
    for (int i = 0; i < OTTER_ESPBLE_CHARS; i++) {
        assert_int_equal(w.values[i], 0); /* it subscribed to nothing */
    }
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(plain_update),
        ROW(B01_packet_dropped),
        ROW(B01_last_packet_dropped),
        ROW(B02_packet_duplicated),
        ROW(B03_packets_swapped),
        ROW(B04_last_mark_too_early),
        ROW(B05_sector_crc_wrong),
        ROW(B06_wrong_sector_index),
        ROW(B07_link_lost_after_every_packet),
        ROW(B07_owner_falls_silent),
        ROW(B08_stale_client_after_new_start),
        ROW(B08_start_again_on_the_same_link),
        ROW(B09_second_central),
        ROW(B10_every_mtu),
        ROW(B11_malformed_commands),
        ROW(B11_short_packets),
        ROW(B12_ack_lost),
        ROW(B13_start_with_impossible_length),
        ROW(B14_stop_out_of_place),
        ROW(B15_flash_slower_than_link),
        ROW(B16_flash_fails),
        ROW(B16_image_does_not_verify),
        ROW(B17_android),
        ROW(B17_ios),
        ROW(B17_python),
        ROW(B17_every_variant),
        ROW(B17_edges_of_length),
        ROW(progress_is_kept_and_notified),
        ROW(customer_data_both_ways),
        ROW(transcript_of_the_python_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
