/* SPDX-License-Identifier: Apache-2.0 */
/* otterd: the update server. The main thread starts the workers, and afterwards only listens for
 * signals and looks after what time changes. */
#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "auth.h"
#include "init.h"
#include "log.h"
#include "server.h"
#include "start.h"
#include "tls.h"
#include "users.h"

struct main_loop {
    struct server *server;
    struct event_base *base;
    struct event *events[8];
    size_t count;
    uint32_t ticks;
    bool missed; /* the certificate there is now could not be read */
};

#define CERTIFICATE_LOOK_TICKS 10u /* seconds between two looks at the certificate's files */

/* quietly: that it cannot be read has been said. */
static void reload_certificate(struct main_loop *loop, bool quietly)
{
    struct server *server = loop->server;
    char error[512];
    if (server->tls == NULL) {
        return;
    }
    loop->missed = !tls_reload(server->tls, error, sizeof error);
    if (!loop->missed) {
        log_event(LOG_LEVEL_INFO, "certificate", "read again, good for %lld days",
                  (long long)(tls_seconds_left(server->tls) / 86400));
    } else if (!quietly) {
        log_event(LOG_LEVEL_ERROR, "certificate", "%s; the old one stays in use", error);
    }
}

/* What could not be read may be readable now without having changed: the key of another owner, a
 * moment without descriptors. */
static void look_at_certificate(struct main_loop *loop)
{
    bool changed = loop->server->tls != NULL && tls_changed(loop->server->tls);
    if (changed || loop->missed) {
        reload_certificate(loop, !changed);
    }
}

static void on_reload(evutil_socket_t number, short what, void *ctx)
{
    struct server *server = ((struct main_loop *)ctx)->server;
    char error[512];
    (void)number;
    (void)what;
    reload_certificate(ctx, false);
    if (users_reload(server->users, error, sizeof error)) {
        log_event(LOG_LEVEL_INFO, "users", "read again");
    } else {
        log_event(LOG_LEVEL_ERROR, "users", "%s; the old ones stay", error);
    }
}

static void on_stop(evutil_socket_t number, short what, void *ctx)
{
    struct main_loop *loop = ctx;
    (void)what;
    if (atomic_exchange(&loop->server->stopping, true)) {
        _exit(1); /* asked twice */
    }
    sd_notify(0, "STOPPING=1");
    log_event(LOG_LEVEL_INFO, "stopping", "%s", strsignal(number));
    event_base_loopbreak(loop->base);
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct main_loop *loop = ctx;
    struct server *server = loop->server;
    (void)fd;
    (void)what;
    addrs_sweep(&server->addrs, clock_ms());
    if (++loop->ticks % CERTIFICATE_LOOK_TICKS == 0) {
        look_at_certificate(loop);
    }
    sd_notify(0, "WATCHDOG=1");
}

static bool main_loop_open(struct main_loop *loop, struct server *server)
{
    static const int stops[] = {SIGTERM, SIGINT};
    struct timeval second = {1, 0};
    *loop = (struct main_loop){.server = server, .base = event_base_new()};
    if (loop->base == NULL) {
        return false;
    }
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        loop->events[loop->count++] = evsignal_new(loop->base, stops[i], on_stop, loop);
    }
    loop->events[loop->count++] = evsignal_new(loop->base, SIGHUP, on_reload, loop);
    for (size_t i = 0; i < loop->count; i++) {
        if (loop->events[i] == NULL || event_add(loop->events[i], NULL) != 0) {
            return false;
        }
    }
    struct event *tick = event_new(loop->base, -1, EV_PERSIST, on_tick, loop);
    loop->events[loop->count++] = tick;
    return tick != NULL && event_add(tick, &second) == 0;
}

static void main_loop_close(struct main_loop *loop)
{
    for (size_t i = 0; i < loop->count; i++) {
        if (loop->events[i] != NULL) {
            event_free(loop->events[i]);
        }
    }
    if (loop->base != NULL) {
        event_base_free(loop->base);
    }
}

static bool open_workers(struct server *server)
{
    char error[512];
    uint16_t *ports = server->ports;
    server->workers = calloc(server->options.threads, sizeof *server->workers);
    if (server->workers == NULL) {
        return start_failed("out of memory");
    }
    for (uint32_t i = 0; i < server->options.threads; i++) {
        server->worker_count++;
        if (!worker_open(&server->workers[i], server)) {
            return start_failed("cannot make an event loop");
        }
        for (int k = 0; k < server->options.listen_count; k++) {
            if (!worker_listen(&server->workers[i], server->options.listen[k], &ports[k], error,
                               sizeof error)) {
                return start_failed("%s", error);
            }
        }
    }
    return true;
}

static bool open_server(struct server *server)
{
    char error[512] = "out of memory";
    const struct options *options = &server->options;
    if (!auth_init()) {
        return start_failed("no randomness");
    }
    if (!options->plain) {
        server->tls = tls_open(options->cert, options->key, error, sizeof error);
        if (server->tls == NULL) {
            return start_failed("%s\nMake a certificate with `otterd init DIR`, or name one with "
                                "--cert and --key.",
                                error);
        }
    }
    server->users = users_open(options, error, sizeof error);
    if (server->users == NULL) {
        return start_failed("%s", error);
    }
    snprintf(server->store_where, sizeof server->store_where, "%s/devices.db", options->data);
    server->store_ops = &store_sqlite;
    /* What needs privileges, the loss of them, what does not. */
    return start_folder(options) && open_workers(server) && start_drop_privileges(options) &&
           start_store(server);
}

static void say_listening(const struct server *server)
{
    for (int k = 0; k < server->options.listen_count; k++) {
        struct log_line line;
        log_begin(&line, LOG_LEVEL_INFO, "listening");
        log_text(&line, "where", server->options.listen[k]);
        log_number(&line, "port", server->ports[k]);
        log_end(&line);
    }
}

/* Signals are for the main thread: threads begun after this do not get them. */
static void block_signals(bool block)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

static int serve(struct server *server)
{
    struct main_loop loop = {0};
    bool good = open_server(server) && main_loop_open(&loop, server);
    for (uint32_t i = 0; good && i < server->worker_count; i++) {
        good = worker_start(&server->workers[i]);
    }
    block_signals(false);
    if (good) {
        say_listening(server);
        sd_notify(0, "READY=1");
        event_base_dispatch(loop.base);
    }
    atomic_store(&server->stopping, true);
    for (uint32_t i = 0; i < server->worker_count; i++) {
        worker_wake(&server->workers[i]);
        worker_join(&server->workers[i]);
    }
    for (uint32_t i = 0; i < server->worker_count; i++) {
        worker_close(&server->workers[i]);
    }
    stop_store(server);
    main_loop_close(&loop);
    free(server->workers);
    users_close(server->users);
    tls_close(server->tls);
    if (good) {
        log_event(LOG_LEVEL_INFO, "stopped", "all done");
    }
    return good ? 0 : 1;
}

static int run_command(const struct options *options)
{
    if (strcmp(options->command, "init") == 0) {
        return init_run(options);
    }
    if (strcmp(options->command, "passwd") == 0) {
        return passwd_run(options);
    }
    fprintf(stderr, "otterd: there is no command \"%s\"; try otterd --help\n", options->command);
    return 2;
}

int main(int argc, char **argv)
{
    /* Large, and lives as long as the program. */
    static struct server server = {.lock = -1, .blobs = {-1, -1, -1}};
    int result = options_parse(&server.options, argc, argv);
    if (result >= 0) {
        return result;
    }
    if (server.options.command != NULL) {
        return run_command(&server.options);
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    block_signals(true);
    log_setup(server.options.json_log, server.options.log_level);
    server.started = time(NULL);
    addrs_init(&server.addrs, server.options.max_connections, server.options.max_per_address);
    result = serve(&server);
    addrs_free(&server.addrs);
    return result;
}
