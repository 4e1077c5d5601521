/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection: its life, its deadlines, and the requests that come over it one after another.
 *
 *   accept -> HANDSHAKE -> HEAD -> BODY -> WORK -> ANSWER -> IDLE -> HEAD ...
 *                            \______________________/  \-> LINGER -> closed
 *
 * The pages of a phase that has nothing to do are skipped. Each phase has its deadline, in one
 * table; whoever does not keep it is closed.
 */
#ifndef OTTERD_CONN_H
#define OTTERD_CONN_H

#include <event2/bufferevent.h>
#include <stdbool.h>
#include <stdint.h>

#include "addrs.h"
#include "auth.h"
#include "server.h"

enum conn_phase {
    CONN_HANDSHAKE, /* and the first head */
    CONN_IDLE,      /* nothing of the next request is here */
    CONN_HEAD,
    CONN_BODY,
    CONN_WORK,   /* a lane works for the request; nothing is read */
    CONN_ANSWER, /* the answer goes out; nothing is read */
    CONN_LINGER, /* answered before the body was read: what still comes is thrown away */
    CONN_DEAD,   /* freed when the callback returns */
};

struct request;

struct conn {
    struct conn *next;
    struct conn **place; /* what points here in the worker's list */
    struct worker *worker;
    struct bufferevent *bev;
    struct request *request; /* NULL between requests */
    uint32_t deadline;       /* the sweep that ends the phase; 0: none */
    uint64_t moved;          /* bytes of bodies that came in or went out */
    uint64_t moved_mark;     /* moved when the rate window began */
    size_t scanned;          /* bytes of the head already looked at */
    struct addr_key addr;
    uint8_t phase;
    bool closing; /* no request after this one */
    bool ended;   /* the client sends nothing more */
    bool marked;  /* moved_mark belongs to this phase */
    bool handshaken;
    bool linger; /* some of the last body was never read */
    char address[ADDR_TEXT_MAX];
    struct login login; /* that the last request came with */
};

void conn_accept(struct worker *worker, int fd, const struct sockaddr *address);
/* Closes those whose deadline has passed. */
void conn_sweep(struct worker *worker);
/* Closes idle connections and lets the others finish what they do. */
void conn_drain_all(struct worker *worker);
void conn_close_all(struct worker *worker);

/* What is added here is sent. */
struct evbuffer *conn_stage(struct conn *conn);

/* A lane has finished for the request of this connection, which has been answered or wants its
 * body read: go on. */
void conn_resume(struct conn *conn);
#endif
