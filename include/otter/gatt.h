/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam between protocols on GATT and whatever carries GATT: NimBLE, BlueZ, ATT over a socket,
 * a test.
 *
 *   device   GATT server --- write, read, disconnected, poll ---> service (device half)
 *            GATT server <-- send -------------------------------/
 *   host     GATT client --- received, written, lost, poll ----> updater (host half)
 *            GATT client <-- write -----------------------------/
 *
 * The carrier owns connections, MTU, handles, CCCDs and security; a half sees characteristics and
 * bytes. One thread calls into a half, and never from inside one of its callbacks.
 * Times are milliseconds of any clock that runs steadily; it may wrap.
 */
#ifndef OTTER_GATT_H
#define OTTER_GATT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "otter/err.h"
#include "otter/source.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OTTER_GATT_MTU_MIN 23u
#define OTTER_GATT_MTU_MAX 517u
#define OTTER_GATT_VALUE_MAX 512u /* longest attribute value, bytes */
#define OTTER_GATT_WRITE_MAX 514u /* longest write: clients in the field fill an MTU of 517 */

/* What poll() returns when nothing is due: call again after the next event. */
#define OTTER_GATT_NEVER UINT32_MAX

/* Little-endian, as on the air. */
struct otter_gatt_uuid {
    uint8_t size; /* 2 or 16 bytes */
    uint8_t bytes[16];
};

/* Equal, also when one is the 128-bit form of the other. */
bool otter_gatt_uuid_equal(const struct otter_gatt_uuid *a, const struct otter_gatt_uuid *b);

/* Characteristic properties, the bits of the Core specification (Vol 3, Part G, 3.3.1.1). */
#define OTTER_GATT_READ 0x02u
#define OTTER_GATT_WRITE_COMMAND 0x04u /* write without response */
#define OTTER_GATT_WRITE 0x08u         /* write request, with response */
#define OTTER_GATT_NOTIFY 0x10u
#define OTTER_GATT_INDICATE 0x20u

/* Values of a Client Characteristic Configuration Descriptor. */
#define OTTER_GATT_CCCD_NONE 0x0000u
#define OTTER_GATT_CCCD_NOTIFY 0x0001u
#define OTTER_GATT_CCCD_INDICATE 0x0002u

/* Tables a server mounts. A characteristic with NOTIFY or INDICATE has a CCCD. */
struct otter_gatt_char {
    struct otter_gatt_uuid uuid;
    uint8_t props;
    uint8_t id; /* the protocol's own number for it: the index in its service's chars */
};

struct otter_gatt_service {
    struct otter_gatt_uuid uuid;
    const struct otter_gatt_char *chars;
    uint8_t count;
};

/* ATT error codes (Vol 3, Part F, 3.4.1.1) in use here. */
enum otter_att {
    OTTER_ATT_OK = 0x00,
    OTTER_ATT_INVALID_HANDLE = 0x01,
    OTTER_ATT_READ_NOT_PERMITTED = 0x02,
    OTTER_ATT_WRITE_NOT_PERMITTED = 0x03,
    OTTER_ATT_INVALID_PDU = 0x04,
    OTTER_ATT_INSUFFICIENT_AUTHENTICATION = 0x05,
    OTTER_ATT_REQUEST_NOT_SUPPORTED = 0x06,
    OTTER_ATT_INVALID_OFFSET = 0x07,
    OTTER_ATT_ATTRIBUTE_NOT_FOUND = 0x0A,
    OTTER_ATT_INVALID_LENGTH = 0x0D,
    OTTER_ATT_UNLIKELY = 0x0E,
    OTTER_ATT_INSUFFICIENT_ENCRYPTION = 0x0F,
    OTTER_ATT_UNSUPPORTED_GROUP = 0x10,
    OTTER_ATT_INSUFFICIENT_RESOURCES = 0x11,
    OTTER_ATT_VALUE_NOT_ALLOWED = 0x13,
    OTTER_ATT_WRITE_REJECTED = 0xFC,
    OTTER_ATT_CCCD_IMPROPER = 0xFD,
    OTTER_ATT_IN_PROGRESS = 0xFE,

    /* Not on the air: the service has no room now. Nothing happened; keep this write and what the
     * same connection sends after it, in order, and offer it again after the next poll(), which is
     * due already. A request is answered late, a command waits (in the socket, in the controller):
     * nothing is lost. */
    OTTER_ATT_HOLD = 0x100,
};

/* ---- device -------------------------------------------------------------------------------- */

/* How a service reaches its clients. */
struct otter_gatt_server {
    /*
     * Sends a value of a characteristic (an element of the mounted table's chars) in the form the
     * CCCD of that connection asks for: notification, else indication, else not at all (which is
     * OTTER_OK). OTTER_ERR_AGAIN: no room, or an earlier indication is not confirmed yet; the
     * service tries again in poll(), so call poll() when that changes.
     */
    otter_err (*send)(void *ctx, uint16_t conn, const struct otter_gatt_char *chr,
                      const uint8_t *data, size_t len);
    void *ctx;
};

struct otter_gatt_service_ops {
    /* A client wrote, by request or command. The server has checked that the property allows it.
     * After any result but HOLD call poll(). */
    enum otter_att (*write)(void *service, uint16_t conn, uint8_t id, const uint8_t *data,
                            size_t len);

    /* The value of a readable characteristic: copies at most cap bytes, returns how many. */
    size_t (*read)(void *service, uint8_t id, uint8_t *out, size_t cap);

    /* The link is gone, for whatever reason; held writes of that connection are forgotten. */
    void (*disconnected)(void *service, uint16_t conn);

    /* Does the next bounded step, at most one of flash work, and returns in how many ms it wants
     * to be called again: 0 at once, OTTER_GATT_NEVER after the next event. */
    uint32_t (*poll)(void *service, uint32_t now_ms);
};

/* A service ready to be mounted. */
struct otter_gatt_mount {
    const struct otter_gatt_service *table;
    const struct otter_gatt_service_ops *ops;
    void *service;
};

/* What a service asks of the application. */
struct otter_gatt_app {
    /* The new image is selected and the client was told: restart now. */
    void (*restart)(void *ctx);
    /* espble: a client wrote user-defined data to CUSTOMER. May be NULL. */
    void (*customer)(void *ctx, uint16_t conn, const uint8_t *data, size_t len);
    void *ctx;
};

/* ---- host ---------------------------------------------------------------------------------- */

/* A characteristic found on a device. */
struct otter_gatt_found {
    struct otter_gatt_uuid service;
    struct otter_gatt_uuid uuid;
    uint8_t props;
};

/* Where the characteristics of a service stand in found: index receives one number for each of
 * service->chars, or -1. They are looked for in that service first, then in any other. */
void otter_gatt_find(const struct otter_gatt_service *service, const struct otter_gatt_found *found,
                     size_t count, int *index);

/* How an updater writes to the device. id: the protocol's own number of the characteristic. */
struct otter_gatt_client {
    /* Hands one write to the link. OTTER_OK: taken; a request is answered by written().
     * OTTER_ERR_AGAIN: no room now; poll() when there is. Any other error ends the update. */
    otter_err (*write)(void *ctx, uint8_t id, bool request, const uint8_t *data, size_t len);
    void *ctx;
};

/* How an update stands. Read it after any call. */
struct otter_gatt_status {
    uint32_t done;    /* bytes the device has taken, as far as it has said */
    uint32_t total;   /* bytes */
    uint32_t resent;  /* sectors or whole tries sent again */
    uint16_t packet;  /* bytes a write carries */
    uint8_t window;   /* espble: sectors in flight at most */
    bool requests;    /* every packet is sent as a write request */
    bool begun;       /* the device has agreed to take it */
    bool delivered;   /* it has taken every byte, and may verify now */
    bool finished;    /* result is final */
    bool answered;    /* the device accepted in words. false with OTTER_OK: it went away after it
                         had everything, as some do; connect again and look what it runs */
    uint8_t att;      /* ATT error behind OTTER_ERR_REFUSED, or 0 */
    otter_err result; /* once finished */
};

struct otter_gatt_updater_ops {
    /* Sends what can be sent, and returns in how many ms it wants to be called again:
     * OTTER_GATT_NEVER when it waits for an event only. Call it after each of the others, too. The
     * first call begins the update; subscribe to the characteristics with NOTIFY or INDICATE
     * before. */
    uint32_t (*poll)(void *updater, uint32_t now_ms);

    /* A notification or indication came. */
    void (*received)(void *updater, uint8_t id, const uint8_t *data, size_t len);

    /* A write request was answered: OTTER_ATT_OK or the error. */
    void (*written)(void *updater, uint8_t att);

    /* The link is gone. */
    void (*lost)(void *updater);

    /* Ends the update cleanly: the device is told; keep polling until finished. The result is
     * OTTER_ERR_CANCELLED, unless the device has everything already: then it comes too late. */
    void (*cancel)(void *updater);
};

struct otter_gatt_updater {
    const struct otter_gatt_updater_ops *ops;
    void *updater;
    const struct otter_gatt_status *status;
};

#define OTTER_GATT_NO_RETRIES 0xFFu

/* What both host halves are told. 0 in a field: the default. */
struct otter_gatt_host_config {
    struct otter_gatt_client client;
    uint16_t mtu;       /* as granted; OTTER_GATT_MTU_MIN..OTTER_GATT_MTU_MAX and beyond */
    uint16_t packet;    /* bytes a write carries at most; default MTU - 3 */
    uint8_t data_props; /* properties of the characteristic that takes firmware */
    uint8_t window;     /* espble: sectors in flight at most; default what the device offers.
                           gattota: every how many packets one is a request; default 16 */
    uint8_t retries;    /* espble: of a sector; gattota: of the whole; default 5 and 2;
                           OTTER_GATT_NO_RETRIES: none */
    bool requests;      /* send every packet as a write request */
};

struct otter_gatt_host_kind;

/* What both host halves keep; they write it, and nobody else does. */
struct otter_gatt_host {
    const struct otter_gatt_host_kind *kind; /* src/proto/gatt/host.h */
    struct otter_gatt_host_config config;
    struct otter_source source;
    struct otter_gatt_status status;
    uint32_t deadline_ms; /* when armed */
    uint32_t wait_ms;     /* a new deadline, counted from the next poll; 0: none */
    uint32_t packet_len;  /* bytes in packet, not yet taken by the link */
    uint8_t tries;        /* so far; of what, the protocol says */
    uint8_t state;        /* enum in the protocol's host.c */
    bool waiting;         /* for the response to a write request */
    bool armed;
    uint8_t packet[OTTER_GATT_VALUE_MAX];
};

/* The CCCD value that subscribes to a characteristic with these properties. */
static inline uint16_t otter_gatt_subscription(uint8_t props)
{
    return props & OTTER_GATT_NOTIFY     ? OTTER_GATT_CCCD_NOTIFY
           : props & OTTER_GATT_INDICATE ? OTTER_GATT_CCCD_INDICATE
                                         : OTTER_GATT_CCCD_NONE;
}

#ifdef __cplusplus
}
#endif
#endif
