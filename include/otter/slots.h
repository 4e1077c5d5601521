/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a port provides: the slot that an update is written to, and the boot state.
 *
 * A table of functions on a context. port/esp_idf implements it on esp_ota_*, port/flash on any
 * flash that can be read, programmed and erased (a file, or the simulated NOR of the tests).
 */
#ifndef OTTER_SLOTS_H
#define OTTER_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "otter/err.h"
#include "otter/hash.h"

#define OTTER_WRITE_UNIT_MAX 64u

struct otter_slot_info {
    uint32_t size;       /* bytes; a multiple of erase_unit */
    uint32_t erase_unit; /* bytes; a power of two */
    uint32_t write_unit; /* bytes; a power of two, at most OTTER_WRITE_UNIT_MAX: writes are
                            aligned to it and a multiple of it */
};

enum otter_boot_state {
    OTTER_BOOT_CONFIRMED, /* nothing to decide: valid, factory, or rollback is off */
    OTTER_BOOT_PENDING,   /* first boot of a new image: confirm it or roll back */
};

struct otter_slot_ops {
    /*
     * Chooses the slot to update (never the running one), fills info and prepares otadata.
     * Refuses with OTTER_ERR_PENDING while the running image is unconfirmed, OTTER_ERR_TOO_LARGE
     * for a length above the slot, OTTER_ERR_NO_SLOT; before a refusal nothing is changed.
     * Does not erase the slot.
     */
    otter_err (*open)(void *ctx, uint32_t length, struct otter_slot_info *info);

    /* Erases the unit that begins at offset of the opened slot. */
    otter_err (*erase)(void *ctx, uint32_t offset);
    otter_err (*write)(void *ctx, uint32_t offset, const uint8_t *data, uint32_t len);
    otter_err (*read)(void *ctx, uint32_t offset, uint8_t *buf, uint32_t len);

    /* A check of its own of what was written (a signature, Secure Boot), after the image of size
     * bytes was read back whole; or NULL. OTTER_ERR_AGAIN: a step was done, call again. */
    otter_err (*verify)(void *ctx, uint32_t size);

    /* Reads the slot once more, whole: its image must verify and have this digest (else
     * OTTER_ERR_FLASH_DIFFERS or an image error). Then makes it the one that boots next. */
    otter_err (*select)(void *ctx, const uint8_t digest[OTTER_SHA256_SIZE]);

    /* The update is over, well or not. Called once for each successful open. May be NULL. */
    void (*close)(void *ctx);

    otter_err (*state)(void *ctx, enum otter_boot_state *state);

    /* Confirms the running image (true), or gives it up so that the previous one boots next
     * (false; OTTER_ERR_NO_FALLBACK when there is none, and then nothing is changed). */
    otter_err (*mark)(void *ctx, bool valid);
};

struct otter_slots {
    const struct otter_slot_ops *ops;
    void *ctx;
};

#endif
