/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a host takes firmware from: a file, standard input, a URL. Bytes in order, once.
 * A protocol that must go back (resend a sector) loads the source whole with otter_firmware_load().
 */
#ifndef OTTER_HOST_FIRMWARE_H
#define OTTER_HOST_FIRMWARE_H

#include <stdint.h>

#include "otter/err.h"
#include "otter/sink.h"

#define OTTER_FIRMWARE_MAX (16u * 1024u * 1024u) /* bytes; no ESP32 image is larger */

struct otter_firmware_ops {
    /* Blocks for the next bytes, at most len. *got 0: the end. On an error a sentence is in
     * firmware->error. */
    otter_err (*read)(void *ctx, uint8_t *buf, size_t len, size_t *got);
    void (*close)(void *ctx);
};

/* An open source. Owned by whoever opened it, ended with otter_firmware_close(). */
struct otter_firmware {
    const struct otter_firmware_ops *ops;
    void *ctx;
    uint32_t size;   /* bytes, or OTTER_LENGTH_UNKNOWN */
    char name[128];  /* for people: the file's name without its folders, or the URL's */
    char error[256]; /* why open or read failed, one sentence */
};

/* Opens a file, or standard input for "-". A folder, a device and a file above OTTER_FIRMWARE_MAX
 * are refused. On failure firmware->error says why, and nothing needs closing. */
OTTER_CHECKED otter_err otter_firmware_open(struct otter_firmware *firmware, const char *where);

OTTER_CHECKED otter_err otter_firmware_read(struct otter_firmware *firmware, uint8_t *buf,
                                            size_t len, size_t *got);

/* Reads all that is left into memory, *data, that the caller frees with free(). */
OTTER_CHECKED otter_err otter_firmware_load(struct otter_firmware *firmware, uint8_t **data,
                                            size_t *len);

/* Harmless on a source that is not open. */
void otter_firmware_close(struct otter_firmware *firmware);

#endif
