/* SPDX-License-Identifier: Apache-2.0 */
#include "host/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ctx of both sources below is the file descriptor. */
static otter_err fd_read(void *ctx, uint8_t *buf, size_t len, size_t *got)
{
    for (;;) {
        ssize_t n = read((int)(intptr_t)ctx, buf, len);

        if (n >= 0) {
            *got = (size_t)n;
            return OTTER_OK;
        }
        if (errno != EINTR) {
            return OTTER_ERR_LINK;
        }
    }
}

static void fd_close(void *ctx)
{
    if ((int)(intptr_t)ctx != STDIN_FILENO) {
        close((int)(intptr_t)ctx);
    }
}

static const struct otter_source_ops fd_ops = {.read = fd_read, .close = fd_close};

static otter_err fail(struct otter_source *source, otter_err err, const char *where,
                      const char *why)
{
    snprintf(source->error, sizeof(source->error), "%.180s: %s", where, why);
    return err;
}

static otter_err open_file(struct otter_source *source, const char *where)
{
    int fd = open(where, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;

    if (fd < 0) {
        return fail(source, OTTER_ERR_ARG, where, strerror(errno));
    }
    const char *why = NULL;
    if (fstat(fd, &st) != 0) {
        why = strerror(errno);
    } else if (S_ISDIR(st.st_mode)) {
        why = "is a folder; a firmware image is one file";
    } else if (!S_ISREG(st.st_mode)) {
        why = "is not a file; use - to read standard input";
    } else if (st.st_size > (off_t)OTTER_SOURCE_MAX) {
        why = "is larger than 16 MiB: no ESP32 image is";
    }
    if (why != NULL) {
        close(fd);
        return fail(source, OTTER_ERR_ARG, where, why);
    }
    const char *slash = strrchr(where, '/');
    snprintf(source->name, sizeof(source->name), "%s", slash != NULL ? slash + 1 : where);
    source->ops = &fd_ops;
    source->ctx = (void *)(intptr_t)fd;
    source->size = (uint32_t)st.st_size;
    return OTTER_OK;
}

otter_err otter_source_open(struct otter_source *source, const char *where)
{
    *source = (struct otter_source){.size = OTTER_LENGTH_UNKNOWN};
    if (strcmp(where, "-") != 0) {
        return open_file(source, where);
    }
    source->ops = &fd_ops;
    source->ctx = (void *)(intptr_t)STDIN_FILENO;
    snprintf(source->name, sizeof(source->name), "standard input");
    return OTTER_OK;
}

otter_err otter_source_read(struct otter_source *source, uint8_t *buf, size_t len, size_t *got)
{
    *got = 0;
    otter_err err = source->ops->read(source->ctx, buf, len, got);
    if (err != OTTER_OK && source->error[0] == '\0') {
        snprintf(source->error, sizeof(source->error), "%s cannot be read", source->name);
    }
    return err;
}

otter_err otter_source_load(struct otter_source *source, uint8_t **data, size_t *len)
{
    size_t room = source->size != OTTER_LENGTH_UNKNOWN ? source->size + 1u : 65536u;
    uint8_t *buf = malloc(room);
    size_t used = 0;

    while (buf != NULL) {
        size_t got;
        otter_err err = otter_source_read(source, buf + used, room - used, &got);

        if (err == OTTER_OK && got == 0) {
            *data = buf;
            *len = used;
            return OTTER_OK;
        }
        used += got;
        if (err == OTTER_OK && used > OTTER_SOURCE_MAX) {
            err = fail(source, OTTER_ERR_TOO_LARGE, source->name,
                       "is larger than 16 MiB: no ESP32 image is");
        }
        if (err != OTTER_OK) {
            free(buf);
            return err;
        }
        if (used == room) {
            uint8_t *larger = realloc(buf, room * 2u);

            if (larger == NULL) {
                break;
            }
            buf = larger;
            room *= 2u;
        }
    }
    free(buf);
    return fail(source, OTTER_ERR_ARG, source->name, "does not fit into memory");
}

void otter_source_close(struct otter_source *source)
{
    if (source->ops != NULL && source->ops->close != NULL) {
        source->ops->close(source->ctx);
    }
    source->ops = NULL;
}
