/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole update over a GATT link, whichever it is: look at the device, check the image against
 * it, send it by espble or gattota, wait until it is back, and ask what runs.
 */
#ifndef OTTER_HOST_GATT_UPDATE_H
#define OTTER_HOST_GATT_UPDATE_H

#include "host/gatt_link.h"
#include "host/target.h"
#include "otter/espble.h"
#include "otter/gattota.h"
#include "otter/image.h"

struct otter_gatt_protocol; /* a row of the table in gatt_update.c */

struct otter_gatt_update {
    struct otter_gatt_link link;
    const struct otter_target_options *options;
    const struct otter_target_observer *observer; /* may be NULL */
    struct otter_target_result *result;
    const struct otter_gatt_protocol *protocol; /* in use, NULL before */
    int index[OTTER_ESPBLE_CHARS];              /* of the protocol's characteristics in found */
    uint8_t props[OTTER_ESPBLE_CHARS];          /* theirs */
    uint8_t *data;                              /* the image */
    size_t len;
    struct otter_image_facts facts; /* of it */
    struct otter_gatt_updater updater;
    union {
        struct otter_espble_host espble;
        struct otter_gattota_host gattota;
    } host;
    enum otter_target_phase phase;
    uint32_t began_ms; /* when the first byte could be sent */
    bool asking;       /* a question to CUSTOMER is on its way */
    uint8_t asked;     /* its answer, an ATT error */
};

/* Handlers for the link that will be given to otter_gatt_update_run(). */
struct otter_gatt_handlers otter_gatt_update_handlers(struct otter_gatt_update *update);

/* Blocks until the update is over; fills all of result. update is zero before, but for nothing. */
void otter_gatt_update_run(struct otter_gatt_update *update, struct otter_gatt_link link,
                           const char *address, struct otter_firmware *firmware,
                           const struct otter_target_options *options,
                           const struct otter_target_observer *observer,
                           struct otter_target_result *result);

/* What an open link's device says of itself, and which protocols it offers. Reads what it has;
 * OTTER_ERR_LINK and the like only when the link fails. */
OTTER_CHECKED otter_err otter_gatt_identify(struct otter_gatt_link link,
                                            struct otter_target_device *device);

/* The same of a link that is opened for it, within timeout_ms, and closed again. message: what went
 * wrong. */
OTTER_CHECKED otter_err otter_gatt_identify_at(struct otter_gatt_link link, const char *address,
                                               uint32_t timeout_ms,
                                               struct otter_target_device *device, char *message,
                                               size_t size);

#endif
