/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/devices. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api.h"
#include "api_json.h"
#include "change.h"
#include "conn.h"
#include "log.h"
#include "server.h"
#include "text.h"

static json_t *device_json(const struct store_device *device)
{
    json_t *assignment = json_null();
    json_t *result = json_null();
    if (device->assigned) {
        assignment = json_pack("{s:o, s:o}", "from", json_text(device->from), "image",
                               json_text(device->file));
    }
    if (device->result_at != 0) {
        result = json_pack("{s:o, s:o, s:o}", "result", json_text(device->result), "detail",
                           json_text(device->detail), "at", json_time(device->result_at));
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "id", json_text(device->id),
                     "assignment", assignment, "version", json_text(device->version), "running",
                     json_text(device->running), "first_seen", json_time(device->first_seen),
                     "last_seen", json_time(device->last_seen), "address",
                     json_text(device->address), "last_result", result, "changed",
                     (json_int_t)device->changed);
}

struct list {
    json_t *rows;
    char last[STORE_TEXT_MAX + 1];
    uint64_t changed;
};

static void add_device(void *ctx, const struct store_device *device)
{
    struct list *list = ctx;
    json_array_append_new(list->rows, device_json(device));
    memcpy(list->last, device->id, sizeof list->last);
    list->changed = device->changed;
}

/* ?changed_since=N: what has changed after change number N, for those who watch. */
static bool read_since(struct request *request, bool *asked, uint64_t *since)
{
    char text[24];
    char *end = text;
    int count = http_query_find(request->path.query, "changed_since", text, sizeof text);
    *asked = count != 0;
    if (count == 1) {
        *since = strtoull(text, &end, 10);
    }
    if (count < 0 || count > 1 || (count == 1 && (*end != 0 || *since > INT64_MAX))) {
        reply_error(request, 400, "changed_since is a number from an earlier answer");
        return false;
    }
    return true;
}

void v1_devices(struct request *request)
{
    const struct store_ops *ops = request->server->store_ops;
    struct store *store = request->worker->store;
    struct list list = {.last = ""};
    char after[STORE_TEXT_MAX + 1];
    size_t limit;
    bool changes;
    if (!json_page(request, &limit, after, sizeof after) ||
        !read_since(request, &changes, &list.changed)) {
        return;
    }
    list.rows = json_array();
    enum store_result result =
        changes ? ops->device_changes(store, &list.changed, limit, add_device, &list)
                : ops->device_list(store, after, false, limit, add_device, &list);
    if (result != STORE_OK) {
        json_decref(list.rows);
        store_failed(request, result, "");
        return;
    }
    bool more = json_array_size(list.rows) == limit;
    json_t *next = changes ? json_integer((json_int_t)list.changed)
                   : more  ? json_text(list.last)
                           : json_null();
    reply_json(request, 200, json_pack("{s:o, s:o}", "devices", list.rows, "next", next));
}

void v1_device(struct request *request)
{
    struct store_device device;
    enum store_result result = request->server->store_ops->device_get(
        request->worker->store, request->path.segment[3], &device);
    if (result != STORE_OK) {
        store_failed(request, result, "this device is not known");
        return;
    }
    reply_json(request, 200, device_json(&device));
}

/* --- changes --------------------------------------------------------------------------------- */

/* A change for the device in the path; NULL: answered. */
static struct change *device_change(struct request *request)
{
    const char *id = request->path.segment[3];
    if (!text_is_id(id)) {
        reply_error(request, 400, "a device id is 1 to 255 bytes of text without a slash");
        return NULL;
    }
    struct change *change = change_new(request);
    if (change != NULL) {
        strcpy(change->device.id, id);
    }
    return change;
}

/* Copies a text of the body; false when it is too long or holds control characters. */
static bool copy_member(const json_t *body, const char *name, char *out, size_t size)
{
    const char *text = json_member(body, name, "");
    if (!text_valid(text, size - 1)) {
        return false;
    }
    strcpy(out, text);
    return true;
}

static void log_assign(struct request *request, const char *who, const struct store_device *device)
{
    log_event(LOG_LEVEL_INFO, "assign", "%s to %s from version \"%s\", by %s", device->file, who,
              device->from, request->user);
}

/* from and image of the body; an image that does not exist is never offered this way. */
static bool read_assignment(struct request *request, struct change *change)
{
    static const char *const members[] = {"from", "image", NULL};
    struct store_device *device = &change->device;
    json_t *body = json_body(request, members);
    if (body == NULL) {
        return false;
    }
    bool good = copy_member(body, "from", device->from, sizeof device->from) &&
                copy_member(body, "image", device->file, sizeof device->file) &&
                device->from[0] != 0 && text_is_file_name(device->file);
    json_decref(body);
    if (!good) {
        reply_error(request, 400, "from is a version, image is the name of an uploaded image");
    }
    return good;
}

static enum store_result image_exists(struct change *change, struct store *store)
{
    enum store_result result =
        change->server->store_ops->file_get(store, change->device.file, &change->file);
    change->replaced = result == STORE_OK; /* found */
    return result == STORE_NONE ? STORE_OK : result;
}

static bool refuse_missing_image(struct request *request, const struct change *change)
{
    if (!change->replaced) {
        reply_error(request, 409, "there is no image of this name; upload it first");
    }
    return !change->replaced;
}

static enum store_result apply_assign(struct change *change, struct store *store)
{
    const struct store_device *device = &change->device;
    enum store_result result = image_exists(change, store);
    if (result != STORE_OK || !change->replaced) {
        return result;
    }
    return change->server->store_ops->assign(store, device->id, device->from, device->file);
}

static void answer_assign(struct request *request, struct change *change)
{
    if (!refuse_missing_image(request, change)) {
        log_assign(request, change->device.id, &change->device);
        reply_empty(request, 204);
    }
}

void v1_assign(struct request *request)
{
    struct change *change = device_change(request);
    if (change == NULL) {
        return;
    }
    if (!read_assignment(request, change)) {
        free(change);
        return;
    }
    change->apply = apply_assign;
    change->answer = answer_assign;
    change_post(request, change);
}

static enum store_result apply_assign_all(struct change *change, struct store *store)
{
    enum store_result result = image_exists(change, store);
    if (result != STORE_OK || !change->replaced) {
        return result;
    }
    return change->server->store_ops->assign_all(store, change->device.from, change->device.file,
                                                 &change->count);
}

static void answer_assign_all(struct request *request, struct change *change)
{
    if (!refuse_missing_image(request, change)) {
        log_assign(request, "every device", &change->device);
        reply_json(request, 200, json_pack("{s:I}", "devices", (json_int_t)change->count));
    }
}

void v1_assign_all(struct request *request)
{
    struct change *change = change_new(request);
    if (change == NULL) {
        return;
    }
    if (!read_assignment(request, change)) {
        free(change);
        return;
    }
    change->apply = apply_assign_all;
    change->answer = answer_assign_all;
    change_post(request, change);
}

static void answer_none(struct request *request, struct change *change)
{
    (void)change;
    reply_empty(request, 204);
}

static enum store_result apply_unassign(struct change *change, struct store *store)
{
    return change->server->store_ops->unassign(store, change->device.id);
}

static enum store_result apply_remove(struct change *change, struct store *store)
{
    return change->server->store_ops->device_remove(store, change->device.id);
}

static void post(struct request *request,
                 enum store_result (*apply)(struct change *change, struct store *store))
{
    struct change *change = device_change(request);
    if (change != NULL) {
        change->apply = apply;
        change->answer = answer_none;
        change_post(request, change);
    }
}

void v1_unassign(struct request *request)
{
    post(request, apply_unassign);
}

void v1_device_remove(struct request *request)
{
    post(request, apply_remove);
}

/* --- reports --------------------------------------------------------------------------------- */

static enum store_result apply_report(struct change *change, struct store *store)
{
    const struct store_ops *ops = change->server->store_ops;
    struct store_device *device = &change->device;
    enum store_result result = ops->report(store, device);
    if (result == STORE_NONE) { /* never seen before */
        result = ops->seen(store, device, 1, change->server->options.max_devices);
        result = result == STORE_OK ? ops->report(store, device) : result;
    }
    return result;
}

void v1_report(struct request *request)
{
    static const char *const members[] = {"result", "detail", "version", "running", NULL};
    struct change *change = device_change(request);
    json_t *body = change != NULL ? json_body(request, members) : NULL;
    if (body == NULL) {
        free(change);
        return;
    }
    struct store_device *device = &change->device;
    bool good = copy_member(body, "result", device->result, sizeof device->result) &&
                copy_member(body, "detail", device->detail, sizeof device->detail) &&
                copy_member(body, "version", device->version, sizeof device->version) &&
                copy_member(body, "running", device->running, sizeof device->running);
    json_decref(body);
    if (!good || (strcmp(device->result, "updated") != 0 && strcmp(device->result, "failed") != 0 &&
                  strcmp(device->result, "rolled-back") != 0)) {
        free(change);
        reply_error(request, 400, "result is updated, failed or rolled-back; texts are short");
        return;
    }
    device->result_at = device->last_seen = time(NULL);
    memcpy(device->address, request->conn->address, sizeof device->address);
    log_event(LOG_LEVEL_INFO, "report", "%s: %s %s %s", device->id, device->result, device->version,
              device->detail);
    change->apply = apply_report;
    change->answer = answer_none;
    change_post(request, change);
}
