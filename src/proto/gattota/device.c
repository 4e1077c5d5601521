/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GATT OTA, the device. Packets of any size pass through a ring of bytes:
 *
 *   buf  +-----------+=============+--------+
 *        | free      | fill bytes  | free   |
 *        +-----------+=============+--------+
 *                    head: to flash  next packet goes here, or is held when it does not fit
 */
#include "otter/gattota.h"

#include <string.h>

#include "base/fsm.h"
#include "proto/gattota/device_table.h"
#include "proto/gattota/wire.h"

#define IDLE_MS 60000u
#define RESTART_MS 500u

#define AS_ENUM(name, text) name,
enum state { GATTOTA_DEVICE_STATES(AS_ENUM) };
enum event { GATTOTA_DEVICE_EVENTS(AS_ENUM) };
#undef AS_ENUM

/* What EVENT DATA carries. */
struct data {
    const uint8_t *bytes;
    size_t len;
};

/* ---- answers ------------------------------------------------------------------------------- */

static otter_err notify(struct otter_gattota_device *d, uint16_t conn, uint8_t value)
{
    return d->config.server.send(d->config.server.ctx, conn,
                                 &otter_gattota_service.chars[OTTER_GATTOTA_CONTROL], &value, 1);
}

static bool from_owner(const struct otter_gattota_device *d, uint16_t conn)
{
    return d->answer && conn == d->owner;
}

/* False when the link has no room. */
static bool flush(struct otter_gattota_device *d)
{
    if (d->due && d->answer && notify(d, d->owner, d->value) == OTTER_ERR_AGAIN) {
        return false;
    }
    d->due = false;
    return true;
}

static void tell(struct otter_gattota_device *d, enum gattota_control value)
{
    d->value = (uint8_t)value;
    d->due = true;
}

/* ---- actions ------------------------------------------------------------------------------- */

static otter_err take_request(void *machine, void *arg)
{
    struct otter_gattota_device *d = machine;

    d->fill = 0;
    return OTTER_OK;
}

static otter_err begin(void *machine, void *arg)
{
    struct otter_gattota_device *d = machine;
    otter_err err = d->config.sink.ops->begin(d->config.sink.ctx, OTTER_LENGTH_UNKNOWN);

    tell(d, err == OTTER_OK ? GATTOTA_REQUEST_ACK : GATTOTA_REQUEST_NAK);
    return err;
}

static otter_err hold(void *machine, void *arg)
{
    return OTTER_ERR_BUSY;
}

static otter_err give_up(void *machine, void *arg)
{
    struct otter_gattota_device *d = machine;

    d->config.sink.ops->abort(d->config.sink.ctx);
    return OTTER_OK;
}

static otter_err take_size(void *machine, void *arg)
{
    const struct data *data = arg;

    return data->len == GATTOTA_SIZE_LEN ? OTTER_OK : OTTER_ERR_REFUSED;
}

static otter_err take_data(void *machine, void *arg)
{
    struct otter_gattota_device *d = machine;
    const struct data *data = arg;
    uint32_t size = d->config.buf_size;
    uint32_t len = (uint32_t)data->len;

    if (len > size - d->fill) {
        return len > size ? OTTER_ERR_REFUSED : OTTER_ERR_BUSY;
    }
    uint32_t at = (d->head + d->fill) % size;
    uint32_t first = len < size - at ? len : size - at;
    memcpy(d->config.buf + at, data->bytes, first);
    memcpy(d->config.buf, data->bytes + first, len - first);
    d->fill += len;
    return OTTER_OK;
}

static otter_err write_step(struct otter_gattota_device *d)
{
    uint32_t to_end = d->config.buf_size - d->head;
    uint32_t len = d->fill < to_end ? d->fill : to_end;
    size_t used = 0;
    otter_err err =
        d->config.sink.ops->write(d->config.sink.ctx, d->config.buf + d->head, len, &used);

    if (err == OTTER_OK) {
        d->head = (d->head + (uint32_t)used) % d->config.buf_size;
        d->fill -= (uint32_t)used;
        err = OTTER_ERR_AGAIN;
    }
    return err;
}

static otter_err write_flash(void *machine, void *arg)
{
    struct otter_gattota_device *d = machine;
    otter_err err = write_step(d);

    if (err != OTTER_ERR_AGAIN) {
        tell(d, GATTOTA_DONE_NAK);
    }
    return err;
}

static otter_err check(void *machine, void *arg)
{
    struct otter_gattota_device *d = machine;

    if (d->fill > 0) {
        return write_flash(machine, arg);
    }
    otter_err err = d->config.sink.ops->finish(d->config.sink.ctx);
    if (err != OTTER_ERR_AGAIN) {
        tell(d, err == OTTER_OK ? GATTOTA_DONE_ACK : GATTOTA_DONE_NAK);
        d->touched = true; /* from here the restart is counted */
    }
    return err;
}

static otter_err restart(void *machine, void *arg)
{
    struct otter_gattota_device *d = machine;

    d->config.app.restart(d->config.app.ctx);
    return OTTER_OK;
}

/* ---- the table ----------------------------------------------------------------------------- */

#define AS_ROW(state, event, action, next, failed, text) {state, event, next, failed, action},
static const struct otter_fsm_row rows[] = {GATTOTA_DEVICE_ROWS(AS_ROW)};
static const struct otter_fsm fsm = {rows, sizeof rows / sizeof rows[0], OTTER_ERR_REFUSED};

static otter_err run(struct otter_gattota_device *d, enum event event, void *arg)
{
    return otter_fsm_event(&fsm, &d->state, (uint8_t)event, d, arg);
}

/* ---- the service --------------------------------------------------------------------------- */

/* A stranger is answered at once or not at all. */
static enum otter_att on_control(struct otter_gattota_device *d, uint16_t conn, uint8_t value)
{
    if (value == GATTOTA_NOP) {
        return OTTER_ATT_OK;
    }
    if (value != GATTOTA_REQUEST && value != GATTOTA_DONE) {
        return OTTER_ATT_VALUE_NOT_ALLOWED;
    }
    uint8_t nak = value == GATTOTA_REQUEST ? GATTOTA_REQUEST_NAK : GATTOTA_DONE_NAK;
    if (!from_owner(d, conn)) {
        (void)!notify(d, conn, nak);
        return OTTER_ATT_OK;
    }
    otter_err err = run(d, value == GATTOTA_REQUEST ? REQUEST : DONE, NULL);
    if (err == OTTER_ERR_REFUSED) {
        tell(d, nak);
    }
    return err == OTTER_ERR_BUSY ? OTTER_ATT_HOLD : OTTER_ATT_OK;
}

static enum otter_att on_write(void *service, uint16_t conn, uint8_t id, const uint8_t *bytes,
                               size_t len)
{
    struct otter_gattota_device *d = service;
    struct data data = {bytes, len};

    if (d->state == IDLE && !from_owner(d, conn)) {
        d->owner = conn;
        d->answer = true;
        d->due = false;
    }
    d->touched |= from_owner(d, conn) && d->state != SELECTED;
    if (id == OTTER_GATTOTA_CONTROL) {
        return len == 1 ? on_control(d, conn, bytes[0]) : OTTER_ATT_INVALID_LENGTH;
    }
    otter_err err = from_owner(d, conn) ? run(d, DATA, &data) : OTTER_ERR_REFUSED;
    return err == OTTER_OK         ? OTTER_ATT_OK
           : err == OTTER_ERR_BUSY ? OTTER_ATT_HOLD
                                   : OTTER_ATT_WRITE_REJECTED;
}

static size_t on_read(void *service, uint8_t id, uint8_t *out, size_t cap)
{
    const struct otter_gattota_device *d = service;

    if (id != OTTER_GATTOTA_CONTROL || cap == 0) {
        return 0;
    }
    out[0] = d->value;
    return 1;
}

static void on_disconnected(void *service, uint16_t conn)
{
    struct otter_gattota_device *d = service;

    if (from_owner(d, conn)) {
        d->answer = false;
        if (d->state != IDLE) {
            (void)!run(d, GONE, NULL);
        }
    }
}

static uint32_t on_poll(void *service, uint32_t now_ms)
{
    struct otter_gattota_device *d = service;
    bool selected = d->state == SELECTED;
    bool sent = flush(d);
    bool work = d->state == STARTING || d->state == CHECKING || d->fill > 0;

    if (d->touched || (selected && !sent)) {
        d->touched = false;
        d->touched_ms = now_ms;
    }
    if (d->state == IDLE) {
        return OTTER_GATT_NEVER;
    }
    if (!work) {
        uint32_t limit_ms = selected ? d->config.restart_ms : d->config.idle_ms;
        uint32_t quiet_ms = now_ms - d->touched_ms;
        if (quiet_ms < limit_ms) {
            return limit_ms - quiet_ms;
        }
    }
    (void)!run(d, work || selected ? STEP : GONE, NULL);
    return 0;
}

/* ---- public -------------------------------------------------------------------------------- */

otter_err otter_gattota_device_init(struct otter_gattota_device *device,
                                    const struct otter_gattota_device_config *config)
{
    if (config->sink.ops == NULL || config->server.send == NULL || config->app.restart == NULL ||
        config->buf == NULL || config->buf_size < OTTER_GATT_WRITE_MAX) {
        return OTTER_ERR_ARG;
    }
    memset(device, 0, sizeof *device);
    device->config = *config;
    if (config->idle_ms == 0) {
        device->config.idle_ms = IDLE_MS;
    }
    if (config->restart_ms == 0) {
        device->config.restart_ms = RESTART_MS;
    }
    return OTTER_OK;
}

struct otter_gatt_mount otter_gattota_device_mount(struct otter_gattota_device *device)
{
    static const struct otter_gatt_service_ops ops = {on_write, on_read, on_disconnected, on_poll};
    const struct otter_gatt_service *table =
        device->config.field_uuid ? &otter_gattota_service_field : &otter_gattota_service;

    return (struct otter_gatt_mount){table, &ops, device};
}
