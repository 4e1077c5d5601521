/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to otterd. Input: a byte, then what a client sends. 0xFF: a comma-separated record; else
 * heads and bodies as they come, in pieces whose sizes the byte seeds.
 *
 * Holds: the same verdict however the bytes are split; every text lies inside the head; what a
 * head says about its body is not ambiguous; decoded path segments cannot climb; a chunked body
 * hands out bytes that are there, once.
 */
#include "fuzz.h"

#include <string.h>

#include "server/http_parse.h"
#include "server/text.h"

static void check_inside(struct http_text text, const uint8_t *data, size_t len)
{
    const uint8_t *at = (const uint8_t *)text.at;
    FUZZ_HOLDS(at == NULL || (at >= data && at + text.len <= data + len));
}

static void check_target(struct http_text target)
{
    char text[HTTP_TARGET_MAX + 1];
    char value[64];
    struct http_path path;
    if (!http_path_parse(target, text, &path)) {
        return;
    }
    FUZZ_HOLDS(path.count <= HTTP_SEGMENTS_MAX);
    for (size_t i = 0; i < path.count; i++) {
        const char *segment = path.segment[i];
        FUZZ_HOLDS(segment >= text && segment < text + sizeof text);
        FUZZ_HOLDS(segment[0] != 0 && strchr(segment, '/') == NULL);
        FUZZ_HOLDS(strcmp(segment, ".") != 0 && strcmp(segment, "..") != 0);
        FUZZ_HOLDS(!text_is_file_name(segment) || text_is_id(segment));
    }
    check_inside(path.query, (const uint8_t *)target.at, target.len);
    if (http_query_find(path.query, "app_ver", value, sizeof value) > 0) {
        FUZZ_HOLDS(value[0] != 0 && strlen(value) < sizeof value);
    }
}

static void check_head(const struct http_head *head, const uint8_t *data, size_t len)
{
    uint64_t first = 0;
    uint64_t length = 0;
    const struct http_text texts[] = {
        head->target,   head->host,          head->authorization, head->range,
        head->if_range, head->if_none_match, head->running,
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        check_inside(texts[i], data, len);
    }
    FUZZ_HOLDS(!(head->chunked && head->has_length));
    FUZZ_HOLDS(head->has_length || head->length == 0);
    FUZZ_HOLDS(head->minor == 0 || head->host.len > 0);
    FUZZ_HOLDS(head->method < HTTP_METHODS && head->target.at[0] == '/');
    check_target(head->target);
    if (http_range_parse(head->range, 1000, &first, &length) == HTTP_RANGE_OK) {
        FUZZ_HOLDS(length > 0 && first < 1000 && length <= 1000 - first);
    }
}

/* Scans data given in pieces, and once whole: the same end, the same refusal. */
static size_t scan(const uint8_t *data, size_t size, uint32_t *seed, enum http_refusal *refusal)
{
    size_t scanned = 0;
    size_t end = 0;
    size_t have = 0;
    *refusal = HTTP_ACCEPTED;
    while (have < size && end == 0 && *refusal == HTTP_ACCEPTED) {
        size_t step = 1 + fuzz_next(seed) % 40;
        have = size - have < step ? size : have + step;
        *refusal = http_head_scan(data, have, &scanned, &end);
    }
    size_t again = 0;
    size_t whole = 0;
    FUZZ_HOLDS(http_head_scan(data, size, &again, &whole) == *refusal);
    FUZZ_HOLDS(*refusal != HTTP_ACCEPTED || whole == end);
    return end;
}

/* Returns the bytes a chunked body takes; 0 when it is refused or not whole. */
static size_t unchunk(const uint8_t *data, size_t size, uint32_t *seed)
{
    struct http_chunks chunks;
    uint64_t body = 0;
    size_t at = 0;
    http_chunks_begin(&chunks);
    while (at < size && !http_chunks_done(&chunks)) {
        size_t step = 1 + fuzz_next(seed) % 40;
        size_t give = size - at < step ? size - at : step;
        size_t used;
        size_t data_at;
        size_t data_len;
        if (http_chunks_take(&chunks, data + at, give, &used, &data_at, &data_len) !=
            HTTP_ACCEPTED) {
            return 0;
        }
        FUZZ_HOLDS(used > 0 && used <= give && data_at <= give && data_len <= give - data_at);
        body += data_len;
        at += used;
    }
    FUZZ_HOLDS(body < size || size == 0);
    return http_chunks_done(&chunks) ? at : 0;
}

static void record(const uint8_t *data, size_t size)
{
    char a[64];
    char b[64];
    char c[64];
    char quoted[2 * sizeof a + 3];
    char *fields[3] = {a, b, c};
    if (!csv_parse((const char *)data, size, fields, sizeof a)) {
        return;
    }
    for (int i = 0; i < 3; i++) {
        char again[3][64];
        char *copies[3] = {again[0], again[1], again[2]};
        char line[3 * sizeof quoted];
        size_t n = csv_quote(fields[i], quoted);
        FUZZ_HOLDS(n <= sizeof quoted && text_valid(fields[i], sizeof a - 1));
        memcpy(line, quoted, n);
        memcpy(line + n, ",,", 2);
        FUZZ_HOLDS(csv_parse(line, n + 2, copies, sizeof again[0]));
        FUZZ_HOLDS(strcmp(again[0], fields[i]) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    uint32_t seed = data[0];
    data++;
    size--;
    if (seed == 0xFF) {
        record(data, size);
        return 0;
    }
    while (size > 0) {
        enum http_refusal refusal;
        struct http_head head;
        size_t end = scan(data, size, &seed, &refusal);
        if (end == 0) {
            FUZZ_HOLDS(http_refusal_row(refusal)->text != NULL);
            break;
        }
        refusal = http_head_parse(data, end, &head);
        if (refusal != HTTP_ACCEPTED) {
            FUZZ_HOLDS(http_refusal_row(refusal)->status >= 400);
            break;
        }
        check_head(&head, data, end);
        data += end;
        size -= end;
        size_t body = head.chunked ? unchunk(data, size, &seed) : (size_t)head.length;
        if (body > size || (head.chunked && body == 0)) {
            break;
        }
        data += body;
        size -= body;
    }
    return 0;
}
