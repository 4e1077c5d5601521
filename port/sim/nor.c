/* SPDX-License-Identifier: Apache-2.0 */
#include "port/sim/nor.h"

#include <stddef.h>
#include <string.h>

/* xorshift32: small, and the same everywhere, so a seed repeats a tear. */
static uint32_t next_random(uint32_t *state)
{
    uint32_t x = *state;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    *state = x;
    return x;
}

/* A byte whose bits are set with probability share / 256. */
static uint8_t random_mask(uint32_t *state, uint8_t share)
{
    uint8_t mask = 0;

    for (int bit = 0; bit < 8; bit += 4) {
        const uint32_t r = next_random(state);
        for (int i = 0; i < 4; i++) {
            if (((r >> (8 * i)) & 0xFFu) < share) {
                mask = (uint8_t)(mask | (1u << (bit + i)));
            }
        }
    }
    return mask;
}

/* Changes the bits of one byte that are in mask as the operation would. */
static void land(uint8_t *at, const struct otter_nor_op *op, uint32_t i, uint8_t mask)
{
    if (op->kind == OTTER_NOR_ERASE) {
        at[i] = (uint8_t)(at[i] | mask);
    } else {
        at[i] = (uint8_t)(at[i] & (op->data[i] | ~mask));
    }
}

void otter_nor_tear(uint8_t *bytes, const struct otter_nor_op *op,
                    const struct otter_nor_tear *tear)
{
    uint8_t *at = bytes + op->address;
    uint32_t n = op->len;
    uint32_t state = tear->value * 2654435761u + 0x9E3779B9u;

    switch (tear->kind) {
    case OTTER_TEAR_BYTES:
        n = tear->value < n ? tear->value : n;
        for (uint32_t i = 0; i < n; i++) {
            land(at, op, i, 0xFF);
        }
        return;
    case OTTER_TEAR_WORDS:
        for (uint32_t i = 0; i < n && i < 128; i++) {
            if ((tear->value >> (i / 4)) & 1u) {
                land(at, op, i, 0xFF);
            }
        }
        return;
    case OTTER_TEAR_BIT:
        if (tear->value / 8 < n) {
            land(at, op, tear->value / 8, (uint8_t)(1u << (tear->value % 8)));
        }
        return;
    case OTTER_TEAR_RANDOM:
        state = state != 0 ? state : 1;
        for (uint32_t i = 0; i < n; i++) {
            land(at, op, i, random_mask(&state, tear->share));
        }
        return;
    }
}

static otter_err breach(struct otter_nor *nor, const char *what, otter_err err)
{
    if (nor->violations++ == 0) {
        nor->violation = what;
    }
    return err;
}

/* What goes wrong with operation number `index`, if anything. */
static enum otter_nor_fault fault_now(const struct otter_nor *nor, uint32_t index)
{
    const bool on = nor->fault == OTTER_NOR_FAIL_ON || nor->fault == OTTER_NOR_SILENT_ON;

    if (index == nor->fault_at || (on && index > nor->fault_at)) {
        return nor->fault;
    }
    return OTTER_NOR_NO_FAULT;
}

static void complete(uint8_t *restrict at, const struct otter_nor_op *op)
{
    const uint8_t *restrict data = op->data;

    if (op->kind == OTTER_NOR_ERASE) {
        memset(at, 0xFF, op->len);
    } else {
        for (uint32_t i = 0; i < op->len; i++) {
            at[i] &= data[i];
        }
    }
}

/* Everything but the rules: counts, lets the harness see the operation, and does it. */
static otter_err operate(struct otter_nor *nor, const struct otter_nor_op *op, otter_err failed)
{
    if (nor->before != NULL) {
        nor->before(nor->before_ctx, nor, op);
    }
    switch (fault_now(nor, nor->operations++)) {
    case OTTER_NOR_FAIL_ONCE:
    case OTTER_NOR_FAIL_ON:
        return failed;
    case OTTER_NOR_SILENT:
    case OTTER_NOR_SILENT_ON:
        nor->silenced = true;
        return OTTER_OK;
    case OTTER_NOR_CUT:
        otter_nor_tear(nor->bytes, op, &nor->tear);
        longjmp(*nor->cut, 1);
    case OTTER_NOR_NO_FAULT:
        break;
    }
    complete(nor->bytes + op->address, op);
    return OTTER_OK;
}

static otter_err nor_read(void *ctx, uint32_t address, uint8_t *buf, uint32_t len)
{
    struct otter_nor *nor = ctx;

    if (len > nor->size || address > nor->size - len) {
        return breach(nor, "read outside the flash", OTTER_ERR_FLASH_READ);
    }
    memcpy(buf, nor->bytes + address, len);
    return OTTER_OK;
}

static otter_err nor_program(void *ctx, uint32_t address, const uint8_t *data, uint32_t len)
{
    struct otter_nor *nor = ctx;

    if (len == 0 || len > nor->size || address > nor->size - len) {
        return breach(nor, "program outside the flash", OTTER_ERR_FLASH_WRITE);
    }
    if ((address | len) & (nor->write_unit - 1u)) {
        return breach(nor, "program not aligned to the write unit", OTTER_ERR_FLASH_WRITE);
    }
    /* After a lost erase this is the fault's doing, not a breach by the code under test. */
    for (uint32_t i = 0; i < len && !nor->silenced; i++) {
        if (nor->bytes[address + i] != 0xFF &&
            (nor->write_unit > 4 || (nor->bytes[address + i] & data[i]) != data[i])) {
            return breach(nor, "program of a place that is not erased", OTTER_ERR_FLASH_WRITE);
        }
    }

    const struct otter_nor_op op = {OTTER_NOR_PROGRAM, address, len, data};
    const otter_err err = operate(nor, &op, OTTER_ERR_FLASH_WRITE);
    if (err == OTTER_OK) {
        nor->programmed += len;
    }
    return err;
}

static otter_err nor_erase(void *ctx, uint32_t address)
{
    struct otter_nor *nor = ctx;

    if (address >= nor->size) {
        return breach(nor, "erase outside the flash", OTTER_ERR_FLASH_ERASE);
    }
    if (address & (nor->erase_unit - 1u)) {
        return breach(nor, "erase not aligned to the erase unit", OTTER_ERR_FLASH_ERASE);
    }

    const struct otter_nor_op op = {OTTER_NOR_ERASE, address, nor->erase_unit, NULL};
    const otter_err err = operate(nor, &op, OTTER_ERR_FLASH_ERASE);
    if (err == OTTER_OK) {
        nor->erases++;
        if (nor->wear != NULL) {
            nor->wear[address / nor->erase_unit]++;
        }
    }
    return err;
}

static otter_err nor_sync(void *ctx)
{
    struct otter_nor *nor = ctx;

    nor->syncs++;
    return OTTER_OK;
}

struct otter_flash otter_nor_flash(struct otter_nor *nor)
{
    static const struct otter_flash_ops ops = {
        .read = nor_read, .program = nor_program, .erase = nor_erase, .sync = nor_sync};

    return (struct otter_flash){.ops = &ops,
                                .ctx = nor,
                                .size = nor->size,
                                .erase_unit = nor->erase_unit,
                                .write_unit = nor->write_unit};
}
