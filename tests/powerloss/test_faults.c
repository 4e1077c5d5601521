/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows F01 to F15 of the list of faults, one test each. After each fault the device boots exactly
 * the old or the new image, whole; no slot but the target was touched; a fresh attempt succeeds.
 *
 * F01 to F04 are here on a small scale, with a cut that really stops the code (longjmp), to hold
 * powerloss.c against: it tries every cut on every layout, by another way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/image_build.h"
#include "tests/powerloss/world.h"

static const struct geometry geometry = {128, 4, 336, 0};
static const struct shape shapes[] = {{true, 2}, {false, 2}, {false, 3}};
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static struct gallery gallery;
static struct world w;    /* the device under test */
static struct world copy; /* and one to try things on */

#define GOOD(call)                                                                                 \
    do {                                                                                           \
        if (!(call))                                                                               \
            fail_msg("%s", w.why);                                                                 \
    } while (0)

static int set_up(void **state)
{
    return gallery_build(&gallery, &geometry) && world_new(&w) && world_new(&copy) ? 0 : -1;
}

static int tear_down(void **state)
{
    world_free(&w);
    world_free(&copy);
    gallery_free(&gallery);
    return 0;
}

static const struct image *image(int i)
{
    return &gallery.images[i];
}

/* A device that was updated once and runs image 1, confirmed. */
static void start(const struct shape *shape)
{
    w.policy = NULL;
    w.on_event = NULL;
    GOOD(world_start(&w, &gallery, &geometry, shape, true));
    GOOD(world_power_on(&w));
    assert_int_equal(world_update(&w, image(1)), OTTER_OK);
    GOOD(world_power_on(&w) && world_must_run(&w, image(1)));
    assert_int_equal(otter_boot_confirm(world_slots(&w)), OTTER_OK);
    w.nor.operations = 0;
}

/* The same, then an update whose image was damaged later: the bootloader fell back to image 1, or
 * to factory, and otadata still names the damaged one. */
static void start_fallen_back(const struct shape *shape)
{
    start(shape);
    assert_int_equal(world_update(&w, image(2)), OTTER_OK);
    GOOD(world_power_on(&w));
    assert_int_equal(otter_boot_confirm(world_slots(&w)), OTTER_OK);
    w.bytes[otter_layout_slot(&w.layout, w.slots.running).offset + 100] ^= 1;
    GOOD(world_power_on_any(&w));
    assert_true(w.report.fell_back);
    w.nor.operations = 0;
}

/* ---- F01 to F04: power cuts -------------------------------------------------------------- */

/* An update that confirms, or one that gives itself up, and a power-on after it. */
static void whole_update(bool confirm)
{
    assert_int_equal(world_update(&w, image(2)), OTTER_OK);
    GOOD(world_power_on(&w));
    if (confirm) {
        assert_int_equal(otter_boot_confirm(world_slots(&w)), OTTER_OK);
    } else {
        assert_int_equal(otter_boot_roll_back(world_slots(&w)), OTTER_OK);
    }
    GOOD(world_power_on(&w) && world_must_run(&w, image(confirm ? 2 : 1)));
}

static jmp_buf power_gone;

/* Arms a cut at an operation from now; the caller has setjmp'ed. */
static void arm(uint32_t operation, struct otter_nor_tear tear)
{
    w.nor.operations = 0;
    w.nor.fault = OTTER_NOR_CUT;
    w.nor.fault_at = operation;
    w.nor.tear = tear;
    w.nor.cut = &power_gone;
}

/* The bootloader writes an entry in one program, so random bits may lose a trial there. */
static void power_is_back(void)
{
    w.nor.fault = OTTER_NOR_NO_FAULT;
    w.strict = !w.in_bootloader || w.nor.tear.kind == OTTER_TEAR_BYTES;
    w.in_bootloader = false;
}

/* Runs with a cut at this operation; false when there are fewer operations than that. */
static bool cut_update(const struct shape *shape, bool confirm, uint32_t operation,
                       struct otter_nor_tear tear)
{
    start(shape);
    arm(operation, tear);
    if (setjmp(power_gone) != 0) {
        power_is_back();
        return true;
    }
    whole_update(confirm);
    w.nor.fault = OTTER_NOR_NO_FAULT;
    return false;
}

static void F01_cut_before_every_operation(void **state)
{
    const struct otter_nor_tear nothing = {OTTER_TEAR_BYTES, 0, 0};
    uint32_t operation;

    for (size_t s = 0; s < SHAPES; s++) {
        for (int confirm = 0; confirm < 2; confirm++) {
            for (operation = 0; cut_update(&shapes[s], confirm != 0, operation, nothing);
                 operation++) {
                GOOD(world_recover(&w));
            }
            assert_in_range(operation, 10, 100);
        }
    }
}

/* What kind of operations an update has, in order. */
static enum otter_nor_kind kinds[128];
static uint32_t kind_count;

static void note_kind(void *ctx, const struct otter_nor *nor, const struct otter_nor_op *op)
{
    assert_in_range(nor->operations, 0, 127);
    kinds[nor->operations] = op->kind;
    kind_count = nor->operations + 1;
}

static void cut_inside_every(enum otter_nor_kind kind)
{
    for (size_t s = 0; s < SHAPES; s++) {
        start(&shapes[s]);
        w.nor.before = note_kind;
        whole_update(true);
        for (uint32_t operation = 0; operation < kind_count; operation++) {
            if (kinds[operation] != kind) {
                continue;
            }
            for (uint32_t n = 1; n <= 128; n += n < 33 ? 1 : 8) {
                const struct otter_nor_tear bytes = {OTTER_TEAR_BYTES, n, 0};
                const struct otter_nor_tear bits = {OTTER_TEAR_RANDOM, n, (uint8_t)(n * 37)};
                assert_true(cut_update(&shapes[s], true, operation, bytes));
                GOOD(world_recover(&w));
                assert_true(cut_update(&shapes[s], true, operation, bits));
                GOOD(world_recover(&w));
            }
        }
    }
}

static void F02_cut_inside_every_program(void **state)
{
    cut_inside_every(OTTER_NOR_PROGRAM);
}

static void F03_cut_inside_every_erase(void **state)
{
    cut_inside_every(OTTER_NOR_ERASE);
}

/* The same for a recovery. */
static bool cut_recovery(uint32_t operation, struct otter_nor_tear tear)
{
    arm(operation, tear);
    if (setjmp(power_gone) != 0) {
        power_is_back();
        return true;
    }
    GOOD(world_recover(&w));
    return false;
}

static void F04_cut_again_in_the_recovery(void **state)
{
    const struct otter_nor_tear tear = {OTTER_TEAR_BYTES, 6, 0};

    for (uint32_t first = 0; cut_update(&shapes[1], true, first, tear); first++) {
        bool more = true;
        for (uint32_t second = 0; more; second++) {
            assert_true(cut_update(&shapes[1], true, first, tear));
            more = cut_recovery(second, tear);
            if (more) {
                GOOD(world_recover(&w));
            }
        }
    }
}

/* ---- F05, F06: bits that flip ------------------------------------------------------------ */

static void F05_every_bit_of_otadata(void **state)
{
    for (size_t s = 0; s < SHAPES; s++) {
        for (int pending = 0; pending < 2; pending++) {
            for (uint32_t bit = 0; bit < 2 * 256; bit++) {
                start(&shapes[s]);
                assert_int_equal(world_update(&w, image(2)), OTTER_OK);
                GOOD(world_power_on(&w));
                if (pending == 0) {
                    assert_int_equal(otter_boot_confirm(world_slots(&w)), OTTER_OK);
                }
                w.bytes[bit / 256 * geometry.erase_unit + bit % 256 / 8] ^=
                    (uint8_t)(1u << (bit % 8));
                GOOD(world_power_on_any(&w));
                GOOD(world_fresh_attempt(&w));
            }
        }
    }
}

/* In transit: what arrives with a wrong bit is refused, and the old image boots. */
static void F06_every_bit_of_the_image_in_transit(void **state)
{
    struct image flipped = *image(2);

    flipped.bytes = malloc(flipped.len);
    assert_non_null(flipped.bytes);
    memcpy(flipped.bytes, image(2)->bytes, flipped.len);
    start(&shapes[0]);
    for (uint32_t bit = 0; bit < flipped.len * 8; bit++) {
        flipped.bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        const otter_err err = world_update(&w, &flipped);
        if (bit == 23 * 8) {
            assert_int_equal(err, OTTER_ERR_IMAGE_NO_DIGEST);
        }
        if (err == OTTER_OK) {
            fail_msg("bit %u of byte %u passed", bit % 8, bit / 8);
        }
        GOOD(world_power_on(&w) && world_must_run(&w, image(1)));
        flipped.bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    free(flipped.bytes);
    GOOD(world_recover(&w));
}

/*
 * In the slot, after it was selected: the bootloader refuses it and the old image boots.
 *
 * Except for byte 23, which says whether a digest follows: with bit 0 cleared the bootloader (ours
 * as ESP-IDF's, without Secure Boot) asks for the checksum only. The image is then the new one to
 * the last byte but this one, so that nothing it executes is different: harmless. That is why an
 * update without a digest is never accepted: see above.
 */
static void F06_every_bit_of_the_image_in_its_slot(void **state)
{
    start(&shapes[1]);
    assert_int_equal(world_update(&w, image(2)), OTTER_OK);
    const uint32_t at = otter_layout_slot(&w.layout, w.target).offset;
    memcpy(copy.before, w.before, w.nor.size);
    for (uint32_t bit = 0; bit < image(2)->len * 8; bit++) {
        world_copy(&copy, &w);
        copy.bytes[at + bit / 8] ^= (uint8_t)(1u << (bit % 8));
        const bool known = world_power_on(&copy);
        if (bit / 8 == 23 && !known) {
            assert_int_equal(copy.report.booted, copy.target);
            assert_false(copy.report.facts.has_digest);
            continue;
        }
        if (!known) {
            fail_msg("bit %u of byte %u: %s", bit % 8, bit / 8, copy.why);
        }
        assert_ptr_equal(copy.running, image(1));
        if (!world_recover(&copy)) {
            fail_msg("bit %u of byte %u: %s", bit % 8, bit / 8, copy.why);
        }
    }
}

/* ---- F07, F08: operations that do nothing ------------------------------------------------ */

/* Update, power-on and confirm, with a fault at one operation; false when there are fewer. The
 * device must say the truth: what it calls done is done. */
static bool faulty_update(void (*from)(const struct shape *), const struct shape *shape,
                          enum otter_nor_fault fault, uint32_t operation)
{
    from(shape);
    const struct image *const old = w.running;
    w.nor.fault = fault;
    w.nor.fault_at = operation;
    const otter_err err = world_update(&w, image(3));
    if (fault == OTTER_NOR_FAIL_ONCE || fault == OTTER_NOR_FAIL_ON) {
        assert_true(err == OTTER_OK || err == OTTER_ERR_FLASH_WRITE ||
                    err == OTTER_ERR_FLASH_ERASE);
    }
    assert_int_equal(w.update.state, err == OTTER_OK ? OTTER_UPDATE_SELECTED : OTTER_UPDATE_IDLE);
    const bool within_update = w.nor.operations > operation;
    /* A bootloader whose write is lost starts no trial. */
    w.strict = within_update && (fault == OTTER_NOR_FAIL_ONCE || fault == OTTER_NOR_SILENT);
    GOOD(world_power_on(&w));
    if (err == OTTER_OK) {
        GOOD(world_must_run(&w, image(3)));
    } else if (fault == OTTER_NOR_FAIL_ONCE) {
        GOOD(world_must_run(&w, old));
    }
    if (within_update) {
        return true;
    }
    if (world_is_pending(&w)) {
        (void)!otter_boot_confirm(world_slots(&w));
    }
    return w.nor.operations > operation;
}

static void every_operation(enum otter_nor_fault fault, bool for_good)
{
    for (size_t s = 0; s < 2 * SHAPES; s++) {
        for (uint32_t operation = 0; faulty_update(s < SHAPES ? start : start_fallen_back,
                                                   &shapes[s % SHAPES], fault, operation);
             operation++) {
            /* Dead for good: it still boots, but no more can be asked. */
            if (!for_good) {
                w.nor.fault = OTTER_NOR_NO_FAULT;
                GOOD(world_recover(&w));
            } else {
                GOOD(world_power_on(&w));
            }
        }
    }
}

static void F07_operation_silently_lost(void **state)
{
    every_operation(OTTER_NOR_SILENT, false);
    every_operation(OTTER_NOR_SILENT_ON, true);
}

static void F08_operation_fails_once_or_from_then_on(void **state)
{
    every_operation(OTTER_NOR_FAIL_ONCE, false);
    every_operation(OTTER_NOR_FAIL_ON, true);
}

/* The disk or chip comes back: what was dead takes a fresh update. */
static void F08_flash_that_comes_back(void **state)
{
    for (uint32_t operation = 0; faulty_update(start, &shapes[0], OTTER_NOR_FAIL_ON, operation);
         operation++) {
        w.nor.fault = OTTER_NOR_NO_FAULT;
        GOOD(world_recover(&w));
    }
}

/* ---- F09, F10, F11: limits and policy ---------------------------------------------------- */

static void write_entry(int which, uint32_t seq)
{
    struct otter_otadata_entry entry = {
        .seq = seq, .state = OTTER_OTADATA_VALID, .crc = otter_otadata_crc(seq)};

    memset(entry.label, 0xFF, sizeof(entry.label));
    otter_otadata_encode(&entry, w.bytes + (uint32_t)which * geometry.erase_unit);
}

static void F09_seq_near_the_end(void **state)
{
    for (uint8_t slots = 2; slots <= 5; slots++) {
        for (uint32_t seq = OTTER_OTADATA_SEQ_NONE - 40; seq != OTTER_OTADATA_SEQ_NONE; seq++) {
            for (int which = 0; which < 2; which++) {
                const struct shape shape = {false, slots};
                start(&shape);
                /* The running image moves to where this seq selects it. */
                const struct otter_region from = otter_layout_slot(&w.layout, w.slots.running);
                const int home = otter_otadata_slot(seq, slots);
                const struct otter_region to = otter_layout_slot(&w.layout, home);
                memmove(w.bytes + to.offset, w.bytes + from.offset, from.size);
                memset(w.bytes, 0xFF, 2 * geometry.erase_unit);
                write_entry(which, seq);
                memcpy(w.before, w.bytes, w.nor.size);
                GOOD(world_power_on_any(&w));
                assert_int_equal(w.slots.running, home);
                assert_int_equal(world_update(&w, image(2)), OTTER_OK);
                GOOD(world_power_on(&w) && world_must_run(&w, image(2)));
                assert_int_equal(w.slots.running, (home + 1) % slots);
                GOOD(world_recover(&w));
            }
        }
    }
}

static struct image build(const struct otter_image_spec *spec)
{
    struct image made;
    size_t len;

    assert_int_equal(otter_image_build(spec, &made.bytes, &len), OTTER_OK);
    made.len = (uint32_t)len;
    memcpy(made.digest, made.bytes + len - OTTER_SHA256_SIZE, OTTER_SHA256_SIZE);
    return made;
}

static void F10_image_of_exactly_the_slot_and_one_more(void **state)
{
    start(&shapes[1]);
    struct otter_image_spec spec = {.chip_id = WORLD_CHIP,
                                    .project = "p",
                                    .version = "2",
                                    .segments = 1,
                                    .size = otter_layout_slot(&w.layout, 0).size};
    struct image exact = build(&spec);
    assert_int_equal(exact.len, spec.size);
    spec.size++;
    struct image larger = build(&spec);
    assert_true(larger.len > exact.len);

    assert_int_equal(world_update(&w, &larger), OTTER_ERR_TOO_LARGE);
    assert_int_equal(w.nor.operations, 0);
    exact.len++; /* the image, and one byte that follows it */
    assert_int_equal(world_update(&w, &exact), OTTER_ERR_TOO_LARGE);
    assert_int_equal(w.nor.operations, 0);
    exact.len--;

    /* Without a length it is refused when its header says so. */
    assert_int_equal(world_update_part(&w, &larger, larger.len), OTTER_ERR_TOO_LARGE);
    GOOD(world_power_on(&w) && world_must_run(&w, image(1)));

    assert_int_equal(world_update(&w, &exact), OTTER_OK);
    GOOD(world_power_on(&w) && world_must_run(&w, &exact));
    w.new = w.old = image(1);
    assert_int_equal(otter_boot_roll_back(world_slots(&w)), OTTER_OK);
    GOOD(world_recover(&w));
    free(exact.bytes);
    free(larger.bytes);
}

static void F11_policy_refuses_at_the_first_bytes(void **state)
{
    const struct otter_policy policy = {.chip_id = WORLD_CHIP,
                                        .chip_rev_full = 100,
                                        .secure_version = 3,
                                        .project = "mine",
                                        .running_version = "1.4.0",
                                        .version_rule = OTTER_VERSION_NOT_OLDER};
    const struct otter_image_spec good = {.chip_id = WORLD_CHIP,
                                          .project = "mine",
                                          .version = "1.4.0",
                                          .secure_version = 3,
                                          .segments = 1};
    struct otter_image_spec bad[6] = {good, good, good, good, good, good};
    const otter_err expected[6] = {OTTER_ERR_IMAGE_CHIP,     OTTER_ERR_IMAGE_REVISION,
                                   OTTER_ERR_IMAGE_REVISION, OTTER_ERR_IMAGE_PROJECT,
                                   OTTER_ERR_IMAGE_OLDER,    OTTER_ERR_IMAGE_SECURE_VERSION};
    bad[0].chip_id = 13;
    bad[1].min_rev_full = 101;
    bad[2].max_rev_full = 99;
    bad[3].project = "yours";
    bad[4].version = "1.3.9";
    bad[5].secure_version = 2;

    /* An erase unit that takes header and description, so that they are seen before it is erased.
     */
    const struct geometry roomy = {512, 4, 336, 300};
    GOOD(world_start(&w, &gallery, &roomy, &shapes[1], true));
    GOOD(world_power_on(&w));
    w.policy = &policy;
    for (size_t i = 0; i < 6; i++) {
        struct image refused = build(&bad[i]);
        w.nor.operations = 0;
        assert_int_equal(world_update(&w, &refused), expected[i]);
        assert_int_equal(w.nor.operations, 0);
        GOOD(world_power_on(&w) && world_must_run(&w, image(0)));
        free(refused.bytes);
    }
    struct image accepted = build(&good);
    assert_int_equal(world_update(&w, &accepted), OTTER_OK);
    GOOD(world_power_on(&w) && world_must_run(&w, &accepted));
    free(accepted.bytes);
}

/* ---- F12 to F15: trial, refusal ---------------------------------------------------------- */

static void F12_new_image_crashes_before_it_confirms(void **state)
{
    for (size_t s = 0; s < SHAPES; s++) {
        int rejected;
        start(&shapes[s]);
        assert_int_equal(otter_flash_slots_rejected(&w.slots, &rejected), OTTER_OK);
        assert_int_equal(rejected, OTTER_SLOT_NONE);
        assert_int_equal(world_update(&w, image(2)), OTTER_OK);
        GOOD(world_power_on(&w) && world_must_run(&w, image(2)));
        assert_true(world_is_pending(&w));
        GOOD(world_power_on(&w) && world_must_run(&w, image(1)));
        assert_false(world_is_pending(&w));
        assert_true(w.report.aborted[0] || w.report.aborted[1]);
        /* And the old image can tell, now and after another start. */
        for (int i = 0; i < 2; i++) {
            assert_int_equal(otter_flash_slots_rejected(&w.slots, &rejected), OTTER_OK);
            assert_int_equal(rejected, w.target);
            GOOD(world_power_on(&w) && world_must_run(&w, image(1)));
        }
        GOOD(world_recover(&w));
    }
}

static void F13_self_test_says_no(void **state)
{
    for (size_t s = 0; s < SHAPES; s++) {
        bool restart;
        int rejected;
        start(&shapes[s]);
        assert_int_equal(world_update(&w, image(2)), OTTER_OK);
        GOOD(world_power_on(&w) && world_must_run(&w, image(2)));
        assert_int_equal(otter_boot_verdict(world_slots(&w), false, &restart), OTTER_OK);
        assert_true(restart);
        GOOD(world_power_on(&w) && world_must_run(&w, image(1)));
        assert_int_equal(otter_flash_slots_rejected(&w.slots, &rejected), OTTER_OK);
        assert_int_equal(rejected, w.target);
        /* Nothing is pending now, so neither verdict does anything. */
        assert_int_equal(otter_boot_verdict(world_slots(&w), false, &restart), OTTER_OK);
        assert_false(restart);
        GOOD(world_recover(&w));
    }
}

/* The image to go back to is damaged: rolling back is refused and nothing is changed. */
static void F13_nothing_to_roll_back_to(void **state)
{
    for (size_t s = 0; s < SHAPES; s++) {
        start(&shapes[s]);
        assert_int_equal(world_update(&w, image(2)), OTTER_OK);
        GOOD(world_power_on(&w) && world_must_run(&w, image(2)));
        for (int slot = OTTER_SLOT_FACTORY; slot < w.layout.ota_slots; slot++) {
            if (slot != w.slots.running) {
                w.bytes[otter_layout_slot(&w.layout, slot).offset + 40] ^= 1;
            }
        }
        memcpy(w.before, w.bytes, w.nor.size);
        assert_int_equal(otter_boot_roll_back(world_slots(&w)), OTTER_ERR_NO_FALLBACK);
        assert_memory_equal(w.before, w.bytes, w.nor.size);
        assert_true(world_is_pending(&w));
        assert_int_equal(otter_boot_confirm(world_slots(&w)), OTTER_OK);
        GOOD(world_recover(&w));
    }
}

static void F14_update_while_pending(void **state)
{
    start(&shapes[0]);
    assert_int_equal(world_update(&w, image(2)), OTTER_OK);
    GOOD(world_power_on(&w) && world_must_run(&w, image(2)));
    w.nor.operations = 0;
    const struct image *const old = w.old;
    assert_int_equal(world_update(&w, image(3)), OTTER_ERR_PENDING);
    assert_int_equal(w.nor.operations, 0);
    w.old = old;
    w.new = image(2);
    assert_int_equal(otter_boot_confirm(world_slots(&w)), OTTER_OK);
    assert_int_equal(world_update(&w, image(3)), OTTER_OK);
    GOOD(world_power_on(&w) && world_must_run(&w, image(3)));
    GOOD(world_recover(&w));

    /* Without rollback there is nothing to wait for. */
    GOOD(world_start(&w, &gallery, &geometry, &shapes[0], false));
    GOOD(world_power_on(&w));
    assert_int_equal(world_update(&w, image(2)), OTTER_OK);
    GOOD(world_power_on(&w) && world_must_run(&w, image(2)));
    assert_false(world_is_pending(&w));
    assert_int_equal(otter_boot_confirm(world_slots(&w)), OTTER_ERR_NOT_PENDING);
    GOOD(world_recover(&w));
}

/* What somebody does to the slot between the session's verification and the selection. */
static uint32_t changed_byte;
static const struct image *changed_image;

static void change_slot(void *ctx, const struct otter_update_event *event)
{
    if (event->kind != OTTER_EVENT_CHECKING || event->facts == NULL || event->done != w.new->len) {
        return;
    }
    uint8_t *slot = w.bytes + otter_layout_slot(&w.layout, w.target).offset;
    if (changed_image != NULL) {
        memcpy(slot, changed_image->bytes, changed_image->len);
    } else {
        slot[changed_byte] ^= 0x10;
    }
}

static void F15_slot_changed_between_verification_and_selection(void **state)
{
    for (changed_byte = 0; changed_byte < image(2)->len; changed_byte++) {
        start(&shapes[changed_byte % SHAPES]);
        w.on_event = change_slot;
        assert_int_not_equal(world_update(&w, image(2)), OTTER_OK);
        GOOD(world_power_on(&w) && world_must_run(&w, image(1)));
        w.on_event = NULL;
        GOOD(world_recover(&w));
    }
    /* Even into another image that is whole. */
    start(&shapes[1]);
    changed_image = image(4);
    w.on_event = change_slot;
    assert_int_equal(world_update(&w, image(2)), OTTER_ERR_FLASH_DIFFERS);
    w.on_event = NULL;
    changed_image = NULL;
    GOOD(world_power_on(&w) && world_must_run(&w, image(1)));
    GOOD(world_recover(&w));
}

/* ---- syncs: what a flash that writes behind (a file) has made durable ----------------------- */

/* What was written since the last sync, and what was written while it should not have been. */
static struct {
    uint32_t syncs;
    bool slot;
    bool copy[2]; /* of otadata */
    const char *breach;
} unsynced;

static bool within(uint32_t address, uint32_t first, uint32_t size)
{
    return address >= first && address - first < size;
}

static void look_for_syncs(const struct otter_nor *nor)
{
    if (nor->syncs != unsynced.syncs) {
        unsynced.slot = unsynced.copy[0] = unsynced.copy[1] = false;
        unsynced.syncs = nor->syncs;
    }
}

/* Of the copies one must be durable while the other is not, and the image before what selects it,
 * and what protects the running image before the other slot is touched. */
static void hold_order(void *ctx, const struct otter_nor *nor, const struct otter_nor_op *op)
{
    const struct otter_layout *layout = &w.layout;
    uint32_t second = layout->otadata.offset + layout->otadata_stride;

    look_for_syncs(nor);
    if (!within(op->address, layout->otadata.offset, layout->otadata.size)) {
        unsynced.slot = true;
        if (unsynced.copy[0] || unsynced.copy[1]) {
            unsynced.breach = "a slot was touched before otadata was synced";
        }
        return;
    }
    int copy_number = op->address >= second ? 1 : 0;
    if (unsynced.slot) {
        unsynced.breach = "otadata was touched before the slot was synced";
    }
    if (unsynced.copy[1 - copy_number]) {
        unsynced.breach = "a copy of otadata was touched before the other was synced";
    }
    unsynced.copy[copy_number] = true;
}

static void must_be_durable(void)
{
    look_for_syncs(&w.nor);
    assert_false(unsynced.slot || unsynced.copy[0] || unsynced.copy[1]);
    if (unsynced.breach != NULL) {
        fail_msg("%s", unsynced.breach);
    }
}

static void syncs_keep_the_order_that_power_safety_relies_on(void **state)
{
    for (size_t s = 0; s < 2 * SHAPES; s++) {
        bool confirm = s % 2 == 0;

        (s < SHAPES ? start : start_fallen_back)(&shapes[s % SHAPES]);
        memset(&unsynced, 0, sizeof(unsynced));
        unsynced.syncs = w.nor.syncs;
        w.nor.before = hold_order;
        assert_int_equal(world_update(&w, image(3)), OTTER_OK);
        must_be_durable();
        GOOD(world_power_on(&w) && world_must_run(&w, image(3)));
        assert_int_equal(confirm ? otter_boot_confirm(world_slots(&w))
                                 : otter_boot_roll_back(world_slots(&w)),
                         OTTER_OK);
        must_be_durable();
        w.nor.before = NULL;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F01_cut_before_every_operation),
        cmocka_unit_test(F02_cut_inside_every_program),
        cmocka_unit_test(F03_cut_inside_every_erase),
        cmocka_unit_test(F04_cut_again_in_the_recovery),
        cmocka_unit_test(F05_every_bit_of_otadata),
        cmocka_unit_test(F06_every_bit_of_the_image_in_transit),
        cmocka_unit_test(F06_every_bit_of_the_image_in_its_slot),
        cmocka_unit_test(F07_operation_silently_lost),
        cmocka_unit_test(F08_operation_fails_once_or_from_then_on),
        cmocka_unit_test(F08_flash_that_comes_back),
        cmocka_unit_test(F09_seq_near_the_end),
        cmocka_unit_test(F10_image_of_exactly_the_slot_and_one_more),
        cmocka_unit_test(F11_policy_refuses_at_the_first_bytes),
        cmocka_unit_test(F12_new_image_crashes_before_it_confirms),
        cmocka_unit_test(F13_self_test_says_no),
        cmocka_unit_test(F13_nothing_to_roll_back_to),
        cmocka_unit_test(F14_update_while_pending),
        cmocka_unit_test(F15_slot_changed_between_verification_and_selection),
        cmocka_unit_test(syncs_keep_the_order_that_power_safety_relies_on),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
