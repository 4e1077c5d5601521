/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Otter on ESP-IDF: the update session that every transport shares, what the last boot was like,
 * and the confirmation of a new image. Start it first; the transports are otter_idf_ble.h,
 * otter_idf_fuota.h and otter_idf_hosted.h. What is configured stands in menuconfig, under Otter.
 *
 *     otter_idf_start(NULL);
 *     ... start what the application does, and one transport or several ...
 *     otter_idf_health_check(everything_works);
 */
#ifndef OTTER_IDF_H
#define OTTER_IDF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <esp_err.h>
#include <esp_event.h>
#include <esp_system.h>

#include "otter/err.h"
#include "otter/image.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Posted to the default event loop, when the application has made one. */
ESP_EVENT_DECLARE_BASE(OTTER_EVENT);

enum otter_idf_event_id {
    OTTER_IDF_EVENT_BEGIN,     /* data: struct otter_idf_progress */
    OTTER_IDF_EVENT_PROGRESS,  /* the same; once for each percent, or each 16 KB without a length */
    OTTER_IDF_EVENT_CHECKING,  /* the same: being read back */
    OTTER_IDF_EVENT_SELECTED,  /* the same: the new image boots next */
    OTTER_IDF_EVENT_ABORTED,   /* the same: err says why; OTTER_OK with done 0 and another BEGIN
                                  after it: the image is an encrypted one, OTTER_ENCRYPTED_TOO */
    OTTER_IDF_EVENT_CONFIRMED, /* no data: the running image is there to stay */
    OTTER_IDF_EVENT_REFUSED,   /* no data: the running image is rolled back; a restart follows */
    OTTER_IDF_EVENT_FUOTA,     /* data: struct otter_idf_fuota_news, see otter_idf_fuota.h */
    OTTER_IDF_EVENT_WIFI,      /* data: enum otter_wifi_state */
};

struct otter_idf_progress {
    uint32_t done;  /* bytes */
    uint32_t total; /* bytes, or UINT32_MAX */
    otter_err err;
};

/* All functions are called while the session is locked: of this header they may call
 * otter_idf_report() only. */
struct otter_idf_config {
    /* Before every restart that Otter makes, in the task that makes it: store what must be stored.
     * May be NULL. */
    void (*before_restart)(void *ctx);
    /* Once an update's description is known; anything but OTTER_OK refuses it. May be NULL. */
    otter_err (*accept)(void *ctx, const struct otter_image_facts *facts);
    void *ctx;
    /* Another order of version texts for OTTER_VERSIONS_NOT_OLDER and _NEWER: negative, 0 or
     * positive as a is older than b, the same or newer. May be NULL. */
    int (*version_order)(const char *a, const char *b);
    /* With CONFIG_OTTER_SIGNATURES: the digests of the keys that are trusted, as "otter key digest"
     * prints them; not copied. */
    const uint8_t (*trusted)[32];
    size_t trusted_count;
    /* With CONFIG_OTTER_KEY_APPLICATION: the device's private key for encrypted images, PEM with
     * the NUL that ends it counted, or DER. Needed until otter_idf_start() returns. */
    const uint8_t *key;
    size_t key_size; /* bytes */
};

/* Once, before any transport. config may be NULL, and is copied. ESP_ERR_INVALID_ARG: signatures or
 * encryption are demanded, and there are no trusted keys or no private key that can be read. */
esp_err_t otter_idf_start(const struct otter_idf_config *config);

/* The application's own verdict on the running image. Needed once after an update when
 * CONFIG_OTTER_CONFIRM_CHECK is set (it is by default); harmless at any other time. A false rolls
 * back and restarts. */
void otter_idf_health_check(bool pass);

/* Another update can reach this device. The transports call it; an application with one of its own
 * calls it, too. */
void otter_idf_health_path(void);

/* How this boot came about. */
struct otter_idf_report {
    char project[33];
    char version[33];
    char slot[17];        /* label of the running partition */
    char rejected[17];    /* label of the partition with the image that was given up, or "" */
    uint8_t given_up[32]; /* SHA-256 of that image */
    uint8_t image[32];    /* SHA-256 of the running image */
    bool pending;         /* the running image is not confirmed yet */
    esp_reset_reason_t reset_reason;
};
esp_err_t otter_idf_report(struct otter_idf_report *report);

#ifdef __cplusplus
}
#endif
#endif
