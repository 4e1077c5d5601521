/* SPDX-License-Identifier: Apache-2.0 */
#include "port/sim/bootloader.h"

#include <string.h>

#include "otter/update.h" /* OTTER_CHIP_ANY */
#include "port/flash/flash_slots.h"

/*
 * Erases a copy and writes it in one program, unlike the application, which writes the crc last.
 * An error is not looked at: the real bootloader prints it and boots on.
 */
static void rewrite(const struct otter_bootloader *bl, int copy,
                    const struct otter_otadata_entry *entry)
{
    const uint32_t address =
        bl->layout.otadata.offset + (copy == 0 ? 0u : bl->layout.otadata_stride);
    const uint32_t unit = bl->flash.write_unit;
    const uint32_t len = (OTTER_OTADATA_ENTRY_SIZE + unit - 1u) & ~(unit - 1u);
    uint8_t raw[OTTER_WRITE_UNIT_MAX];

    if (bl->dry_run) {
        return;
    }
    memset(raw, 0xFF, sizeof(raw));
    otter_otadata_encode(entry, raw);
    otter_err err = bl->flash.ops->erase(bl->flash.ctx, address);
    if (err == OTTER_OK) {
        err = bl->flash.ops->program(bl->flash.ctx, address, raw, len);
    }
    if (err == OTTER_OK && bl->flash.ops->sync != NULL) {
        err = bl->flash.ops->sync(bl->flash.ctx);
    }
    (void)err;
}

/* An image that had its first boot and did not confirm loses its place. */
static void abort_pending(const struct otter_bootloader *bl, struct otter_otadata *data,
                          struct otter_boot_report *report)
{
    for (int i = 0; i < 2; i++) {
        if (data->copy[i].state == OTTER_OTADATA_PENDING_VERIFY) {
            data->copy[i].state = OTTER_OTADATA_ABORTED;
            report->aborted[i] = true;
            rewrite(bl, i, &data->copy[i]);
        }
    }
}

/* A new image is on its first boot from now on. */
static void start_trial(const struct otter_bootloader *bl, struct otter_otadata *data,
                        struct otter_boot_report *report)
{
    struct otter_otadata_entry *entry = &data->copy[report->active];

    if (entry->state == OTTER_OTADATA_NEW) {
        entry->state = OTTER_OTADATA_PENDING_VERIFY;
        report->became_pending = true;
        rewrite(bl, report->active, entry);
    }
}

/* Neither copy holds a seq with its crc: a flash that otadata was never written on. */
static bool never_written(const struct otter_otadata *data)
{
    for (int i = 0; i < 2; i++) {
        const struct otter_otadata_entry *e = &data->copy[i];
        if (e->seq != OTTER_OTADATA_SEQ_NONE && e->crc == otter_otadata_crc(e->seq)) {
            return false;
        }
    }
    return true;
}

static otter_err try_slot(const struct otter_bootloader *bl, int slot,
                          struct otter_image_facts *facts)
{
    const otter_err err = otter_flash_verify(&bl->flash, otter_layout_slot(&bl->layout, slot),
                                             bl->hash, bl->buf, bl->buf_size, facts);

    if (err == OTTER_OK && bl->chip_id != OTTER_CHIP_ANY && facts->chip_id != bl->chip_id) {
        return OTTER_ERR_IMAGE_CHIP;
    }
    return err;
}

/* Without a factory image, the first slot that boots is written down in copy 0. */
static void record(const struct otter_bootloader *bl, int slot, struct otter_boot_report *report)
{
    struct otter_otadata_entry entry = {.seq = (uint32_t)slot + 1u, .state = OTTER_OTADATA_VALID};

    memset(entry.label, 0xFF, sizeof(entry.label));
    entry.crc = otter_otadata_crc(entry.seq);
    report->recorded = true;
    rewrite(bl, 0, &entry);
}

otter_err otter_bootloader_run(const struct otter_bootloader *bl, struct otter_boot_report *report)
{
    const bool has_otadata = bl->layout.otadata.size != 0;
    struct otter_otadata data;
    int order[OTTER_BOOT_ORDER_MAX];

    memset(report, 0, sizeof(*report));
    memset(&data, 0xFF, sizeof(data));
    report->active = -1;
    report->selected = OTTER_SLOT_NONE;
    report->booted = OTTER_SLOT_NONE;

    if (has_otadata) {
        const otter_err err = otter_layout_read_otadata(&bl->layout, &bl->flash, &data);
        if (err != OTTER_OK) {
            return err;
        }
        if (bl->rollback) {
            abort_pending(bl, &data, report);
        }
    }
    const uint8_t count = otter_layout_boot_order(&bl->layout, &data, order, &report->reason);
    if (report->reason == OTTER_BOOT_BY_OTADATA) {
        report->active = otter_otadata_active(&data);
        if (bl->rollback) {
            start_trial(bl, &data, report);
        }
    }
    if (count != 0) {
        report->selected = order[0];
    }

    for (uint8_t i = 0; i < count && report->booted == OTTER_SLOT_NONE; i++) {
        const otter_err err = try_slot(bl, order[i], &report->facts);
        report->tried[i].slot = order[i];
        report->tried[i].err = err;
        report->tried_count++;
        if (err == OTTER_OK) {
            report->booted = order[i];
        }
    }
    report->fell_back = report->booted != OTTER_SLOT_NONE && report->booted != report->selected;

    const bool unrecorded = has_otadata && bl->layout.factory.size == 0 &&
                            report->reason != OTTER_BOOT_BY_OTADATA &&
                            report->reason != OTTER_BOOT_BAD_OTADATA && never_written(&data);
    if (unrecorded && report->booted >= 0) {
        record(bl, report->booted, report);
    }
    return OTTER_OK;
}
