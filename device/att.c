/* SPDX-License-Identifier: Apache-2.0 */
/* --att PATH: the GATT services over a Unix socket, one ATT PDU a packet. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/gatt.h"
#include "device/transport.h"
#include "host/att_server.h"
#include "host/att_socket.h"

#define CONNECTIONS 4u
#define WINDOW 4u /* espble sectors in flight, as on a chip */
#define STARVED_MS 10u
#define STEP_PDUS 16u /* of one connection before the others have their turn */

struct connection {
    struct att *att;
    struct otter_att_socket socket;
    struct otter_att_server server;
    uint8_t held[OTTER_GATT_MTU_MAX]; /* a write that the service could not take yet */
    size_t held_len;                  /* 0: none */
    int64_t allowance;                /* bytes that may come in now, with --link-rate */
};

struct att {
    struct device *device;
    const char *path;
    int listener; /* -1: down */
    uint16_t conns;
    uint32_t last_ms; /* when allowances were given */
    struct otter_att_db db;
    struct device_gatt gatt;
    struct connection *connections[CONNECTIONS];
};

extern const struct transport_type att_transport;

/* ---- one connection
 * ------------------------------------------------------------------------------ */

static void server_send(void *ctx, const uint8_t *pdu, size_t len)
{
    otter_att_socket_send(&((struct connection *)ctx)->socket, pdu, len);
}

static const struct otter_att_server_ops server_ops = {.send = server_send};

static otter_err carrier_send(void *ctx, uint16_t conn, const struct otter_gatt_char *chr,
                              const uint8_t *data, size_t len)
{
    struct att *att = ctx;

    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct connection *c = att->connections[i];

        if (c != NULL && c->server.conn == conn) {
            if (c->socket.count > 0) {
                otter_att_socket_flush(&c->socket);
            }
            return c->socket.count > OTTER_ATT_QUEUE / 2
                       ? OTTER_ERR_AGAIN
                       : otter_att_server_notify(&c->server, chr, data, len);
        }
    }
    return OTTER_OK; /* it is gone */
}

static void drop(struct att *att, size_t i, bool tell)
{
    struct connection *c = att->connections[i];

    if (c == NULL) {
        return;
    }
    att->connections[i] = NULL;
    if (tell) {
        device_log(att->device, "att: client %u gone", c->server.conn);
    }
    device_gatt_disconnected(&att->gatt, c->server.conn);
    otter_att_socket_close(&c->socket);
    free(c);
}

static void take_client(struct att *att)
{
    int fd = accept4(att->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    size_t i = 0;

    if (fd < 0) {
        return;
    }
    while (i < CONNECTIONS && att->connections[i] != NULL) {
        i++;
    }
    struct connection *c = i < CONNECTIONS ? calloc(1, sizeof(*c)) : NULL;
    if (c == NULL) {
        close(fd); /* as a controller does whose connections are all in use */
        return;
    }
    c->att = att;
    otter_att_socket_init(&c->socket, fd);
    otter_att_server_init(&c->server, &att->db, &server_ops, c, ++att->conns,
                          att->device->options->mtu);
    c->server.always_notify = (att->device->options->legacy & LEGACY_INDICATE_ONLY) != 0;
    att->connections[i] = c;
    device_log(att->device, "att: client %u connected", c->server.conn);
}

/* Takes what has come in, until the service asks to wait. False: the link is gone. */
static bool take_pdus(struct connection *c, uint32_t now_ms)
{
    bool limited = c->att->device->options->link_rate > 0;

    for (unsigned n = 0; n < STEP_PDUS && !(limited && c->allowance <= 0); n++) {
        if (c->held_len == 0) {
            otter_err err = otter_att_socket_receive(&c->socket, c->held, &c->held_len);

            if (err != OTTER_OK) {
                return err == OTTER_ERR_AGAIN;
            }
            c->allowance -= (int64_t)c->held_len;
        }
        if (otter_att_server_feed(&c->server, c->held, c->held_len) == OTTER_ERR_AGAIN) {
            return true;
        }
        c->held_len = 0;
        (void)device_gatt_poll(&c->att->gatt, now_ms);
        if (c->att->device->restart) {
            return true;
        }
    }
    return true;
}

/* ---- the transport
 * ------------------------------------------------------------------------------- */

static void *att_create(struct device *device, const char *path)
{
    struct att *att = calloc(1, sizeof(*att));

    if (att == NULL) {
        device_error(device, "out of memory");
        return NULL;
    }
    att->device = device;
    att->path = path;
    att->listener = -1;
    return att;
}

static bool att_up(void *transport)
{
    struct att *att = transport;
    struct otter_gatt_server carrier = {.send = carrier_send, .ctx = att};

    otter_err err = device_gatt_init(&att->gatt, att->device, WINDOW, carrier);
    if (err == OTTER_OK) {
        err = otter_att_db_build(&att->db, att->gatt.mounts, att->gatt.count);
    }
    if (err != OTTER_OK) {
        device_error(att->device, "att: the services cannot be set up: %s", otter_err_text(err));
        return false;
    }
    att->listener = otter_att_socket_listen(att->path);
    if (att->listener < 0) {
        device_error(att->device, "att: %s: %s", att->path,
                     errno == EADDRINUSE ? "taken, by another device or a file; name another"
                                         : strerror(errno));
        return false;
    }
    device_log(att->device, "ready: att:%s", att->path);
    return true;
}

static size_t att_fds(void *transport, struct pollfd *fds, size_t max)
{
    struct att *att = transport;
    size_t count = 0;

    if (count < max) {
        fds[count++] = (struct pollfd){.fd = att->listener, .events = POLLIN};
    }
    for (size_t i = 0; i < CONNECTIONS && count < max; i++) {
        const struct connection *c = att->connections[i];

        if (c != NULL) {
            bool reading =
                c->held_len == 0 && (att->device->options->link_rate == 0 || c->allowance > 0);
            fds[count++] = (struct pollfd){.fd = c->socket.fd,
                                           .events = otter_att_socket_events(&c->socket, reading)};
        }
    }
    return count;
}

/* Gives each connection its share of time's worth of bytes. */
static void allow(struct att *att, uint32_t now_ms)
{
    int64_t rate = att->device->options->link_rate;
    uint32_t passed = now_ms - att->last_ms;

    att->last_ms = now_ms;
    for (size_t i = 0; i < CONNECTIONS && rate > 0; i++) {
        struct connection *c = att->connections[i];

        if (c != NULL) {
            int64_t most = rate / 20 + 1; /* 50 ms' worth: no saving up */

            c->allowance += rate * passed / 1000;
            c->allowance = c->allowance < most ? c->allowance : most;
        }
    }
}

/* A connection that has used up its share is not read from: the clock wakes it. */
static bool starved(const struct att *att)
{
    for (size_t i = 0; i < CONNECTIONS && att->device->options->link_rate > 0; i++) {
        if (att->connections[i] != NULL && att->connections[i]->allowance <= 0) {
            return true;
        }
    }
    return false;
}

static uint32_t att_run(void *transport, const struct pollfd *fds, size_t count, uint32_t now_ms)
{
    struct att *att = transport;

    allow(att, now_ms);
    if (count > 0 && (fds[0].revents & POLLIN) != 0) {
        take_client(att);
    }
    for (size_t i = 0; i < CONNECTIONS && !att->device->restart; i++) {
        struct connection *c = att->connections[i];

        if (c == NULL) {
            continue;
        }
        otter_att_socket_flush(&c->socket);
        if (!take_pdus(c, now_ms) || c->socket.broken) {
            drop(att, i, true);
        }
    }
    uint32_t next = device_gatt_poll(&att->gatt, now_ms);
    return starved(att) && next > STARVED_MS ? STARVED_MS : next;
}

static void att_down(void *transport)
{
    struct att *att = transport;

    for (size_t i = 0; i < CONNECTIONS; i++) {
        drop(att, i, false);
    }
    if (att->listener >= 0) {
        unlink(att->path);
        close(att->listener);
        att->listener = -1;
    }
}

static void att_destroy(void *transport)
{
    free(transport);
}

const struct transport_type att_transport = {
    .option = "att",
    .argument = "PATH",
    .help = "GATT services over a Unix socket",
    .create = att_create,
    .up = att_up,
    .fds = att_fds,
    .run = att_run,
    .down = att_down,
    .destroy = att_destroy,
};
