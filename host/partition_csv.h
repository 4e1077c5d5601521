/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partition tables as text, in the format of ESP-IDF's gen_esp32part.py:
 *
 *   # Name, Type, SubType, Offset, Size, Flags
 *   nvs,    data, nvs,     0x9000, 16K,
 *   ota_0,  app,  ota_0,         , 1M,  encrypted
 *
 * An empty offset is the first free aligned one; a negative size means "up to this offset".
 * Rows of the types bootloader and partition_table are refused: they place nothing in the table.
 */
#ifndef OTTER_HOST_PARTITION_CSV_H
#define OTTER_HOST_PARTITION_CSV_H

#include <stddef.h>

#include "otter/partition.h"

/* One sentence without a full stop, with the line it is about; line 0: the table as a whole. */
struct otter_csv_error {
    unsigned line;
    char text[200];
};

/* Reads text into table->rows (the caller's, capacity rows). The result is in order of the text
 * and, as otter_partition_build() does the whole check, not yet proven to be a valid table. On
 * failure returns an OTTER_ERR_TABLE_* or OTTER_ERR_ARG, and error says what is wrong. */
OTTER_CHECKED otter_err otter_partition_csv_read(const char *text, size_t len,
                                                 struct otter_partition_table *table,
                                                 struct otter_csv_error *error);

/* The names the format has for numbers: "app", "ota_0". Others come out as "0x40". out is 16 bytes
 * and is returned. */
const char *otter_partition_type_text(uint8_t type, char out[16]);
const char *otter_partition_subtype_text(uint8_t type, uint8_t subtype, char out[16]);

/* Built-in tables as such text: "two-ota" (ESP-IDF's default with factory and two slots of 1 MB)
 * and "no-factory" (two slots of 1.5 MB). NULL for other names. */
const char *otter_partition_layout(const char *name);

#endif
