/* SPDX-License-Identifier: Apache-2.0 */
/* src/proto/espble: frames and packets as bytes, with the golden vectors of both CRC conventions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/espble/wire.h"

/* Firmware of 558,144 bytes, from the published transcript; and what Espressif's clients send. */
static const struct golden {
    uint16_t command;
    uint32_t value;
    uint16_t crc_init;
    uint8_t crc[2];
} golden[] = {
    {ESPBLE_START, 558144, OTTER_ESPBLE_CRC_CCITT, {0x79, 0x1D}},
    {ESPBLE_STOP, 0, OTTER_ESPBLE_CRC_CCITT, {0xE8, 0xB5}},
    {ESPBLE_START, 558144, OTTER_ESPBLE_CRC_XMODEM, {0xD2, 0x58}},
    {ESPBLE_STOP, 0, OTTER_ESPBLE_CRC_XMODEM, {0x43, 0xF0}},
};

static void golden_commands(void **state)
{
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        const struct golden *g = &golden[i];
        struct espble_frame frame = {{g->command, (uint16_t)g->value, (uint16_t)(g->value >> 16)},
                                     g->crc_init};
        struct espble_frame back = {.crc_init = 0x5555};
        uint8_t bytes[OTTER_ESPBLE_COMMAND];
        uint8_t wanted[OTTER_ESPBLE_COMMAND] = {(uint8_t)g->command, 0, (uint8_t)g->value,
                                                (uint8_t)(g->value >> 8),
                                                (uint8_t)(g->value >> 16)};

        memcpy(wanted + 18, g->crc, 2);
        otter_espble_seal(&frame, bytes);
        assert_memory_equal(bytes, wanted, sizeof bytes);
        assert_int_equal(otter_espble_open(&back, bytes, sizeof bytes), OTTER_OK);
        assert_memory_equal(back.word, frame.word, sizeof frame.word);
        assert_int_equal(back.crc_init, g->crc_init);
    }
}

static void frames_that_are_not_whole(void **state)
{
    struct espble_frame frame = {{3, 1, 0, 4}, 0}, back;
    uint8_t bytes[OTTER_ESPBLE_COMMAND + 1] = {0};

    otter_espble_seal(&frame, bytes);
    for (size_t len = 0; len <= sizeof bytes; len++) {
        otter_err wanted = len == OTTER_ESPBLE_COMMAND ? OTTER_OK : OTTER_ERR_LENGTH;
        back.crc_init = 7;
        assert_int_equal(otter_espble_open(&back, bytes, len), wanted);
        assert_int_equal(back.word[0], len >= 2 ? 3 : 0);
        assert_int_equal(back.crc_init, wanted == OTTER_OK ? 0 : 7);
    }
    for (int bit = 0; bit < 160; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(otter_espble_open(&back, bytes, OTTER_ESPBLE_COMMAND), OTTER_ERR_CRC);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void packets(void **state)
{
    static const uint8_t middle[] = {0x34, 0x12, 7, 0xAA, 0xBB};
    static const uint8_t last[] = {0x34, 0x12, 0xFF, 0xAA, 0xCD, 0xAB};
    struct espble_packet p;

    assert_int_equal(otter_espble_packet(&p, middle, sizeof middle), OTTER_OK);
    assert_int_equal(p.sector, 0x1234);
    assert_int_equal(p.seq, 7);
    assert_int_equal(p.len, 2);
    assert_ptr_equal(p.payload, middle + 3);
    assert_int_equal(otter_espble_packet(&p, last, sizeof last), OTTER_OK);
    assert_int_equal(p.len, 1);
    assert_int_equal(p.crc, 0xABCD);
    for (size_t len = 0; len < 3; len++) {
        assert_int_equal(otter_espble_packet(&p, middle, len), OTTER_ERR_LENGTH);
    }
    for (size_t len = 0; len < 5; len++) {
        assert_int_equal(otter_espble_packet(&p, last, len), OTTER_ERR_LENGTH);
    }
    assert_int_equal(otter_espble_packet(&p, last, 5), OTTER_OK); /* no payload, a CRC */
    assert_int_equal(p.len, 0);
}

static void sectors(void **state)
{
    assert_int_equal(otter_espble_sectors(0), 0);
    assert_int_equal(otter_espble_sectors(1), 1);
    assert_int_equal(otter_espble_sectors(4096), 1);
    assert_int_equal(otter_espble_sectors(4097), 2);
    assert_int_equal(otter_espble_sectors(558144), 137);
    assert_int_equal(otter_espble_sectors(0xFFFFFFFF), 0x100000);
    assert_int_equal(otter_espble_sector_len(558144, 135), 4096);
    assert_int_equal(otter_espble_sector_len(558144, 136), 1088);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_commands),
        cmocka_unit_test(frames_that_are_not_whole),
        cmocka_unit_test(packets),
        cmocka_unit_test(sectors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
