/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GATT OTA with a control and a data characteristic, both halves. The protocol is described in
 * docs/protocols/gattota.md.
 */
#ifndef OTTER_GATTOTA_H
#define OTTER_GATTOTA_H

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

/* Indices in the service's chars. */
enum otter_gattota_char {
    OTTER_GATTOTA_CONTROL,
    OTTER_GATTOTA_DATA,
    OTTER_GATTOTA_CHARS,
};

/* The service with the documented UUID, and with the one that devices in the field use. */
extern const struct otter_gatt_service otter_gattota_service;
extern const struct otter_gatt_service otter_gattota_service_field;

/* ---- device -------------------------------------------------------------------------------- */

struct otter_gattota_device_config {
    struct otter_sink sink;
    struct otter_gatt_server server;
    struct otter_gatt_app app;
    uint8_t *buf;        /* packets on their way to flash, the caller's */
    uint16_t buf_size;   /* bytes, OTTER_GATT_WRITE_MAX at least; 4096 is sensible */
    bool field_uuid;     /* mount otter_gattota_service_field */
    uint32_t idle_ms;    /* an owner silent for so long is taken for gone; 0: 60,000 */
    uint32_t restart_ms; /* from the last answer to the restart; 0: 500, as documented */
};

struct otter_gattota_device {
    struct otter_gattota_device_config config;
    uint32_t touched_ms; /* when the owner was last heard */
    uint32_t head;       /* oldest byte in buf */
    uint32_t fill;       /* bytes in buf */
    uint16_t owner;      /* connection whose update this is */
    uint8_t state;       /* enum in src/proto/gattota/device.c */
    uint8_t value;       /* of the control characteristic */
    bool due;            /* value is still to be notified */
    bool answer;         /* the owner is there to be answered */
    bool touched;        /* the owner was heard since the last poll */
};

/* Prepares a device half; config is copied. OTTER_ERR_ARG for a missing function or buffer. */
OTTER_CHECKED otter_err otter_gattota_device_init(struct otter_gattota_device *device,
                                                  const struct otter_gattota_device_config *config);

/* To be mounted on a GATT server. device stays the caller's and outlives the mount. */
struct otter_gatt_mount otter_gattota_device_mount(struct otter_gattota_device *device);

/* ---- host ---------------------------------------------------------------------------------- */

struct otter_gattota_host_config {
    struct otter_gatt_host_config gatt;
    struct otter_source source;
};

struct otter_gattota_host {
    struct otter_gatt_host gatt; /* tries: of the whole */
    uint32_t offset;             /* bytes of the firmware that are packed */
    uint32_t asked;              /* bytes up to the last request: taken when it is answered */
    uint8_t since;               /* packets since the last request */
};

/* Recognises the protocol by its two characteristics, in either service or any other. index
 * receives where each characteristic stands in found. */
bool otter_gattota_recognise(const struct otter_gatt_found *found, size_t count,
                             int index[OTTER_GATTOTA_CHARS]);

/* Prepares an update; config is copied. OTTER_ERR_ARG, OTTER_ERR_EMPTY. */
OTTER_CHECKED otter_err otter_gattota_host_init(struct otter_gattota_host *host,
                                                const struct otter_gattota_host_config *config);

struct otter_gatt_updater otter_gattota_host_updater(struct otter_gattota_host *host);

#ifdef __cplusplus
}
#endif
#endif
