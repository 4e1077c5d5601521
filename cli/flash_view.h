/* SPDX-License-Identifier: Apache-2.0 */
/* A flash image file as the flash commands see it: its table, otadata, slots and boot decision. */
#ifndef OTTER_CLI_FLASH_VIEW_H
#define OTTER_CLI_FLASH_VIEW_H

#include "cli.h"
#include "host/sha256.h"
#include "port/flash/flash_slots.h"
#include "port/linux/flash_file.h"
#include "port/sim/bootloader.h"

struct flash_view {
    const char *path;
    struct otter_flash_file file;
    struct otter_flash flash;
    struct otter_partition rows[OTTER_TABLE_ROWS_MAX];
    struct otter_partition_table table;
    struct otter_layout layout;
    struct otter_sha256 sha;
    uint16_t chip_id;    /* of the bootloader in the flash; OTTER_CHIP_ANY: there is none */
    uint32_t bootloader; /* where it lies, bytes */
    bool rollback;       /* the bootloader can go back; off by --no-rollback */
    uint8_t buf[1 << 16];
};

/* Opens the file and reads its table; on a failure, which is reported, nothing stays open.
 * Returns an exit code. */
int flash_view_open(struct call *call, struct flash_view *view, const char *path, bool writable);
void flash_view_close(struct flash_view *view);

/* One power-on of the bootloader model; dry_run: nothing is written. Returns an exit code. */
int flash_view_boot(struct call *call, struct flash_view *view, bool dry_run,
                    struct otter_boot_report *report);

/* Slot functions with `running` as the slot that booted. */
struct otter_flash_slots flash_view_slots(struct flash_view *view, int running);

/* The slot that is on trial (booted once, neither confirmed nor given up), or OTTER_SLOT_NONE; and
 * the one that is selected and was not booted yet. Returns an exit code. */
int flash_view_undecided(struct call *call, struct flash_view *view, int *on_trial, int *waiting);

/* Where a chip's ROM looks for the second-stage bootloader. */
uint32_t bootloader_place(uint16_t chip_id);

/* What is wrong with a table, with the partitions it is about; table holds the rows that were
 * read. Valid until eight more texts are made. */
const char *table_fault(const struct otter_partition_table *table, otter_err err,
                        uint32_t flash_size);

/* Reports that a flash operation failed, with the file's own words. Returns an exit code. */
int flash_view_failed(struct call *call, struct flash_view *view, otter_err err);

/* What the bootloader did, or would do, and why: sentences one below the other, the reason first.
 * For JSON: as an object. */
void boot_print(const struct otter_boot_report *report);
json_t *boot_json(const struct otter_boot_report *report);

/* "weather 1.1.0 from ota_1", or "nothing". Valid until eight more texts are made. */
const char *boots_text(const struct otter_boot_report *report);

#endif
