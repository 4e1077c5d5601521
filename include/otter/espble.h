/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Espressif BLE OTA, both halves. The protocol is described in docs/protocols/espble.md.
 */
#ifndef OTTER_ESPBLE_H
#define OTTER_ESPBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "otter/err.h"
#include "otter/gatt.h"
#include "otter/sink.h"
#include "otter/source.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OTTER_ESPBLE_SECTOR 4096u /* bytes */
#define OTTER_ESPBLE_COMMAND 20u  /* bytes of a command, and of either ACK */
#define OTTER_ESPBLE_WINDOW_MAX 64u
#define OTTER_ESPBLE_OUTBOX 3u /* answers kept when the link has no room */

/* Indices in the service's chars. */
enum otter_espble_char {
    OTTER_ESPBLE_RECV_FW,
    OTTER_ESPBLE_PROGRESS,
    OTTER_ESPBLE_COMMAND_CHAR,
    OTTER_ESPBLE_CUSTOMER,
    OTTER_ESPBLE_CHARS,
};

extern const struct otter_gatt_service otter_espble_service;

/* ---- device -------------------------------------------------------------------------------- */

struct otter_espble_device_config {
    struct otter_sink sink;
    struct otter_gatt_server server;
    struct otter_gatt_app app;
    uint8_t *sectors;    /* window * OTTER_ESPBLE_SECTOR bytes, the caller's */
    uint8_t window;      /* sectors a client may have in flight, 1..OTTER_ESPBLE_WINDOW_MAX: one is
                            written to flash while the others arrive */
    uint32_t idle_ms;    /* an owner silent for so long is taken for gone; 0: 60,000 */
    uint32_t restart_ms; /* from the last answer to the restart; 0: 500 */
};

/* An answer to the owner that the link had no room for. */
struct otter_espble_answer {
    uint16_t chr;
    uint16_t about; /* command or sector */
    uint16_t word;  /* result or status */
};

struct otter_espble_device {
    struct otter_espble_device_config config;
    uint32_t length;     /* of the firmware, bytes */
    uint32_t sectors;    /* in the whole firmware */
    uint32_t wanted;     /* sector to receive next: all before it are whole */
    uint32_t written;    /* sectors in flash */
    uint32_t told;       /* sectors whose success was sent */
    uint32_t step;       /* bytes of sector `written` that are in flash */
    uint32_t taken;      /* bytes of sector `wanted` that have arrived, padding included */
    uint32_t packet;     /* sequence number wanted next; above 255 the sector is spoiled */
    uint32_t refused;    /* wrong sector index that was answered last */
    uint32_t shown;      /* sectors in flash when progress was last looked at */
    uint32_t touched_ms; /* when the owner was last heard */
    uint16_t owner;      /* connection whose update this is */
    uint16_t crc;        /* of what has arrived of sector `wanted` */
    uint16_t crc_init;   /* the convention of the client's START */
    uint8_t state;       /* enum in src/proto/espble/device.c */
    uint8_t percent;     /* last notified */
    bool answer;         /* the owner is there to be answered */
    bool touched;        /* the owner was heard since the last poll */
    uint8_t outbox_count;
    struct otter_espble_answer outbox[OTTER_ESPBLE_OUTBOX]; /* oldest first */
};

/* Prepares a device half; config is copied. OTTER_ERR_ARG for a missing function or buffer. */
OTTER_CHECKED otter_err otter_espble_device_init(struct otter_espble_device *device,
                                                 const struct otter_espble_device_config *config);

/* To be mounted on a GATT server. device stays the caller's and outlives the mount. */
struct otter_gatt_mount otter_espble_device_mount(struct otter_espble_device *device);

/* Sends user-defined data to a client (CUSTOMER). Returns what the server's send returns. */
OTTER_CHECKED otter_err otter_espble_device_customer(struct otter_espble_device *device,
                                                     uint16_t conn, const uint8_t *data,
                                                     size_t len);

/* ---- host ---------------------------------------------------------------------------------- */

#define OTTER_ESPBLE_CRC_XMODEM 0x0000u /* Espressif's clients and devices; the default */
#define OTTER_ESPBLE_CRC_CCITT 0xFFFFu  /* the Python client */

struct otter_espble_host_config {
    struct otter_gatt_host_config gatt;
    struct otter_source source;
    uint16_t crc_init; /* one of the two above */
    bool padded;       /* pad the last packet of a sector, as the published description has it */
};

struct otter_espble_host {
    struct otter_gatt_host gatt; /* tries: of sector `base`, or of a command */
    uint32_t sectors;            /* in the whole firmware */
    uint32_t base;               /* oldest sector that is not acknowledged */
    uint32_t sector;             /* to take the next packet from */
    uint32_t offset;             /* bytes of it that are packed */
    uint32_t seq;                /* of its next packet */
    uint32_t sent;               /* sectors that were ever packed */
    uint16_t crc_init;
    uint16_t crc;   /* of what is packed of `sector` */
    uint8_t faults; /* so far: the first closes the window to 1, the second makes requests */
    bool padded;
    bool settling; /* the last packet before a step back is sent: the silence is timed */
};

/*
 * Recognises the protocol in what a device offers: by the two characteristics it cannot do
 * without, in service 0x8018 or any other. index receives where each characteristic stands in
 * found, or -1.
 */
bool otter_espble_recognise(const struct otter_gatt_found *found, size_t count,
                            int index[OTTER_ESPBLE_CHARS]);

/* Prepares an update; config is copied. OTTER_ERR_ARG, OTTER_ERR_EMPTY, OTTER_ERR_TOO_LARGE. */
OTTER_CHECKED otter_err otter_espble_host_init(struct otter_espble_host *host,
                                               const struct otter_espble_host_config *config);

struct otter_gatt_updater otter_espble_host_updater(struct otter_espble_host *host);

#ifdef __cplusplus
}
#endif
#endif
