/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "flash_view.h"
#include "host/partition_csv.h"
#include "image_report.h"
#include "otter/update.h"
#include "output.h"

enum { NO_ROLLBACK };

static const struct option_spec options[] = {
    [NO_ROLLBACK] = {"no-rollback", 0, NULL, "the board's bootloader has no rollback"},
    {NULL, 0, NULL, NULL},
};

/* One slot: where it is and what is in it. */
struct slot {
    int index;
    struct otter_region region;
    bool erased;
    otter_err err;
    struct otter_image_facts facts;
};

static const char *state_text(uint32_t state)
{
    static const char *const names[] = {"new", "pending verify", "valid", "invalid", "aborted"};
    if (state == OTTER_OTADATA_UNDEFINED) {
        return "undefined";
    }
    return state < sizeof names / sizeof *names ? names[state] : "unknown";
}

static bool is_blank(const struct otter_otadata_entry *e)
{
    return e->seq == OTTER_OTADATA_SEQ_NONE;
}

static int read_slot(struct call *call, struct flash_view *view, int index, struct slot *slot)
{
    *slot = (struct slot){.index = index, .region = otter_layout_slot(&view->layout, index)};
    uint8_t head[256];
    otter_err err = view->flash.ops->read(view->flash.ctx, slot->region.offset, head, sizeof head);
    if (err) {
        return flash_view_failed(call, view, err);
    }
    slot->erased = true;
    for (size_t i = 0; i < sizeof head; i++) {
        slot->erased = slot->erased && head[i] == 0xFF;
    }
    slot->err = otter_flash_verify(&view->flash, slot->region, otter_sha256_hash(&view->sha),
                                   view->buf, sizeof view->buf, &slot->facts);
    return slot->err == OTTER_ERR_FLASH_READ ? flash_view_failed(call, view, slot->err) : EXIT_OK;
}

static void table_to_json(json_t *object, const struct flash_view *view)
{
    json_t *list = json_array();
    for (uint16_t i = 0; i < view->table.count; i++) {
        const struct otter_partition *p = &view->rows[i];
        char type[16], subtype[16];
        json_array_append_new(
            list, json_pack("{s:o,s:s,s:s,s:I,s:I,s:b,s:b}", "name", json_text(p->label), "type",
                            otter_partition_type_text(p->type, type), "subtype",
                            otter_partition_subtype_text(p->type, p->subtype, subtype), "offset",
                            (json_int_t)p->offset, "size", (json_int_t)p->size, "encrypted",
                            (p->flags & OTTER_PART_FLAG_ENCRYPTED) != 0, "readonly",
                            (p->flags & OTTER_PART_FLAG_READONLY) != 0));
    }
    json_object_set_new(object, "partitions", list);
}

static void print_partitions(const struct flash_view *view)
{
    struct table t = {.columns = 5, .align = "lllrr"};
    static const char *const heads[] = {"Name", "Type", "Subtype", "Offset", "Size"};
    for (int i = 0; i < t.columns; i++) {
        table_cell(&t, STYLE_PLAIN, "%s", heads[i]);
    }
    for (uint16_t i = 0; i < view->table.count; i++) {
        const struct otter_partition *p = &view->rows[i];
        char type[16], subtype[16];
        table_cell(&t, STYLE_PLAIN, "%s", safe(p->label));
        table_cell(&t, STYLE_PLAIN, "%s", otter_partition_type_text(p->type, type));
        table_cell(&t, STYLE_PLAIN, "%s",
                   otter_partition_subtype_text(p->type, p->subtype, subtype));
        table_cell(&t, STYLE_PLAIN, "0x%x", p->offset);
        table_cell(&t, STYLE_PLAIN, "%s", size_text(p->size));
    }
    print_heading(view->table.has_md5 ? "Partitions (MD5 holds)" : "Partitions (no MD5)");
    table_print(&t);
}

static void otadata_to_json(json_t *object, const struct flash_view *view,
                            const struct otter_otadata *data)
{
    int active = otter_otadata_active(data);
    json_t *copies = json_array();
    for (int i = 0; i < 2; i++) {
        const struct otter_otadata_entry *e = &data->copy[i];
        bool blank = is_blank(e);
        json_t *slot = json_null();
        if (!blank && view->layout.ota_slots) {
            slot = json_string(otter_slot_name(otter_otadata_slot(e->seq, view->layout.ota_slots)));
        }
        json_array_append_new(copies,
                              json_pack("{s:o,s:o,s:b,s:b,s:o}", "seq",
                                        blank ? json_null() : json_integer(e->seq), "state",
                                        blank ? json_null() : json_string(state_text(e->state)),
                                        "crc_valid", !blank && e->crc == otter_otadata_crc(e->seq),
                                        "valid", otter_otadata_entry_valid(e), "slot", slot));
    }
    json_object_set_new(
        object, "otadata",
        json_pack("{s:I,s:o,s:o}", "offset", (json_int_t)view->layout.otadata.offset, "active",
                  active < 0 ? json_null() : json_integer(active), "copies", copies));
}

static void print_otadata(const struct flash_view *view, const struct otter_otadata *data)
{
    int active = otter_otadata_active(data);
    print_heading("Otadata");
    for (int i = 0; i < 2; i++) {
        const struct otter_otadata_entry *e = &data->copy[i];
        if (is_blank(e)) {
            printf("  copy %d: blank\n", i);
            continue;
        }
        bool crc = e->crc == otter_otadata_crc(e->seq);
        printf("  copy %d: seq %u", i, e->seq);
        if (view->layout.ota_slots) {
            printf(" (%s)", otter_slot_name(otter_otadata_slot(e->seq, view->layout.ota_slots)));
        }
        printf(", %s, ", state_text(e->state));
        print_styled(stdout, crc ? STYLE_PLAIN : STYLE_BAD, crc ? "crc holds" : "crc is wrong");
        if (i == active) {
            print_styled(stdout, STYLE_GOOD, ", decides");
        } else if (!otter_otadata_entry_valid(e)) {
            printf(", does not count");
        }
        putchar('\n');
    }
}

static json_t *slot_to_json(const struct slot *slot)
{
    json_t *image = json_null();
    if (!slot->erased) {
        image = json_object();
        image_json(image, &slot->facts, slot->err == OTTER_OK, slot->err);
        if (slot->err) {
            json_object_set_new(image, "error", json_string(otter_err_text(slot->err)));
        }
    }
    return json_pack("{s:s,s:I,s:I,s:b,s:o}", "slot", otter_slot_name(slot->index), "offset",
                     (json_int_t)slot->region.offset, "size", (json_int_t)slot->region.size,
                     "erased", (int)slot->erased, "image", image);
}

static void slot_row(struct table *t, const struct slot *slot, bool boots)
{
    const struct otter_image_facts *f = &slot->facts;
    table_cell(t, boots ? STYLE_GOOD : STYLE_PLAIN, "%s%s", otter_slot_name(slot->index),
               boots ? " *" : "");
    if (slot->erased || slot->err) {
        table_cell(t, slot->erased ? STYLE_FAINT : STYLE_WARNING, "%s",
                   slot->erased ? "empty" : otter_err_text(slot->err));
        for (int i = 0; i < 4; i++) {
            table_cell(t, STYLE_PLAIN, "%s", "");
        }
        return;
    }
    char digest[13];
    snprintf(digest, sizeof digest, "%s", digest_text(f->digest));
    table_cell(t, STYLE_PLAIN, "%s", version_text(f));
    table_cell(t, STYLE_PLAIN, "%s", f->has_desc ? safe(f->project) : "");
    table_cell(t, STYLE_PLAIN, "%s", chip_text(f->chip_id));
    table_cell(t, STYLE_PLAIN, "%s", number_text(f->size));
    table_cell(t, STYLE_FAINT, "%s", f->has_digest ? digest : "none");
}

static int show_slots(struct call *call, struct flash_view *view, int boots)
{
    struct table t = {.columns = 6, .align = "llllrl"};
    static const char *const heads[] = {"Slot", "Version", "Project", "Chip", "Bytes", "SHA-256"};
    json_t *list = json_array();
    int code = EXIT_OK;
    for (int i = 0; i < t.columns && !call->json; i++) {
        table_cell(&t, STYLE_PLAIN, "%s", heads[i]);
    }
    for (int index = OTTER_SLOT_TEST; index < view->layout.ota_slots && code == EXIT_OK; index++) {
        struct slot slot;
        if (otter_layout_slot(&view->layout, index).size == 0) {
            continue;
        }
        code = read_slot(call, view, index, &slot);
        if (code == EXIT_OK && call->json) {
            json_array_append_new(list, slot_to_json(&slot));
        } else if (code == EXIT_OK) {
            slot_row(&t, &slot, index == boots);
        }
    }
    if (call->json) {
        json_object_set(call->json, "slots", list);
    } else {
        print_heading(boots == OTTER_SLOT_NONE ? "Slots" : "Slots (* boots next)");
        table_print(&t);
    }
    json_decref(list);
    return code;
}

static int show_otadata(struct call *call, struct flash_view *view)
{
    struct otter_otadata data;
    if (view->layout.otadata.size == 0) {
        if (call->json) {
            json_object_set_new(call->json, "otadata", json_null());
        }
        return EXIT_OK;
    }
    otter_err err = otter_layout_read_otadata(&view->layout, &view->flash, &data);
    if (err) {
        return flash_view_failed(call, view, err);
    }
    if (call->json) {
        otadata_to_json(call->json, view, &data);
    } else {
        print_otadata(view, &data);
    }
    return EXIT_OK;
}

static void show_head(struct call *call, const struct flash_view *view)
{
    bool bootloader = view->chip_id != OTTER_CHIP_ANY;
    if (call->json) {
        json_object_set_new(call->json, "valid", json_true());
        json_object_set_new(call->json, "size", json_integer(view->file.size));
        json_object_set_new(call->json, "bootloader_chip",
                            bootloader ? json_string(chip_text(view->chip_id)) : json_null());
        table_to_json(call->json, view);
        return;
    }
    print_styled(stdout, STYLE_STRONG, "%s", safe(view->path));
    printf(": %s flash", size_text(view->file.size));
    if (bootloader) {
        printf(", bootloader for %s at 0x%x", chip_text(view->chip_id), view->bootloader);
    }
    putchar('\n');
    print_partitions(view);
}

static int show(struct call *call, struct flash_view *view)
{
    struct otter_boot_report report;
    int code = flash_view_boot(call, view, true, &report);
    if (code) {
        return code;
    }
    show_head(call, view);
    code = show_otadata(call, view);
    code = code ? code : show_slots(call, view, report.booted);
    int on_trial, waiting;
    code = code ? code : flash_view_undecided(call, view, &on_trial, &waiting);
    if (code == EXIT_OK && call->json) {
        bool trial = on_trial != OTTER_SLOT_NONE;
        json_object_set_new(call->json, "on_trial",
                            trial ? json_string(otter_slot_name(on_trial)) : json_null());
        json_object_set_new(call->json, "boot", boot_json(&report));
    } else if (code == EXIT_OK) {
        print_heading("Next boot");
        boot_print(&report);
        print_styled(stdout, report.booted == OTTER_SLOT_NONE ? STYLE_BAD : STYLE_GOOD,
                     "  %s boots\n", boots_text(&report));
        if (on_trial != OTTER_SLOT_NONE) {
            printf("  (%s is on trial: \"otter flash confirm\" keeps it)\n",
                   otter_slot_name(on_trial));
        }
    }
    return code;
}

static int run(struct call *call)
{
    static struct flash_view view;
    if (call->json) {
        json_object_set_new(call->json, "valid", json_false());
    }
    int code = flash_view_open(call, &view, call->args[0], false);
    if (code) {
        return code;
    }
    view.rollback = call->option[NO_ROLLBACK] == NULL;
    code = show(call, &view);
    flash_view_close(&view);
    return code;
}

const struct command command_flash_info = {
    .name = "flash info",
    .args = "FILE",
    .brief = "show a flash: slots, what boots and why",
    .about =
        "Shows what is in a flash image file, such as a dump of a board made by\n"
        "\"esptool read_flash 0 ALL FILE\": partition table, both otadata copies, the images\n"
        "in the slots, and what the bootloader will do at the next start. Nothing is changed.\n",
    .schema = "otter.flash/1",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .run = run,
};
