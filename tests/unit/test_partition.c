/* SPDX-License-Identifier: Apache-2.0 */
/* src/esp/partition and otadata's vectors. The rule itself is held against a second model in
 * test_otadata_model.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/sha256.h"
#include "otter/otadata.h"
#include "otter/partition.h"

#define FLASH 0x400000u

/* The reference table with factory and two slots. */
static const struct otter_partition two_ota[] = {
    {0x9000, 0x4000, 0, 1, 2, "nvs"},          {0xd000, 0x2000, 0, 1, 0, "otadata"},
    {0xf000, 0x1000, 0, 1, 1, "phy_init"},     {0x10000, 0x100000, 0, 0, 0, "factory"},
    {0x110000, 0x100000, 0, 0, 0x10, "ota_0"}, {0x210000, 0x100000, 1, 0, 0x11, "ota_1"},
};
#define ROWS (sizeof two_ota / sizeof two_ota[0])

struct table {
    struct otter_partition rows[OTTER_TABLE_ROWS_MAX];
    struct otter_partition_table t;
};

static void reference(struct table *table)
{
    memcpy(table->rows, two_ota, sizeof two_ota);
    table->t = (struct otter_partition_table){
        .rows = table->rows, .capacity = OTTER_TABLE_ROWS_MAX, .count = ROWS};
}

static void what_is_built_parses_back(void **state)
{
    struct table a;
    struct table b;
    uint8_t raw[OTTER_TABLE_SIZE];

    for (int md5 = 0; md5 < 2; md5++) {
        reference(&a);
        reference(&b);
        assert_int_equal(otter_partition_build(&a.t, FLASH, md5 ? otter_md5 : NULL, raw), OTTER_OK);
        assert_int_equal(otter_partition_parse(&b.t, raw, sizeof raw, FLASH, otter_md5), OTTER_OK);
        assert_int_equal(b.t.has_md5, md5);
        assert_int_equal(b.t.count, ROWS);
        for (size_t i = 0; i < ROWS; i++) {
            assert_int_equal(b.rows[i].offset, two_ota[i].offset);
            assert_int_equal(b.rows[i].size, two_ota[i].size);
            assert_int_equal(b.rows[i].flags, two_ota[i].flags);
            assert_int_equal(b.rows[i].type, two_ota[i].type);
            assert_int_equal(b.rows[i].subtype, two_ota[i].subtype);
            assert_string_equal(b.rows[i].label, two_ota[i].label);
        }
        assert_int_equal(otter_partition_ota_slots(&b.t), 2);
        assert_ptr_equal(otter_partition_find(&b.t, 0, 0x11), &b.rows[5]);
        assert_null(otter_partition_find(&b.t, 0, 0x12));
    }
}

/* Any single bit flipped is found by the MD5, or by what a row may be. */
static void every_flipped_bit_is_found(void **state)
{
    struct table table;
    uint8_t raw[OTTER_TABLE_SIZE];

    reference(&table);
    assert_int_equal(otter_partition_build(&table.t, FLASH, otter_md5, raw), OTTER_OK);
    for (size_t bit = 0; bit < (ROWS + 1) * 32 * 8; bit++) {
        if (bit / 8 >= ROWS * 32 + 2 && bit / 8 < ROWS * 32 + 16) {
            continue; /* filling of the MD5 row, which nobody reads */
        }
        raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(otter_partition_parse(&table.t, raw, sizeof raw, FLASH, otter_md5),
                             OTTER_OK);
        raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(otter_partition_parse(&table.t, raw, sizeof raw, FLASH, otter_md5), OTTER_OK);
}

static void what_cannot_be_is_refused_both_ways(void **state)
{
    const struct {
        size_t row;
        struct otter_partition p;
        otter_err err;
    } table[] = {
        {4, {0x118000, 0x10000, 0, 0, 0x10, "ota_0"}, OTTER_ERR_TABLE_ALIGN},
        {0, {0x9800, 0x4000, 0, 1, 2, "nvs"}, OTTER_ERR_TABLE_ALIGN},
        {5, {0x210000, 0x100010, 0, 0, 0x11, "ota_1"}, OTTER_ERR_TABLE_ALIGN},
        {5, {0x310000, 0x100000, 0, 0, 0x11, "ota_1"}, OTTER_ERR_TABLE_RANGE},
        {5, {0xFFFF0000, 0x100000, 0, 0, 0x11, "ota_1"}, OTTER_ERR_TABLE_RANGE},
        {5, {0x210000, 0, 0, 0, 0x11, "ota_1"}, OTTER_ERR_TABLE_RANGE},
        {5, {0x200000, 0x100000, 0, 0, 0x11, "ota_1"}, OTTER_ERR_TABLE_OVERLAP},
        {0, {0x8000, 0x1000, 0, 1, 2, "nvs"}, OTTER_ERR_TABLE_OVERLAP},
        {0, {0x7000, 0x2000, 0, 1, 2, "nvs"}, OTTER_ERR_TABLE_OVERLAP},
        {5, {0x210000, 0x100000, 0, 0, 0x11, "ota_0"}, OTTER_ERR_TABLE_LABEL},
        {5, {0x210000, 0x100000, 0, 0, 0x12, "ota_2"}, OTTER_ERR_TABLE_SLOTS},
        {5, {0x210000, 0x100000, 0, 0, 0x10, "again"}, OTTER_ERR_TABLE_SLOTS},
        {1, {0xd000, 0x1000, 0, 1, 0, "otadata"}, OTTER_ERR_TABLE_SLOTS},
    };
    uint8_t raw[OTTER_TABLE_SIZE];
    struct table t;

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        reference(&t);
        t.rows[table[i].row] = table[i].p;
        assert_int_equal(otter_partition_build(&t.t, FLASH, otter_md5, raw), table[i].err);
    }
    reference(&t);
    t.t.count = 0;
    assert_int_equal(otter_partition_build(&t.t, FLASH, NULL, raw), OTTER_ERR_TABLE_EMPTY);
    /* a data partition may have any size, as ESP-IDF's Zigbee examples do */
    reference(&t);
    t.rows[0] = (struct otter_partition){0x9000, 0x400, 0, 1, 0x81, "zb_fct"};
    assert_int_equal(otter_partition_build(&t.t, FLASH, NULL, raw), OTTER_OK);
    /* the bootloader and the table may be named by rows of their own types */
    reference(&t);
    t.rows[0] = (struct otter_partition){0x8000, 0x1000, 0, 3, 0, "table"};
    assert_int_equal(otter_partition_build(&t.t, FLASH, NULL, raw), OTTER_OK);
}

static void a_table_may_be_full_but_not_more(void **state)
{
    struct table t;
    uint8_t raw[OTTER_TABLE_SIZE];

    t.t = (struct otter_partition_table){.rows = t.rows, .capacity = OTTER_TABLE_ROWS_MAX};
    for (unsigned i = 0; i < OTTER_TABLE_ROWS_MAX; i++) {
        t.rows[i] = (struct otter_partition){0x9000 + i * 0x1000, 0x1000, 0, 1, 0x40, ""};
        t.rows[i].label[0] = (char)('0' + i / 10);
        t.rows[i].label[1] = (char)('0' + i % 10);
        t.rows[i].label[2] = '\0';
    }
    t.t.count = OTTER_TABLE_ROWS_MAX;
    assert_int_equal(otter_partition_build(&t.t, 0, NULL, raw), OTTER_OK);
    assert_int_equal(otter_partition_build(&t.t, 0, otter_md5, raw), OTTER_ERR_TABLE_FULL);
    t.t.count--;
    assert_int_equal(otter_partition_build(&t.t, 0, otter_md5, raw), OTTER_OK);
    t.t.capacity = 50;
    assert_int_equal(otter_partition_parse(&t.t, raw, sizeof raw, 0, otter_md5),
                     OTTER_ERR_TABLE_FULL);
}

static void bytes_that_are_no_table(void **state)
{
    struct table t;
    uint8_t raw[OTTER_TABLE_SIZE];

    reference(&t);
    assert_int_equal(otter_partition_build(&t.t, FLASH, otter_md5, raw), OTTER_OK);
    /* cut before the end row; nothing at all; blank; text; an MD5 row twice */
    assert_int_equal(otter_partition_parse(&t.t, raw, ROWS * 32 + 32, FLASH, otter_md5),
                     OTTER_ERR_TABLE_FULL);
    assert_int_equal(otter_partition_parse(&t.t, raw, 0, FLASH, otter_md5), OTTER_ERR_TABLE_FULL);
    memcpy(raw + ROWS * 32 + 32, raw + ROWS * 32, 32);
    assert_int_equal(otter_partition_parse(&t.t, raw, sizeof raw, FLASH, otter_md5),
                     OTTER_ERR_TABLE_MAGIC);
    memset(raw, 0xFF, sizeof raw);
    assert_int_equal(otter_partition_parse(&t.t, raw, sizeof raw, FLASH, otter_md5),
                     OTTER_ERR_TABLE_EMPTY);
    memset(raw, 'x', sizeof raw);
    assert_int_equal(otter_partition_parse(&t.t, raw, sizeof raw, FLASH, otter_md5),
                     OTTER_ERR_TABLE_MAGIC);
}

static otter_err broken_md5(const uint8_t *data, size_t len, uint8_t digest[16])
{
    return OTTER_ERR_HASH;
}

static void an_md5_that_fails_is_told(void **state)
{
    struct table t;
    uint8_t raw[OTTER_TABLE_SIZE];

    reference(&t);
    assert_int_equal(otter_partition_build(&t.t, FLASH, broken_md5, raw), OTTER_ERR_HASH);
    assert_int_equal(otter_partition_build(&t.t, FLASH, otter_md5, raw), OTTER_OK);
    assert_int_equal(otter_partition_parse(&t.t, raw, sizeof raw, FLASH, broken_md5),
                     OTTER_ERR_HASH);
    assert_int_equal(otter_partition_parse(&t.t, raw, sizeof raw, FLASH, NULL), OTTER_OK);
}

static void otadata_golden_vectors(void **state)
{
    assert_int_equal(otter_otadata_crc(1), 0x4743989A);
    assert_int_equal(otter_otadata_crc(2), 0x55F63774);
    assert_int_equal(otter_otadata_crc(3), 0xED4A5011);
    assert_int_equal(otter_otadata_crc(4), 0x709D68A8);
}

static void otadata_encodes_what_it_decodes(void **state)
{
    uint8_t raw[OTTER_OTADATA_ENTRY_SIZE];
    uint8_t again[OTTER_OTADATA_ENTRY_SIZE];
    struct otter_otadata_entry entry;

    for (uint8_t i = 0; i < sizeof raw; i++) {
        raw[i] = i;
    }
    otter_otadata_decode(&entry, raw);
    assert_int_equal(entry.seq, 0x03020100);
    assert_int_equal(entry.state, 0x1B1A1918);
    assert_int_equal(entry.crc, 0x1F1E1D1C);
    otter_otadata_encode(&entry, again);
    assert_memory_equal(raw, again, sizeof raw);
}

/* F09 at the library: the right slot, or refused; no wrap. */
static void F09_the_last_sequence_numbers(void **state)
{
    struct otter_otadata data;
    struct otter_otadata_plan plan;

    memset(&data, 0xFF, sizeof data);
    for (uint32_t seq = 0xFFFFFFF0u; seq != 0xFFFFFFFFu; seq++) {
        data.copy[0].seq = seq;
        data.copy[0].state = OTTER_OTADATA_VALID;
        data.copy[0].crc = otter_otadata_crc(seq);
        for (uint8_t slots = 1; slots <= 16; slots++) {
            for (uint8_t slot = 0; slot < slots; slot++) {
                otter_err err = otter_otadata_plan_select(&data, slot, slots, 0, &plan);

                if (err == OTTER_OK) {
                    assert_true(plan.entry.seq >= seq && plan.entry.seq != 0xFFFFFFFFu);
                    assert_int_equal(otter_otadata_slot(plan.entry.seq, slots), slot);
                } else {
                    assert_int_equal(err, OTTER_ERR_SEQ_EXHAUSTED);
                }
            }
        }
    }
}

static void impossible_slots_are_refused(void **state)
{
    struct otter_otadata data;
    struct otter_otadata_plan plan;

    memset(&data, 0xFF, sizeof data);
    assert_int_equal(otter_otadata_plan_select(&data, 2, 2, 0, &plan), OTTER_ERR_ARG);
    assert_int_equal(otter_otadata_plan_select(&data, 0, 0, 0, &plan), OTTER_ERR_ARG);
    assert_int_equal(otter_otadata_plan_select(&data, 0, 17, 0, &plan), OTTER_ERR_ARG);
    assert_int_equal(otter_otadata_plan_mark(&data, true, &plan), OTTER_ERR_NO_OTADATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_built_parses_back),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(what_cannot_be_is_refused_both_ways),
        cmocka_unit_test(a_table_may_be_full_but_not_more),
        cmocka_unit_test(bytes_that_are_no_table),
        cmocka_unit_test(an_md5_that_fails_is_told),
        cmocka_unit_test(otadata_golden_vectors),
        cmocka_unit_test(otadata_encodes_what_it_decodes),
        cmocka_unit_test(F09_the_last_sequence_numbers),
        cmocka_unit_test(impossible_slots_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
