/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `otter update hosted:...`: begin, write, end over the ESP-Hosted control path, with the firmware
 * streamed from its source. The image is checked on its way: its header before the device hears of
 * it, its SHA-256 before `end`. There is no abort on the wire: a device that is left alone in the
 * middle gives the update up by itself, or at the next begin.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/hosted_link.h"
#include "host/hosted_version.h"
#include "host/schemes.h"
#include "host/sha256.h"
#include "otter/hosted.h"
#include "otter/hosted_client.h"
#include "otter/image.h"
#include "proto/hosted/wire.h"

#define WAIT_MS 60000u   /* for the device to come back */
#define VERSION_MS 3000u /* for the first question: older firmware does not know it */
#define AGAIN_MS 1000u   /* between questions while it restarts */

struct job {
    const char *address;
    struct otter_firmware *firmware;
    const struct otter_target_options *options;
    const struct otter_target_observer *observer;
    struct otter_target_result *result;
    struct otter_hosted_client *client;
    struct otter_sha256 sha;
    struct otter_image image;
    struct otter_hosted_client_version version; /* before */
    bool knows_version;
    bool encrypted; /* only the device can read the image */
    bool restarted; /* the device said that it has started */
    uint8_t chunk[OTTER_HOSTED_CHUNK_MAX];
    size_t chunk_len;
};

static void phase(const struct job *job, enum otter_target_phase phase)
{
    if (job->observer != NULL && job->observer->phase != NULL) {
        job->observer->phase(job->observer->ctx, phase);
    }
}

static void on_event(void *ctx, uint16_t id, const uint8_t *data, size_t len)
{
    struct job *job = ctx;
    char line[64];

    if (id == OTTER_HOSTED_EVENT_ESP_INIT) {
        job->restarted = true;
    }
    if (job->observer != NULL && job->observer->detail != NULL) {
        const char *what = id == OTTER_HOSTED_EVENT_ESP_INIT    ? " (the device started)"
                           : id == OTTER_HOSTED_EVENT_HEARTBEAT ? " (heartbeat)"
                                                                : "";

        snprintf(line, sizeof(line), "event %u%s, %zu bytes", id, what, len);
        job->observer->detail(job->observer->ctx, line);
    }
}

/* --- the image on its way ----------------------------------------------------------------------
 */

static bool bad_image(struct job *job, otter_err err, const char *then)
{
    otter_target_end(job->result, OTTER_TARGET_BAD_IMAGE, err, "%s: %s; %s", job->firmware->name,
                     otter_err_text(err), then);
    return false;
}

/* Fills the next chunk, as full as the source allows, and shows it to the image parser. */
static bool next_chunk(struct job *job, const char *then)
{
    job->chunk_len = 0;
    while (job->chunk_len < sizeof(job->chunk)) {
        size_t got = 0;
        otter_err err = otter_firmware_read(job->firmware, job->chunk + job->chunk_len,
                                            sizeof(job->chunk) - job->chunk_len, &got);

        if (err != OTTER_OK) {
            otter_target_end(job->result, OTTER_TARGET_FAILED, err, "%s; %s", job->firmware->error,
                             then);
            return false;
        }
        if (got == 0) {
            break;
        }
        job->chunk_len += got;
    }
    if (job->image.pos == 0 && !job->encrypted) {
        job->encrypted = otter_target_is_encrypted(job->chunk, job->chunk_len);
    }
    if (job->encrypted) {
        return true;
    }
    otter_err err = otter_image_feed(&job->image, job->chunk, job->chunk_len);
    return err == OTTER_OK || bad_image(job, err, then);
}

#define KEEPS_OLD "the device keeps the firmware it has"

static bool image_complete(struct job *job)
{
    otter_err err = job->encrypted ? OTTER_OK : otter_image_end(&job->image);

    if (err == OTTER_OK && !job->encrypted && !job->image.facts.has_digest) {
        err = OTTER_ERR_IMAGE_NO_DIGEST;
    }
    return err == OTTER_OK || bad_image(job, err, KEEPS_OLD);
}

/* --- the device --------------------------------------------------------------------------------
 */

static bool device_failed(struct job *job, otter_err err, const char *then)
{
    enum otter_target_outcome outcome = err == OTTER_ERR_REFUSED     ? OTTER_TARGET_REFUSED
                                        : err == OTTER_ERR_CANCELLED ? OTTER_TARGET_FAILED
                                        : err == OTTER_ERR_ARG       ? OTTER_TARGET_BAD_ADDRESS
                                                                     : OTTER_TARGET_LINK_FAILED;

    otter_target_end(job->result, outcome, err, "%s%s", otter_hosted_client_error(job->client),
                     then);
    return false;
}

static void describe(const struct otter_hosted_client_version *v, struct otter_target_device *d)
{
    const uint32_t *n = v->numbers;

    snprintf(d->name, sizeof(d->name), "%.63s", v->name);
    snprintf(d->protocols, sizeof(d->protocols), "hosted");
    snprintf(d->version, sizeof(d->version), "%u.%u.%u.%u.%u", n[0], n[1], n[2], n[3], n[4]);
}

static bool connect_device(struct job *job)
{
    phase(job, OTTER_TARGET_CONNECTING);
    otter_hosted_client_on_event(job->client, on_event, job);
    if (job->observer != NULL) {
        otter_hosted_client_cancel_on(job->client, job->observer->cancel);
    }
    otter_err err = otter_hosted_client_open(job->client, job->address);
    if (err != OTTER_OK) {
        return device_failed(job, err, "");
    }
    /* Not every firmware knows this question, so its failure means nothing but that. */
    otter_hosted_client_timeouts(job->client, 0, VERSION_MS);
    err = otter_hosted_client_version(job->client, &job->version);
    if (err == OTTER_ERR_LINK || err == OTTER_ERR_CANCELLED) {
        return device_failed(job, err, "");
    }
    job->knows_version = err == OTTER_OK;
    if (job->knows_version) {
        describe(&job->version, &job->result->before);
    }
    if (job->observer != NULL && job->observer->device != NULL && job->knows_version) {
        job->observer->device(job->observer->ctx, &job->result->before);
    }
    otter_hosted_client_timeouts(job->client, job->options->begin_ms, job->options->timeout_ms);
    return true;
}

static bool send_image(struct job *job)
{
    phase(job, OTTER_TARGET_STARTING);
    otter_err err = otter_hosted_client_begin(job->client);
    if (err != OTTER_OK) {
        return device_failed(job, err, "");
    }
    uint32_t begun = otter_clock_ms();
    phase(job, OTTER_TARGET_SENDING);
    while (job->chunk_len > 0) {
        err = otter_hosted_client_write(job->client, job->chunk, job->chunk_len);
        if (err != OTTER_OK) {
            return device_failed(job, err, "; " KEEPS_OLD);
        }
        job->result->sent += (uint32_t)job->chunk_len;
        if (job->observer != NULL && job->observer->progress != NULL) {
            job->observer->progress(job->observer->ctx, job->result->sent, job->firmware->size);
        }
        if (!next_chunk(job, KEEPS_OLD)) {
            return false;
        }
    }
    if (!image_complete(job)) {
        return false;
    }
    job->result->send_ms = otter_clock_ms() - begun;
    phase(job, OTTER_TARGET_FINISHING);
    err = otter_hosted_client_end(job->client);
    job->result->verify_ms = otter_clock_ms() - begun - job->result->send_ms;
    return err == OTTER_OK || device_failed(job, err, "; " KEEPS_OLD);
}

/* --- after the restart -------------------------------------------------------------------------
 */

/* Asks for the version once, over a new connection if the old one went down. */
static otter_err ask_version(struct job *job, bool *open,
                             struct otter_hosted_client_version *version)
{
    otter_err err = *open ? OTTER_OK : otter_hosted_client_open(job->client, job->address);

    if (err == OTTER_OK) {
        err = otter_hosted_client_version(job->client, version);
    }
    *open = err != OTTER_ERR_LINK && err != OTTER_ERR_ARG;
    if (!*open || err == OTTER_ERR_TIMEOUT) {
        job->restarted = true; /* it was away: its next answer is that of the new start */
    }
    return err;
}

/* The device is back, and says what it runs. */
static void came_back(struct job *job, const struct otter_hosted_client_version *now)
{
    const struct otter_image_facts *facts = &job->image.facts;
    uint32_t want[5];

    job->result->came_back = true;
    describe(now, &job->result->after);
    otter_hosted_version_numbers(facts, want);
    if (!job->encrypted && strcmp(now->name, facts->project) == 0 && now->numbers[4] != 0 &&
        now->numbers[4] != want[4]) { /* one of ours: it says which image it runs */
        otter_target_end(job->result, OTTER_TARGET_NOT_BACK, OTTER_ERR_REFUSED,
                         "the device came back with another image, version %s: it rolled back",
                         job->result->after.version);
        return;
    }
    otter_target_end(job->result, OTTER_TARGET_UPDATED, OTTER_OK, "updated; the device is back");
}

static void wait_for_device(struct job *job)
{
    uint32_t limit = job->options->wait_ms > 0 ? job->options->wait_ms : WAIT_MS;
    uint32_t begun = otter_clock_ms();
    struct otter_hosted_client_version now;
    bool open = true;

    phase(job, OTTER_TARGET_RESTARTING);
    job->restarted = false;
    otter_hosted_client_timeouts(job->client, 0, AGAIN_MS);
    while (otter_clock_ms() - begun < limit) {
        otter_err err = ask_version(job, &open, &now);

        if (err == OTTER_ERR_CANCELLED || otter_target_cancelled(job->observer)) {
            otter_target_end(job->result, OTTER_TARGET_UPDATED, OTTER_OK,
                             "the device took the update; not waited for its restart");
            return;
        }
        if (err == OTTER_OK && (job->restarted || memcmp(now.numbers, job->version.numbers,
                                                         sizeof(now.numbers)) != 0)) {
            came_back(job, &now);
            return;
        }
        if (err == OTTER_OK || !open) {
            usleep(AGAIN_MS / 4u * 1000u);
        }
    }
    otter_target_end(job->result, OTTER_TARGET_NOT_BACK, OTTER_ERR_TIMEOUT,
                     "the device took the update and did not come back within %u seconds",
                     limit / 1000u);
}

static void run(struct job *job)
{
    static const char nothing_sent[] = "nothing was sent";

    otter_err err =
        otter_image_begin(&job->image, otter_sha256_hash(&job->sha), OTTER_FIRMWARE_MAX);
    if (err != OTTER_OK) {
        (void)bad_image(job, err, nothing_sent);
        return;
    }
    /* The first bytes come before everything: a web page or a wrong file is told at once. */
    if (!next_chunk(job, nothing_sent)) {
        return;
    }
    if (!job->encrypted && !otter_image_header_known(&job->image)) {
        (void)bad_image(job, job->chunk_len == 0 ? OTTER_ERR_EMPTY : OTTER_ERR_TRUNCATED,
                        nothing_sent);
        return;
    }
    if (job->options->allow_downgrade && job->observer != NULL && job->observer->detail != NULL) {
        job->observer->detail(job->observer->ctx, "a device on a wire cannot be asked about older "
                                                  "versions; it decides by its own rule");
    }
    if (!connect_device(job) || !send_image(job)) {
        return;
    }
    if (job->options->no_wait || !job->knows_version) {
        otter_target_end(job->result, OTTER_TARGET_UPDATED, OTTER_OK,
                         "the device took the update and restarts in a few seconds");
        return;
    }
    wait_for_device(job);
}

static void hosted_update(const char *address, struct otter_firmware *firmware,
                          const struct otter_target_options *options,
                          const struct otter_target_observer *observer,
                          struct otter_target_result *result)
{
    struct job job = {.address = address,
                      .firmware = firmware,
                      .options = options,
                      .observer = observer,
                      .result = result};
    uint32_t begun = otter_clock_ms();

    *result = (struct otter_target_result){0};
    if (!otter_hosted_link_check(address, result->message, sizeof(result->message))) {
        result->outcome = OTTER_TARGET_BAD_ADDRESS;
        result->err = OTTER_ERR_ARG;
        return;
    }
    job.client = otter_hosted_client_new();
    if (job.client == NULL || otter_sha256_new(&job.sha) != OTTER_OK) {
        otter_target_end(result, OTTER_TARGET_FAILED, OTTER_ERR_HASH, "not enough memory");
    } else {
        run(&job);
        otter_sha256_free(&job.sha);
    }
    otter_hosted_client_free(job.client);
    result->elapsed_ms = otter_clock_ms() - begun;
}

static otter_err hosted_identify(const char *address, const struct otter_target_options *options,
                                 struct otter_target_device *device, char *message, size_t size)
{
    struct otter_hosted_client *client = otter_hosted_client_new();
    struct otter_hosted_client_version version;

    *device = (struct otter_target_device){0};
    if (client == NULL) {
        snprintf(message, size, "not enough memory");
        return OTTER_ERR_ARG;
    }
    otter_hosted_client_timeouts(client, 0, options->timeout_ms);
    otter_err err = otter_hosted_client_open(client, address);
    if (err == OTTER_OK) {
        err = otter_hosted_client_version(client, &version);
    }
    if (err == OTTER_OK) {
        describe(&version, device);
    } else {
        snprintf(message, size, "%s", otter_hosted_client_error(client));
    }
    otter_hosted_client_free(client);
    return err;
}

const struct otter_target_scheme otter_target_hosted = {
    .name = "hosted",
    .example = "hosted:/dev/esps0",
    .help = "ESP-Hosted control path: hosted:/dev/esps0, hosted:/dev/ttyUSB0?baud=921600, "
            "hosted:unix:/path",
    .update = hosted_update,
    .identify = hosted_identify,
};
