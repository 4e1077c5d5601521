/* SPDX-License-Identifier: Apache-2.0 */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"

/* The copy being written, removed when a signal ends the program. */
static char *volatile unfinished;

const char *file_name(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard input" : safe(path);
}

static int too_large(struct call *call, const char *path, uint64_t size, uint32_t max,
                     const char *what)
{
    return fail(call, EXIT_INVALID, "%s has %s, which is too large for %s (at most %s)",
                file_name(path), size_text(size), what, size_text(max));
}

int input_open(struct call *call, const char *path, uint32_t max, const char *what, int *code)
{
    if (strcmp(path, "-") == 0) {
        return dup(STDIN_FILENO);
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        *code = fail(call, EXIT_FAILED, "cannot open %s: %s", safe(path), strerror(errno));
    } else if (S_ISDIR(st.st_mode)) {
        *code = fail(call, EXIT_INVALID, "%s is a directory, not %s", safe(path), what);
    } else if (S_ISREG(st.st_mode) && st.st_size > max) {
        *code = too_large(call, path, (uint64_t)st.st_size, max, what);
    } else {
        return fd;
    }
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

int input_read(struct call *call, const char *path, uint32_t max, const char *what, uint8_t **data,
               size_t *len)
{
    int code = EXIT_FAILED;
    int fd = input_open(call, path, max, what, &code);
    if (fd < 0) {
        return code;
    }
    size_t room = 0;
    ssize_t n = 1;
    *data = NULL;
    *len = 0;
    while (n > 0 && *len <= max) {
        if (*len == room) {
            room = room ? room * 2 : 1 << 16;
            uint8_t *larger = realloc(*data, room);
            if (!larger) {
                n = -1;
                break;
            }
            *data = larger;
        }
        n = read(fd, *data + *len, room - *len);
        if (n < 0 && errno == EINTR) {
            n = 1;
            continue;
        }
        *len += n > 0 ? (size_t)n : 0;
    }
    code = EXIT_OK;
    if (n < 0) {
        code = fail(call, EXIT_FAILED, "cannot read %s: %s", file_name(path), strerror(errno));
    } else if (*len > max) {
        code = too_large(call, path, *len, max, what);
    }
    close(fd);
    if (code) {
        free(*data);
        *data = NULL;
    }
    return code;
}

static void remove_unfinished(int signal)
{
    if (unfinished) {
        unlink(unfinished);
    }
    raise(signal); /* SA_RESETHAND: ends the program */
}

static void clean_up_on_signals(void)
{
    struct sigaction action = {.sa_handler = remove_unfinished, .sa_flags = SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

static bool write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* Makes the rename itself durable; a file system that cannot sync a folder is let be. */
static void sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}

static bool write_copy(const char *copy, int fd, const char *path, const uint8_t *data, size_t len)
{
    struct stat st;
    mode_t mask = umask(0);
    umask(mask);
    mode_t mode = stat(path, &st) == 0 ? st.st_mode & 0777 : 0666 & ~mask;
    return fchmod(fd, mode) == 0 && write_all(fd, data, len) && fsync(fd) == 0 &&
           rename(copy, path) == 0;
}

int output_write(struct call *call, const char *path, const uint8_t *data, size_t len)
{
    if (strcmp(path, "-") == 0) {
        if (isatty(STDOUT_FILENO)) {
            return fail(call, EXIT_USAGE, "binary data does not go to a terminal: name a file");
        }
        return write_all(STDOUT_FILENO, data, len)
                   ? EXIT_OK
                   : fail(call, EXIT_FAILED, "cannot write: %s", strerror(errno));
    }
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        return fail(call, EXIT_FAILED, "%s is not a file that can be replaced", safe(path));
    }
    char *copy = NULL;
    if (asprintf(&copy, "%s.XXXXXX", path) < 0) {
        return fail(call, EXIT_FAILED, "out of memory");
    }
    int fd = mkostemp(copy, O_CLOEXEC);
    if (fd >= 0) {
        unfinished = copy;
        clean_up_on_signals();
    }
    int code = EXIT_OK;
    if (fd < 0 || !write_copy(copy, fd, path, data, len)) {
        code = fail(call, EXIT_FAILED, "cannot write %s: %s", safe(path), strerror(errno));
        if (fd >= 0) {
            unlink(copy);
        }
    } else {
        sync_folder(path);
    }
    unfinished = NULL;
    if (fd >= 0) {
        close(fd);
    }
    free(copy);
    return code;
}
