/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Updates from a host on a serial line, by the control path of ESP-Hosted. Port, pins and speed are
 * set in menuconfig.
 *
 *     otter_idf_start(NULL);
 *     otter_idf_hosted_start(NULL);
 */
#ifndef OTTER_IDF_HOSTED_H
#define OTTER_IDF_HOSTED_H

#include <esp_err.h>

#include "otter/hosted.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Starts the task that serves the host. version is what get-version answers, and is copied; NULL:
 * the project's name and the numbers in its version text. */
esp_err_t otter_idf_hosted_start(const struct otter_hosted_version *version);

#ifdef __cplusplus
}
#endif
#endif
