/* SPDX-License-Identifier: Apache-2.0 */
/* The running image's fate: confirm it, or go back to the previous one. */
#include "otter/update.h"

otter_err otter_boot_state(struct otter_slots slots, enum otter_boot_state *state)
{
    return slots.ops->state(slots.ctx, state);
}

static otter_err mark(struct otter_slots slots, bool valid)
{
    enum otter_boot_state state;
    otter_err err = otter_boot_state(slots, &state);

    if (err == OTTER_OK && state != OTTER_BOOT_PENDING) {
        err = OTTER_ERR_NOT_PENDING;
    }
    return err == OTTER_OK ? slots.ops->mark(slots.ctx, valid) : err;
}

otter_err otter_boot_confirm(struct otter_slots slots)
{
    return mark(slots, true);
}

otter_err otter_boot_roll_back(struct otter_slots slots)
{
    return mark(slots, false);
}

otter_err otter_boot_verdict(struct otter_slots slots, bool pass, bool *restart)
{
    otter_err err = mark(slots, pass);

    *restart = err == OTTER_OK && !pass;
    return err == OTTER_ERR_NOT_PENDING ? OTTER_OK : err;
}
