/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otadata: which slot boots. Two copies, one a flash sector, of 32 bytes each.
 * Source of the format: ESP-IDF, "OTA data partition", esp_flash_partitions.h, esp_ota_ops.c.
 *
 *   0         4               24          28      32
 *   +---------+---------------+-----------+-------+
 *   | ota_seq | seq_label[20] | ota_state | crc   |   crc covers ota_seq only
 *   +---------+---------------+-----------+-------+
 *
 * THE RULE: a copy counts when seq is not 0xFFFFFFFF, state is neither INVALID nor ABORTED, and
 * crc matches. Of two that count the larger seq wins, on a tie copy 0.
 * The slot is (seq - 1) mod the number of ota slots.
 *
 * These functions decide; they touch no flash. Whoever owns the flash carries the plan out.
 */
#ifndef OTTER_OTADATA_H
#define OTTER_OTADATA_H

#include <stdbool.h>
#include <stdint.h>

#include "otter/err.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OTTER_OTADATA_ENTRY_SIZE 32u
#define OTTER_OTADATA_COPY_STRIDE 0x1000u /* copy 1 begins this far after copy 0, bytes */
#define OTTER_OTADATA_SEQ_NONE 0xFFFFFFFFu

enum otter_otadata_state {
    OTTER_OTADATA_NEW = 0,
    OTTER_OTADATA_PENDING_VERIFY = 1,
    OTTER_OTADATA_VALID = 2,
    OTTER_OTADATA_INVALID = 3,
    OTTER_OTADATA_ABORTED = 4,
};
#define OTTER_OTADATA_UNDEFINED 0xFFFFFFFFu

struct otter_otadata_entry {
    uint32_t seq;
    uint32_t state; /* enum otter_otadata_state, OTTER_OTADATA_UNDEFINED, or garbage */
    uint32_t crc;
    uint8_t label[20];
};

struct otter_otadata {
    struct otter_otadata_entry copy[2];
};

/* What to write, and where: erase copy `copy`, then write `entry` there. */
struct otter_otadata_plan {
    int copy;
    struct otter_otadata_entry entry;
};

void otter_otadata_decode(struct otter_otadata_entry *entry,
                          const uint8_t raw[OTTER_OTADATA_ENTRY_SIZE]);
void otter_otadata_encode(const struct otter_otadata_entry *entry,
                          uint8_t raw[OTTER_OTADATA_ENTRY_SIZE]);

/* The crc that belongs to seq. */
uint32_t otter_otadata_crc(uint32_t seq);

/* Blank, INVALID or ABORTED: the crc is not looked at. */
bool otter_otadata_entry_dead(const struct otter_otadata_entry *entry);

/* Counts, by THE RULE. */
bool otter_otadata_entry_valid(const struct otter_otadata_entry *entry);

/* The copy that decides, 0 or 1, or -1 when none counts. */
int otter_otadata_active(const struct otter_otadata *data);

/* The slot a seq selects. slots is 1..16. */
uint8_t otter_otadata_slot(uint32_t seq, uint8_t slots);

/*
 * Plans the selection of ota slot `slot` of `slots`: into the copy that is not active, with the
 * smallest seq above the active one that maps to the slot; in place when the active copy selects
 * it already; copy 0 with seq = slot + 1 when no copy counts. state is NEW (rollback on) or
 * UNDEFINED (rollback off). Errors: OTTER_ERR_ARG; OTTER_ERR_SEQ_EXHAUSTED when no seq is left.
 */
OTTER_CHECKED otter_err otter_otadata_plan_select(const struct otter_otadata *data, uint8_t slot,
                                                  uint8_t slots, uint32_t state,
                                                  struct otter_otadata_plan *plan);

/* Plans the running image's verdict: the active copy with state VALID or INVALID, in place.
 * OTTER_ERR_NO_OTADATA when no copy counts. */
OTTER_CHECKED otter_err otter_otadata_plan_mark(const struct otter_otadata *data, bool valid,
                                                struct otter_otadata_plan *plan);

#ifdef __cplusplus
}
#endif
#endif
