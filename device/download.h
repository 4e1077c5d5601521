/* SPDX-License-Identifier: Apache-2.0 */
/* What a real device keeps in its NVS of an unfinished download: here a file beside the flash. */
#ifndef OTTER_DEVICE_DOWNLOAD_H
#define OTTER_DEVICE_DOWNLOAD_H

#include <stdbool.h>

#include "otter/fuota.h"

/* Zeros when there is nothing, or nothing that makes sense. */
void device_download_load(const char *path, struct otter_fuota_kept *kept);

/* Replaces what was there, whole; removes it when kept->done is 0. False: errno. */
bool device_download_save(const char *path, const struct otter_fuota_kept *kept);

#endif
