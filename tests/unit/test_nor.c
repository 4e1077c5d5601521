/* SPDX-License-Identifier: Apache-2.0 */
/* port/sim/nor: the rules of the flash, and every way it can go wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "port/sim/nor.h"

#define SIZE 1024u
#define UNIT 256u

static uint8_t bytes[SIZE];
static uint32_t wear[SIZE / UNIT];
static struct otter_nor nor;
static struct otter_flash flash;
static const uint8_t data[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                 0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF};

static int fresh(void **state)
{
    memset(bytes, 0xFF, sizeof(bytes));
    memset(wear, 0, sizeof(wear));
    nor = (struct otter_nor){
        .bytes = bytes, .size = SIZE, .erase_unit = UNIT, .write_unit = 4, .wear = wear};
    flash = otter_nor_flash(&nor);
    return 0;
}

static otter_err program(uint32_t address, const uint8_t *from, uint32_t len)
{
    return flash.ops->program(flash.ctx, address, from, len);
}

static otter_err erase(uint32_t address)
{
    return flash.ops->erase(flash.ctx, address);
}

static void works_and_counts(void **state)
{
    uint8_t back[16];

    assert_int_equal(program(256, data, 16), OTTER_OK);
    assert_int_equal(flash.ops->read(flash.ctx, 256, back, 16), OTTER_OK);
    assert_memory_equal(back, data, 16);
    assert_int_equal(erase(256), OTTER_OK);
    assert_int_equal(bytes[256], 0xFF);
    assert_int_equal(flash.ops->sync(flash.ctx), OTTER_OK);
    assert_int_equal(nor.operations, 2);
    assert_int_equal(nor.programmed, 16);
    assert_int_equal(nor.erases, 1);
    assert_int_equal(wear[1], 1);
    assert_int_equal(wear[0], 0);
    assert_int_equal(nor.violations, 0);
}

static void breaches_are_refused_and_counted(void **state)
{
    static const uint8_t zeros[4] = {0};
    uint8_t back[4];

    assert_int_equal(program(2, data, 4), OTTER_ERR_FLASH_WRITE);
    assert_int_equal(program(0, data, 3), OTTER_ERR_FLASH_WRITE);
    assert_int_equal(program(0, data, 0), OTTER_ERR_FLASH_WRITE);
    assert_int_equal(program(SIZE, data, 4), OTTER_ERR_FLASH_WRITE);
    assert_int_equal(program(SIZE - 4, data, 8), OTTER_ERR_FLASH_WRITE);
    assert_int_equal(erase(4), OTTER_ERR_FLASH_ERASE);
    assert_int_equal(erase(SIZE), OTTER_ERR_FLASH_ERASE);
    assert_int_equal(flash.ops->read(flash.ctx, SIZE - 2, back, 4), OTTER_ERR_FLASH_READ);
    assert_int_equal(nor.violations, 8);
    assert_int_equal(nor.operations, 0);

    assert_int_equal(program(0, data, 4), OTTER_OK);
    assert_int_equal(program(0, data + 4, 4), OTTER_ERR_FLASH_WRITE);
    assert_int_equal(nor.violations, 9);
    assert_string_equal(nor.violation, "program not aligned to the write unit");
    /* More bits may be cleared, where a unit has no ECC over it. */
    assert_int_equal(program(0, zeros, 4), OTTER_OK);
    nor.write_unit = 16;
    flash = otter_nor_flash(&nor);
    assert_int_equal(program(16, data, 16), OTTER_OK);
    assert_int_equal(program(16, data, 16), OTTER_ERR_FLASH_WRITE);
}

static void faults_come_when_they_should(void **state)
{
    nor.fault = OTTER_NOR_FAIL_ONCE;
    nor.fault_at = 1;
    assert_int_equal(program(0, data, 4), OTTER_OK);
    assert_int_equal(erase(256), OTTER_ERR_FLASH_ERASE);
    assert_int_equal(program(256, data, 4), OTTER_OK);

    nor.fault = OTTER_NOR_FAIL_ON;
    nor.fault_at = nor.operations;
    assert_int_equal(program(512, data, 4), OTTER_ERR_FLASH_WRITE);
    assert_int_equal(erase(0), OTTER_ERR_FLASH_ERASE);
    assert_int_equal(bytes[512], 0xFF);

    nor.fault = OTTER_NOR_SILENT;
    nor.fault_at = nor.operations;
    assert_int_equal(erase(0), OTTER_OK);
    assert_int_equal(bytes[1], 0x11);
    assert_int_equal(program(512, data, 4), OTTER_OK);
    assert_int_equal(bytes[512], 0x00);

    nor.fault = OTTER_NOR_SILENT_ON;
    nor.fault_at = nor.operations;
    assert_int_equal(program(516, data, 4), OTTER_OK);
    assert_int_equal(program(520, data, 4), OTTER_OK);
    assert_int_equal(bytes[516] & bytes[520], 0xFF);
    assert_int_equal(nor.violations, 0);
}

static void a_cut_stops_the_caller_at_once(void **state)
{
    static jmp_buf cut;
    static volatile int reached;

    nor.fault = OTTER_NOR_CUT;
    nor.fault_at = 1;
    nor.tear = (struct otter_nor_tear){OTTER_TEAR_BYTES, 5, 0};
    nor.cut = &cut;
    reached = 0;
    if (setjmp(cut) == 0) {
        assert_int_equal(program(0, data, 16), OTTER_OK);
        reached = 1;
        assert_int_equal(program(16, data, 16), OTTER_OK);
        reached = 2;
    }
    assert_int_equal(reached, 1);
    assert_memory_equal(bytes, data, 16);
    assert_memory_equal(bytes + 16, data, 5);
    assert_int_equal(bytes[21], 0xFF);
}

static void tears_land_what_they_say(void **state)
{
    const struct otter_nor_op write = {OTTER_NOR_PROGRAM, 0, 16, data};
    const struct otter_nor_op wipe = {OTTER_NOR_ERASE, 0, UNIT, NULL};

    otter_nor_tear(bytes, &write, &(struct otter_nor_tear){OTTER_TEAR_WORDS, 1u << 2, 0});
    assert_memory_equal(bytes + 8, data + 8, 4);
    assert_int_equal(bytes[0] & bytes[4] & bytes[12], 0xFF);

    memset(bytes, 0, UNIT);
    otter_nor_tear(bytes, &wipe, &(struct otter_nor_tear){OTTER_TEAR_BIT, 8 * 3 + 5, 0});
    assert_int_equal(bytes[3], 1u << 5);
    bytes[3] = 0;
    for (unsigned i = 0; i < UNIT; i++) {
        assert_int_equal(bytes[i], 0);
    }

    otter_nor_tear(bytes, &wipe, &(struct otter_nor_tear){OTTER_TEAR_BYTES, 10, 0});
    assert_int_equal(bytes[9], 0xFF);
    assert_int_equal(bytes[10], 0);
}

/* About as many bits as the share says, only in the direction of the operation, and the same ones
 * for the same seed. */
static void random_tears_repeat(void **state)
{
    const struct otter_nor_op wipe = {OTTER_NOR_ERASE, 0, UNIT, NULL};
    uint8_t again[UNIT] = {0};

    for (unsigned share = 0; share < 256; share += 51) {
        const struct otter_nor_tear tear = {OTTER_TEAR_RANDOM, 42, (uint8_t)share};
        unsigned set = 0;
        memset(bytes, 0, UNIT);
        memset(again, 0, UNIT);
        otter_nor_tear(bytes, &wipe, &tear);
        otter_nor_tear(again, &wipe, &tear);
        assert_memory_equal(bytes, again, UNIT);
        for (unsigned i = 0; i < UNIT * 8; i++) {
            set += (bytes[i / 8] >> (i % 8)) & 1u;
        }
        assert_in_range(set, UNIT * 8 * share / 256 * 8 / 10, UNIT * 8 * share / 256 * 12 / 10);
    }
    const struct otter_nor_op write = {OTTER_NOR_PROGRAM, 0, 16, data};
    memset(bytes, 0xFF, UNIT);
    otter_nor_tear(bytes, &write, &(struct otter_nor_tear){OTTER_TEAR_RANDOM, 7, 128});
    for (unsigned i = 0; i < 16; i++) {
        assert_int_equal(bytes[i] & data[i], data[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(works_and_counts, fresh),
        cmocka_unit_test_setup(breaches_are_refused_and_counted, fresh),
        cmocka_unit_test_setup(faults_come_when_they_should, fresh),
        cmocka_unit_test_setup(a_cut_stops_the_caller_at_once, fresh),
        cmocka_unit_test_setup(tears_land_what_they_say, fresh),
        cmocka_unit_test_setup(random_tears_repeat, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
