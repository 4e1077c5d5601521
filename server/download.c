/* SPDX-License-Identifier: Apache-2.0 */
#include "download.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobs.h"
#include "change.h"
#include "log.h"
#include "server.h"

/* The content a name stands for, opened. The name may get another content, and the old one vanish,
 * between looking it up and opening it: then it is looked up again. */
static enum store_result open_file(struct request *request, const char *name,
                                   struct store_file *file, int *fd)
{
    const struct store_ops *ops = request->server->store_ops;
    enum store_result result = STORE_NONE;
    *fd = -1;
    for (int attempt = 0; attempt < 3 && *fd < 0; attempt++) {
        result = ops->file_get(request->worker->store, name, file);
        if (result != STORE_OK) {
            return result;
        }
        *fd = blob_read(&request->server->blobs, file->sha256);
        if (*fd < 0 && errno != ENOENT) {
            return blob_error(errno);
        }
    }
    struct stat st;
    if (*fd >= 0 && (fstat(*fd, &st) != 0 || (uint64_t)st.st_size != file->size)) {
        close(*fd);
        *fd = -1;
    }
    if (*fd < 0) {
        log_event(LOG_LEVEL_ERROR, "store", "the content of %s is not there: %s", name,
                  file->sha256);
        return STORE_BROKEN;
    }
    return STORE_OK;
}

static bool matches_etag(struct http_text field, const char *etag)
{
    /* A list is searched as text: an entity tag is 32 hexadecimal digits in quotes. */
    return field.at != NULL &&
           (http_text_is(field, "*") || memmem(field.at, field.len, etag, strlen(etag)) != NULL);
}

void download(struct request *request, const char *name)
{
    const struct http_head *head = &request->head;
    struct store_file file;
    char text[96];
    char etag[40];
    uint64_t first = 0;
    uint64_t length;
    int status = 200;
    int fd;
    enum store_result result = open_file(request, name, &file, &fd);
    if (result != STORE_OK) {
        store_failed(request, result, "there is no file of this name");
        return;
    }
    /* Half of the digest: enough to tell contents apart, short enough for small clients. */
    snprintf(etag, sizeof etag, "\"%.32s\"", file.sha256);
    reply_field(request, "ETag", etag);
    reply_field(request, "Accept-Ranges", "bytes");
    reply_field(request, "Cache-Control", request->server->options.cache_control);
    if (matches_etag(head->if_none_match, etag)) {
        close(fd);
        reply_empty(request, 304);
        return;
    }
    length = file.size;
    bool same = head->if_range.at == NULL || http_text_is(head->if_range, etag);
    enum http_range range =
        same ? http_range_parse(head->range, file.size, &first, &length) : HTTP_RANGE_NONE;
    if (range == HTTP_RANGE_UNSATISFIABLE) {
        close(fd);
        snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)file.size);
        reply_field(request, "Content-Range", text);
        reply_error(request, 416, "the range lies outside the file");
        return;
    }
    if (range == HTTP_RANGE_OK) {
        snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)first,
                 (unsigned long long)(first + length - 1), (unsigned long long)file.size);
        reply_field(request, "Content-Range", text);
        status = 206;
    }
    if (file.is_image) {
        reply_field(request, "Otter-Image-SHA256", file.digest);
    }
    metrics_add(&request->worker->metrics, METRIC_DOWNLOADS, 1);
    reply_file(request, status, fd, first, length);
}
