/* SPDX-License-Identifier: Apache-2.0 */
/* The SQLite store: devices, and the table of functions. */
#include <string.h>

#include "sqlite_session.h"

#define DEVICE_COLUMNS                                                                             \
    "d.assigned, d.from_version, d.file, d.first_seen, d.last_seen, d.address, d.version, "        \
    "d.running, d.result, d.detail, d.result_at, d.changed"
#define NEXT_CHANGE "(SELECT ifnull(max(changed), 0) + 1 FROM device)"

static void read_device(sqlite3_stmt *stmt, int first, struct store_device *device)
{
    device->assigned = sqlite3_column_int(stmt, first) != 0;
    session_text(stmt, first + 1, device->from, sizeof device->from);
    session_text(stmt, first + 2, device->file, sizeof device->file);
    device->first_seen = sqlite3_column_int64(stmt, first + 3);
    device->last_seen = sqlite3_column_int64(stmt, first + 4);
    session_text(stmt, first + 5, device->address, sizeof device->address);
    session_text(stmt, first + 6, device->version, sizeof device->version);
    session_text(stmt, first + 7, device->running, sizeof device->running);
    session_text(stmt, first + 8, device->result, sizeof device->result);
    session_text(stmt, first + 9, device->detail, sizeof device->detail);
    device->result_at = sqlite3_column_int64(stmt, first + 10);
    device->changed = (uint64_t)sqlite3_column_int64(stmt, first + 11);
}

static void copy_id(const char *id, char out[STORE_TEXT_MAX + 1])
{
    size_t len = strnlen(id, STORE_TEXT_MAX);
    memcpy(out, id, len);
    out[len] = 0;
}

/* Answers that are kept count for one revision of the database. Of another they are forgotten, and
 * it is what counts from here on; false then. */
static bool take_revision(struct store *store, int64_t revision)
{
    if (revision == store->revision) {
        return true;
    }
    store->revision = revision;
    poll_cache_clear(store->polls);
    return false;
}

/* Whether what is kept counts now: a look at one page, which all polls share. */
static bool is_unchanged(struct store *store)
{
    enum store_result result;
    sqlite3_stmt *stmt = session_statement(store, "SELECT number FROM revision", &result);
    if (stmt == NULL || session_step(store, stmt) != STORE_OK) {
        return false; /* the next statement says why */
    }
    bool same = take_revision(store, sqlite3_column_int64(stmt, 0));
    sqlite3_reset(stmt);
    return same;
}

static enum store_result poll_read(struct store *store, const char *id, struct store_poll *out)
{
    enum store_result result;
    sqlite3_stmt *stmt =
        session_statement(store,
                          "SELECT d.assigned, d.from_version, d.file, d.last_seen, d.address, "
                          "d.version, d.running, f.name IS NOT NULL, f.is_image, f.digest, "
                          "(SELECT number FROM revision) "
                          "FROM device d LEFT JOIN file f ON f.name = d.file WHERE d.id = ?1",
                          &result);
    if (stmt == NULL) {
        return result;
    }
    session_bind(stmt, 1, id);
    result = session_step(store, stmt);
    if (result == STORE_OK) {
        out->assigned = sqlite3_column_int(stmt, 0) != 0;
        session_text(stmt, 1, out->from, sizeof out->from);
        session_text(stmt, 2, out->file, sizeof out->file);
        out->last_seen = sqlite3_column_int64(stmt, 3);
        session_text(stmt, 4, out->address, sizeof out->address);
        session_text(stmt, 5, out->version, sizeof out->version);
        session_text(stmt, 6, out->running, sizeof out->running);
        out->has_file = sqlite3_column_int(stmt, 7) != 0;
        out->is_image = sqlite3_column_int(stmt, 8) != 0;
        session_text(stmt, 9, out->digest, sizeof out->digest);
        copy_id(id, out->id);
        (void)take_revision(store, sqlite3_column_int64(stmt, 10));
        poll_cache_put(store->polls, out);
        sqlite3_reset(stmt);
    } else if (result == STORE_NONE) {
        memset(out, 0, sizeof *out);
        copy_id(id, out->id);
        result = STORE_OK;
    }
    return result;
}

static enum store_result poll_device(struct store *store, const char *id, struct store_poll *out)
{
    if (poll_cache_get(store->polls, id, out) && is_unchanged(store)) {
        return STORE_OK;
    }
    return poll_read(store, id, out);
}

static void noted(struct store *store, const char *id, int64_t at)
{
    poll_cache_seen(store->polls, id, at);
}

static enum store_result device_get(struct store *store, const char *id, struct store_device *out)
{
    enum store_result result;
    sqlite3_stmt *stmt = session_statement(
        store, "SELECT " DEVICE_COLUMNS " FROM device d WHERE d.id = ?1", &result);
    if (stmt == NULL) {
        return result;
    }
    session_bind(stmt, 1, id);
    result = session_step(store, stmt);
    if (result == STORE_OK) {
        copy_id(id, out->id);
        read_device(stmt, 0, out);
        sqlite3_reset(stmt);
    }
    return result;
}

static enum store_result list(struct store *store, sqlite3_stmt *stmt,
                              void (*row)(void *ctx, const struct store_device *device), void *ctx)
{
    enum store_result result;
    while ((result = session_step(store, stmt)) == STORE_OK) {
        struct store_device device;
        session_text(stmt, 0, device.id, sizeof device.id);
        read_device(stmt, 1, &device);
        row(ctx, &device);
    }
    return result == STORE_NONE ? STORE_OK : result;
}

static enum store_result device_list(struct store *store, const char *after, bool assigned_only,
                                     size_t limit,
                                     void (*row)(void *ctx, const struct store_device *device),
                                     void *ctx)
{
    static const char *const assigned =
        "SELECT d.id, " DEVICE_COLUMNS
        " FROM device d WHERE d.id > ?1 AND d.assigned ORDER BY d.id LIMIT ?2";
    static const char *const all =
        "SELECT d.id, " DEVICE_COLUMNS " FROM device d WHERE d.id > ?1 ORDER BY d.id LIMIT ?2";
    enum store_result result;
    sqlite3_stmt *stmt = session_statement(store, assigned_only ? assigned : all, &result);
    if (stmt == NULL) {
        return result;
    }
    session_bind(stmt, 1, after);
    sqlite3_bind_int64(stmt, 2, (sqlite3_int64)limit);
    return list(store, stmt, row, ctx);
}

static enum store_result device_changes(struct store *store, uint64_t *since, size_t limit,
                                        void (*row)(void *ctx, const struct store_device *device),
                                        void *ctx)
{
    uint64_t last = 0;
    enum store_result result =
        sqlite_count(store, "SELECT ifnull(max(changed), 0) FROM device", NULL, &last);
    if (result != STORE_OK) {
        return result;
    }
    if (*since > last) {
        *since = 0;
    }
    sqlite3_stmt *stmt = session_statement(store,
                                           "SELECT d.id, " DEVICE_COLUMNS " FROM device d "
                                           "WHERE d.changed > ?1 ORDER BY d.changed LIMIT ?2",
                                           &result);
    if (stmt == NULL) {
        return result;
    }
    sqlite3_bind_int64(stmt, 1, (sqlite3_int64)*since);
    sqlite3_bind_int64(stmt, 2, (sqlite3_int64)limit);
    return list(store, stmt, row, ctx);
}

/* --- changes --------------------------------------------------------------------------------- */

/* Runs a statement whose values are texts ?1.. ; *changes counts rows when it is not NULL. */
static enum store_result change(struct store *store, const char *sql, const char *const texts[],
                                int count, uint64_t *changes)
{
    enum store_result result;
    sqlite3_stmt *stmt = session_statement(store, sql, &result);
    if (stmt == NULL) {
        return result;
    }
    for (int i = 0; i < count; i++) {
        session_bind(stmt, i + 1, texts[i]);
    }
    result = session_run(store, stmt);
    if (result == STORE_OK && changes != NULL) {
        *changes = (uint64_t)sqlite3_changes64(store->db);
    }
    return result;
}

static enum store_result touch(struct store *store, const char *id)
{
    const char *const texts[] = {id};
    store->device_count_known = false;
    return change(store,
                  "INSERT INTO device(id, changed) VALUES(?1, " NEXT_CHANGE ") "
                  "ON CONFLICT(id) DO UPDATE SET changed = excluded.changed",
                  texts, 1, NULL);
}

#define ASSIGN                                                                                     \
    "ON CONFLICT(device_id) DO UPDATE SET app_ver = excluded.app_ver, "                            \
    "update_file_path = excluded.update_file_path"

static enum store_result assign(struct store *store, const char *id, const char *from,
                                const char *file)
{
    const char *const texts[] = {id, from, file};
    enum store_result result = session_begin(store);
    if (result != STORE_OK) {
        return result;
    }
    store->device_count_known = false;
    result = change(store,
                    "INSERT INTO device_app(device_id, app_ver, update_file_path) "
                    "VALUES(?1, ?2, ?3) " ASSIGN,
                    texts, 3, NULL);
    return session_end(store, result);
}

static enum store_result assign_all(struct store *store, const char *from, const char *file,
                                    uint64_t *count)
{
    const char *const texts[] = {from, file};
    enum store_result result = session_begin(store);
    if (result != STORE_OK) {
        return result;
    }
    result = change(store,
                    "INSERT INTO device_app(device_id, app_ver, update_file_path) "
                    "SELECT id, ?1, ?2 FROM device WHERE 1 " ASSIGN,
                    texts, 2, count);
    return session_end(store, result);
}

static enum store_result unassign(struct store *store, const char *id)
{
    const char *const texts[] = {id};
    uint64_t changes = 0;
    enum store_result result = session_begin(store);
    if (result != STORE_OK) {
        return result;
    }
    result = change(store, "DELETE FROM device_app WHERE device_id = ?1", texts, 1, &changes);
    if (result == STORE_OK && changes == 0) {
        result = STORE_NONE;
    }
    return session_end(store, result);
}

/* The highest number goes on to another device: given out once more, it would hide what happened
 * from those who have seen it. */
#define KEEP_CHANGE                                                                                \
    "UPDATE device SET changed = " NEXT_CHANGE " WHERE id = (SELECT id FROM device "               \
    "WHERE id <> ?1 ORDER BY changed DESC LIMIT 1) "                                               \
    "AND (SELECT changed FROM device WHERE id = ?1) = (SELECT max(changed) FROM device)"

static enum store_result device_remove(struct store *store, const char *id)
{
    const char *const texts[] = {id};
    uint64_t assigned = 0;
    uint64_t seen = 0;
    store->device_count_known = false;
    enum store_result result = session_begin(store);
    if (result != STORE_OK) {
        return result;
    }
    result = change(store, "DELETE FROM device_app WHERE device_id = ?1", texts, 1, &assigned);
    if (result == STORE_OK) {
        result = change(store, KEEP_CHANGE, texts, 1, NULL);
    }
    if (result == STORE_OK) {
        result = change(store, "DELETE FROM device WHERE id = ?1", texts, 1, &seen);
    }
    if (result == STORE_OK && assigned + seen == 0) {
        result = STORE_NONE;
    }
    return session_end(store, result);
}

/* A report says more than a poll that came before it and is written after it. */
#define UNLESS_REPORTED(column, value)                                                             \
    column " = CASE WHEN result_at BETWEEN ?2 AND ?2 + 60 THEN " column " ELSE " value " END, "

static enum store_result seen_one(struct store *store, const struct store_device *device,
                                  uint64_t max_devices)
{
    enum store_result result;
    sqlite3_stmt *stmt = session_statement(
        store,
        "UPDATE device SET first_seen = CASE first_seen WHEN 0 THEN ?2 ELSE first_seen END, "
        "last_seen = ?2, address = ?3, " UNLESS_REPORTED("version", "?4")
            UNLESS_REPORTED("running", "?5") "changed = " NEXT_CHANGE " WHERE id = ?1",
        &result);
    for (int attempt = 0; stmt != NULL; attempt++) {
        session_bind(stmt, 1, device->id);
        sqlite3_bind_int64(stmt, 2, device->last_seen);
        session_bind(stmt, 3, device->address);
        session_bind(stmt, 4, device->version);
        session_bind(stmt, 5, device->running);
        result = session_run(store, stmt);
        if (result != STORE_OK || sqlite3_changes(store->db) > 0 || attempt > 0 ||
            store->device_count >= max_devices) {
            return result;
        }
        result = touch(store, device->id);
        if (result != STORE_OK) {
            return result;
        }
        store->device_count_known = true;
        store->device_count++;
    }
    return result;
}

static enum store_result seen(struct store *store, const struct store_device *devices, size_t count,
                              uint64_t max_devices)
{
    enum store_result result = session_begin(store);
    if (result != STORE_OK) {
        return result;
    }
    if (!store->device_count_known) {
        result = sqlite_count(store, "SELECT count(*) FROM device", NULL, &store->device_count);
        store->device_count_known = result == STORE_OK;
    }
    for (size_t i = 0; i < count && result == STORE_OK; i++) {
        result = seen_one(store, &devices[i], max_devices);
    }
    return session_end(store, result);
}

static enum store_result report(struct store *store, const struct store_device *device)
{
    enum store_result result;
    sqlite3_stmt *stmt = session_statement(
        store,
        "UPDATE device SET version = ?2, running = ?3, result = ?4, detail = ?5, result_at = ?6, "
        "last_seen = ?6, address = ?7, changed = " NEXT_CHANGE " WHERE id = ?1",
        &result);
    if (stmt == NULL) {
        return result;
    }
    session_bind(stmt, 1, device->id);
    session_bind(stmt, 2, device->version);
    session_bind(stmt, 3, device->running);
    session_bind(stmt, 4, device->result);
    session_bind(stmt, 5, device->detail);
    sqlite3_bind_int64(stmt, 6, device->result_at);
    session_bind(stmt, 7, device->address);
    result = session_run(store, stmt);
    return result == STORE_OK && sqlite3_changes(store->db) == 0 ? STORE_NONE : result;
}

static enum store_result counts(struct store *store, struct store_counts *out)
{
    enum store_result result =
        sqlite_count(store, "SELECT count(*) FROM device", NULL, &out->devices);
    if (result == STORE_OK) {
        result = sqlite_count(store, "SELECT count(*) FROM device_app", NULL, &out->assigned);
    }
    if (result == STORE_OK) {
        result = sqlite_count(store, "SELECT count(*) FROM file", NULL, &out->files);
    }
    return result;
}

const struct store_ops store_sqlite = {
    .prepare = schema_prepare,
    .open = session_open,
    .close = session_close,
    .look = session_look,
    .poll = poll_device,
    .noted = noted,
    .device_get = device_get,
    .device_list = device_list,
    .device_changes = device_changes,
    .assign = assign,
    .assign_all = assign_all,
    .unassign = unassign,
    .device_remove = device_remove,
    .seen = seen,
    .report = report,
    .file_get = sqlite_file_get,
    .file_list = sqlite_file_list,
    .file_put = sqlite_file_put,
    .file_remove = sqlite_file_remove,
    .file_users = sqlite_file_users,
    .content_names = sqlite_content_names,
    .counts = counts,
};
