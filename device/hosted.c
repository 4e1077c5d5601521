/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --hosted PATH: the ESP-Hosted control path on a pseudo-terminal, with a symbolic link to it at
 * PATH, or on a Unix socket for "unix:PATH". One host at a time; a second one on the socket is
 * turned away.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "device/transport.h"
#include "host/hosted_version.h"
#include "otter/hosted.h"

#define STEPS_MAX 32u /* of work before the other transports have their turn */

struct hosted {
    struct device *device;
    const char *path;
    bool is_socket;
    bool made;     /* the socket at path is ours: it goes when we go */
    char name[64]; /* where our link at path leads; empty: none */
    int listener;  /* of the socket; -1: a pseudo-terminal */
    int line;      /* to the host; -1: none */
    int terminal;  /* the host's end of the pseudo-terminal, kept open so that the line never hangs
                      up when hosts come and go; -1: a socket */
    struct device_way handle;
    struct otter_hosted_device half;
    uint8_t message[OTTER_HOSTED_DATA_MAX];
    uint8_t in[8192]; /* from the host, not taken yet */
    size_t in_start, in_len;
};

extern const struct transport_type hosted_transport;

/* --- the line ----------------------------------------------------------------------------------
 */

/* Where the link at path leads; empty when it is none. */
static void read_link(const char *path, char *name, size_t size)
{
    ssize_t len = readlink(path, name, size - 1);

    name[len > 0 ? len : 0] = '\0';
}

/* A link that a device has left, which could not remove it, is replaced; any other stays. */
static bool make_link(struct hosted *h, const char *name)
{
    char old[sizeof(h->name)];

    read_link(h->path, old, sizeof(old));
    if (strncmp(old, "/dev/pts/", 9) == 0 && unlink(h->path) != 0) {
        return false;
    }
    if (symlink(name, h->path) != 0) {
        return false;
    }
    snprintf(h->name, sizeof(h->name), "%s", name);
    return true;
}

static bool open_terminal(struct hosted *h)
{
    struct termios tio;
    char name[sizeof(h->name)];

    h->line = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (h->line < 0 || grantpt(h->line) != 0 || unlockpt(h->line) != 0 ||
        ptsname_r(h->line, name, sizeof(name)) != 0 ||
        (h->terminal = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0 ||
        tcgetattr(h->terminal, &tio) != 0) {
        return false;
    }
    cfmakeraw(&tio);
    return tcsetattr(h->terminal, TCSANOW, &tio) == 0 && fcntl(h->line, F_SETFL, O_NONBLOCK) == 0 &&
           make_link(h, name);
}

/* Removes a socket that nobody listens on. */
static bool remove_stale(const char *path, const struct sockaddr_un *at)
{
    struct stat st;

    if (lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode)) {
        return true; /* nothing, or bind() says that something is there */
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool stale = fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof(*at)) != 0 &&
                 errno == ECONNREFUSED;
    if (fd >= 0) {
        close(fd);
    }
    errno = EADDRINUSE;
    return stale && unlink(path) == 0;
}

static bool open_socket(struct hosted *h)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    if (strlen(h->path) >= sizeof(at.sun_path)) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(at.sun_path, h->path, strlen(h->path));
    if (!remove_stale(h->path, &at)) {
        return false;
    }
    h->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (h->listener < 0 || bind(h->listener, (const struct sockaddr *)&at, sizeof(at)) != 0) {
        return false;
    }
    h->made = true;
    return listen(h->listener, 4) == 0;
}

/* What another device has put there meanwhile is its own. */
static void remove_link(const struct hosted *h)
{
    char now[sizeof(h->name)];

    read_link(h->path, now, sizeof(now));
    if (h->name[0] != '\0' && strcmp(now, h->name) == 0) {
        unlink(h->path);
    }
}

static void hosted_destroy(void *transport)
{
    struct hosted *h = transport;
    const int fds[] = {h->line, h->terminal, h->listener};

    remove_link(h); /* while its terminal's number is ours */
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    if (h->made) {
        unlink(h->path);
    }
    free(h);
}

static void *hosted_create(struct device *device, const char *argument)
{
    struct hosted *h = calloc(1, sizeof(*h));

    if (h == NULL) {
        device_error(device, "out of memory");
        return NULL;
    }
    h->device = device;
    h->is_socket = strncmp(argument, "unix:", 5) == 0;
    h->path = argument + (h->is_socket ? 5 : 0);
    h->listener = h->line = h->terminal = -1;
    if (!(h->is_socket ? open_socket(h) : open_terminal(h))) {
        device_error(device, "%s: %s", h->path, strerror(errno));
        hosted_destroy(h);
        return NULL;
    }
    return h;
}

static void hang_up(struct hosted *h)
{
    if (h->line >= 0 && h->is_socket) {
        close(h->line);
        h->line = -1;
    }
    otter_hosted_device_link_lost(&h->half);
    h->in_start = h->in_len = 0;
}

static void take_host(struct hosted *h)
{
    int fd = accept4(h->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0 && h->line >= 0) {
        close(fd);
    } else if (fd >= 0) {
        h->line = fd;
        otter_hosted_device_hello(&h->half);
    }
}

/* --- the device on it --------------------------------------------------------------------------
 */

static bool hosted_up(void *transport)
{
    struct hosted *h = transport;
    const struct device_options *options = h->device->options;
    const struct otter_image_facts *facts = &h->device->boot.facts;
    uint32_t n[5];

    otter_hosted_version_numbers(facts, n);
    const struct otter_hosted_config config = {
        .sink = device_sink(h->device, &h->handle),
        .buf = h->message,
        .buf_size = sizeof(h->message),
        .version = {facts->project, n[0], n[1], n[2], n[3], n[4]},
        .restart_ms = options->restart_ms > 0 ? options->restart_ms : OTTER_HOSTED_RESTART_MS,
        .silence_ms = options->silence_ms > 0 ? options->silence_ms : OTTER_HOSTED_SILENCE_MS,
        .restart = device_restart,
        .restart_ctx = h->device,
    };
    otter_err err = otter_hosted_device_init(&h->half, &config);
    if (err != OTTER_OK) {
        device_error(h->device, "hosted: %s", otter_err_text(err));
        return false;
    }
    otter_hosted_device_hello(&h->half);
    device_log(h->device, "ready: hosted:%s%s", h->is_socket ? "unix:" : "", h->path);
    return true;
}

static void hosted_down(void *transport)
{
    hang_up(transport);
}

static size_t hosted_fds(void *transport, struct pollfd *fds, size_t max)
{
    struct hosted *h = transport;
    const uint8_t *data;
    size_t count = 0;

    if (h->listener >= 0 && count < max) {
        fds[count++] = (struct pollfd){.fd = h->listener, .events = POLLIN};
    }
    if (h->line >= 0 && count < max) {
        bool sends = otter_hosted_device_output(&h->half, &data) > 0;

        fds[count++] = (struct pollfd){
            .fd = h->line, .events = (short)(h->in_len == 0 ? POLLIN : 0) | (sends ? POLLOUT : 0)};
    }
    return count;
}

/* Reads when everything read before is taken. False: the host is gone. */
static bool receive(struct hosted *h)
{
    if (h->in_len > 0) {
        return true;
    }
    ssize_t n = read(h->line, h->in, sizeof(h->in));
    h->in_start = 0;
    h->in_len = n > 0 ? (size_t)n : 0;
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR || errno == EIO));
}

/* False: the host is gone. */
static bool send_answer(struct hosted *h)
{
    const uint8_t *data;
    size_t len = otter_hosted_device_output(&h->half, &data);

    while (len > 0) {
        ssize_t n = write(h->line, data, len);

        if (n <= 0) {
            return n < 0 && (errno == EAGAIN || errno == EINTR);
        }
        otter_hosted_device_sent(&h->half, (size_t)n);
        len = otter_hosted_device_output(&h->half, &data);
    }
    return true;
}

static uint32_t hosted_run(void *transport, const struct pollfd *fds, size_t count, uint32_t now_ms)
{
    struct hosted *h = transport;
    uint32_t wait = 0;

    if (count > 0 && fds[0].fd == h->listener && (fds[0].revents & POLLIN) != 0) {
        take_host(h);
    }
    if (h->line >= 0 && !receive(h)) {
        hang_up(h);
    }
    for (unsigned n = 0; n < STEPS_MAX; n++) {
        size_t used = otter_hosted_device_input(&h->half, h->in + h->in_start, h->in_len, now_ms);

        h->in_start += used;
        h->in_len -= used;
        if (h->line >= 0 && !send_answer(h)) {
            hang_up(h);
        }
        wait = otter_hosted_device_poll(&h->half, now_ms);
        if (h->device->restart || (wait > 0 && h->in_len == 0)) {
            break;
        }
    }
    return h->in_len > 0 && wait > 0 ? 0 : wait;
}

const struct transport_type hosted_transport = {
    .option = "hosted",
    .argument = "PATH",
    .help = "ESP-Hosted on a pseudo-terminal, or unix:PATH",
    .create = hosted_create,
    .up = hosted_up,
    .fds = hosted_fds,
    .run = hosted_run,
    .down = hosted_down,
    .destroy = hosted_destroy,
};
