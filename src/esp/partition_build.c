/* SPDX-License-Identifier: Apache-2.0 */
/* The other direction of partition.c, for hosts: devices never build a table. */
#include "otter/partition.h"

#include "base/cursor.h"
#include "esp/partition_wire.h"

otter_err otter_partition_build(const struct otter_partition_table *table, uint32_t flash_size,
                                otter_md5_fn md5, uint8_t out[OTTER_TABLE_SIZE])
{
    struct otter_writer w = otter_writer_on(out, OTTER_TABLE_SIZE);
    uint8_t digest[16];

    if (table->count > OTTER_TABLE_ROWS_MAX - (md5 != NULL)) {
        return OTTER_ERR_TABLE_FULL;
    }
    for (uint16_t i = 0; i < table->count; i++) {
        const struct otter_partition *p = &table->rows[i];

        otter_write_u16(&w, OTTER_TABLE_MAGIC_ROW);
        otter_write_u8(&w, p->type);
        otter_write_u8(&w, p->subtype);
        otter_write_u32(&w, p->offset);
        otter_write_u32(&w, p->size);
        otter_write_bytes(&w, p->label, OTTER_TABLE_LABEL_SIZE);
        otter_write_u32(&w, p->flags);
    }
    if (md5 != NULL) {
        otter_err err = md5(out, (size_t)table->count * OTTER_TABLE_ROW_SIZE, digest);

        if (err != OTTER_OK) {
            return err;
        }
        otter_write_u16(&w, OTTER_TABLE_MAGIC_MD5);
        otter_write_fill(&w, 0xFF, OTTER_TABLE_MD5_FILL);
        otter_write_bytes(&w, digest, sizeof digest);
    }
    otter_write_fill(&w, 0xFF, w.left);

    /* Read it back: what parse would refuse is refused here. */
    struct otter_partition rows[OTTER_TABLE_ROWS_MAX];
    struct otter_partition_table check = {.rows = rows, .capacity = OTTER_TABLE_ROWS_MAX};
    return otter_partition_parse(&check, out, OTTER_TABLE_SIZE, flash_size, md5);
}
