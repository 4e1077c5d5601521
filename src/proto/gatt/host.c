/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/gatt/host.h"

#include <string.h>

#define AS_ENUM(name, text) name,
enum event { GATT_HOST_EVENTS(AS_ENUM) };

void otter_gatt_host_init(struct otter_gatt_host *host, const struct otter_gatt_host_kind *kind,
                          const struct otter_gatt_host_config *config, uint8_t retries,
                          const struct otter_source *source)
{
    uint32_t packet = config->mtu > OTTER_GATT_MTU_MIN ? config->mtu - 3u : GATT_PACKET_MIN;

    memset(host, 0, sizeof *host);
    host->kind = kind;
    host->config = *config;
    host->source = *source;
    if (config->retries == 0) {
        host->config.retries = retries;
    } else if (config->retries == OTTER_GATT_NO_RETRIES) {
        host->config.retries = 0;
    }
    if (config->packet > 0 && config->packet < packet) {
        packet = config->packet;
    }
    host->status.packet = (uint16_t)(packet < OTTER_GATT_VALUE_MAX ? packet : OTTER_GATT_VALUE_MAX);
    host->status.total = source->length;
    host->status.requests =
        config->requests || (config->data_props & OTTER_GATT_WRITE_COMMAND) == 0;
}

void otter_gatt_host_arm(struct otter_gatt_host *host, uint32_t ms)
{
    host->wait_ms = ms;
}

otter_err otter_gatt_host_send(struct otter_gatt_host *host, uint8_t id, bool request,
                               const uint8_t *data, size_t len)
{
    const struct otter_gatt_client *client = &host->config.client;

    if (request && host->waiting) {
        return OTTER_ERR_AGAIN;
    }
    otter_err err = client->write(client->ctx, id, request, data, len);
    if (err == OTTER_OK) {
        host->waiting |= request;
    }
    return err;
}

bool otter_gatt_host_try(struct otter_gatt_host *host)
{
    return host->tries++ < host->config.retries;
}

void otter_gatt_host_event(struct otter_gatt_host *host, uint8_t event, void *arg)
{
    otter_err err = otter_fsm_event(&host->kind->fsm, &host->state, event, host, arg);

    if (host->state == host->kind->done && !host->status.finished) {
        host->status.finished = true;
        host->status.result = err;
        host->armed = false;
        host->wait_ms = 0;
    }
}

/* ---- the updater --------------------------------------------------------------------------- */

static void take_deadline(struct otter_gatt_host *host, uint32_t now_ms)
{
    if (host->wait_ms > 0) {
        host->deadline_ms = now_ms + host->wait_ms;
        host->wait_ms = 0;
        host->armed = true;
    }
}

uint32_t otter_gatt_host_poll(void *updater, uint32_t now_ms)
{
    struct otter_gatt_host *host = updater;

    take_deadline(host, now_ms);
    if (host->armed && (int32_t)(now_ms - host->deadline_ms) >= 0) {
        host->armed = false;
        otter_gatt_host_event(host, TIMEOUT, NULL);
    }
    /* A step may lead to the next state, which has a step of its own. */
    for (uint8_t before = host->kind->done; before != host->state;) {
        before = host->state;
        otter_gatt_host_event(host, STEP, NULL);
    }
    take_deadline(host, now_ms);
    return host->armed ? host->deadline_ms - now_ms : OTTER_GATT_NEVER;
}

void otter_gatt_host_written(void *updater, uint8_t att)
{
    struct otter_gatt_host *host = updater;

    host->waiting = false;
    if (att != OTTER_ATT_OK) {
        otter_gatt_host_event(host, ATT_ERROR, &att);
    }
}

void otter_gatt_host_lost(void *updater)
{
    otter_gatt_host_event(updater, LOST, NULL);
}

void otter_gatt_host_cancel(void *updater)
{
    otter_gatt_host_event(updater, CANCEL, NULL);
}

/* ---- actions ------------------------------------------------------------------------------- */

otter_err gatt_att_error(void *machine, void *att)
{
    struct otter_gatt_host *host = machine;

    host->status.att = *(const uint8_t *)att;
    return OTTER_ERR_REFUSED;
}

otter_err gatt_timed_out(void *host, void *arg)
{
    return OTTER_ERR_TIMEOUT;
}

otter_err gatt_lost(void *host, void *arg)
{
    return OTTER_ERR_LINK;
}

otter_err gatt_cancelled(void *host, void *arg)
{
    return OTTER_ERR_CANCELLED;
}
