/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ATT over a Unix SOCK_SEQPACKET socket: one packet, one PDU. What goes out waits in a small queue
 * when the other side does not read; what comes in is read one PDU at a time, so whoever does not
 * read holds the other side back.
 */
#ifndef OTTER_HOST_ATT_SOCKET_H
#define OTTER_HOST_ATT_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "otter/err.h"
#include "otter/gatt.h"

#define OTTER_ATT_QUEUE 32u /* PDUs */

struct otter_att_socket {
    int fd; /* -1: closed */
    bool broken;
    uint16_t head; /* oldest in queue */
    uint16_t count;
    struct {
        uint16_t len;
        uint8_t data[OTTER_GATT_MTU_MAX];
    } queue[OTTER_ATT_QUEUE];
};

/* Takes over a connected, non-blocking descriptor. */
void otter_att_socket_init(struct otter_att_socket *s, int fd);

/* A connected descriptor for otter_att_socket_init, or -1 with errno set (ENAMETOOLONG for a path
 * that no socket can have). */
int otter_att_socket_connect(const char *path);

/* A listening descriptor, non-blocking, or -1 with errno set: EADDRINUSE when another process
 * listens there. What a process that died left behind is replaced; anything else is not. */
int otter_att_socket_listen(const char *path);

/* Sends a PDU, or queues it. When the queue is full the link is broken. */
void otter_att_socket_send(struct otter_att_socket *s, const uint8_t *pdu, size_t len);

/* True when nothing waits to go out: the moment to write more. */
bool otter_att_socket_room(struct otter_att_socket *s);

/* Reads one PDU of at most OTTER_GATT_MTU_MAX bytes. OTTER_ERR_AGAIN: none is there;
 * OTTER_ERR_LINK: the other side is gone. */
OTTER_CHECKED otter_err otter_att_socket_receive(struct otter_att_socket *s,
                                                 uint8_t pdu[OTTER_GATT_MTU_MAX], size_t *len);

/* Events for poll(2): to be read from when `reading`, to be written to when something waits. */
short otter_att_socket_events(const struct otter_att_socket *s, bool reading);

/* Sends what waits, as far as the other side takes it. */
void otter_att_socket_flush(struct otter_att_socket *s);

void otter_att_socket_close(struct otter_att_socket *s);

#endif
