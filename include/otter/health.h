/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Health-gated confirmation: a new image stays pending until it has shown that it works, and that
 * the next update can reach it. When the deadline passes first, it is rolled back.
 *
 *   application's own check --- pass ---+
 *                                       +--> confirmed
 *   a way to the next update reached ---+
 *
 *   check fails, or the deadline passes --> rolled back: restart
 *
 * Nothing happens when the running image is not pending.
 */
#ifndef OTTER_HEALTH_H
#define OTTER_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "otter/err.h"
#include "otter/slots.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OTTER_HEALTH_NEVER UINT32_MAX

struct otter_health_config {
    struct otter_slots slots;
    bool need_check;      /* wait for otter_health_check() */
    bool need_path;       /* wait for otter_health_path() */
    uint32_t deadline_ms; /* from _start(); 0: no deadline */
};

enum otter_health_state {
    OTTER_HEALTH_IDLE,      /* not started, or the running image is not pending */
    OTTER_HEALTH_WAITING,   /* pending: for what is needed, or for the deadline */
    OTTER_HEALTH_CONFIRMED, /* it was pending and is confirmed */
    OTTER_HEALTH_REFUSED,   /* rolled back: restart */
    OTTER_HEALTH_STUCK,     /* to be rolled back, and there is nothing to go back to: it stays
                               pending, and the next reset decides */
};

struct otter_health {
    struct otter_health_config config;
    uint32_t start_ms;
    uint8_t state; /* enum otter_health_state */
    bool checked;  /* the application's check passed */
    bool reached;  /* a way to the next update works */
    otter_err err; /* of the last attempt to confirm or roll back */
};

/* config is copied. OTTER_ERR_ARG: no slots. */
OTTER_CHECKED otter_err otter_health_init(struct otter_health *h,
                                          const struct otter_health_config *config);

/*
 * At the application's start. Looks whether the running image is pending; with nothing to wait for
 * it is confirmed at once. Returns what reading or writing the boot state returned.
 *
 * All of the following return the new state, and do nothing unless the state is
 * OTTER_HEALTH_WAITING. On OTTER_HEALTH_REFUSED restart.
 */
OTTER_CHECKED otter_err otter_health_start(struct otter_health *h, uint32_t now_ms);

/* The application's own verdict. */
enum otter_health_state otter_health_check(struct otter_health *h, bool pass);

/* The update server answered, or a central connected: another update could come. */
enum otter_health_state otter_health_path(struct otter_health *h);

/* The deadline. *wait_ms: when to call again, OTTER_HEALTH_NEVER: no need. A confirmation that the
 * flash refused is tried again here, every second until the deadline. */
enum otter_health_state otter_health_poll(struct otter_health *h, uint32_t now_ms,
                                          uint32_t *wait_ms);

#ifdef __cplusplus
}
#endif
#endif
