/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: status line, fields and body, into the connection's output. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conn.h"
#include "request.h"

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {200, "OK"},
    {201, "Created"},
    {204, "No Content"},
    {206, "Partial Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {409, "Conflict"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

static const char *reason_of(int status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (reasons[i].status == status) {
            return reasons[i].reason;
        }
    }
    return "Error";
}

void reply_field(struct request *request, const char *name, const char *value)
{
    size_t used = strlen(request->fields);
    int n =
        snprintf(request->fields + used, sizeof request->fields - used, "%s: %s\r\n", name, value);
    if (n < 0 || (size_t)n >= sizeof request->fields - used) {
        request->fields[used] = 0; /* no room: the line is left out whole */
    }
}

static const char *date_of(struct worker *worker)
{
    time_t now = time(NULL);
    if (now != worker->date_at) {
        struct tm utc;
        gmtime_r(&now, &utc);
        strftime(worker->date, sizeof worker->date, "%a, %d %b %Y %H:%M:%S GMT", &utc);
        worker->date_at = now;
    }
    return worker->date;
}

static void count(struct request *request, int status)
{
    enum metric metric = status < 300   ? METRIC_ANSWERS_2XX
                         : status < 400 ? METRIC_ANSWERS_3XX
                         : status < 500 ? METRIC_ANSWERS_4XX
                                        : METRIC_ANSWERS_5XX;
    metrics_add(&request->worker->metrics, metric, 1);
    request->status = status;
}

static void queue(struct request *request, const void *data, size_t len)
{
    evbuffer_add(conn_stage(request->conn), data, len);
    request->conn->moved += len;
}

/* length < 0: not known, the body is chunked or ends with the connection. */
static void send_head(struct request *request, int status, const char *type, int64_t length)
{
    struct conn *conn = request->conn;
    char head[2048];
    char size[48] = "";
    if (request->body_pending) {
        conn->closing = true; /* what is left of the body is not a request */
    }
    if (length >= 0 && status != 204 && status != 304) {
        snprintf(size, sizeof size, "Content-Length: %lld\r\n", (long long)length);
    } else if (request->more_chunked) {
        snprintf(size, sizeof size, "Transfer-Encoding: chunked\r\n");
    }
    const char *connection = conn->closing              ? "Connection: close\r\n"
                             : request->head.minor == 0 ? "Connection: keep-alive\r\n"
                                                        : "";
    const char *cache =
        strstr(request->fields, "Cache-Control:") != NULL ? "" : "Cache-Control: no-store\r\n";
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 %d %s\r\nServer: otterd\r\nDate: %s\r\n%s%s%s%s%s%s%s\r\n", status,
                     reason_of(status), date_of(request->worker),
                     type != NULL ? "Content-Type: " : "", type != NULL ? type : "",
                     type != NULL ? "\r\n" : "", size, cache, request->fields, connection);
    if (n > 0 && (size_t)n < sizeof head) {
        queue(request, head, (size_t)n);
    }
    count(request, status);
}

void reply_bytes(struct request *request, int status, const char *type, const void *body,
                 size_t len)
{
    send_head(request, status, type, (int64_t)len);
    if (request->head.method != HTTP_HEAD && len > 0) {
        queue(request, body, len);
        request->sent += len;
    }
}

void reply_empty(struct request *request, int status)
{
    send_head(request, status, NULL, 0);
}

void reply_json(struct request *request, int status, json_t *json)
{
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (text == NULL) {
        reply_error(request, 503, "out of memory");
        return;
    }
    reply_bytes(request, status, "application/json", text, strlen(text));
    free(text);
}

void reply_error(struct request *request, int status, const char *text)
{
    char body[512];
    bool api = request->path.count > 0 && strcmp(request->path.segment[0], "api") == 0;
    if (!api) {
        int n = snprintf(body, sizeof body, "%s\n", text);
        size_t len = n < (int)sizeof body ? (size_t)n : sizeof body - 1;
        reply_bytes(request, status, "text/plain; charset=utf-8", body, len);
        return;
    }
    json_t *json = json_pack("{s:s}", "error", text);
    size_t len = json != NULL ? json_dumpb(json, body, sizeof body, JSON_COMPACT) : 0;
    json_decref(json);
    reply_bytes(request, status, "application/json", body, len <= sizeof body ? len : 0);
}

void reply_file(struct request *request, int status, int fd, uint64_t first, uint64_t length)
{
    send_head(request, status, "application/octet-stream", (int64_t)length);
    request->fd = fd;
    request->file_at = first;
    request->file_left = request->head.method == HTTP_HEAD ? 0 : length;
}

void reply_stream(struct request *request, const char *type,
                  bool (*more)(struct request *request, struct evbuffer *out))
{
    request->more_chunked = request->head.minor == 1;
    if (!request->more_chunked) {
        request->conn->closing = true;
    }
    send_head(request, 200, type, -1);
    request->more = request->head.method == HTTP_HEAD ? NULL : more;
}

/* pread into the output: never a mapped file, which another program's truncation would turn into
 * a signal. */
static bool add_file_piece(struct request *request, struct evbuffer *out)
{
    struct evbuffer_iovec space;
    size_t want = request->file_left < 16384 ? (size_t)request->file_left : 16384;
    if (evbuffer_reserve_space(out, (ev_ssize_t)want, &space, 1) < 1) {
        return false;
    }
    if (space.iov_len > 32768) {
        space.iov_len = 32768;
    }
    if (space.iov_len > request->file_left) {
        space.iov_len = (size_t)request->file_left;
    }
    ssize_t got = pread(request->fd, space.iov_base, space.iov_len, (off_t)request->file_at);
    if (got <= 0) {
        return false;
    }
    space.iov_len = (size_t)got;
    evbuffer_commit_space(out, &space, 1);
    request->file_at += (uint64_t)got;
    request->file_left -= (uint64_t)got;
    request->sent += (uint64_t)got;
    request->conn->moved += (uint64_t)got;
    metrics_add(&request->worker->metrics, METRIC_BYTES_OUT, (uint64_t)got);
    return true;
}

static bool add_stream_piece(struct request *request, struct evbuffer *out)
{
    struct evbuffer *piece = evbuffer_new();
    if (piece == NULL) {
        return false;
    }
    bool last = !request->more(request, piece);
    if (request->cut) {
        evbuffer_free(piece);
        return false;
    }
    size_t len = evbuffer_get_length(piece);
    request->sent += len;
    request->conn->moved += len;
    if (len > 0 && request->more_chunked) {
        evbuffer_add_printf(out, "%zx\r\n", len);
    }
    evbuffer_add_buffer(out, piece);
    if (len > 0 && request->more_chunked) {
        evbuffer_add(out, "\r\n", 2);
    }
    if (last && request->more_chunked) {
        evbuffer_add(out, "0\r\n\r\n", 5);
    }
    evbuffer_free(piece);
    if (last) {
        request->more = NULL;
    }
    return true;
}

bool reply_continue(struct request *request, struct evbuffer *out, bool *broken)
{
    *broken = false;
    while (request->file_left > 0 || request->more != NULL) {
        if (evbuffer_get_length(out) >= REPLY_QUEUE_MAX) {
            return false;
        }
        bool good =
            request->file_left > 0 ? add_file_piece(request, out) : add_stream_piece(request, out);
        if (!good) {
            *broken = true;
            return false;
        }
    }
    return true;
}
