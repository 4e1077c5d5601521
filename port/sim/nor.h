/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated NOR flash for tests and for the virtual device.
 *
 * Keeps the rules of the real thing: erase by unit, program clears bits in places that were
 * erased, both aligned. A breach is refused, counted, and is a test failure. It can also go wrong
 * the way the real thing does: power lost before or inside an operation, an operation that fails,
 * or one that reports success and does nothing.
 *
 * The caller owns all memory, so a flash is copied by copying its bytes: that is how the
 * power-loss tests try every tear of one operation without running up to it again.
 */
#ifndef OTTER_PORT_NOR_H
#define OTTER_PORT_NOR_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include "port/flash/flash.h"

enum otter_nor_kind { OTTER_NOR_PROGRAM, OTTER_NOR_ERASE };

/* One operation on its way to the flash. */
struct otter_nor_op {
    enum otter_nor_kind kind;
    uint32_t address;    /* bytes */
    uint32_t len;        /* bytes; the erase unit for an erase */
    const uint8_t *data; /* NULL for an erase */
};

/* How much of an operation lands before the power goes. */
enum otter_nor_tear_kind {
    OTTER_TEAR_BYTES,  /* the first `value` bytes; 0: nothing */
    OTTER_TEAR_WORDS,  /* of the first 32 words of 4 bytes, those whose bit is set in `value` */
    OTTER_TEAR_BIT,    /* bit number `value`, counted from bit 0 of the first byte, and no other */
    OTTER_TEAR_RANDOM, /* each bit with probability `share` / 256, by the seed `value` */
};

struct otter_nor_tear {
    enum otter_nor_tear_kind kind;
    uint32_t value;
    uint8_t share;
};

enum otter_nor_fault {
    OTTER_NOR_NO_FAULT,
    OTTER_NOR_FAIL_ONCE, /* returns an error and changes nothing */
    OTTER_NOR_FAIL_ON,   /* the same, from then on */
    OTTER_NOR_SILENT,    /* returns success and changes nothing, once */
    OTTER_NOR_SILENT_ON, /* the same, from then on */
    OTTER_NOR_CUT,       /* applies `tear`, then longjmp(*cut, 1) */
};

struct otter_nor {
    /* set by the caller */
    uint8_t *bytes;
    uint32_t size;       /* bytes */
    uint32_t erase_unit; /* bytes, a power of two */
    uint32_t write_unit; /* bytes, a power of two */
    uint32_t *wear;      /* erases of each unit, size / erase_unit of them; or NULL */

    /* Called before each operation takes place; may be NULL. */
    void (*before)(void *ctx, const struct otter_nor *nor, const struct otter_nor_op *op);
    void *before_ctx;

    enum otter_nor_fault fault;
    uint32_t fault_at; /* operation it happens at, counted from 0 */
    struct otter_nor_tear tear;
    jmp_buf *cut;

    /* counted here */
    uint32_t operations; /* programs and erases so far */
    uint32_t programmed; /* bytes */
    uint32_t erases;
    uint32_t syncs;
    uint32_t violations;   /* breaches of the rules */
    const char *violation; /* the first one, in words */
    bool silenced;         /* an operation was silently lost: later ones may land on old bits */
};

/* The flash as port/flash wants it. nor stays where it is. */
struct otter_flash otter_nor_flash(struct otter_nor *nor);

/* Lands a part of op on bytes, as a cut of power does. Also for copies of a flash. */
void otter_nor_tear(uint8_t *bytes, const struct otter_nor_op *op,
                    const struct otter_nor_tear *tear);
#endif
