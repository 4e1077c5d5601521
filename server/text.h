/* SPDX-License-Identifier: Apache-2.0 */
/* Names and texts that come from outside, and the comma-separated lines of the first server. */
#ifndef OTTERD_TEXT_H
#define OTTERD_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* UTF-8 without control characters, at most max bytes. */
bool text_valid(const char *text, size_t max);

/* A device id: 1 to 255 bytes of valid text without a slash. */
bool text_is_id(const char *text);

/* A file name: an id that also stands in a URL as it is, since devices do not escape it. */
bool text_is_file_name(const char *text);

void text_hex(const uint8_t *bytes, size_t len, char *out);

/*
 * One record of three fields, quoted ("" stands for a quote) or bare, with or without a line end.
 * Each field has size bytes of room. False: not three fields, too long, or not valid text.
 */
bool csv_parse(const char *data, size_t len, char *fields[3], size_t size);

/* Appends a quoted field to out, which has 2 * strlen(text) + 3 bytes of room; returns bytes. */
size_t csv_quote(const char *text, char *out);
#endif
