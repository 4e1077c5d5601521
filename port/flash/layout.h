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

/* How the bootloader comes to its first choice. */
enum otter_boot_reason {
    OTTER_BOOT_BY_OTADATA,  /* the active copy selects it */
    OTTER_BOOT_NO_OTADATA,  /* the table has no otadata or no ota slots */
    OTTER_BOOT_BLANK,       /* both copies blank, INVALID or ABORTED */
    OTTER_BOOT_BAD_OTADATA, /* no copy counts, though not both are blank */
};

#define OTTER_BOOT_ORDER_MAX (OTTER_OTA_SLOTS_MAX + 2)

/*
 * The slots that exist, in the order ESP-IDF's bootloader tries them: the one otadata selects,
 * down through the lower ones to factory, then up through the higher ones, then test. Returns how
 * many. data is not looked at when the layout has no otadata. reason may be NULL.
 */
uint8_t otter_layout_boot_order(const struct otter_layout *layout, const struct otter_otadata *data,
                                int order[OTTER_BOOT_ORDER_MAX], enum otter_boot_reason *reason);

/* Reads and decodes both otadata copies. */
OTTER_CHECKED otter_err otter_layout_read_otadata(const struct otter_layout *layout,
                                                  const struct otter_flash *flash,
                                                  struct otter_otadata *data);

/* Erases one copy, durably. Where the write unit allows it its crc is spoilt first, so that a
 * torn erase leaves nothing that counts. */
OTTER_CHECKED otter_err otter_layout_erase_otadata(const struct otter_layout *layout,
                                                   const struct otter_flash *flash, int copy);

/* Carries a plan out: erases the copy, as above, then writes the entry, then syncs. The crc goes
 * last where the write unit allows it, so that a torn write never leaves an entry that counts but
 * is not whole. */
OTTER_CHECKED otter_err otter_layout_write_otadata(const struct otter_layout *layout,
                                                   const struct otter_flash *flash,
                                                   const struct otter_otadata_plan *plan);
#endif
