/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database's shape, in numbered steps. PRAGMA user_version says how many have been taken; each
 * is one transaction. A step that has been released is never changed: a new one is added.
 */
#include <stdio.h>

#include "sqlite_session.h"

#define NEXT_CHANGE "(SELECT ifnull(max(changed), 0) + 1 FROM device)"
#define MIRROR(row)                                                                                \
    "INSERT INTO device(id, assigned, from_version, file, changed) VALUES(" row ".device_id, 1, "  \
    "ifnull(" row ".app_ver, ''), ifnull(" row ".update_file_path, ''), " NEXT_CHANGE ") "         \
    "ON CONFLICT(id) DO UPDATE SET assigned = 1, from_version = excluded.from_version, "           \
    "file = excluded.file, changed = excluded.changed;"
#define UNASSIGN                                                                                   \
    "UPDATE device SET assigned = 0, from_version = '', file = '', changed = " NEXT_CHANGE         \
    " WHERE id = old.device_id;"

#define REVISE "UPDATE revision SET number = random();"

/*
 * Step 1 is the first server's own table, kept as it is: that server can still read and write it.
 * What it says is mirrored into `device` by triggers, whoever wrote it, so that a poll finds all it
 * needs in one row.
 */
static const char *const steps[] = {
    "CREATE TABLE IF NOT EXISTS device_app(device_id text primary key asc, app_ver text, "
    "update_file_path text);",

    "CREATE TABLE file(name TEXT PRIMARY KEY NOT NULL, sha256 TEXT NOT NULL, "
    " size INTEGER NOT NULL, at INTEGER NOT NULL, is_image INTEGER NOT NULL, chip TEXT NOT NULL, "
    " project TEXT NOT NULL, version TEXT NOT NULL, idf TEXT NOT NULL, "
    " secure_version INTEGER NOT NULL, digest TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX file_content ON file(sha256);"

    "CREATE TABLE device(id TEXT PRIMARY KEY NOT NULL, assigned INTEGER NOT NULL DEFAULT 0, "
    " from_version TEXT NOT NULL DEFAULT '', file TEXT NOT NULL DEFAULT '', "
    " first_seen INTEGER NOT NULL DEFAULT 0, last_seen INTEGER NOT NULL DEFAULT 0, "
    " address TEXT NOT NULL DEFAULT '', version TEXT NOT NULL DEFAULT '', "
    " running TEXT NOT NULL DEFAULT '', result TEXT NOT NULL DEFAULT '', "
    " detail TEXT NOT NULL DEFAULT '', result_at INTEGER NOT NULL DEFAULT 0, "
    " changed INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX device_changed ON device(changed);"
    "CREATE INDEX device_app_file ON device_app(update_file_path);"
    "CREATE TRIGGER device_app_inserted AFTER INSERT ON device_app "
    " WHEN new.device_id IS NOT NULL BEGIN " MIRROR(
        "new") " END;"
               "CREATE TRIGGER device_app_updated AFTER UPDATE ON device_app "
               " WHEN new.device_id IS NOT NULL BEGIN " UNASSIGN MIRROR(
                   "new") " END;"
                          "CREATE TRIGGER device_app_deleted AFTER DELETE ON device_app "
                          "BEGIN " UNASSIGN " END;"
                          /* What is there already goes past the triggers once more. */
                          "UPDATE device_app SET app_ver = app_ver;",

    "ALTER TABLE file ADD COLUMN encrypted INTEGER NOT NULL DEFAULT 0;",

    /* What polls are answered with has a number, changed along with it by whoever changes it.
     * Drawn at random, so that a restored copy cannot come by the number of something else. When a
     * device was seen is not part of it: that changes all the time. */
    "CREATE TABLE revision(number INTEGER NOT NULL);"
    "INSERT INTO revision VALUES(random());"
    "CREATE TRIGGER device_revised AFTER UPDATE ON device WHEN old.id IS NOT new.id "
    " OR old.assigned IS NOT new.assigned OR old.from_version IS NOT new.from_version "
    " OR old.file IS NOT new.file OR old.address IS NOT new.address "
    " OR old.version IS NOT new.version OR old.running IS NOT new.running BEGIN " REVISE " END;"
    "CREATE TRIGGER device_revised_in AFTER INSERT ON device BEGIN " REVISE " END;"
    "CREATE TRIGGER device_revised_out AFTER DELETE ON device BEGIN " REVISE " END;"
    "CREATE TRIGGER file_revised AFTER UPDATE ON file BEGIN " REVISE " END;"
    "CREATE TRIGGER file_revised_in AFTER INSERT ON file BEGIN " REVISE " END;"
    "CREATE TRIGGER file_revised_out AFTER DELETE ON file BEGIN " REVISE " END;",
};
#define STEPS ((int)(sizeof steps / sizeof steps[0]))

static int user_version(sqlite3 *db)
{
    sqlite3_stmt *stmt = NULL;
    int version = -1;
    if (sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW) {
        version = sqlite3_column_int(stmt, 0);
    }
    sqlite3_finalize(stmt);
    return version;
}

static bool take_step(sqlite3 *db, int step)
{
    char mark[48];
    snprintf(mark, sizeof mark, "PRAGMA user_version=%d", step + 1);
    bool good = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK &&
                sqlite3_exec(db, steps[step], NULL, NULL, NULL) == SQLITE_OK &&
                sqlite3_exec(db, mark, NULL, NULL, NULL) == SQLITE_OK &&
                sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
    return good;
}

int schema_upgrade(sqlite3 *db)
{
    int version = user_version(db);
    if (version > STEPS) {
        return SQLITE_NOTADB;
    }
    /* Without a version it is no database of ours, or an empty one. */
    while (version > 0 && version < STEPS) {
        if (!take_step(db, version)) {
            return sqlite3_errcode(db);
        }
        version++;
    }
    return version < 0 ? sqlite3_errcode(db) : SQLITE_OK;
}

enum store_result schema_prepare(const char *where, char *error, size_t error_size)
{
    sqlite3 *db = NULL;
    enum store_result result = STORE_LOST;
    /* Nobody asks for SQLite's count of its memory, and keeping it costs a lock. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(where, &db, flags, NULL) == SQLITE_OK) {
        sqlite3_busy_timeout(db, 5000);
        int version = sqlite3_exec(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL", NULL,
                                   NULL, NULL) == SQLITE_OK
                          ? user_version(db)
                          : -1;
        bool good = version >= 0;
        if (version > STEPS) {
            snprintf(error, error_size, "%s was made by a newer otterd", where);
            sqlite3_close(db);
            return STORE_BROKEN;
        }
        for (; good && version < STEPS; version++) {
            good = take_step(db, version);
        }
        result = good ? STORE_OK : STORE_LOST;
    }
    if (result != STORE_OK) {
        snprintf(error, error_size, "%s: %s", where, sqlite3_errmsg(db));
    }
    sqlite3_close(db);
    return result;
}
