/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/images and /api/v1/status. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api.h"
#include "api_json.h"
#include "change.h"
#include "inspect.h"
#include "log.h"
#include "server.h"
#include "text.h"
#include "upload.h"

void v1_status(struct request *request)
{
    struct store_counts counts;
    enum store_result result = request->server->store_ops->counts(request->worker->store, &counts);
    if (result != STORE_OK) {
        store_failed(request, result, "");
        return;
    }
    reply_json(request, 200,
               json_pack("{s:s, s:o, s:I, s:I, s:I, s:I}", "version", OTTER_VERSION, "started",
                         json_time(request->server->started), "images", (json_int_t)counts.files,
                         "devices", (json_int_t)counts.devices, "assigned",
                         (json_int_t)counts.assigned, "connections",
                         (json_int_t)addrs_total(&request->server->addrs)));
}

static json_t *file_json(const struct store_file *file)
{
    json_t *image = json_null();
    if (file->is_image) {
        image = json_pack("{s:o, s:o, s:o, s:o, s:I, s:o}", "chip", json_text(file->chip),
                          "project", json_text(file->project), "version", json_text(file->version),
                          "idf", json_text(file->idf), "secure_version",
                          (json_int_t)file->secure_version, "sha256", json_text(file->digest));
    }
    return json_pack("{s:o, s:I, s:o, s:o, s:s, s:o}", "name", json_text(file->name), "size",
                     (json_int_t)file->size, "sha256", json_text(file->sha256), "uploaded",
                     json_time(file->at), "format", inspection_format(file), "image", image);
}

struct list {
    json_t *rows;
    char last[STORE_TEXT_MAX + 1];
};

static void add_file(void *ctx, const struct store_file *file)
{
    struct list *list = ctx;
    json_array_append_new(list->rows, file_json(file));
    memcpy(list->last, file->name, sizeof list->last);
}

void v1_images(struct request *request)
{
    struct list list = {.last = ""};
    char after[STORE_TEXT_MAX + 1];
    size_t limit;
    if (!json_page(request, &limit, after, sizeof after)) {
        return;
    }
    list.rows = json_array();
    enum store_result result = request->server->store_ops->file_list(request->worker->store, after,
                                                                     limit, add_file, &list);
    if (result != STORE_OK) {
        json_decref(list.rows);
        store_failed(request, result, "");
        return;
    }
    bool more = json_array_size(list.rows) == limit;
    reply_json(request, 200,
               json_pack("{s:o, s:o}", "images", list.rows, "next",
                         more ? json_text(list.last) : json_null()));
}

void v1_image(struct request *request)
{
    struct store_file file;
    enum store_result result = request->server->store_ops->file_get(
        request->worker->store, request->path.segment[3], &file);
    if (result != STORE_OK) {
        store_failed(request, result, "there is no image of this name");
        return;
    }
    reply_json(request, 200, file_json(&file));
}

void v1_image_put_begin(struct request *request)
{
    upload_begin(request, request->path.segment[3]);
}

static void answer_put(struct request *request, const struct store_file *file, bool replaced)
{
    reply_json(request, replaced ? 200 : 201, file_json(file));
}

void v1_image_put(struct request *request)
{
    upload_finish(request, answer_put);
}

/* --- removal --------------------------------------------------------------------------------- */

static enum store_result apply_remove(struct change *change, struct store *store)
{
    const struct store_ops *ops = change->server->store_ops;
    uint64_t names = 1;
    struct store_file *file = &change->file;
    enum store_result result = ops->file_get(store, file->name, file);
    if (result == STORE_OK && !change->replaced) {
        result = ops->file_users(store, file->name, &change->count);
    }
    if (result != STORE_OK || change->count > 0) {
        return result;
    }
    result = ops->file_remove(store, file->name);
    if (result == STORE_OK && ops->content_names(store, file->sha256, &names) == STORE_OK &&
        names == 0) {
        blob_remove(&change->server->blobs, file->sha256);
    }
    return result;
}

static void answer_remove(struct request *request, struct change *change)
{
    if (change->count > 0) {
        char text[128];
        snprintf(text, sizeof text,
                 "it is assigned to %llu devices; unassign them first, or say ?force=1",
                 (unsigned long long)change->count);
        reply_error(request, 409, text);
        return;
    }
    log_event(LOG_LEVEL_INFO, "remove", "image %s, by %s", change->file.name, request->user);
    reply_empty(request, 204);
}

void v1_image_remove(struct request *request)
{
    char force[4] = "";
    const char *name = request->path.segment[3];
    int count = http_query_find(request->path.query, "force", force, sizeof force);
    struct change *change = text_is_file_name(name) ? change_new(request) : NULL;
    if (change == NULL) {
        if (request->status == 0) {
            reply_error(request, 404, "there is no image of this name");
        }
        return;
    }
    strcpy(change->file.name, name);
    change->replaced = count == 1 && strcmp(force, "1") == 0; /* forced */
    change->apply = apply_remove;
    change->answer = answer_remove;
    change_post(request, change);
}
