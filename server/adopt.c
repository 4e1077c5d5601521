/* SPDX-License-Identifier: Apache-2.0 */
#include "adopt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "text.h"
#include "upload.h"

/* A second link to the content, so that no disk is needed and no moment has it without a name. */
static bool link_content(struct blobs *blobs, const char *name, const char *sha256)
{
    return (linkat(blobs->data, name, blobs->blobs, sha256, 0) == 0 || errno == EEXIST) &&
           fsync(blobs->blobs) == 0;
}

static void adopt(struct blobs *blobs, const struct store_ops *ops, struct store *store,
                  const char *name)
{
    struct store_file file = {.at = time(NULL)};
    struct stat st;
    bool replaced;
    int fd = openat(blobs->data, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    const char *problem = NULL;
    if (!text_is_file_name(name)) {
        problem = "its name cannot stand in a URL as it is";
    } else {
        snprintf(file.name, sizeof file.name, "%s", name);
        if (!upload_inspect(fd, &file) || fsync(fd) != 0 ||
            !link_content(blobs, name, file.sha256)) {
            problem = strerror(errno);
        } else if (upload_name(blobs, ops, store, &file, &replaced) != STORE_OK) {
            problem = "the database does not take it";
        } else {
            unlinkat(blobs->data, name, 0);
        }
    }
    close(fd);
    log_event(problem != NULL ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "adopt", "%s: %s", name,
              problem != NULL ? problem : "of the first server, now in the store");
}

void adopt_files(struct blobs *blobs, const struct store_ops *ops, struct store *store)
{
    int copy = openat(blobs->data, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (dir == NULL) {
        if (copy >= 0) {
            close(copy);
        }
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.' && strncmp(entry->d_name, "devices.db", 10) != 0) {
            adopt(blobs, ops, store, entry->d_name);
        }
    }
    closedir(dir);
}
