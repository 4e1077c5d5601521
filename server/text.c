/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <string.h>

#include "base/cursor.h"
#include "store.h"

/* Length of the UTF-8 sequence that begins at text, 0 when it is none. */
static size_t sequence(const uint8_t *text)
{
    size_t len = text[0] < 0x80 ? 1 : text[0] >= 0xC2 && text[0] < 0xE0 ? 2 : 0;
    if (len == 0) {
        len = text[0] >= 0xE0 && text[0] < 0xF0 ? 3 : text[0] >= 0xF0 && text[0] < 0xF5 ? 4 : 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((text[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (text[0] == 0xE0 && text[1] < 0xA0) || (text[0] == 0xF0 && text[1] < 0x90);
    bool outside = (text[0] == 0xED && text[1] > 0x9F) || (text[0] == 0xF4 && text[1] > 0x8F);
    return overlong || outside ? 0 : len;
}

bool text_valid(const char *text, size_t max)
{
    size_t at = 0;
    while (text[at] != 0) {
        size_t len = sequence((const uint8_t *)text + at);
        bool control = (uint8_t)text[at] < ' ' || text[at] == 0x7F ||
                       (len == 2 && (uint8_t)text[at] == 0xC2 && (uint8_t)text[at + 1] < 0xA0);
        if (len == 0 || control) {
            return false;
        }
        at += len;
    }
    return at <= max;
}

bool text_is_id(const char *text)
{
    return text[0] != 0 && text_valid(text, STORE_TEXT_MAX) && strchr(text, '/') == NULL;
}

bool text_is_file_name(const char *text)
{
    return text_is_id(text) && strpbrk(text, "\\\"%?#") == NULL && strcmp(text, ".") != 0 &&
           strcmp(text, "..") != 0;
}

void text_hex(const uint8_t *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * len] = 0;
}

/* One field, up to the comma or line end after it. */
static bool csv_field(struct otter_reader *r, char *out, size_t size)
{
    size_t len = 0;
    bool quoted = r->left > 0 && *r->next == '"';
    if (quoted) {
        otter_read_skip(r, 1);
    }
    for (;;) {
        if (r->left == 0) {
            break;
        }
        uint8_t c = *r->next;
        if (!quoted && (c == ',' || c == '\r' || c == '\n')) {
            break;
        }
        otter_read_skip(r, 1);
        if (c == '"' && quoted) {
            if (r->left == 0 || *r->next != '"') {
                quoted = false; /* the closing quote */
                if (r->left > 0 && strchr(",\r\n", *r->next) == NULL) {
                    return false;
                }
                continue;
            }
            otter_read_skip(r, 1);
        }
        if (c == 0 || len + 1 >= size) {
            return false;
        }
        out[len++] = (char)c;
    }
    out[len] = 0;
    return !quoted && text_valid(out, size - 1);
}

bool csv_parse(const char *data, size_t len, char *fields[3], size_t size)
{
    struct otter_reader r = otter_reader_on(data, len);
    for (int i = 0; i < 3; i++) {
        if (i > 0 && otter_read_u8(&r) != ',') {
            return false;
        }
        if (!csv_field(&r, fields[i], size)) {
            return false;
        }
    }
    if (r.left > 0 && *r.next == '\r') {
        otter_read_skip(&r, 1);
    }
    if (r.left > 0 && *r.next == '\n') {
        otter_read_skip(&r, 1);
    }
    return r.left == 0 && !r.bad;
}

size_t csv_quote(const char *text, char *out)
{
    size_t n = 0;
    out[n++] = '"';
    for (; *text != 0; text++) {
        if (*text == '"') {
            out[n++] = '"';
        }
        out[n++] = *text;
    }
    out[n++] = '"';
    return n;
}
