/* SPDX-License-Identifier: Apache-2.0 */
/* Slot functions over plain memory with the rules of NOR flash, that fail where a test says. For
 * tests of the session alone; power cuts are tests/powerloss's business. */
#ifndef OTTER_TESTS_RAM_SLOTS_H
#define OTTER_TESTS_RAM_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "otter/slots.h"

#define RAM_SLOT_SIZE 0x8000u

struct ram_slots {
    struct otter_slot_info info;
    uint8_t mem[RAM_SLOT_SIZE];
    enum otter_boot_state boot;
    otter_err verify_result;
    otter_err select_result;
    otter_err mark_result;
    /* The n-th erase, write or read from now fails; 0: none. */
    unsigned fail_erase;
    unsigned fail_write;
    unsigned fail_read;
    bool silent_writes; /* say OTTER_OK and do nothing */
    bool silent_erases;
    /* What happened. */
    unsigned opens, closes, erases, writes, reads, selects;
    unsigned most_erases_a_step; /* since the test last set steps_erases to 0 */
    unsigned step_erases;
    bool broke_rules; /* NOR or alignment */
    bool selected, marked, marked_valid;
    uint8_t selected_digest[OTTER_SHA256_SIZE];
};

/* 4 KB erase units, 4-byte writes, RAM_SLOT_SIZE bytes, filled with old firmware (not blank). */
void ram_slots_init(struct ram_slots *slots);
struct otter_slots ram_slots_table(struct ram_slots *slots);

#endif
