/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Header fields, as they stand in RFC 9110: Content-Length, Content-Range, Content-Encoding, ETag,
 * Retry-After and Date. A field that matters and cannot be read makes the answer bad.
 */
#include "proto/fuota/http.h"

#include <string.h>

#define POLL_S_MAX 604800u /* a week: a slip of the server must not silence a device for good */

/* Moves past a decimal number and the text that must follow it. */
static bool number(const char **s, uint32_t *n, const char *then)
{
    size_t len = strlen(then);
    bool some = false;

    for (*n = 0; **s >= '0' && **s <= '9'; (*s)++) {
        uint32_t digit = (uint32_t)(**s - '0');
        if (*n > (UINT32_MAX - digit) / 10) {
            return false;
        }
        *n = *n * 10 + digit;
        some = true;
    }
    if (!some || strncmp(*s, then, len) != 0) {
        return false;
    }
    *s += len;
    return true;
}

static void read_length(struct otter_fuota_head *head, const char *s)
{
    uint32_t n;

    if (!number(&s, &n, "") || *s != '\0' || n == OTTER_LENGTH_UNKNOWN ||
        (head->length != OTTER_LENGTH_UNKNOWN && head->length != n)) {
        head->bad = true;
        return;
    }
    head->length = n;
}

/* "bytes 4096-816383/816384". Only a range up to the end was asked for, so only that will do; what
 * else there is begins at a place that nobody asks for. */
static void read_range(struct otter_fuota_head *head, const char *s)
{
    uint32_t first;
    uint32_t last;
    uint32_t total;

    head->has_range = true;
    head->range_first = UINT32_MAX;
    if (strncmp(s, "bytes ", 6) != 0) {
        return;
    }
    s += 6;
    if (!number(&s, &first, "-") || !number(&s, &last, "/") || !number(&s, &total, "") ||
        *s != '\0' || first > last || last >= total || last + 1 != total) {
        return;
    }
    head->range_first = first;
    head->range_total = total;
}

static void read_etag(struct otter_fuota_head *head, const char *s)
{
    size_t len = strlen(s);

    if (len <= OTTER_FUOTA_ETAG_MAX && len >= 2 && s[0] == '"' && s[len - 1] == '"') {
        memcpy(head->etag, s, len + 1);
    }
}

/* Days from 1970 to a date of the Gregorian calendar, from March on so that leap days come last. */
static int64_t days(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t m = month <= 2 ? month + 9 : month - 3;

    return y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" as seconds since 1970, or 0. */
static int64_t read_date(const char *s)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    uint32_t day;
    uint32_t year;
    uint32_t hour;
    uint32_t min;
    uint32_t sec;
    int64_t month = 0;

    if (strnlen(s, 5) < 5 || s[3] != ',') {
        return 0;
    }
    s += 5;
    if (!number(&s, &day, " ") || strnlen(s, 4) < 4) {
        return 0;
    }
    for (int64_t i = 0; i < 12; i++) {
        if (memcmp(s, months + 3 * i, 3) == 0) {
            month = i + 1;
        }
    }
    s += 4;
    bool good = month > 0 && number(&s, &year, " ") && number(&s, &hour, ":") &&
                number(&s, &min, ":") && number(&s, &sec, " GMT");
    if (!good || day < 1 || day > 31 || year < 1970 || year > 9999 || hour > 23 || min > 59 ||
        sec > 60) {
        return 0;
    }
    return days(year, month, day) * 86400 + (int64_t)hour * 3600 + (int64_t)min * 60 + sec;
}

static void read_retry(struct otter_fuota_head *head, const char *s)
{
    const char *at = s;

    head->has_retry = true;
    if (!number(&at, &head->retry_s, "")) {
        head->retry_s = *s >= '0' && *s <= '9' ? UINT32_MAX : 0;
    }
    head->retry_date = read_date(s);
}

static void read_poll(struct otter_fuota_head *head, const char *s)
{
    uint32_t n;

    if (number(&s, &n, "") && *s == '\0') {
        head->poll_s = n < POLL_S_MAX ? n : POLL_S_MAX;
    }
}

void otter_fuota_read_header(struct otter_fuota_head *head, const char *name, const char *value)
{
    if (otter_fuota_is_name(name, "content-length")) {
        read_length(head, value);
    } else if (otter_fuota_is_name(name, "content-range")) {
        read_range(head, value);
    } else if (otter_fuota_is_name(name, "content-encoding")) {
        head->encoded = !otter_fuota_is_name(value, "identity");
    } else if (otter_fuota_is_name(name, "etag")) {
        read_etag(head, value);
    } else if (otter_fuota_is_name(name, "retry-after")) {
        read_retry(head, value);
    } else if (otter_fuota_is_name(name, "date")) {
        head->date = read_date(value);
    } else if (otter_fuota_is_name(name, "otter-poll")) {
        read_poll(head, value);
    }
}

uint32_t otter_fuota_retry_ms(const struct otter_fuota_head *head, uint32_t most)
{
    int64_t s = head->retry_s;

    if (head->retry_date != 0 && head->date != 0) {
        s = head->retry_date - head->date;
    }
    if (!head->has_retry || s <= 0) {
        return 0;
    }
    return s < most / 1000 ? (uint32_t)s * 1000 : most;
}
