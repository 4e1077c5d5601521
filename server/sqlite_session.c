/* SPDX-License-Identifier: Apache-2.0 */
#include "sqlite_session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define WRITER_WAIT_MS 2000 /* for another program's lock; the writer has a thread of its own */
#define RETRY_MS 1000       /* between two attempts to open a lost database */
#define MOVED_MS 3000       /* until every session, looking once a second, has let go of it */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void drop(struct store *store)
{
    for (size_t i = 0; i < STATEMENTS_MAX; i++) {
        sqlite3_finalize(store->statements[i].stmt);
        store->statements[i].stmt = NULL;
        store->statements[i].sql = NULL;
    }
    sqlite3_close(store->db);
    store->db = NULL;
    store->device_count_known = false;
    poll_cache_clear(store->polls); /* it may be another database next time */
}

/* What an SQLite result means. A database that cannot be used is dropped, to be opened again. */
static enum store_result failed(struct store *store, int code)
{
    enum store_result result = STORE_LOST;
    switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return STORE_BUSY;
    case SQLITE_FULL:
        return STORE_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR:
        result = STORE_BROKEN;
        break;
    case SQLITE_IOERR:
        /* A full disk shows as an I/O error where SQLite makes room for its shared index. */
        if (sqlite3_system_errno(store->db) == ENOSPC) {
            result = STORE_FULL;
        }
        break;
    default:
        break;
    }
    return result;
}

static void drop_if_lost(struct store *store, enum store_result result)
{
    if (result == STORE_LOST || result == STORE_BROKEN) {
        drop(store);
        store->retry_ms = now_ms() + RETRY_MS;
    }
}

static int configure(struct store *store)
{
    sqlite3_busy_timeout(store->db, store->reader ? 0 : WRITER_WAIT_MS);
    return sqlite3_exec(store->db,
                        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
                        "PRAGMA cache_size=-32768; PRAGMA trusted_schema=OFF; "
                        "PRAGMA wal_autocheckpoint=1000; PRAGMA journal_size_limit=16777216",
                        NULL, NULL, NULL);
}

static enum store_result reopen(struct store *store)
{
    if (now_ms() < store->retry_ms) {
        return STORE_LOST;
    }
    /* Never made here: an empty database would pass for a fleet without devices. */
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    int code = sqlite3_open_v2(store->where, &store->db, flags, NULL);
    if (code == SQLITE_OK) {
        code = configure(store);
    }
    if (code == SQLITE_OK && !store->reader) {
        /* One that was put back may be older. Readers find it damaged until this is done. */
        code = schema_upgrade(store->db);
    }
    if (code == SQLITE_OK) {
        return STORE_OK;
    }
    enum store_result result = failed(store, code);
    drop(store);
    store->retry_ms = now_ms() + (result == STORE_BUSY ? 0 : RETRY_MS);
    return result;
}

/*
 * SQLite goes on with a deleted file as if nothing had happened, and what is stored is lost. Every
 * session lets go of it first, and only then looks for another: a log file that two databases
 * share is the end of both. For the same reason sessions are opened at the start, not when first
 * used.
 */
void session_look(struct store *store)
{
    int moved = 0;
    if (store->db == NULL) {
        enum store_result result = reopen(store);
        (void)result; /* the next call says */
        return;
    }
    if (sqlite3_file_control(store->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
        moved) {
        /* What is in the log goes into the moved file, which may come back without it. And the log
         * is emptied: SQLite leaves it, and would play it into another database in this place. */
        sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        drop(store);
        store->retry_ms = now_ms() + MOVED_MS;
    }
}

sqlite3_stmt *session_statement(struct store *store, const char *sql, enum store_result *result)
{
    size_t i = 0;
    *result = store->db != NULL ? STORE_OK : reopen(store);
    if (*result != STORE_OK) {
        return NULL;
    }
    while (i < STATEMENTS_MAX && store->statements[i].sql != NULL &&
           store->statements[i].sql != sql) {
        i++;
    }
    if (i == STATEMENTS_MAX) {
        *result = STORE_BROKEN; /* a bug: STATEMENTS_MAX is too small */
        return NULL;
    }
    if (store->statements[i].stmt == NULL) {
        int code = sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                      &store->statements[i].stmt, NULL);
        if (code != SQLITE_OK) {
            *result = failed(store, code);
            drop_if_lost(store, *result);
            return NULL;
        }
        store->statements[i].sql = sql;
    }
    return store->statements[i].stmt;
}

enum store_result session_step(struct store *store, sqlite3_stmt *stmt)
{
    int code = sqlite3_step(stmt);
    if (code == SQLITE_ROW) {
        return STORE_OK;
    }
    if (code == SQLITE_DONE) {
        sqlite3_reset(stmt);
        return STORE_NONE;
    }
    enum store_result result = failed(store, code);
    sqlite3_reset(stmt);
    drop_if_lost(store, result);
    return result;
}

enum store_result session_run(struct store *store, sqlite3_stmt *stmt)
{
    enum store_result result;
    do {
        result = session_step(store, stmt);
    } while (result == STORE_OK);
    return result == STORE_NONE ? STORE_OK : result;
}

enum store_result session_execute(struct store *store, const char *sql)
{
    enum store_result result;
    sqlite3_stmt *stmt = session_statement(store, sql, &result);
    return stmt != NULL ? session_run(store, stmt) : result;
}

enum store_result session_begin(struct store *store)
{
    session_look(store);
    return session_execute(store, "BEGIN IMMEDIATE");
}

enum store_result session_end(struct store *store, enum store_result result)
{
    if (store->db == NULL) {
        return result; /* dropped: nothing of it was committed */
    }
    if (result == STORE_OK) {
        result = session_execute(store, "COMMIT");
    }
    if (result != STORE_OK && store->db != NULL && !sqlite3_get_autocommit(store->db)) {
        enum store_result rolled = session_execute(store, "ROLLBACK");
        if (rolled != STORE_OK) {
            drop(store);
        }
    }
    return result;
}

void session_bind(sqlite3_stmt *stmt, int index, const char *text)
{
    /* What is bound outlives the statement's run. */
    sqlite3_bind_text(stmt, index, text, -1, SQLITE_STATIC);
}

void session_text(sqlite3_stmt *stmt, int column, char *out, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);
    size_t len = text != NULL ? strnlen(text, size - 1) : 0;
    if (len > 0) {
        memcpy(out, text, len);
    }
    out[len] = 0;
}

struct store *session_open(const char *where, bool reader)
{
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL || (store->where = strdup(where)) == NULL) {
        free(store);
        return NULL;
    }
    store->reader = reader;
    store->polls = reader ? poll_cache_new() : NULL;
    return store;
}

void session_close(struct store *store)
{
    if (store != NULL) {
        if (store->db != NULL) {
            session_look(store); /* when the file was moved, its log is not left behind */
        }
        drop(store);
        poll_cache_free(store->polls);
        free(store->where);
        free(store);
    }
}
