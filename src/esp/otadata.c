/* SPDX-License-Identifier: Apache-2.0 */
/* THE RULE is stated in include/otter/otadata.h. */
#include "otter/otadata.h"

#include <string.h>

#include "base/crc.h"
#include "base/cursor.h"

void otter_otadata_decode(struct otter_otadata_entry *entry,
                          const uint8_t raw[OTTER_OTADATA_ENTRY_SIZE])
{
    struct otter_reader r = otter_reader_on(raw, OTTER_OTADATA_ENTRY_SIZE);

    entry->seq = otter_read_u32(&r);
    otter_read_bytes(&r, entry->label, sizeof entry->label);
    entry->state = otter_read_u32(&r);
    entry->crc = otter_read_u32(&r);
}

void otter_otadata_encode(const struct otter_otadata_entry *entry,
                          uint8_t raw[OTTER_OTADATA_ENTRY_SIZE])
{
    struct otter_writer w = otter_writer_on(raw, OTTER_OTADATA_ENTRY_SIZE);

    otter_write_u32(&w, entry->seq);
    otter_write_bytes(&w, entry->label, sizeof entry->label);
    otter_write_u32(&w, entry->state);
    otter_write_u32(&w, entry->crc);
}

/* zlib's crc32 continued from 0xFFFFFFFF. */
uint32_t otter_otadata_crc(uint32_t seq)
{
    uint8_t raw[4];
    struct otter_writer w = otter_writer_on(raw, sizeof raw);

    otter_write_u32(&w, seq);
    return otter_crc32(0xFFFFFFFFu, raw, sizeof raw);
}

bool otter_otadata_entry_dead(const struct otter_otadata_entry *entry)
{
    return entry->seq == OTTER_OTADATA_SEQ_NONE || entry->state == OTTER_OTADATA_INVALID ||
           entry->state == OTTER_OTADATA_ABORTED;
}

bool otter_otadata_entry_valid(const struct otter_otadata_entry *entry)
{
    return !otter_otadata_entry_dead(entry) && entry->crc == otter_otadata_crc(entry->seq);
}

int otter_otadata_active(const struct otter_otadata *data)
{
    bool first = otter_otadata_entry_valid(&data->copy[0]);
    bool second = otter_otadata_entry_valid(&data->copy[1]);

    if (first && second) {
        return data->copy[1].seq > data->copy[0].seq ? 1 : 0;
    }
    return first ? 0 : second ? 1 : -1;
}

uint8_t otter_otadata_slot(uint32_t seq, uint8_t slots)
{
    return (uint8_t)((seq - 1) % slots);
}

otter_err otter_otadata_plan_select(const struct otter_otadata *data, uint8_t slot, uint8_t slots,
                                    uint32_t state, struct otter_otadata_plan *plan)
{
    int active = otter_otadata_active(data);
    uint32_t seq = slot + 1u;

    if (slot >= slots || slots > 16) {
        return OTTER_ERR_ARG;
    }
    plan->copy = 0;
    if (active >= 0) {
        uint32_t current = data->copy[active].seq;
        /* How far the slot lies ahead of the current one: 0 when it is selected already. */
        uint8_t ahead = (uint8_t)((slot + slots - otter_otadata_slot(current, slots)) % slots);

        if (ahead >= OTTER_OTADATA_SEQ_NONE - current) {
            return OTTER_ERR_SEQ_EXHAUSTED;
        }
        plan->copy = ahead == 0 ? active : !active;
        /* seq 0, which nobody writes, maps as if it were 2^32: counting on from it goes astray. */
        if (current != 0 || ahead == 0) {
            seq = current + ahead;
        }
    }
    plan->entry.seq = seq;
    plan->entry.state = state;
    plan->entry.crc = otter_otadata_crc(seq);
    memset(plan->entry.label, 0xFF, sizeof plan->entry.label);
    return OTTER_OK;
}

otter_err otter_otadata_plan_mark(const struct otter_otadata *data, bool valid,
                                  struct otter_otadata_plan *plan)
{
    int active = otter_otadata_active(data);

    if (active < 0) {
        return OTTER_ERR_NO_OTADATA;
    }
    plan->copy = active;
    plan->entry = data->copy[active];
    plan->entry.state = valid ? OTTER_OTADATA_VALID : OTTER_OTADATA_INVALID;
    return OTTER_OK;
}
