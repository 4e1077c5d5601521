/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "proto/fuota/http.h"

#define HTTPS "https://"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool otter_fuota_is_name(const char *name, const char *lower_name)
{
    while (*name != '\0' && lower(*name) == *lower_name) {
        name++;
        lower_name++;
    }
    return *name == '\0' && *lower_name == '\0';
}

struct otter_fuota_text otter_fuota_text_on(char *out, size_t size)
{
    out[0] = '\0';
    return (struct otter_fuota_text){.next = out, .left = size - 1};
}

static void put_char(struct otter_fuota_text *t, char c)
{
    if (t->left == 0) {
        t->cut = true;
        return;
    }
    t->left--;
    *t->next++ = c;
    *t->next = '\0';
}

void otter_fuota_put(struct otter_fuota_text *t, const char *s)
{
    for (; *s != '\0'; s++) {
        put_char(t, *s);
    }
}

static bool unreserved(char c)
{
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
           (c != '\0' && memchr("-._~:", c, 5) != NULL);
}

void otter_fuota_put_escaped(struct otter_fuota_text *t, const char *s, const char *keep)
{
    static const char digits[] = "0123456789ABCDEF";

    for (; *s != '\0'; s++) {
        if (unreserved(*s) || memchr(keep, *s, strlen(keep)) != NULL) {
            put_char(t, *s);
        } else {
            put_char(t, '%');
            put_char(t, digits[(uint8_t)*s >> 4]);
            put_char(t, digits[(uint8_t)*s & 15]);
        }
    }
}

void otter_fuota_put_u32(struct otter_fuota_text *t, uint32_t n)
{
    char digits[11] = "";
    size_t at = sizeof(digits) - 1;

    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    otter_fuota_put(t, digits + at);
}

static bool host_char(char c)
{
    return unreserved(c) || c == '[' || c == ']';
}

size_t otter_fuota_origin(const char *url)
{
    size_t len = strlen(HTTPS);

    for (size_t i = 0; i < len; i++) {
        if (lower(url[i]) != HTTPS[i]) {
            return 0;
        }
    }
    while (host_char(url[len])) {
        len++;
    }
    bool ends = url[len] == '\0' || url[len] == '/' || url[len] == '?' || url[len] == '#';
    return ends && len > strlen(HTTPS) ? len : 0;
}

otter_err otter_fuota_redirect(char url[OTTER_FUOTA_URL_MAX + 1], const char *location)
{
    bool path = location[0] == '/' && location[1] != '/';
    size_t keep = path ? otter_fuota_origin(url) : 0;
    size_t len = 0;

    if (!path && otter_fuota_origin(location) == 0) {
        return OTTER_ERR_PROTOCOL;
    }
    while (location[len] > ' ' && location[len] < 0x7F && location[len] != '#') {
        len++;
    }
    if ((location[len] != '\0' && location[len] != '#') || len > OTTER_FUOTA_URL_MAX - keep) {
        return OTTER_ERR_PROTOCOL;
    }
    memcpy(url + keep, location, len);
    url[keep + len] = '\0';
    return OTTER_OK;
}

static bool dots(const char *segment, size_t len)
{
    return (len == 1 || len == 2) && segment[0] == '.' && segment[len - 1] == '.';
}

bool otter_fuota_file_good(const char *file)
{
    size_t start = 0;

    if (file[0] == '\0') {
        return false;
    }
    for (size_t i = 0;; i++) {
        uint8_t c = (uint8_t)file[i];
        if (c == '/' || c == '\0') {
            if (dots(file + start, i - start)) {
                return false;
            }
            start = i + 1;
        }
        if (c == '\0') {
            return true;
        }
        if (c < ' ' || c == 0x7F || c == '"' || c == '\\') {
            return false;
        }
    }
}
