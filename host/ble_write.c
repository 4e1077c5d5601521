/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing over a GATT link of bluetoothd: commands through a descriptor, requests by a call, and
 * requests among commands, which must not overtake them. See ble_link.h.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "host/ble_parts.h"
#include "host/clock.h"

#define BUSY_MS 3000u /* within which bluetoothd sees that a descriptor is closed */
#define AGAIN_MS 2u   /* between two questions about that */

/* True when bluetoothd has read all that was written. */
static bool drained(const struct otter_ble_link *link)
{
    for (size_t i = 0; i < link->count; i++) {
        int left = 0;

        if (link->chars[i].out >= 0 && ioctl(link->chars[i].out, SIOCOUTQ, &left) == 0 &&
            left > 0) {
            return false;
        }
    }
    return true;
}

static otter_err send_fd(struct otter_ble_link *link, struct otter_ble_char *c, const uint8_t *data,
                         size_t len)
{
    if (send(c->out, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len) {
        return OTTER_OK;
    }
    if (errno == EAGAIN || errno == ENOBUFS) {
        link->full = true;
        return OTTER_ERR_AGAIN;
    }
    link->hung_up = true; /* wait() finds out why */
    return OTTER_ERR_AGAIN;
}

static void answered(struct otter_ble_link *link, uint8_t att)
{
    if (link->handlers.written != NULL) {
        link->handlers.written(link->handlers.ctx, att);
    }
}

static otter_err call_write(struct otter_ble_link *link, bool request);
static otter_err ask(struct otter_ble_link *link, enum otter_ble_asking asking, sd_bus_message *m);

/* "Operation failed with ATT error: 0x0e", of those that have no name of their own. */
static uint8_t att_error(const sd_bus_error *e, bool not_paired)
{
    const char *hex = e->message != NULL ? strstr(e->message, "0x") : NULL;
    unsigned code = 0;

    if (hex != NULL && sscanf(hex, "0x%2x", &code) == 1 && code != 0) {
        return (uint8_t)code;
    }
    return not_paired ? OTTER_ATT_INSUFFICIENT_ENCRYPTION
           : strcmp(e->name, "org.bluez.Error.NotPermitted") == 0 ? OTTER_ATT_WRITE_NOT_PERMITTED
           : strcmp(e->name, "org.bluez.Error.InvalidArguments") == 0 ? OTTER_ATT_INVALID_LENGTH
                                                                      : OTTER_ATT_UNLIKELY;
}

/* bluetoothd has not seen yet that a descriptor is closed, or another program has one: true when
 * the question is to be asked again. */
static bool ask_again(struct otter_ble_link *link, enum otter_ble_asking asked)
{
    uint32_t now = otter_clock_ms();

    if (!link->was_busy) {
        link->was_busy = true;
        link->busy_since = now;
    }
    if (now - link->busy_since >= BUSY_MS) {
        return false;
    }
    link->again = asked;
    link->again_at = now + AGAIN_MS;
    return true;
}

static otter_err begin_pairing(struct otter_ble_link *link)
{
    link->tried_to_pair = true;
    return ask(link, OTTER_BLE_PAIRING,
               otter_ble_bus_message(&link->bus, link->device, OTTER_BLE_DEVICE, "Pair"));
}

/* Paired, what was refused is written again. */
static void end_pairing(struct otter_ble_link *link, sd_bus_message *m)
{
    if (sd_bus_message_is_method_error(m, NULL)) {
        (void)otter_ble_bus_fail(&link->bus, sd_bus_message_get_error(m), 0);
        snprintf(link->message, sizeof(link->message), "%s", link->bus.why);
        answered(link, OTTER_ATT_INSUFFICIENT_ENCRYPTION);
    } else if (call_write(link, link->request) != OTTER_OK) {
        otter_ble_lose(link, "D-Bus takes no more");
    }
}

/* A write request, a command or a barrier has been answered. */
static void take_answer(struct otter_ble_link *link, enum otter_ble_asking asked, sd_bus_message *m)
{
    if (!sd_bus_message_is_method_error(m, NULL)) {
        if (asked != OTTER_BLE_COMMAND) {
            answered(link, OTTER_ATT_OK);
        }
        return;
    }
    const sd_bus_error *e = sd_bus_message_get_error(m);
    otter_err err = otter_ble_bus_fail(&link->bus, e, 0);
    bool by_device = strncmp(e->name, "org.bluez.", strlen("org.bluez.")) == 0;
    if (err == OTTER_ERR_BUSY && ask_again(link, asked)) {
        return;
    }
    /* bluetoothd has tried to encrypt the link already, and could not. */
    if (link->bus.not_paired && asked != OTTER_BLE_BARRIER && !link->tried_to_pair &&
        begin_pairing(link) == OTTER_OK) {
        return;
    }
    if (err == OTTER_ERR_BUSY || err == OTTER_ERR_LINK || err == OTTER_ERR_TIMEOUT || !by_device) {
        otter_ble_lose(link, link->bus.why);
    } else if (asked == OTTER_BLE_BARRIER) {
        answered(link, OTTER_ATT_OK); /* a refusal to be read is an answer as well */
    } else {
        answered(link, att_error(e, link->bus.not_paired));
    }
}

/* Without one, calls will do. */
static void take_descriptor(struct otter_ble_link *link, sd_bus_message *m)
{
    struct otter_ble_char *c = &link->chars[link->index];
    uint16_t mtu;

    if (!sd_bus_message_is_method_error(m, NULL)) {
        c->out = otter_ble_take_fd(m, &mtu);
        c->may_acquire = c->out >= 0;
    } else if (otter_ble_bus_fail(&link->bus, sd_bus_message_get_error(m), 0) != OTTER_ERR_BUSY) {
        c->may_acquire = false;
    } else if (!ask_again(link, OTTER_BLE_ACQUIRING)) {
        otter_ble_lose(link, link->bus.why);
    }
}

static int on_answer(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    struct otter_ble_link *link = ctx;
    enum otter_ble_asking asked = link->asking;

    (void)error;
    link->asking = OTTER_BLE_IDLE;
    link->slot = sd_bus_slot_unref(link->slot);
    if (!sd_bus_message_is_method_error(m, NULL)) {
        link->was_busy = false;
    }
    if (asked == OTTER_BLE_PAIRING) {
        end_pairing(link, m);
    } else if (asked == OTTER_BLE_ACQUIRING) {
        take_descriptor(link, m);
    } else {
        take_answer(link, asked, m);
    }
    return 1;
}

/* Consumes m. */
static otter_err ask(struct otter_ble_link *link, enum otter_ble_asking asking, sd_bus_message *m)
{
    if (m == NULL || sd_bus_call_async(link->bus.bus, &link->slot, m, on_answer, link,
                                       (uint64_t)OTTER_BLE_ANSWER_MS * 1000u) < 0) {
        sd_bus_message_unref(m);
        return OTTER_ERR_LINK;
    }
    sd_bus_message_unref(m);
    link->asking = asking;
    return OTTER_OK;
}

/* What is in value, by a call. */
static otter_err call_write(struct otter_ble_link *link, bool request)
{
    sd_bus_message *m = otter_ble_bus_message(&link->bus, link->chars[link->index].path,
                                              OTTER_BLE_CHAR, "WriteValue");

    if (m != NULL &&
        (sd_bus_message_append_array(m, 'y', link->value, link->len) < 0 ||
         sd_bus_message_append(m, "a{sv}", 1, "type", "s", request ? "request" : "command") < 0)) {
        m = sd_bus_message_unref(m);
    }
    return ask(link, request ? OTTER_BLE_REQUEST : OTTER_BLE_COMMAND, m);
}

static otter_err acquire(struct otter_ble_link *link)
{
    return ask(link, OTTER_BLE_ACQUIRING, otter_ble_char_call(link, link->index, "AcquireWrite"));
}

static otter_err begin_write(struct otter_ble_link *link, size_t index, bool request,
                             const uint8_t *data, size_t len)
{
    if (len > sizeof(link->value)) {
        return OTTER_ERR_LENGTH;
    }
    memcpy(link->value, data, len);
    link->len = (uint16_t)len;
    link->index = index;
    link->request = request;
    return call_write(link, request);
}

/* A characteristic to read behind the commands: one of the same service, else any, else -1. */
static int barrier_char(const struct otter_ble_link *link)
{
    int any = -1;

    for (size_t i = 0; i < link->count; i++) {
        if ((link->found[i].props & OTTER_GATT_READ) == 0) {
            continue;
        }
        if (otter_gatt_uuid_equal(&link->found[i].service, &link->found[link->index].service)) {
            return (int)i;
        }
        any = (int)i;
    }
    return any;
}

/* A request among commands: behind them, and the answer to a read behind it is its answer. */
static otter_err write_barrier(struct otter_ble_link *link, size_t index, const uint8_t *data,
                               size_t len)
{
    struct otter_ble_char *c = &link->chars[index];
    otter_err err = send_fd(link, c, data, len);

    if (err == OTTER_OK) {
        c->commands = false;
        link->index = index;
        link->barrier = true;
    }
    return err;
}

/* What stands for a request among commands has been read by bluetoothd: what comes behind it? */
static otter_err read_barrier(struct otter_ble_link *link)
{
    return ask(link, OTTER_BLE_BARRIER,
               otter_ble_char_call(link, (size_t)barrier_char(link), "ReadValue"));
}

/* A question is under way: no other now. */
static bool asking(const struct otter_ble_link *link)
{
    return link->asking != OTTER_BLE_IDLE || link->again != OTTER_BLE_IDLE || link->barrier;
}

static otter_err write_request(struct otter_ble_link *link, size_t index, const uint8_t *data,
                               size_t len)
{
    struct otter_ble_char *c = &link->chars[index];

    if (asking(link)) {
        return OTTER_ERR_AGAIN;
    }
    if (c->out >= 0 && c->commands) {
        link->index = index;
        if (barrier_char(link) >= 0) {
            return write_barrier(link, index, data, len);
        }
    }
    if (!drained(link)) {
        link->full = true;
        return OTTER_ERR_AGAIN;
    }
    otter_ble_drop_fd(&c->out);
    return begin_write(link, index, true, data, len);
}

static otter_err write_command(struct otter_ble_link *link, size_t index, const uint8_t *data,
                               size_t len)
{
    struct otter_ble_char *c = &link->chars[index];

    if (c->out >= 0) {
        otter_err err = send_fd(link, c, data, len);

        c->commands |= err == OTTER_OK;
        return err;
    }
    if (asking(link)) {
        return OTTER_ERR_AGAIN;
    }
    if (!c->may_acquire) {
        return begin_write(link, index, false, data, len);
    }
    link->index = index;
    otter_err err = acquire(link);
    return err == OTTER_OK ? OTTER_ERR_AGAIN : err;
}

otter_err otter_ble_write(void *ctx, size_t index, bool request, const uint8_t *data, size_t len)
{
    struct otter_ble_link *link = ctx;

    if (link->lost || link->bus.gone || link->bus.bus == NULL) {
        return OTTER_ERR_LINK;
    }
    if (index >= link->count) {
        return OTTER_ERR_ARG;
    }
    return request ? write_request(link, index, data, len) : write_command(link, index, data, len);
}

void otter_ble_write_step(struct otter_ble_link *link)
{
    otter_err err = OTTER_OK;

    if (link->lost || link->asking != OTTER_BLE_IDLE) {
        return;
    }
    if (link->again != OTTER_BLE_IDLE) {
        if ((int32_t)(otter_clock_ms() - link->again_at) >= 0) {
            enum otter_ble_asking again = link->again;

            link->again = OTTER_BLE_IDLE;
            err = again == OTTER_BLE_ACQUIRING ? acquire(link)
                  : again == OTTER_BLE_BARRIER ? read_barrier(link)
                                               : call_write(link, again == OTTER_BLE_REQUEST);
        }
    } else if (link->barrier && drained(link)) {
        link->barrier = false;
        err = read_barrier(link);
    }
    if (err != OTTER_OK) {
        otter_ble_lose(link, "D-Bus takes no more");
    }
}
