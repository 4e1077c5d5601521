/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GATT OTA, the host. Where data takes write commands, packets go out as commands and every Nth as
 * a request: ATT keeps the order, so its response says that all before it arrived.
 */
#include "otter/gattota.h"

#include <string.h>

#include "base/cursor.h"
#include "base/fsm.h"
#include "proto/gattota/host_table.h"
#include "proto/gattota/wire.h"

#define ANSWER_MS 30000u /* not shorter than what devices take: REQUEST may erase a whole slot */
#define DONE_MS 60000u
#define RETRIES 2u
#define BARRIER 16u /* packets */
#define PACKET_MIN (OTTER_GATT_MTU_MIN - 3)

#define AS_ENUM(name, text) name,
enum state { GATTOTA_HOST_STATES(AS_ENUM) };
enum event { GATTOTA_HOST_EVENTS(AS_ENUM) };
#undef AS_ENUM

/* ---- the link ------------------------------------------------------------------------------ */

/* A deadline ms from the next poll, which knows the time. */
static void arm(struct otter_gattota_host *h, uint32_t ms)
{
    h->wait_ms = ms;
}

static otter_err send(struct otter_gattota_host *h, enum otter_gattota_char chr, bool request,
                      const uint8_t *data, size_t len)
{
    const struct otter_gatt_client *client = &h->config.gatt.client;

    if (request && h->waiting) {
        return OTTER_ERR_AGAIN;
    }
    otter_err err = client->write(client->ctx, (uint8_t)chr, request, data, len);
    if (err == OTTER_OK) {
        h->waiting |= request;
        arm(h, ANSWER_MS);
    }
    return err;
}

/* ---- actions ------------------------------------------------------------------------------- */

static otter_err send_size(void *machine, void *arg)
{
    struct otter_gattota_host *h = machine;
    uint8_t size[GATTOTA_SIZE_LEN];
    struct otter_writer w = otter_writer_on(size, sizeof size);

    otter_write_u16(&w, h->status.packet);
    return send(h, OTTER_GATTOTA_DATA, true, size, sizeof size);
}

static otter_err send_control(struct otter_gattota_host *h, enum gattota_control value)
{
    uint8_t byte = (uint8_t)value;

    return send(h, OTTER_GATTOTA_CONTROL, true, &byte, 1);
}

static otter_err send_request(void *machine, void *arg)
{
    return send_control(machine, GATTOTA_REQUEST);
}

static otter_err send_done(void *machine, void *arg)
{
    otter_err err = send_control(machine, GATTOTA_DONE);

    if (err == OTTER_OK) {
        arm(machine, DONE_MS);
    }
    return err;
}

static otter_err granted(void *machine, void *arg)
{
    struct otter_gattota_host *h = machine;

    h->offset = 0;
    h->packet_len = 0;
    h->since = 0;
    h->status.done = 0;
    arm(h, ANSWER_MS);
    return OTTER_OK;
}

static otter_err next_packet(struct otter_gattota_host *h)
{
    const struct otter_source *source = &h->config.source;
    uint32_t left = source->length - h->offset;
    uint32_t n = left < h->status.packet ? left : h->status.packet;
    otter_err err = source->read(source->ctx, h->offset, h->packet, n);

    if (err == OTTER_OK) {
        h->packet_len = n;
        h->offset += n;
    }
    return err;
}

/* Until the link is full (OTTER_ERR_AGAIN) or everything is sent. */
static otter_err send_firmware(void *machine, void *arg)
{
    struct otter_gattota_host *h = machine;

    while (h->packet_len > 0 || h->offset < h->config.source.length) {
        otter_err err = h->packet_len > 0 ? OTTER_OK : next_packet(h);
        bool request = h->status.requests || h->since + 1 >= h->config.gatt.window;

        if (err == OTTER_OK) {
            err = send(h, OTTER_GATTOTA_DATA, request, h->packet, h->packet_len);
        }
        if (err != OTTER_OK) {
            return err;
        }
        h->since = request ? 0 : (uint8_t)(h->since + 1);
        h->packet_len = 0;
        h->status.done = h->offset;
    }
    return OTTER_OK;
}

static otter_err from_start(void *machine, void *arg)
{
    struct otter_gattota_host *h = machine;

    if (h->tries++ >= h->config.gatt.retries) {
        return OTTER_ERR_TIMEOUT;
    }
    h->status.resent++;
    arm(h, ANSWER_MS);
    return OTTER_OK;
}

static otter_err refused(void *machine, void *arg)
{
    return OTTER_ERR_REFUSED;
}

/* A packet may have been lost as a command. When all were requests, the device means it. */
static otter_err as_requests(void *machine, void *arg)
{
    struct otter_gattota_host *h = machine;

    if (h->status.requests || from_start(machine, arg) != OTTER_OK) {
        return OTTER_ERR_REFUSED;
    }
    h->status.requests = true;
    return OTTER_OK;
}

static otter_err accepted(void *machine, void *arg)
{
    struct otter_gattota_host *h = machine;

    h->status.answered = true;
    return OTTER_OK;
}

static otter_err att_error(void *machine, void *arg)
{
    struct otter_gattota_host *h = machine;

    h->status.att = *(const uint8_t *)arg;
    return OTTER_ERR_REFUSED;
}

static otter_err timed_out(void *machine, void *arg)
{
    return OTTER_ERR_TIMEOUT;
}

static otter_err lost(void *machine, void *arg)
{
    return OTTER_ERR_LINK;
}

static otter_err cancelled(void *machine, void *arg)
{
    return OTTER_ERR_CANCELLED;
}

/* ---- the table ----------------------------------------------------------------------------- */

#define AS_ROW(state, event, action, next, text) {state, event, next, FINISHED, action},
static const struct otter_fsm_row rows[] = {GATTOTA_HOST_ROWS(AS_ROW)};
static const struct otter_fsm fsm = {rows, sizeof rows / sizeof rows[0], OTTER_ERR_AGAIN};

static void run(struct otter_gattota_host *h, enum event event, void *arg)
{
    otter_err err = otter_fsm_event(&fsm, &h->state, (uint8_t)event, h, arg);

    if (h->state == FINISHED && !h->status.finished) {
        h->status.finished = true;
        h->status.result = err;
        h->armed = false;
        h->wait_ms = 0;
    }
}

/* ---- the updater --------------------------------------------------------------------------- */

static void take_deadline(struct otter_gattota_host *h, uint32_t now_ms)
{
    if (h->wait_ms > 0) {
        h->deadline_ms = now_ms + h->wait_ms;
        h->wait_ms = 0;
        h->armed = true;
    }
}

static uint32_t on_poll(void *updater, uint32_t now_ms)
{
    struct otter_gattota_host *h = updater;

    take_deadline(h, now_ms);
    if (h->armed && (int32_t)(now_ms - h->deadline_ms) >= 0) {
        h->armed = false;
        run(h, TIMEOUT, NULL);
    }
    /* A step may lead to the next state, which has a step of its own. */
    for (uint8_t before = FINISHED; before != h->state;) {
        before = h->state;
        run(h, STEP, NULL);
    }
    take_deadline(h, now_ms);
    return h->armed ? h->deadline_ms - now_ms : OTTER_GATT_NEVER;
}

static void on_received(void *updater, uint8_t id, const uint8_t *data, size_t len)
{
    if (id != OTTER_GATTOTA_CONTROL || len != 1) {
        return;
    }
    switch (data[0]) {
    case GATTOTA_REQUEST_ACK:
        run(updater, GRANTED, NULL);
        break;
    case GATTOTA_DONE_ACK:
        run(updater, ACCEPTED, NULL);
        break;
    case GATTOTA_REQUEST_NAK:
    case GATTOTA_DONE_NAK:
        run(updater, REFUSED, NULL);
        break;
    default:
        break;
    }
}

static void on_written(void *updater, uint8_t att)
{
    struct otter_gattota_host *h = updater;

    h->waiting = false;
    if (att != OTTER_ATT_OK) {
        run(h, ATT_ERROR, &att);
    }
}

static void on_lost(void *updater)
{
    run(updater, LOST, NULL);
}

static void on_cancel(void *updater)
{
    run(updater, CANCEL, NULL);
}

/* ---- public -------------------------------------------------------------------------------- */

bool otter_gattota_recognise(const struct otter_gatt_found *found, size_t count,
                             int index[OTTER_GATTOTA_CHARS])
{
    otter_gatt_find(&otter_gattota_service, found, count, index);
    return index[OTTER_GATTOTA_CONTROL] >= 0 && index[OTTER_GATTOTA_DATA] >= 0;
}

otter_err otter_gattota_host_init(struct otter_gattota_host *host,
                                  const struct otter_gattota_host_config *config)
{
    uint32_t packet = config->gatt.mtu > OTTER_GATT_MTU_MIN ? config->gatt.mtu - 3u : PACKET_MIN;

    if (config->gatt.client.write == NULL || config->source.read == NULL) {
        return OTTER_ERR_ARG;
    }
    if (config->source.length == 0) {
        return OTTER_ERR_EMPTY;
    }
    memset(host, 0, sizeof *host);
    host->config = *config;
    if (config->gatt.retries == 0) {
        host->config.gatt.retries = RETRIES;
    } else if (config->gatt.retries == OTTER_GATT_NO_RETRIES) {
        host->config.gatt.retries = 0;
    }
    if (config->gatt.window == 0) {
        host->config.gatt.window = BARRIER;
    }
    if (config->gatt.packet > 0 && config->gatt.packet < packet) {
        packet = config->gatt.packet;
    }
    host->status.packet = (uint16_t)(packet < OTTER_GATT_VALUE_MAX ? packet : OTTER_GATT_VALUE_MAX);
    host->status.total = config->source.length;
    host->status.window = host->config.gatt.window;
    host->status.requests =
        config->gatt.requests || (config->gatt.data_props & OTTER_GATT_WRITE_COMMAND) == 0;
    arm(host, ANSWER_MS);
    return OTTER_OK;
}

struct otter_gatt_updater otter_gattota_host_updater(struct otter_gattota_host *host)
{
    static const struct otter_gatt_updater_ops ops = {
        on_poll, on_received, on_written, on_lost, on_cancel,
    };

    return (struct otter_gatt_updater){&ops, host, &host->status};
}
