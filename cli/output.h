/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people read: styles, fields, tables, and texts made safe to show.
 *
 * Colour only on a terminal, and never when NO_COLOR is set.
 */
#ifndef OTTER_CLI_OUTPUT_H
#define OTTER_CLI_OUTPUT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum style {
    STYLE_PLAIN,
    STYLE_STRONG,
    STYLE_FAINT,
    STYLE_GOOD,
    STYLE_WARNING,
    STYLE_BAD,
};

/* Sets the locale and finds out what the terminal can do. */
void output_init(void);

/* Prints in a style to a stream. */
__attribute__((format(printf, 3, 4))) void print_styled(FILE *f, enum style style,
                                                        const char *format, ...);

/* "  Name          value", values in one column. */
__attribute__((format(printf, 2, 3))) void print_field(const char *name, const char *format, ...);

/* A heading with an empty line before it. */
void print_heading(const char *text);

/* A text from an image, a table or a file name as it may be shown: control characters, invalid
 * UTF-8 and characters that reorder text appear as \xNN. Valid until eight more are made. */
const char *safe(const char *text);

/* "1,467,232 bytes (1.40 MiB)" and "1.40 MiB", "64 KiB". Valid until eight more are made. */
const char *bytes_text(uint64_t bytes);
const char *size_text(uint64_t bytes);
const char *number_text(uint64_t number);

/* 64 hex digits. Valid until eight more are made. */
const char *digest_text(const uint8_t digest[32]);

/* Columns of the terminal that the stream is; 0: it is none. */
int terminal_columns(FILE *f);

/* A table: cells are added row by row, then printed with columns as wide as they need to be. On a
 * terminal too narrow for it, columns that may be left out are, the last first. */
struct table {
    int columns;
    const char *align; /* a letter a column: l or r; L: may be left out */
    char **cells;
    enum style *styles;
    size_t count;
};
void table_cell(struct table *t, enum style style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Prints, the first row as a faint heading, and frees. */
void table_print(struct table *t);

/* A JSON string of any bytes: what is not UTF-8 is made safe first. */
json_t *json_text(const char *text);

#endif
