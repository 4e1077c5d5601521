/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "conn.h"
#include "log.h"
#include "seen.h"
#include "server.h"

#define SWEEP_MS 250
#define SWEEPS_A_SECOND (1000u / SWEEP_MS)

uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int len, void *ctx)
{
    (void)listener;
    (void)len;
    conn_accept(ctx, fd, address);
}

/* Out of descriptors or memory: the listeners rest until the next sweep, instead of spinning. */
static void on_accept_error(struct evconnlistener *listener, void *ctx)
{
    (void)ctx;
    log_event(LOG_LEVEL_WARNING, "accept", "%s", strerror(errno));
    evconnlistener_disable(listener);
}

uint32_t worker_sweep_in(const struct worker *worker, uint64_t seconds)
{
    return worker->sweeps + (uint32_t)seconds * SWEEPS_A_SECOND + 1;
}

static void begin_stop(struct worker *worker)
{
    worker->stopping = true;
    worker->stop_sweep = worker_sweep_in(worker, worker->server->options.grace_seconds);
    for (int i = 0; i < worker->listener_count; i++) {
        evconnlistener_free(worker->listeners[i]);
    }
    worker->listener_count = 0;
    conn_drain_all(worker);
}

/* Looks whether the worker is asked to stop, and whether it can. */
static void consider_stop(struct worker *worker)
{
    if (!worker->stopping) {
        if (!atomic_load(&worker->server->stopping)) {
            return;
        }
        begin_stop(worker);
    }
    if (worker->sweeps >= worker->stop_sweep) {
        conn_close_all(worker);
    }
    if (worker->conn_count == 0) {
        seen_flush(worker);
    }
    if (worker->conn_count == 0 && worker->home.pending == 0) {
        event_base_loopbreak(worker->base);
    }
}

static void look_run(struct job *job, struct lane *lane)
{
    struct worker *worker = (struct worker *)((char *)job - offsetof(struct worker, look));
    worker->server->store_ops->look(lane->ctx);
}

static void look_done(struct job *job)
{
    struct worker *worker = (struct worker *)((char *)job - offsetof(struct worker, look));
    worker->looking = false;
}

/* Each session looks after itself, on its own thread. */
static void look_at_store(struct worker *worker)
{
    worker->server->store_ops->look(worker->store);
    if (worker == worker->server->workers && !worker->looking) {
        worker->looking = true;
        worker->look = (struct job){.home = &worker->home, .run = look_run, .done = look_done};
        lane_post(&worker->server->store_lane, &worker->look);
    }
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct worker *worker = ctx;
    (void)fd;
    (void)what;
    worker->now_ms = clock_ms();
    for (int i = 0; i < worker->listener_count; i++) {
        evconnlistener_enable(worker->listeners[i]);
    }
    worker->sweeps++;
    conn_sweep(worker);
    if (worker->sweeps % SWEEPS_A_SECOND == 0) {
        seen_flush(worker);
        look_at_store(worker);
    }
    consider_stop(worker);
}

static void on_wake(evutil_socket_t fd, short what, void *ctx)
{
    struct worker *worker = ctx;
    (void)fd;
    (void)what;
    worker->now_ms = clock_ms();
    job_home_collect(&worker->home);
    consider_stop(worker);
}

bool worker_open(struct worker *worker, struct server *server)
{
    worker->server = server;
    worker->now_ms = clock_ms();
    worker->logins = calloc(LOGINS_MAX, sizeof *worker->logins);
    worker->mac = auth_mac_new();
    worker->stage = evbuffer_new();
    worker->store = server->store_ops->open(server->store_where, true);
    if (worker->logins == NULL || worker->mac == NULL || worker->stage == NULL ||
        worker->store == NULL || !job_home_open(&worker->home)) {
        return false;
    }
    struct event_config *config = event_config_new();
    if (config == NULL) {
        return false;
    }
    event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST | EVENT_BASE_FLAG_NOLOCK);
    worker->base = event_base_new_with_config(config);
    event_config_free(config);
    if (worker->base == NULL) {
        return false;
    }
    worker->wake =
        event_new(worker->base, worker->home.wake, EV_READ | EV_PERSIST, on_wake, worker);
    worker->tick = event_new(worker->base, -1, EV_PERSIST, on_tick, worker);
    struct timeval every = {0, SWEEP_MS * 1000};
    return worker->wake != NULL && worker->tick != NULL && event_add(worker->wake, NULL) == 0 &&
           event_add(worker->tick, &every) == 0;
}

static bool is_loopback(const struct sockaddr *address)
{
    struct addr_key key = addr_key_of(address);
    if (address->sa_family == AF_INET) {
        return key.bytes[12] == 127;
    }
    return memcmp(&((const struct sockaddr_in6 *)address)->sin6_addr, &in6addr_loopback,
                  sizeof in6addr_loopback) == 0;
}

static int bind_listener(const struct addrinfo *address, bool shared)
{
    int one = 1;
    int zero = 0;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    /* TCP_NODELAY is inherited by what is accepted. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (shared) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    }
    if (address->ai_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    }
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, 1024) == 0) {
        return fd;
    }
    int kept = errno;
    close(fd);
    errno = kept;
    return -1;
}

/* Workers share a port; with another program of the same user they would share it, too, and it
 * would get a part of the connections. So the first listener of all sees that nobody is there.
 * Further addresses may overlap with it, as 0.0.0.0 and [::] do. */
static int open_listener(const struct addrinfo *address, bool first)
{
    int alone = first ? bind_listener(address, false) : -1;
    if (first && alone < 0) {
        return -1;
    }
    if (first) {
        close(alone);
    }
    return bind_listener(address, true);
}

static uint16_t port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } address = {.six = {0}};
    socklen_t len = sizeof address;
    if (getsockname(fd, &address.any, &len) != 0) {
        return 0;
    }
    return ntohs(address.any.sa_family == AF_INET6 ? address.six.sin6_port : address.four.sin_port);
}

/* "PORT", "ADDRESS:PORT" or "[ADDRESS]:PORT" into host and port texts. */
static bool split_where(const char *where, char *host, size_t host_size, const char **port)
{
    const char *colon = strrchr(where, ':');
    host[0] = 0;
    *port = where;
    if (colon == NULL) {
        return true;
    }
    size_t len = (size_t)(colon - where);
    *port = colon + 1;
    if (len >= 2 && where[0] == '[' && where[len - 1] == ']') {
        where++;
        len -= 2;
    }
    if (len == 0 || len >= host_size) {
        return false;
    }
    memcpy(host, where, len);
    host[len] = 0;
    return true;
}

bool worker_listen(struct worker *worker, const char *where, uint16_t *port, char *error,
                   size_t error_size)
{
    char host[256];
    char number[8];
    const char *service;
    if (!split_where(where, host, sizeof host, &service)) {
        snprintf(error, error_size, "\"%s\" is not PORT, ADDRESS:PORT or [ADDRESS]:PORT", where);
        return false;
    }
    if (*port != 0) {
        snprintf(number, sizeof number, "%u", *port);
        service = number;
    }
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int fd = -1;
    /* Any address: IPv6 takes IPv4 along; where there is no IPv6, IPv4 alone. */
    hints.ai_family = host[0] == 0 ? AF_INET6 : AF_UNSPEC;
    int failed = getaddrinfo(host[0] != 0 ? host : NULL, service, &hints, &list);
    bool first = worker == worker->server->workers && worker->listener_count == 0;
    if (failed == 0) {
        fd = open_listener(list, first);
    }
    if (fd < 0 && host[0] == 0) {
        freeaddrinfo(list);
        list = NULL;
        hints.ai_family = AF_INET;
        failed = getaddrinfo(NULL, service, &hints, &list);
        fd = failed == 0 ? open_listener(list, first) : -1;
    }
    bool good = fd >= 0;
    if (!good) {
        snprintf(error, error_size, "cannot listen on %s: %s", where,
                 failed != 0 ? gai_strerror(failed) : strerror(errno));
    } else if (worker->server->tls == NULL && !is_loopback(list->ai_addr)) {
        snprintf(error, error_size,
                 "--plain listens on loopback addresses only, such as 127.0.0.1:8080");
        close(fd);
        good = false;
    }
    freeaddrinfo(list);
    if (!good) {
        return false;
    }
    *port = port_of(fd);
    struct evconnlistener *listener = evconnlistener_new(
        worker->base, on_accept, worker, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (listener == NULL) {
        close(fd);
        snprintf(error, error_size, "out of memory");
        return false;
    }
    evconnlistener_set_error_cb(listener, on_accept_error);
    worker->listeners[worker->listener_count++] = listener;
    return true;
}

static void *worker_run(void *arg)
{
    struct worker *worker = arg;
    worker->server->store_ops->look(worker->store);
    event_base_dispatch(worker->base);
    return NULL;
}

bool worker_start(struct worker *worker)
{
    worker->started = pthread_create(&worker->thread, NULL, worker_run, worker) == 0;
    return worker->started;
}

void worker_wake(struct worker *worker)
{
    uint64_t one = 1;
    ssize_t written = write(worker->home.wake, &one, sizeof one);
    (void)written;
}

void worker_join(struct worker *worker)
{
    if (worker->started) {
        pthread_join(worker->thread, NULL);
    }
}

void worker_close(struct worker *worker)
{
    conn_close_all(worker);
    for (int i = 0; i < worker->listener_count; i++) {
        evconnlistener_free(worker->listeners[i]);
    }
    if (worker->wake != NULL) {
        event_free(worker->wake);
    }
    if (worker->tick != NULL) {
        event_free(worker->tick);
    }
    if (worker->base != NULL) {
        /* Callbacks that were put off hold on to what has been freed: let them run. */
        event_base_loop(worker->base, EVLOOP_NONBLOCK);
        event_base_free(worker->base);
    }
    job_home_close(&worker->home);
    seen_drop(worker);
    worker->server->store_ops->close(worker->store);
    EVP_MAC_CTX_free(worker->mac);
    if (worker->stage != NULL) {
        evbuffer_free(worker->stage);
    }
    if (worker->logins != NULL) {
        OPENSSL_cleanse(worker->logins, LOGINS_MAX * sizeof *worker->logins);
        free(worker->logins);
    }
}
