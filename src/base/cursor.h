/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded reader and writer over a caller's bytes, little-endian.
 *
 * Every parser in Otter reads through this, so a length is checked once, where the bytes enter.
 * An access past the end sets `bad`, yields zeros and moves nothing; it stays set. Check it once
 * after a group of reads with otter_reader_ok().
 */
#ifndef OTTER_BASE_CURSOR_H
#define OTTER_BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "otter/err.h"

struct otter_reader {
    const uint8_t *next;
    size_t left;
    bool bad;
};

struct otter_reader otter_reader_on(const void *data, size_t len);
uint8_t otter_read_u8(struct otter_reader *r);
uint16_t otter_read_u16(struct otter_reader *r);
uint32_t otter_read_u32(struct otter_reader *r);
void otter_read_bytes(struct otter_reader *r, void *out, size_t len);
void otter_read_skip(struct otter_reader *r, size_t len);
/* A pointer to the next len bytes, then moves past them; NULL (and bad) if there are fewer. */
const uint8_t *otter_read_view(struct otter_reader *r, size_t len);
/* OTTER_OK, or OTTER_ERR_BOUNDS once any access went past the end. */
OTTER_CHECKED otter_err otter_reader_ok(const struct otter_reader *r);

struct otter_writer {
    uint8_t *next;
    size_t left;
    bool bad;
};

struct otter_writer otter_writer_on(void *data, size_t len);
void otter_write_u8(struct otter_writer *w, uint8_t value);
void otter_write_u16(struct otter_writer *w, uint16_t value);
void otter_write_u32(struct otter_writer *w, uint32_t value);
void otter_write_bytes(struct otter_writer *w, const void *data, size_t len);
void otter_write_fill(struct otter_writer *w, uint8_t value, size_t len);
OTTER_CHECKED otter_err otter_writer_ok(const struct otter_writer *w);

#endif
