/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State machines as tables. A row says: in this state, on this event, do this, then go there.
 * Only otter_fsm_event() writes a machine's state. A pair without a row is an error, and changes
 * nothing.
 */
#ifndef OTTER_BASE_FSM_H
#define OTTER_BASE_FSM_H

#include <stddef.h>
#include <stdint.h>

#include "otter/err.h"

/* What happens on an event. arg is the event's own data. */
typedef otter_err (*otter_fsm_action)(void *machine, void *arg);

struct otter_fsm_row {
    uint8_t state;
    uint8_t event;
    uint8_t next;            /* after OTTER_OK */
    uint8_t failed;          /* after an error; OTTER_ERR_AGAIN stays where it is */
    otter_fsm_action action; /* NULL: nothing to do, OTTER_OK */
};

struct otter_fsm {
    const struct otter_fsm_row *rows;
    size_t count;
    otter_err no_row; /* what a pair without a row returns */
};

/* Runs the row for (*state, event) and moves *state. Returns what the action returned. */
OTTER_CHECKED otter_err otter_fsm_event(const struct otter_fsm *fsm, uint8_t *state, uint8_t event,
                                        void *machine, void *arg);

#endif
