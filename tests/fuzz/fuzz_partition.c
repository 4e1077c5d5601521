/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partition tables. Input: u32 flash size, then the table.
 *
 * Holds: an accepted table has its partitions inside the flash, aligned and apart; what is built
 * from it parses to the same table, and is the input byte for byte up to its end row, apart from
 * what follows a label's own end and, in a table without one, the MD5 row.
 */
#include "fuzz.h"

#include <string.h>

#include "base/cursor.h"
#include "otter/partition.h"

static void check_accepted(const struct otter_partition_table *table, uint32_t flash_size)
{
    FUZZ_HOLDS(table->count > 0 && table->count <= table->capacity);
    for (unsigned i = 0; i < table->count; i++) {
        const struct otter_partition *p = &table->rows[i];
        uint64_t end = (uint64_t)p->offset + p->size;

        FUZZ_HOLDS(p->size > 0 && end <= UINT32_MAX);
        FUZZ_HOLDS(flash_size == 0 || end <= flash_size);
        FUZZ_HOLDS(p->offset % (p->type == OTTER_PART_TYPE_APP ? 0x10000u : 0x1000u) == 0);
        FUZZ_HOLDS(strlen(p->label) < sizeof p->label);
        for (unsigned j = 0; j < i; j++) {
            const struct otter_partition *q = &table->rows[j];

            FUZZ_HOLDS(end <= q->offset || (uint64_t)q->offset + q->size <= p->offset);
        }
    }
    uint8_t slots = otter_partition_ota_slots(table);
    for (unsigned n = 0; n < OTTER_OTA_SLOTS_MAX; n++) {
        bool there = otter_partition_find(table, OTTER_PART_TYPE_APP,
                                          (uint8_t)(OTTER_PART_APP_OTA_0 + n)) != NULL;
        FUZZ_HOLDS(there == (n < slots));
    }
}

static void check_same(const struct otter_partition_table *a, const struct otter_partition_table *b)
{
    FUZZ_HOLDS(a->count == b->count);
    for (unsigned i = 0; i < a->count; i++) {
        const struct otter_partition *p = &a->rows[i];
        const struct otter_partition *q = &b->rows[i];

        FUZZ_HOLDS(p->offset == q->offset && p->size == q->size && p->flags == q->flags);
        FUZZ_HOLDS(p->type == q->type && p->subtype == q->subtype);
        FUZZ_HOLDS(strcmp(p->label, q->label) == 0);
    }
}

/* The rows of the input itself, bytes after a label's end set aside. */
static void check_bytes(const struct otter_partition_table *table, const uint8_t *data,
                        const uint8_t *built)
{
    for (unsigned i = 0; i < table->count; i++) {
        const uint8_t *in = data + (size_t)i * OTTER_TABLE_ROW_SIZE;
        const uint8_t *out = built + (size_t)i * OTTER_TABLE_ROW_SIZE;

        FUZZ_HOLDS(memcmp(in, out, 12) == 0 && memcmp(in + 28, out + 28, 4) == 0);
        FUZZ_HOLDS(strncmp((const char *)in + 12, (const char *)out + 12, 16) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct otter_partition rows[OTTER_TABLE_ROWS_MAX], rows_again[OTTER_TABLE_ROWS_MAX];
    struct otter_partition_table table = {.rows = rows, .capacity = OTTER_TABLE_ROWS_MAX};
    struct otter_partition_table again = {.rows = rows_again, .capacity = OTTER_TABLE_ROWS_MAX};
    uint8_t built[OTTER_TABLE_SIZE];
    struct otter_reader r = otter_reader_on(data, size);
    uint32_t flash_size = otter_read_u32(&r);

    if (otter_reader_ok(&r) != OTTER_OK ||
        otter_partition_parse(&table, r.next, r.left, flash_size, fuzz_md5) != OTTER_OK) {
        return 0;
    }
    check_accepted(&table, flash_size);
    otter_err err =
        otter_partition_build(&table, flash_size, table.has_md5 ? fuzz_md5 : NULL, built);
    FUZZ_HOLDS(err == OTTER_OK);
    check_bytes(&table, r.next, built);
    err = otter_partition_parse(&again, built, sizeof built, flash_size, fuzz_md5);
    FUZZ_HOLDS(err == OTTER_OK && again.has_md5 == table.has_md5);
    check_same(&table, &again);

    /* A capacity that is too small is refused, not overrun. */
    again.capacity = (uint16_t)(table.count - 1);
    err = otter_partition_parse(&again, built, sizeof built, flash_size, NULL);
    FUZZ_HOLDS(err == OTTER_ERR_TABLE_FULL);
    return 0;
}
