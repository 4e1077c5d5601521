/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fsm.h"

otter_err otter_fsm_event(const struct otter_fsm *fsm, uint8_t *state, uint8_t event, void *machine,
                          void *arg)
{
    for (size_t i = 0; i < fsm->count; i++) {
        const struct otter_fsm_row *row = &fsm->rows[i];

        if (row->state != *state || row->event != event) {
            continue;
        }
        otter_err err = row->action != NULL ? row->action(machine, arg) : OTTER_OK;
        if (err != OTTER_ERR_AGAIN) {
            *state = err == OTTER_OK ? row->next : row->failed;
        }
        return err;
    }
    return fsm->no_row;
}
