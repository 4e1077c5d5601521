/* SPDX-License-Identifier: Apache-2.0 */
#include "sqlite_session.h"

void sqlite_file_read(sqlite3_stmt *stmt, int first, struct store_file *file)
{
    session_text(stmt, first, file->name, sizeof file->name);
    session_text(stmt, first + 1, file->sha256, sizeof file->sha256);
    file->size = (uint64_t)sqlite3_column_int64(stmt, first + 2);
    file->at = sqlite3_column_int64(stmt, first + 3);
    file->is_image = sqlite3_column_int(stmt, first + 4) != 0;
    session_text(stmt, first + 5, file->chip, sizeof file->chip);
    session_text(stmt, first + 6, file->project, sizeof file->project);
    session_text(stmt, first + 7, file->version, sizeof file->version);
    session_text(stmt, first + 8, file->idf, sizeof file->idf);
    file->secure_version = (uint32_t)sqlite3_column_int64(stmt, first + 9);
    session_text(stmt, first + 10, file->digest, sizeof file->digest);
    file->is_encrypted = sqlite3_column_int(stmt, first + 11) != 0;
}

enum store_result sqlite_file_get(struct store *store, const char *name, struct store_file *out)
{
    enum store_result result;
    sqlite3_stmt *stmt =
        session_statement(store, "SELECT " FILE_COLUMNS " FROM file f WHERE f.name = ?1", &result);
    if (stmt == NULL) {
        return result;
    }
    session_bind(stmt, 1, name);
    result = session_step(store, stmt);
    if (result == STORE_OK) {
        sqlite_file_read(stmt, 0, out);
        sqlite3_reset(stmt);
    }
    return result;
}

enum store_result sqlite_file_list(struct store *store, const char *after, size_t limit,
                                   void (*row)(void *ctx, const struct store_file *file), void *ctx)
{
    enum store_result result;
    sqlite3_stmt *stmt = session_statement(
        store, "SELECT " FILE_COLUMNS " FROM file f WHERE f.name > ?1 ORDER BY f.name LIMIT ?2",
        &result);
    if (stmt == NULL) {
        return result;
    }
    session_bind(stmt, 1, after);
    sqlite3_bind_int64(stmt, 2, (sqlite3_int64)limit);
    while ((result = session_step(store, stmt)) == STORE_OK) {
        struct store_file file;
        sqlite_file_read(stmt, 0, &file);
        row(ctx, &file);
    }
    return result == STORE_NONE ? STORE_OK : result;
}

enum store_result sqlite_file_put(struct store *store, const struct store_file *file)
{
    enum store_result result;
    sqlite3_stmt *stmt = session_statement(
        store,
        "INSERT OR REPLACE INTO file VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        &result);
    if (stmt == NULL) {
        return result;
    }
    session_bind(stmt, 1, file->name);
    session_bind(stmt, 2, file->sha256);
    sqlite3_bind_int64(stmt, 3, (sqlite3_int64)file->size);
    sqlite3_bind_int64(stmt, 4, file->at);
    sqlite3_bind_int(stmt, 5, file->is_image);
    session_bind(stmt, 6, file->chip);
    session_bind(stmt, 7, file->project);
    session_bind(stmt, 8, file->version);
    session_bind(stmt, 9, file->idf);
    sqlite3_bind_int64(stmt, 10, file->secure_version);
    session_bind(stmt, 11, file->digest);
    sqlite3_bind_int(stmt, 12, file->is_encrypted);
    return session_run(store, stmt);
}

enum store_result sqlite_file_remove(struct store *store, const char *name)
{
    enum store_result result;
    sqlite3_stmt *stmt = session_statement(store, "DELETE FROM file WHERE name = ?1", &result);
    if (stmt == NULL) {
        return result;
    }
    session_bind(stmt, 1, name);
    result = session_run(store, stmt);
    return result == STORE_OK && sqlite3_changes(store->db) == 0 ? STORE_NONE : result;
}

enum store_result sqlite_count(struct store *store, const char *sql, const char *text,
                               uint64_t *count)
{
    enum store_result result;
    sqlite3_stmt *stmt = session_statement(store, sql, &result);
    if (stmt == NULL) {
        return result;
    }
    if (text != NULL) {
        session_bind(stmt, 1, text);
    }
    result = session_step(store, stmt);
    if (result == STORE_OK) {
        *count = (uint64_t)sqlite3_column_int64(stmt, 0);
        sqlite3_reset(stmt);
    }
    return result;
}

enum store_result sqlite_file_users(struct store *store, const char *name, uint64_t *count)
{
    return sqlite_count(store, "SELECT count(*) FROM device_app WHERE update_file_path = ?1", name,
                        count);
}

enum store_result sqlite_content_names(struct store *store, const char *sha256, uint64_t *count)
{
    return sqlite_count(store, "SELECT count(*) FROM file WHERE sha256 = ?1", sha256, count);
}
