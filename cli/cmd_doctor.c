/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "host/doctor.h"
#include "output.h"

struct doctor {
    struct call *call;
    json_t *checks;   /* with --json */
    const char *area; /* whose heading is printed */
    unsigned bad;
};

static const struct {
    const char *word;
    enum style style;
} states[] = {
    [OTTER_DOCTOR_OK] = {"ok", STYLE_GOOD},
    [OTTER_DOCTOR_WARNING] = {"warning", STYLE_WARNING},
    [OTTER_DOCTOR_BAD] = {"bad", STYLE_BAD},
};

static void print_check(struct doctor *doctor, const struct otter_doctor_check *check)
{
    static const struct {
        const char *area, *heading;
    } headings[] = {{"bluetooth", "Bluetooth"},
                    {"serial", "Serial ports"},
                    {"https", "Servers"},
                    {"files", "Files"}};

    if (doctor->area == NULL || strcmp(doctor->area, check->area) != 0) {
        for (size_t i = 0; i < sizeof(headings) / sizeof(headings[0]); i++) {
            if (strcmp(headings[i].area, check->area) == 0) {
                printf("%s%s\n", doctor->area != NULL ? "\n" : "", headings[i].heading);
            }
        }
        doctor->area = check->area;
    }
    fputs("  ", stdout);
    print_styled(stdout, states[check->state].style, "%-8s", states[check->state].word);
    printf(" %s\n", safe(check->found));
    if (check->advice[0] != '\0') {
        printf("           -> %s\n", safe(check->advice));
    }
}

static void tell(void *ctx, const struct otter_doctor_check *check)
{
    struct doctor *doctor = ctx;

    doctor->bad += check->state == OTTER_DOCTOR_BAD;
    if (doctor->checks == NULL) {
        print_check(doctor, check);
        return;
    }
    json_array_append_new(
        doctor->checks,
        json_pack("{s:s, s:s, s:s, s:o, s:o}", "area", check->area, "check", check->name, "state",
                  states[check->state].word, "found", json_text(check->found), "advice",
                  check->advice[0] != '\0' ? json_text(check->advice) : json_null()));
}

static int run_doctor(struct call *call)
{
    struct doctor doctor = {.call = call, .checks = call->json != NULL ? json_array() : NULL};
    const char *area = call->arg_count > 0 ? call->args[0] : NULL;
    size_t i = 0;

    while (area != NULL && otter_doctor_areas[i] != NULL &&
           strcmp(area, otter_doctor_areas[i]) != 0) {
        i++;
    }
    if (otter_doctor_areas[i] == NULL) {
        return fail(call, EXIT_USAGE, "there is no area \"%s\": bluetooth, serial, https, files",
                    safe(area));
    }
    otter_doctor_run(area, tell, &doctor);
    if (call->json != NULL) {
        json_object_set_new(call->json, "checks", doctor.checks);
        json_object_set_new(call->json, "ok", json_boolean(doctor.bad == 0));
    } else if (doctor.bad > 0) {
        printf("\n%u thing%s to mend.\n", doctor.bad, doctor.bad == 1 ? "" : "s");
    }
    return doctor.bad > 0 ? EXIT_FAILED : EXIT_OK;
}

const struct command command_doctor = {
    .name = "doctor",
    .args = "[AREA]",
    .brief = "say what this machine lacks for updates",
    .about =
        "Checks Bluetooth (the service, this user's permission, adapters), serial ports, what\n"
        "servers are trusted by, and where virtual devices are looked for. Changes nothing.\n"
        "AREA: bluetooth, serial, https or files; without it, all of them.\n"
        "Exit code 0: nothing is bad (there may be warnings), 1: something is.\n",
    .schema = "otter.doctor/1",
    .args_min = 0,
    .args_max = 1,
    .run = run_doctor,
};
