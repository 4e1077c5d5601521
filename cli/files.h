/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the tool: checked before they are read, replaced only when the new one is whole. */
#ifndef OTTER_CLI_FILES_H
#define OTTER_CLI_FILES_H

#include <stdint.h>

#include "cli.h"

/* What the formats can have, and some room: larger files are refused before they are read. */
#define IMAGE_FILE_MAX (32u << 20) /* bytes */
#define FLASH_FILE_MAX (128u << 20)

/*
 * Opens a file for reading, "-" for standard input. Refuses directories and what is above max
 * bytes; what says what the file should be ("an ESP32 image"). Returns the descriptor; or -1, with
 * the failure reported and *code the exit code.
 */
int input_open(struct call *call, const char *path, uint32_t max, const char *what, int *code);

/* As above, whole, into a buffer that the caller frees. Returns an exit code. */
int input_read(struct call *call, const char *path, uint32_t max, const char *what, uint8_t **data,
               size_t *len);

/* Writes a file whole: to a copy beside it that is synced and then renamed, so that path holds
 * the old bytes or the new ones whatever happens; "-" is standard output. Returns an exit code. */
int output_write(struct call *call, const char *path, const uint8_t *data, size_t len);

/* The name as it is shown: "standard input" for "-". */
const char *file_name(const char *path);

#endif
