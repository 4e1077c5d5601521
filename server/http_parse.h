/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.x requests: a strict parser. Pure: bytes in, a head or a refusal out; no I/O, no
 * allocation, no copy. Source: RFC 9112 (message syntax) and RFC 9110 (fields).
 *
 *   METHOD SP target SP HTTP/1.x CRLF
 *   name ":" OWS value OWS CRLF     any number up to HTTP_FIELDS_MAX
 *   CRLF                            the head ends here
 *
 * What two programs could read differently is refused, not repaired: that is what request
 * smuggling is made of. Each way of being wrong has a row in the table of refusals.
 */
#ifndef OTTERD_HTTP_PARSE_H
#define OTTERD_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_HEAD_MAX 8192u   /* bytes, request line and fields */
#define HTTP_TARGET_MAX 2048u /* bytes */
#define HTTP_FIELDS_MAX 64u

/* Bytes inside the head; not NUL-terminated. at is NULL when the field was not sent. */
struct http_text {
    const char *at;
    size_t len;
};

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_PUT, HTTP_POST, HTTP_DELETE, HTTP_METHODS };

enum http_refusal {
    HTTP_ACCEPTED,
    HTTP_BAD_NUL,
    HTTP_BAD_LINE_END,
    HTTP_BAD_CONTROL,
    HTTP_HEAD_TOO_LONG,
    HTTP_TARGET_TOO_LONG,
    HTTP_TOO_MANY_FIELDS,
    HTTP_BAD_REQUEST_LINE,
    HTTP_BAD_METHOD,
    HTTP_BAD_TARGET,
    HTTP_BAD_VERSION,
    HTTP_BAD_FIELD_NAME,
    HTTP_SPACE_BEFORE_COLON,
    HTTP_FOLDED_FIELD,
    HTTP_NO_HOST,
    HTTP_SECOND_HOST,
    HTTP_BAD_HOST,
    HTTP_SECOND_LENGTH,
    HTTP_BAD_LENGTH,
    HTTP_LENGTH_AND_CODING,
    HTTP_SECOND_CODING,
    HTTP_BAD_CODING,
    HTTP_CODING_IN_1_0,
    HTTP_BAD_EXPECT,
    HTTP_SECOND_FIELD,
    HTTP_BODY_NOT_WANTED,
    HTTP_BAD_CHUNK,
    HTTP_BAD_TRAILER,
    HTTP_REFUSALS
};

struct http_refusal_row {
    uint16_t status;
    const char *text; /* one plain sentence for the client */
};

/* The row of a refusal; of HTTP_ACCEPTED too (status 200). */
const struct http_refusal_row *http_refusal_row(enum http_refusal refusal);

struct http_head {
    enum http_method method;
    struct http_text target; /* begins with '/' */
    uint8_t minor;           /* HTTP/1.minor, 0 or 1 */
    bool has_length;
    bool chunked;
    bool expect_continue;
    bool keep_alive;
    uint64_t length; /* of the body; 0 unless has_length */
    struct http_text host;
    struct http_text authorization;
    struct http_text range;
    struct http_text if_range;
    struct http_text if_none_match;
    struct http_text running; /* Otter-Running: digest of the image the device runs */
};

/*
 * Looks for the end of a head in the len bytes gathered so far. *scanned is the caller's, 0 at
 * first, and saves looking at a byte twice. *end becomes the head's length with its empty line, or
 * 0 when more bytes are needed. A refusal is final.
 */
enum http_refusal http_head_scan(const uint8_t *data, size_t len, size_t *scanned, size_t *end);

/* Parses a whole head of len bytes, as http_head_scan() found it. */
enum http_refusal http_head_parse(const uint8_t *data, size_t len, struct http_head *head);

/* True when the texts are equal, ASCII letters without regard to case. */
bool http_text_is(struct http_text text, const char *word);

/* Chunked bodies. size [";" extension] CRLF data CRLF ... 0 CRLF trailers CRLF */
struct http_chunks {
    uint64_t left;  /* of the current chunk, bytes */
    uint16_t line;  /* bytes of the current line, to bound it */
    uint16_t total; /* bytes of all trailer lines, to bound them */
    uint8_t state;  /* enum in http_chunks.c */
    bool digits;
};

#define HTTP_CHUNK_LINE_MAX 256u
#define HTTP_TRAILERS_MAX 1024u

void http_chunks_begin(struct http_chunks *chunks);

/*
 * Takes bytes of a chunked body: *used of the len given. When *data_len is not 0 afterwards, that
 * many bytes at data + *data_at are body. Call again with the rest until *used == len or
 * http_chunks_done(). A refusal is final.
 */
enum http_refusal http_chunks_take(struct http_chunks *chunks, const uint8_t *data, size_t len,
                                   size_t *used, size_t *data_at, size_t *data_len);
bool http_chunks_done(const struct http_chunks *chunks);

/* The target, taken apart. Segments are percent-decoded into the caller's buffer. */
#define HTTP_SEGMENTS_MAX 8u

struct http_path {
    size_t count;
    const char *segment[HTTP_SEGMENTS_MAX]; /* NUL-terminated, no control characters, no slash */
    struct http_text query;                 /* still encoded, without the '?' */
};

/*
 * Takes target apart. text must be at least HTTP_TARGET_MAX + 1 bytes and outlive path. One slash
 * at the end is ignored. False: an empty or dot segment, a bad or forbidden escape (NUL, slash,
 * control characters), a fragment, or too many segments.
 */
bool http_path_parse(struct http_text target, char *text, struct http_path *path);

/*
 * Finds name in a query and decodes its value ('+' is a space) into out, NUL-terminated.
 * Returns how often it is there with a value; -1 for a bad escape or a value of size bytes and up.
 */
int http_query_find(struct http_text query, const char *name, char *out, size_t size);

/* One byte range of a file of size bytes, from a Range field. */
enum http_range { HTTP_RANGE_NONE, HTTP_RANGE_OK, HTTP_RANGE_UNSATISFIABLE };
enum http_range http_range_parse(struct http_text field, uint64_t size, uint64_t *first,
                                 uint64_t *length);
#endif
