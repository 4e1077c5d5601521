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

#define AS_ENUM(name, text) name,
enum state { ESPBLE_HOST_STATES(AS_ENUM) };
enum event { ESPBLE_HOST_EVENTS(AS_ENUM) };
#undef AS_ENUM

/* ---- the link ------------------------------------------------------------------------------ */

static otter_err send_command(struct otter_espble_host *h, enum espble_command command,
                              uint32_t value, uint32_t answer_ms)
{
    uint8_t bytes[OTTER_ESPBLE_COMMAND];
    struct espble_frame frame = {
        .word = {(uint16_t)command, (uint16_t)value, (uint16_t)(value >> 16)},
        .crc_init = h->crc_init,
    };

    otter_espble_seal(&frame, bytes);
    otter_err err =
        otter_gatt_host_send(&h->gatt, OTTER_ESPBLE_COMMAND_CHAR, true, bytes, sizeof bytes);
    if (err == OTTER_OK) {
        otter_gatt_host_arm(&h->gatt, answer_ms);
    }
    return err;
}

/* ---- commands and ends --------------------------------------------------------------------- */

static otter_err send_start(void *machine, void *arg)
{
    struct otter_espble_host *h = machine;

    return send_command(h, ESPBLE_START, h->gatt.source.length, ANSWER_MS);
}

static otter_err send_stop(void *machine, void *arg)
{
    struct otter_espble_host *h = machine;

    return send_command(h, ESPBLE_STOP, 0, h->gatt.state == CANCELLING ? CANCEL_MS : STOP_MS);
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
    uint8_t limit = h->gatt.config.window;
    uint8_t window = (uint8_t)ack->word[3];
    otter_err err = verdict(ack, ESPBLE_START);

    if (err == OTTER_OK) {
        window = window < OTTER_ESPBLE_WINDOW_MAX ? window : OTTER_ESPBLE_WINDOW_MAX;
        window = limit > 0 && limit < window ? limit : window;
        h->gatt.status.window = window > 0 ? window : 1;
        h->gatt.status.begun = true;
        h->gatt.tries = 0;
        otter_gatt_host_arm(&h->gatt, ANSWER_MS);
    }
    return err;
}

static otter_err stop_answered(void *machine, void *arg)
{
    struct otter_espble_host *h = machine;
    otter_err err = verdict(arg, ESPBLE_STOP);

    h->gatt.status.answered = err == OTTER_OK;
    return err;
}

/* A device that rejects the START long after it accepted it cannot go on. */
static otter_err taken_back(void *machine, void *arg)
{
    otter_err err = verdict(arg, ESPBLE_START);

    return err == OTTER_ERR_REFUSED ? err : OTTER_ERR_AGAIN;
}

static otter_err try_again(void *machine, void *arg)
{
    otter_gatt_host_arm(machine, ANSWER_MS);
    return otter_gatt_host_try(machine) ? OTTER_OK : OTTER_ERR_TIMEOUT;
}

static bool all_sent(const struct otter_espble_host *h)
{
    return h->sector == h->sectors && h->gatt.packet_len == 0;
}

/* STOP would now complete the update instead of ending it. */
static otter_err may_cancel(void *machine, void *arg)
{
    struct otter_espble_host *h = machine;

    if (all_sent(h)) {
        return OTTER_ERR_AGAIN;
    }
    otter_gatt_host_arm(&h->gatt, CANCEL_MS);
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
    const struct otter_source *source = &h->gatt.source;
    uint32_t from = h->sector * OTTER_ESPBLE_SECTOR + h->offset;
    uint8_t *payload = h->gatt.packet + ESPBLE_HEADER;
    otter_err err = source->read(source->ctx, from, payload, n);

    if (err != OTTER_OK) {
        return err;
    }
    h->crc = otter_crc16(h->crc, payload, n);
    struct otter_writer w = otter_writer_on(h->gatt.packet, sizeof h->gatt.packet);
    otter_write_u16(&w, (uint16_t)h->sector);
    otter_write_u8(&w, last ? ESPBLE_LAST_PACKET : (uint8_t)h->seq);
    w = otter_writer_on(payload + n, sizeof h->gatt.packet - ESPBLE_HEADER - n);
    if (last) {
        uint32_t whole = h->gatt.status.packet - ESPBLE_HEADER - ESPBLE_CRC;
        otter_write_fill(&w, 0, h->padded ? whole - n : 0);
        otter_write_u16(&w, h->crc);
    }
    h->gatt.packet_len = (uint32_t)(w.next - h->gatt.packet);
    return otter_writer_ok(&w);
}

/* Makes the next packet; OTTER_ERR_AGAIN when there is none to send now. */
static otter_err next_packet(struct otter_espble_host *h)
{
    if (h->offset == 0) {
        if (h->sector == h->sectors || h->sector - h->base >= h->gatt.status.window ||
            h->gatt.state == SETTLING) {
            return OTTER_ERR_AGAIN;
        }
        h->seq = 0;
        h->crc = h->crc_init;
    }
    uint32_t room = h->gatt.status.packet - ESPBLE_HEADER;
    uint32_t left = otter_espble_sector_len(h->gatt.source.length, h->sector) - h->offset;
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
        otter_err err = h->gatt.packet_len > 0 ? OTTER_OK : next_packet(h);
        if (err == OTTER_OK) {
            err = otter_gatt_host_send(&h->gatt, OTTER_ESPBLE_RECV_FW, h->gatt.status.requests,
                                       h->gatt.packet, h->gatt.packet_len);
        }
        if (err != OTTER_OK) {
            return err;
        }
        h->gatt.packet_len = 0;
        otter_gatt_host_arm(&h->gatt, ANSWER_MS);
    }
}

static otter_err send_packets(void *machine, void *arg)
{
    struct otter_espble_host *h = machine;

    if (h->base == h->sectors) {
        h->gatt.tries = 0;
        otter_gatt_host_arm(&h->gatt, ANSWER_MS);
        return OTTER_OK;
    }
    return send_all(h);
}

static otter_err send_rest(void *machine, void *arg)
{
    struct otter_espble_host *h = machine;
    otter_err err = send_all(h);

    if (err == OTTER_ERR_AGAIN && h->gatt.packet_len == 0 && h->offset == 0 && !h->settling) {
        h->settling = true;
        otter_gatt_host_arm(&h->gatt, SETTLE_MS);
    }
    return err;
}

/* ---- answers ------------------------------------------------------------------------------- */

/* Sectors before `base` are in the device's flash: nothing of them needs to be sent any more. */
static void move_base(struct otter_espble_host *h, uint32_t base)
{
    struct otter_reader r = otter_reader_on(h->gatt.packet, h->gatt.packet_len);

    h->base = base;
    h->gatt.tries = 0;
    h->gatt.status.done = base < h->sectors ? base * OTTER_ESPBLE_SECTOR : h->gatt.status.total;
    h->gatt.status.delivered = base == h->sectors;
    if (h->gatt.packet_len > 0 && otter_read_u16(&r) < base) {
        h->gatt.packet_len = 0;
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
        otter_gatt_host_arm(&h->gatt, ANSWER_MS);
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
        return gatt_att_error(machine, arg);
    }
    otter_gatt_host_arm(&h->gatt, ANSWER_MS);
    h->settling = false;
    return OTTER_OK;
}

static otter_err go_back(struct otter_espble_host *h, otter_err too_often)
{
    if (h->base == h->sectors) {
        return OTTER_OK;
    }
    if (!otter_gatt_host_try(&h->gatt)) {
        return too_often;
    }
    h->sector = h->base;
    h->offset = 0;
    h->gatt.packet_len = 0;
    h->gatt.status.resent++;
    h->gatt.status.window = 1;
    if (h->faults++ > 0 && h->gatt.config.data_props & OTTER_GATT_WRITE) {
        h->gatt.status.requests = true;
    }
    otter_gatt_host_arm(&h->gatt, ANSWER_MS);
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
static const struct otter_gatt_host_kind kind = {
    {rows, sizeof rows / sizeof rows[0], OTTER_ERR_AGAIN},
    DONE,
};

/* ---- the updater --------------------------------------------------------------------------- */

static void on_received(void *updater, uint8_t id, const uint8_t *data, size_t len)
{
    struct otter_espble_host *h = updater;
    struct espble_frame frame;

    if (otter_espble_open(&frame, data, len) != OTTER_OK) {
        return; /* what was meant is not known: the deadline decides */
    }
    if (id == OTTER_ESPBLE_RECV_FW) {
        otter_gatt_host_event(&h->gatt, SECTOR_ACK, &frame);
    } else if (id == OTTER_ESPBLE_COMMAND_CHAR && frame.word[0] == ESPBLE_ACK) {
        otter_gatt_host_event(&h->gatt, COMMAND_ACK, &frame);
    }
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
    struct otter_gatt_host_config gatt = config->gatt;
    uint32_t sectors = otter_espble_sectors(config->source.length);

    if (gatt.client.write == NULL || config->source.read == NULL) {
        return OTTER_ERR_ARG;
    }
    if (sectors == 0 || sectors > ESPBLE_SECTORS_MAX) {
        return sectors == 0 ? OTTER_ERR_EMPTY : OTTER_ERR_TOO_LARGE;
    }
    if (gatt.packet > 0 && gatt.packet < GATT_PACKET_MIN) {
        gatt.packet = GATT_PACKET_MIN;
    }
    memset(host, 0, sizeof *host);
    otter_gatt_host_init(&host->gatt, &kind, &gatt, RETRIES, &config->source);
    host->gatt.status.window = 1;
    host->sectors = sectors;
    host->crc_init = config->crc_init;
    host->padded = config->padded;
    otter_gatt_host_arm(&host->gatt, ANSWER_MS);
    return OTTER_OK;
}

struct otter_gatt_updater otter_espble_host_updater(struct otter_espble_host *host)
{
    static const struct otter_gatt_updater_ops ops = {
        otter_gatt_host_poll,   on_received, otter_gatt_host_written, otter_gatt_host_lost,
        otter_gatt_host_cancel,
    };

    return (struct otter_gatt_updater){&ops, host, &host->gatt.status};
}
