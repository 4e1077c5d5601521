/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slot functions (include/otter/slots.h) on a raw flash with the ESP32 layout.
 *
 * Holds, at every instant and whatever is cut: otadata selects an image that is whole, or the
 * bootloader falls back to the one that was running. To that end open() first makes otadata
 * select the running slot when the bootloader had to fall back from what otadata says, then
 * erases the other copy if it counts. tests/powerloss holds this against a cut at every point.
 */
#ifndef OTTER_PORT_FLASH_SLOTS_H
#define OTTER_PORT_FLASH_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "otter/image.h"
#include "otter/slots.h"
#include "port/flash/flash.h"
#include "port/flash/layout.h"

struct otter_flash_slots {
    struct otter_flash flash;
    struct otter_layout layout;
    struct otter_hash hash; /* for select(): its own, not the session's */
    int running;            /* slot index that booted */
    bool rollback;          /* the bootloader has rollback enabled (a new image must confirm) */
    uint8_t *buf;           /* for select() to read with */
    uint32_t buf_size;      /* bytes */
    int target;             /* opened slot, or OTTER_SLOT_NONE */
};

/* Prepares; everything in config-like fields is set by the caller before, target by this. */
void otter_flash_slots_init(struct otter_flash_slots *slots);

/* The table and context to put into struct otter_update_config. */
struct otter_slots otter_flash_slots_table(struct otter_flash_slots *slots);

/* The slot an update would be written to, or OTTER_SLOT_NONE: the one after the running slot. */
int otter_flash_slots_next(const struct otter_flash_slots *slots);

/* The slot whose image was given up (INVALID) or did not confirm on its first boot (ABORTED), or
 * OTTER_SLOT_NONE: how the image that runs now can tell that an update was rolled back. */
OTTER_CHECKED otter_err otter_flash_slots_rejected(const struct otter_flash_slots *slots,
                                                   int *slot);

/* Verifies the image in a region and gives its facts. limit is region.size. */
OTTER_CHECKED otter_err otter_flash_verify(const struct otter_flash *flash,
                                           struct otter_region region, struct otter_hash hash,
                                           uint8_t *buf, uint32_t buf_size,
                                           struct otter_image_facts *facts);
#endif
