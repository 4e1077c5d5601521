/* SPDX-License-Identifier: Apache-2.0 */
/* src/base: cursors, CRCs, state tables, error texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc.h"
#include "base/cursor.h"
#include "base/fsm.h"
#include "otter/err.h"

static void reader_reads_little_endian(void **state)
{
    static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    struct otter_reader r = otter_reader_on(bytes, sizeof(bytes));
    uint8_t two[2];

    assert_int_equal(otter_read_u8(&r), 1);
    assert_int_equal(otter_read_u16(&r), 0x0302);
    assert_int_equal(otter_read_u32(&r), 0x07060504);
    otter_read_bytes(&r, two, sizeof(two));
    assert_memory_equal(two, "\x08\x09", 2);
    assert_int_equal(otter_reader_ok(&r), OTTER_OK);
    assert_int_equal(r.left, 0);
}

/* Past the end: zeros, nothing moves, and it stays bad even for what would fit. */
static void reader_past_the_end_is_bad_for_good(void **state)
{
    static const uint8_t bytes[] = {1, 2, 3};
    struct otter_reader r = otter_reader_on(bytes, sizeof(bytes));
    uint8_t out[4] = {9, 9, 9, 9};

    assert_int_equal(otter_read_u32(&r), 0);
    assert_int_equal(otter_reader_ok(&r), OTTER_ERR_BOUNDS);
    assert_int_equal(r.left, 3);
    assert_int_equal(otter_read_u8(&r), 0);
    assert_null(otter_read_view(&r, 1));
    otter_read_bytes(&r, out, sizeof(out));
    assert_memory_equal(out, "\0\0\0\0", 4);
    assert_ptr_equal(r.next, bytes);
}

static void reader_skips_and_views(void **state)
{
    static const uint8_t bytes[] = {1, 2, 3, 4};
    struct otter_reader r = otter_reader_on(bytes, sizeof(bytes));

    otter_read_skip(&r, 3);
    assert_ptr_equal(otter_read_view(&r, 1), bytes + 3);
    otter_read_skip(&r, 0);
    assert_int_equal(otter_reader_ok(&r), OTTER_OK);
    otter_read_skip(&r, SIZE_MAX);
    assert_int_equal(otter_reader_ok(&r), OTTER_ERR_BOUNDS);
}

static void writer_writes_what_the_reader_reads(void **state)
{
    uint8_t bytes[12];
    struct otter_writer w = otter_writer_on(bytes, sizeof(bytes));

    otter_write_u8(&w, 0x11);
    otter_write_u16(&w, 0x2233);
    otter_write_u32(&w, 0x44556677);
    otter_write_bytes(&w, "ab", 2);
    otter_write_fill(&w, 0xFF, 3);
    assert_int_equal(otter_writer_ok(&w), OTTER_OK);
    assert_memory_equal(bytes,
                        "\x11\x33\x22\x77\x66\x55\x44"
                        "ab\xFF\xFF\xFF",
                        sizeof(bytes));
}

static void writer_past_the_end_is_bad_for_good(void **state)
{
    uint8_t bytes[3] = {7, 7, 7};
    struct otter_writer w = otter_writer_on(bytes, 2);

    otter_write_u32(&w, 1);
    assert_int_equal(otter_writer_ok(&w), OTTER_ERR_BOUNDS);
    otter_write_u8(&w, 1);
    otter_write_bytes(&w, "a", 1);
    otter_write_fill(&w, 1, 1);
    assert_memory_equal(bytes, "\7\7\7", 3);
}

/* Check values of the CRC catalogue, and the commands of PROTOCOLS.md section 6. */
static void crc16_golden_vectors(void **state)
{
    static const uint8_t start[18] = {1, 0, 0x40, 0x84, 0x08, 0};
    static const uint8_t stop[18] = {2};
    static const uint8_t check[] = "123456789";

    assert_int_equal(otter_crc16(OTTER_CRC16_XMODEM, check, 9), 0x31C3);
    assert_int_equal(otter_crc16(OTTER_CRC16_CCITT, check, 9), 0x29B1);
    assert_int_equal(otter_crc16(OTTER_CRC16_XMODEM, start, sizeof(start)), 0x58D2);
    assert_int_equal(otter_crc16(OTTER_CRC16_CCITT, start, sizeof(start)), 0x1D79);
    assert_int_equal(otter_crc16(OTTER_CRC16_XMODEM, stop, sizeof(stop)), 0xF043);
    assert_int_equal(otter_crc16(OTTER_CRC16_CCITT, stop, sizeof(stop)), 0xB5E8);
}

/* Against the definition, bit by bit: lengths that take steps of eight bytes, four and one. */
static void crc16_of_every_length(void **state)
{
    uint8_t data[40];
    uint32_t seed = 1;

    for (size_t len = 0; len <= sizeof(data); len++) {
        uint16_t crc = (uint16_t)(seed >> 8), want = crc;

        for (size_t i = 0; i < len; i++) {
            seed = seed * 1664525u + 1013904223u;
            data[i] = (uint8_t)(seed >> 24);
            want ^= (uint16_t)(data[i] << 8);
            for (int bit = 0; bit < 8; bit++) {
                want = (uint16_t)(want << 1 ^ ((want & 0x8000) != 0 ? 0x1021 : 0));
            }
        }
        assert_int_equal(otter_crc16(crc, data, len), want);
    }
}

static void crc32_golden_vectors(void **state)
{
    assert_int_equal(otter_crc32(0, (const uint8_t *)"123456789", 9), 0xCBF43926);
    assert_int_equal(otter_crc32(0, NULL, 0), 0);
}

static void crc_continues_over_any_split(void **state)
{
    static const uint8_t check[] = "123456789";

    for (size_t cut = 0; cut <= 9; cut++) {
        uint16_t c16 = otter_crc16(OTTER_CRC16_XMODEM, check, cut);
        uint32_t c32 = otter_crc32(0, check, cut);

        assert_int_equal(otter_crc16(c16, check + cut, 9 - cut), 0x31C3);
        assert_int_equal(otter_crc32(c32, check + cut, 9 - cut), 0xCBF43926);
    }
}

static otter_err return_arg(void *machine, void *arg)
{
    (*(int *)machine)++;
    return *(const otter_err *)arg;
}

static void fsm_moves_by_its_table(void **state)
{
    static const struct otter_fsm_row rows[] = {
        {.state = 0, .event = 0, .next = 1, .failed = 9, .action = NULL},
        {.state = 1, .event = 0, .next = 2, .failed = 3, .action = return_arg},
    };
    static const struct otter_fsm fsm = {rows, 2, OTTER_ERR_STATE};
    static const struct {
        uint8_t from, event;
        otter_err result;
        uint8_t to;
        int calls;
        otter_err returned;
    } cases[] = {
        {0, 0, OTTER_OK, 1, 0, OTTER_OK},               /* a row without an action */
        {1, 0, OTTER_OK, 2, 1, OTTER_OK},               /* success goes to next */
        {1, 0, OTTER_ERR_LINK, 3, 1, OTTER_ERR_LINK},   /* an error to failed */
        {1, 0, OTTER_ERR_AGAIN, 1, 1, OTTER_ERR_AGAIN}, /* more to do: nowhere */
        {1, 1, OTTER_OK, 1, 0, OTTER_ERR_STATE},        /* a pair without a row */
        {7, 0, OTTER_OK, 7, 0, OTTER_ERR_STATE},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t at = cases[i].from;
        otter_err arg = cases[i].result;
        int calls = 0;

        assert_int_equal(otter_fsm_event(&fsm, &at, cases[i].event, &calls, &arg),
                         cases[i].returned);
        assert_int_equal(at, cases[i].to);
        assert_int_equal(calls, cases[i].calls);
    }
}

/* That each error has a text is the compiler's business; here: one sentence, and none twice. */
static void err_texts_are_distinct_sentences(void **state)
{
    enum { COUNT = 200 };
    const char *unknown = otter_err_text((otter_err)-9999);
    const char *text[COUNT];
    int known = 0;

    for (int i = 0; i < COUNT; i++) {
        const char *one = otter_err_text((otter_err)-i);

        if (strcmp(one, unknown) == 0) {
            continue;
        }
        assert_true(strlen(one) > 6 && one[strlen(one) - 1] != '.');
        for (int j = 0; j < known; j++) {
            assert_string_not_equal(one, text[j]);
        }
        text[known++] = one;
    }
    assert_true(known > 50);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(reader_reads_little_endian),
        cmocka_unit_test(reader_past_the_end_is_bad_for_good),
        cmocka_unit_test(reader_skips_and_views),
        cmocka_unit_test(writer_writes_what_the_reader_reads),
        cmocka_unit_test(writer_past_the_end_is_bad_for_good),
        cmocka_unit_test(crc16_golden_vectors),
        cmocka_unit_test(crc16_of_every_length),
        cmocka_unit_test(crc32_golden_vectors),
        cmocka_unit_test(crc_continues_over_any_split),
        cmocka_unit_test(fsm_moves_by_its_table),
        cmocka_unit_test(err_texts_are_distinct_sentences),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
