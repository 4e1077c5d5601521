/* SPDX-License-Identifier: Apache-2.0 */
/* src/core: the update session, its policy, its sinks, and the boot verdict. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/policy.h"
#include "host/image_build.h"
#include "host/sha256.h"
#include "otter/update.h"
#include "unit/ram_slots.h"

struct fixture {
    struct ram_slots slots;
    struct otter_sha256 sha;
    struct otter_policy policy;
    struct otter_update update;
    uint8_t buf[512];
    uint8_t *image;
    size_t len;
    unsigned events[OTTER_EVENT_ABORTED + 1];
    struct otter_update_event last;
    char version_seen[33];
};

static void on_event(void *ctx, const struct otter_update_event *event)
{
    struct fixture *f = ctx;

    f->events[event->kind]++;
    f->last = *event;
    if (event->kind == OTTER_EVENT_IMAGE) {
        strcpy(f->version_seen, event->facts->version);
    }
}

static void build(struct fixture *f, const struct otter_image_spec *spec)
{
    struct otter_image_spec named = *spec;

    named.project = spec->project != NULL ? spec->project : "p";
    named.version = spec->version != NULL ? spec->version : "1.0.0";
    free(f->image);
    assert_int_equal(otter_image_build(&named, &f->image, &f->len), OTTER_OK);
}

static void start_session(struct fixture *f)
{
    struct otter_update_config config = {
        .slots = ram_slots_table(&f->slots),
        .hash = otter_sha256_hash(&f->sha),
        .policy = &f->policy,
        .buf = f->buf,
        .buf_size = sizeof f->buf,
        .on_event = on_event,
        .event_ctx = f,
    };
    assert_int_equal(otter_update_init(&f->update, &config), OTTER_OK);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    ram_slots_init(&f->slots);
    assert_int_equal(otter_sha256_new(&f->sha), OTTER_OK);
    f->policy.chip_id = OTTER_CHIP_ANY;
    build(f, &(struct otter_image_spec){
                 .chip_id = 5, .project = "p", .version = "1.1.0", .size = 10000, .seed = 1});
    start_session(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(f->slots.opens, f->slots.closes);
    assert_false(f->slots.broke_rules);
    otter_sha256_free(&f->sha);
    free(f->image);
    free(f);
    return 0;
}

/* All of data in pieces, and to the end of the update. */
static otter_err send(struct fixture *f, const uint8_t *data, size_t len, size_t piece)
{
    otter_err err = OTTER_OK;

    while (len > 0 && err == OTTER_OK) {
        size_t n = len < piece ? len : piece;
        size_t used;

        f->slots.step_erases = 0;
        err = otter_update_write(&f->update, data, n, &used);
        data += used;
        len -= used;
    }
    while (err == OTTER_OK) {
        err = otter_update_finish(&f->update);
        if (err == OTTER_OK) {
            break;
        }
        err = err == OTTER_ERR_AGAIN ? OTTER_OK : err;
    }
    return err;
}

static otter_err update(struct fixture *f, uint32_t length, size_t piece)
{
    otter_err err = otter_update_begin(&f->update, length);

    return err == OTTER_OK ? send(f, f->image, f->len, piece) : err;
}

static void assert_updated(struct fixture *f)
{
    assert_int_equal(f->update.state, OTTER_UPDATE_SELECTED);
    assert_true(f->slots.selected);
    assert_memory_equal(f->slots.mem, f->image, f->len);
    assert_memory_equal(f->slots.selected_digest, f->image + f->len - 32, 32);
}

/* Not selected, idle, and the next try works. */
static void assert_refused_then_works(struct fixture *f)
{
    assert_int_equal(f->update.state, OTTER_UPDATE_IDLE);
    assert_false(f->slots.selected);
    assert_int_equal(f->slots.opens, f->slots.closes);
    build(f, &(struct otter_image_spec){
                 .chip_id = 5, .project = "p", .version = "1.1.0", .size = 9000, .seed = 2});
    assert_int_equal(update(f, (uint32_t)f->len, 1000), OTTER_OK);
    assert_updated(f);
}

static void any_piece_size(void **state)
{
    struct fixture *f = *state;
    static const size_t pieces[] = {1, 2, 3, 5, 20, 495, 512, 4000, 4096, 5000, 100000};

    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        for (uint32_t unit = 1; unit <= OTTER_WRITE_UNIT_MAX; unit *= 2) {
            ram_slots_init(&f->slots);
            f->slots.info.write_unit = unit;
            start_session(f);
            uint32_t length = i % 2 ? OTTER_LENGTH_UNKNOWN : (uint32_t)f->len;
            assert_int_equal(update(f, length, pieces[i]), OTTER_OK);
            assert_updated(f);
            assert_int_equal(f->slots.most_erases_a_step, 1);
            assert_int_equal(f->slots.erases, 3); /* just what 10,000 bytes need */
            assert_false(f->slots.broke_rules);
        }
    }
}

static void events_tell_the_story(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(update(f, (uint32_t)f->len, 700), OTTER_OK);
    assert_int_equal(f->events[OTTER_EVENT_BEGIN], 1);
    assert_int_equal(f->events[OTTER_EVENT_IMAGE], 1);
    assert_true(f->events[OTTER_EVENT_PROGRESS] >= f->len / 700);
    assert_true(f->events[OTTER_EVENT_CHECKING] >= f->len / sizeof f->buf);
    assert_int_equal(f->events[OTTER_EVENT_SELECTED], 1);
    assert_int_equal(f->events[OTTER_EVENT_ABORTED], 0);
    assert_string_equal(f->version_seen, "1.1.0");
    assert_int_equal(f->last.done, f->last.total);
}

static void F10_exact_size_and_one_more(void **state)
{
    struct fixture *f = *state;

    build(f, &(struct otter_image_spec){.chip_id = 5, .size = RAM_SLOT_SIZE});
    assert_int_equal(f->len, RAM_SLOT_SIZE);
    assert_int_equal(otter_update_begin(&f->update, RAM_SLOT_SIZE + 1), OTTER_ERR_TOO_LARGE);
    assert_int_equal(otter_update_begin(&f->update, 0), OTTER_ERR_EMPTY);
    assert_int_equal(f->slots.erases, 0);
    assert_int_equal(update(f, RAM_SLOT_SIZE, 1000), OTTER_OK);
    assert_updated(f);
}

static void F10_larger_with_unknown_length(void **state)
{
    struct fixture *f = *state;

    build(f, &(struct otter_image_spec){.chip_id = 5, .size = RAM_SLOT_SIZE + 16});
    assert_int_equal(update(f, OTTER_LENGTH_UNKNOWN, 1000), OTTER_ERR_TOO_LARGE);
    assert_refused_then_works(f);
}

static void length_must_hold(void **state)
{
    struct fixture *f = *state;

    /* announced short: the image says it is larger */
    assert_int_equal(update(f, (uint32_t)f->len - 16, 16), OTTER_ERR_TRUNCATED);
    /* announced long: bytes are missing at the end */
    assert_int_equal(update(f, (uint32_t)f->len + 16, 1000), OTTER_ERR_TRUNCATED);
    /* more than announced */
    assert_int_equal(otter_update_begin(&f->update, (uint32_t)f->len), OTTER_OK);
    assert_int_equal(otter_update_write_all(&f->update, f->image, f->len), OTTER_OK);
    assert_int_equal(otter_update_write_all(&f->update, f->image, 1), OTTER_ERR_TRAILING);
    assert_refused_then_works(f);
}

static void truncated_at_any_place(void **state)
{
    struct fixture *f = *state;

    for (size_t cut = 0; cut < f->len; cut += cut < 400 || cut > f->len - 60 ? 1 : 211) {
        assert_int_equal(otter_update_begin(&f->update, OTTER_LENGTH_UNKNOWN), OTTER_OK);
        assert_int_equal(send(f, f->image, cut, 4096), OTTER_ERR_TRUNCATED);
    }
    assert_refused_then_works(f);
}

static void trailing_bytes_are_tolerated_within_bounds(void **state)
{
    struct fixture *f = *state;
    uint8_t padding[4096];

    memset(padding, 0xA5, sizeof padding);
    /* a whole stale chunk, and beyond the slot's end */
    build(f, &(struct otter_image_spec){.chip_id = 5, .size = RAM_SLOT_SIZE - 1024});
    assert_int_equal(otter_update_begin(&f->update, OTTER_LENGTH_UNKNOWN), OTTER_OK);
    assert_int_equal(otter_update_write_all(&f->update, f->image, f->len), OTTER_OK);
    assert_int_equal(send(f, padding, sizeof padding, sizeof padding), OTTER_OK);
    assert_updated(f);
    assert_memory_equal(f->slots.mem + f->len, padding, 1024);
}

static void endless_trailing_is_refused(void **state)
{
    struct fixture *f = *state;
    uint8_t padding[4096] = {0};
    otter_err err = OTTER_OK;
    unsigned n = 0;

    assert_int_equal(otter_update_begin(&f->update, OTTER_LENGTH_UNKNOWN), OTTER_OK);
    assert_int_equal(otter_update_write_all(&f->update, f->image, f->len), OTTER_OK);
    while (err == OTTER_OK && n < 100) {
        err = otter_update_write_all(&f->update, padding, sizeof padding);
        n++;
    }
    assert_int_equal(err, OTTER_ERR_TRAILING);
    assert_int_equal(n, OTTER_UPDATE_TRAILING_MAX / sizeof padding + 1);
    assert_refused_then_works(f);
}

static otter_err refuse(void *ctx, const struct otter_image_facts *facts)
{
    assert_string_equal(facts->project, "p");
    ++*(unsigned *)ctx;
    return OTTER_ERR_POLICY;
}

static void F11_policy_refuses_at_the_first_bytes(void **state)
{
    struct fixture *f = *state;
    unsigned asked = 0;
    const struct {
        struct otter_policy policy;
        otter_err err;
    } table[] = {
        {{.chip_id = 9}, OTTER_ERR_IMAGE_CHIP},
        {{.chip_id = 5, .chip_rev_full = 2}, OTTER_ERR_IMAGE_REVISION},
        {{.chip_id = 5, .chip_rev_full = 200}, OTTER_ERR_IMAGE_REVISION},
        {{.chip_id = OTTER_CHIP_ANY, .project = "other"}, OTTER_ERR_IMAGE_PROJECT},
        {{.chip_id = OTTER_CHIP_ANY,
          .running_version = "1.2.0",
          .version_rule = OTTER_VERSION_NOT_OLDER},
         OTTER_ERR_IMAGE_OLDER},
        {{.chip_id = OTTER_CHIP_ANY,
          .running_version = "1.1.0",
          .version_rule = OTTER_VERSION_NEWER},
         OTTER_ERR_IMAGE_OLDER},
        {{.chip_id = OTTER_CHIP_ANY, .secure_version = 4}, OTTER_ERR_IMAGE_SECURE_VERSION},
        {{.chip_id = OTTER_CHIP_ANY, .check = refuse, .check_ctx = &asked}, OTTER_ERR_POLICY},
    };

    build(f, &(struct otter_image_spec){.chip_id = 5,
                                        .min_rev_full = 3,
                                        .max_rev_full = 199,
                                        .project = "p",
                                        .version = "1.1.0",
                                        .secure_version = 3,
                                        .size = 10000});
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        f->policy = table[i].policy;
        assert_int_equal(update(f, (uint32_t)f->len, 288), table[i].err);
        assert_int_equal(f->slots.erases, 0);
        assert_int_equal(f->update.state, OTTER_UPDATE_IDLE);
        assert_int_equal(f->last.kind, OTTER_EVENT_ABORTED);
        assert_int_equal(f->last.err, table[i].err);
    }
    assert_int_equal(asked, 1);
    f->policy = (struct otter_policy){.chip_id = 5,
                                      .chip_rev_full = 100,
                                      .secure_version = 3,
                                      .project = "p",
                                      .running_version = "1.1.0",
                                      .version_rule = OTTER_VERSION_NOT_OLDER};
    assert_int_equal(update(f, (uint32_t)f->len, 288), OTTER_OK);
}

/* An order of versions of the application's own: by their last letter alone. */
static int by_last_letter(const char *a, const char *b)
{
    return a[strlen(a) - 1] - b[strlen(b) - 1];
}

static bool yes(void *ctx)
{
    (*(unsigned *)ctx)++;
    return true;
}

static bool no(void *ctx)
{
    (*(unsigned *)ctx)++;
    return false;
}

/* The image is version 1.2.3, secure version 3. */
static void F11_older_versions_by_an_order_of_the_application(void **state)
{
    unsigned asked = 0;
    struct otter_image_facts facts = {
        .has_desc = true, .version = "1.2.3", .project = "p", .secure_version = 3};
    struct otter_policy policy = {.chip_id = OTTER_CHIP_ANY,
                                  .running_version = "1.0.9",
                                  .version_rule = OTTER_VERSION_NOT_OLDER,
                                  .check_ctx = &asked};

    assert_int_equal(otter_policy_description(&policy, &facts), OTTER_OK);
    policy.version_order = by_last_letter;
    assert_int_equal(otter_policy_description(&policy, &facts), OTTER_ERR_IMAGE_OLDER);
    policy.take_older = no;
    assert_int_equal(otter_policy_description(&policy, &facts), OTTER_ERR_IMAGE_OLDER);
    policy.take_older = yes;
    assert_int_equal(otter_policy_description(&policy, &facts), OTTER_OK);
    assert_int_equal(asked, 2);
    policy.running_version = "9.9.3";
    assert_int_equal(otter_policy_description(&policy, &facts), OTTER_OK);
    assert_int_equal(asked, 2); /* only about what the rule refuses */
    policy.version_rule = OTTER_VERSION_NEWER;
    assert_int_equal(otter_policy_description(&policy, &facts), OTTER_OK);
    assert_int_equal(asked, 3);
    policy.secure_version = 4; /* nobody is asked about that */
    assert_int_equal(otter_policy_description(&policy, &facts), OTTER_ERR_IMAGE_SECURE_VERSION);
    assert_int_equal(asked, 3);
}

static void F11_a_policy_that_names_a_project_wants_a_description(void **state)
{
    struct fixture *f = *state;

    f->policy.project = "p";
    f->image[32] ^= 1; /* the description's magic */
    assert_int_equal(update(f, (uint32_t)f->len, 500), OTTER_ERR_IMAGE_NO_DESC);
    f->policy.project = NULL;
    assert_refused_then_works(f);
}

static void an_image_must_carry_its_digest(void **state)
{
    struct fixture *f = *state;

    build(f, &(struct otter_image_spec){.chip_id = 5, .size = 5000, .no_digest = true});
    assert_int_equal(update(f, (uint32_t)f->len, 500), OTTER_ERR_IMAGE_NO_DIGEST);
    assert_int_equal(f->slots.erases, 0);
    f->policy.chip_id = OTTER_CHIP_ANY;
    assert_refused_then_works(f);
}

static void F06_bit_flips_are_refused(void **state)
{
    struct fixture *f = *state;

    for (size_t byte = 0; byte < f->len; byte += byte < 320 || byte > f->len - 64 ? 1 : 97) {
        f->image[byte] ^= (uint8_t)(1u << byte % 8);
        otter_err err = update(f, OTTER_LENGTH_UNKNOWN, 4096);
        assert_int_not_equal(err, OTTER_OK);
        assert_false(f->slots.selected);
        f->image[byte] ^= (uint8_t)(1u << byte % 8);
    }
    assert_refused_then_works(f);
}

static void F07_silent_failures_are_found(void **state)
{
    struct fixture *f = *state;

    f->slots.silent_writes = true;
    assert_int_equal(update(f, (uint32_t)f->len, 1000), OTTER_ERR_FLASH_DIFFERS);
    f->slots.silent_writes = false;
    f->slots.silent_erases = true;
    memset(f->slots.mem, 0x5A, sizeof f->slots.mem);
    assert_int_equal(update(f, (uint32_t)f->len, 1000), OTTER_ERR_FLASH_DIFFERS);
    f->slots.silent_erases = false;
    assert_refused_then_works(f);
}

/* Nothing was written, but the slot holds another image that is whole. */
static void F07_an_older_image_in_the_slot_does_not_pass(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(update(f, (uint32_t)f->len, 1000), OTTER_OK);
    build(f, &(struct otter_image_spec){.chip_id = 5, .version = "1.2.0", .size = 10000});
    start_session(f);
    f->slots.selected = false;
    f->slots.silent_writes = f->slots.silent_erases = true;
    assert_int_equal(update(f, (uint32_t)f->len, 1000), OTTER_ERR_FLASH_DIFFERS);
    f->slots.silent_writes = f->slots.silent_erases = false;
    assert_refused_then_works(f);
}

static void F08_every_failing_operation_is_told(void **state)
{
    struct fixture *f = *state;

    for (unsigned n = 1; n <= 3; n++) {
        f->slots.fail_erase = n;
        assert_int_equal(update(f, (uint32_t)f->len, 1000), OTTER_ERR_FLASH_ERASE);
    }
    for (unsigned n = 1; n <= 10; n++) {
        f->slots.fail_write = n;
        assert_int_equal(update(f, (uint32_t)f->len, 1000), OTTER_ERR_FLASH_WRITE);
    }
    for (unsigned n = 1; n <= 20; n++) {
        f->slots.fail_read = n;
        assert_int_equal(update(f, (uint32_t)f->len, 1000), OTTER_ERR_FLASH_READ);
    }
    f->slots.verify_result = OTTER_ERR_POLICY;
    assert_int_equal(update(f, (uint32_t)f->len, 1000), OTTER_ERR_POLICY);
    f->slots.verify_result = OTTER_OK;
    f->slots.select_result = OTTER_ERR_FLASH_WRITE;
    assert_int_equal(update(f, (uint32_t)f->len, 1000), OTTER_ERR_FLASH_WRITE);
    f->slots.select_result = OTTER_OK;
    assert_refused_then_works(f);
}

/* From outside, between what is read back and the end. */
static void F15_a_slot_changed_after_it_was_written(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(otter_update_begin(&f->update, (uint32_t)f->len), OTTER_OK);
    assert_int_equal(otter_update_write_all(&f->update, f->image, f->len), OTTER_OK);
    assert_int_equal(otter_update_finish(&f->update), OTTER_ERR_AGAIN);
    f->slots.mem[f->len - 100] ^= 0x10;
    assert_int_equal(send(f, NULL, 0, 1), OTTER_ERR_FLASH_DIFFERS);
    assert_refused_then_works(f);
}

static void F14_refused_while_pending(void **state)
{
    struct fixture *f = *state;

    f->slots.boot = OTTER_BOOT_PENDING;
    assert_int_equal(update(f, (uint32_t)f->len, 1000), OTTER_ERR_PENDING);
    assert_int_equal(f->slots.opens, 0);
    assert_int_equal(otter_boot_confirm(ram_slots_table(&f->slots)), OTTER_OK);
    assert_refused_then_works(f);
}

static void F13_verdicts(void **state)
{
    struct fixture *f = *state;
    struct otter_slots slots = ram_slots_table(&f->slots);
    bool restart = true;

    assert_int_equal(otter_boot_verdict(slots, false, &restart), OTTER_OK);
    assert_false(restart); /* nothing is pending */
    assert_int_equal(otter_boot_confirm(slots), OTTER_ERR_NOT_PENDING);
    assert_int_equal(otter_boot_roll_back(slots), OTTER_ERR_NOT_PENDING);
    assert_false(f->slots.marked);

    f->slots.boot = OTTER_BOOT_PENDING;
    assert_int_equal(otter_boot_verdict(slots, true, &restart), OTTER_OK);
    assert_false(restart);
    assert_true(f->slots.marked && f->slots.marked_valid);

    f->slots.boot = OTTER_BOOT_PENDING;
    assert_int_equal(otter_boot_verdict(slots, false, &restart), OTTER_OK);
    assert_true(restart);
    assert_false(f->slots.marked_valid);

    f->slots.boot = OTTER_BOOT_PENDING;
    f->slots.mark_result = OTTER_ERR_NO_FALLBACK;
    assert_int_equal(otter_boot_verdict(slots, false, &restart), OTTER_ERR_NO_FALLBACK);
    assert_false(restart);
}

static void calls_out_of_place_change_nothing(void **state)
{
    struct fixture *f = *state;
    size_t used;

    assert_int_equal(otter_update_write(&f->update, f->image, 4, &used), OTTER_ERR_STATE);
    assert_int_equal(used, 0);
    assert_int_equal(otter_update_finish(&f->update), OTTER_ERR_STATE);
    otter_update_abort(&f->update);
    assert_int_equal(f->events[OTTER_EVENT_ABORTED], 0);

    assert_int_equal(otter_update_begin(&f->update, (uint32_t)f->len), OTTER_OK);
    assert_int_equal(otter_update_begin(&f->update, 100), OTTER_ERR_STATE);
    assert_int_equal(send(f, f->image, f->len, 1000), OTTER_OK);
    assert_updated(f);

    /* selected: nothing more until the restart */
    assert_int_equal(otter_update_begin(&f->update, (uint32_t)f->len), OTTER_ERR_RESTART);
    assert_int_equal(otter_update_write(&f->update, f->image, 4, &used), OTTER_ERR_STATE);
    otter_update_abort(&f->update);
    assert_updated(f);
}

/* What an update that a restart cut off has left in the slot, len bytes sent. */
static void leave_a_part(struct fixture *f, uint32_t len)
{
    assert_int_equal(otter_update_begin(&f->update, (uint32_t)f->len), OTTER_OK);
    assert_int_equal(otter_update_write_all(&f->update, f->image, len), OTTER_OK);
    otter_update_abort(&f->update);
    start_session(f);
    assert_int_equal(otter_update_begin(&f->update, (uint32_t)f->len), OTTER_OK);
}

static uint32_t take_up(struct fixture *f, uint32_t len)
{
    uint32_t done = 0, got = 1;

    while (got > 0) {
        assert_int_equal(otter_update_take_up(&f->update, len - done, &got), OTTER_OK);
        done += got;
    }
    return done;
}

static void takes_up_what_a_restart_cut_off(void **state)
{
    struct fixture *f = *state;

    for (uint32_t part = 0; part <= f->len; part += 1000) {
        memset(f->slots.mem, 0x5A, sizeof f->slots.mem);
        f->slots.selected = false;
        start_session(f);
        leave_a_part(f, part);
        f->slots.erases = 0;
        uint32_t done = take_up(f, part);
        assert_int_equal(done, part / 4096 * 4096);
        assert_int_equal(send(f, f->image + done, f->len - done, 333), OTTER_OK);
        assert_updated(f);
        assert_int_equal(f->slots.erases, 3 - done / 4096);
    }
}

static void what_was_left_must_be_what_it_was(void **state)
{
    struct fixture *f = *state;
    uint32_t got;

    leave_a_part(f, 9000);
    f->slots.mem[5000] ^= 1;
    uint32_t done = take_up(f, 9000);
    assert_int_equal(send(f, f->image + done, f->len - done, 333), OTTER_ERR_IMAGE_CHECKSUM);
    assert_false(f->slots.selected);

    /* Seen at once where the header or the description says it. */
    leave_a_part(f, 9000);
    f->slots.mem[0] = 0;
    assert_int_equal(otter_update_take_up(&f->update, 9000, &got), OTTER_ERR_IMAGE_MAGIC);
    assert_int_equal(f->update.state, OTTER_UPDATE_IDLE);

    leave_a_part(f, 9000);
    f->slots.fail_read = 1;
    assert_int_equal(otter_update_take_up(&f->update, 9000, &got), OTTER_ERR_FLASH_READ);
    assert_int_equal(f->update.state, OTTER_UPDATE_IDLE);
}

static void takes_up_before_anything_is_written_only(void **state)
{
    struct fixture *f = *state;
    uint32_t got;
    size_t used;

    assert_int_equal(otter_update_take_up(&f->update, 9000, &got), OTTER_ERR_STATE);
    leave_a_part(f, 9000);
    assert_int_equal(otter_update_write(&f->update, f->image, 100, &used), OTTER_OK);
    assert_int_equal(otter_update_take_up(&f->update, 9000, &got), OTTER_ERR_STATE);
    assert_int_equal(got, 0);
    assert_int_equal(f->update.state, OTTER_UPDATE_IDLE);

    /* Not past the announced length. */
    leave_a_part(f, (uint32_t)f->len);
    assert_int_equal(take_up(f, UINT32_MAX), 8192);
    otter_update_abort(&f->update);
}

static void abort_in_every_state(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(otter_update_begin(&f->update, (uint32_t)f->len), OTTER_OK);
    otter_update_abort(&f->update);
    assert_int_equal(f->events[OTTER_EVENT_ABORTED], 1);
    assert_int_equal(f->last.err, OTTER_OK);

    assert_int_equal(otter_update_begin(&f->update, (uint32_t)f->len), OTTER_OK);
    assert_int_equal(otter_update_write_all(&f->update, f->image, f->len), OTTER_OK);
    assert_int_equal(otter_update_finish(&f->update), OTTER_ERR_AGAIN);
    assert_int_equal(otter_update_finish(&f->update), OTTER_ERR_AGAIN);
    otter_update_abort(&f->update);
    assert_int_equal(f->events[OTTER_EVENT_ABORTED], 2);
    assert_refused_then_works(f);
}

static void one_transport_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct otter_update_transport ble = {&f->update};
    struct otter_update_transport serial = {&f->update};
    struct otter_sink a = otter_update_sink(&ble);
    struct otter_sink b = otter_update_sink(&serial);
    size_t used;
    otter_err err;

    assert_int_equal(a.ops->write(a.ctx, f->image, 4, &used), OTTER_ERR_STATE);
    assert_int_equal(a.ops->begin(a.ctx, (uint32_t)f->len), OTTER_OK);
    assert_int_equal(b.ops->begin(b.ctx, (uint32_t)f->len), OTTER_ERR_BUSY);
    assert_int_equal(b.ops->write(b.ctx, f->image, 4, &used), OTTER_ERR_BUSY);
    assert_int_equal(b.ops->finish(b.ctx), OTTER_ERR_BUSY);
    b.ops->abort(b.ctx);
    assert_int_equal(a.ops->write(a.ctx, f->image, 100, &used), OTTER_OK);

    /* a begins afresh; then lets go, and b may */
    assert_int_equal(a.ops->begin(a.ctx, (uint32_t)f->len), OTTER_OK);
    assert_int_equal(f->events[OTTER_EVENT_ABORTED], 1);
    a.ops->abort(a.ctx);
    assert_int_equal(b.ops->begin(b.ctx, (uint32_t)f->len), OTTER_OK);
    for (size_t at = 0; at < f->len; at += used) {
        assert_int_equal(b.ops->write(b.ctx, f->image + at, f->len - at, &used), OTTER_OK);
    }
    while ((err = b.ops->finish(b.ctx)) == OTTER_ERR_AGAIN) {
    }
    assert_int_equal(err, OTTER_OK);
    assert_updated(f);
    assert_int_equal(a.ops->begin(a.ctx, (uint32_t)f->len), OTTER_ERR_RESTART);
}

/* An application's own update is not a transport's to take. */
static void a_transport_does_not_take_over(void **state)
{
    struct fixture *f = *state;
    struct otter_update_transport ble = {&f->update};
    struct otter_sink a = otter_update_sink(&ble);

    assert_int_equal(otter_update_begin(&f->update, (uint32_t)f->len), OTTER_OK);
    assert_int_equal(a.ops->begin(a.ctx, (uint32_t)f->len), OTTER_ERR_BUSY);
    assert_int_equal(send(f, f->image, f->len, 1000), OTTER_OK);
    assert_updated(f);
}

static void a_slot_that_makes_no_sense_is_refused(void **state)
{
    struct fixture *f = *state;
    static const struct otter_slot_info bad[] = {
        {RAM_SLOT_SIZE, 0, 4},      {RAM_SLOT_SIZE, 3000, 4}, {RAM_SLOT_SIZE, 4096, 0},
        {RAM_SLOT_SIZE, 4096, 3},   {RAM_SLOT_SIZE, 16, 32},  {RAM_SLOT_SIZE - 1, 4096, 4},
        {RAM_SLOT_SIZE, 4096, 128},
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        f->slots.info = bad[i];
        assert_int_equal(otter_update_begin(&f->update, 1000), OTTER_ERR_ARG);
        assert_int_equal(f->slots.opens, f->slots.closes);
    }
    ram_slots_init(&f->slots);
    assert_refused_then_works(f);
}

static void init_checks_its_config(void **state)
{
    struct fixture *f = *state;
    struct otter_update_config good = f->update.config;
    struct otter_update_config c;
    struct otter_update u;

    c = good;
    c.slots.ops = NULL;
    assert_int_equal(otter_update_init(&u, &c), OTTER_ERR_ARG);
    c = good;
    c.hash.ops = NULL;
    assert_int_equal(otter_update_init(&u, &c), OTTER_ERR_ARG);
    c = good;
    c.buf = NULL;
    assert_int_equal(otter_update_init(&u, &c), OTTER_ERR_ARG);
    c = good;
    c.buf_size = 100;
    assert_int_equal(otter_update_init(&u, &c), OTTER_ERR_ARG);
    c.buf_size = 0;
    assert_int_equal(otter_update_init(&u, &c), OTTER_ERR_ARG);
    struct otter_slot_ops ops = *good.slots.ops;
    ops.select = NULL;
    c = good;
    c.slots.ops = &ops;
    assert_int_equal(otter_update_init(&u, &c), OTTER_ERR_ARG);
}

static void versions_compare_as_people_read_them(void **state)
{
    static const char *const rising[] = {
        "-x",
        "",
        "0.9",
        "1.0-alpha",
        "1.0-alpha.2",
        "1.0-alpha.10",
        "1.0-rc1",
        "1.0",
        "1.0.1",
        "v1.2.0-1",
        "1.2.0",
        "1.10.0",
        "1.10.0a",
        "v2",
        "10000",
        "99999999999999999999",
        "100000000000000000000",
    };
    size_t n = sizeof rising / sizeof rising[0];

    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            int order = otter_version_compare(rising[i], rising[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
    assert_int_equal(otter_version_compare("v1.02", "1.2"), 0);
    assert_int_equal(otter_version_compare("1.2+build5", "1.2+build7"), 0);
    assert_int_equal(otter_version_compare("1.2+build5", "1.2"), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(any_piece_size),
        CASE(events_tell_the_story),
        CASE(F10_exact_size_and_one_more),
        CASE(F10_larger_with_unknown_length),
        CASE(length_must_hold),
        CASE(truncated_at_any_place),
        CASE(trailing_bytes_are_tolerated_within_bounds),
        CASE(endless_trailing_is_refused),
        CASE(F11_policy_refuses_at_the_first_bytes),
        CASE(F11_older_versions_by_an_order_of_the_application),
        CASE(F11_a_policy_that_names_a_project_wants_a_description),
        CASE(an_image_must_carry_its_digest),
        CASE(F06_bit_flips_are_refused),
        CASE(F07_silent_failures_are_found),
        CASE(F07_an_older_image_in_the_slot_does_not_pass),
        CASE(F08_every_failing_operation_is_told),
        CASE(F15_a_slot_changed_after_it_was_written),
        CASE(F14_refused_while_pending),
        CASE(F13_verdicts),
        CASE(calls_out_of_place_change_nothing),
        CASE(takes_up_what_a_restart_cut_off),
        CASE(what_was_left_must_be_what_it_was),
        CASE(takes_up_before_anything_is_written_only),
        CASE(abort_in_every_state),
        CASE(one_transport_at_a_time),
        CASE(a_transport_does_not_take_over),
        CASE(a_slot_that_makes_no_sense_is_refused),
        CASE(init_checks_its_config),
        cmocka_unit_test(versions_compare_as_people_read_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
