/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
    bool json;
    bool stamp; /* the journal adds its own time */
    enum log_level level;
} setup = {false, true, LOG_LEVEL_INFO};

static const char *const level_names[] = {"error", "warning", "info", "request"};

void log_setup(bool json, enum log_level level)
{
    setup.json = json;
    setup.stamp = json || getenv("JOURNAL_STREAM") == NULL;
    setup.level = level;
}

bool log_wants(enum log_level level)
{
    return level <= setup.level;
}

#define VALUE_MAX 1536u /* bytes of one value, escaped: a name of 255 bytes is whole */
#define END_ROOM 8u     /* kept for the end of the line */

/* Whether so many bytes fit, with the end of the line behind them. */
static bool fits(const struct log_line *line, size_t len)
{
    return len <= sizeof line->text - END_ROOM - line->len;
}

static void add(struct log_line *line, const char *text, size_t len)
{
    if (fits(line, len)) {
        memcpy(line->text + line->len, text, len);
        line->len += len;
    }
}

static void add_text(struct log_line *line, const char *text)
{
    add(line, text, strlen(text));
}

/* How many bytes one of a value takes. */
static size_t escaped_size(unsigned char c)
{
    return c == '"' || c == '\\' ? 2 : c < ' ' || c > '~' ? 6 : 1;
}

/* What a JSON string may hold; in a plain line too, where spaces are what quotes are for. Bytes
 * that are not ASCII are written as escapes: they may be anything. A long value is cut, never
 * inside an escape. */
static void add_escaped(struct log_line *line, const char *value, size_t len)
{
    size_t begin = line->len;
    for (size_t i = 0; i < len && line->len - begin <= VALUE_MAX - 6; i++) {
        unsigned char c = (unsigned char)value[i];
        char code[8];
        if (c == '"' || c == '\\') {
            code[0] = '\\';
            code[1] = (char)c;
            add(line, code, 2);
        } else if (c < ' ' || c > '~') {
            snprintf(code, sizeof code, "\\u%04x", c);
            add(line, code, 6);
        } else {
            add(line, value + i, 1);
        }
    }
}

void log_begin(struct log_line *line, enum log_level level, const char *event)
{
    line->len = 0;
    line->on = log_wants(level);
    if (!line->on) {
        return;
    }
    char stamp[40] = "";
    if (setup.stamp) {
        struct timespec now;
        struct tm utc;
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &utc);
        size_t n = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
        snprintf(stamp + n, sizeof stamp - n, ".%03ldZ", now.tv_nsec / 1000000);
    }
    if (setup.json) {
        add_text(line, "{\"time\":\"");
        add_text(line, stamp);
        add_text(line, "\",\"level\":\"");
        add_text(line, level_names[level]);
        add_text(line, "\",\"event\":\"");
        add_text(line, event);
        add_text(line, "\"");
        return;
    }
    if (setup.stamp) {
        add_text(line, stamp);
        add_text(line, " ");
    }
    add_text(line, level_names[level]);
    add_text(line, " ");
    add_text(line, event);
}

/* A field whose value of so many bytes does not fit is left out whole: what follows must not be
 * taken for a part of it. */
static bool add_key(struct log_line *line, const char *key, size_t value)
{
    if (!fits(line, strlen(key) + 4 + value)) {
        return false;
    }
    add_text(line, setup.json ? ",\"" : " ");
    add_text(line, key);
    add_text(line, setup.json ? "\":" : "=");
    return true;
}

void log_bytes(struct log_line *line, const char *key, const char *value, size_t len)
{
    if (!line->on) {
        return;
    }
    bool quotes = setup.json || len == 0;
    size_t size = 2;
    len = len < 512 ? len : 512;
    for (size_t i = 0; i < len; i++) {
        quotes = quotes || (unsigned char)value[i] <= ' ' || value[i] == '"' || value[i] == '=';
        size += escaped_size((unsigned char)value[i]);
    }
    if (!add_key(line, key, size < VALUE_MAX + 2 ? size : VALUE_MAX + 2)) {
        return;
    }
    add_text(line, quotes ? "\"" : "");
    add_escaped(line, value, len);
    add_text(line, quotes ? "\"" : "");
}

void log_text(struct log_line *line, const char *key, const char *value)
{
    log_bytes(line, key, value, strlen(value));
}

void log_number(struct log_line *line, const char *key, int64_t value)
{
    if (line->on) {
        char text[24];
        snprintf(text, sizeof text, "%lld", (long long)value);
        if (add_key(line, key, strlen(text))) {
            add_text(line, text);
        }
    }
}

void log_end(struct log_line *line)
{
    if (!line->on) {
        return;
    }
    const char *end = setup.json ? "}\n" : "\n";
    memcpy(line->text + line->len, end, strlen(end));
    line->len += strlen(end);
    /* Nothing is left to be done about a log that cannot be written. */
    if (write(STDERR_FILENO, line->text, line->len) < 0) {
        return;
    }
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    struct log_line line;
    char text[1024];
    va_list args;
    if (!log_wants(level)) {
        return;
    }
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_begin(&line, level, event);
    log_text(&line, "text", text);
    log_end(&line);
}
