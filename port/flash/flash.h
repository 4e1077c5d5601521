/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A raw flash chip, as a table of functions: what port/linux provides over a file and port/sim
 * over simulated NOR, and what everything else in port/ is built on. Addresses and lengths in
 * bytes, from the chip's start.
 */
#ifndef OTTER_PORT_FLASH_H
#define OTTER_PORT_FLASH_H

#include <stdint.h>

#include "otter/err.h"

struct otter_flash_ops {
    otter_err (*read)(void *ctx, uint32_t address, uint8_t *buf, uint32_t len);
    /* Clears bits and may not set any: the place must have been erased, or, where write_unit is at
     * most 4, hold every bit that data has. (Larger units have ECC or encryption, which take one
     * program between erases.) Aligned to write_unit and a multiple of it. */
    otter_err (*program)(void *ctx, uint32_t address, const uint8_t *data, uint32_t len);
    /* Sets one erase unit to 0xFF. */
    otter_err (*erase)(void *ctx, uint32_t address);
    /* Everything done so far is durable when this returns. May be NULL. */
    otter_err (*sync)(void *ctx);
};

struct otter_flash {
    const struct otter_flash_ops *ops;
    void *ctx;
    uint32_t size;       /* bytes */
    uint32_t erase_unit; /* bytes, a power of two; 4096 on real chips */
    uint32_t write_unit; /* bytes, a power of two; 1..OTTER_WRITE_UNIT_MAX */
};

#endif
