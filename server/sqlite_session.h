/* SPDX-License-Identifier: Apache-2.0 */
/* A session of the SQLite store: statements by text, prepared once. */
#ifndef OTTERD_SQLITE_SESSION_H
#define OTTERD_SQLITE_SESSION_H

#include <sqlite3.h>

#include "poll_cache.h"
#include "store.h"

#define STATEMENTS_MAX 40u

struct store {
    char *where; /* the database file */
    bool reader;
    sqlite3 *db; /* NULL: not open now */
    int64_t retry_ms;
    uint64_t device_count; /* writer only: devices there are, to cap them */
    bool device_count_known;
    struct poll_cache *polls; /* readers only; NULL: there is no memory for it */
    int64_t revision;         /* of the database when they were read (sqlite_schema.c) */
    struct {
        const char *sql; /* identity, not content: each statement is one literal */
        sqlite3_stmt *stmt;
    } statements[STATEMENTS_MAX];
};

/* A statement ready to be bound, or NULL; then *result says why. */
sqlite3_stmt *session_statement(struct store *store, const char *sql, enum store_result *result);

/* Steps once. STORE_OK: a row is there; STORE_NONE: done. */
enum store_result session_step(struct store *store, sqlite3_stmt *stmt);

/* Runs a statement to its end and resets it; STORE_OK unless it failed. */
enum store_result session_run(struct store *store, sqlite3_stmt *stmt);

/* session_run() of a statement without values. */
enum store_result session_execute(struct store *store, const char *sql);

/* BEGIN IMMEDIATE, and its end: COMMIT when result is STORE_OK, else ROLLBACK. Returns result, or
 * why the commit failed. */
enum store_result session_begin(struct store *store);
enum store_result session_end(struct store *store, enum store_result result);

void session_bind(sqlite3_stmt *stmt, int index, const char *text);
/* Copies a column's text, cut to size; NULL is empty. */
void session_text(sqlite3_stmt *stmt, int column, char *out, size_t size);

struct store *session_open(const char *where, bool reader);
void session_close(struct store *store);
void session_look(struct store *store);

/* sqlite_schema.c */
enum store_result schema_prepare(const char *where, char *error, size_t error_size);
/* Brings an open database of an older otterd to the present version, and makes none of what is
 * not one. An SQLite result; after a failure the database has to be closed. */
int schema_upgrade(sqlite3 *db);

/* sqlite_files.c */
enum store_result sqlite_file_get(struct store *store, const char *name, struct store_file *out);
enum store_result sqlite_file_list(struct store *store, const char *after, size_t limit,
                                   void (*row)(void *ctx, const struct store_file *file),
                                   void *ctx);
enum store_result sqlite_file_put(struct store *store, const struct store_file *file);
enum store_result sqlite_file_remove(struct store *store, const char *name);
enum store_result sqlite_file_users(struct store *store, const char *name, uint64_t *count);
enum store_result sqlite_content_names(struct store *store, const char *sha256, uint64_t *count);
enum store_result sqlite_count(struct store *store, const char *sql, const char *text,
                               uint64_t *count);
#define FILE_COLUMNS                                                                               \
    "f.name, f.sha256, f.size, f.at, f.is_image, f.chip, f.project, f.version, f.idf, "            \
    "f.secure_version, f.digest, f.encrypted"
/* Reads FILE_COLUMNS from column `first` on. */
void sqlite_file_read(sqlite3_stmt *stmt, int first, struct store_file *file);
#endif
