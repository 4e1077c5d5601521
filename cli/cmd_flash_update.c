/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "flash_view.h"
#include "image_report.h"
#include "otter/update.h"
#include "output.h"
#include "progress.h"

enum { PROJECT, CHIP, CHIP_REV, NOT_OLDER, NO_ROLLBACK };

static const struct option_spec options[] = {
    [PROJECT] = {"project", 0, "NAME|any", "project to accept (that of the running image)"},
    [CHIP] = {"chip", 0, "CHIP", "chip to accept (that of the running image)"},
    [CHIP_REV] = {"chip-rev", 0, "REV", "revision of the chip, as 301 for v3.1"},
    [NOT_OLDER] = {"not-older", 0, NULL, "refuse a version before the running one"},
    [NO_ROLLBACK] = {"no-rollback", 0, NULL, "the board's bootloader has no rollback"},
    {NULL, 0, NULL, NULL},
};

/* One update of a flash file. */
struct job {
    struct call *call;
    struct flash_view *view;
    const char *image_path;
    struct otter_boot_report running;
    struct otter_policy policy;
    struct image_scan scan;
    uint8_t *data; /* the new image, owned */
    size_t len;
    int target;
    struct progress progress;
    bool checking;
};

static volatile sig_atomic_t stop_signal;

static void ask_to_stop(int number)
{
    stop_signal = number;
}

static void on_event(void *ctx, const struct otter_update_event *event)
{
    struct job *job = ctx;
    bool quiet = job->call->json != NULL;
    if (event->kind == OTTER_EVENT_CHECKING && !job->checking) {
        job->checking = true;
        progress_end(&job->progress);
        progress_start(&job->progress, "Checking", event->total, quiet);
    }
    if (event->kind == OTTER_EVENT_BEGIN) {
        progress_start(&job->progress, "Writing", event->total, quiet);
    } else if (event->kind == OTTER_EVENT_PROGRESS || event->kind == OTTER_EVENT_CHECKING) {
        progress_step(&job->progress, event->done);
    } else if (event->kind == OTTER_EVENT_SELECTED || event->kind == OTTER_EVENT_ABORTED) {
        progress_end(&job->progress);
    }
}

/* Finds what runs. An image on trial or one waiting for its first boot must be settled before. */
static int find_running(struct job *job)
{
    struct flash_view *view = job->view;
    int on_trial, waiting;
    int code = flash_view_undecided(job->call, view, &on_trial, &waiting);
    if (code) {
        return code;
    }
    if (on_trial != OTTER_SLOT_NONE) {
        return fail(job->call, EXIT_REFUSED,
                    "%s in %s is on trial: keep it with \"otter flash confirm\", or go back with "
                    "\"otter flash boot\", before the next update",
                    otter_slot_name(on_trial), view->path);
    }
    if (waiting != OTTER_SLOT_NONE) {
        return fail(job->call, EXIT_REFUSED,
                    "%s in %s is new and was not booted yet: run \"otter flash boot --confirm\" "
                    "before the next update",
                    otter_slot_name(waiting), view->path);
    }
    code = flash_view_boot(job->call, view, true, &job->running);
    if (code == EXIT_OK && job->running.booted == OTTER_SLOT_NONE) {
        return fail(
            job->call, EXIT_INVALID,
            "nothing boots in %s, so there is nothing to update: make it with \"otter flash "
            "create --image\"",
            view->path);
    }
    return code;
}

static int set_policy(struct job *job)
{
    struct call *call = job->call;
    const struct otter_image_facts *running = &job->running.facts;
    const char *project = call->option[PROJECT];
    unsigned long rev = running->min_rev_full;
    uint16_t chip = running->chip_id;
    if (!chip_option(call, call->option[CHIP], &chip) ||
        !option_number(call, CHIP_REV, UINT16_MAX, &rev)) {
        return EXIT_USAGE;
    }
    if (!project && running->has_desc) {
        project = running->project;
    }
    job->policy = (struct otter_policy){
        .chip_id = chip,
        .chip_rev_full = (uint16_t)rev,
        .secure_version = running->secure_version,
        .project = project && strcmp(project, "any") != 0 ? project : NULL,
        .running_version = running->version,
        .version_rule = call->option[NOT_OLDER] ? OTTER_VERSION_NOT_OLDER : OTTER_VERSION_ANY,
    };
    return EXIT_OK;
}

static int read_image(struct job *job)
{
    struct call *call = job->call;
    int code =
        input_read(call, job->image_path, IMAGE_FILE_MAX, "an ESP32 image", &job->data, &job->len);
    code = code ? code : image_scan_bytes(call, job->data, job->len, &job->scan);
    if (code == EXIT_OK && job->scan.err) {
        code = fail(call, EXIT_INVALID, "%s", image_fault(job->image_path, &job->scan));
    }
    return code;
}

/* Says why the image was not taken, with the facts of this case. */
static int refused(struct job *job, otter_err err)
{
    struct call *call = job->call;
    const char *name = file_name(job->image_path);
    const struct otter_image_facts *new = &job->scan.image.facts;
    const struct otter_policy *p = &job->policy;
    int code = exit_code_for(err);
    if (err == OTTER_ERR_TOO_LARGE && new->chip_id != p->chip_id) {
        err = OTTER_ERR_IMAGE_CHIP; /* says more */
    }
    switch (err) {
    case OTTER_ERR_IMAGE_CHIP:
        return fail(call, code, "%s is for %s, but %s runs on %s", name, chip_text(new->chip_id),
                    job->view->path, chip_text(p->chip_id));
    case OTTER_ERR_IMAGE_REVISION:
        return fail(call, code,
                    "%s needs chip revision v%u.%u or later: if the chip has it, say so with "
                    "--chip-rev",
                    name, new->min_rev_full / 100, new->min_rev_full % 100);
    case OTTER_ERR_IMAGE_PROJECT:
        return fail(call, code,
                    "%s is of project %s, but %s runs %s: --project any takes it all the same",
                    name, safe(new->project), job->view->path, safe(p->project));
    case OTTER_ERR_IMAGE_NO_DESC:
        return fail(call, code,
                    "%s has no app description, so its project is not known: is it an application? "
                    "--project any takes it all the same",
                    name);
    case OTTER_ERR_IMAGE_OLDER:
        return fail(call, code, "%s is %s, which is before the running %s", name, version_text(new),
                    safe(p->running_version));
    case OTTER_ERR_TOO_LARGE:
        return fail(call, code, "%s has %s bytes, and %s only %s", name, number_text(job->len),
                    otter_slot_name(job->target),
                    number_text(otter_layout_slot(&job->view->layout, job->target).size));
    case OTTER_ERR_NO_SLOT:
    case OTTER_ERR_NO_OTADATA:
        return fail(call, code,
                    "%s cannot be updated: %s; its table needs otadata and two app slots",
                    job->view->path, otter_err_text(err));
    default:
        if (*job->view->file.error) {
            return flash_view_failed(call, job->view, err);
        }
        return fail(call, code, "%s: %s", name, otter_err_text(err));
    }
}

/* Runs the session. A request to stop is looked at between steps. */
static otter_err transfer(struct job *job, struct otter_update *update)
{
    struct sigaction action = {.sa_handler = ask_to_stop, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    otter_err err = otter_update_begin(update, (uint32_t)job->len);
    for (size_t at = 0; err == OTTER_OK && at < job->len && !stop_signal;) {
        size_t used;
        err = otter_update_write(update, job->data + at, job->len - at, &used);
        at += used;
    }
    while (err == OTTER_OK && !stop_signal) {
        err = otter_update_finish(update);
        if (err == OTTER_OK) {
            return OTTER_OK;
        }
        err = err == OTTER_ERR_AGAIN ? OTTER_OK : err;
    }
    otter_update_abort(update);
    return err ? err : OTTER_ERR_CANCELLED;
}

static int update(struct job *job)
{
    static struct otter_update session;
    static uint8_t buf[4096];
    struct otter_flash_slots slots = flash_view_slots(job->view, job->running.booted);
    struct otter_sha256 sha;
    if (otter_sha256_new(&sha)) {
        return fail(job->call, EXIT_FAILED, "out of memory");
    }
    job->target = otter_flash_slots_next(&slots);
    struct otter_update_config config = {
        .slots = otter_flash_slots_table(&slots),
        .hash = otter_sha256_hash(&sha),
        .policy = &job->policy,
        .buf = buf,
        .buf_size = sizeof buf,
        .on_event = on_event,
        .event_ctx = job,
    };
    otter_err err = otter_update_init(&session, &config);
    err = err ? err : transfer(job, &session);
    progress_end(&job->progress);
    otter_sha256_free(&sha);
    if (err == OTTER_ERR_CANCELLED) {
        return fail(job->call, EXIT_FAILED, "stopped: %s still boots %s", job->view->path,
                    boots_text(&job->running));
    }
    return err ? refused(job, err) : EXIT_OK;
}

static json_t *side_json(int slot, const struct otter_image_facts *facts)
{
    json_t *side = json_object();
    json_object_set_new(side, "slot", json_string(otter_slot_name(slot)));
    json_object_set_new(side, "project", facts->has_desc ? json_text(facts->project) : json_null());
    json_object_set_new(side, "version", facts->has_desc ? json_text(facts->version) : json_null());
    json_object_set_new(side, "sha256", json_string(digest_text(facts->digest)));
    return side;
}

/* The version of an image, with the start of its SHA-256 where another has the same text. */
static const char *told_apart(const struct otter_image_facts *facts,
                              const struct otter_image_facts *other)
{
    char text[64];
    if (strcmp(version_text(facts), version_text(other)) != 0) {
        return version_text(facts);
    }
    snprintf(text, sizeof text, "%.40s (%.8s)", version_text(facts), digest_text(facts->digest));
    return safe(text);
}

static void report(const struct job *job)
{
    const struct otter_image_facts *old = &job->running.facts, *new = &job->scan.image.facts;
    json_t *json = job->call->json;
    if (json) {
        json_object_set_new(json, "updated", json_true());
        json_object_set_new(json, "from", side_json(job->running.booted, old));
        json_object_set_new(json, "to", side_json(job->target, new));
        return;
    }
    print_styled(stdout, STYLE_GOOD, "Updated");
    printf(" %s from %s to %s in %s.\nStart it with: otter flash boot --confirm %s\n",
           safe(job->view->path), told_apart(old, new), told_apart(new, old),
           otter_slot_name(job->target), safe(job->view->path));
}

static int run_job(struct job *job)
{
    int code = find_running(job);
    code = code ? code : set_policy(job);
    code = code ? code : read_image(job);
    code = code ? code : update(job);
    if (code == EXIT_OK) {
        report(job);
    }
    free(job->data);
    return code;
}

static int run(struct call *call)
{
    static struct flash_view view;
    static struct job job;
    if (call->json) {
        json_object_set_new(call->json, "updated", json_false());
    }
    int code = flash_view_open(call, &view, call->args[0], true);
    if (code) {
        return code;
    }
    view.rollback = call->option[NO_ROLLBACK] == NULL;
    job = (struct job){.call = call, .view = &view, .image_path = call->args[1]};
    code = run_job(&job);
    flash_view_close(&view);
    return code;
}

const struct command command_flash_update = {
    .name = "flash update",
    .args = "FILE IMAGE",
    .brief = "update a flash with an image",
    .about =
        "Updates a flash image file as a running device updates itself: writes the image to the\n"
        "other slot, reads it back, verifies it and selects it. The file is changed in place;\n"
        "stopped or killed at any moment, it boots the old image or the new one.\n"
        "IMAGE is an image file, - for standard input.\n",
    .schema = "otter.flash/1",
    .options = options,
    .args_min = 2,
    .args_max = 2,
    .run = run,
};
