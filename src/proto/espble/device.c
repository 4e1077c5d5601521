/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Espressif BLE OTA, the device. Sectors pass through a ring of buffers:
 *
 *   sector    written        wanted          written + window
 *             |  whole, wait |  arriving     |
 *   ----------+--------------+---------------+------------
 *   in flash    for flash      packets go here, further ones are held
 *
 * A sector is answered when it is in flash, so an error of the flash reaches the client at the
 * sector it belongs to, and what the client has in flight is what the buffers can take.
 */
#include "otter/espble.h"

#include <string.h>

#include "base/crc.h"
#include "base/fsm.h"
#include "proto/espble/device_table.h"
#include "proto/espble/wire.h"

#define IDLE_MS 60000u /* clients wait 30 s for an answer before they give up */
#define RESTART_MS 500u
#define OUTBOX_MAX                                                                                 \
    (sizeof((struct otter_espble_device *)0)->outbox /                                             \
     sizeof((struct otter_espble_device *)0)->outbox[0])

#define AS_ENUM(name, text) name,
enum state { ESPBLE_DEVICE_STATES(AS_ENUM) };
enum event { ESPBLE_DEVICE_EVENTS(AS_ENUM) };
#undef AS_ENUM

/* ---- answers ------------------------------------------------------------------------------- */

static otter_err send_frame(struct otter_espble_device *d, uint16_t conn, uint16_t chr,
                            const struct espble_frame *frame)
{
    uint8_t bytes[OTTER_ESPBLE_COMMAND];

    otter_espble_seal(frame, bytes);
    return d->config.server.send(d->config.server.ctx, conn, &otter_espble_service.chars[chr],
                                 bytes, sizeof bytes);
}

static bool from_owner(const struct otter_espble_device *d, uint16_t conn)
{
    return d->answer && conn == d->owner;
}

/* Sends what waits; false when the link has no room for all of it. */
static bool flush(struct otter_espble_device *d)
{
    struct espble_frame frame = {.crc_init = d->crc_init};

    while (d->answer && (d->outbox_count > 0 || d->told < d->written)) {
        uint16_t chr = OTTER_ESPBLE_RECV_FW;
        if (d->outbox_count > 0) {
            memcpy(frame.word, d->outbox[0].word, sizeof frame.word);
            chr = d->outbox[0].chr;
        } else {
            frame.word[0] = (uint16_t)d->told;
            frame.word[1] = ESPBLE_SUCCESS;
            frame.word[2] = (uint16_t)(d->told + 1);
            frame.word[3] = 0;
        }
        if (send_frame(d, d->owner, chr, &frame) == OTTER_ERR_AGAIN) {
            return false;
        }
        if (d->outbox_count > 0) {
            d->outbox_count--;
            memmove(&d->outbox[0], &d->outbox[1], d->outbox_count * sizeof d->outbox[0]);
        } else {
            d->told++;
        }
    }
    return true;
}

/* To the owner. A client that writes on without a look at three answers does not miss a fourth. */
static void tell(struct otter_espble_device *d, uint16_t chr, uint32_t w0, uint32_t w1, uint32_t w2,
                 uint32_t w3)
{
    if (d->answer && d->outbox_count < OUTBOX_MAX) {
        uint16_t *word = d->outbox[d->outbox_count].word;

        d->outbox[d->outbox_count++].chr = chr;
        word[0] = (uint16_t)w0;
        word[1] = (uint16_t)w1;
        word[2] = (uint16_t)w2;
        word[3] = (uint16_t)w3;
    }
}

static void tell_sector(struct otter_espble_device *d, uint32_t sector, enum espble_status status)
{
    tell(d, OTTER_ESPBLE_RECV_FW, sector, status, d->wanted, 0);
}

static void tell_command(struct otter_espble_device *d, uint32_t command, enum espble_result result,
                         uint32_t window)
{
    tell(d, OTTER_ESPBLE_COMMAND_CHAR, ESPBLE_ACK, command, result, window);
}

/* To anyone, at once or not at all: nobody can make the owner's answers wait for his. */
static void reject_at_once(struct otter_espble_device *d, uint16_t conn, uint16_t command,
                           uint16_t crc_init)
{
    struct espble_frame frame = {
        .word = {ESPBLE_ACK, command, ESPBLE_REJECT},
        .crc_init = crc_init,
    };

    (void)!send_frame(d, conn, OTTER_ESPBLE_COMMAND_CHAR, &frame);
}

/* ---- commands ------------------------------------------------------------------------------ */

static uint32_t start_length(const struct espble_frame *start)
{
    return start->word[1] | (uint32_t)start->word[2] << 16;
}

static void restart_sector(struct otter_espble_device *d)
{
    d->packet = 0;
    d->taken = 0;
    d->crc = d->crc_init;
    d->spoiled = false;
}

static otter_err take_start(void *machine, void *arg)
{
    struct otter_espble_device *d = machine;
    const struct espble_frame *start = arg;

    d->length = start_length(start);
    d->sectors = otter_espble_sectors(d->length);
    d->crc_init = start->crc_init;
    d->wanted = 0;
    d->written = 0;
    d->told = 0;
    d->step = 0;
    d->refused = 0;
    d->percent = UINT8_MAX;
    d->outbox_count = 0;
    restart_sector(d);
    return OTTER_OK;
}

static otter_err begin(void *machine, void *arg)
{
    struct otter_espble_device *d = machine;
    otter_err err = d->config.sink.ops->begin(d->config.sink.ctx, d->length);

    if (err == OTTER_OK) {
        tell_command(d, ESPBLE_START, ESPBLE_ACCEPT, d->config.window);
    } else {
        tell_command(d, ESPBLE_START, ESPBLE_REJECT, 0);
    }
    return err;
}

static otter_err reject(void *machine, void *arg)
{
    const struct espble_frame *command = arg;

    tell_command(machine, command->word[0], ESPBLE_REJECT, 0);
    return OTTER_OK;
}

static otter_err hold(void *machine, void *arg)
{
    return OTTER_ERR_BUSY;
}

static otter_err take_stop(void *machine, void *arg)
{
    return OTTER_OK;
}

static otter_err give_up(void *machine, void *arg)
{
    struct otter_espble_device *d = machine;

    d->config.sink.ops->abort(d->config.sink.ctx);
    return OTTER_OK;
}

/* ---- firmware packets ---------------------------------------------------------------------- */

static otter_err refuse(void *machine, void *arg)
{
    return OTTER_ERR_REFUSED;
}

/* The client waits at the end of a sector, and a write command has no response that it would see:
 * a reject tells it that no update of its is running. */
static otter_err refuse_aloud(void *machine, void *arg)
{
    struct otter_espble_device *d = machine;
    const struct espble_packet *packet = arg;

    if (packet->seq == ESPBLE_LAST_PACKET) {
        tell_command(d, ESPBLE_START, ESPBLE_REJECT, 0);
    }
    return OTTER_ERR_REFUSED;
}

/* Answered once, at the first packet seen of it, and again when the client begins it again. A
 * last packet that came twice is not worth an answer: the sector is long since taken. */
static otter_err wrong_sector(void *machine, void *arg)
{
    struct otter_espble_device *d = machine;
    const struct espble_packet *packet = arg;
    bool last = packet->seq == ESPBLE_LAST_PACKET;
    bool done = d->wanted == d->sectors;

    if (last && !done && packet->sector + 1 == d->wanted) {
        return OTTER_ERR_AGAIN;
    }
    if (packet->sector != d->refused || packet->seq == 0 || (last && done)) {
        d->refused = packet->sector;
        tell_sector(d, packet->sector, ESPBLE_INDEX_ERROR);
    }
    return OTTER_ERR_AGAIN;
}

static uint8_t *sector_buf(const struct otter_espble_device *d, uint32_t sector)
{
    return d->config.sectors + sector % d->config.window * OTTER_ESPBLE_SECTOR;
}

/* Bytes past the sector's true length are padding: counted, not kept. */
static void store(struct otter_espble_device *d, const struct espble_packet *packet)
{
    uint32_t true_len = otter_espble_sector_len(d->length, d->wanted);
    uint32_t at = d->taken < true_len ? d->taken : true_len;
    uint32_t n = packet->len < true_len - at ? packet->len : true_len - at;

    memcpy(sector_buf(d, d->wanted) + at, packet->payload, n);
    d->crc = otter_crc16(d->crc, packet->payload, n);
    d->taken += packet->len;
}

/* The sector's crc16, over its true bytes or over 4096 with zeros after them. */
static bool crc_fits(const struct otter_espble_device *d, uint32_t true_len, uint16_t crc)
{
    uint16_t padded = d->crc;
    static const uint8_t zero[16];

    if (padded == crc) {
        return true;
    }
    for (uint32_t left = OTTER_ESPBLE_SECTOR - true_len, n; left > 0; left -= n) {
        n = left < sizeof zero ? left : sizeof zero;
        padded = otter_crc16(padded, zero, n);
    }
    return padded == crc;
}

static otter_err end_sector(struct otter_espble_device *d, const struct espble_packet *packet)
{
    uint32_t true_len = otter_espble_sector_len(d->length, d->wanted);
    bool short_of = d->spoiled || d->taken < true_len;

    if (short_of || !crc_fits(d, true_len, packet->crc)) {
        tell_sector(d, d->wanted, short_of ? ESPBLE_LENGTH_ERROR : ESPBLE_CRC_ERROR);
    } else {
        d->wanted++;
        d->refused = d->wanted;
    }
    restart_sector(d);
    return d->wanted == d->sectors ? OTTER_OK : OTTER_ERR_AGAIN;
}

static otter_err take_packet(void *machine, void *arg)
{
    struct otter_espble_device *d = machine;
    const struct espble_packet *packet = arg;
    bool last = packet->seq == ESPBLE_LAST_PACKET;

    if (packet->sector != d->wanted) {
        return wrong_sector(d, arg);
    }
    if (d->wanted - d->written >= d->config.window) {
        return OTTER_ERR_BUSY;
    }
    if (packet->seq == 0) {
        restart_sector(d);
    } else if (packet->seq + 1 == d->packet) {
        return OTTER_ERR_AGAIN; /* the same packet twice */
    } else if (!last && packet->seq != d->packet) {
        d->spoiled = true;
    }
    if (!last && d->taken + packet->len > OTTER_ESPBLE_SECTOR) {
        d->spoiled = true;
    }
    if (!d->spoiled) {
        store(d, packet);
        d->packet++;
    }
    return last ? end_sector(d, packet) : OTTER_ERR_AGAIN;
}

/* ---- flash --------------------------------------------------------------------------------- */

/* One step on the oldest sector that is not in flash. */
static otter_err write_step(struct otter_espble_device *d)
{
    uint32_t len = otter_espble_sector_len(d->length, d->written) - d->step;
    size_t used = 0;
    otter_err err = d->config.sink.ops->write(d->config.sink.ctx,
                                              sector_buf(d, d->written) + d->step, len, &used);

    if (err != OTTER_OK) {
        return err;
    }
    d->step += (uint32_t)used;
    if (used == len) {
        d->step = 0;
        d->written++;
    }
    return OTTER_OK;
}

/* The protocol has no word for a flash that fails: the START is taken back, and the sector gets
 * an error for clients that listen to nothing else. */
static otter_err write_flash(void *machine, void *arg)
{
    struct otter_espble_device *d = machine;
    otter_err err = write_step(d);

    if (err != OTTER_OK) {
        tell_command(d, ESPBLE_START, ESPBLE_REJECT, 0);
        tell_sector(d, d->written, ESPBLE_LENGTH_ERROR);
        return err;
    }
    return OTTER_ERR_AGAIN;
}

static otter_err check(void *machine, void *arg)
{
    struct otter_espble_device *d = machine;
    otter_err err = OTTER_ERR_AGAIN;

    if (d->written < d->sectors) {
        otter_err written = write_step(d);
        err = written == OTTER_OK ? OTTER_ERR_AGAIN : written;
    } else {
        err = d->config.sink.ops->finish(d->config.sink.ctx);
    }
    if (err != OTTER_ERR_AGAIN) {
        tell_command(d, ESPBLE_STOP, err == OTTER_OK ? ESPBLE_ACCEPT : ESPBLE_REJECT, 0);
        d->touched = true; /* from here the restart is counted */
    }
    return err;
}

static otter_err restart(void *machine, void *arg)
{
    struct otter_espble_device *d = machine;

    d->config.app.restart(d->config.app.ctx);
    return OTTER_OK;
}

/* ---- the table ----------------------------------------------------------------------------- */

#define AS_ROW(state, event, action, next, failed, text) {state, event, next, failed, action},
static const struct otter_fsm_row rows[] = {ESPBLE_DEVICE_ROWS(AS_ROW)};
static const struct otter_fsm fsm = {rows, sizeof rows / sizeof rows[0], OTTER_ERR_STATE};

static otter_err run(struct otter_espble_device *d, enum event event, void *arg)
{
    return otter_fsm_event(&fsm, &d->state, (uint8_t)event, d, arg);
}

/* ---- the service --------------------------------------------------------------------------- */

static enum otter_att on_command(struct otter_espble_device *d, uint16_t conn, const uint8_t *data,
                                 size_t len)
{
    struct espble_frame frame = {.crc_init = d->crc_init};
    bool good = otter_espble_open(&frame, data, len) == OTTER_OK;
    uint32_t sectors = otter_espble_sectors(start_length(&frame));

    if (!from_owner(d, conn)) {
        reject_at_once(d, conn, frame.word[0], frame.crc_init);
        return OTTER_ATT_OK;
    }
    if (d->state == IDLE) {
        d->crc_init = frame.crc_init;
    }
    otter_err err;
    if (good && frame.word[0] == ESPBLE_START && sectors >= 1 && sectors <= ESPBLE_SECTORS_MAX) {
        err = run(d, START, &frame);
    } else if (good && frame.word[0] == ESPBLE_STOP) {
        err = run(d, STOP, &frame);
    } else {
        err = reject(d, &frame);
    }
    return err == OTTER_ERR_BUSY ? OTTER_ATT_HOLD : OTTER_ATT_OK;
}

static enum otter_att on_packet(struct otter_espble_device *d, uint16_t conn, const uint8_t *data,
                                size_t len)
{
    struct espble_packet packet;

    if (otter_espble_packet(&packet, data, len) != OTTER_OK) {
        return OTTER_ATT_INVALID_LENGTH;
    }
    if (!from_owner(d, conn)) {
        if (packet.seq == ESPBLE_LAST_PACKET) {
            reject_at_once(d, conn, ESPBLE_START, d->crc_init);
        }
        return OTTER_ATT_WRITE_REJECTED;
    }
    otter_err err = run(d, PACKET, &packet);
    return err == OTTER_ERR_BUSY      ? OTTER_ATT_HOLD
           : err == OTTER_ERR_REFUSED ? OTTER_ATT_WRITE_REJECTED
                                      : OTTER_ATT_OK;
}

static enum otter_att on_write(void *service, uint16_t conn, uint8_t id, const uint8_t *data,
                               size_t len)
{
    struct otter_espble_device *d = service;

    if (id == OTTER_ESPBLE_CUSTOMER) {
        if (d->config.app.customer != NULL) {
            d->config.app.customer(d->config.app.ctx, conn, data, len);
        }
        return OTTER_ATT_OK;
    }
    if (d->state == IDLE && !from_owner(d, conn)) {
        d->owner = conn;
        d->answer = true;
        d->outbox_count = 0;
    }
    if (from_owner(d, conn)) {
        d->touched |= d->state != SELECTED;
    }
    return id == OTTER_ESPBLE_COMMAND_CHAR ? on_command(d, conn, data, len)
                                           : on_packet(d, conn, data, len);
}

static void progress(const struct otter_espble_device *d, uint8_t out[2])
{
    uint32_t done = d->sectors > 0 ? d->written * 10000 / d->sectors : 0;

    out[0] = (uint8_t)(done / 100);
    out[1] = (uint8_t)(done % 100);
}

static size_t on_read(void *service, uint8_t id, uint8_t *out, size_t cap)
{
    uint8_t value[2];
    size_t n = cap < sizeof value ? cap : sizeof value;

    if (id != OTTER_ESPBLE_PROGRESS) {
        return 0;
    }
    progress(service, value);
    memcpy(out, value, n);
    return n;
}

/* At every whole per cent, when nothing more important waits. */
static void notify_progress(struct otter_espble_device *d)
{
    uint8_t value[2];

    progress(d, value);
    if (d->answer && d->state != IDLE && value[0] != d->percent &&
        d->config.server.send(d->config.server.ctx, d->owner,
                              &otter_espble_service.chars[OTTER_ESPBLE_PROGRESS], value,
                              sizeof value) == OTTER_OK) {
        d->percent = value[0];
    }
}

static void on_disconnected(void *service, uint16_t conn)
{
    struct otter_espble_device *d = service;

    if (from_owner(d, conn)) {
        d->answer = false;
        d->outbox_count = 0;
        if (d->state != IDLE) {
            (void)!run(d, GONE, NULL);
        }
    }
}

static bool has_work(const struct otter_espble_device *d)
{
    return d->state == STARTING || d->state == CHECKING ||
           ((d->state == RECEIVING || d->state == COMPLETE) && d->written < d->wanted);
}

static uint32_t wait_for(struct otter_espble_device *d, enum event event, uint32_t quiet_ms,
                         uint32_t limit_ms)
{
    if (quiet_ms < limit_ms) {
        return limit_ms - quiet_ms;
    }
    (void)!run(d, event, NULL);
    return 0;
}

static uint32_t on_poll(void *service, uint32_t now_ms)
{
    struct otter_espble_device *d = service;
    bool sent = flush(d);

    if (d->touched || (d->state == SELECTED && !sent)) {
        d->touched = false;
        d->touched_ms = now_ms;
    }
    if (has_work(d)) {
        (void)!run(d, STEP, NULL);
        sent = flush(d);
    }
    if (sent) {
        notify_progress(d);
    }
    if (has_work(d) || d->touched) {
        return 0;
    }
    if (d->state == SELECTED) {
        return sent ? wait_for(d, STEP, now_ms - d->touched_ms, d->config.restart_ms)
                    : OTTER_GATT_NEVER;
    }
    return d->state == IDLE ? OTTER_GATT_NEVER
                            : wait_for(d, GONE, now_ms - d->touched_ms, d->config.idle_ms);
}

/* ---- public -------------------------------------------------------------------------------- */

otter_err otter_espble_device_init(struct otter_espble_device *device,
                                   const struct otter_espble_device_config *config)
{
    if (config->sink.ops == NULL || config->server.send == NULL || config->app.restart == NULL ||
        config->sectors == NULL || config->window < 1 || config->window > OTTER_ESPBLE_WINDOW_MAX) {
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

struct otter_gatt_mount otter_espble_device_mount(struct otter_espble_device *device)
{
    static const struct otter_gatt_service_ops ops = {on_write, on_read, on_disconnected, on_poll};

    return (struct otter_gatt_mount){&otter_espble_service, &ops, device};
}

otter_err otter_espble_device_customer(struct otter_espble_device *device, uint16_t conn,
                                       const uint8_t *data, size_t len)
{
    return device->config.server.send(device->config.server.ctx, conn,
                                      &otter_espble_service.chars[OTTER_ESPBLE_CUSTOMER], data,
                                      len);
}
