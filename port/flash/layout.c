/* SPDX-License-Identifier: Apache-2.0 */
#include "port/flash/layout.h"

#include <stddef.h>
#include <string.h>

#include "otter/slots.h" /* OTTER_WRITE_UNIT_MAX */

/* Offset of the crc in an entry: everything before it is written first, where that is possible. */
#define CRC_OFFSET 28u

static struct otter_region region_of(const struct otter_partition_table *table, uint8_t type,
                                     uint8_t subtype)
{
    const struct otter_partition *p = otter_partition_find(table, type, subtype);
    struct otter_region region = {0, 0};

    if (p != NULL) {
        region.offset = p->offset;
        region.size = p->size;
    }
    return region;
}

void otter_layout_from_table(struct otter_layout *layout, const struct otter_partition_table *table)
{
    memset(layout, 0, sizeof(*layout));
    layout->otadata = region_of(table, OTTER_PART_TYPE_DATA, OTTER_PART_DATA_OTADATA);
    layout->otadata_stride = OTTER_OTADATA_COPY_STRIDE;
    layout->factory = region_of(table, OTTER_PART_TYPE_APP, OTTER_PART_APP_FACTORY);
    layout->test = region_of(table, OTTER_PART_TYPE_APP, OTTER_PART_APP_TEST);
    layout->ota_slots = otter_partition_ota_slots(table);
    for (uint8_t i = 0; i < layout->ota_slots; i++) {
        layout->ota[i] = region_of(table, OTTER_PART_TYPE_APP, (uint8_t)(OTTER_PART_APP_OTA_0 + i));
    }
}

struct otter_region otter_layout_slot(const struct otter_layout *layout, int slot)
{
    if (slot == OTTER_SLOT_FACTORY) {
        return layout->factory;
    }
    if (slot == OTTER_SLOT_TEST) {
        return layout->test;
    }
    if (slot >= 0 && slot < layout->ota_slots) {
        return layout->ota[slot];
    }
    return (struct otter_region){0, 0};
}

const char *otter_slot_name(int slot)
{
    static const char ota[OTTER_OTA_SLOTS_MAX][7] = {
        "ota_0", "ota_1", "ota_2",  "ota_3",  "ota_4",  "ota_5",  "ota_6",  "ota_7",
        "ota_8", "ota_9", "ota_10", "ota_11", "ota_12", "ota_13", "ota_14", "ota_15"};

    if (slot == OTTER_SLOT_FACTORY) {
        return "factory";
    }
    if (slot == OTTER_SLOT_TEST) {
        return "test";
    }
    if (slot >= 0 && slot < (int)OTTER_OTA_SLOTS_MAX) {
        return ota[slot];
    }
    return "none";
}

/* The slot the walk starts from: what ESP-IDF's bootloader calls the selected partition. */
static int first_choice(const struct otter_layout *layout, const struct otter_otadata *data,
                        enum otter_boot_reason *reason)
{
    const int none_selected = layout->factory.size != 0 ? OTTER_SLOT_FACTORY : 0;

    if (layout->otadata.size == 0) {
        *reason = OTTER_BOOT_NO_OTADATA;
        return OTTER_SLOT_FACTORY;
    }
    if (layout->ota_slots == 0) {
        *reason = OTTER_BOOT_NO_OTADATA;
        return none_selected;
    }
    const int active = otter_otadata_active(data);
    if (active >= 0) {
        *reason = OTTER_BOOT_BY_OTADATA;
        return otter_otadata_slot(data->copy[active].seq, layout->ota_slots);
    }
    if (otter_otadata_entry_dead(&data->copy[0]) && otter_otadata_entry_dead(&data->copy[1])) {
        *reason = OTTER_BOOT_BLANK;
        return none_selected;
    }
    *reason = OTTER_BOOT_BAD_OTADATA;
    return OTTER_SLOT_FACTORY;
}

uint8_t otter_layout_boot_order(const struct otter_layout *layout, const struct otter_otadata *data,
                                int order[OTTER_BOOT_ORDER_MAX], enum otter_boot_reason *reason)
{
    enum otter_boot_reason why;
    const int first = first_choice(layout, data, &why);
    uint8_t count = 0;

    for (int slot = first; slot >= OTTER_SLOT_FACTORY; slot--) {
        if (otter_layout_slot(layout, slot).size != 0) {
            order[count++] = slot;
        }
    }
    for (int slot = first + 1; slot < layout->ota_slots; slot++) {
        if (otter_layout_slot(layout, slot).size != 0) {
            order[count++] = slot;
        }
    }
    if (layout->test.size != 0) {
        order[count++] = OTTER_SLOT_TEST;
    }
    if (reason != NULL) {
        *reason = why;
    }
    return count;
}

static uint32_t copy_address(const struct otter_layout *layout, int copy)
{
    return layout->otadata.offset + (copy == 0 ? 0u : layout->otadata_stride);
}

otter_err otter_layout_read_otadata(const struct otter_layout *layout,
                                    const struct otter_flash *flash, struct otter_otadata *data)
{
    uint8_t raw[OTTER_OTADATA_ENTRY_SIZE];

    if (layout->otadata.size == 0) {
        return OTTER_ERR_NO_OTADATA;
    }
    for (int copy = 0; copy < 2; copy++) {
        const otter_err err =
            flash->ops->read(flash->ctx, copy_address(layout, copy), raw, sizeof(raw));
        if (err != OTTER_OK) {
            return err;
        }
        otter_otadata_decode(&data->copy[copy], raw);
    }
    return OTTER_OK;
}

static otter_err sync_flash(const struct otter_flash *flash)
{
    return flash->ops->sync != NULL ? flash->ops->sync(flash->ctx) : OTTER_OK;
}

/*
 * Spoils the crc of an entry before an erase.
 *
 * An erase that is cut can leave any mix of old and erased bits: a seq and crc as they were with
 * another state, say, which is an image that was refused and now counts again, or one on trial
 * that need not confirm any more. A spoilt crc does not come back. Only bits that are 1 in the
 * right crc are cleared, so that no bit of this can complete one that was torn. (Clearing the seq
 * would not do: seq 0 has the crc 0xFFFFFFFF, that of an erased entry.)
 */
static otter_err spoil_entry(const struct otter_layout *layout, const struct otter_flash *flash,
                             int copy)
{
    struct otter_otadata data;
    struct otter_otadata_entry *entry = &data.copy[copy];
    uint8_t raw[OTTER_OTADATA_ENTRY_SIZE];

    if (flash->write_unit > OTTER_OTADATA_ENTRY_SIZE - CRC_OFFSET) {
        return OTTER_OK; /* programmed once between erases */
    }
    const otter_err err = otter_layout_read_otadata(layout, flash, &data);
    if (err != OTTER_OK || entry->crc == UINT32_MAX) {
        return err;
    }
    entry->crc &= ~otter_otadata_crc(entry->seq);
    otter_otadata_encode(entry, raw);
    return flash->ops->program(flash->ctx, copy_address(layout, copy) + CRC_OFFSET,
                               raw + CRC_OFFSET, sizeof(raw) - CRC_OFFSET);
}

otter_err otter_layout_erase_otadata(const struct otter_layout *layout,
                                     const struct otter_flash *flash, int copy)
{
    /* What was written before must not become durable after the step that relies on it. */
    otter_err err = sync_flash(flash);

    if (err == OTTER_OK) {
        err = spoil_entry(layout, flash, copy);
    }
    if (err == OTTER_OK) {
        err = flash->ops->erase(flash->ctx, copy_address(layout, copy));
    }
    if (err == OTTER_OK) {
        err = sync_flash(flash);
    }
    return err;
}

otter_err otter_layout_write_otadata(const struct otter_layout *layout,
                                     const struct otter_flash *flash,
                                     const struct otter_otadata_plan *plan)
{
    const uint32_t address = copy_address(layout, plan->copy);
    const uint32_t unit = flash->write_unit;
    uint8_t raw[OTTER_WRITE_UNIT_MAX];

    memset(raw, 0xFF, sizeof(raw));
    otter_otadata_encode(&plan->entry, raw);
    const uint32_t first = unit <= 4u ? CRC_OFFSET : 0u;
    const uint32_t whole = (OTTER_OTADATA_ENTRY_SIZE + unit - 1u) & ~(unit - 1u);

    otter_err err = otter_layout_erase_otadata(layout, flash, plan->copy);
    if (err == OTTER_OK && first != 0) {
        err = flash->ops->program(flash->ctx, address, raw, first);
    }
    if (err == OTTER_OK) {
        err = flash->ops->program(flash->ctx, address + first, raw + first, whole - first);
    }
    if (err == OTTER_OK) {
        err = sync_flash(flash);
    }
    return err;
}
