/* SPDX-License-Identifier: Apache-2.0 */
/* Targets, queries and ranges. */
#include "http_parse.h"

#include <string.h>

#include "base/cursor.h"

static int hex(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The next character, decoded; -1 for a bad escape or a control character. */
static int next_char(struct otter_reader *r, bool *escaped)
{
    uint8_t c = otter_read_u8(r);
    *escaped = c == '%';
    if (*escaped) {
        int high = hex(otter_read_u8(r));
        int low = hex(otter_read_u8(r));
        if (r->bad || high < 0 || low < 0) {
            return -1;
        }
        c = (uint8_t)(high << 4 | low);
    }
    return c < ' ' || c == 0x7F ? -1 : c;
}

/* Closes the segment that begins at first; false when it is empty or made to climb. */
static bool end_segment(struct http_path *path, const char *first, char **out)
{
    *(*out)++ = 0;
    if (first[0] == 0 || strcmp(first, ".") == 0 || strcmp(first, "..") == 0 ||
        path->count == HTTP_SEGMENTS_MAX) {
        return false;
    }
    path->segment[path->count++] = first;
    return true;
}

bool http_path_parse(struct http_text target, char *text, struct http_path *path)
{
    *path = (struct http_path){0};
    struct otter_reader r = otter_reader_on(target.at, target.len);
    if (target.len == 0 || target.len > HTTP_TARGET_MAX || otter_read_u8(&r) != '/') {
        return false;
    }
    char *out = text;
    const char *first = text;
    while (r.left > 0 && *r.next != '?') {
        bool escaped;
        int c = next_char(&r, &escaped);
        if (c < 0 || (escaped && c == '/')) {
            return false;
        }
        if (c != '/') {
            *out++ = (char)c;
        } else if (end_segment(path, first, &out)) {
            first = out;
        } else {
            return false;
        }
    }
    if (out != first && !end_segment(path, first, &out)) {
        return false;
    }
    if (r.left > 0) {
        otter_read_skip(&r, 1);
        path->query = (struct http_text){(const char *)r.next, r.left};
    }
    return true;
}

static bool decode_value(struct http_text value, char *out, size_t size)
{
    struct otter_reader r = otter_reader_on(value.at, value.len);
    size_t len = 0;
    while (r.left > 0) {
        bool escaped;
        int c = next_char(&r, &escaped);
        if (c < 0 || len + 1 >= size) {
            return false;
        }
        out[len++] = c == '+' && !escaped ? ' ' : (char)c;
    }
    out[len] = 0;
    return true;
}

int http_query_find(struct http_text query, const char *name, char *out, size_t size)
{
    struct otter_reader r = otter_reader_on(query.at, query.len);
    size_t name_len = strlen(name);
    int found = 0;
    while (r.left > 0) {
        const char *pair = (const char *)r.next;
        const char *amp = memchr(pair, '&', r.left);
        size_t len = amp == NULL ? r.left : (size_t)(amp - pair);
        otter_read_skip(&r, amp == NULL ? len : len + 1);
        /* A name without a value counts as not there, as the first server had it. */
        if (len <= name_len + 1 || memcmp(pair, name, name_len) != 0 || pair[name_len] != '=') {
            continue;
        }
        struct http_text value = {pair + name_len + 1, len - name_len - 1};
        if (!decode_value(value, out, size)) {
            return -1;
        }
        found++;
    }
    return found;
}

/* A decimal number of at most 18 digits; false when there is none. */
static bool read_number(struct otter_reader *r, uint64_t *value)
{
    size_t digits = 0;
    *value = 0;
    while (r->left > 0 && *r->next >= '0' && *r->next <= '9' && digits < 18) {
        *value = *value * 10 + (uint64_t)(otter_read_u8(r) - '0');
        digits++;
    }
    return digits > 0;
}

/* Several ranges, other units and bad syntax count as no range at all: the whole file answers. */
enum http_range http_range_parse(struct http_text field, uint64_t size, uint64_t *first,
                                 uint64_t *length)
{
    if (field.at == NULL || field.len < 8 || memcmp(field.at, "bytes=", 6) != 0) {
        return HTTP_RANGE_NONE;
    }
    struct otter_reader r = otter_reader_on(field.at + 6, field.len - 6);
    uint64_t from = 0;
    uint64_t to = 0;
    bool has_from = read_number(&r, &from);
    if (otter_read_u8(&r) != '-' || r.bad) {
        return HTTP_RANGE_NONE;
    }
    bool has_to = read_number(&r, &to);
    if (r.left > 0 || (!has_from && !has_to) || (has_from && has_to && to < from)) {
        return HTTP_RANGE_NONE;
    }
    if (!has_from) { /* the last `to` bytes */
        from = to < size ? size - to : 0;
        if (to == 0) {
            return HTTP_RANGE_UNSATISFIABLE;
        }
        to = size;
    } else {
        to = !has_to || to >= size ? size : to + 1;
    }
    if (from >= size) {
        return HTTP_RANGE_UNSATISFIABLE;
    }
    *first = from;
    *length = to - from;
    return HTTP_RANGE_OK;
}
