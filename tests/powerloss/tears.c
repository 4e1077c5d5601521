/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/powerloss/tears.h"

#define ENTRY_WORDS 8u

/* The bits of byte i that the operation changes. */
static uint8_t change(const struct tears *t, uint32_t i)
{
    const uint8_t old = t->bytes[t->op->address + i];
    const uint8_t done = t->op->kind == OTTER_NOR_ERASE ? 0xFF : (uint8_t)(old & t->op->data[i]);

    return old ^ done;
}

struct tears tears_of(const struct world *w, const struct otter_nor_op *op, uint32_t random,
                      uint32_t *seed)
{
    const uint32_t unit = w->geometry.erase_unit;
    struct tears t = {.op = op, .bytes = w->bytes, .random = random, .stage = BYTES, .seed = seed};

    t.entry = op->address < 2 * unit && op->address % unit < OTTER_OTADATA_ENTRY_SIZE;
    for (uint32_t i = 0; t.entry && i < op->len && i < 4 * ENTRY_WORDS; i++) {
        if (change(&t, i) != 0) {
            t.words |= 1u << (i / 4);
        }
    }
    return t;
}

bool next_tear(struct tears *t, struct otter_nor_tear *tear)
{
    static const uint8_t shares[] = {3, 24, 64, 128, 192, 232, 250};
    const uint32_t i = t->next++;

    switch (t->stage) {
    case BYTES:
        if (i < t->op->len) {
            if (i != 0 && change(t, i - 1) == 0) {
                return next_tear(t, tear);
            }
            *tear = (struct otter_nor_tear){OTTER_TEAR_BYTES, i, 0};
            return true;
        }
        break;
    case WORDS:
        if (t->entry && i < 1u << ENTRY_WORDS) {
            if (i == 0 || i == t->words || (i & ~t->words) != 0) {
                return next_tear(t, tear);
            }
            *tear = (struct otter_nor_tear){OTTER_TEAR_WORDS, i, 0};
            return true;
        }
        break;
    case BITS:
        if (t->entry && i < t->op->len * 8 && i < ENTRY_WORDS * 32) {
            if (((change(t, i / 8) >> (i % 8)) & 1) == 0) {
                return next_tear(t, tear);
            }
            *tear = (struct otter_nor_tear){OTTER_TEAR_BIT, i, 0};
            return true;
        }
        break;
    case RANDOM:
        if (i < t->random) {
            *tear = (struct otter_nor_tear){OTTER_TEAR_RANDOM, (*t->seed)++,
                                            shares[i % sizeof(shares)]};
            return true;
        }
        break;
    case DONE:
        return false;
    }
    t->stage++;
    t->next = 0;
    return next_tear(t, tear);
}
