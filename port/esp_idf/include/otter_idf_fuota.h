/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Updates pulled from a server over HTTPS. Needs an IP connection while it works; otter_idf_wifi.h
 * makes one, and any other will do.
 *
 *     extern const char ca[] asm("_binary_ca_cert_pem_start");
 *     const struct otter_idf_fuota_config config = {.server = "https://192.168.1.41:50000",
 *                                                   .username = "u", .password = "p", .ca = ca};
 *     otter_idf_fuota_start(&config);        checks from time to time, in a task of its own
 * or
 *     otter_idf_fuota_update(&config, NULL);       once, and returns when it is over
 */
#ifndef OTTER_IDF_FUOTA_H
#define OTTER_IDF_FUOTA_H

#include <stdint.h>

#include <esp_err.h>

#include "otter/fuota.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Strings are the caller's, and outlive the client. */
struct otter_idf_fuota_config {
    const char *server;    /* "https://host:port"; NULL: from menuconfig */
    const char *username;  /* NULL: from menuconfig; "": none */
    const char *password;  /* NULL: from menuconfig */
    const char *ca;        /* roots to trust, one or several, PEM, ending in NUL. NULL: ESP-IDF's
                              certificate bundle */
    const char *device_id; /* NULL: from menuconfig, or the MAC as 12 digits */
    uint32_t poll_s;       /* seconds between checks; 0: from menuconfig */
};

/* Data of OTTER_IDF_EVENT_FUOTA. */
struct otter_idf_fuota_news {
    enum otter_fuota_event_kind kind;
    enum otter_fuota_result result; /* with OTTER_FUOTA_EVENT_OVER */
    otter_err err;
    uint16_t status;  /* HTTP status, or 0 */
    uint32_t wait_ms; /* until the next check, or the next try */
};

/* Checks from time to time until stopped. A successful update ends in a restart. */
esp_err_t otter_idf_fuota_start(const struct otter_idf_fuota_config *config);

/* Checks now, instead of at the next time. */
esp_err_t otter_idf_fuota_check(void);

/* Returns once the client is gone: after its current read, at most some seconds. */
esp_err_t otter_idf_fuota_stop(void);

/* One check, and the download if there is one, in the calling task, which needs a stack of 8 KB for
 * TLS. On OTTER_FUOTA_UPDATED restart when it suits you. *wait_ms, when not NULL: do not ask the
 * server sooner. OTTER_FUOTA_PARAMETER_ERROR also for a configuration that cannot work,
 * OTTER_FUOTA_SYSTEM_ERROR while the task runs. */
enum otter_fuota_result otter_idf_fuota_update(const struct otter_idf_fuota_config *config,
                                               uint32_t *wait_ms);

#ifdef __cplusplus
}
#endif
#endif
