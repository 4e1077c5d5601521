/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the server remembers: devices, what they are offered, and which content a file name stands
 * for. A table of functions, so that another database is another file; what may be stored, and
 * what follows from it, is decided above.
 *
 * A session (struct store) belongs to one thread at a time. A session that lost its database finds
 * it again by itself: calls fail with STORE_LOST until it is back.
 *
 * Every change is one transaction: after a crash it is there whole or not at all.
 */
#ifndef OTTERD_STORE_H
#define OTTERD_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_TEXT_MAX 255u /* bytes of an id, a version, a file name */

enum store_result {
    STORE_OK,
    STORE_NONE,   /* there is no such thing */
    STORE_BUSY,   /* locked by another program for too long */
    STORE_FULL,   /* no room on the disk */
    STORE_LOST,   /* gone, unreadable, or read-only */
    STORE_BROKEN, /* damaged, or from a newer version */
};

/* A file name and the content it stands for. */
struct store_file {
    char name[STORE_TEXT_MAX + 1];
    char sha256[65]; /* of the whole file, hexadecimal */
    uint64_t size;   /* bytes */
    int64_t at;      /* uploaded, seconds since 1970 */
    bool is_image;   /* a whole, verified ESP32 image: then what follows is set */
    char chip[12];
    char project[33];
    char version[33];
    char idf[33];
    uint32_t secure_version;
    char digest[65];   /* the image's own SHA-256, which a device can compute from its flash */
    bool is_encrypted; /* a whole encrypted image: nothing more can be said of it */
};

struct store_device {
    char id[STORE_TEXT_MAX + 1];
    bool assigned;                 /* an update is offered to it, or was and has been taken */
    char from[STORE_TEXT_MAX + 1]; /* the version that is offered the update */
    char file[STORE_TEXT_MAX + 1]; /* its name */
    int64_t first_seen;            /* polls: seconds since 1970; 0: never seen */
    int64_t last_seen;
    char address[46];
    char version[STORE_TEXT_MAX + 1]; /* that it last said it runs */
    char running[65];                 /* digest of the image it runs, when it says so */
    char result[16];                  /* of its last update, as it reported it */
    char detail[STORE_TEXT_MAX + 1];
    int64_t result_at;
    uint64_t changed; /* grows with every change of any device */
};

/* All that a poll needs to know, and no more: fields as in struct store_device and store_file. */
struct store_poll {
    char id[STORE_TEXT_MAX + 1];
    bool assigned;
    char from[STORE_TEXT_MAX + 1];
    char file[STORE_TEXT_MAX + 1];
    bool has_file; /* file exists: then what follows is set */
    bool is_image;
    char digest[65];
    int64_t last_seen;
    char address[46];
    char version[STORE_TEXT_MAX + 1];
    char running[65];
};

struct store_counts {
    uint64_t devices;
    uint64_t assigned;
    uint64_t files;
};

struct store; /* a session */

struct store_ops {
    /* Makes the database if it is not there and brings it to the present version. Once, at the
     * start. error gets a sentence when the result is not STORE_OK. */
    enum store_result (*prepare)(const char *where, char *error, size_t error_size);

    /* A session; NULL without memory. reader: it never changes anything and never waits. */
    struct store *(*open)(const char *where, bool reader);
    void (*close)(struct store *store);
    /* Notices a database that was taken away or put back. Called at the start, then every second
     * or so. */
    void (*look)(struct store *store);

    /* Devices.
     * STORE_OK also for a device that is not known; then only id is set. What has been changed by
     * then, by whomever, is in the answer; only last_seen may be what the session last knew. */
    enum store_result (*poll)(struct store *store, const char *id, struct store_poll *out);
    /* A poll of the device at that time is on its way to seen(): the session may remember it. */
    void (*noted)(struct store *store, const char *id, int64_t at);
    enum store_result (*device_get)(struct store *store, const char *id, struct store_device *out);
    /* Lists are in order of id, after the given one. */
    enum store_result (*device_list)(struct store *store, const char *after, bool assigned_only,
                                     size_t limit,
                                     void (*row)(void *ctx, const struct store_device *device),
                                     void *ctx);
    /* Devices whose `changed` is larger than *since, in that order. A number that has not been
     * reached is from before a restore, or from before the last device went: *since becomes 0, and
     * all are told once more. One that has been reached again since a restore is not known by. */
    enum store_result (*device_changes)(struct store *store, uint64_t *since, size_t limit,
                                        void (*row)(void *ctx, const struct store_device *device),
                                        void *ctx);
    enum store_result (*assign)(struct store *store, const char *id, const char *from,
                                const char *file);
    /* Every device there is. */
    enum store_result (*assign_all)(struct store *store, const char *from, const char *file,
                                    uint64_t *count);
    enum store_result (*unassign)(struct store *store, const char *id);
    /* What was assigned to it and all else that is known of it. */
    enum store_result (*device_remove)(struct store *store, const char *id);
    /* Devices that polled: id, version, running, address, last_seen. New ones are added while
     * there are fewer than max_devices. */
    enum store_result (*seen)(struct store *store, const struct store_device *devices, size_t count,
                              uint64_t max_devices);
    enum store_result (*report)(struct store *store, const struct store_device *device);

    /* Files. */
    enum store_result (*file_get)(struct store *store, const char *name, struct store_file *out);
    enum store_result (*file_list)(struct store *store, const char *after, size_t limit,
                                   void (*row)(void *ctx, const struct store_file *file),
                                   void *ctx);
    enum store_result (*file_put)(struct store *store, const struct store_file *file);
    enum store_result (*file_remove)(struct store *store, const char *name);
    /* How many devices a file is assigned to, and how many names have a content. */
    enum store_result (*file_users)(struct store *store, const char *name, uint64_t *count);
    enum store_result (*content_names)(struct store *store, const char *sha256, uint64_t *count);

    enum store_result (*counts)(struct store *store, struct store_counts *out);
};

extern const struct store_ops store_sqlite;
#endif
