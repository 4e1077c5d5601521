/* SPDX-License-Identifier: Apache-2.0 */
/* Images for the tool's commands: read from a file or a slot, shown to people and as JSON. */
#ifndef OTTER_CLI_IMAGE_REPORT_H
#define OTTER_CLI_IMAGE_REPORT_H

#include <stdint.h>

#include "cli.h"
#include "otter/image.h"

struct image_scan {
    struct otter_image image;
    otter_err err;       /* the verdict; an image without SHA-256 is OTTER_ERR_IMAGE_NO_DIGEST */
    uint64_t file_size;  /* bytes */
    uint8_t head[16];    /* the file's first bytes */
    uint8_t at_table[2]; /* the bytes where a flash has its partition table */
    uint8_t after[2];    /* the first bytes of the next sector after the image */
};

/* Reads a whole file through the parser. Returns an exit code: EXIT_OK also for an image that is
 * not valid, which scan->err tells. */
int image_scan_file(struct call *call, const char *path, struct image_scan *scan);

/* The same for a command that is about this one file: fills its JSON, and an image that is not
 * valid is reported as a failure, EXIT_INVALID. */
int image_judge_file(struct call *call, const char *path, struct image_scan *scan);

/* The second half of that: the JSON and the verdict of an image that was read. */
int image_judge(struct call *call, const char *path, const struct image_scan *scan);

/* Reads an image that is in memory. */
int image_scan_bytes(struct call *call, const uint8_t *data, size_t len, struct image_scan *scan);

/* One sentence that says what is wrong with the file and, where that is known, what to do. Valid
 * until the next call. */
const char *image_fault(const char *name, const struct image_scan *scan);

/* "ESP32-C6", or "unknown chip 77". Valid until eight more texts are made. */
const char *chip_text(uint16_t id);

/* Reads --chip: a name as chip_text gives it, in any case, with or without the dash. Reports a
 * usage error and returns false for others. NULL leaves *id alone. */
bool chip_option(struct call *call, const char *name, uint16_t *id);

/* "1.1.0", or "(no version)". Valid until eight more texts are made. */
const char *version_text(const struct otter_image_facts *facts);

/* The fields of schema otter.image/1 that facts fill: for a valid image all, else what is known. */
void image_json(json_t *object, const struct otter_image_facts *facts, bool header_known,
                otter_err err);

/* The same for people. */
void image_print(const struct image_scan *scan);

#endif
