/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A load on an HTTPS server, for bench/server.py.
 *
 *   bench-server-load MODE PORT THREADS SECONDS METHOD PATH CREDENTIALS [BODY_FILE]
 *
 * MODE keep:    requests one after another over connections that stay open
 *      full:    a connection with a full handshake for each request
 *      resumed: a connection with a resumed handshake for each request
 *      idle:    THREADS is a number of connections: each asks once, then all are held until
 *               standard input ends
 *
 * {} in PATH becomes a random number below the environment's LOAD_IDS, or with LOAD_SWEEP each of
 * them once, whichever client asks. A client ends after LOAD_REQUESTS requests, if that is set.
 * Prints one line of JSON.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TIMES_MAX 200000u

static struct {
    SSL_CTX *tls;
    const char *mode;
    const char *method;
    const char *path;
    char credentials[512];
    char *body;
    size_t body_len;
    uint16_t port;
    double seconds;
    uint32_t ids;
    uint64_t most;
    bool sweep;
    atomic_uint next; /* of a sweep */
} load;

struct client {
    pthread_t thread;
    SSL *ssl;
    SSL_SESSION *session;
    uint32_t seed;
    uint64_t requests;
    uint64_t bytes;
    uint64_t errors;
    uint64_t resumed;
    uint32_t times_count;
    uint32_t *times; /* microseconds */
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int tcp_connect(void)
{
    int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(load.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int client_index;

/* TLS 1.3 sends tickets after the handshake, and each is for one use. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct client *client = SSL_get_ex_data(ssl, client_index);
    SSL_SESSION_free(client->session);
    client->session = session;
    return 1;
}

static bool client_connect(struct client *client)
{
    int fd = tcp_connect();
    if (fd < 0) {
        return false;
    }
    client->ssl = SSL_new(load.tls);
    SSL_set_ex_data(client->ssl, client_index, client);
    SSL_set_fd(client->ssl, fd);
    if (strcmp(load.mode, "resumed") == 0 && client->session != NULL) {
        SSL_set_session(client->ssl, client->session);
    }
    bool good = SSL_connect(client->ssl) == 1;
    client->resumed += good && SSL_session_reused(client->ssl);
    return good;
}

static void client_close(struct client *client)
{
    if (client->ssl != NULL) {
        int fd = SSL_get_fd(client->ssl);
        SSL_shutdown(client->ssl);
        SSL_free(client->ssl);
        client->ssl = NULL;
        close(fd);
    }
    ERR_clear_error();
}

/* Reads one answer with a Content-Length. */
static bool read_answer(struct client *client)
{
    static _Thread_local char buffer[65536];
    size_t have = 0;
    char *end = NULL;
    while (end == NULL && have < sizeof buffer - 1) {
        int got = SSL_read(client->ssl, buffer + have, (int)(sizeof buffer - 1 - have));
        if (got <= 0) {
            return false;
        }
        have += (size_t)got;
        buffer[have] = 0;
        end = strstr(buffer, "\r\n\r\n");
    }
    if (end == NULL || buffer[9] != '2') {
        return false;
    }
    const char *field = strcasestr(buffer, "\r\nContent-Length:");
    size_t length = field != NULL && field < end ? strtoull(field + 17, NULL, 10) : 0;
    size_t got_body = have - (size_t)(end + 4 - buffer);
    while (got_body < length) {
        int got = SSL_read(client->ssl, buffer, sizeof buffer);
        if (got <= 0) {
            return false;
        }
        got_body += (size_t)got;
    }
    client->bytes += got_body;
    return got_body == length;
}

static bool ask(struct client *client)
{
    char head[2048];
    char path[512];
    const char *place = strstr(load.path, "{}");
    if (place != NULL) {
        client->seed = client->seed * 1664525u + 1013904223u;
        uint32_t number = load.sweep ? atomic_fetch_add(&load.next, 1) : client->seed >> 8;
        snprintf(path, sizeof path, "%.*s%u%s", (int)(place - load.path), load.path,
                 number % load.ids, place + 2);
    } else {
        snprintf(path, sizeof path, "%s", load.path);
    }
    int n = snprintf(head, sizeof head,
                     "%s %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic %s\r\n",
                     load.method, path, load.credentials);
    n += load.body != NULL ? snprintf(head + n, sizeof head - (size_t)n,
                                      "Content-Length: %zu\r\n\r\n", load.body_len)
                           : snprintf(head + n, sizeof head - (size_t)n, "\r\n");
    if (SSL_write(client->ssl, head, n) != n ||
        (load.body != NULL &&
         SSL_write(client->ssl, load.body, (int)load.body_len) != (int)load.body_len)) {
        return false;
    }
    return read_answer(client);
}

static void note_time(struct client *client, double took)
{
    if (client->times_count < TIMES_MAX) {
        client->times[client->times_count++] = (uint32_t)(took * 1e6);
    }
}

static bool swept(void)
{
    return load.sweep && atomic_load(&load.next) >= load.ids;
}

static void *client_run(void *arg)
{
    struct client *client = arg;
    bool keep = strcmp(load.mode, "keep") == 0;
    double end = now() + load.seconds;
    for (double start = now(); start < end && client->requests < load.most && !swept();
         start = now()) {
        bool good = (client->ssl != NULL || client_connect(client)) && ask(client);
        if (good) {
            client->requests++;
            note_time(client, now() - start);
        } else {
            client->errors++;
            usleep(1000);
        }
        if (!keep || !good) {
            client_close(client);
        }
    }
    client_close(client);
    SSL_SESSION_free(client->session);
    return NULL;
}

static int by_time(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void report(struct client *clients, size_t count, double took)
{
    struct client sum = {0};
    for (size_t i = 0; i < count; i++) {
        sum.requests += clients[i].requests;
        sum.bytes += clients[i].bytes;
        sum.errors += clients[i].errors;
        sum.resumed += clients[i].resumed;
        sum.times_count += clients[i].times_count;
    }
    uint32_t *times = calloc(sum.times_count + 1, sizeof *times);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(times + at, clients[i].times, clients[i].times_count * sizeof *times);
        at += clients[i].times_count;
        free(clients[i].times);
    }
    qsort(times, at, sizeof *times, by_time);
    printf("{\"requests\":%llu,\"bytes\":%llu,\"errors\":%llu,\"resumed\":%llu,\"seconds\":%.3f,"
           "\"p50\":%u,\"p99\":%u}\n",
           (unsigned long long)sum.requests, (unsigned long long)sum.bytes,
           (unsigned long long)sum.errors, (unsigned long long)sum.resumed, took, times[at / 2],
           times[at * 99 / 100]);
    free(times);
}

static void hold_idle(struct client *clients, size_t count)
{
    size_t good = 0;
    for (size_t i = 0; i < count; i++) {
        good += client_connect(&clients[i]) && ask(&clients[i]);
    }
    printf("{\"requests\":%zu}\n", good);
    fflush(stdout);
    while (getchar() != EOF) {
    }
}

static void read_body(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        exit(1);
    }
    load.body_len = (size_t)ftell(file);
    load.body = malloc(load.body_len + 1);
    rewind(file);
    if (load.body == NULL || fread(load.body, 1, load.body_len, file) != load.body_len) {
        perror(path);
        exit(1);
    }
    fclose(file);
}

int main(int argc, char **argv)
{
    if (argc < 8) {
        fputs("usage: bench-server-load MODE PORT THREADS SECONDS METHOD PATH CREDENTIALS "
              "[BODY_FILE]\n",
              stderr);
        return 2;
    }
    const char *ids = getenv("LOAD_IDS");
    const char *most = getenv("LOAD_REQUESTS");
    size_t count = strtoul(argv[3], NULL, 10);
    load.mode = argv[1];
    load.port = (uint16_t)atoi(argv[2]);
    load.seconds = atof(argv[4]);
    load.method = argv[5];
    load.path = argv[6];
    load.ids = ids != NULL ? (uint32_t)atol(ids) : 1;
    load.sweep = getenv("LOAD_SWEEP") != NULL;
    load.most = most != NULL ? strtoull(most, NULL, 10) : UINT64_MAX;
    EVP_EncodeBlock((unsigned char *)load.credentials, (const unsigned char *)argv[7],
                    (int)strlen(argv[7]));
    if (argc > 8) {
        read_body(argv[8]);
    }
    signal(SIGPIPE, SIG_IGN);
    load.tls = SSL_CTX_new(TLS_client_method());
    client_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    SSL_CTX_set_mode(load.tls, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_session_cache_mode(load.tls,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(load.tls, on_session);
    struct client *clients = calloc(count, sizeof *clients);
    if (strcmp(load.mode, "idle") == 0) {
        hold_idle(clients, count);
        return 0;
    }
    double start = now();
    for (size_t i = 0; i < count; i++) {
        clients[i].seed = (uint32_t)i * 7919u + 1;
        clients[i].times = calloc(TIMES_MAX, sizeof *clients[i].times);
        pthread_create(&clients[i].thread, NULL, client_run, &clients[i]);
    }
    for (size_t i = 0; i < count; i++) {
        pthread_join(clients[i].thread, NULL);
    }
    report(clients, count, now() - start);
    free(clients);
    free(load.body);
    SSL_CTX_free(load.tls);
    return 0;
}
