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
#define BARRIER 16u /* packets: up to twice as many wait in a device, which has not much room */

#define AS_ENUM(name, text) name,
enum state { GATTOTA_HOST_STATES(AS_ENUM) };
enum event { GATTOTA_HOST_EVENTS(AS_ENUM) };
#undef AS_ENUM

/* ---- the link ------------------------------------------------------------------------------ */

static otter_err send(struct otter_gattota_host *h, enum otter_gattota_char chr, bool request,
                      const uint8_t *data, size_t len)
{
    otter_err err = otter_gatt_host_send(&h->gatt, (uint8_t)chr, request, data, len);

    if (err == OTTER_OK) {
        otter_gatt_host_arm(&h->gatt, ANSWER_MS);
    }
    return err;
}

/* ---- actions ------------------------------------------------------------------------------- */

static otter_err send_size(void *machine, void *arg)
{
    struct otter_gattota_host *h = machine;
    uint8_t size[GATTOTA_SIZE_LEN];
    struct otter_writer w = otter_writer_on(size, sizeof size);

    otter_write_u16(&w, h->gatt.status.packet);
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
        otter_gatt_host_arm(machine, DONE_MS);
    }
    return err;
}

static otter_err granted(void *machine, void *arg)
{
    struct otter_gattota_host *h = machine;

    h->offset = 0;
    h->gatt.packet_len = 0;
    h->since = 0;
    h->asked = 0;
    h->gatt.status.done = 0;
    h->gatt.status.begun = true;
    h->gatt.status.delivered = false;
    otter_gatt_host_arm(&h->gatt, ANSWER_MS);
    return OTTER_OK;
}

static otter_err next_packet(struct otter_gattota_host *h)
{
    const struct otter_source *source = &h->gatt.source;
    uint32_t left = source->length - h->offset;
    uint32_t n = left < h->gatt.status.packet ? left : h->gatt.status.packet;
    otter_err err = source->read(source->ctx, h->offset, h->gatt.packet, n);

    if (err == OTTER_OK) {
        h->gatt.packet_len = n;
        h->offset += n;
    }
    return err;
}

/* Until the link is full (OTTER_ERR_AGAIN) or everything is sent. */
static otter_err send_firmware(void *machine, void *arg)
{
    struct otter_gattota_host *h = machine;

    while (h->gatt.packet_len > 0 || h->offset < h->gatt.source.length) {
        otter_err err = h->gatt.packet_len > 0 ? OTTER_OK : next_packet(h);
        bool request = h->gatt.status.requests || h->since + 1 >= h->gatt.config.window;

        if (err == OTTER_OK) {
            err = send(h, OTTER_GATTOTA_DATA, request, h->gatt.packet, h->gatt.packet_len);
        }
        if (err != OTTER_OK) {
            return err;
        }
        h->since = request ? 0 : (uint8_t)(h->since + 1);
        h->asked = request ? h->offset : h->asked;
        h->gatt.packet_len = 0;
    }
    return OTTER_OK;
}

static otter_err from_start(void *machine, void *arg)
{
    struct otter_gattota_host *h = machine;

    if (!otter_gatt_host_try(&h->gatt)) {
        return OTTER_ERR_TIMEOUT;
    }
    h->gatt.status.resent++;
    otter_gatt_host_arm(&h->gatt, ANSWER_MS);
    return OTTER_OK;
}

/* The answer to DONE says so as well as the response to its write, and may come before it. */
static void delivered(struct otter_gattota_host *h)
{
    h->gatt.status.done = h->gatt.status.total;
    h->gatt.status.delivered = true;
}

static otter_err refused(void *machine, void *arg)
{
    return OTTER_ERR_REFUSED;
}

/* A packet may have been lost as a command. When all were requests, the device means it. */
static otter_err as_requests(void *machine, void *arg)
{
    struct otter_gattota_host *h = machine;

    if (h->gatt.state == ENDED) {
        delivered(h);
    }
    if (h->gatt.status.requests || from_start(machine, arg) != OTTER_OK) {
        return OTTER_ERR_REFUSED;
    }
    h->gatt.status.requests = true;
    return OTTER_OK;
}

static otter_err accepted(void *machine, void *arg)
{
    struct otter_gattota_host *h = machine;

    h->gatt.status.answered = true;
    delivered(h);
    return OTTER_OK;
}

/* ---- the table ----------------------------------------------------------------------------- */

#define AS_ROW(state, event, action, next, text) {state, event, next, FINISHED, action},
static const struct otter_fsm_row rows[] = {GATTOTA_HOST_ROWS(AS_ROW)};
static const struct otter_gatt_host_kind kind = {
    {rows, sizeof rows / sizeof rows[0], OTTER_ERR_AGAIN},
    FINISHED,
};

/* ---- the updater --------------------------------------------------------------------------- */

static void on_received(void *updater, uint8_t id, const uint8_t *data, size_t len)
{
    if (id != OTTER_GATTOTA_CONTROL || len != 1) {
        return;
    }
    switch (data[0]) {
    case GATTOTA_REQUEST_ACK:
        otter_gatt_host_event(updater, GRANTED, NULL);
        break;
    case GATTOTA_DONE_ACK:
        otter_gatt_host_event(updater, ACCEPTED, NULL);
        break;
    case GATTOTA_REQUEST_NAK:
    case GATTOTA_DONE_NAK:
        otter_gatt_host_event(updater, REFUSED, NULL);
        break;
    default:
        break;
    }
}

/* The device has taken what was written, and all that was before it on the link. */
static void on_written(void *updater, uint8_t att)
{
    struct otter_gattota_host *h = updater;

    otter_gatt_host_written(updater, att);
    if (att == OTTER_ATT_OK && h->gatt.state == ENDED) {
        delivered(h);
    } else if (att == OTTER_ATT_OK && (h->gatt.state == SENDING || h->gatt.state == ENDING)) {
        h->gatt.status.done = h->asked;
    }
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
    if (config->gatt.client.write == NULL || config->source.read == NULL) {
        return OTTER_ERR_ARG;
    }
    if (config->source.length == 0) {
        return OTTER_ERR_EMPTY;
    }
    memset(host, 0, sizeof *host);
    otter_gatt_host_init(&host->gatt, &kind, &config->gatt, RETRIES, &config->source);
    if (config->gatt.window == 0) {
        host->gatt.config.window = BARRIER;
    }
    host->gatt.status.window = host->gatt.config.window;
    otter_gatt_host_arm(&host->gatt, ANSWER_MS);
    return OTTER_OK;
}

struct otter_gatt_updater otter_gattota_host_updater(struct otter_gattota_host *host)
{
    static const struct otter_gatt_updater_ops ops = {
        otter_gatt_host_poll, on_received, on_written, otter_gatt_host_lost, otter_gatt_host_cancel,
    };

    return (struct otter_gatt_updater){&ops, host, &host->gatt.status};
}
