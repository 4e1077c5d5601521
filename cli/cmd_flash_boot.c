/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "flash_view.h"
#include "image_report.h"
#include "otter/update.h"
#include "output.h"

enum { CONFIRM, FAIL, NO_ROLLBACK };

static const struct option_spec options[] = {
    [CONFIRM] = {"confirm", 0, NULL, "the image runs well: mark it valid after the boot"},
    [FAIL] = {"fail", 0, NULL, "its self-test says no: roll back and boot again"},
    [NO_ROLLBACK] = {"no-rollback", 0, NULL, "the board's bootloader has no rollback"},
    {NULL, 0, NULL, NULL},
};

static int boot_once(struct call *call, struct flash_view *view, struct otter_boot_report *report)
{
    int code = flash_view_boot(call, view, false, report);
    if (code) {
        return code;
    }
    if (call->json) {
        json_t *list = json_object_get(call->json, "boots");
        json_array_append_new(list, boot_json(report));
        json_object_set_new(call->json, "boot", boot_json(report));
    } else {
        bool none = report->booted == OTTER_SLOT_NONE;
        print_styled(stdout, none ? STYLE_BAD : STYLE_GOOD, "Boots %s\n", boots_text(report));
        boot_print(report);
    }
    if (report->booted == OTTER_SLOT_NONE) {
        return fail(call, EXIT_INVALID, "nothing boots in %s: no slot holds a valid image",
                    view->path);
    }
    return EXIT_OK;
}

static void say_verdict(struct call *call, const char *verdict, const char *sentence)
{
    if (call->json) {
        json_object_set_new(call->json, "verdict", json_string(verdict));
    } else if (sentence) {
        printf("%s\n", sentence);
    }
}

static int give_verdict(struct call *call, struct flash_view *view,
                        struct otter_boot_report *report, bool pass)
{
    struct otter_flash_slots slots = flash_view_slots(view, report->booted);
    bool restart = false;
    otter_err err = otter_boot_verdict(otter_flash_slots_table(&slots), pass, &restart);
    if (err) {
        return flash_view_failed(call, view, err);
    }
    if (pass) {
        say_verdict(call, "confirmed", "Confirmed: the image stays.");
        return EXIT_OK;
    }
    if (!restart) {
        say_verdict(call, "none", "Nothing was on trial: a failed self-test changes nothing.");
        return EXIT_OK;
    }
    say_verdict(call, "rolled back", "The self-test failed: rolled back, restarting.");
    return boot_once(call, view, report);
}

static int boot(struct call *call, struct flash_view *view)
{
    struct otter_boot_report report;
    int code = boot_once(call, view, &report);
    if (code) {
        return code;
    }
    int on_trial, waiting;
    code = flash_view_undecided(call, view, &on_trial, &waiting);
    if (code) {
        return code;
    }
    bool trial = on_trial == report.booted;
    if (call->option[FAIL]) {
        return give_verdict(call, view, &report, false);
    }
    if (call->option[CONFIRM] && trial) {
        return give_verdict(call, view, &report, true);
    }
    if (trial) {
        say_verdict(call, "none",
                    "On trial: keep it with \"otter flash confirm\"; the next boot without that "
                    "goes back.");
    } else if (call->option[CONFIRM]) {
        say_verdict(call, "none", "Nothing to confirm: the image is not on trial.");
    } else {
        say_verdict(call, "none", NULL);
    }
    return EXIT_OK;
}

static int run(struct call *call)
{
    static struct flash_view view;
    if (call->option[CONFIRM] && call->option[FAIL]) {
        return fail(call, EXIT_USAGE, "--confirm and --fail are opposites: use one");
    }
    if (call->json) {
        json_object_set_new(call->json, "boots", json_array());
    }
    int code = flash_view_open(call, &view, call->args[0], true);
    if (code == EXIT_OK) {
        view.rollback = call->option[NO_ROLLBACK] == NULL;
        code = boot(call, &view);
        flash_view_close(&view);
    }
    return code;
}

const struct command command_flash_boot = {
    .name = "flash boot",
    .args = "FILE",
    .brief = "start a flash once, as the bootloader would",
    .about =
        "Does with a flash image file what the second-stage bootloader does at a power-on:\n"
        "chooses a slot, verifies it, falls back, and writes otadata as it would. Says what it\n"
        "did and why. A new image is on trial until it is confirmed.\n",
    .schema = "otter.flash/1",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .run = run,
};
