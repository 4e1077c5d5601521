/* SPDX-License-Identifier: Apache-2.0 */
#include "flash_view.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "image_report.h"
#include "otter/update.h"
#include "output.h"

const char *table_fault(const struct otter_partition_table *table, otter_err err,
                        uint32_t flash_size)
{
    const struct otter_partition *rows = table->rows;
    char text[256];
    snprintf(text, sizeof text, "%s", otter_err_text(err));
    for (uint16_t i = 0; i < table->count; i++) {
        uint64_t end = (uint64_t)rows[i].offset + rows[i].size;
        if (err == OTTER_ERR_TABLE_RANGE && end > flash_size) {
            snprintf(text, sizeof text, "%s ends at 0x%llx, after the flash's end at 0x%x",
                     rows[i].label, (unsigned long long)end, flash_size);
        }
        for (uint16_t j = 0; err == OTTER_ERR_TABLE_OVERLAP && j < i; j++) {
            uint64_t other_end = (uint64_t)rows[j].offset + rows[j].size;
            if (rows[i].offset < other_end && rows[j].offset < end) {
                snprintf(text, sizeof text, "the partitions %s and %s overlap at 0x%x",
                         rows[j].label, rows[i].label,
                         rows[i].offset > rows[j].offset ? rows[i].offset : rows[j].offset);
            }
        }
    }
    return safe(text);
}

uint32_t bootloader_place(uint16_t chip_id)
{
    const struct otter_chip *chip = otter_chip_find(chip_id);
    const char *name = chip ? chip->name : "";
    if (strcmp(name, "ESP32") == 0 || strcmp(name, "ESP32-S2") == 0) {
        return 0x1000;
    }
    return strcmp(name, "ESP32-P4") == 0 || strcmp(name, "ESP32-C5") == 0 ? 0x2000 : 0;
}

static void find_bootloader(struct flash_view *view)
{
    static const uint32_t places[] = {0x0, 0x1000, 0x2000};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        uint8_t head[OTTER_IMAGE_HEADER_SIZE];
        otter_err err = view->flash.ops->read(view->flash.ctx, places[i], head, sizeof head);
        uint16_t id = (uint16_t)(head[12] | head[13] << 8);
        if (err == OTTER_OK && head[0] == OTTER_IMAGE_MAGIC && head[1] > 0 &&
            head[1] <= OTTER_IMAGE_SEGMENTS_MAX && bootloader_place(id) == places[i]) {
            view->chip_id = id;
            view->bootloader = places[i];
            return;
        }
    }
}

static int read_table(struct call *call, struct flash_view *view)
{
    view->table =
        (struct otter_partition_table){.rows = view->rows, .capacity = OTTER_TABLE_ROWS_MAX};
    otter_err err = view->file.size < OTTER_TABLE_OFFSET + OTTER_TABLE_SIZE
                        ? OTTER_ERR_TRUNCATED
                        : view->flash.ops->read(view->flash.ctx, OTTER_TABLE_OFFSET, view->buf,
                                                OTTER_TABLE_SIZE);
    if (err) {
        return flash_view_failed(call, view, err);
    }
    if (view->buf[0] != 0xAA && view->buf[0] != 0xEB) {
        bool image = view->flash.ops->read(view->flash.ctx, 0, view->buf, 1) == OTTER_OK &&
                     view->buf[0] == OTTER_IMAGE_MAGIC;
        return fail(call, EXIT_INVALID, "%s has no partition table at 0x%x%s", view->path,
                    OTTER_TABLE_OFFSET,
                    image ? ": if it is an image, use otter image info"
                          : ": a dump must begin at address 0 of the flash and not be encrypted");
    }
    err = otter_partition_parse(&view->table, view->buf, OTTER_TABLE_SIZE, view->file.size,
                                otter_md5);
    if (err) {
        return fail(call, EXIT_INVALID, "%s: the partition table at 0x%x is not valid: %s",
                    view->path, OTTER_TABLE_OFFSET,
                    table_fault(&view->table, err, view->file.size));
    }
    otter_layout_from_table(&view->layout, &view->table);
    return EXIT_OK;
}

int flash_view_open(struct call *call, struct flash_view *view, const char *path, bool writable)
{
    *view = (struct flash_view){.path = path, .chip_id = OTTER_CHIP_ANY, .rollback = true};
    if (call->json) {
        json_object_set_new(call->json, "file", json_text(path));
    }
    enum otter_file_status status = otter_flash_file_open(&view->file, path, writable);
    if (status) {
        return fail(call, (int)status, "%s", view->file.error);
    }
    view->flash = otter_flash_file_flash(&view->file);
    int code = otter_sha256_new(&view->sha) ? fail(call, EXIT_FAILED, "out of memory")
                                            : read_table(call, view);
    if (code) {
        flash_view_close(view);
    } else {
        find_bootloader(view);
    }
    return code;
}

void flash_view_close(struct flash_view *view)
{
    otter_sha256_free(&view->sha);
    otter_flash_file_close(&view->file);
}

int flash_view_failed(struct call *call, struct flash_view *view, otter_err err)
{
    if (*view->file.error) {
        return fail(call, EXIT_FAILED, "%s: %s", view->path, view->file.error);
    }
    return fail(call, exit_code_for(err), "%s: %s", view->path, otter_err_text(err));
}

int flash_view_boot(struct call *call, struct flash_view *view, bool dry_run,
                    struct otter_boot_report *report)
{
    struct otter_bootloader bl = {
        .flash = view->flash,
        .layout = view->layout,
        .hash = otter_sha256_hash(&view->sha),
        .chip_id = view->chip_id,
        .rollback = view->rollback,
        .dry_run = dry_run,
        .buf = view->buf,
        .buf_size = sizeof view->buf,
    };
    otter_err err = otter_bootloader_run(&bl, report);
    return err ? flash_view_failed(call, view, err) : EXIT_OK;
}

struct otter_flash_slots flash_view_slots(struct flash_view *view, int running)
{
    struct otter_flash_slots slots = {
        .flash = view->flash,
        .layout = view->layout,
        .hash = otter_sha256_hash(&view->sha),
        .running = running,
        .rollback = view->rollback,
        .buf = view->buf,
        .buf_size = sizeof view->buf,
    };
    otter_flash_slots_init(&slots);
    return slots;
}

int flash_view_undecided(struct call *call, struct flash_view *view, int *on_trial, int *waiting)
{
    struct otter_otadata data;
    *on_trial = *waiting = OTTER_SLOT_NONE;
    if (view->layout.otadata.size == 0 || view->layout.ota_slots == 0 || !view->rollback) {
        return EXIT_OK;
    }
    otter_err err = otter_layout_read_otadata(&view->layout, &view->flash, &data);
    if (err) {
        return flash_view_failed(call, view, err);
    }
    int active = otter_otadata_active(&data);
    if (active >= 0) {
        int slot = otter_otadata_slot(data.copy[active].seq, view->layout.ota_slots);
        uint32_t state = data.copy[active].state;
        *on_trial = state == OTTER_OTADATA_PENDING_VERIFY ? slot : OTTER_SLOT_NONE;
        *waiting = state == OTTER_OTADATA_NEW ? slot : OTTER_SLOT_NONE;
    }
    return EXIT_OK;
}

const char *boots_text(const struct otter_boot_report *report)
{
    const struct otter_image_facts *f = &report->facts;
    char text[128];
    if (report->booted == OTTER_SLOT_NONE) {
        return "nothing";
    }
    snprintf(text, sizeof text, "%s%s%s from %s", f->has_desc ? f->project : "an image",
             f->has_desc ? " " : "", f->has_desc ? f->version : "",
             otter_slot_name(report->booted));
    return safe(text);
}

/* Calls say(ctx, sentence) for every step of the boot, in order. */
static void explain(const struct otter_boot_report *r, void (*say)(void *ctx, const char *sentence),
                    void *ctx)
{
    char text[256];
    for (int i = 0; i < 2; i++) {
        if (r->aborted[i]) {
            snprintf(text, sizeof text,
                     "the image of otadata copy %d did not confirm on its trial: it is given up",
                     i);
            say(ctx, text);
        }
    }
    const char *selected = otter_slot_name(r->selected);
    if (r->selected == OTTER_SLOT_NONE) {
        say(ctx, "the table has no app partition");
        return;
    }
    if (r->reason == OTTER_BOOT_BY_OTADATA) {
        snprintf(text, sizeof text, "otadata copy %d selects %s", r->active, selected);
    } else {
        snprintf(text, sizeof text, "%s, so %s is first",
                 r->reason == OTTER_BOOT_NO_OTADATA ? "the table has no otadata or no ota slots"
                 : r->reason == OTTER_BOOT_BLANK    ? "otadata selects nothing"
                                                    : "otadata is damaged",
                 selected);
    }
    say(ctx, text);
    for (uint8_t i = 0; i < r->tried_count; i++) {
        if (r->tried[i].err) {
            snprintf(text, sizeof text, "%s does not boot: %s", otter_slot_name(r->tried[i].slot),
                     otter_err_text(r->tried[i].err));
            say(ctx, text);
        }
    }
    if (r->became_pending && !r->fell_back) {
        say(ctx, "the image is new: its first boot is a trial until it is confirmed");
    }
    if (r->recorded) {
        say(ctx, "otadata copy 0 records it");
    }
}

static void say_line(void *ctx, const char *sentence)
{
    (void)ctx;
    printf("  %s\n", sentence);
}

void boot_print(const struct otter_boot_report *report)
{
    explain(report, say_line, NULL);
}

static void say_json(void *ctx, const char *sentence)
{
    json_array_append_new(ctx, json_string(sentence));
}

static json_t *slot_json(int slot)
{
    return slot == OTTER_SLOT_NONE ? json_null() : json_string(otter_slot_name(slot));
}

json_t *boot_json(const struct otter_boot_report *r)
{
    static const char *const reasons[] = {
        [OTTER_BOOT_BY_OTADATA] = "otadata",
        [OTTER_BOOT_NO_OTADATA] = "no-otadata",
        [OTTER_BOOT_BLANK] = "blank",
        [OTTER_BOOT_BAD_OTADATA] = "damaged",
    };
    json_t *why = json_array();
    json_t *tried = json_array();
    explain(r, say_json, why);
    for (uint8_t i = 0; i < r->tried_count; i++) {
        otter_err err = r->tried[i].err;
        json_array_append_new(tried,
                              json_pack("{s:s,s:s?}", "slot", otter_slot_name(r->tried[i].slot),
                                        "error", err ? otter_err_text(err) : NULL));
    }
    bool described = r->booted != OTTER_SLOT_NONE && r->facts.has_desc;
    return json_pack("{s:o,s:o,s:o,s:o,s:s,s:o,s:b,s:b,s:o,s:o}", "slot", slot_json(r->booted),
                     "version", described ? json_text(r->facts.version) : json_null(), "project",
                     described ? json_text(r->facts.project) : json_null(), "selected",
                     slot_json(r->selected), "reason", reasons[r->reason], "otadata_copy",
                     r->active >= 0 ? json_integer(r->active) : json_null(), "fell_back",
                     (int)r->fell_back, "on_trial", (int)(r->became_pending && !r->fell_back),
                     "tried", tried, "why", why);
}
