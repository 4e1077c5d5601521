/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flash image file as a flash: a dump read from a board, or one made by `otter flash create`.
 *
 * The file is worked on in place, by the chip's own rules and in the chip's own order: erase
 * units of 4096 bytes, programs that only clear bits, and a sync to disk wherever the boot
 * decision changes. So what protects the board protects the file: a process that is killed at any
 * moment leaves an image that boots. It is locked while it is open: shared for reading, exclusive
 * for writing.
 */
#ifndef OTTER_PORT_FLASH_FILE_H
#define OTTER_PORT_FLASH_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "port/flash/flash.h"

#define OTTER_FLASH_FILE_MIN 0x10000u   /* 64 KiB */
#define OTTER_FLASH_FILE_MAX 0x8000000u /* 128 MiB */

/* As the tool's exit codes. */
enum otter_file_status {
    OTTER_FILE_OK = 0,
    OTTER_FILE_FAILED = 1,  /* not there, not readable, in use, an error of the disk */
    OTTER_FILE_INVALID = 3, /* cannot be a flash image */
};

struct otter_flash_file {
    int fd;
    uint32_t size; /* bytes */
    bool writable;
    char error[512]; /* one sentence without a full stop, after anything failed */
};

/* Opens and locks. On failure nothing is open and file->error says why. */
OTTER_CHECKED enum otter_file_status otter_flash_file_open(struct otter_flash_file *file,
                                                           const char *path, bool writable);

/* Closes what is open; harmless otherwise. Works with __attribute__((cleanup)). */
void otter_flash_file_close(struct otter_flash_file *file);

/* The flash as port/flash wants it. file stays where it is. */
struct otter_flash otter_flash_file_flash(struct otter_flash_file *file);
#endif
