/* SPDX-License-Identifier: Apache-2.0 */
#include "conn.h"

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <linux/sockios.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "request.h"
#include "request_life.h"
#include "tls.h"

#define READ_AHEAD_MAX 16384u /* bytes of input that are kept unread */
#define LINGER_SECONDS 2u

/* --- deadlines ------------------------------------------------------------------------------- */

static uint64_t seconds_of(const struct options *options, enum conn_phase phase)
{
    switch (phase) {
    case CONN_HANDSHAKE:
    case CONN_HEAD:
        return options->head_seconds;
    case CONN_IDLE:
        return options->idle_seconds;
    case CONN_BODY:
    case CONN_ANSWER:
        return options->rate_seconds;
    case CONN_LINGER:
        return LINGER_SECONDS;
    case CONN_WORK:
    case CONN_DEAD:
        break;
    }
    return 0; /* none */
}

/* Bytes that are known to have moved: what waits here or in the kernel has not. */
static uint64_t progress_of(const struct conn *conn)
{
    if (conn->phase != CONN_ANSWER) {
        return conn->moved;
    }
    int unsent = 0;
    if (ioctl(bufferevent_getfd(conn->bev), SIOCOUTQ, &unsent) != 0) {
        unsent = 0;
    }
    uint64_t waiting = evbuffer_get_length(bufferevent_get_output(conn->bev)) + (uint64_t)unsent;
    return waiting < conn->moved ? conn->moved - waiting : 0;
}

static void set_deadline(struct conn *conn)
{
    uint64_t seconds = seconds_of(&conn->worker->server->options, conn->phase);
    conn->deadline = seconds == 0 ? 0 : worker_sweep_in(conn->worker, seconds);
}

static void enter(struct conn *conn, enum conn_phase phase)
{
    conn->phase = (uint8_t)phase;
    conn->marked = phase != CONN_BODY && phase != CONN_ANSWER;
    set_deadline(conn);
}

/* Where a connection that has to move bytes stands now. Asks the kernel, so only when it stays in
 * its phase: most answers are gone at once. */
static void mark(struct conn *conn)
{
    if (!conn->marked) {
        conn->moved_mark = progress_of(conn);
        conn->marked = true;
    }
}

/* --- the end of a connection ----------------------------------------------------------------- */

static void die(struct conn *conn)
{
    conn->phase = CONN_DEAD;
}

/* Says goodbye before closing, so that the client can tell a whole answer from a cut one. */
static void goodbye(struct conn *conn)
{
    SSL *ssl = bufferevent_openssl_get_ssl(conn->bev);
    if (ssl != NULL && conn->handshaken) {
        SSL_shutdown(ssl);
        ERR_clear_error();
    }
}

static void destroy(struct conn *conn)
{
    struct worker *worker = conn->worker;
    if (conn->request != NULL) {
        request_free(conn->request);
    }
    goodbye(conn);
    bufferevent_free(conn->bev);
    *conn->place = conn->next;
    if (conn->next != NULL) {
        conn->next->place = conn->place;
    }
    worker->conn_count--;
    addrs_leave(&worker->server->addrs, conn->addr);
    metrics_add(&worker->metrics, METRIC_CLOSED, 1);
    free(conn);
}

/* --- what a phase does ----------------------------------------------------------------------- */

/* After anything was done for a request: where does the connection stand? */
static void follow_request(struct conn *conn)
{
    struct request *request = conn->request;
    if (request->status != 0) {
        enter(conn, CONN_ANSWER);
    } else if (request_waits(request)) {
        enter(conn, CONN_WORK);
    } else if (conn->phase != CONN_BODY) {
        enter(conn, CONN_BODY);
    }
}

static bool take_head(struct conn *conn)
{
    struct evbuffer *in = bufferevent_get_input(conn->bev);
    size_t have = evbuffer_get_length(in);
    if (have == 0) {
        return false;
    }
    if (conn->phase == CONN_IDLE) {
        enter(conn, CONN_HEAD);
    }
    size_t look = have < HTTP_HEAD_MAX + 1 ? have : HTTP_HEAD_MAX + 1;
    const uint8_t *data = evbuffer_pullup(in, (ev_ssize_t)look);
    size_t end = 0;
    enum http_refusal refusal = http_head_scan(data, look, &conn->scanned, &end);
    if (refusal == HTTP_ACCEPTED && end == 0) {
        return false;
    }
    conn->scanned = 0;
    conn->request = request_new(conn, data, refusal == HTTP_ACCEPTED ? end : 0);
    if (conn->request == NULL) {
        die(conn);
        return false;
    }
    if (refusal == HTTP_ACCEPTED) {
        evbuffer_drain(in, end);
        request_start(conn->request);
    } else {
        request_refuse(conn->request, refusal);
    }
    follow_request(conn);
    return true;
}

static bool take_body(struct conn *conn)
{
    struct evbuffer *in = bufferevent_get_input(conn->bev);
    size_t len = evbuffer_get_contiguous_space(in);
    if (len == 0) {
        if (conn->ended) {
            die(conn); /* the rest of the body does not come */
        }
        return false;
    }
    size_t used = request_body(conn->request, evbuffer_pullup(in, (ev_ssize_t)len), len);
    evbuffer_drain(in, used);
    conn->moved += used;
    follow_request(conn);
    return true;
}

/* The answer is on its way out: what comes after it? */
static bool after_answer(struct conn *conn, size_t waiting)
{
    bool unread = false;
    if (conn->request != NULL) {
        unread = conn->request->body_pending;
        request_finish(conn->request);
        request_free(conn->request);
        conn->request = NULL;
    }
    if (!conn->closing) {
        enter(conn, CONN_IDLE);
        return true;
    }
    conn->linger = conn->linger || unread;
    if (waiting > 0) {
        return false;
    }
    if (!conn->linger) {
        die(conn);
        return false;
    }
    goodbye(conn);
    shutdown(bufferevent_getfd(conn->bev), SHUT_WR);
    enter(conn, CONN_LINGER);
    return true;
}

struct evbuffer *conn_stage(struct conn *conn)
{
    return conn->worker->stage;
}

/*
 * What was answered goes out. With TLS it is written right here when nothing waits before it: for a
 * small answer that saves a turn of the event loop. What the socket does not take now is libevent's
 * to write, from the same place on, as SSL_write() wants it.
 */
static void push(struct conn *conn)
{
    struct evbuffer *stage = conn->worker->stage;
    struct evbuffer *out = bufferevent_get_output(conn->bev);
    SSL *ssl = bufferevent_openssl_get_ssl(conn->bev);
    if (ssl != NULL && evbuffer_get_length(out) == 0) {
        size_t len;
        int put = 1;
        while (put > 0 && (len = evbuffer_get_contiguous_space(stage)) > 0) {
            put = SSL_write(ssl, evbuffer_pullup(stage, (ev_ssize_t)len), (int)len);
            if (put > 0) {
                evbuffer_drain(stage, (size_t)put);
            } else {
                ERR_clear_error();
            }
        }
    }
    evbuffer_add_buffer(out, stage);
}

static bool give_answer(struct conn *conn)
{
    struct evbuffer *out = bufferevent_get_output(conn->bev);
    push(conn);
    if (conn->request != NULL) {
        bool broken = false;
        if (!reply_continue(conn->request, out, &broken)) {
            if (broken) {
                die(conn); /* a cut connection tells the client, a short body would not */
            }
            return false;
        }
    }
    size_t waiting = evbuffer_get_length(out);
    if (waiting >= REPLY_QUEUE_MAX) {
        return false; /* nothing more is read or answered until some of it has gone */
    }
    return after_answer(conn, waiting);
}

static bool throw_away(struct conn *conn)
{
    struct evbuffer *in = bufferevent_get_input(conn->bev);
    evbuffer_drain(in, evbuffer_get_length(in));
    return false;
}

static bool step(struct conn *conn)
{
    switch ((enum conn_phase)conn->phase) {
    case CONN_IDLE:
    case CONN_HEAD:
        return take_head(conn);
    case CONN_BODY:
        return take_body(conn);
    case CONN_ANSWER:
        return give_answer(conn);
    case CONN_LINGER:
        return throw_away(conn);
    case CONN_HANDSHAKE:
    case CONN_WORK:
    case CONN_DEAD:
        break;
    }
    return false;
}

/* Every way into a connection ends here; nothing touches it afterwards. */
static void run(struct conn *conn)
{
    conn->worker->now_ms = clock_ms();
    while (step(conn)) {
    }
    push(conn);
    mark(conn);
    if (conn->phase == CONN_IDLE && conn->worker->stopping &&
        evbuffer_get_length(bufferevent_get_output(conn->bev)) == 0) {
        die(conn);
    }
    if (conn->phase == CONN_DEAD) {
        destroy(conn);
    }
}

void conn_resume(struct conn *conn)
{
    follow_request(conn);
    run(conn);
}

/* --- events ---------------------------------------------------------------------------------- */

static void on_data(struct bufferevent *bev, void *ctx)
{
    (void)bev;
    run(ctx);
}

/* A whole request has come, and its answer is being made or sent. */
static bool waited_for(const struct conn *conn)
{
    return conn->phase == CONN_WORK || conn->phase == CONN_ANSWER;
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
    struct conn *conn = ctx;
    if (what & BEV_EVENT_CONNECTED) {
        SSL *ssl = bufferevent_openssl_get_ssl(bev);
        conn->handshaken = true;
        conn->phase = CONN_HEAD; /* the deadline stays */
        metrics_add(&conn->worker->metrics,
                    SSL_session_reused(ssl) ? METRIC_RESUMED : METRIC_HANDSHAKES, 1);
    } else if ((what & BEV_EVENT_EOF) && waited_for(conn)) {
        conn->closing = conn->ended = true; /* the client may still read what it asked for */
    } else {
        if (what & BEV_EVENT_ERROR) {
            conn->handshaken = false; /* no goodbye over a broken connection */
        }
        ERR_clear_error();
        die(conn);
    }
    run(conn);
}

static struct bufferevent *make_bufferevent(struct worker *worker, int fd)
{
    int flags = BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS;
    if (worker->server->tls == NULL) {
        return bufferevent_socket_new(worker->base, fd, flags);
    }
    SSL *ssl = tls_accept(worker->server->tls);
    if (ssl == NULL) {
        return NULL;
    }
    struct bufferevent *bev =
        bufferevent_openssl_socket_new(worker->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING, flags);
    if (bev == NULL) {
        SSL_free(ssl);
        return NULL;
    }
    bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    return bev;
}

void conn_accept(struct worker *worker, int fd, const struct sockaddr *address)
{
    struct addr_key key = addr_key_of(address);
    worker->now_ms = clock_ms();
    if (!addrs_enter(&worker->server->addrs, key)) {
        metrics_add(&worker->metrics, METRIC_TURNED_AWAY, 1);
        close(fd);
        return;
    }
    struct conn *conn = calloc(1, sizeof *conn);
    struct bufferevent *bev = conn != NULL ? make_bufferevent(worker, fd) : NULL;
    if (bev == NULL) {
        addrs_leave(&worker->server->addrs, key);
        free(conn);
        close(fd);
        return;
    }
    conn->worker = worker;
    conn->bev = bev;
    conn->addr = key;
    addr_text(address, conn->address);
    conn->next = worker->conns;
    conn->place = &worker->conns;
    if (conn->next != NULL) {
        conn->next->place = &conn->next;
    }
    worker->conns = conn;
    worker->conn_count++;
    metrics_add(&worker->metrics, METRIC_CONNECTIONS, 1);
    enter(conn, worker->server->tls != NULL ? CONN_HANDSHAKE : CONN_HEAD);
    bufferevent_setwatermark(bev, EV_READ, 0, READ_AHEAD_MAX);
    bufferevent_setwatermark(bev, EV_WRITE, REPLY_QUEUE_MAX / 2, 0);
    bufferevent_setcb(bev, on_data, on_data, on_event, conn);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
}

/* True when the connection may go on: it is not late, or it moves fast enough. */
static bool keeps_deadline(struct conn *conn)
{
    const struct options *options = &conn->worker->server->options;
    if (conn->deadline == 0 || conn->worker->sweeps < conn->deadline) {
        return true;
    }
    if (conn->phase != CONN_BODY && conn->phase != CONN_ANSWER) {
        return false;
    }
    uint64_t now = progress_of(conn);
    bool good = now >= conn->moved_mark &&
                now - conn->moved_mark >= (uint64_t)options->rate_bytes * options->rate_seconds;
    conn->moved_mark = now;
    set_deadline(conn);
    return good;
}

void conn_sweep(struct worker *worker)
{
    struct conn *next;
    for (struct conn *conn = worker->conns; conn != NULL; conn = next) {
        next = conn->next;
        if (!keeps_deadline(conn)) {
            metrics_add(&worker->metrics, METRIC_TIMEOUTS,
                        conn->phase != CONN_IDLE && conn->phase != CONN_LINGER);
            conn->handshaken = false; /* closed without ceremony: it does not listen */
            destroy(conn);
        }
    }
}

void conn_drain_all(struct worker *worker)
{
    struct conn *next;
    for (struct conn *conn = worker->conns; conn != NULL; conn = next) {
        next = conn->next;
        bool quiet = conn->phase == CONN_IDLE || conn->phase == CONN_HANDSHAKE ||
                     (conn->phase == CONN_HEAD && conn->request == NULL && conn->scanned == 0);
        conn->closing = true;
        if (quiet && evbuffer_get_length(bufferevent_get_output(conn->bev)) == 0) {
            destroy(conn);
        }
    }
}

void conn_close_all(struct worker *worker)
{
    while (worker->conns != NULL) {
        destroy(worker->conns);
    }
}
