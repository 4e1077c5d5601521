/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: one line an event, on standard error, plain or JSON. Values come from outside and are
 * escaped; credentials are never passed in. A line is one write, so lines of threads do not mix.
 */
#ifndef OTTERD_LOG_H
#define OTTERD_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_REQUEST };

struct log_line {
    size_t len;
    bool on;
    char text[4096];
};

/* Lines above level are dropped. Called once, before there are threads. */
void log_setup(bool json, enum log_level level);
bool log_wants(enum log_level level);

void log_begin(struct log_line *line, enum log_level level, const char *event);
void log_text(struct log_line *line, const char *key, const char *value);
void log_bytes(struct log_line *line, const char *key, const char *value, size_t len);
void log_number(struct log_line *line, const char *key, int64_t value);
void log_end(struct log_line *line);

/* An event with one text, printf-like: the common case. */
void log_event(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#endif
