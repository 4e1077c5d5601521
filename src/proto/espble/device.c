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
#define PROGRESS_LEN 2u /* per cent, then hundredths of one */
#define SPOILED 0x200u  /* no packet has this number, nor the one before it */

#define AS_ENUM(name, text) name,
enum state { ESPBLE_DEVICE_STATES(AS_ENUM) };
enum event { ESPBLE_DEVICE_EVENTS(AS_ENUM) };
#undef AS_ENUM

/* ---- answers ------------------------------------------------------------------------------- */

static bool from_owner(const struct otter_espble_device *d, uint16_t conn)
{
    return d->answer && conn == d->owner;
}

static otter_err send_value(struct otter_espble_device *d, uint16_t conn, uint32_t chr,
                            const uint8_t *data, size_t len)
{
    return d->config.server.send(d->config.server.ctx, conn, &otter_espble_service.chars[chr], data,
                                 len);
}

/* next: the sector wanted next; not looked at for a command, whose answer has other words. */
static otter_err send_answer(struct otter_espble_device *d, uint16_t conn,
                             struct otter_espble_answer answer, uint32_t next, uint16_t crc_init)
{
    struct espble_frame frame = {{answer.about, answer.word, (uint16_t)next}, crc_init};
    uint8_t bytes[OTTER_ESPBLE_COMMAND];

    if (answer.chr == OTTER_ESPBLE_COMMAND_CHAR) {
        bool started = answer.about == ESPBLE_START && answer.word == ESPBLE_ACCEPT;
        frame.word[0] = ESPBLE_ACK;
        frame.word[1] = answer.about;
        frame.word[2] = answer.word;
        frame.word[3] = started ? d->config.window : 0;
    }
    otter_espble_seal(&frame, bytes);
    return send_value(d, conn, answer.chr, bytes, sizeof bytes);
}

/* Sends what waits; false when the link has no room for all of it. */
static bool flush(struct otter_espble_device *d)
{
    while (d->answer && (d->outbox_count > 0 || d->told < d->written)) {
        struct otter_espble_answer answer = d->outbox[0];
        uint32_t next = d->wanted;

        if (d->outbox_count == 0) {
            next = d->told + 1;
            answer.chr = OTTER_ESPBLE_RECV_FW;
            answer.about = (uint16_t)d->told;
            answer.word = ESPBLE_SUCCESS;
        }
        if (send_answer(d, d->owner, answer, next, d->crc_init) == OTTER_ERR_AGAIN) {
            return false;
        }
        if (d->outbox_count == 0) {
            d->told++;
        } else {
            d->outbox_count--;
            memmove(&d->outbox[0], &d->outbox[1], sizeof d->outbox - sizeof d->outbox[0]);
        }
    }
    return true;
}

/* To the owner. A fourth answer while three wait is dropped: whoever writes on without a look at
 * three does not miss it. */
static void tell(struct otter_espble_device *d, enum otter_espble_char chr, uint32_t about,
                 uint32_t word)
{
    if (d->answer && d->outbox_count < OTTER_ESPBLE_OUTBOX) {
        struct otter_espble_answer *answer = &d->outbox[d->outbox_count++];

        answer->chr = (uint16_t)chr;
        answer->about = (uint16_t)about;
        answer->word = (uint16_t)word;
    }
}

static void tell_command(struct otter_espble_device *d, enum espble_command command, otter_err err)
{
    tell(d, OTTER_ESPBLE_COMMAND_CHAR, command, err == OTTER_OK ? ESPBLE_ACCEPT : ESPBLE_REJECT);
}

/* A stranger is answered at once or not at all: nobody else can make the owner's answers wait. */
static void reject(struct otter_espble_device *d, uint16_t conn, uint16_t command,
                   uint16_t crc_init)
{
    if (from_owner(d, conn)) {
        tell(d, OTTER_ESPBLE_COMMAND_CHAR, command, ESPBLE_REJECT);
    } else {
        struct otter_espble_answer answer = {OTTER_ESPBLE_COMMAND_CHAR, command, ESPBLE_REJECT};
        (void)!send_answer(d, conn, answer, 0, crc_init);
    }
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
}

static otter_err take_start(void *machine, void *arg)
{
    struct otter_espble_device *d = machine;
    const struct espble_frame *start = arg;

    memset(&d->wanted, 0,
           offsetof(struct otter_espble_device, touched_ms) -
               offsetof(struct otter_espble_device, wanted));
    d->length = start_length(start);
    d->sectors = otter_espble_sectors(d->length);
    d->crc_init = start->crc_init;
    d->crc = d->crc_init;
    d->percent = UINT8_MAX;
    d->shown = UINT32_MAX;
    d->outbox_count = 0;
    return OTTER_OK;
}

static otter_err begin(void *machine, void *arg)
{
    struct otter_espble_device *d = machine;
    otter_err err = d->config.sink.ops->begin(d->config.sink.ctx, d->length);

    tell_command(d, ESPBLE_START, err);
    return err;
}

static otter_err hold(void *machine, void *arg)
{
    return OTTER_ERR_BUSY;
}

static otter_err give_up(void *machine, void *arg)
{
    struct otter_espble_device *d = machine;

    d->config.sink.ops->abort(d->config.sink.ctx);
    return OTTER_OK;
}

/* ---- firmware packets ---------------------------------------------------------------------- */

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
        tell(d, OTTER_ESPBLE_RECV_FW, packet->sector, ESPBLE_INDEX_ERROR);
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
    uint8_t *rest = sector_buf(d, d->wanted) + true_len;

    if (d->crc == crc) {
        return true;
    }
    memset(rest, 0, OTTER_ESPBLE_SECTOR - true_len);
    return otter_crc16(d->crc, rest, OTTER_ESPBLE_SECTOR - true_len) == crc;
}

static otter_err end_sector(struct otter_espble_device *d, const struct espble_packet *packet)
{
    uint32_t true_len = otter_espble_sector_len(d->length, d->wanted);

    if (d->packet >= SPOILED || d->taken < true_len) {
        tell(d, OTTER_ESPBLE_RECV_FW, d->wanted, ESPBLE_LENGTH_ERROR);
    } else if (!crc_fits(d, true_len, packet->crc)) {
        tell(d, OTTER_ESPBLE_RECV_FW, d->wanted, ESPBLE_CRC_ERROR);
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
    }
    if (packet->seq + 1 == d->packet) {
        return OTTER_ERR_AGAIN; /* the same packet twice */
    }
    if (!last && (packet->seq != d->packet || d->taken + packet->len > OTTER_ESPBLE_SECTOR)) {
        d->packet = SPOILED;
    }
    if (d->packet < SPOILED) {
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
        tell_command(d, ESPBLE_START, err);
        tell(d, OTTER_ESPBLE_RECV_FW, d->written, ESPBLE_LENGTH_ERROR);
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
        tell_command(d, ESPBLE_STOP, err);
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
static const struct otter_fsm fsm = {rows, sizeof rows / sizeof rows[0], OTTER_ERR_REFUSED};

static otter_err run(struct otter_espble_device *d, enum event event, void *arg)
{
    return otter_fsm_event(&fsm, &d->state, (uint8_t)event, d, arg);
}

/* ---- the service --------------------------------------------------------------------------- */

static enum otter_att on_command(struct otter_espble_device *d, uint16_t conn, const uint8_t *data,
                                 size_t len)
{
    struct espble_frame frame = {.crc_init = d->crc_init};
    bool good = otter_espble_open(&frame, data, len) == OTTER_OK && from_owner(d, conn);
    uint32_t sectors = otter_espble_sectors(start_length(&frame));
    otter_err err = OTTER_ERR_REFUSED;

    if (d->state == IDLE) {
        d->crc_init = frame.crc_init;
    }
    if (good && frame.word[0] == ESPBLE_START && sectors - 1 < ESPBLE_SECTORS_MAX) {
        err = run(d, START, &frame);
    } else if (good && frame.word[0] == ESPBLE_STOP) {
        err = run(d, STOP, &frame);
    }
    if (err == OTTER_ERR_REFUSED) {
        reject(d, conn, frame.word[0], frame.crc_init);
    }
    return err == OTTER_ERR_BUSY ? OTTER_ATT_HOLD : OTTER_ATT_OK;
}

static enum otter_att on_packet(struct otter_espble_device *d, uint16_t conn, const uint8_t *data,
                                size_t len)
{
    struct espble_packet packet;
    otter_err err = otter_espble_packet(&packet, data, len);

    if (err != OTTER_OK) {
        return OTTER_ATT_INVALID_LENGTH;
    }
    err = from_owner(d, conn) ? run(d, PACKET, &packet) : OTTER_ERR_REFUSED;
    if (err != OTTER_ERR_REFUSED) {
        return err == OTTER_ERR_BUSY ? OTTER_ATT_HOLD : OTTER_ATT_OK;
    }
    /* A write command has no response, and its client waits at the end of a sector. */
    if (packet.seq == ESPBLE_LAST_PACKET) {
        reject(d, conn, ESPBLE_START, d->crc_init);
    }
    return OTTER_ATT_WRITE_REJECTED;
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
    if (!from_owner(d, conn) && d->state == IDLE) {
        d->owner = conn;
        d->answer = true;
        d->outbox_count = 0;
    }
    if (from_owner(d, conn) && d->state != SELECTED) {
        d->touched = true;
    }
    return id == OTTER_ESPBLE_COMMAND_CHAR ? on_command(d, conn, data, len)
                                           : on_packet(d, conn, data, len);
}

static size_t on_read(void *service, uint8_t id, uint8_t *out, size_t cap)
{
    const struct otter_espble_device *d = service;
    uint32_t done = d->sectors > 0 ? d->written * 10000 / d->sectors : 0;

    if (id != OTTER_ESPBLE_PROGRESS || cap < PROGRESS_LEN) {
        return 0;
    }
    out[0] = (uint8_t)(done / 100);
    out[1] = (uint8_t)(done % 100);
    return PROGRESS_LEN;
}

/* At every whole per cent, when nothing more important waits. */
static void notify_progress(struct otter_espble_device *d)
{
    uint8_t value[PROGRESS_LEN];

    if (d->shown == d->written || !d->answer || d->state == IDLE) {
        return;
    }
    (void)on_read(d, OTTER_ESPBLE_PROGRESS, value, sizeof value);
    if (value[0] == d->percent ||
        send_value(d, d->owner, OTTER_ESPBLE_PROGRESS, value, sizeof value) == OTTER_OK) {
        d->percent = value[0];
        d->shown = d->written;
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

static uint32_t on_poll(void *service, uint32_t now_ms)
{
    struct otter_espble_device *d = service;
    bool selected = d->state == SELECTED;
    bool sent = flush(d);

    if (sent) {
        notify_progress(d);
    }
    if (d->touched || (selected && !sent)) {
        d->touched = false;
        d->touched_ms = now_ms;
    }
    bool work = has_work(d);
    if (!work) {
        uint32_t limit_ms = selected ? d->config.restart_ms : d->config.idle_ms;
        uint32_t quiet_ms = now_ms - d->touched_ms;
        if (d->state == IDLE || quiet_ms < limit_ms) {
            return d->state == IDLE ? OTTER_GATT_NEVER : limit_ms - quiet_ms;
        }
    }
    (void)!run(d, work || selected ? STEP : GONE, NULL);
    return 0;
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
