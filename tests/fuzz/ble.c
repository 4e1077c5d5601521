/* SPDX-License-Identifier: Apache-2.0 */
#include "ble.h"

#include <string.h>

#define STEPS_MAX 100000u

/* ---- around a device ----------------------------------------------------------------------- */

static otter_err sink_begin(void *ctx, uint32_t length)
{
    struct ble_device *d = ctx;

    FUZZ_HOLDS(!d->selected);
    d->open = false;
    if (length == 0 || (length != OTTER_LENGTH_UNKNOWN && length > BLE_LEN_MAX)) {
        return OTTER_ERR_TOO_LARGE;
    }
    d->open = true;
    d->finishing = false;
    d->length = length;
    d->written = 0;
    return OTTER_OK;
}

static otter_err sink_write(void *ctx, const uint8_t *data, size_t len, size_t *used)
{
    struct ble_device *d = ctx;

    FUZZ_HOLDS(d->open && !d->finishing && len > 0);
    FUZZ_HOLDS(d->length == OTTER_LENGTH_UNKNOWN || len <= d->length - d->written);
    *used = len > ++d->steps ? d->steps : len; /* a step takes as little as it likes */
    *used -= d->steps % 4 == 0 ? *used : 0;
    uint32_t sum = 0;
    for (size_t i = 0; i < len; i++) { /* every byte may be looked at */
        sum += data[i];
    }
    if (d->steps == 199 && sum % 7 == 0) {
        d->open = false;
        return OTTER_ERR_FLASH_WRITE;
    }
    d->written += (uint32_t)*used;
    return OTTER_OK;
}

static otter_err sink_finish(void *ctx)
{
    struct ble_device *d = ctx;

    FUZZ_HOLDS(d->open);
    FUZZ_HOLDS(d->length == OTTER_LENGTH_UNKNOWN || d->written == d->length);
    if (!d->finishing) {
        d->finishing = true;
        return OTTER_ERR_AGAIN;
    }
    d->open = false;
    d->selected = d->written % 3 != 1;
    return d->selected ? OTTER_OK : OTTER_ERR_IMAGE_DIGEST;
}

static void sink_abort(void *ctx)
{
    ((struct ble_device *)ctx)->open = false;
}

struct otter_sink ble_sink(struct ble_device *device)
{
    static const struct otter_sink_ops ops = {sink_begin, sink_write, sink_finish, sink_abort};

    return (struct otter_sink){&ops, device};
}

static otter_err server_send(void *ctx, uint16_t conn, const struct otter_gatt_char *chr,
                             const uint8_t *data, size_t len)
{
    struct ble_device *d = ctx;

    FUZZ_HOLDS(conn < 4 && chr->id < d->mount.table->count);
    FUZZ_HOLDS(chr == &d->mount.table->chars[chr->id]);
    FUZZ_HOLDS((chr->props & (OTTER_GATT_NOTIFY | OTTER_GATT_INDICATE)) != 0);
    FUZZ_HOLDS(len <= OTTER_GATT_MTU_MIN - 3);
    return d->full ? OTTER_ERR_AGAIN : OTTER_OK;
}

struct otter_gatt_server ble_server(struct ble_device *device)
{
    return (struct otter_gatt_server){server_send, device};
}

static void restart(void *ctx)
{
    struct ble_device *d = ctx;

    FUZZ_HOLDS(d->selected && !d->restarted);
    d->restarted = true;
}

struct otter_gatt_app ble_app(struct ble_device *device)
{
    return (struct otter_gatt_app){.restart = restart, .ctx = device};
}

void ble_rest(struct ble_device *device)
{
    unsigned steps = 0;

    while (!device->restarted &&
           device->mount.ops->poll(device->mount.service, device->now_ms) == 0) {
        FUZZ_HOLDS(++steps < STEPS_MAX);
    }
}

void ble_write(struct ble_device *device, uint16_t conn, uint8_t id, const uint8_t *data,
               size_t len)
{
    const struct otter_gatt_mount *m = &device->mount;
    uint8_t needed = OTTER_GATT_WRITE;

    if (device->restarted || (m->table->chars[id % m->table->count].props & needed) == 0) {
        return;
    }
    id %= m->table->count;
    if (m->ops->write(m->service, conn, id, data, len) == OTTER_ATT_HOLD) {
        ble_rest(device);
        if (!device->restarted) {
            FUZZ_HOLDS(m->ops->write(m->service, conn, id, data, len) != OTTER_ATT_HOLD);
        }
    }
}

void ble_lost(struct ble_device *device, uint16_t conn)
{
    if (!device->restarted) {
        device->mount.ops->disconnected(device->mount.service, conn);
    }
}

void ble_wait(struct ble_device *device, uint32_t ms)
{
    uint8_t value[2];

    device->now_ms += ms;
    ble_rest(device);
    FUZZ_HOLDS(device->mount.ops->read(device->mount.service, 0, value, 0) == 0);
    for (uint8_t id = 0; id < device->mount.table->count; id++) {
        FUZZ_HOLDS(device->mount.ops->read(device->mount.service, id, value, sizeof value) <= 2);
    }
}

/* ---- around a host ------------------------------------------------------------------------- */

static otter_err source_read(void *ctx, uint32_t offset, uint8_t *buf, size_t len)
{
    struct ble_host *h = ctx;

    FUZZ_HOLDS(len > 0 && offset <= h->length && len <= h->length - offset);
    memset(buf, (int)offset, len);
    return offset % 65521 == 4242 ? OTTER_ERR_FLASH_READ : OTTER_OK;
}

struct otter_source ble_source(struct ble_host *host)
{
    return (struct otter_source){source_read, host, host->length};
}

static otter_err client_write(void *ctx, uint8_t id, bool request, const uint8_t *data, size_t len)
{
    struct ble_host *h = ctx;

    FUZZ_HOLDS(!h->over && len > 0 && len <= OTTER_GATT_VALUE_MAX);
    FUZZ_HOLDS(!request || !h->waiting);
    for (size_t i = 0; i < len; i++) { /* every byte may be looked at */
        h->sum = (uint8_t)(h->sum ^ data[i]);
    }
    if (h->room == 0) {
        return OTTER_ERR_AGAIN;
    }
    h->room--;
    h->waiting |= request;
    return OTTER_OK;
}

struct otter_gatt_client ble_client(struct ble_host *host)
{
    return (struct otter_gatt_client){client_write, host};
}

void ble_poll_host(struct ble_host *host, uint32_t ms)
{
    const struct otter_gatt_status *s = host->updater.status;

    host->now_ms += ms;
    uint32_t wait = host->updater.ops->poll(host->updater.updater, host->now_ms);
    FUZZ_HOLDS(!s->finished || wait == OTTER_GATT_NEVER);
    FUZZ_HOLDS(s->finished || wait <= 60000); /* something is always awaited */
    FUZZ_HOLDS(s->done <= s->total);
    FUZZ_HOLDS(!host->over || (s->finished && s->result == host->result));
    FUZZ_HOLDS(!s->answered || s->result == OTTER_OK);
    host->over = s->finished;
    host->result = s->result;
}

void ble_written(struct ble_host *host, uint8_t att)
{
    if (host->waiting) {
        host->waiting = false;
        host->updater.ops->written(host->updater.updater, att);
    }
}
