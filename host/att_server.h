/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server half of ATT: answers one client's PDUs for the services mounted on it. No I/O: PDUs
 * in through otter_att_server_feed(), PDUs out through ops->send. One struct a connection; the
 * database is shared by all.
 *
 * Handles are given in order: service, then for each characteristic its declaration, its value,
 * and a Client Characteristic Configuration (CCCD) where it notifies or indicates.
 */
#ifndef OTTER_HOST_ATT_SERVER_H
#define OTTER_HOST_ATT_SERVER_H

#include "host/att.h"

#define OTTER_ATT_ATTRIBUTES_MAX 64u
#define OTTER_ATT_CCCDS_MAX 12u

struct otter_att_attribute {
    uint8_t kind; /* enum kind in att_server.c */
    uint8_t cccd; /* index of its configuration, for a value and its CCCD */
    uint16_t end; /* of a service: its last handle */
    const struct otter_gatt_mount *mount;
    const struct otter_gatt_char *chr; /* NULL for a service */
};

/* Attribute i has handle i + 1. Read-only once built. */
struct otter_att_db {
    struct otter_att_attribute attributes[OTTER_ATT_ATTRIBUTES_MAX];
    uint16_t count;
    uint8_t cccds;
};

/* mounts must outlive db. OTTER_ERR_BOUNDS when they are too many. */
OTTER_CHECKED otter_err otter_att_db_build(struct otter_att_db *db,
                                           const struct otter_gatt_mount *mounts, size_t count);

struct otter_att_server_ops {
    void (*send)(void *ctx, const uint8_t *pdu, size_t len);
    /* The client confirmed an indication: a service may have waited for it. May be NULL. */
    void (*confirmed)(void *ctx);
};

struct otter_att_server {
    const struct otter_att_db *db;
    const struct otter_att_server_ops *ops;
    void *ctx;
    uint16_t conn;      /* what the services know the connection by */
    uint16_t max_mtu;   /* bytes, what this side offers */
    uint16_t mtu;       /* bytes, in force */
    bool indicating;    /* an indication waits for its confirmation */
    bool always_notify; /* acts like old devices: notifies whatever the CCCD asks for */
    uint16_t cccd[OTTER_ATT_CCCDS_MAX];
};

/* ctx is for ops. */
void otter_att_server_init(struct otter_att_server *server, const struct otter_att_db *db,
                           const struct otter_att_server_ops *ops, void *ctx, uint16_t conn,
                           uint16_t max_mtu);

/*
 * Takes one PDU. OTTER_OK: dealt with, whatever it was. OTTER_ERR_AGAIN: the service cannot take
 * the write yet; nothing has happened: keep the PDU, read nothing else from this client and offer
 * it again.
 */
OTTER_CHECKED otter_err otter_att_server_feed(struct otter_att_server *server, const uint8_t *data,
                                              size_t len);

/*
 * Sends a value in the form the client's CCCD asks for, cut to MTU - 3 bytes; OTTER_OK also when
 * it asks for none. OTTER_ERR_AGAIN while an earlier indication waits for its confirmation.
 * OTTER_ERR_ARG for a characteristic that is not mounted or has no CCCD.
 */
OTTER_CHECKED otter_err otter_att_server_notify(struct otter_att_server *server,
                                                const struct otter_gatt_char *chr,
                                                const uint8_t *data, size_t len);

#endif
