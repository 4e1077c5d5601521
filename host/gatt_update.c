/* SPDX-License-Identifier: Apache-2.0 */
#include "host/gatt_update.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/att.h"
#include "host/clock.h"
#include "host/gatt_trace.h"
#include "host/gatt_wait.h"
#include "otter/identity.h"

#define OPEN_MS 10000u /* to connect and look around */

/* ---- the protocols ------------------------------------------------------------------------------
 */

struct otter_gatt_protocol {
    const char *name;
    const struct otter_gatt_service *service;
    uint8_t firmware;   /* the characteristic that takes it */
    uint8_t answers[2]; /* those that answer; what others notify nobody needs, but it takes time */
    uint8_t answer_count;
    bool (*recognise)(const struct otter_gatt_found *found, size_t count, int *index);
    otter_err (*init)(struct otter_gatt_update *u, const struct otter_gatt_host_config *gatt,
                      struct otter_source source);
};

static otter_err init_espble(struct otter_gatt_update *u, const struct otter_gatt_host_config *gatt,
                             struct otter_source source)
{
    struct otter_espble_host_config config = {
        .gatt = *gatt,
        .source = source,
        .crc_init = u->options->crc_ccitt ? OTTER_ESPBLE_CRC_CCITT : OTTER_ESPBLE_CRC_XMODEM,
    };
    otter_err err = otter_espble_host_init(&u->host.espble, &config);

    u->updater = otter_espble_host_updater(&u->host.espble);
    return err;
}

static otter_err init_gattota(struct otter_gatt_update *u,
                              const struct otter_gatt_host_config *gatt, struct otter_source source)
{
    struct otter_gattota_host_config config = {.gatt = *gatt, .source = source};
    otter_err err = otter_gattota_host_init(&u->host.gattota, &config);

    u->updater = otter_gattota_host_updater(&u->host.gattota);
    return err;
}

/* The better one first. */
static const struct otter_gatt_protocol protocols[] = {
    {.name = "espble",
     .service = &otter_espble_service,
     .firmware = OTTER_ESPBLE_RECV_FW,
     .answers = {OTTER_ESPBLE_RECV_FW, OTTER_ESPBLE_COMMAND_CHAR},
     .answer_count = 2,
     .recognise = otter_espble_recognise,
     .init = init_espble},
    {.name = "gattota",
     .service = &otter_gattota_service,
     .firmware = OTTER_GATTOTA_DATA,
     .answers = {OTTER_GATTOTA_CONTROL},
     .answer_count = 1,
     .recognise = otter_gattota_recognise,
     .init = init_gattota},
};

/* ---- what the observer hears --------------------------------------------------------------------
 */

static void enter(struct otter_gatt_update *u, enum otter_target_phase phase)
{
    u->phase = phase;
    if (u->observer != NULL && u->observer->phase != NULL) {
        u->observer->phase(u->observer->ctx, phase);
    }
}

static void trace(struct otter_gatt_update *u, bool out, uint8_t id, bool request,
                  const uint8_t *data, size_t len)
{
    char line[160];

    if (u->observer != NULL && u->observer->detail != NULL) {
        otter_gatt_trace(u->protocol->service, out, id, request, data, len, line, sizeof(line));
        u->observer->detail(u->observer->ctx, line);
    }
}

/* ---- between the link and the updater -----------------------------------------------------------
 */

static void on_received(void *ctx, size_t index, const uint8_t *data, size_t len)
{
    struct otter_gatt_update *u = ctx;

    for (uint8_t id = 0; u->updater.ops != NULL && id < u->protocol->service->count; id++) {
        if (u->index[id] == (int)index) {
            trace(u, false, id, false, data, len);
            u->updater.ops->received(u->updater.updater, id, data, len);
            return;
        }
    }
}

static void on_written(void *ctx, uint8_t att)
{
    struct otter_gatt_update *u = ctx;

    if (u->asking) {
        u->asking = false;
        u->asked = att;
    } else if (u->updater.ops != NULL) {
        u->updater.ops->written(u->updater.updater, att);
    }
}

struct otter_gatt_handlers otter_gatt_update_handlers(struct otter_gatt_update *update)
{
    return (struct otter_gatt_handlers){
        .received = on_received, .written = on_written, .ctx = update};
}

static otter_err client_write(void *ctx, uint8_t id, bool request, const uint8_t *data, size_t len)
{
    struct otter_gatt_update *u = ctx;

    otter_err err = u->link.ops->write(u->link.link, (size_t)u->index[id], request, data, len);
    if (err == OTTER_OK) {
        trace(u, true, id, request, data, len);
    }
    return err;
}

static otter_err source_read(void *ctx, uint32_t offset, uint8_t *buf, size_t len)
{
    const struct otter_gatt_update *u = ctx;

    if (offset > u->len || len > u->len - offset) {
        return OTTER_ERR_BOUNDS;
    }
    memcpy(buf, u->data + offset, len);
    return OTTER_OK;
}

/* ---- the steps of an update: each returns false when it has ended with u->result
 * ------------------ */

static bool load(struct otter_gatt_update *u, struct otter_firmware *firmware)
{
    otter_err err = otter_firmware_load(firmware, &u->data, &u->len);

    if (err != OTTER_OK) {
        otter_target_end(u->result,
                         err == OTTER_ERR_TOO_LARGE ? OTTER_TARGET_BAD_IMAGE : OTTER_TARGET_FAILED,
                         err, "%s", firmware->error);
        return false;
    }
    return otter_target_check_image(u->data, u->len, firmware->name, NULL, u->options, &u->facts,
                                    u->result);
}

/* In the words of the link, where it has any. */
static const char *reason(const struct otter_gatt_update *u, otter_err err)
{
    return u->link.message[0] != '\0' ? u->link.message : otter_err_text(err);
}

static bool end_by_link(struct otter_gatt_update *u, otter_err err, const char *doing)
{
    if (err == OTTER_ERR_CANCELLED) {
        otter_target_end(u->result, OTTER_TARGET_FAILED, err,
                         "stopped before anything was sent; the device is as it was");
    } else {
        otter_target_end(u->result, OTTER_TARGET_LINK_FAILED, err, "%s: %s", doing, reason(u, err));
    }
    return false;
}

static bool connect_to(struct otter_gatt_update *u, const char *address)
{
    uint16_t mtu = u->options->mtu != 0 ? u->options->mtu : OTTER_GATT_MTU_MAX;

    enter(u, OTTER_TARGET_CONNECTING);
    otter_err err = u->link.ops->open(u->link.link, address, mtu, OPEN_MS);
    if (err == OTTER_ERR_CANCELLED) {
        return end_by_link(u, err, "");
    }
    if (err != OTTER_OK) {
        otter_target_end(u->result,
                         err == OTTER_ERR_ARG ? OTTER_TARGET_BAD_ADDRESS : OTTER_TARGET_LINK_FAILED,
                         err, "%s", u->link.message);
        return false;
    }
    err = otter_gatt_identify(u->link, &u->result->before);
    if (err != OTTER_OK) {
        return end_by_link(u, err, "the device could not be asked what it is");
    }
    if (u->observer != NULL && u->observer->device != NULL) {
        u->observer->device(u->observer->ctx, &u->result->before);
    }
    return true;
}

static bool choose_protocol(struct otter_gatt_update *u)
{
    const struct otter_gatt_found *found;
    size_t count = u->link.ops->found(u->link.link, &found);
    const char *wanted = u->options->protocol;

    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        const struct otter_gatt_protocol *p = &protocols[i];

        if ((wanted == NULL || strcmp(wanted, p->name) == 0) &&
            p->recognise(found, count, u->index)) {
            u->protocol = p;
            for (uint8_t id = 0; id < p->service->count; id++) {
                u->props[id] = u->index[id] >= 0 ? found[u->index[id]].props : 0;
            }
            return true;
        }
    }
    otter_target_end(u->result, OTTER_TARGET_REFUSED, OTTER_ERR_UNSUPPORTED,
                     wanted != NULL ? "the device does not offer updates by %s"
                                    : "the device offers no update service that Otter knows%s",
                     wanted != NULL ? wanted : "");
    return false;
}

static bool subscribe(struct otter_gatt_update *u)
{
    for (uint8_t i = 0; i < u->protocol->answer_count; i++) {
        uint8_t id = u->protocol->answers[i];
        uint16_t cccd = otter_gatt_subscription(u->props[id]);

        if (cccd == OTTER_GATT_CCCD_NONE) {
            continue;
        }
        otter_err err = u->link.ops->subscribe(u->link.link, (size_t)u->index[id], cccd);
        if (err == OTTER_ERR_REFUSED) {
            otter_target_end(
                u->result, OTTER_TARGET_REFUSED, err, "the device refuses to be subscribed to: %s",
                u->link.message[0] != '\0' ? u->link.message : "it may ask for pairing");
            return false;
        }
        /* Without a CCCD some devices notify all the same. */
        if (err != OTTER_OK && err != OTTER_ERR_UNSUPPORTED) {
            return end_by_link(u, err, "the device did not answer");
        }
    }
    return true;
}

static void note(struct otter_gatt_update *u, const char *line)
{
    if (u->observer != NULL && u->observer->detail != NULL) {
        u->observer->detail(u->observer->ctx, line);
    }
}

/* Asks the device to take an older version, where it can be asked; it decides. */
static bool ask_older(struct otter_gatt_update *u)
{
    static const char words[] = OTTER_IDENTITY_ASK_OLDER;
    const struct otter_gatt_found *found;
    size_t count = u->link.ops->found(u->link.link, &found);
    int index[OTTER_ESPBLE_CHARS];
    uint32_t end = otter_clock_ms() + OPEN_MS;

    if (!u->options->allow_downgrade) {
        return true;
    }
    if (!u->result->before.asks_older || !otter_espble_recognise(found, count, index) ||
        index[OTTER_ESPBLE_CUSTOMER] < 0) {
        note(u, "this device cannot be asked about older versions; it decides by its own rule");
        return true;
    }
    otter_err err = OTTER_ERR_AGAIN;
    u->asking = true;
    u->asked = OTTER_ATT_OK;
    while (u->asking && (int32_t)(end - otter_clock_ms()) > 0) {
        if (err == OTTER_ERR_AGAIN) {
            err = u->link.ops->write(u->link.link, (size_t)index[OTTER_ESPBLE_CUSTOMER], true,
                                     (const uint8_t *)words, sizeof(words) - 1);
        }
        if ((err != OTTER_OK && err != OTTER_ERR_AGAIN) ||
            (u->asking && u->link.ops->wait(u->link.link, 100) != OTTER_OK)) {
            return end_by_link(u, OTTER_ERR_LINK, "the device could not be asked");
        }
    }
    note(u, u->asking || u->asked != OTTER_ATT_OK ? "the device does not want to be asked"
                                                  : "the device was asked for an older version");
    u->asking = false;
    return true;
}

static void tell_progress(struct otter_gatt_update *u)
{
    const struct otter_gatt_status *status = u->updater.status;

    bool again = u->phase == OTTER_TARGET_FINISHING && !status->delivered;

    if (status->begun && u->phase == OTTER_TARGET_STARTING) {
        u->began_ms = otter_clock_ms();
        enter(u, OTTER_TARGET_SENDING);
    } else if (again) {
        enter(u, OTTER_TARGET_SENDING);
    }
    if (u->phase == OTTER_TARGET_SENDING && status->done != u->result->sent) {
        u->result->sent = status->done;
        if (u->observer != NULL && u->observer->progress != NULL) {
            u->observer->progress(u->observer->ctx, status->done, status->total);
        }
    }
    if (u->phase == OTTER_TARGET_SENDING && status->delivered) {
        u->result->send_ms = otter_clock_ms() - u->began_ms;
        enter(u, OTTER_TARGET_FINISHING);
    }
}

/* Runs the updater to its end. */
static void transfer(struct otter_gatt_update *u)
{
    const struct otter_gatt_updater *up = &u->updater;
    const volatile sig_atomic_t *cancel = u->observer != NULL ? u->observer->cancel : NULL;
    bool cancelled = false;

    for (;;) {
        uint32_t next = up->ops->poll(up->updater, otter_clock_ms());

        tell_progress(u);
        if (up->status->finished) {
            return;
        }
        if (cancel != NULL && *cancel > 0 && !cancelled) {
            cancelled = true;
            up->ops->cancel(up->updater);
            continue;
        }
        if ((cancel != NULL && *cancel > 1) || u->link.ops->wait(u->link.link, next) != OTTER_OK) {
            up->ops->lost(up->updater);
        }
    }
}

/* Why the device said no, as far as it can be told. */
static void explain_refusal(struct otter_gatt_update *u)
{
    const struct otter_gatt_status *status = u->updater.status;
    char error[64] = "";
    const char *why = "it does not say why";

    if (status->att == OTTER_ATT_INSUFFICIENT_AUTHENTICATION ||
        status->att == OTTER_ATT_INSUFFICIENT_ENCRYPTION) {
        why = "it takes updates from paired machines only, and pairing did not succeed (by hand: "
              "bluetoothctl pair ADDRESS)";
    } else if (status->att == OTTER_ATT_IN_PROGRESS) {
        why = "it is serving somebody else";
    } else if (status->att != OTTER_ATT_OK && status->att != OTTER_ATT_WRITE_REJECTED) {
        snprintf(error, sizeof(error), "the device refused a write: %s",
                 otter_att_error_text(status->att));
        why = error;
    } else if (u->result->before.state == OTTER_TARGET_STATE_PENDING) {
        why = "it has not confirmed the image that runs now";
    } else if (status->done == 0) {
        why = "another update may be running, or it does not take this image: its chip, size, "
              "project or version (the device's log says which)";
    } else if (status->done == status->total) {
        why = "it has all of the image and does not accept it: damaged, or signed with a key that "
              "it does not trust (the device's log says which)";
    } else if (status->att == OTTER_ATT_WRITE_REJECTED) {
        why = "it has ended the update: the image may be larger than its slot (the device's log "
              "says more)";
    }
    otter_target_end(u->result, OTTER_TARGET_REFUSED, OTTER_ERR_REFUSED,
                     "the device refused the update: %s; its firmware stays", why);
}

static bool judge_transfer(struct otter_gatt_update *u)
{
    const struct otter_gatt_status *status = u->updater.status;

    switch (status->result) {
    case OTTER_OK:
        return true;
    case OTTER_ERR_REFUSED:
        explain_refusal(u);
        return false;
    case OTTER_ERR_CANCELLED:
        otter_target_end(u->result, OTTER_TARGET_FAILED, OTTER_ERR_CANCELLED,
                         "stopped after %u of %u bytes; the device keeps its firmware",
                         status->done, status->total);
        return false;
    default:
        if (otter_target_cancelled(u->observer)) {
            otter_target_end(u->result, OTTER_TARGET_FAILED, OTTER_ERR_CANCELLED,
                             "stopped at once after %u of %u bytes; the device was not told, it "
                             "keeps its firmware",
                             status->done, status->total);
            return false;
        }
        otter_target_end(u->result, OTTER_TARGET_LINK_FAILED, status->result,
                         "after %u of %u bytes: %s; the device keeps its firmware", status->done,
                         status->total,
                         status->result == OTTER_ERR_LINK ? reason(u, status->result)
                                                          : otter_err_text(status->result));
        return false;
    }
}

/* gattota: up to twice as many packets wait in the device. espble: the device says how many. */
static uint8_t window(const struct otter_gatt_update *u)
{
    if (u->options->window != 0) {
        return (uint8_t)(u->options->window < UINT8_MAX ? u->options->window : UINT8_MAX);
    }
    return u->result->before.buffered ? OTTER_IDENTITY_BUFFERED / 2 : 0;
}

static bool send_image(struct otter_gatt_update *u)
{
    const struct otter_target_options *options = u->options;
    struct otter_gatt_host_config gatt = {
        .client = {.write = client_write, .ctx = u},
        .mtu = u->link.ops->mtu(u->link.link),
        .packet = options->packet_size,
        .data_props = u->props[u->protocol->firmware],
        .window = window(u),
        .retries = options->no_retries                        ? OTTER_GATT_NO_RETRIES
                   : options->retries < OTTER_GATT_NO_RETRIES ? (uint8_t)options->retries
                                                              : OTTER_GATT_NO_RETRIES - 1u,
        .requests = options->response,
    };
    struct otter_source source = {.read = source_read, .ctx = u, .length = (uint32_t)u->len};

    enter(u, OTTER_TARGET_STARTING);
    if (u->observer != NULL && u->observer->detail != NULL) {
        char line[64];

        snprintf(line, sizeof(line), "%s, ATT MTU %u", u->protocol->name, gatt.mtu);
        u->observer->detail(u->observer->ctx, line);
    }
    otter_err err = u->protocol->init(u, &gatt, source);
    if (err != OTTER_OK) {
        u->updater.ops = NULL;
        otter_target_end(u->result, OTTER_TARGET_FAILED, err, "the update cannot begin: %s",
                         otter_err_text(err));
        return false;
    }
    u->began_ms = otter_clock_ms();
    transfer(u);
    uint32_t spent = otter_clock_ms() - u->began_ms;
    if (u->phase != OTTER_TARGET_FINISHING) {
        u->result->send_ms = spent;
    }
    u->result->verify_ms = spent - u->result->send_ms;
    u->result->resent = u->updater.status->resent;
    return judge_transfer(u);
}

/* ---- all of it
 * ----------------------------------------------------------------------------------- */

static void run(struct otter_gatt_update *u, const char *address, struct otter_firmware *firmware)
{
    if (!load(u, firmware) || !connect_to(u, address) || !choose_protocol(u) ||
        !otter_target_check_image(u->data, u->len, firmware->name, &u->result->before, u->options,
                                  &u->facts, u->result) ||
        !subscribe(u) || !ask_older(u) || !send_image(u)) {
        return;
    }
    if (u->options->no_wait) {
        otter_target_end(u->result, OTTER_TARGET_UPDATED, OTTER_OK,
                         u->updater.status->answered
                             ? "the device took the image and restarts"
                             : "the device has the whole image and went away, as some do when they "
                               "restart");
        return;
    }
    otter_gatt_wait(u, address);
}

void otter_gatt_update_run(struct otter_gatt_update *update, struct otter_gatt_link link,
                           const char *address, struct otter_firmware *firmware,
                           const struct otter_target_options *options,
                           const struct otter_target_observer *observer,
                           struct otter_target_result *result)
{
    uint32_t start = otter_clock_ms();

    *result = (struct otter_target_result){0};
    update->link = link;
    update->options = options;
    update->observer = observer;
    update->result = result;
    run(update, address, firmware);
    link.ops->close(link.link);
    free(update->data);
    update->data = NULL;
    result->elapsed_ms = otter_clock_ms() - start;
}
