/* SPDX-License-Identifier: Apache-2.0 */
#include "host/att_socket.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

void otter_att_socket_init(struct otter_att_socket *s, int fd)
{
    s->fd = fd;
    s->broken = false;
    s->head = 0;
    s->count = 0;
}

static bool address_of(const char *path, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address->sun_path)) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(address->sun_path, path, strlen(path) + 1);
    return true;
}

static int close_keeping_errno(int fd)
{
    int saved = errno;

    close(fd);
    errno = saved;
    return -1;
}

int otter_att_socket_connect(const char *path)
{
    struct sockaddr_un address;

    if (!address_of(path, &address)) {
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        return close_keeping_errno(fd);
    }
    return fd;
}

/* Removes a socket nobody listens on. */
static bool remove_stale(const char *path)
{
    struct stat st;

    if (lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode)) {
        errno = EADDRINUSE;
        return false;
    }
    int fd = otter_att_socket_connect(path);
    if (fd >= 0 || errno != ECONNREFUSED) {
        if (fd >= 0) {
            close(fd);
        }
        errno = EADDRINUSE;
        return false;
    }
    return unlink(path) == 0;
}

int otter_att_socket_listen(const char *path)
{
    struct sockaddr_un address;

    if (!address_of(path, &address)) {
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    int bound = bind(fd, (const struct sockaddr *)&address, sizeof(address));
    if (bound != 0 && errno == EADDRINUSE && remove_stale(path)) {
        bound = bind(fd, (const struct sockaddr *)&address, sizeof(address));
    }
    if (bound != 0 || listen(fd, 4) != 0) {
        return close_keeping_errno(fd);
    }
    return fd;
}

/* True when the PDU is dealt with: sent, or not to be sent any more. */
static bool try_send(struct otter_att_socket *s, const uint8_t *pdu, size_t len)
{
    if (s->broken || send(s->fd, pdu, len, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
        return true;
    }
    if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS) {
        return false;
    }
    /* A peer that has closed may have sent more before: receive() finds that, and the end. */
    s->broken = errno != EPIPE && errno != ECONNRESET;
    return true;
}

void otter_att_socket_flush(struct otter_att_socket *s)
{
    while (s->count > 0 && try_send(s, s->queue[s->head].data, s->queue[s->head].len)) {
        s->head = (uint16_t)((s->head + 1) % OTTER_ATT_QUEUE);
        s->count--;
    }
}

void otter_att_socket_send(struct otter_att_socket *s, const uint8_t *pdu, size_t len)
{
    otter_att_socket_flush(s);
    if (s->count == 0 && try_send(s, pdu, len)) {
        return;
    }
    if (s->count == OTTER_ATT_QUEUE || len > OTTER_GATT_MTU_MAX) {
        s->broken = true; /* it asks and asks and never reads */
        return;
    }
    unsigned last = (s->head + s->count++) % OTTER_ATT_QUEUE;
    s->queue[last].len = (uint16_t)len;
    memcpy(s->queue[last].data, pdu, len);
}

bool otter_att_socket_room(struct otter_att_socket *s)
{
    otter_att_socket_flush(s);
    return s->count == 0;
}

otter_err otter_att_socket_receive(struct otter_att_socket *s, uint8_t pdu[OTTER_GATT_MTU_MAX],
                                   size_t *len)
{
    if (s->broken) {
        return OTTER_ERR_LINK;
    }
    /* MSG_TRUNC: the real length, so that a PDU above every MTU is seen as what it is. */
    ssize_t n = recv(s->fd, pdu, OTTER_GATT_MTU_MAX, MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0 && errno == ECONNRESET) { /* it closed without reading all; said once, then data */
        n = recv(s->fd, pdu, OTTER_GATT_MTU_MAX, MSG_DONTWAIT | MSG_TRUNC);
    }
    if (n > 0) {
        *len = (size_t)n < OTTER_GATT_MTU_MAX ? (size_t)n : OTTER_GATT_MTU_MAX;
        return (size_t)n <= OTTER_GATT_MTU_MAX ? OTTER_OK : OTTER_ERR_LINK;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return OTTER_ERR_AGAIN;
    }
    s->broken = true;
    return OTTER_ERR_LINK;
}

short otter_att_socket_events(const struct otter_att_socket *s, bool reading)
{
    return (short)((reading ? POLLIN : 0) | (s->count > 0 ? POLLOUT : 0));
}

void otter_att_socket_close(struct otter_att_socket *s)
{
    if (s->fd >= 0) {
        close(s->fd);
    }
    s->fd = -1;
    s->broken = true;
}
