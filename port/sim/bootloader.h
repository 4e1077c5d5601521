/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model of ESP-IDF's second-stage bootloader: which slot boots, and what it writes to otadata.
 * Source: ESP-IDF, bootloader_utility.c and bootloader_common.c.
 */
#ifndef OTTER_PORT_BOOTLOADER_H
#define OTTER_PORT_BOOTLOADER_H

#include <stdbool.h>
#include <stdint.h>

#include "otter/hash.h"
#include "otter/image.h"
#include "port/flash/flash.h"
#include "port/flash/layout.h"

struct otter_bootloader {
    struct otter_flash flash;
    struct otter_layout layout;
    struct otter_hash hash;
    uint16_t chip_id; /* OTTER_CHIP_ANY: an image for any chip boots */
    bool rollback;    /* CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE */
    bool dry_run;     /* decide only, write nothing */
    uint8_t *buf;
    uint32_t buf_size; /* bytes */
};

struct otter_boot_report {
    enum otter_boot_reason reason;
    int active;      /* otadata copy that decided, or -1 */
    int selected;    /* slot chosen by the rule */
    int booted;      /* slot that boots, or OTTER_SLOT_NONE: nothing does */
    bool fell_back;  /* booted is not selected */
    bool aborted[2]; /* copy was PENDING_VERIFY and became ABORTED: the image had not confirmed */
    bool became_pending; /* copy `active` was NEW and became PENDING_VERIFY */
    bool recorded;       /* otadata was blank and now records the slot (no factory) */
    struct {
        int slot;
        otter_err err;
    } tried[OTTER_BOOT_ORDER_MAX]; /* in order; the last one booted when err is OTTER_OK */
    uint8_t tried_count;
    struct otter_image_facts facts; /* of the image that boots */
};

/* One power-on. Errors are those of the flash; "nothing boots" is no error but booted ==
 * OTTER_SLOT_NONE. */
OTTER_CHECKED otter_err otter_bootloader_run(const struct otter_bootloader *bl,
                                             struct otter_boot_report *report);
#endif
