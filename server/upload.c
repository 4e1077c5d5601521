/* SPDX-License-Identifier: Apache-2.0 */
#include "upload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "change.h"
#include "inspect.h"
#include "log.h"
#include "request.h"
#include "server.h"
#include "text.h"

struct upload {
    struct server *server;
    int fd;
    char temp[BLOB_TEMP_MAX];
    bool kept; /* moved to its place: there is no temporary file any more */
    struct inspection inspection;
    struct store_file file;
    void (*answer)(struct request *request, const struct store_file *file, bool replaced);
};

void upload_abort(struct upload *upload)
{
    if (upload->fd >= 0) {
        close(upload->fd);
        if (!upload->kept) {
            blob_discard(&upload->server->blobs, upload->temp);
        }
    }
    inspection_free(&upload->inspection);
    atomic_fetch_sub(&upload->server->uploads, 1);
    free(upload);
}

void upload_begin(struct request *request, const char *name)
{
    struct server *server = request->server;
    if (!text_is_file_name(name)) {
        reply_error(request, 400, "a file name is 1 to 255 bytes without / \\ \" % ? #");
        return;
    }
    struct upload *upload = calloc(1, sizeof *upload);
    if (upload == NULL) {
        reply_error(request, 503, "out of memory");
        return;
    }
    upload->server = server;
    upload->fd = -1;
    snprintf(upload->file.name, sizeof upload->file.name, "%s", name);
    request->upload = upload;
    if (atomic_fetch_add(&server->uploads, 1) >= server->options.max_uploads) {
        reply_field(request, "Retry-After", "10");
        reply_error(request, 503, "too many uploads at once");
        return;
    }
    upload->fd = blob_create(&server->blobs, upload->temp);
    if (upload->fd < 0) {
        store_failed(request, blob_error(errno), "");
    } else if (!inspection_begin(&upload->inspection)) {
        reply_error(request, 503, "out of memory");
    }
}

/* A file that is no image is refused as soon as that is clear. */
static bool refuse_stranger(struct request *request, const char *complaint)
{
    char text[256];
    if (complaint == NULL || request->server->options.any_file) {
        return false;
    }
    bool seed = strcmp(request->path.segment[0], "files") == 0;
    snprintf(text, sizeof text, "not an ESP32 image that may be offered: %s", complaint);
    reply_error(request, seed ? 400 : 422, text);
    return true;
}

bool upload_data(struct request *request, const uint8_t *data, size_t len)
{
    struct upload *upload = request->upload;
    size_t at = 0;
    while (at < len) {
        ssize_t put = write(upload->fd, data + at, len - at);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            store_failed(request, blob_error(errno), "");
            return false;
        }
        at += (size_t)put;
    }
    metrics_add(&request->worker->metrics, METRIC_BYTES_IN, len);
    if (!inspection_feed(&upload->inspection, data, len)) {
        reply_error(request, 500, "the hash failed");
        return false;
    }
    otter_err verdict = upload->inspection.verdict;
    return !refuse_stranger(request, verdict != OTTER_OK ? otter_err_text(verdict) : NULL);
}

enum store_result upload_name(struct blobs *blobs, const struct store_ops *ops, struct store *store,
                              const struct store_file *file, bool *replaced)
{
    struct store_file old;
    uint64_t names = 1;
    enum store_result found = ops->file_get(store, file->name, &old);
    enum store_result result = found == STORE_OK || found == STORE_NONE ? STORE_OK : found;
    *replaced = found == STORE_OK;
    if (result == STORE_OK) {
        result = ops->file_put(store, file);
    }
    /* A content without a name is of no use: the old one, or the new one when naming failed. What
     * cannot be told now is swept at the next start. */
    const char *unused = result == STORE_OK ? (*replaced ? old.sha256 : NULL) : file->sha256;
    if (unused != NULL && ops->content_names(store, unused, &names) == STORE_OK && names == 0) {
        blob_remove(blobs, unused);
    }
    return result;
}

static enum store_result apply(struct change *change, struct store *store)
{
    struct upload *upload = change->upload;
    struct server *server = change->server;
    enum store_result result =
        blob_keep(&server->blobs, upload->fd, upload->temp, upload->file.sha256);
    if (result != STORE_OK) {
        return result;
    }
    upload->kept = true;
    return upload_name(&server->blobs, server->store_ops, store, &upload->file, &change->replaced);
}

static void stored(struct request *request, struct change *change)
{
    const struct store_file *file = &change->upload->file;
    struct log_line line;
    metrics_add(&request->worker->metrics, METRIC_UPLOADS, 1);
    log_begin(&line, LOG_LEVEL_INFO, "upload");
    log_text(&line, "user", request->user);
    log_text(&line, "file", file->name);
    log_number(&line, "size", (int64_t)file->size);
    log_text(&line, "sha256", file->sha256);
    log_text(&line, "format", inspection_format(file));
    log_text(&line, "chip", file->chip);
    log_text(&line, "version", file->version);
    log_end(&line);
    change->upload->answer(request, file, change->replaced);
}

void upload_finish(struct request *request,
                   void (*answer)(struct request *request, const struct store_file *file,
                                  bool replaced))
{
    struct upload *upload = request->upload;
    if (refuse_stranger(request, inspection_complaint(&upload->inspection))) {
        return;
    }
    if (!inspection_end(&upload->inspection, &upload->file)) {
        reply_error(request, 500, "the hash failed");
        return;
    }
    struct change *change = change_new(request);
    if (change == NULL) {
        return;
    }
    upload->file.at = time(NULL);
    upload->answer = answer;
    change->upload = upload;
    change->apply = apply;
    change->answer = stored;
    request->upload = NULL;
    change_post(request, change);
}

bool upload_inspect(int fd, struct store_file *file)
{
    struct inspection inspection;
    uint8_t data[16384];
    ssize_t got = 0;
    bool good = inspection_begin(&inspection);
    while (good && (got = read(fd, data, sizeof data)) > 0) {
        good = inspection_feed(&inspection, data, (size_t)got);
    }
    good = good && got == 0 && inspection_end(&inspection, file);
    inspection_free(&inspection);
    return good;
}
