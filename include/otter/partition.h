/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ESP32 partition table: rows of 32 bytes at flash offset 0x8000.
 * Source of the format: ESP-IDF, "Partition Tables" and esp_flash_partitions.h.
 *
 *   0   2    3       4        8      12           28      32
 *   +---+----+-------+--------+------+------------+-------+
 *   |AA |type|subtype| offset | size | label[16]  | flags |   a partition
 *   |50 |    |       |        |      |            |       |
 *   +---+----+-------+--------+------+------------+-------+
 *   |EB EB, 14 x FF                  | MD5 of all rows above |   optional
 *   +--------------------------------+------------------------+
 *   |32 x FF                                              |   the end
 */
#ifndef OTTER_PARTITION_H
#define OTTER_PARTITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "otter/err.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OTTER_TABLE_OFFSET 0x8000u /* usual place in flash, bytes */
#define OTTER_TABLE_SIZE 0xC00u    /* bytes at most, end row and MD5 row included */
#define OTTER_TABLE_ROW_SIZE 32u
#define OTTER_TABLE_ROWS_MAX (OTTER_TABLE_SIZE / OTTER_TABLE_ROW_SIZE - 1u)
#define OTTER_SECTOR_SIZE 0x1000u    /* flash erase sector, bytes */
#define OTTER_APP_ALIGNMENT 0x10000u /* app partitions, bytes */
#define OTTER_OTADATA_SIZE 0x2000u   /* otadata partition, bytes at least */
#define OTTER_OTA_SLOTS_MAX 16u

#define OTTER_PART_TYPE_APP 0x00u
#define OTTER_PART_TYPE_DATA 0x01u
#define OTTER_PART_APP_FACTORY 0x00u
#define OTTER_PART_APP_OTA_0 0x10u /* .. 0x1F: ota_0 .. ota_15 */
#define OTTER_PART_APP_TEST 0x20u
#define OTTER_PART_DATA_OTADATA 0x00u
#define OTTER_PART_DATA_NVS 0x02u
#define OTTER_PART_FLAG_ENCRYPTED 0x1u
#define OTTER_PART_FLAG_READONLY 0x2u

struct otter_partition {
    uint32_t offset; /* in flash, bytes */
    uint32_t size;   /* bytes */
    uint32_t flags;
    uint8_t type;
    uint8_t subtype;
    char label[17]; /* NUL-terminated; from outside: escape before printing */
};

/* A parsed table. rows belongs to the caller. */
struct otter_partition_table {
    struct otter_partition *rows;
    uint16_t capacity; /* of rows */
    uint16_t count;
    bool has_md5;
};

/* MD5 of data into digest; for tables, which carry one. Returns OTTER_OK or OTTER_ERR_HASH. */
typedef otter_err (*otter_md5_fn)(const uint8_t *data, size_t len, uint8_t digest[16]);

/*
 * Reads a table of at most OTTER_TABLE_SIZE bytes and checks it whole: rows, alignment, every
 * partition inside flash_size (0: not checked) and apart from all others and from the table
 * itself, otadata large enough, ota slots numbered from 0 without a gap. With md5 NULL an MD5 row
 * is recognised but not checked. Errors: OTTER_ERR_TABLE_*.
 */
OTTER_CHECKED otter_err otter_partition_parse(struct otter_partition_table *table,
                                              const uint8_t *data, size_t len, uint32_t flash_size,
                                              otter_md5_fn md5);

/*
 * Writes table as it stands in flash into out (OTTER_TABLE_SIZE bytes, unused ones 0xFF), with an
 * MD5 row when md5 is given. Refuses what otter_partition_parse would refuse. For hosts.
 */
OTTER_CHECKED otter_err otter_partition_build(const struct otter_partition_table *table,
                                              uint32_t flash_size, otter_md5_fn md5,
                                              uint8_t out[OTTER_TABLE_SIZE]);

/* The row with this type and subtype, or NULL. */
const struct otter_partition *otter_partition_find(const struct otter_partition_table *table,
                                                   uint8_t type, uint8_t subtype);

/* How many ota slots the table has (ota_0 .. ota_n-1). */
uint8_t otter_partition_ota_slots(const struct otter_partition_table *table);

#ifdef __cplusplus
}
#endif
#endif
