/* SPDX-License-Identifier: Apache-2.0 */
#include "host/firmware.h"

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

static const struct otter_firmware_ops fd_ops = {.read = fd_read, .close = fd_close};

static otter_err fail(struct otter_firmware *firmware, otter_err err, const char *where,
                      const char *why)
{
    snprintf(firmware->error, sizeof(firmware->error), "%.180s: %s", where, why);
    return err;
}

static otter_err open_file(struct otter_firmware *firmware, const char *where)
{
    int fd = open(where, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;

    if (fd < 0) {
        return fail(firmware, OTTER_ERR_ARG, where, strerror(errno));
    }
    const char *why = NULL;
    if (fstat(fd, &st) != 0) {
        why = strerror(errno);
    } else if (S_ISDIR(st.st_mode)) {
        why = "is a folder; a firmware image is one file";
    } else if (!S_ISREG(st.st_mode)) {
        why = "is not a file; use - to read standard input";
    } else if (st.st_size > (off_t)OTTER_FIRMWARE_MAX) {
        why = "is larger than 16 MiB: no ESP32 image is";
    }
    if (why != NULL) {
        close(fd);
        return fail(firmware, OTTER_ERR_ARG, where, why);
    }
    const char *slash = strrchr(where, '/');
    snprintf(firmware->name, sizeof(firmware->name), "%s", slash != NULL ? slash + 1 : where);
    firmware->ops = &fd_ops;
    firmware->ctx = (void *)(intptr_t)fd;
    firmware->size = (uint32_t)st.st_size;
    return OTTER_OK;
}

otter_err otter_firmware_open(struct otter_firmware *firmware, const char *where,
                              const struct otter_firmware_options *options)
{
    *firmware = (struct otter_firmware){.size = OTTER_LENGTH_UNKNOWN};
    if (otter_firmware_is_url(where)) {
        return otter_firmware_open_url(firmware, where, options);
    }
    if (strstr(where, "://") != NULL) {
        return fail(firmware, OTTER_ERR_ARG, where,
                    "is no address that is understood: http:// and https:// are");
    }
    if (strcmp(where, "-") != 0) {
        return open_file(firmware, where);
    }
    firmware->ops = &fd_ops;
    firmware->ctx = (void *)(intptr_t)STDIN_FILENO;
    snprintf(firmware->name, sizeof(firmware->name), "standard input");
    return OTTER_OK;
}

otter_err otter_firmware_read(struct otter_firmware *firmware, uint8_t *buf, size_t len,
                              size_t *got)
{
    *got = 0;
    otter_err err = firmware->ops->read(firmware->ctx, buf, len, got);
    if (err != OTTER_OK && firmware->error[0] == '\0') {
        snprintf(firmware->error, sizeof(firmware->error), "%s cannot be read", firmware->name);
    }
    return err;
}

otter_err otter_firmware_load(struct otter_firmware *firmware, uint8_t **data, size_t *len)
{
    size_t room = firmware->size != OTTER_LENGTH_UNKNOWN ? firmware->size + 1u : 65536u;
    uint8_t *buf = malloc(room);
    size_t used = 0;

    while (buf != NULL) {
        size_t got;
        otter_err err = otter_firmware_read(firmware, buf + used, room - used, &got);

        if (err == OTTER_OK && got == 0) {
            *data = buf;
            *len = used;
            return OTTER_OK;
        }
        used += got;
        if (err == OTTER_OK && used > OTTER_FIRMWARE_MAX) {
            err = fail(firmware, OTTER_ERR_TOO_LARGE, firmware->name,
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
    return fail(firmware, OTTER_ERR_ARG, firmware->name, "does not fit into memory");
}

void otter_firmware_close(struct otter_firmware *firmware)
{
    if (firmware->ops != NULL && firmware->ops->close != NULL) {
        firmware->ops->close(firmware->ctx);
    }
    firmware->ops = NULL;
}
