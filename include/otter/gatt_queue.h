/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes on their way from a Bluetooth stack's callback to the thread that runs the services, so
 * that no flash work is done in the callback.
 *
 *   stack's thread                                worker
 *   _reserve, _commit, _gone --- bounded ring --> _run: write, disconnected, poll of the services
 *   _read <-------------------- last values ----/
 *
 * One thread on each side. lock and unlock keep the two apart, for a few instructions each time and
 * never during a call into a service.
 */
#ifndef OTTER_GATT_QUEUE_H
#define OTTER_GATT_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "otter/err.h"
#include "otter/gatt.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OTTER_GATT_QUEUE_MOUNTS 4u
#define OTTER_GATT_QUEUE_CHARS 4u  /* readable characteristics of a service have an id below */
#define OTTER_GATT_QUEUE_VALUE 4u  /* bytes of a value that can be read */
#define OTTER_GATT_QUEUE_MIN 1280u /* bytes of the ring: two long writes and what else there is */
#define OTTER_GATT_QUEUE_CONNECTIONS 16u

struct otter_gatt_queue_config {
    const struct otter_gatt_mount *mounts; /* the caller's; outlives the queue */
    uint8_t count;
    uint8_t *buf;    /* the ring, the caller's; aligned to 4 */
    size_t buf_size; /* bytes, a multiple of 4; OTTER_GATT_QUEUE_MIN at least */
    void (*lock)(void *ctx);
    void (*unlock)(void *ctx);
    void *ctx;
};

struct otter_gatt_queue {
    struct otter_gatt_queue_config config;
    uint32_t head;    /* where the oldest record is */
    uint32_t fill;    /* bytes taken */
    uint32_t pending; /* where the reserved record is */
    struct {
        uint8_t len;
        uint8_t bytes[OTTER_GATT_QUEUE_VALUE];
    } value[OTTER_GATT_QUEUE_MOUNTS][OTTER_GATT_QUEUE_CHARS];
};

/* config is copied. OTTER_ERR_ARG: something is missing, too small or not aligned. */
OTTER_CHECKED otter_err otter_gatt_queue_init(struct otter_gatt_queue *q,
                                              const struct otter_gatt_queue_config *config);

/* ---- the stack's thread ---- */

/* Room for a value of len bytes, to be filled and committed. NULL: none now; the worker makes
 * some. Longer than OTTER_GATT_WRITE_MAX: never. */
uint8_t *otter_gatt_queue_reserve(struct otter_gatt_queue *q, size_t len);
void otter_gatt_queue_commit(struct otter_gatt_queue *q, uint16_t conn, uint8_t mount, uint8_t id,
                             size_t len);

/* A link is gone. There is always room for this, for OTTER_GATT_QUEUE_CONNECTIONS of them. */
void otter_gatt_queue_gone(struct otter_gatt_queue *q, uint16_t conn);

/* The value that a service had after its last step. Returns its length, at most cap. */
size_t otter_gatt_queue_read(struct otter_gatt_queue *q, uint8_t mount, uint8_t id, uint8_t *out,
                             size_t cap);

/* ---- the worker ---- */

/* Hands the oldest record to its service and does the next step of each. Returns in how many ms to
 * call again: 0 at once, OTTER_GATT_NEVER after the next event. *taken: there is room again. */
uint32_t otter_gatt_queue_run(struct otter_gatt_queue *q, uint32_t now_ms, bool *taken);

#ifdef __cplusplus
}
#endif
#endif
