/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pure device half of FUOTA carried by libcurl: requests, TLS, time limits. Never blocks: its
 * sockets are watched by an epoll descriptor that the owner waits for, many clients on one.
 *
 *   wait for epoll, at most what _run() returned
 *   otter_fuota_client_events(epoll)    hands what came to the clients it is for
 *   otter_fuota_client_run(client)      for each: does one bounded step
 *
 * When _run() leaves `selected` true, restart the device.
 */
#ifndef OTTER_HOST_FUOTA_CLIENT_H
#define OTTER_HOST_FUOTA_CLIENT_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/https.h"
#include "otter/fuota.h"

#define OTTER_FUOTA_CLIENT_SOCKETS 8 /* of one transfer: two of the connection, the resolver's */

struct otter_fuota_client;

struct otter_fuota_socket {
    struct otter_fuota_client *client; /* NULL: free */
    int fd;
};

/* Filled by the owner, and outlives the client. */
struct otter_fuota_client_config {
    const struct otter_https *https;
    int epoll;
    uint32_t step;              /* bytes of a body taken in one step; 0: no limit */
    bool one_connection;        /* an attempt, one connection: closed when the attempt is over */
    struct curl_slist *resolve; /* as CURLOPT_RESOLVE takes it: many clients need not each look up
                                   the server's name; or NULL */
    const char *running;        /* digest as above, or NULL: tells the server what runs */
};

struct otter_fuota_client {
    struct otter_fuota machine;
    struct otter_fuota_client_config config;
    CURLM *multi; /* made when needed */
    CURL *easy;
    struct curl_slist *headers;
    struct otter_fuota_socket sockets[OTTER_FUOTA_CLIENT_SOCKETS];
    char *report;       /* body to be sent, freed by the client, or NULL */
    uint32_t timer_at;  /* when curl wants to be called */
    uint32_t report_at; /* when the report is sent next */
    uint32_t taken;     /* bytes of body in this step */
    uint16_t status;    /* of the answer at hand */
    uint8_t report_tries;
    bool timed;                  /* timer_at counts */
    bool busy;                   /* a request is under way */
    bool reporting;              /* it is the report */
    bool paused;                 /* the body waits for the next step */
    bool headed;                 /* the machine has had its headers */
    bool selected;               /* the new image is to be run */
    bool touched;                /* something came for it: to be run now; the owner clears it */
    char error[CURL_ERROR_SIZE]; /* of the last request that failed, or "" */
};

/* config.server etc. as in otter/fuota.h. */
OTTER_CHECKED otter_err otter_fuota_client_init(struct otter_fuota_client *client,
                                                const struct otter_fuota_client_config *config,
                                                const struct otter_fuota_config *machine,
                                                uint32_t now_ms);
void otter_fuota_client_free(struct otter_fuota_client *client);

/* Hands on what happened at the sockets, waiting for it at most timeout_ms (as epoll_wait). */
void otter_fuota_client_events(int epoll, int timeout_ms);

/* Returns in how many ms to call again, OTTER_FUOTA_NEVER: after an event. */
uint32_t otter_fuota_client_run(struct otter_fuota_client *client);

/* Sends a report when no attempt runs; replaces one that was not sent yet. A server that does not
 * know reports is not asked again. False: no memory. */
bool otter_fuota_client_report(struct otter_fuota_client *client,
                               const struct otter_fuota_report *report, uint32_t now_ms);

/* True while a report waits to be sent. */
bool otter_fuota_client_has_report(const struct otter_fuota_client *client);

#endif
