/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server half of ATT: answers one client's PDUs from a database of services. No I/O: PDUs in
 * through otter_att_server_feed(), PDUs out through ops->send. One struct a connection; the
 * database is shared by all.
 *
 * Handles are given in order: service, then for each characteristic its declaration, its value,
 * and a Client Characteristic Configuration where it notifies or indicates.
 */
#ifndef OTTER_HOST_ATT_SERVER_H
#define OTTER_HOST_ATT_SERVER_H

#include "host/att.h"

#define OTTER_ATT_ATTRIBUTES_MAX 64u
#define OTTER_ATT_CCCDS_MAX 12u
#define OTTER_ATT_HOLD 0x100 /* answer of ops->write: cannot take it now */

struct otter_att_characteristic {
    struct otter_att_uuid uuid;
    uint8_t properties; /* OTTER_ATT_PROP_* */
    uint8_t id;         /* the application's own name for it */
};

struct otter_att_service {
    struct otter_att_uuid uuid;
    const struct otter_att_characteristic *characteristics;
    size_t count;
};

struct otter_att_attribute {
    uint8_t kind; /* enum kind in att_server.c */
    uint8_t cccd; /* index of its configuration, for a value and its CCCD */
    uint16_t end; /* of a service: its last handle */
    const struct otter_att_service *service;
    const struct otter_att_characteristic *characteristic;
};

/* Attribute i has handle i + 1. Read-only once built. */
struct otter_att_db {
    struct otter_att_attribute attributes[OTTER_ATT_ATTRIBUTES_MAX];
    uint16_t count;
    uint8_t cccds;
};

/* services must outlive db. OTTER_ERR_BOUNDS when they are too many. */
OTTER_CHECKED otter_err otter_att_db_build(struct otter_att_db *db,
                                           const struct otter_att_service *services, size_t count);

/* id is the characteristic's. Errors are enum otter_att_error; 0 is success. */
struct otter_att_server_ops {
    void (*send)(void *ctx, const uint8_t *pdu, size_t len);
    /* The whole value, at most OTTER_ATT_VALUE_MAX bytes, into buf. */
    uint8_t (*read)(void *ctx, uint8_t id, uint8_t *buf, size_t *len);
    /* Takes a value, or OTTER_ATT_HOLD: then feed() returns OTTER_ERR_AGAIN. */
    int (*write)(void *ctx, uint8_t id, bool with_response, const uint8_t *data, size_t len);
    void (*subscribed)(void *ctx, uint8_t id, uint16_t cccd); /* may be NULL */
    void (*mtu_changed)(void *ctx, uint16_t mtu);             /* may be NULL */
    void (*confirmed)(void *ctx);                             /* of an indication; may be NULL */
};

struct otter_att_server {
    const struct otter_att_db *db;
    const struct otter_att_server_ops *ops;
    void *ctx;
    uint16_t max_mtu; /* bytes, what this side offers */
    uint16_t mtu;     /* bytes, in force */
    bool indicating;  /* an indication waits for its confirmation */
    uint16_t cccd[OTTER_ATT_CCCDS_MAX];
};

void otter_att_server_init(struct otter_att_server *server, const struct otter_att_db *db,
                           const struct otter_att_server_ops *ops, void *ctx, uint16_t max_mtu);

/*
 * Takes one PDU. OTTER_OK: dealt with, whatever it was. OTTER_ERR_AGAIN: the application cannot
 * take the write yet; nothing has happened: keep the PDU, read nothing else from this client and
 * offer it again.
 */
OTTER_CHECKED otter_err otter_att_server_feed(struct otter_att_server *server, const uint8_t *data,
                                              size_t len);

/* What the client asked for with the characteristic's CCCD: 0, or OTTER_ATT_CCCD_* bits. */
uint16_t otter_att_server_cccd(const struct otter_att_server *server, uint8_t id);

/*
 * Sends a value unasked, cut to MTU - 3 bytes. indicate: as an indication; OTTER_ERR_AGAIN while
 * an earlier one waits for its confirmation. Whether the client asked is the caller's to decide
 * (old devices send without). OTTER_ERR_ARG for an id that has no CCCD.
 */
OTTER_CHECKED otter_err otter_att_server_notify(struct otter_att_server *server, uint8_t id,
                                                bool indicate, const uint8_t *data, size_t len);

#endif
