/* SPDX-License-Identifier: Apache-2.0 */
/* A request's life: head, route, credentials, body, handler. */
#include <event2/bufferevent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api.h"
#include "auth.h"
#include "conn.h"
#include "log.h"
#include "request_life.h"
#include "upload.h"
#include "work.h"

struct request *request_new(struct conn *conn, const uint8_t *head, size_t len)
{
    /* The head as it came, and room for the path decoded: never longer than it was encoded. */
    struct request *request = calloc(1, sizeof *request + 2 * len + 1);
    if (request == NULL) {
        return NULL;
    }
    request->conn = conn;
    request->worker = conn->worker;
    request->server = conn->worker->server;
    request->start_ms = conn->worker->now_ms;
    request->fd = -1;
    request->head_len = len;
    memcpy(request->text, head, len);
    return request;
}

void request_free(struct request *request)
{
    if (request->work != NULL) {
        request->work->request = NULL;
    }
    if (request->upload != NULL) {
        upload_abort(request->upload);
    }
    if (request->small != NULL) {
        evbuffer_free(request->small);
    }
    if (request->fd >= 0) {
        close(request->fd);
    }
    free(request);
}

bool request_waits(const struct request *request)
{
    return request->work != NULL;
}

/* --- lanes ----------------------------------------------------------------------------------- */

static void work_run(struct job *job, struct lane *lane)
{
    struct work *work = (struct work *)job;
    work->run(work, lane);
}

static void work_done(struct job *job)
{
    struct work *work = (struct work *)job;
    struct request *request = work->request;
    if (request != NULL) {
        struct conn *conn = request->conn;
        request->work = NULL;
        conn->worker->now_ms = clock_ms();
        if (work->done != NULL) {
            work->done(work);
        }
        conn_resume(conn);
    }
    work->free(work);
}

void work_post(struct request *request, struct lane *lane, struct work *work)
{
    work->request = request;
    work->job.run = work_run;
    work->job.done = work_done;
    work->job.home = &request->worker->home;
    request->work = work;
    lane_post(lane, &work->job);
}

/* --- head ------------------------------------------------------------------------------------ */

void request_refuse(struct request *request, enum http_refusal refusal)
{
    const struct http_refusal_row *row = http_refusal_row(refusal);
    metrics_add(&request->worker->metrics, METRIC_REFUSED, 1);
    request->conn->closing = true;
    request->body_pending = true; /* whatever follows is not to be understood */
    reply_error(request, row->status, row->text);
}

static bool has_body(const struct request *request)
{
    return request->head.chunked || request->head.length > 0;
}

static void no_route(struct request *request, const char *allow)
{
    if (allow[0] == 0) {
        reply_error(request, 404, "there is nothing here");
        return;
    }
    reply_field(request, "Allow", allow);
    reply_error(request, 405, "this path does not take this method");
}

void request_start(struct request *request)
{
    struct http_head *head = &request->head;
    enum http_refusal refusal =
        http_head_parse((const uint8_t *)request->text, request->head_len, head);
    if (refusal != HTTP_ACCEPTED) {
        request_refuse(request, refusal);
        return;
    }
    if (!head->keep_alive || request->worker->stopping) {
        request->conn->closing = true;
    }
    request->body_pending = has_body(request);
    if (!http_path_parse(head->target, request->text + request->head_len, &request->path)) {
        request->path.count = 0;
        reply_error(request, 400, "the path is not well formed");
        return;
    }
    char allow[64];
    request->route = router_find(head->method, &request->path, allow);
    if (request->route == NULL) {
        no_route(request, allow);
        return;
    }
    bool open = request->route->role == ROLE_NONE ||
                (request->route->handle == api_metrics && request->server->options.open_metrics);
    if (open) {
        request_admit(request, request->route->role);
    } else {
        auth_check(request);
    }
}

/* What a body must be before any of it is read. True when the request has been answered. */
static bool refuse_body(struct request *request)
{
    const struct http_head *head = &request->head;
    uint64_t most =
        request->route->body == BODY_FILE ? request->server->options.max_upload : ROUTE_SMALL_MAX;
    if (request->route->body == BODY_NONE && has_body(request)) {
        reply_error(request, 400, "this request takes no body");
    } else if (request->route->body != BODY_NONE && !head->has_length && !head->chunked) {
        reply_error(request, 411, "Content-Length is missing");
    } else if (head->length > most) {
        reply_error(request, 413, "the body is larger than this server takes");
    } else {
        return false;
    }
    return true;
}

void request_admit(struct request *request, enum role role)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (role < request->route->role) {
        reply_error(request, 403, "these credentials are not enough for this");
        return;
    }
    if (refuse_body(request)) {
        return;
    }
    if (request->route->begin != NULL) {
        request->route->begin(request);
        if (request->status != 0) {
            return;
        }
    }
    if (!request->body_pending) {
        request->route->handle(request);
        return;
    }
    request->body_left = request->head.length;
    http_chunks_begin(&request->chunks);
    if (request->head.expect_continue && request->head.minor == 1) {
        evbuffer_add(conn_stage(request->conn), go_on, sizeof go_on - 1);
    }
}

/* --- body ------------------------------------------------------------------------------------ */

/* Bytes of the body proper. False when the request has been answered instead. */
static bool pass_on(struct request *request, const uint8_t *data, size_t len)
{
    uint64_t most =
        request->route->body == BODY_FILE ? request->server->options.max_upload : ROUTE_SMALL_MAX;
    request->body_got += len;
    if (request->body_got > most) {
        reply_error(request, 413, "the body is larger than this server takes");
        return false;
    }
    if (request->route->body == BODY_FILE) {
        return upload_data(request, data, len);
    }
    if (request->small == NULL) {
        request->small = evbuffer_new();
    }
    if (request->small == NULL || evbuffer_add(request->small, data, len) != 0) {
        reply_error(request, 503, "out of memory");
        return false;
    }
    return true;
}

static size_t plain_body(struct request *request, const uint8_t *data, size_t len)
{
    size_t take = request->body_left < len ? (size_t)request->body_left : len;
    request->body_left -= take;
    if (pass_on(request, data, take) && request->body_left == 0) {
        request->body_pending = false;
    }
    return take;
}

static size_t chunked_body(struct request *request, const uint8_t *data, size_t len)
{
    size_t at = 0;
    while (at < len && request->body_pending && request->status == 0) {
        size_t used;
        size_t data_at;
        size_t data_len;
        enum http_refusal refusal =
            http_chunks_take(&request->chunks, data + at, len - at, &used, &data_at, &data_len);
        if (refusal != HTTP_ACCEPTED) {
            request_refuse(request, refusal);
        } else if (data_len > 0) {
            pass_on(request, data + at + data_at, data_len);
        }
        at += used;
        request->body_pending = request->status != 0 || !http_chunks_done(&request->chunks);
    }
    return at;
}

size_t request_body(struct request *request, const uint8_t *data, size_t len)
{
    size_t used =
        request->head.chunked ? chunked_body(request, data, len) : plain_body(request, data, len);
    if (!request->body_pending && request->status == 0) {
        request->route->handle(request);
    }
    return used;
}

/* --- the end --------------------------------------------------------------------------------- */

void request_finish(struct request *request)
{
    if (!log_wants(LOG_LEVEL_REQUEST)) {
        return;
    }
    struct log_line line;
    log_begin(&line, LOG_LEVEL_REQUEST, "answer");
    log_text(&line, "address", request->conn->address);
    if (request->user[0] != 0) {
        log_text(&line, "user", request->user);
    }
    log_text(&line, "method", http_method_name(request->head.method));
    if (request->head.target.at != NULL) {
        log_bytes(&line, "target", request->head.target.at, request->head.target.len);
    }
    log_number(&line, "status", request->status);
    log_number(&line, "bytes", (int64_t)request->sent);
    log_number(&line, "ms", (int64_t)(clock_ms() - request->start_ms));
    log_end(&line);
}
