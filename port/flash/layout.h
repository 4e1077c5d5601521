/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things are in a flash: what the boot decision and an update need of a partition table.
 */
#ifndef OTTER_PORT_LAYOUT_H
#define OTTER_PORT_LAYOUT_H

#include <stdint.h>

#include "otter/otadata.h"
#include "otter/partition.h"
#include "port/flash/flash.h"

/* Slots by index, as ESP-IDF's bootloader counts them. */
#define OTTER_SLOT_TEST (-2)
#define OTTER_SLOT_FACTORY (-1) /* 0..15: ota_0 .. ota_15 */
#define OTTER_SLOT_NONE (-99)

struct otter_region {
    uint32_t offset; /* bytes */
    uint32_t size;   /* bytes; 0: there is none */
};

struct otter_layout {
    struct otter_region otadata;
    uint32_t otadata_stride; /* copy 1 begins this far after copy 0: the erase unit, bytes */
    struct otter_region factory;
    struct otter_region test;
    struct otter_region ota[OTTER_OTA_SLOTS_MAX];
    uint8_t ota_slots;
};

/* Fills layout from a table that otter_partition_parse() accepted. */
void otter_layout_from_table(struct otter_layout *layout,
                             const struct otter_partition_table *table);

/* The region of a slot index; size 0 when there is none. */
struct otter_region otter_layout_slot(const struct otter_layout *layout, int slot);

/* "factory", "test", "ota_0" ..., "none". Constant text. */
const char *otter_slot_name(int slot);

/* Reads and decodes both otadata copies. */
OTTER_CHECKED otter_err otter_layout_read_otadata(const struct otter_layout *layout,
                                                  const struct otter_flash *flash,
                                                  struct otter_otadata *data);

/* Carries a plan out: erases the copy, then writes the entry, then syncs. The crc goes last where
 * the write unit allows it, so that a torn write never leaves an entry that counts but is not
 * whole. */
OTTER_CHECKED otter_err otter_layout_write_otadata(const struct otter_layout *layout,
                                                   const struct otter_flash *flash,
                                                   const struct otter_otadata_plan *plan);
#endif
