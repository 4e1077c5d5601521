/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of otterd share: the process, its workers, a request. */
#ifndef OTTERD_SERVER_H
#define OTTERD_SERVER_H

#include <event2/event.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "addrs.h"
#include "blobs.h"
#include "http_parse.h"
#include "job.h"
#include "metrics.h"
#include "options.h"
#include "store.h"

struct conn;
struct tls;
struct users;
struct evbuffer;
struct evconnlistener;
struct check;
struct login;
struct seen_batch;
struct server;

/* A thread with an event loop. Everything here belongs to that thread alone. */
struct worker {
    struct server *server;
    pthread_t thread;
    struct event_base *base;
    struct evconnlistener *listeners[LISTEN_MAX];
    int listener_count;
    struct event *tick;
    struct event *wake;
    struct job_home home;
    struct evbuffer *stage; /* what the connection that is being worked on is about to send */
    struct conn *conns;
    uint32_t conn_count;
    bool stopping;
    bool started;
    /* Deadlines are counted in sweeps, four a second, and not in time: while the machine stands
     * still, clients on it or before it are not late. */
    uint32_t sweeps;
    uint32_t stop_sweep; /* when downloads are cut off */
    uint64_t now_ms;     /* monotonic, brought up to date as events come in */
    char date[32];       /* of the Date field */
    time_t date_at;
    struct metrics metrics;
    EVP_MAC_CTX *mac;     /* for credentials */
    struct check *checks; /* of passwords, under way */
    struct login *logins; /* LOGINS_MAX credentials known to be right */
    struct store *store;  /* a reader */
    struct seen_batch *seen;
    bool seen_busy;  /* a batch is on the store's lane */
    struct job look; /* the first worker's: has the database been moved? */
    bool looking;
};

struct server {
    struct options options;
    struct tls *tls; /* NULL: plain */
    struct users *users;
    struct addrs addrs;
    struct lane auth_lane;  /* hashes passwords */
    struct lane store_lane; /* carries out changes; its ctx is the session that may */
    const struct store_ops *store_ops;
    struct blobs blobs;
    char store_where[OPTION_PATH_MAX];
    int lock;            /* on the data folder */
    atomic_uint uploads; /* under way */
    struct worker *workers;
    uint32_t worker_count;
    uint16_t ports[LISTEN_MAX]; /* that are listened on */
    time_t started;
    atomic_bool stopping;
};

uint64_t clock_ms(void);

bool worker_open(struct worker *worker, struct server *server);
/* Binds one more place, "ADDRESS:PORT" or "PORT". Port 0 is replaced by the one that was given, in
 * *port, so that the next worker binds the same. */
bool worker_listen(struct worker *worker, const char *where, uint16_t *port, char *error,
                   size_t error_size);
bool worker_start(struct worker *worker);
/* Any thread: wakes the worker to look at server->stopping. */
void worker_wake(struct worker *worker);
void worker_join(struct worker *worker);
/* The first sweep that is at least so many seconds away. */
uint32_t worker_sweep_in(const struct worker *worker, uint64_t seconds);
void worker_close(struct worker *worker);
#endif
