/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client half of ATT: finds out what a device offers, reads, writes, and hands on what the
 * device sends unasked. No I/O: PDUs in through otter_att_client_feed(), out through ops->send.
 *
 * One request at a time, as ATT has it; each ends with ops->done(). Write commands may go out in
 * between.
 */
#ifndef OTTER_HOST_ATT_CLIENT_H
#define OTTER_HOST_ATT_CLIENT_H

#include "host/att.h"

#define OTTER_ATT_SERVICES_MAX 16u
#define OTTER_ATT_FOUND_MAX 48u

/* Where the characteristics of otter_att_profile.found are. */
struct otter_att_place {
    uint16_t value; /* handle of the value */
    uint16_t cccd;  /* handle of the CCCD, or 0 */
    uint16_t end;   /* last handle that belongs to the characteristic */
};

/* What a device offers. More than fits here is not looked at. */
struct otter_att_profile {
    struct otter_att_range {
        struct otter_gatt_uuid uuid;
        uint16_t start;
        uint16_t end;
    } services[OTTER_ATT_SERVICES_MAX];
    struct otter_gatt_found found[OTTER_ATT_FOUND_MAX];
    struct otter_att_place places[OTTER_ATT_FOUND_MAX];
    uint16_t service_count;
    uint16_t count; /* of found and places */
};

struct otter_att_client_ops {
    void (*send)(void *ctx, const uint8_t *pdu, size_t len);
    /* A notification or an indication; the latter has been confirmed. */
    void (*received)(void *ctx, uint16_t handle, const uint8_t *data, size_t len);
    /*
     * The request is over. OTTER_OK; OTTER_ERR_REFUSED: att is the device's error;
     * OTTER_ERR_PROTOCOL: an answer that makes no sense; OTTER_ERR_TIMEOUT and OTTER_ERR_LINK:
     * the link is of no use any more. value, of len bytes, is what was read.
     */
    void (*done)(void *ctx, otter_err err, uint8_t att, const uint8_t *value, size_t len);
};

struct otter_att_client {
    const struct otter_att_client_ops *ops;
    void *ctx;
    uint16_t mtu;         /* bytes, in force */
    uint8_t step;         /* enum step in att_client.c: what is going on */
    bool dead;            /* a request timed out or the link is lost */
    bool timed;           /* deadline_ms counts */
    uint32_t deadline_ms; /* of the request */
    uint16_t wanted_mtu;
    uint16_t handle; /* asked for; the first of the range while discovering */
    uint16_t index;  /* of the service or characteristic whose contents are looked for */
    struct otter_att_profile *profile;
    uint16_t len; /* of value */
    uint8_t value[OTTER_GATT_VALUE_MAX];
};

void otter_att_client_init(struct otter_att_client *client, const struct otter_att_client_ops *ops,
                           void *ctx);

/* Takes one PDU, whatever it is. */
void otter_att_client_feed(struct otter_att_client *client, const uint8_t *data, size_t len);

/* The link is gone: ends the request with OTTER_ERR_LINK. */
void otter_att_client_lost(struct otter_att_client *client);

/* Watches the time; returns in how many ms to call again, or OTTER_GATT_NEVER. */
uint32_t otter_att_client_poll(struct otter_att_client *client, uint32_t now_ms);

bool otter_att_client_busy(const struct otter_att_client *client);

/* Requests. OTTER_ERR_BUSY while one is under way, OTTER_ERR_LINK once the link is of no use. */
OTTER_CHECKED otter_err otter_att_client_exchange_mtu(struct otter_att_client *client,
                                                      uint16_t mtu);
/* Services, characteristics and CCCDs into profile, which stays the caller's. */
OTTER_CHECKED otter_err otter_att_client_discover(struct otter_att_client *client,
                                                  struct otter_att_profile *profile);
/* The whole value, however long. */
OTTER_CHECKED otter_err otter_att_client_read(struct otter_att_client *client, uint16_t handle);
/* OTTER_ERR_LENGTH when data does not fit into one PDU. */
OTTER_CHECKED otter_err otter_att_client_write(struct otter_att_client *client, uint16_t handle,
                                               const uint8_t *data, size_t len);
/* A write command: no answer, may be sent at any time. */
OTTER_CHECKED otter_err otter_att_client_command(struct otter_att_client *client, uint16_t handle,
                                                 const uint8_t *data, size_t len);

#endif
