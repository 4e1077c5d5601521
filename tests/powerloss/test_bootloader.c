/* SPDX-License-Identifier: Apache-2.0 */
/* The bootloader model: what boots for every kind of otadata, and what it writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/powerloss/world.h"

#define NONE OTTER_SLOT_NONE
#define F OTTER_SLOT_FACTORY

static const struct geometry geometry = {256, 4, 400, 0};
static struct gallery gallery;
static struct world w;

static int set_up(void **state)
{
    return gallery_build(&gallery, &geometry) && world_new(&w) ? 0 : -1;
}

static int tear_down(void **state)
{
    world_free(&w);
    gallery_free(&gallery);
    return 0;
}

/* An empty flash: no image anywhere, otadata blank. */
static void empty(bool factory, uint8_t ota_slots)
{
    const struct shape shape = {factory, ota_slots};

    assert_true(world_start(&w, &gallery, &geometry, &shape, true));
    memset(w.bytes, 0xFF, w.nor.size);
}

static void put_image(int slot)
{
    const struct otter_region r = otter_layout_slot(&w.layout, slot);

    memcpy(w.bytes + r.offset, gallery.images[0].bytes, gallery.images[0].len);
}

static void put_entry(int copy, uint32_t seq, uint32_t state, bool good_crc)
{
    struct otter_otadata_entry e = {
        .seq = seq, .state = state, .crc = otter_otadata_crc(seq) ^ (good_crc ? 0 : 4)};

    memset(e.label, 0xFF, sizeof(e.label));
    otter_otadata_encode(&e, w.bytes + (uint32_t)copy * w.layout.otadata_stride);
}

static const struct otter_otadata *otadata(void)
{
    static struct otter_otadata data;
    const struct otter_flash flash = otter_nor_flash(&w.nor);

    assert_int_equal(otter_layout_read_otadata(&w.layout, &flash, &data), OTTER_OK);
    return &data;
}

static const struct otter_boot_report *boot_with(uint16_t chip_id, bool dry_run)
{
    const struct otter_bootloader bl = {
        .flash = otter_nor_flash(&w.nor),
        .layout = w.layout,
        .hash = otter_sha256_hash(&w.hashes[0]),
        .chip_id = chip_id,
        .rollback = w.rollback,
        .dry_run = dry_run,
        .buf = w.bufs[0],
        .buf_size = 100, /* no divisor of anything */
    };

    assert_int_equal(otter_bootloader_run(&bl, &w.report), OTTER_OK);
    assert_int_equal(w.nor.violations, 0);
    return &w.report;
}

static const struct otter_boot_report *boot(void)
{
    return boot_with(WORLD_CHIP, false);
}

/* Order of the walk, from the slot that otadata selects: ESP-IDF's, down to factory, then up. */
static void walks_down_to_factory_then_up(void **state)
{
    static const struct {
        bool factory;
        uint8_t slots;
        uint32_t seq; /* 0: blank */
        int order[5];
        uint8_t count;
    } cases[] = {
        {true, 3, 0, {F, 0, 1, 2}, 4},     {true, 3, 1, {0, F, 1, 2}, 4},
        {true, 3, 2, {1, 0, F, 2}, 4},     {true, 3, 6, {2, 1, 0, F}, 4},
        {false, 3, 0, {0, 1, 2}, 3},       {false, 3, 2, {1, 0, 2}, 3},
        {false, 4, 3, {2, 1, 0, 3}, 4},    {true, 0, 0, {F}, 1},
        {false, 2, 0xFFFFFFFE, {1, 0}, 2},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        empty(cases[i].factory, cases[i].slots);
        if (cases[i].seq != 0) {
            put_entry(0, cases[i].seq, OTTER_OTADATA_VALID, true);
        }
        const struct otter_boot_report *r = boot();
        assert_int_equal(r->booted, NONE);
        assert_int_equal(r->selected, cases[i].order[0]);
        assert_int_equal(r->tried_count, cases[i].count);
        for (int k = 0; k < cases[i].count; k++) {
            assert_int_equal(r->tried[k].slot, cases[i].order[k]);
            assert_int_equal(r->tried[k].err, OTTER_ERR_IMAGE_MAGIC);
        }
        /* The last of the walk is the only one with an image. */
        put_image(cases[i].order[cases[i].count - 1]);
        r = boot();
        assert_int_equal(r->booted, cases[i].order[cases[i].count - 1]);
        assert_int_equal(r->fell_back, cases[i].count > 1);
    }
}

static void the_test_app_is_the_last_resort(void **state)
{
    empty(true, 1);
    w.layout.test = w.layout.ota[0];
    w.layout.ota_slots = 0;
    w.layout.ota[0].size = 0;
    put_image(OTTER_SLOT_TEST);
    assert_int_equal(boot()->booted, OTTER_SLOT_TEST);
    assert_string_equal(otter_slot_name(OTTER_SLOT_TEST), "test");
    assert_string_equal(otter_slot_name(15), "ota_15");
    assert_string_equal(otter_slot_name(16), "none");
}

static void otadata_without_a_good_crc(void **state)
{
    empty(true, 2);
    put_image(F);
    put_image(1);
    put_entry(0, 2, OTTER_OTADATA_VALID, false);
    assert_int_equal(boot()->booted, F);
    assert_int_equal(w.report.reason, OTTER_BOOT_BAD_OTADATA);

    empty(false, 2);
    put_image(0);
    put_image(1);
    put_entry(0, 2, OTTER_OTADATA_VALID, false);
    assert_int_equal(boot()->booted, 0);
    assert_false(w.report.recorded);
}

static void without_factory_the_first_boot_is_recorded(void **state)
{
    empty(false, 3);
    put_image(1);
    assert_int_equal(boot()->booted, 1);
    assert_int_equal(w.report.reason, OTTER_BOOT_BLANK);
    assert_true(w.report.recorded);
    assert_int_equal(otadata()->copy[0].seq, 2);
    assert_int_equal(otadata()->copy[0].state, OTTER_OTADATA_VALID);
    assert_int_equal(boot()->reason, OTTER_BOOT_BY_OTADATA);
    assert_false(w.report.fell_back);

    /* Not over copies that were refused: their history stays. */
    empty(false, 2);
    put_image(0);
    put_entry(0, 1, OTTER_OTADATA_INVALID, true);
    put_entry(1, 2, OTTER_OTADATA_ABORTED, true);
    assert_int_equal(boot()->booted, 0);
    assert_false(w.report.recorded);
    /* But over one that is refused and damaged. */
    put_entry(0, 1, OTTER_OTADATA_INVALID, false);
    memset(w.bytes + w.layout.otadata_stride, 0xFF, 32);
    assert_int_equal(boot()->booted, 0);
    assert_true(w.report.recorded);
}

static void rollback_transitions(void **state)
{
    empty(true, 2);
    put_image(F);
    put_image(0);
    put_image(1);
    put_entry(0, 1, OTTER_OTADATA_VALID, true);
    put_entry(1, 2, OTTER_OTADATA_NEW, true);
    assert_int_equal(boot()->booted, 1);
    assert_true(w.report.became_pending);
    assert_int_equal(otadata()->copy[1].state, OTTER_OTADATA_PENDING_VERIFY);
    assert_int_equal(boot()->booted, 0);
    assert_true(w.report.aborted[1]);
    assert_false(w.report.aborted[0]);
    assert_int_equal(otadata()->copy[1].state, OTTER_OTADATA_ABORTED);
    assert_int_equal(boot()->booted, 0);
    assert_false(w.report.aborted[1]);

    /* A bootloader without rollback leaves all that alone. */
    w.rollback = false;
    w.nor.operations = 0;
    put_entry(1, 2, OTTER_OTADATA_NEW, true);
    assert_int_equal(boot()->booted, 1);
    assert_int_equal(w.nor.operations, 0);
}

static void a_dry_run_decides_the_same_and_writes_nothing(void **state)
{
    for (uint32_t s0 = 0; s0 < 6; s0++) {
        for (uint32_t s1 = 0; s1 < 6; s1++) {
            empty(false, 3);
            put_image((int)(s0 + s1) % 3);
            put_entry(0, 4, s0, s1 != 5);
            put_entry(1, 3 + s0 % 3, s1, s0 != 5);
            const struct otter_boot_report dry = *boot_with(WORLD_CHIP, true);
            assert_int_equal(w.nor.operations, 0);
            assert_memory_equal(&dry, boot(), sizeof(dry));
        }
    }
}

static void an_image_for_another_chip_does_not_boot(void **state)
{
    empty(false, 2);
    put_image(0);
    assert_int_equal(boot_with(13, true)->booted, NONE);
    assert_int_equal(w.report.tried[0].err, OTTER_ERR_IMAGE_CHIP);
    assert_int_equal(boot_with(OTTER_CHIP_ANY, true)->booted, 0);
}

static void without_otadata_factory_boots(void **state)
{
    empty(true, 2);
    put_image(F);
    put_image(1);
    w.layout.otadata.size = 0;
    assert_int_equal(boot()->booted, F);
    assert_int_equal(w.report.reason, OTTER_BOOT_NO_OTADATA);
    w.layout.factory.size = 0;
    assert_int_equal(boot()->booted, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_down_to_factory_then_up),
        cmocka_unit_test(the_test_app_is_the_last_resort),
        cmocka_unit_test(otadata_without_a_good_crc),
        cmocka_unit_test(without_factory_the_first_boot_is_recorded),
        cmocka_unit_test(rollback_transitions),
        cmocka_unit_test(a_dry_run_decides_the_same_and_writes_nothing),
        cmocka_unit_test(an_image_for_another_chip_does_not_boot),
        cmocka_unit_test(without_otadata_factory_boots),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
