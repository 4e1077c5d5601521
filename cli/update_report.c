/* SPDX-License-Identifier: Apache-2.0 */
#include "update_report.h"

#include <stdio.h>
#include <string.h>

#include "devices.h"
#include "host/clock.h"
#include "otter/sink.h"
#include "output.h"

/* Progress in JSON is told for each per cent, but in a rush only for each TELL_PARTS of them. */
#define TELL_MS 20u
#define TELL_PARTS 5

static const char *phase_name(enum otter_target_phase phase)
{
    switch (phase) {
    case OTTER_TARGET_CONNECTING:
        return "connecting";
    case OTTER_TARGET_STARTING:
        return "starting";
    case OTTER_TARGET_SENDING:
        return "sending";
    case OTTER_TARGET_FINISHING:
        return "finishing";
    case OTTER_TARGET_RESTARTING:
        return "restarting";
    case OTTER_TARGET_CONFIRMING:
        return "confirming";
    }
    return "";
}

/* One line of JSON: the event's own fields, which this takes over, after what all events have. */
static void print_event(const struct update_report *report, const char *event, json_t *fields)
{
    json_t *line = json_pack("{s:s, s:s}", "schema", report->schema, "event", event);

    json_object_update(line, fields);
    json_dumpf(line, stdout, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(6));
    putchar('\n');
    fflush(stdout);
    json_decref(fields);
    json_decref(line);
}

static void end_bar(struct update_report *report)
{
    if (report->moving) {
        progress_end(&report->progress);
        report->moving = false;
    }
}

static void on_phase(void *ctx, enum otter_target_phase phase)
{
    struct update_report *report = ctx;

    if (phase == OTTER_TARGET_SENDING) {
        report->started = otter_clock_ms();
    }
    if (report->json) {
        print_event(report, "phase", json_pack("{s:s}", "phase", phase_name(phase)));
        return;
    }
    end_bar(report);
    if (phase == OTTER_TARGET_STARTING) {
        progress_start(&report->progress, "Sending", 0, false); /* the clock runs from here */
    } else if (phase == OTTER_TARGET_RESTARTING) {
        fputs("The device took it and restarts.\n", stderr);
    } else if (phase == OTTER_TARGET_CONFIRMING) {
        fputs("It is back and tests its new firmware.\n", stderr);
    }
}

static void on_device(void *ctx, const struct otter_target_device *device)
{
    struct update_report *report = ctx;

    if (report->json) {
        json_t *fields = json_pack("{s:o, s:o}", "target", json_text(report->target), "device",
                                   device_json(device));
        print_event(report, "device", fields);
        return;
    }
    const char *state = device_state_text(device->state);
    fprintf(stderr, "Device: %s", safe(*device->name != '\0' ? device->name : report->target));
    if (*device->chip != '\0') {
        fprintf(stderr, ", %s", safe(device->chip));
    }
    if (*device->version != '\0' || *device->project != '\0') {
        fprintf(stderr, ", runs %s%s%s", safe(device->project),
                *device->project != '\0' && *device->version != '\0' ? " " : "",
                safe(device->version));
    }
    fprintf(stderr, "%s%s\n", *state != '\0' ? ", " : "", state);
}

static void on_progress(void *ctx, uint32_t done, uint32_t total)
{
    struct update_report *report = ctx;
    bool known = total != OTTER_LENGTH_UNKNOWN && total > 0;

    if (report->verbose && !report->json) {
        return; /* packets tell it */
    }
    if (!report->json) {
        if (!report->moving) {
            report->progress.total = known ? total : 0;
            report->moving = true;
        }
        progress_step(&report->progress, done);
        return;
    }
    uint32_t now = otter_clock_ms();
    int percent = known ? (int)((uint64_t)done * 100u / total) : (int)(done >> 16);
    bool soon = report->percent >= 0 && done != total && now - report->told < TELL_MS &&
                percent - report->percent < TELL_PARTS;
    if (percent == report->percent || soon) {
        return;
    }
    report->percent = percent;
    report->told = now;
    uint32_t spent = now - report->started;
    json_t *fields =
        json_pack("{s:I, s:o, s:o, s:o}", "done", (json_int_t)done, "total",
                  known ? json_integer(total) : json_null(), "percent",
                  known ? json_integer(percent) : json_null(), "bytes_per_second",
                  spent > 0 ? json_integer((json_int_t)done * 1000 / spent) : json_null());
    print_event(report, "progress", fields);
}

static void on_detail(void *ctx, const char *line)
{
    struct update_report *report = ctx;

    if (report->json) {
        print_event(report, "detail", json_pack("{s:o}", "line", json_text(line)));
    } else {
        fprintf(stderr, "  %s\n", safe(line));
    }
}

struct otter_target_observer update_report_observer(struct update_report *report,
                                                    const volatile sig_atomic_t *cancel)
{
    report->percent = -1;
    return (struct otter_target_observer){
        .phase = on_phase,
        .device = on_device,
        .progress = on_progress,
        .detail = report->verbose ? on_detail : NULL,
        .ctx = report,
        .cancel = cancel,
    };
}

static const char *outcome_name(const struct otter_target_result *result)
{
    switch (result->outcome) {
    case OTTER_TARGET_UPDATED:
        return "updated";
    case OTTER_TARGET_FAILED:
        return result->err == OTTER_ERR_CANCELLED ? "cancelled" : "failed";
    case OTTER_TARGET_BAD_ADDRESS:
        return "bad-address";
    case OTTER_TARGET_BAD_IMAGE:
        return "bad-image";
    case OTTER_TARGET_REFUSED:
        return "refused";
    case OTTER_TARGET_LINK_FAILED:
        return "link-failed";
    case OTTER_TARGET_NOT_BACK:
        return result->came_back && result->err == OTTER_ERR_REFUSED ? "rolled-back" : "not-back";
    }
    return "failed";
}

/* true, false, or null for a device that does not say. */
static json_t *confirmed_json(const struct otter_target_result *result)
{
    if (!result->came_back || result->after.state == OTTER_TARGET_STATE_UNKNOWN) {
        return json_null();
    }
    return json_boolean(result->outcome == OTTER_TARGET_UPDATED);
}

static json_t *version_json(const char *version)
{
    return *version != '\0' ? json_text(version) : json_null();
}

static void print_result_json(struct update_report *report,
                              const struct otter_target_result *result)
{
    json_t *fields = json_pack(
        "{s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:f, s:f, s:f}", "outcome",
        outcome_name(result), "exit_code", (int)result->outcome, "message",
        json_text(result->message), "target", json_text(report->target), "firmware",
        json_text(report->firmware), "old_version", version_json(result->before.version),
        "new_version", version_json(result->after.version), "confirmed", confirmed_json(result),
        "sent", (json_int_t)result->sent, "resent", (json_int_t)result->resent, "send_seconds",
        result->send_ms / 1000.0, "verify_seconds", result->verify_ms / 1000.0, "seconds",
        result->elapsed_ms / 1000.0);

    print_event(report, "result", fields);
}

int update_report_result(struct update_report *report, const struct otter_target_result *result)
{
    end_bar(report);
    if (report->json) {
        print_result_json(report, result);
        return (int)result->outcome;
    }
    if (result->outcome != OTTER_TARGET_UPDATED) {
        return fail(NULL, (int)result->outcome, "%s", result->message);
    }
    print_styled(stdout, STYLE_GOOD, "Done");
    printf(": %s.", safe(result->message));
    if (result->came_back && *result->before.version != '\0' && *result->after.version != '\0') {
        printf(" Was %s.", safe(result->before.version));
    }
    putchar('\n');
    if (result->send_ms > 0 && result->sent > 0) {
        printf("Sent %s in %u.%u s, %s/s", size_text(result->sent), result->send_ms / 1000,
               result->send_ms % 1000 / 100,
               size_text((uint64_t)result->sent * 1000u / result->send_ms));
        if (result->resent > 0) {
            printf(", %u parts sent again", result->resent);
        }
        printf("; %u.%u s in all.\n", result->elapsed_ms / 1000, result->elapsed_ms % 1000 / 100);
    }
    return EXIT_OK;
}
