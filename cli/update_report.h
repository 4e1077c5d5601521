/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `otter update` shows while it works: lines and a bar for people, or with --json one event
 * a line, the last of them "result".
 */
#ifndef OTTER_CLI_UPDATE_REPORT_H
#define OTTER_CLI_UPDATE_REPORT_H

#include "cli.h"
#include "host/target.h"
#include "progress.h"

struct update_report {
    bool json;
    bool verbose;
    const char *target;
    const char *firmware; /* its name */
    const char *schema;
    struct progress progress;
    bool moving;      /* the bar is drawn */
    int percent;      /* last told in JSON */
    uint32_t started; /* ms, when sending began */
    uint32_t told;    /* ms, when progress was last told in JSON */
};

/* The observer that reports; cancel as in struct otter_target_observer. */
struct otter_target_observer update_report_observer(struct update_report *report,
                                                    const volatile sig_atomic_t *cancel);

/* The end. Returns the exit code. */
int update_report_result(struct update_report *report, const struct otter_target_result *result);

#endif
