/* SPDX-License-Identifier: Apache-2.0 */
#include "blobs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

enum store_result blob_error(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG ? STORE_FULL : STORE_LOST;
}

static int open_folder(int parent, const char *name)
{
    if (mkdirat(parent, name, 0700) != 0 && errno != EEXIST) {
        return -1;
    }
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Calls each for every name in a folder. */
static void for_each_name(int folder, void (*each)(void *ctx, const char *name), void *ctx)
{
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (dir == NULL) {
        if (copy >= 0) {
            close(copy);
        }
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.') {
            each(ctx, entry->d_name);
        }
    }
    closedir(dir);
}

static void discard_leftover(void *ctx, const char *name)
{
    blob_discard(ctx, name);
}

bool blobs_open(struct blobs *blobs, const char *data, char *error, size_t error_size)
{
    *blobs = (struct blobs){-1, -1, -1};
    blobs->data = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (blobs->data >= 0) {
        blobs->blobs = open_folder(blobs->data, "blobs");
        blobs->tmp = open_folder(blobs->data, "tmp");
    }
    if (blobs->data < 0 || blobs->blobs < 0 || blobs->tmp < 0) {
        snprintf(error, error_size, "cannot use the data folder %s: %s", data, strerror(errno));
        blobs_close(blobs);
        return false;
    }
    return true;
}

void blobs_clear(struct blobs *blobs)
{
    for_each_name(blobs->tmp, discard_leftover, blobs);
}

/* Other names, such as lost+found, are not of our making, and none of our business. */
static bool is_content(const char *name)
{
    return strlen(name) == 64 && strspn(name, "0123456789abcdef") == 64;
}

static void found_one(void *ctx, const char *name)
{
    bool *any = ctx;
    *any = *any || is_content(name);
}

bool blobs_any(struct blobs *blobs)
{
    bool any = false;
    for_each_name(blobs->blobs, found_one, &any);
    return any;
}

void blobs_close(struct blobs *blobs)
{
    int *fds[] = {&blobs->data, &blobs->blobs, &blobs->tmp};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (*fds[i] >= 0) {
            close(*fds[i]);
        }
        *fds[i] = -1;
    }
}

int blob_create(struct blobs *blobs, char temp[BLOB_TEMP_MAX])
{
    static atomic_uint_fast64_t counter;
    snprintf(temp, BLOB_TEMP_MAX, "upload-%llu", (unsigned long long)atomic_fetch_add(&counter, 1));
    return openat(blobs->tmp, temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

void blob_discard(struct blobs *blobs, const char *temp)
{
    unlinkat(blobs->tmp, temp, 0);
}

enum store_result blob_keep(struct blobs *blobs, int fd, const char *temp, const char *sha256)
{
    if (fsync(fd) != 0 || renameat(blobs->tmp, temp, blobs->blobs, sha256) != 0 ||
        fsync(blobs->blobs) != 0) {
        return blob_error(errno);
    }
    return STORE_OK;
}

int blob_read(struct blobs *blobs, const char *sha256)
{
    return openat(blobs->blobs, sha256, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

void blob_remove(struct blobs *blobs, const char *sha256)
{
    unlinkat(blobs->blobs, sha256, 0);
}

struct sweep {
    struct blobs *blobs;
    const struct store_ops *ops;
    struct store *store;
};

static void sweep_one(void *ctx, const char *name)
{
    struct sweep *sweep = ctx;
    uint64_t names = 1;
    if (!is_content(name)) {
        return;
    }
    if (sweep->ops->content_names(sweep->store, name, &names) == STORE_OK && names == 0) {
        log_event(LOG_LEVEL_INFO, "sweep", "removed %s, which has no name", name);
        blob_remove(sweep->blobs, name);
    }
}

void blobs_sweep(struct blobs *blobs, const struct store_ops *ops, struct store *store)
{
    struct sweep sweep = {blobs, ops, store};
    for_each_name(blobs->blobs, sweep_one, &sweep);
}
