/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "flash_view.h"
#include "otter/update.h"
#include "output.h"

enum { FAIL };

static const struct option_spec options[] = {
    [FAIL] = {"fail", 0, NULL, "its self-test says no: the next boot goes back"},
    {NULL, 0, NULL, NULL},
};

static int decide(struct call *call, struct flash_view *view)
{
    int on_trial, waiting;
    int code = flash_view_undecided(call, view, &on_trial, &waiting);
    if (code) {
        return code;
    }
    if (waiting != OTTER_SLOT_NONE) {
        return fail(call, EXIT_REFUSED,
                    "%s in %s was not booted yet: run \"otter flash boot\" first",
                    otter_slot_name(waiting), view->path);
    }
    if (on_trial == OTTER_SLOT_NONE) {
        return fail(call, EXIT_FAILED, "%s has no image on trial: there is nothing to confirm",
                    view->path);
    }
    struct otter_flash_slots slots = flash_view_slots(view, on_trial);
    struct otter_slots table = otter_flash_slots_table(&slots);
    bool keep = call->option[FAIL] == NULL;
    otter_err err = keep ? otter_boot_confirm(table) : otter_boot_roll_back(table);
    if (err) {
        return flash_view_failed(call, view, err);
    }
    if (call->json) {
        json_object_set_new(call->json, "slot", json_string(otter_slot_name(on_trial)));
        json_object_set_new(call->json, "verdict", json_string(keep ? "confirmed" : "rolled back"));
    } else if (keep) {
        printf("Confirmed: %s stays.\n", otter_slot_name(on_trial));
    } else {
        printf("Given up: the next boot goes back from %s.\n", otter_slot_name(on_trial));
    }
    return EXIT_OK;
}

static int run(struct call *call)
{
    static struct flash_view view;
    int code = flash_view_open(call, &view, call->args[0], true);
    if (code == EXIT_OK) {
        code = decide(call, &view);
        flash_view_close(&view);
    }
    return code;
}

const struct command command_flash_confirm = {
    .name = "flash confirm",
    .args = "FILE",
    .brief = "keep the image that is on trial, or give it up",
    .about = "Says for the image that the last \"otter flash boot\" started what its application\n"
             "would say: that it runs well, so that it stays.\n",
    .schema = "otter.flash/1",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .run = run,
};
