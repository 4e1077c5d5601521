/* SPDX-License-Identifier: Apache-2.0 */
#include "host/hosted_link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#define BAUD_DEFAULT 115200ul

/* What a termios speed is called. */
static const struct {
    unsigned long baud;
    speed_t speed;
} speeds[] = {
    {9600, B9600},       {19200, B19200},     {38400, B38400},     {57600, B57600},
    {115200, B115200},   {230400, B230400},   {460800, B460800},   {500000, B500000},
    {576000, B576000},   {921600, B921600},   {1000000, B1000000}, {1152000, B1152000},
    {1500000, B1500000}, {2000000, B2000000}, {2500000, B2500000}, {3000000, B3000000},
    {3500000, B3500000}, {4000000, B4000000},
};

struct address {
    char path[256];
    bool is_socket;
    bool has_baud;
    speed_t speed;
};

static bool find_speed(unsigned long baud, speed_t *speed)
{
    for (size_t i = 0; i < sizeof(speeds) / sizeof(speeds[0]); i++) {
        if (speeds[i].baud == baud) {
            *speed = speeds[i].speed;
            return true;
        }
    }
    return false;
}

static bool parse(const char *text, struct address *a, char *error, size_t size)
{
    const char *query;
    char *end;

    *a = (struct address){0};
    (void)find_speed(BAUD_DEFAULT, &a->speed);
    if (strncmp(text, "unix:", 5) == 0) {
        a->is_socket = true;
        text += 5;
    }
    query = a->is_socket ? NULL : strchr(text, '?');
    size_t len = query != NULL ? (size_t)(query - text) : strlen(text);
    if (len == 0 || len >= sizeof(a->path)) {
        snprintf(error, size,
                 "a device is named as /dev/esps0, /dev/ttyUSB0?baud=921600 or "
                 "unix:/path");
        return false;
    }
    memcpy(a->path, text, len);
    if (query == NULL) {
        return true;
    }
    unsigned long baud = strncmp(query, "?baud=", 6) == 0 ? strtoul(query + 6, &end, 10) : 0;
    if (baud == 0 || *end != '\0' || query[6] < '0' || query[6] > '9') {
        snprintf(error, size, "%s: after the device only ?baud=N is known", query);
        return false;
    }
    a->has_baud = true;
    if (!find_speed(baud, &a->speed)) {
        snprintf(error, size,
                 "%lu baud is no speed of serial lines here; try 115200, 460800, "
                 "921600 or 2000000",
                 baud);
        return false;
    }
    return true;
}

bool otter_hosted_link_check(const char *address, char *error, size_t size)
{
    struct address a;

    return parse(address, &a, error, size);
}

static int open_socket(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(at.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(at.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof(at)) != 0) {
        int why = errno;

        close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

/* Raw, so that every byte passes, and without the hang-up at close that resets some boards. */
static bool set_raw(int fd, speed_t speed)
{
    struct termios tio;

    if (tcgetattr(fd, &tio) != 0) {
        return false;
    }
    cfmakeraw(&tio);
    tio.c_cflag |= CLOCAL | CREAD;
    tio.c_cflag &= ~(tcflag_t)(HUPCL | CRTSCTS | CSTOPB);
    tio.c_cc[VMIN] = 1;
    tio.c_cc[VTIME] = 0;
    return cfsetspeed(&tio, speed) == 0 && tcsetattr(fd, TCSANOW, &tio) == 0 &&
           tcflush(fd, TCIFLUSH) == 0;
}

otter_err otter_hosted_link_open(const char *address, int *fd, char *error, size_t size)
{
    struct address a;
    struct stat st;

    if (!parse(address, &a, error, size)) {
        return OTTER_ERR_ARG;
    }
    *fd = a.is_socket ? open_socket(a.path)
                      : open(a.path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (*fd < 0) {
        const char *why = a.is_socket || (errno != ENOENT && errno != EACCES) ? strerror(errno)
                          : errno == ENOENT ? "there is no such line (see otter doctor serial)"
                                            : "this user may not use it (see otter doctor serial)";
        snprintf(error, size, "%s: %s", a.path, why);
        return OTTER_ERR_LINK;
    }
    const char *why = NULL;
    if (!a.is_socket && (fstat(*fd, &st) != 0 || !S_ISCHR(st.st_mode))) {
        why = "is no serial line or other character device";
    } else if (!a.is_socket && flock(*fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        why = "another program is using it";
    } else if (!a.is_socket && isatty(*fd)) {
        if (!set_raw(*fd, a.speed)) {
            why = strerror(errno);
        }
    } else if (a.has_baud) {
        why = "is no serial line: leave ?baud= out";
    }
    if (why != NULL) {
        snprintf(error, size, "%s: %s", a.path, why);
        close(*fd);
        *fd = -1;
        return OTTER_ERR_LINK;
    }
    return OTTER_OK;
}
