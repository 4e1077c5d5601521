/* SPDX-License-Identifier: Apache-2.0 */
/* The API of the first FUOTA server, status for status (PROTOCOLS: FUOTA over HTTPS). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "change.h"
#include "download.h"
#include "log.h"
#include "request.h"
#include "seen.h"
#include "server.h"
#include "text.h"
#include "upload.h"

#define LIST_PAGE 200u /* devices fetched at once for the list */

void seed_bad_path(struct request *request)
{
    reply_error(request, 400, "the path is not /devices, /devices/ID or /files/NAME");
}

/* Our own devices say which image they run: two releases may carry the same version text. */
static bool read_running(struct request *request, char out[65])
{
    struct http_text field = request->head.running;
    out[0] = 0;
    if (field.at == NULL) {
        return true;
    }
    if (field.len != 64 || strspn(field.at, "0123456789abcdef") < 64) {
        return false;
    }
    memcpy(out, field.at, 64);
    out[64] = 0;
    return true;
}

static void offer(struct request *request, const struct store_poll *poll, const char *version,
                  const char *running)
{
    if (!poll->assigned) {
        reply_error(request, 404, "this device is not known");
    } else if (strcmp(poll->from, version) != 0 ||
               (running[0] != 0 && strcmp(running, poll->digest) == 0)) {
        reply_empty(request, 204);
    } else if (!poll->has_file) {
        log_event(LOG_LEVEL_WARNING, "poll", "device %s is to get %s, which is not there", poll->id,
                  poll->file);
        reply_error(request, 404, "the update file is missing");
    } else {
        if (poll->is_image) {
            reply_field(request, "Otter-Image-SHA256", poll->digest);
        }
        metrics_add(&request->worker->metrics, METRIC_OFFERS, 1);
        reply_bytes(request, 200, "text/csv", poll->file, strlen(poll->file));
    }
}

void seed_poll(struct request *request)
{
    const char *id = request->path.segment[1];
    char version[STORE_TEXT_MAX + 1];
    char running[65];
    struct store_poll poll;
    int count = http_query_find(request->path.query, "app_ver", version, sizeof version);
    if (count != 1 || !text_is_id(id) || !text_valid(version, STORE_TEXT_MAX) ||
        !read_running(request, running)) {
        reply_error(request, 400, "ask /devices/ID?app_ver=VERSION, with one app_ver");
        return;
    }
    metrics_add(&request->worker->metrics, METRIC_POLLS, 1);
    enum store_result result = request->server->store_ops->poll(request->worker->store, id, &poll);
    if (result != STORE_OK) {
        store_failed(request, result, "this device is not known");
        return;
    }
    if (request->server->options.poll_seconds > 0) {
        char seconds[16];
        snprintf(seconds, sizeof seconds, "%u", request->server->options.poll_seconds);
        reply_field(request, "Otter-Poll", seconds);
    }
    seen_note(request, &poll, version, running);
    offer(request, &poll, version, running);
}

/* --- the list -------------------------------------------------------------------------------- */

struct page {
    struct evbuffer *out;
    char last[STORE_TEXT_MAX + 1];
    size_t count;
};

static void add_row(void *ctx, const struct store_device *device)
{
    struct page *page = ctx;
    char line[3 * (2 * STORE_TEXT_MAX + 3) + 1];
    size_t n = csv_quote(device->id, line);
    line[n++] = ',';
    n += csv_quote(device->from, line + n);
    line[n++] = ',';
    n += csv_quote(device->file, line + n);
    line[n++] = '\n';
    evbuffer_add(page->out, line, n);
    memcpy(page->last, device->id, sizeof page->last);
    page->count++;
}

/* The next page of the list; its last id is where the page after it begins. */
static enum store_result add_page(struct request *request, struct evbuffer *out)
{
    struct page page = {.out = out};
    enum store_result result = request->server->store_ops->device_list(
        request->worker->store, request->after, true, LIST_PAGE, add_row, &page);
    memcpy(request->after, page.last, sizeof request->after);
    request->last_page = page.count < LIST_PAGE;
    return result;
}

static bool more_devices(struct request *request, struct evbuffer *out)
{
    if (add_page(request, out) != STORE_OK) {
        request->cut = true; /* a list that stops short must not look whole */
    }
    return !request->last_page;
}

void seed_devices(struct request *request)
{
    struct evbuffer *first = evbuffer_new();
    if (first == NULL) {
        reply_error(request, 503, "out of memory");
        return;
    }
    enum store_result result = add_page(request, first);
    if (result != STORE_OK) {
        store_failed(request, result, "");
    } else if (request->last_page) {
        size_t len = evbuffer_get_length(first);
        reply_bytes(request, 200, "text/csv", evbuffer_pullup(first, -1), len);
    } else {
        request->after[0] = 0; /* the stream begins with this page again */
        reply_stream(request, "text/csv", more_devices);
    }
    evbuffer_free(first);
}

/* --- changes --------------------------------------------------------------------------------- */

static void answer_empty(struct request *request, struct change *change)
{
    (void)change;
    reply_empty(request, 200);
}

static enum store_result apply_assign(struct change *change, struct store *store)
{
    const struct store_device *device = &change->device;
    return change->server->store_ops->assign(store, device->id, device->from, device->file);
}

static void log_device(struct request *request, const char *event,
                       const struct store_device *device)
{
    struct log_line line;
    log_begin(&line, LOG_LEVEL_INFO, event);
    log_text(&line, "user", request->user);
    log_text(&line, "device", device->id);
    log_text(&line, "from", device->from);
    log_text(&line, "file", device->file);
    log_end(&line);
}

void seed_assign(struct request *request)
{
    struct change *change = change_new(request);
    if (change == NULL) {
        return;
    }
    struct store_device *device = &change->device;
    char *fields[3] = {device->id, device->from, device->file};
    size_t len = request->small != NULL ? evbuffer_get_length(request->small) : 0;
    const char *body = len > 0 ? (const char *)evbuffer_pullup(request->small, -1) : "";
    /* The id of the body counts, as it did with the first server. */
    if (!csv_parse(body, len, fields, STORE_TEXT_MAX + 1) || !text_is_id(device->id) ||
        (device->file[0] != 0 && !text_is_file_name(device->file))) {
        free(change);
        reply_error(request, 400, "the body is one line: \"ID\",\"VERSION\",\"FILE\"");
        return;
    }
    log_device(request, "assign", device);
    change->apply = apply_assign;
    change->answer = answer_empty;
    change_post(request, change);
}

static enum store_result apply_remove(struct change *change, struct store *store)
{
    struct store_device device;
    const struct store_ops *ops = change->server->store_ops;
    enum store_result result = ops->device_get(store, change->device.id, &device);
    if (result == STORE_OK) {
        result = device.assigned ? ops->device_remove(store, device.id) : STORE_NONE;
    }
    return result;
}

void seed_remove(struct request *request)
{
    const char *id = request->path.segment[1];
    struct change *change = text_is_id(id) ? change_new(request) : NULL;
    if (change == NULL) {
        if (request->status == 0) {
            reply_error(request, 400, "this is no device id");
        }
        return;
    }
    strcpy(change->device.id, id);
    log_device(request, "remove", &change->device);
    change->apply = apply_remove;
    change->answer = answer_empty;
    change_post(request, change);
}

/* --- files ----------------------------------------------------------------------------------- */

void seed_download(struct request *request)
{
    download(request, request->path.segment[1]);
}

void seed_upload_begin(struct request *request)
{
    upload_begin(request, request->path.segment[1]);
}

static void answer_upload(struct request *request, const struct store_file *file, bool replaced)
{
    (void)file;
    (void)replaced;
    reply_empty(request, 200);
}

void seed_upload(struct request *request)
{
    upload_finish(request, answer_upload);
}
