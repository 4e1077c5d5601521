/* SPDX-License-Identifier: Apache-2.0 */
#include "otter/hosted_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/hosted_link.h"
#include "proto/hosted/host.h"

struct otter_hosted_client {
    struct otter_hosted_host host;
    int fd; /* -1: none */
    bool owns_fd;
    uint32_t begin_ms;
    uint32_t request_ms;
    void (*on_event)(void *ctx, uint16_t id, const uint8_t *data, size_t len);
    void *event_ctx;
    const volatile sig_atomic_t *cancel;
    int32_t resp;
    char error[320];
    uint8_t message[8192]; /* from the device */
    uint8_t frame[OTTER_HOSTED_REQUEST_MAX];
};

static void on_event(void *ctx, uint16_t id, const uint8_t *data, size_t len)
{
    struct otter_hosted_client *c = ctx;

    if (c->on_event != NULL) {
        c->on_event(c->event_ctx, id, data, len);
    }
}

struct otter_hosted_client *otter_hosted_client_new(void)
{
    struct otter_hosted_client *c = calloc(1, sizeof(*c));

    if (c == NULL) {
        return NULL;
    }
    const struct otter_hosted_host_config config = {
        .buf = c->message,
        .buf_size = sizeof(c->message),
        /* Another program's answers may still be on the line: begin somewhere of our own. */
        .first_uid = (int32_t)((otter_clock_ms() ^ (uint32_t)getpid() << 16) & INT32_MAX) | 1,
        .on_event = on_event,
        .event_ctx = c,
    };
    c->fd = -1;
    otter_hosted_client_timeouts(c, 0, 0);
    if (otter_hosted_host_init(&c->host, &config) != OTTER_OK) {
        free(c);
        return NULL;
    }
    return c;
}

void otter_hosted_client_free(struct otter_hosted_client *c)
{
    if (c != NULL) {
        otter_hosted_client_close(c);
        free(c);
    }
}

void otter_hosted_client_close(struct otter_hosted_client *c)
{
    if (c->fd >= 0 && c->owns_fd) {
        close(c->fd);
    }
    c->fd = -1;
}

otter_err otter_hosted_client_open(struct otter_hosted_client *c, const char *address)
{
    otter_hosted_client_close(c);
    c->error[0] = '\0';
    c->owns_fd = true;
    return otter_hosted_link_open(address, &c->fd, c->error, sizeof(c->error));
}

otter_err otter_hosted_client_open_fd(struct otter_hosted_client *c, int fd)
{
    int flags = fcntl(fd, F_GETFL);

    otter_hosted_client_close(c);
    c->error[0] = '\0';
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        snprintf(c->error, sizeof(c->error), "the descriptor cannot be used: %s", strerror(errno));
        return OTTER_ERR_LINK;
    }
    c->owns_fd = false;
    c->fd = fd;
    return OTTER_OK;
}

/* --- one request -------------------------------------------------------------------------------
 */

static otter_err lost(struct otter_hosted_client *c, const char *why)
{
    snprintf(c->error, sizeof(c->error), "the line to the device is lost: %s", why);
    return OTTER_ERR_LINK;
}

/* Waits until the line is ready or `wait` ms passed. A signal also ends the wait. */
static otter_err wait_for(struct otter_hosted_client *c, short events, uint32_t wait)
{
    struct pollfd p = {.fd = c->fd, .events = events};

    if (c->cancel != NULL && *c->cancel != 0) {
        snprintf(c->error, sizeof(c->error), "cancelled");
        return OTTER_ERR_CANCELLED;
    }
    if (poll(&p, 1, wait < 1000u ? (int)wait : 1000) < 0 && errno != EINTR) {
        return lost(c, strerror(errno));
    }
    if ((p.revents & (POLLERR | POLLNVAL)) != 0 ||
        ((p.revents & POLLHUP) != 0 && (p.revents & POLLIN) == 0)) {
        return lost(c, "hung up");
    }
    return OTTER_OK;
}

/* Takes what the device sent. OTTER_ERR_AGAIN: nothing for now. */
static otter_err receive(struct otter_hosted_client *c)
{
    uint8_t bytes[4096];
    ssize_t n = read(c->fd, bytes, sizeof(bytes));

    if (n > 0) {
        (void)otter_hosted_host_input(&c->host, bytes, (size_t)n);
        return OTTER_OK;
    }
    if (n == 0) {
        return lost(c, "closed by the other side");
    }
    return errno == EAGAIN || errno == EINTR ? OTTER_ERR_AGAIN : lost(c, strerror(errno));
}

/* Old bytes on the line answer nothing that will be asked; they are taken as events if they are. */
static otter_err drain(struct otter_hosted_client *c)
{
    otter_err err;

    do {
        err = receive(c);
    } while (err == OTTER_OK);
    return err == OTTER_ERR_AGAIN ? OTTER_OK : err;
}

static otter_err send_frame(struct otter_hosted_client *c, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = write(c->fd, c->frame + at, len - at);

        if (n > 0) {
            at += (size_t)n;
            continue;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            return lost(c, strerror(errno));
        }
        /* The line is full: meanwhile events may come. */
        otter_err err =
            wait_for(c, POLLOUT | POLLIN, otter_hosted_host_wait(&c->host, otter_clock_ms()));
        if (err == OTTER_OK) {
            err = drain(c);
        }
        if (err == OTTER_OK &&
            otter_hosted_host_poll(&c->host, otter_clock_ms()) != OTTER_ERR_AGAIN) {
            err = OTTER_ERR_TIMEOUT;
        }
        if (err != OTTER_OK) {
            return err;
        }
    }
    return OTTER_OK;
}

static otter_err await(struct otter_hosted_client *c)
{
    for (;;) {
        uint32_t now = otter_clock_ms();
        otter_err err = otter_hosted_host_poll(&c->host, now);

        if (err != OTTER_ERR_AGAIN) {
            return err;
        }
        err = wait_for(c, POLLIN, otter_hosted_host_wait(&c->host, now));
        if (err == OTTER_OK) {
            err = receive(c);
        }
        if (err != OTTER_OK && err != OTTER_ERR_AGAIN) {
            return err;
        }
    }
}

/* The sentence for what a request came to. */
static void explain(struct otter_hosted_client *c, const char *what, otter_err err,
                    uint32_t timeout)
{
    const struct otter_hosted_message *m = &c->host.answer;

    if (err == OTTER_ERR_REFUSED) {
        c->resp = m->resp;
        if (m->resp < -1) {
            snprintf(c->error, sizeof(c->error), "the device refused %s: %s (code %d)", what,
                     otter_err_text((otter_err)m->resp), m->resp);
        } else {
            snprintf(c->error, sizeof(c->error), "the device refused %s (code %d)", what, m->resp);
        }
    } else if (err == OTTER_ERR_TIMEOUT) {
        snprintf(c->error, sizeof(c->error),
                 "the device did not answer %s within %u seconds: not a byte came back", what,
                 timeout / 1000u);
    } else if (err == OTTER_ERR_PROTOCOL && c->host.answer.type == OTTER_HOSTED_RESPONSE) {
        snprintf(c->error, sizeof(c->error), "the device does not know %s", what);
    } else if (err == OTTER_ERR_PROTOCOL) {
        snprintf(c->error, sizeof(c->error),
                 "no answer to %s within %u seconds: %u bytes came back that are not ESP-Hosted "
                 "(another speed, or another program on the line?)",
                 what, timeout / 1000u, c->host.heard);
    }
}

static otter_err request(struct otter_hosted_client *c, uint16_t id, const char *what,
                         const uint8_t *data, size_t len)
{
    uint32_t timeout = id == OTTER_HOSTED_BEGIN ? c->begin_ms : c->request_ms;
    size_t used = 0;
    otter_err err;

    c->error[0] = '\0';
    c->resp = 0;
    if (c->fd < 0) {
        snprintf(c->error, sizeof(c->error), "no line to a device is open");
        return OTTER_ERR_LINK;
    }
    err = otter_hosted_host_request(&c->host, id, data, len, timeout, otter_clock_ms(), c->frame,
                                    sizeof(c->frame), &used);
    if (err == OTTER_OK) {
        err = drain(c);
    }
    if (err == OTTER_OK) {
        err = send_frame(c, used);
    }
    if (err == OTTER_OK) {
        err = await(c);
    }
    explain(c, what, err, timeout);
    otter_hosted_host_drop(&c->host);
    return err;
}

otter_err otter_hosted_client_begin(struct otter_hosted_client *c)
{
    return request(c, OTTER_HOSTED_BEGIN, "to begin an update", NULL, 0);
}

otter_err otter_hosted_client_write(struct otter_hosted_client *c, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    otter_err err = OTTER_OK;

    while (len > 0 && err == OTTER_OK) {
        size_t n = len < OTTER_HOSTED_CHUNK_MAX ? len : OTTER_HOSTED_CHUNK_MAX;

        err = request(c, OTTER_HOSTED_WRITE, "to write", bytes, n);
        bytes += n;
        len -= n;
    }
    return err;
}

otter_err otter_hosted_client_end(struct otter_hosted_client *c)
{
    return request(c, OTTER_HOSTED_END, "to end the update", NULL, 0);
}

otter_err otter_hosted_client_version(struct otter_hosted_client *c,
                                      struct otter_hosted_client_version *version)
{
    otter_err err = request(c, OTTER_HOSTED_GET_VERSION, "the question for its version", NULL, 0);
    const struct otter_hosted_message *m = &c->host.answer;

    *version = (struct otter_hosted_client_version){0};
    if (err == OTTER_OK) {
        size_t n = m->data_len < sizeof(version->name) ? m->data_len : sizeof(version->name) - 1;

        memcpy(version->numbers, m->version, sizeof(version->numbers));
        if (n > 0) {
            memcpy(version->name, m->data, n);
        }
    }
    return err;
}

const char *otter_hosted_client_error(const struct otter_hosted_client *c)
{
    return c->error;
}

int32_t otter_hosted_client_resp(const struct otter_hosted_client *c)
{
    return c->resp;
}

void otter_hosted_client_timeouts(struct otter_hosted_client *c, uint32_t begin_ms,
                                  uint32_t request_ms)
{
    c->begin_ms = begin_ms > 0 ? begin_ms : OTTER_HOSTED_BEGIN_MS;
    c->request_ms = request_ms > 0 ? request_ms : OTTER_HOSTED_REQUEST_MS;
}

void otter_hosted_client_on_event(struct otter_hosted_client *c,
                                  void (*handler)(void *ctx, uint16_t id, const uint8_t *data,
                                                  size_t len),
                                  void *ctx)
{
    c->on_event = handler;
    c->event_ctx = ctx;
}

void otter_hosted_client_cancel_on(struct otter_hosted_client *c,
                                   const volatile sig_atomic_t *cancel)
{
    c->cancel = cancel;
}
