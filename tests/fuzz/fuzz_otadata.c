/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otadata decisions. Input: slot, slots, u8 with bit 0 and 1: make the crc of copy 0, 1 right,
 * bit 2: the state to select with, then both copies, 64 bytes.
 *
 * Holds: encode gives back what decode took; the rule agrees with its sentence in
 * include/otter/otadata.h; a plan selects what was asked, never wraps, never takes a larger seq
 * than it needs, and touches one copy, such that the slot is still selected by the other one, or by
 * none, while the planned copy is erased.
 */
#include "fuzz.h"

#include <string.h>

#include "base/cursor.h"
#include "otter/otadata.h"
#include "otter/partition.h"

/* The rule, written again from its sentence. */
static int naive_active(const struct otter_otadata *data)
{
    int best = -1;

    for (int i = 0; i < 2; i++) {
        const struct otter_otadata_entry *e = &data->copy[i];
        bool counts = e->seq != 0xFFFFFFFFu && e->state != 3 && e->state != 4 &&
                      e->crc == otter_otadata_crc(e->seq);

        FUZZ_HOLDS(otter_otadata_entry_valid(e) == counts);
        FUZZ_HOLDS(!(otter_otadata_entry_dead(e) && counts));
        if (counts && (best < 0 || e->seq > data->copy[best].seq)) {
            best = i;
        }
    }
    return best;
}

static void check_select(const struct otter_otadata *data, uint8_t slot, uint8_t slots,
                         uint32_t state)
{
    struct otter_otadata_plan plan;
    int active = naive_active(data);
    otter_err err = otter_otadata_plan_select(data, slot, slots, state, &plan);

    if (err == OTTER_ERR_ARG) {
        FUZZ_HOLDS(slots == 0 || slots > OTTER_OTA_SLOTS_MAX || slot >= slots);
        return;
    }
    if (err == OTTER_ERR_SEQ_EXHAUSTED) {
        FUZZ_HOLDS(active >= 0 && data->copy[active].seq > UINT32_MAX - slots);
        return;
    }
    FUZZ_HOLDS(err == OTTER_OK && slot < slots);
    FUZZ_HOLDS(plan.copy == 0 || plan.copy == 1);
    FUZZ_HOLDS(plan.entry.seq != OTTER_OTADATA_SEQ_NONE);
    FUZZ_HOLDS(plan.entry.state == state && plan.entry.crc == otter_otadata_crc(plan.entry.seq));
    FUZZ_HOLDS(otter_otadata_slot(plan.entry.seq, slots) == slot);

    struct otter_otadata after = *data;
    after.copy[plan.copy] = plan.entry;
    FUZZ_HOLDS(otter_otadata_active(&after) == plan.copy);
    if (active < 0) {
        FUZZ_HOLDS(plan.copy == 0 && plan.entry.seq == slot + 1u);
        return;
    }
    uint32_t current = data->copy[active].seq;
    /* From seq 0, which maps as if it were 2^32, the next of a slot can be a whole round away. */
    FUZZ_HOLDS(plan.entry.seq >= current &&
               plan.entry.seq - current < slots + (current == 0 ? 1u : 0u));
    FUZZ_HOLDS((plan.copy == active) == (plan.entry.seq == current));
    if (plan.copy != active) { /* erased, not yet written: what booted still boots */
        memset(&after.copy[plan.copy], 0xFF, sizeof after.copy[0]);
        FUZZ_HOLDS(otter_otadata_active(&after) == active);
    }
}

static void check_mark(const struct otter_otadata *data, bool valid)
{
    struct otter_otadata_plan plan;
    int active = naive_active(data);
    otter_err err = otter_otadata_plan_mark(data, valid, &plan);

    if (active < 0) {
        FUZZ_HOLDS(err == OTTER_ERR_NO_OTADATA);
        return;
    }
    FUZZ_HOLDS(err == OTTER_OK && plan.copy == active);
    FUZZ_HOLDS(plan.entry.seq == data->copy[active].seq);
    FUZZ_HOLDS(plan.entry.state == (valid ? OTTER_OTADATA_VALID : OTTER_OTADATA_INVALID));

    struct otter_otadata after = *data;
    after.copy[active] = plan.entry;
    FUZZ_HOLDS((otter_otadata_active(&after) == active) == valid);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct otter_reader r = otter_reader_on(data, size);
    uint8_t slot = otter_read_u8(&r);
    uint8_t slots = otter_read_u8(&r);
    uint8_t mend = otter_read_u8(&r);
    struct otter_otadata both;

    for (unsigned i = 0; i < 2; i++) {
        const uint8_t *raw = otter_read_view(&r, OTTER_OTADATA_ENTRY_SIZE);
        uint8_t again[OTTER_OTADATA_ENTRY_SIZE];

        if (raw == NULL) {
            return 0;
        }
        otter_otadata_decode(&both.copy[i], raw);
        otter_otadata_encode(&both.copy[i], again);
        FUZZ_HOLDS(memcmp(raw, again, sizeof again) == 0);
        if (mend >> i & 1) {
            both.copy[i].crc = otter_otadata_crc(both.copy[i].seq);
        }
    }
    FUZZ_HOLDS(otter_otadata_active(&both) == naive_active(&both));
    check_select(&both, slot, slots, mend & 4 ? OTTER_OTADATA_UNDEFINED : OTTER_OTADATA_NEW);
    check_mark(&both, true);
    check_mark(&both, false);
    return 0;
}
