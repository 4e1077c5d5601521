/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sink that models a slot, for tests that look at a protocol alone: begin, erase just ahead,
 * write in steps, verify, select. Its image is the smallest thing that can be whole or not:
 *
 *   0      1        5                    length-4
 *   +------+--------+--------- - - ------+-------+
 *   | 0xE9 | length | anything           | crc32 |
 *   +------+--------+--------- - - ------+-------+
 */
#ifndef OTTER_TESTS_SLOT_H
#define OTTER_TESTS_SLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "otter/sink.h"
#include "port/sim/gatt_sim.h"

#define SLOT_SIZE (1024u * 1024u)

enum slot_boot { SLOT_BOOTS_OLD, SLOT_BOOTS_NEW };

struct slot {
    uint8_t *bytes;     /* SLOT_SIZE */
    uint32_t length;    /* announced */
    uint32_t written;   /* bytes */
    uint32_t erased;    /* bytes from the start */
    uint32_t step;      /* bytes a write takes at most; 0: 1024 */
    uint32_t image;     /* bytes of the image that was selected */
    unsigned finishing; /* steps that finish() still takes */
    bool open;
    enum slot_boot boots;

    /* counted */
    unsigned begins, refusals, aborts, writes, erases;

    /* to make it fail: the operation with this number, counted from 1, and all after it; 0: none */
    unsigned fail_write, fail_erase;
    bool fail_begin;

    /* to make it slow */
    struct otter_gatt_sim *sim; /* may be NULL */
    uint32_t erase_us, write_us;
};

void slot_init(struct slot *slot);
void slot_free(struct slot *slot);
struct otter_sink slot_sink(struct slot *slot);

/* A whole image of len bytes (9 at least), the same for the same seed; the caller frees it. */
uint8_t *slot_image(uint32_t len, uint32_t seed);

/* The selected image is exactly this one. */
bool slot_holds(const struct slot *slot, const uint8_t *image, uint32_t len);

#endif
