/* SPDX-License-Identifier: Apache-2.0 */
/* Every way the power can go at one flash operation. */
#ifndef OTTER_TESTS_TEARS_H
#define OTTER_TESTS_TEARS_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/powerloss/world.h"

struct tears {
    const struct otter_nor_op *op;
    const uint8_t *bytes; /* the flash before it */
    bool entry;           /* touches an otadata entry */
    uint32_t random;      /* how many random ones to give at the end */
    uint32_t words;       /* mask of the entry's words that it changes */
    enum { BYTES, WORDS, BITS, RANDOM, DONE } stage;
    uint32_t next;
    uint32_t *seed; /* of the next random one */
};

/* Starts the list for an operation on its way to w's flash. Both stay as they are meanwhile. */
struct tears tears_of(const struct world *w, const struct otter_nor_op *op, uint32_t random,
                      uint32_t *seed);

/*
 * The next tear that leaves a flash of its own: before the operation, then after each byte of it;
 * where it touches an otadata entry, every subset of the entry's words and each bit alone; then
 * random subsets of bits. False when there are no more.
 */
bool next_tear(struct tears *t, struct otter_nor_tear *tear);
#endif
