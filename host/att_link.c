/* SPDX-License-Identifier: Apache-2.0 */
#include "host/att_link.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "host/clock.h"

/* A signal that arrives just before poll() does not end it: the caller looks this often. */
#define WAKE_MS 200u

static void client_send(void *ctx, const uint8_t *pdu, size_t len)
{
    otter_att_socket_send(&((struct otter_att_link *)ctx)->socket, pdu, len);
}

static void client_received(void *ctx, uint16_t handle, const uint8_t *data, size_t len)
{
    struct otter_att_link *link = ctx;

    for (size_t i = 0; i < link->profile.count; i++) {
        if (link->profile.places[i].value == handle && link->handlers.received != NULL) {
            link->handlers.received(link->handlers.ctx, i, data, len);
            return;
        }
    }
}

static void client_done(void *ctx, otter_err err, uint8_t att, const uint8_t *value, size_t len)
{
    struct otter_att_link *link = ctx;

    (void)value;
    (void)len;
    if (link->pending) {
        link->pending = false;
        link->answer = err;
    } else if ((err == OTTER_OK || err == OTTER_ERR_REFUSED) && link->handlers.written != NULL) {
        link->handlers.written(link->handlers.ctx, att);
    }
}

static const struct otter_att_client_ops client_ops = {
    .send = client_send, .received = client_received, .done = client_done};

/* Reads all that is there. */
static otter_err take_in(struct otter_att_link *link)
{
    uint8_t pdu[OTTER_GATT_MTU_MAX];
    size_t len;
    otter_err err;

    while ((err = otter_att_socket_receive(&link->socket, pdu, &len)) == OTTER_OK) {
        otter_att_client_feed(&link->client, pdu, len);
    }
    if (err == OTTER_ERR_LINK) {
        otter_att_client_lost(&link->client);
        return err;
    }
    return OTTER_OK;
}

static otter_err link_wait(void *ctx, uint32_t timeout_ms)
{
    struct otter_att_link *link = ctx;
    uint32_t own = otter_att_client_poll(&link->client, otter_clock_ms());

    if (link->socket.fd < 0 || link->client.dead) {
        return OTTER_ERR_LINK;
    }
    if (own < timeout_ms) {
        timeout_ms = own;
    }
    if (timeout_ms > WAKE_MS) {
        timeout_ms = WAKE_MS;
    }
    struct pollfd fd = {.fd = link->socket.fd,
                        .events = otter_att_socket_events(&link->socket, true)};
    int n = poll(&fd, 1, (int)timeout_ms);
    if (n < 0 && errno != EINTR) {
        return OTTER_ERR_LINK;
    }
    otter_att_socket_flush(&link->socket);
    return take_in(link);
}

/* Waits for the answer to a request that has just been made. */
static otter_err answered(struct otter_att_link *link, otter_err begun, uint32_t timeout_ms)
{
    uint32_t start = otter_clock_ms();

    if (begun != OTTER_OK) {
        return begun;
    }
    link->pending = true;
    while (link->pending) {
        uint32_t spent = otter_clock_ms() - start;

        if (spent >= timeout_ms) {
            return OTTER_ERR_TIMEOUT;
        }
        if (link->cancel != NULL && *link->cancel != 0) {
            return OTTER_ERR_CANCELLED;
        }
        otter_err err = link_wait(link, timeout_ms - spent);
        if (err != OTTER_OK && link->pending) {
            return err;
        }
    }
    return link->answer;
}

static void link_close(void *ctx)
{
    struct otter_att_link *link = ctx;

    otter_att_socket_close(&link->socket);
    link->pending = false;
}

static otter_err fail(struct otter_att_link *link, otter_err err, const char *address,
                      const char *why)
{
    link_close(link);
    snprintf(link->message, sizeof(link->message), "%.120s: %s", address, why);
    return err;
}

static otter_err link_open(void *ctx, const char *address, uint16_t mtu, uint32_t timeout_ms)
{
    struct otter_att_link *link = ctx;

    link_close(link);
    int fd = otter_att_socket_connect(address);
    if (fd < 0) {
        const char *why = errno == ENOENT         ? "no device is there (no such socket)"
                          : errno == ECONNREFUSED ? "no device is there (nobody listens)"
                          : errno == EPROTOTYPE   ? "is a socket of another kind"
                                                  : strerror(errno);
        bool nonsense = errno == ENAMETOOLONG || errno == ENOTSOCK || *address == '\0';
        return fail(link, nonsense ? OTTER_ERR_ARG : OTTER_ERR_LINK, address, why);
    }
    otter_att_socket_init(&link->socket, fd);
    otter_att_client_init(&link->client, &client_ops, link);
    link->profile.count = 0;

    otter_err err = answered(link, otter_att_client_exchange_mtu(&link->client, mtu), timeout_ms);
    if (err == OTTER_OK) {
        err = answered(link, otter_att_client_discover(&link->client, &link->profile), timeout_ms);
    }
    return err == OTTER_OK ? OTTER_OK : fail(link, err, address, otter_err_text(err));
}

static size_t link_found(void *ctx, const struct otter_gatt_found **found)
{
    struct otter_att_link *link = ctx;

    *found = link->profile.found;
    return link->profile.count;
}

static uint16_t link_mtu(void *ctx)
{
    return ((struct otter_att_link *)ctx)->client.mtu;
}

static otter_err link_read(void *ctx, size_t index, uint8_t *value, size_t cap, size_t *len)
{
    struct otter_att_link *link = ctx;
    otter_err err =
        answered(link, otter_att_client_read(&link->client, link->profile.places[index].value),
                 OTTER_ATT_TIMEOUT_MS);

    if (err == OTTER_OK) {
        *len = link->client.len < cap ? link->client.len : cap;
        memcpy(value, link->client.value, *len);
    }
    return err;
}

static otter_err link_subscribe(void *ctx, size_t index, uint16_t cccd)
{
    struct otter_att_link *link = ctx;
    uint16_t handle = link->profile.places[index].cccd;
    uint8_t value[2] = {(uint8_t)cccd, (uint8_t)(cccd >> 8)};

    if (handle == 0) {
        return OTTER_ERR_UNSUPPORTED;
    }
    return answered(link, otter_att_client_write(&link->client, handle, value, sizeof(value)),
                    OTTER_ATT_TIMEOUT_MS);
}

static otter_err link_write(void *ctx, size_t index, bool request, const uint8_t *data, size_t len)
{
    struct otter_att_link *link = ctx;
    uint16_t handle = link->profile.places[index].value;

    if (!otter_att_socket_room(&link->socket)) {
        return OTTER_ERR_AGAIN;
    }
    if (!request) {
        return otter_att_client_command(&link->client, handle, data, len);
    }
    otter_err err = otter_att_client_write(&link->client, handle, data, len);
    return err == OTTER_ERR_BUSY ? OTTER_ERR_AGAIN : err;
}

static const struct otter_gatt_link_ops link_ops = {
    .open = link_open,
    .found = link_found,
    .mtu = link_mtu,
    .read = link_read,
    .subscribe = link_subscribe,
    .write = link_write,
    .wait = link_wait,
    .close = link_close,
};

struct otter_gatt_link otter_att_link_init(struct otter_att_link *link,
                                           const struct otter_gatt_handlers *handlers,
                                           const volatile sig_atomic_t *cancel)
{
    *link = (struct otter_att_link){.socket.fd = -1, .handlers = *handlers, .cancel = cancel};
    return (struct otter_gatt_link){.ops = &link_ops, .link = link, .message = link->message};
}
