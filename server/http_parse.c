/* SPDX-License-Identifier: Apache-2.0 */
#include "http_parse.h"

#include <string.h>
#include <strings.h>

#include "base/cursor.h"

static const struct http_refusal_row refusals[HTTP_REFUSALS] = {
    [HTTP_ACCEPTED] = {200, "accepted"},
    [HTTP_BAD_NUL] = {400, "a NUL byte in the request"},
    [HTTP_BAD_LINE_END] = {400, "a line does not end in CR LF"},
    [HTTP_BAD_CONTROL] = {400, "a control character in a header field"},
    [HTTP_HEAD_TOO_LONG] = {431, "the request's header fields are longer than 8192 bytes"},
    [HTTP_TARGET_TOO_LONG] = {414, "the request target is longer than 2048 bytes"},
    [HTTP_TOO_MANY_FIELDS] = {431, "more than 64 header fields"},
    [HTTP_BAD_REQUEST_LINE] = {400, "the request line is not METHOD SP target SP HTTP/1.1"},
    [HTTP_BAD_METHOD] = {501, "the method is not known here"},
    [HTTP_BAD_TARGET] = {400, "the request target does not begin with '/', or is not well formed"},
    [HTTP_BAD_VERSION] = {505, "only HTTP/1.0 and HTTP/1.1 are spoken here"},
    [HTTP_BAD_FIELD_NAME] = {400, "a header line without a proper name and colon"},
    [HTTP_SPACE_BEFORE_COLON] = {400, "white space between a field name and its colon"},
    [HTTP_FOLDED_FIELD] = {400, "a folded header line"},
    [HTTP_NO_HOST] = {400, "no Host field"},
    [HTTP_SECOND_HOST] = {400, "more than one Host field"},
    [HTTP_BAD_HOST] = {400, "the Host field is not a host name and port"},
    [HTTP_SECOND_LENGTH] = {400, "more than one Content-Length field"},
    [HTTP_BAD_LENGTH] = {400, "Content-Length is not a plain number"},
    [HTTP_LENGTH_AND_CODING] = {400, "Transfer-Encoding beside Content-Length"},
    [HTTP_SECOND_CODING] = {400, "more than one Transfer-Encoding field"},
    [HTTP_BAD_CODING] = {501, "the only transfer encoding known here is chunked"},
    [HTTP_CODING_IN_1_0] = {400, "Transfer-Encoding in an HTTP/1.0 request"},
    [HTTP_BAD_EXPECT] = {417, "the only expectation known here is 100-continue"},
    [HTTP_SECOND_FIELD] = {400, "a header field that may be there once is there twice"},
    [HTTP_BODY_NOT_WANTED] = {400, "a body where none is expected"},
    [HTTP_BAD_CHUNK] = {400, "the chunked body is not well formed"},
    [HTTP_BAD_TRAILER] = {400, "the trailer of the chunked body is not well formed or too long"},
};

const struct http_refusal_row *http_refusal_row(enum http_refusal refusal)
{
    return &refusals[refusal < HTTP_REFUSALS ? refusal : HTTP_BAD_REQUEST_LINE];
}

bool http_text_is(struct http_text text, const char *word)
{
    return text.at != NULL && text.len == strlen(word) && strncasecmp(text.at, word, text.len) == 0;
}

/* RFC 9110, token: letters, digits and a few marks. */
static bool is_token(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

enum http_refusal http_head_scan(const uint8_t *data, size_t len, size_t *scanned, size_t *end)
{
    /* A byte is judged together with its neighbour before it, so at most one is looked at twice. */
    size_t i = *scanned;
    *end = 0;
    for (; i < len; i++) {
        uint8_t c = data[i];
        if (c == 0) {
            return HTTP_BAD_NUL;
        }
        bool after_cr = i > 0 && data[i - 1] == '\r';
        if ((c == '\n') != after_cr) {
            return HTTP_BAD_LINE_END;
        }
        if (i + 1 > HTTP_HEAD_MAX) {
            return memchr(data, '\n', HTTP_HEAD_MAX) == NULL ? HTTP_TARGET_TOO_LONG
                                                             : HTTP_HEAD_TOO_LONG;
        }
        if (c == '\n' && i >= 3 && data[i - 2] == '\n') {
            *end = i + 1;
            return HTTP_ACCEPTED;
        }
        if (c == '\n' && i == 1) {
            return HTTP_BAD_REQUEST_LINE; /* an empty line where a request should begin */
        }
    }
    *scanned = i;
    return HTTP_ACCEPTED;
}

/* The next line without its CR LF, and past it. */
static bool next_line(struct otter_reader *r, struct http_text *line)
{
    const uint8_t *cr = memchr(r->next, '\r', r->left);
    if (cr == NULL) {
        return false;
    }
    size_t len = (size_t)(cr - r->next);
    line->at = (const char *)otter_read_view(r, len);
    line->len = len;
    otter_read_skip(r, 2);
    return !r->bad;
}

static const struct {
    char word[8];
    enum http_method method;
} methods[] = {
    {"GET", HTTP_GET},   {"HEAD", HTTP_HEAD},     {"PUT", HTTP_PUT},
    {"POST", HTTP_POST}, {"DELETE", HTTP_DELETE},
};

/* Methods are case-sensitive, unlike field names. */
static enum http_refusal parse_method(struct http_text word, enum http_method *method)
{
    if (word.len == 0) {
        return HTTP_BAD_REQUEST_LINE;
    }
    for (size_t i = 0; i < word.len; i++) {
        if (!is_token((uint8_t)word.at[i])) {
            return HTTP_BAD_REQUEST_LINE;
        }
    }
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (word.len == strlen(methods[i].word) &&
            memcmp(word.at, methods[i].word, word.len) == 0) {
            *method = methods[i].method;
            return HTTP_ACCEPTED;
        }
    }
    return HTTP_BAD_METHOD;
}

static enum http_refusal parse_version(struct http_text word, uint8_t *minor)
{
    if (word.len != 8 || memcmp(word.at, "HTTP/", 5) != 0 || word.at[6] != '.') {
        return HTTP_BAD_REQUEST_LINE;
    }
    if (word.at[5] != '1' || (word.at[7] != '0' && word.at[7] != '1')) {
        return HTTP_BAD_VERSION;
    }
    *minor = (uint8_t)(word.at[7] - '0');
    return HTTP_ACCEPTED;
}

/* The word up to the next single space, or all that is left. */
static struct http_text next_word(struct otter_reader *r)
{
    const uint8_t *space = memchr(r->next, ' ', r->left);
    size_t len = space == NULL ? r->left : (size_t)(space - r->next);
    struct http_text word = {(const char *)otter_read_view(r, len), len};
    if (space != NULL) {
        otter_read_skip(r, 1);
    }
    return word;
}

static enum http_refusal parse_request_line(struct http_text line, struct http_head *head)
{
    struct otter_reader r = otter_reader_on(line.at, line.len);
    struct http_text method = next_word(&r);
    head->target = next_word(&r);
    struct http_text version = {(const char *)r.next, r.left};
    enum http_refusal refusal = parse_version(version, &head->minor);
    if (refusal == HTTP_ACCEPTED) {
        refusal = parse_method(method, &head->method);
    }
    if (refusal != HTTP_ACCEPTED) {
        return refusal;
    }
    if (head->target.len > HTTP_TARGET_MAX) {
        return HTTP_TARGET_TOO_LONG;
    }
    if (head->target.len == 0 || head->target.at[0] != '/') {
        return HTTP_BAD_TARGET;
    }
    for (size_t i = 0; i < head->target.len; i++) {
        uint8_t c = (uint8_t)head->target.at[i];
        if (c <= ' ' || c == 0x7F || c == '#') {
            return HTTP_BAD_TARGET;
        }
    }
    return HTTP_ACCEPTED;
}

static enum http_refusal take_host(struct http_head *head, struct http_text value)
{
    if (head->host.at != NULL) {
        return HTTP_SECOND_HOST;
    }
    for (size_t i = 0; i < value.len; i++) {
        if (!is_token((uint8_t)value.at[i]) && strchr(":[]", value.at[i]) == NULL) {
            return HTTP_BAD_HOST;
        }
    }
    head->host = value;
    return HTTP_ACCEPTED;
}

static enum http_refusal take_length(struct http_head *head, struct http_text value)
{
    if (head->has_length) {
        return HTTP_SECOND_LENGTH;
    }
    if (value.len == 0 || value.len > 18) { /* 18 digits never overflow 64 bits */
        return HTTP_BAD_LENGTH;
    }
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9') {
            return HTTP_BAD_LENGTH;
        }
        head->length = head->length * 10 + (uint64_t)(value.at[i] - '0');
    }
    head->has_length = true;
    return HTTP_ACCEPTED;
}

static enum http_refusal take_coding(struct http_head *head, struct http_text value)
{
    if (head->chunked) {
        return HTTP_SECOND_CODING;
    }
    if (!http_text_is(value, "chunked")) {
        return HTTP_BAD_CODING;
    }
    head->chunked = true;
    return HTTP_ACCEPTED;
}

static enum http_refusal take_expect(struct http_head *head, struct http_text value)
{
    if (!http_text_is(value, "100-continue")) {
        return HTTP_BAD_EXPECT;
    }
    head->expect_continue = true;
    return HTTP_ACCEPTED;
}

/* A list of words; only these two matter here. */
static enum http_refusal take_connection(struct http_head *head, struct http_text value)
{
    size_t at = 0;
    while (at < value.len) {
        size_t end = at;
        while (end < value.len && value.at[end] != ',') {
            end++;
        }
        size_t first = at;
        size_t last = end;
        while (first < last && (value.at[first] == ' ' || value.at[first] == '\t')) {
            first++;
        }
        while (last > first && (value.at[last - 1] == ' ' || value.at[last - 1] == '\t')) {
            last--;
        }
        struct http_text word = {value.at + first, last - first};
        if (http_text_is(word, "close")) {
            head->keep_alive = false;
        } else if (http_text_is(word, "keep-alive") && head->minor == 0) {
            head->keep_alive = true;
        }
        at = end + 1;
    }
    return HTTP_ACCEPTED;
}

static enum http_refusal take_once(struct http_text *field, struct http_text value)
{
    if (field->at != NULL) {
        return HTTP_SECOND_FIELD;
    }
    *field = value;
    return HTTP_ACCEPTED;
}

#define TAKE_ONCE(name)                                                                            \
    static enum http_refusal take_##name(struct http_head *head, struct http_text value)           \
    {                                                                                              \
        return take_once(&head->name, value);                                                      \
    }
TAKE_ONCE(authorization)
TAKE_ONCE(range)
TAKE_ONCE(if_range)
TAKE_ONCE(if_none_match)
TAKE_ONCE(running)

/* Fields the server looks at. Any other is checked for form and then passed over. */
static const struct {
    const char *name;
    enum http_refusal (*take)(struct http_head *head, struct http_text value);
} fields[] = {
    {"Host", take_host},
    {"Content-Length", take_length},
    {"Transfer-Encoding", take_coding},
    {"Expect", take_expect},
    {"Connection", take_connection},
    {"Authorization", take_authorization},
    {"Range", take_range},
    {"If-Range", take_if_range},
    {"If-None-Match", take_if_none_match},
    {"Otter-Running", take_running},
};

/* Splits name ":" value and checks every byte of both. */
static enum http_refusal split_field(struct http_text line, struct http_text *name,
                                     struct http_text *value)
{
    if (line.at[0] == ' ' || line.at[0] == '\t') {
        return HTTP_FOLDED_FIELD;
    }
    size_t at = 0;
    while (at < line.len && is_token((uint8_t)line.at[at])) {
        at++;
    }
    if (at > 0 && at < line.len && (line.at[at] == ' ' || line.at[at] == '\t')) {
        return HTTP_SPACE_BEFORE_COLON;
    }
    if (at == 0 || at == line.len || line.at[at] != ':') {
        return HTTP_BAD_FIELD_NAME;
    }
    *name = (struct http_text){line.at, at};
    size_t first = at + 1;
    size_t last = line.len;
    while (first < last && (line.at[first] == ' ' || line.at[first] == '\t')) {
        first++;
    }
    while (last > first && (line.at[last - 1] == ' ' || line.at[last - 1] == '\t')) {
        last--;
    }
    for (size_t i = first; i < last; i++) {
        uint8_t c = (uint8_t)line.at[i];
        if ((c < ' ' && c != '\t') || c == 0x7F) {
            return HTTP_BAD_CONTROL;
        }
    }
    *value = (struct http_text){line.at + first, last - first};
    return HTTP_ACCEPTED;
}

static enum http_refusal parse_field(struct http_text line, struct http_head *head)
{
    struct http_text name;
    struct http_text value;
    enum http_refusal refusal = split_field(line, &name, &value);
    if (refusal != HTTP_ACCEPTED) {
        return refusal;
    }
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (http_text_is(name, fields[i].name)) {
            return fields[i].take(head, value);
        }
    }
    return HTTP_ACCEPTED;
}

/* What only the whole head can tell. */
static enum http_refusal check_whole(const struct http_head *head)
{
    if (head->host.at == NULL && head->minor == 1) {
        return HTTP_NO_HOST;
    }
    if (head->host.at != NULL && head->host.len == 0) {
        return HTTP_BAD_HOST;
    }
    if (head->chunked && head->has_length) {
        return HTTP_LENGTH_AND_CODING;
    }
    if (head->chunked && head->minor == 0) {
        return HTTP_CODING_IN_1_0;
    }
    bool body = head->chunked || head->length > 0;
    if (body && head->method != HTTP_PUT && head->method != HTTP_POST) {
        return HTTP_BODY_NOT_WANTED;
    }
    return HTTP_ACCEPTED;
}

enum http_refusal http_head_parse(const uint8_t *data, size_t len, struct http_head *head)
{
    *head = (struct http_head){0};
    struct otter_reader r = otter_reader_on(data, len);
    struct http_text line;
    if (!next_line(&r, &line)) {
        return HTTP_BAD_REQUEST_LINE;
    }
    enum http_refusal refusal = parse_request_line(line, head);
    head->keep_alive = head->minor == 1;
    for (size_t count = 0; refusal == HTTP_ACCEPTED; count++) {
        if (!next_line(&r, &line)) {
            return HTTP_BAD_LINE_END;
        }
        if (line.len == 0) {
            return check_whole(head);
        }
        refusal = count < HTTP_FIELDS_MAX ? parse_field(line, head) : HTTP_TOO_MANY_FIELDS;
    }
    return refusal;
}
