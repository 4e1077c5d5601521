/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of FUOTA share. */
#ifndef OTTER_IDF_FUOTA_INTERNAL_H
#define OTTER_IDF_FUOTA_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include <esp_http_client.h>

#include "otter_idf_fuota.h"

/* A client for one request, with the roots to trust, and the credentials when login; NULL: no
 * memory. url and config outlive it. */
esp_http_client_handle_t otter_idf_fuota_client(const struct otter_idf_fuota_config *config,
                                                const char *url, bool login, uint32_t timeout_ms,
                                                http_event_handle_cb on_event);

/* fuota_report.c. Called when the server has answered a check: tells it what became of an update,
 * when that is over and was not told yet. failed: what refused the image that was offered, or
 * OTTER_OK. buf is used meanwhile. */
void otter_idf_fuota_tell(const struct otter_idf_fuota_config *config, otter_err failed, char *buf,
                          size_t size);

#endif
