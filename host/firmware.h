/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a host takes firmware from: a file, standard input, a URL. Bytes in order, once.
 * A protocol that must go back (resend a sector) loads the source whole with otter_firmware_load().
 */
#ifndef OTTER_HOST_FIRMWARE_H
#define OTTER_HOST_FIRMWARE_H

#include <signal.h>
#include <stdbool.h>
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

/* An open source. Owned by whoever opened it, stays where it is, ended with
 * otter_firmware_close(). */
struct otter_firmware {
    const struct otter_firmware_ops *ops;
    void *ctx;
    uint32_t size;   /* bytes, or OTTER_LENGTH_UNKNOWN */
    char name[128];  /* for people: the file's name without its folders, or the URL's */
    char error[256]; /* why open or read failed, one sentence */
};

/* Zero is the default everywhere. Strings and options outlive the source. */
struct otter_firmware_options {
    const char *cacert;  /* https: file of certificates to trust instead of the system's */
    uint32_t stall_ms;   /* http: a connection without a byte for so long is made anew; 0: 15 s */
    uint32_t give_up_ms; /* http: fails after this without a byte; 0: 90 s */
    void (*note)(void *ctx, const char *line); /* http: what happens on the way; may be NULL */
    void *ctx;
    const volatile sig_atomic_t *cancel; /* http: reading ends when this is not 0; may be NULL */
};

/* Opens a file, standard input for "-", or an http or https URL. A folder, a device and a file
 * above OTTER_FIRMWARE_MAX are refused. options may be NULL. On failure firmware->error says why,
 * and nothing needs closing. */
OTTER_CHECKED otter_err otter_firmware_open(struct otter_firmware *firmware, const char *where,
                                            const struct otter_firmware_options *options);

/* For otter_firmware_open(): a URL (host/firmware_http.c). Returns when the answer's head is there,
 * so that size is known and a refusal is told before anything else happens. */
OTTER_CHECKED otter_err otter_firmware_open_url(struct otter_firmware *firmware, const char *url,
                                                const struct otter_firmware_options *options);
bool otter_firmware_is_url(const char *where);

OTTER_CHECKED otter_err otter_firmware_read(struct otter_firmware *firmware, uint8_t *buf,
                                            size_t len, size_t *got);

/* Reads all that is left into memory, *data, that the caller frees with free(). */
OTTER_CHECKED otter_err otter_firmware_load(struct otter_firmware *firmware, uint8_t **data,
                                            size_t *len);

/* Harmless on a source that is not open. */
void otter_firmware_close(struct otter_firmware *firmware);

#endif
