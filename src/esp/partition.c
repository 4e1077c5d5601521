/* SPDX-License-Identifier: Apache-2.0 */
/* The layout is drawn in include/otter/partition.h. */
#include "otter/partition.h"

#include <string.h>

#include "base/cursor.h"
#include "esp/partition_wire.h"

const struct otter_partition *otter_partition_find(const struct otter_partition_table *table,
                                                   uint8_t type, uint8_t subtype)
{
    for (uint16_t i = 0; i < table->count; i++) {
        if (table->rows[i].type == type && table->rows[i].subtype == subtype) {
            return &table->rows[i];
        }
    }
    return NULL;
}

uint8_t otter_partition_ota_slots(const struct otter_partition_table *table)
{
    uint8_t n = 0;

    while (n < OTTER_OTA_SLOTS_MAX &&
           otter_partition_find(table, OTTER_PART_TYPE_APP, (uint8_t)(OTTER_PART_APP_OTA_0 + n))) {
        n++;
    }
    return n;
}

static bool is_ota(const struct otter_partition *p)
{
    return p->type == OTTER_PART_TYPE_APP && p->subtype >= OTTER_PART_APP_OTA_0 &&
           p->subtype < OTTER_PART_APP_OTA_0 + OTTER_OTA_SLOTS_MAX;
}

static bool overlap(uint32_t a, uint32_t a_size, uint32_t b, uint32_t b_size)
{
    return a < b + b_size && b < a + a_size;
}

/* One row alone: where it lies, and how. */
static otter_err check_row(const struct otter_partition *p, uint32_t flash_size)
{
    uint32_t alignment = p->type == OTTER_PART_TYPE_APP ? OTTER_APP_ALIGNMENT : OTTER_SECTOR_SIZE;

    /* ESP-IDF lets data partitions have any size, and some do. */
    bool odd_size = p->type == OTTER_PART_TYPE_APP && p->size % OTTER_SECTOR_SIZE != 0;
    if (p->offset % alignment != 0 || odd_size) {
        return OTTER_ERR_TABLE_ALIGN;
    }
    if (p->size == 0 || p->offset + p->size < p->offset ||
        (flash_size != 0 && p->offset + p->size > flash_size)) {
        return OTTER_ERR_TABLE_RANGE;
    }
    /* Other types may name the bootloader and the table themselves. */
    if (p->type <= OTTER_PART_TYPE_DATA &&
        overlap(p->offset, p->size, OTTER_TABLE_OFFSET, OTTER_SECTOR_SIZE)) {
        return OTTER_ERR_TABLE_OVERLAP;
    }
    if (p->type == OTTER_PART_TYPE_DATA && p->subtype == OTTER_PART_DATA_OTADATA &&
        p->size < OTTER_OTADATA_SIZE) {
        return OTTER_ERR_TABLE_SLOTS;
    }
    return OTTER_OK;
}

/* Row n against all before it. */
static otter_err check_against(const struct otter_partition *rows, uint16_t n)
{
    const struct otter_partition *p = &rows[n];

    for (uint16_t i = 0; i < n; i++) {
        if (overlap(p->offset, p->size, rows[i].offset, rows[i].size)) {
            return OTTER_ERR_TABLE_OVERLAP;
        }
        if (strcmp(p->label, rows[i].label) == 0) {
            return OTTER_ERR_TABLE_LABEL;
        }
        if (is_ota(p) && rows[i].type == p->type && rows[i].subtype == p->subtype) {
            return OTTER_ERR_TABLE_SLOTS;
        }
    }
    return OTTER_OK;
}

static otter_err check_table(const struct otter_partition_table *table, uint32_t flash_size)
{
    otter_err err = table->count == 0 ? OTTER_ERR_TABLE_EMPTY : OTTER_OK;
    uint16_t ota = 0;

    for (uint16_t i = 0; i < table->count && err == OTTER_OK; i++) {
        ota = (uint16_t)(ota + is_ota(&table->rows[i]));
        err = check_row(&table->rows[i], flash_size);
        if (err == OTTER_OK) {
            err = check_against(table->rows, i);
        }
    }
    /* ota slots count from 0 without a gap */
    if (err == OTTER_OK && ota != otter_partition_ota_slots(table)) {
        err = OTTER_ERR_TABLE_SLOTS;
    }
    return err;
}

static otter_err read_row(struct otter_partition_table *table, struct otter_reader *row)
{
    if (table->count == table->capacity) {
        return OTTER_ERR_TABLE_FULL;
    }
    struct otter_partition *p = &table->rows[table->count++];
    p->type = otter_read_u8(row);
    p->subtype = otter_read_u8(row);
    p->offset = otter_read_u32(row);
    p->size = otter_read_u32(row);
    otter_read_bytes(row, p->label, OTTER_TABLE_LABEL_SIZE);
    p->label[OTTER_TABLE_LABEL_SIZE] = '\0';
    p->flags = otter_read_u32(row);
    return OTTER_OK;
}

/* row: after its magic. data, len: all rows above. */
static otter_err read_md5(struct otter_partition_table *table, struct otter_reader *row,
                          const uint8_t *data, size_t len, otter_md5_fn md5)
{
    uint8_t stored[16];
    uint8_t digest[16];

    table->has_md5 = true;
    otter_read_skip(row, OTTER_TABLE_MD5_FILL);
    otter_read_bytes(row, stored, sizeof stored);
    if (md5 == NULL) {
        return OTTER_OK;
    }
    otter_err err = md5(data, len, digest);
    if (err == OTTER_OK && memcmp(digest, stored, sizeof digest) != 0) {
        err = OTTER_ERR_TABLE_MD5;
    }
    return err;
}

otter_err otter_partition_parse(struct otter_partition_table *table, const uint8_t *data,
                                size_t len, uint32_t flash_size, otter_md5_fn md5)
{
    struct otter_reader all =
        otter_reader_on(data, len < OTTER_TABLE_SIZE ? len : OTTER_TABLE_SIZE);
    const uint8_t *raw;

    table->count = 0;
    table->has_md5 = false;
    while ((raw = otter_read_view(&all, OTTER_TABLE_ROW_SIZE)) != NULL) {
        struct otter_reader row = otter_reader_on(raw, OTTER_TABLE_ROW_SIZE);
        uint16_t magic = otter_read_u16(&row);
        otter_err err = OTTER_ERR_TABLE_MAGIC;

        if (magic == OTTER_TABLE_MAGIC_END) {
            return check_table(table, flash_size);
        }
        if (magic == OTTER_TABLE_MAGIC_MD5 && !table->has_md5) {
            err = read_md5(table, &row, data, (size_t)(raw - data), md5);
        } else if (magic == OTTER_TABLE_MAGIC_ROW && !table->has_md5) {
            err = read_row(table, &row);
        }
        if (err != OTTER_OK) {
            return err;
        }
    }
    return OTTER_ERR_TABLE_FULL; /* no end row */
}
