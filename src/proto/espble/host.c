/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Espressif BLE OTA, the host. Sectors in flight:
 *
 *   sector    base             sector           base + window
 *             |  sent, not     |  being sent
 *   ----------+--------------- +----------------+------------
 *   in flash    acknowledged     offset, seq      must wait
 *
 * Devices of several generations answer a fault at different moments: at the packet, at the end of
 * the sector, several times over. So a complaint is not acted upon at once: the sector at hand is
 * sent to its end, which brings every device back to a sector's beginning, and when no more
 * answers come the oldest sector that is not acknowledged is sent again.
 */
#include "otter/espble.h"

#include <string.h>

#include "base/crc.h"
#include "base/cursor.h"
#include "base/fsm.h"
#include "proto/espble/host_table.h"
#include "proto/espble/wire.h"

#define ANSWER_MS 30000u /* not shorter than what devices take: START may erase, STOP verifies */
#define STOP_MS 60000u
#define CANCEL_MS 2000u
#define SETTLE_MS 300u /* a few connection intervals */
#define RETRIES 5u
#define PACKET_MIN (OTTER_GATT_MTU_MIN - 3)

#define AS_ENUM(name, text) name,
enum state { ESPBLE_HOST_STATES(AS_ENUM) };
enum event { ESPBLE_HOST_EVENTS(AS_ENUM) };
#undef AS_ENUM

/* ---- the link ------------------------------------------------------------------------------ */

/* A deadline ms from the next poll, which knows the time. */
static void arm(struct otter_espble_host *h, uint32_t ms)
{
    h->wait_ms = ms;
}

static otter_err send(struct otter_espble_host *h, enum otter_espble_char chr, bool request,
                      const uint8_t *data, size_t len)
{
    const struct otter_gatt_client *client = &h->config.gatt.client;

    if (request && h->waiting) {
        return OTTER_ERR_AGAIN;
    }
    otter_err err = client->write(client->ctx, (uint8_t)chr, request, data, len);
    if (err == OTTER_OK) {
        h->waiting |= request;
    }
    return err;
}

static otter_err send_command(struct otter_espble_host *h, enum espble_command command,
                              uint32_t value, uint32_t answer_ms)
{
    uint8_t bytes[OTTER_ESPBLE_COMMAND];
    struct espble_frame frame = {
        .word = {(uint16_t)command, (uint16_t)value, (uint16_t)(value >> 16)},
        .crc_init = h->config.crc_init,
    };

    otter_espble_seal(&frame, bytes);
    otter_err err = send(h, OTTER_ESPBLE_COMMAND_CHAR, true, bytes, sizeof bytes);
    if (err == OTTER_OK) {
        arm(h, answer_ms);
    }
    return err;
}

/* ---- commands and ends --------------------------------------------------------------------- */

static otter_err send_start(void *machine, void *arg)
{
    struct otter_espble_host *h = machine;

    return send_command(h, ESPBLE_START, h->config.source.length, ANSWER_MS);
}

static otter_err send_stop(void *machine, void *arg)
{
    struct otter_espble_host *h = machine;

    return send_command(h, ESPBLE_STOP, 0, h->state == CANCELLING ? CANCEL_MS : STOP_MS);
}

/* OTTER_ERR_AGAIN: it answers another command. */
static otter_err verdict(const struct espble_frame *ack, enum espble_command command)
{
    if (ack->word[1] != command) {
        return OTTER_ERR_AGAIN;
    }
    return ack->word[2] == ESPBLE_ACCEPT ? OTTER_OK : OTTER_ERR_REFUSED;
}

static otter_err start_answered(void *machine, void *arg)
{
    struct otter_espble_host *h = machine;
    const struct espble_frame *ack = arg;
    uint8_t limit = h->config.gatt.window;
    uint8_t window = (uint8_t)ack->word[3];
    otter_err err = verdict(ack, ESPBLE_START);

    if (err == OTTER_OK) {
        window = window < OTTER_ESPBLE_WINDOW_MAX ? window : OTTER_ESPBLE_WINDOW_MAX;
        window = limit > 0 && limit < window ? limit : window;
        h->status.window = window > 0 ? window : 1;
        h->tries = 0;
        arm(h, ANSWER_MS);
    }
    return err;
}

static otter_err stop_answered(void *machine, void *arg)
{
    struct otter_espble_host *h = machine;
    otter_err err = verdict(arg, ESPBLE_STOP);

    h->status.answered = err == OTTER_OK;
    return err;
}

/* A device that rejects the START long after it accepted it cannot go on. */
static otter_err taken_back(void *machine, void *arg)
{
    otter_err err = verdict(arg, ESPBLE_START);

    return err == OTTER_ERR_REFUSED ? err : OTTER_ERR_AGAIN;
}

static bool one_more_try(struct otter_espble_host *h)
{
    return h->tries++ < h->config.gatt.retries;
}

static otter_err try_again(void *machine, void *arg)
{
    arm(machine, ANSWER_MS);
    return one_more_try(machine) ? OTTER_OK : OTTER_ERR_TIMEOUT;
}

static otter_err att_error(void *machine, void *arg)
{
    struct otter_espble_host *h = machine;

    h->status.att = *(const uint8_t *)arg;
    return OTTER_ERR_REFUSED;
}

static otter_err lost(void *machine, void *arg)
{
    return OTTER_ERR_LINK;
}

static otter_err cancelled(void *machine, void *arg)
{
    return OTTER_ERR_CANCELLED;
}

static bool all_sent(const struct otter_espble_host *h)
{
    return h->sector == h->sectors && h->packet_len == 0;
}

/* STOP would now complete the update instead of ending it. */
static otter_err may_cancel(void *machine, void *arg)
{
    struct otter_espble_host *h = machine;

    if (all_sent(h)) {
        return OTTER_ERR_AGAIN;
    }
    arm(h, CANCEL_MS);
    return OTTER_OK;
}

/* Some devices restart as soon as they have every byte. */
static otter_err lost_sending(void *machine, void *arg)
{
    return all_sent(machine) ? OTTER_OK : OTTER_ERR_LINK;
}

/* ---- packets ------------------------------------------------------------------------------- */

/* Puts the next n bytes of the sector into the packet. */
static otter_err pack(struct otter_espble_host *h, uint32_t n, bool last)
{
    const struct otter_source *source = &h->config.source;
    uint32_t from = h->sector * OTTER_ESPBLE_SECTOR + h->offset;
    uint8_t *payload = h->packet + ESPBLE_HEADER;
    otter_err err = source->read(source->ctx, from, payload, n);

    if (err != OTTER_OK) {
        return err;
    }
    h->crc = otter_crc16(h->crc, payload, n);
    struct otter_writer w = otter_writer_on(h->packet, sizeof h->packet);
    otter_write_u16(&w, (uint16_t)h->sector);
    otter_write_u8(&w, last ? ESPBLE_LAST_PACKET : (uint8_t)h->seq);
    w = otter_writer_on(payload + n, sizeof h->packet - ESPBLE_HEADER - n);
    if (last) {
        uint32_t whole = h->status.packet - ESPBLE_HEADER - ESPBLE_CRC;
        otter_write_fill(&w, 0, h->config.padded ? whole - n : 0);
        otter_write_u16(&w, h->crc);
    }
    h->packet_len = (uint32_t)(w.next - h->packet);
    return otter_writer_ok(&w);
}

/* Makes the next packet; OTTER_ERR_AGAIN when there is none to send now. */
static otter_err next_packet(struct otter_espble_host *h)
{
    if (h->offset == 0) {
        if (h->sector == h->sectors || h->sector - h->base >= h->status.window ||
            h->state == SETTLING) {
            return OTTER_ERR_AGAIN;
        }
        h->seq = 0;
        h->crc = h->config.crc_init;
    }
    uint32_t room = h->status.packet - ESPBLE_HEADER;
    uint32_t left = otter_espble_sector_len(h->config.source.length, h->sector) - h->offset;
    bool last = left + ESPBLE_CRC <= room;
    uint32_t n = left;
    if (!last) {
        n = left > room ? room : left - 1; /* a last packet has at least a byte of its own */
    }
    otter_err err = pack(h, n, last);
    if (err != OTTER_OK) {
        return err;
    }
    h->offset += n;
    h->seq++;
    if (last) {
        h->sector++;
        h->offset = 0;
        h->sent = h->sector > h->sent ? h->sector : h->sent;
    }
    return OTTER_OK;
}

/* Until the link or the window is full; then OTTER_ERR_AGAIN. */
static otter_err send_all(struct otter_espble_host *h)
{
    for (;;) {
        otter_err err = h->packet_len > 0 ? OTTER_OK : next_packet(h);
        if (err == OTTER_OK) {
            err = send(h, OTTER_ESPBLE_RECV_FW, h->status.requests, h->packet, h->packet_len);
        }
        if (err != OTTER_OK) {
            return err;
        }
        h->packet_len = 0;
        arm(h, ANSWER_MS);
    }
}

static otter_err send_packets(void *machine, void *arg)
{
    struct otter_espble_host *h = machine;

    if (h->base == h->sectors) {
        h->tries = 0;
        arm(h, ANSWER_MS);
        return OTTER_OK;
    }
    return send_all(h);
}

static otter_err send_rest(void *machine, void *arg)
{
    struct otter_espble_host *h = machine;
    otter_err err = send_all(h);

    if (err == OTTER_ERR_AGAIN && h->packet_len == 0 && h->offset == 0 && !h->settling) {
        h->settling = true;
        arm(h, SETTLE_MS);
    }
    return err;
}

/* ---- answers ------------------------------------------------------------------------------- */

/* Sectors before `base` are in the device's flash: nothing of them needs to be sent any more. */
static void move_base(struct otter_espble_host *h, uint32_t base)
{
    struct otter_reader r = otter_reader_on(h->packet, h->packet_len);

    h->base = base;
    h->tries = 0;
    h->status.done = base < h->sectors ? base * OTTER_ESPBLE_SECTOR : h->status.total;
    if (h->packet_len > 0 && otter_read_u16(&r) < base) {
        h->packet_len = 0;
    }
    if (h->sector < base) {
        h->sector = base;
        h->offset = 0;
    }
}

/* OTTER_OK: progress. OTTER_ERR_RETRIES: a complaint. OTTER_ERR_AGAIN: nothing new. */
static otter_err judge(struct otter_espble_host *h, const struct espble_frame *ack)
{
    uint32_t sector = ack->word[0];
    uint32_t next = ack->word[2];

    if (ack->word[1] == ESPBLE_SUCCESS && sector < h->sent) {
        next = sector + 1; /* old devices send 0 there */
    } else if (ack->word[1] != ESPBLE_INDEX_ERROR || next <= h->base || next > h->sent) {
        return ack->word[1] == ESPBLE_SUCCESS ? OTTER_ERR_AGAIN : OTTER_ERR_RETRIES;
    }
    if (next <= h->base) {
        return OTTER_ERR_AGAIN;
    }
    move_base(h, next);
    return OTTER_OK;
}

static otter_err sector_answered(void *machine, void *arg)
{
    struct otter_espble_host *h = machine;
    otter_err err = judge(h, arg);

    if (err != OTTER_ERR_AGAIN) {
        arm(h, ANSWER_MS);
        h->settling = false;
    }
    return err == OTTER_ERR_RETRIES ? OTTER_OK : OTTER_ERR_AGAIN;
}

static otter_err answered_late(void *machine, void *arg)
{
    struct otter_espble_host *h = machine;

    (void)!judge(h, arg);
    h->settling = false;
    return OTTER_ERR_AGAIN;
}

static otter_err packet_refused(void *machine, void *arg)
{
    struct otter_espble_host *h = machine;

    if (*(const uint8_t *)arg != OTTER_ATT_UNLIKELY) {
        return att_error(machine, arg);
    }
    arm(h, ANSWER_MS);
    h->settling = false;
    return OTTER_OK;
}

static otter_err go_back(struct otter_espble_host *h, otter_err too_often)
{
    if (h->base == h->sectors) {
        return OTTER_OK;
    }
    if (!one_more_try(h)) {
        return too_often;
    }
    h->sector = h->base;
    h->offset = 0;
    h->packet_len = 0;
    h->status.resent++;
    h->status.window = 1;
    if (h->faults++ > 0 && h->config.gatt.data_props & OTTER_GATT_WRITE) {
        h->status.requests = true;
    }
    arm(h, ANSWER_MS);
    return OTTER_OK;
}

static otter_err step_back(void *machine, void *arg)
{
    return go_back(machine, OTTER_ERR_TIMEOUT);
}

static otter_err settled(void *machine, void *arg)
{
    return go_back(machine, OTTER_ERR_RETRIES);
}

/* ---- the table ----------------------------------------------------------------------------- */

#define AS_ROW(state, event, action, next, text) {state, event, next, DONE, action},
static const struct otter_fsm_row rows[] = {ESPBLE_HOST_ROWS(AS_ROW)};
static const struct otter_fsm fsm = {rows, sizeof rows / sizeof rows[0], OTTER_ERR_AGAIN};

static void run(struct otter_espble_host *h, enum event event, void *arg)
{
    otter_err err = otter_fsm_event(&fsm, &h->state, (uint8_t)event, h, arg);

    if (h->state == DONE && !h->status.finished) {
        h->status.finished = true;
        h->status.result = err;
        h->armed = false;
        h->wait_ms = 0;
    }
}

/* ---- the updater --------------------------------------------------------------------------- */

static void take_deadline(struct otter_espble_host *h, uint32_t now_ms)
{
    if (h->wait_ms > 0) {
        h->deadline_ms = now_ms + h->wait_ms;
        h->wait_ms = 0;
        h->armed = true;
    }
}

static uint32_t on_poll(void *updater, uint32_t now_ms)
{
    struct otter_espble_host *h = updater;

    take_deadline(h, now_ms);
    if (h->armed && (int32_t)(now_ms - h->deadline_ms) >= 0) {
        h->armed = false;
        run(h, TIMEOUT, NULL);
    }
    /* A step may lead to the next state, which has a step of its own. */
    for (uint8_t before = DONE; before != h->state;) {
        before = h->state;
        run(h, STEP, NULL);
    }
    take_deadline(h, now_ms);
    return h->armed ? h->deadline_ms - now_ms : OTTER_GATT_NEVER;
}

static void on_received(void *updater, uint8_t id, const uint8_t *data, size_t len)
{
    struct otter_espble_host *h = updater;
    struct espble_frame frame;

    if (id == OTTER_ESPBLE_PROGRESS) {
        if (len == sizeof h->device_percent) {
            memcpy(h->device_percent, data, len);
        }
    } else if (otter_espble_open(&frame, data, len) != OTTER_OK) {
        return; /* what was meant is not known: the deadline decides */
    } else if (id == OTTER_ESPBLE_RECV_FW) {
        run(h, SECTOR_ACK, &frame);
    } else if (id == OTTER_ESPBLE_COMMAND_CHAR && frame.word[0] == ESPBLE_ACK) {
        run(h, COMMAND_ACK, &frame);
    }
}

static void on_written(void *updater, uint8_t att)
{
    struct otter_espble_host *h = updater;

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

bool otter_espble_recognise(const struct otter_gatt_found *found, size_t count,
                            int index[OTTER_ESPBLE_CHARS])
{
    otter_gatt_find(&otter_espble_service, found, count, index);
    return index[OTTER_ESPBLE_RECV_FW] >= 0 && index[OTTER_ESPBLE_COMMAND_CHAR] >= 0;
}

otter_err otter_espble_host_init(struct otter_espble_host *host,
                                 const struct otter_espble_host_config *config)
{
    uint32_t packet = config->gatt.mtu > OTTER_GATT_MTU_MIN ? config->gatt.mtu - 3u : PACKET_MIN;
    uint32_t limit = config->gatt.packet > PACKET_MIN ? config->gatt.packet : PACKET_MIN;
    uint32_t sectors = otter_espble_sectors(config->source.length);

    if (config->gatt.client.write == NULL || config->source.read == NULL) {
        return OTTER_ERR_ARG;
    }
    if (sectors == 0 || sectors > ESPBLE_SECTORS_MAX) {
        return sectors == 0 ? OTTER_ERR_EMPTY : OTTER_ERR_TOO_LARGE;
    }
    memset(host, 0, sizeof *host);
    host->config = *config;
    host->sectors = sectors;
    if (config->gatt.retries == 0) {
        host->config.gatt.retries = RETRIES;
    } else if (config->gatt.retries == OTTER_GATT_NO_RETRIES) {
        host->config.gatt.retries = 0;
    }
    if (config->gatt.packet > 0 && limit < packet) {
        packet = limit;
    }
    host->status.packet = (uint16_t)(packet < OTTER_GATT_VALUE_MAX ? packet : OTTER_GATT_VALUE_MAX);
    host->status.total = config->source.length;
    host->status.window = 1;
    arm(host, ANSWER_MS);
    host->status.requests =
        config->gatt.requests || (config->gatt.data_props & OTTER_GATT_WRITE_COMMAND) == 0;
    return OTTER_OK;
}

struct otter_gatt_updater otter_espble_host_updater(struct otter_espble_host *host)
{
    static const struct otter_gatt_updater_ops ops = {
        on_poll, on_received, on_written, on_lost, on_cancel,
    };

    return (struct otter_gatt_updater){&ops, host, &host->status};
}
