/* SPDX-License-Identifier: Apache-2.0 */
/* A request from its head to the end of its answer, and the ways to answer it. */
#ifndef OTTERD_REQUEST_H
#define OTTERD_REQUEST_H

#include <event2/buffer.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "http_parse.h"
#include "router.h"
#include "store.h"

#define USER_NAME_MAX 64u

struct conn;
struct server;
struct upload;
struct work;
struct worker;

struct request {
    struct conn *conn;
    struct worker *worker;
    struct server *server;
    struct http_head head;
    struct http_path path;
    const struct route *route;    /* NULL: no such path */
    char user[USER_NAME_MAX + 1]; /* whose credentials came with it */
    uint64_t start_ms;
    struct work *work;     /* on a lane, or NULL */
    struct upload *upload; /* being received, or NULL */

    /* body */
    struct http_chunks chunks;
    uint64_t body_left; /* of a body with a length */
    uint64_t body_got;
    bool body_pending;      /* some of it is still to come */
    struct evbuffer *small; /* a body that is gathered before it is looked at */

    /* answer */
    int status; /* 0: not answered yet */
    uint64_t sent;
    int fd; /* of a file being sent, or -1 */
    uint64_t file_at;
    uint64_t file_left;
    /* Adds the next piece of a long answer; false: that was the last. NULL: none. */
    bool (*more)(struct request *request, struct evbuffer *out);
    bool more_chunked;
    bool cut; /* the stream failed: the connection is cut, so that nobody takes it for whole */
    bool last_page;                 /* of a list */
    char after[STORE_TEXT_MAX + 1]; /* where the next page of a list begins */
    char fields[768];               /* extra header lines of the answer */

    /* The head and the decoded path live here. */
    size_t head_len;
    char text[];
};

/* Goes on with a request whose credentials have this role. */
void request_admit(struct request *request, enum role role);

/* --- answering: exactly one of these, once ------------------------------------------------- */

/* Adds a header line to the answer to come. */
void reply_field(struct request *request, const char *name, const char *value);

void reply_bytes(struct request *request, int status, const char *type, const void *body,
                 size_t len);
/* Without a body (200 with length 0, or 204). */
void reply_empty(struct request *request, int status);
/* An error with one sentence: plain text, or JSON under /api. */
void reply_error(struct request *request, int status, const char *text);
/* Takes json over; NULL is out of memory. */
void reply_json(struct request *request, int status, json_t *json);
/* length bytes of fd from first on; the request owns fd from here. status is 200 or 206. */
void reply_file(struct request *request, int status, int fd, uint64_t first, uint64_t length);
/* An answer of unknown length, made piece by piece. */
void reply_stream(struct request *request, const char *type,
                  bool (*more)(struct request *request, struct evbuffer *out));

/* Tops the output up from a file or stream. True when the whole answer has been queued; false also
 * when the file cannot be read any more, and then *broken is set. */
bool reply_continue(struct request *request, struct evbuffer *out, bool *broken);

#define REPLY_QUEUE_MAX 65536u /* bytes that may wait to go out */
#endif
