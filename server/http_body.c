/* SPDX-License-Identifier: Apache-2.0 */
/* Chunked bodies, taken apart a byte at a time where lines are and in pieces where data is. */
#include "http_parse.h"

#include "base/cursor.h"

enum chunk_state {
    CHUNK_SIZE,      /* hexadecimal digits */
    CHUNK_EXTENSION, /* skipped */
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER_START, /* the beginning of a trailer line, or the CR of the last line */
    CHUNK_TRAILER,
    CHUNK_TRAILER_LF,
    CHUNK_LAST_LF,
    CHUNK_DONE
};

void http_chunks_begin(struct http_chunks *chunks)
{
    *chunks = (struct http_chunks){0};
}

bool http_chunks_done(const struct http_chunks *chunks)
{
    return chunks->state == CHUNK_DONE;
}

static int hex(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum http_refusal size_byte(struct http_chunks *chunks, uint8_t c)
{
    int digit = hex(c);
    if (digit >= 0) {
        if (chunks->left >> 56 != 0) {
            return HTTP_BAD_CHUNK;
        }
        chunks->left = chunks->left << 4 | (uint64_t)digit;
        chunks->digits = true;
    } else if (chunks->digits && c == '\r') {
        chunks->state = CHUNK_SIZE_LF;
    } else if (chunks->digits && c == ';') {
        chunks->state = CHUNK_EXTENSION;
    } else {
        return HTTP_BAD_CHUNK;
    }
    return HTTP_ACCEPTED;
}

static enum http_refusal line_feed(struct http_chunks *chunks, uint8_t c, enum chunk_state next)
{
    if (c != '\n') {
        return HTTP_BAD_CHUNK;
    }
    chunks->state = (uint8_t)next;
    chunks->line = 0;
    return HTTP_ACCEPTED;
}

/* Text up to CR; control characters are refused. */
static enum http_refusal text_byte(struct http_chunks *chunks, uint8_t c, enum chunk_state after)
{
    if (c == '\r') {
        chunks->state = (uint8_t)after;
    } else if ((c < ' ' && c != '\t') || c == 0x7F) {
        return HTTP_BAD_CHUNK;
    }
    return HTTP_ACCEPTED;
}

static enum http_refusal trailer_start(struct http_chunks *chunks, uint8_t c)
{
    if (c == '\r') {
        chunks->state = CHUNK_LAST_LF;
        return HTTP_ACCEPTED;
    }
    if (c <= ' ' || c == ':') {
        return HTTP_BAD_TRAILER;
    }
    chunks->state = CHUNK_TRAILER;
    return text_byte(chunks, c, CHUNK_TRAILER_LF);
}

static enum http_refusal line_byte(struct http_chunks *chunks, uint8_t c)
{
    if (++chunks->line > HTTP_CHUNK_LINE_MAX) {
        return HTTP_BAD_CHUNK;
    }
    if (chunks->state >= CHUNK_TRAILER_START && ++chunks->total > HTTP_TRAILERS_MAX) {
        return HTTP_BAD_TRAILER;
    }
    switch ((enum chunk_state)chunks->state) {
    case CHUNK_SIZE:
        return size_byte(chunks, c);
    case CHUNK_EXTENSION:
        return text_byte(chunks, c, CHUNK_SIZE_LF);
    case CHUNK_SIZE_LF:
        return line_feed(chunks, c, chunks->left > 0 ? CHUNK_DATA : CHUNK_TRAILER_START);
    case CHUNK_DATA_CR:
        chunks->state = CHUNK_DATA_LF;
        return c == '\r' ? HTTP_ACCEPTED : HTTP_BAD_CHUNK;
    case CHUNK_DATA_LF:
        chunks->digits = false;
        return line_feed(chunks, c, CHUNK_SIZE);
    case CHUNK_TRAILER_START:
        return trailer_start(chunks, c);
    case CHUNK_TRAILER:
        return text_byte(chunks, c, CHUNK_TRAILER_LF);
    case CHUNK_TRAILER_LF:
        return line_feed(chunks, c, CHUNK_TRAILER_START);
    case CHUNK_LAST_LF:
        return line_feed(chunks, c, CHUNK_DONE);
    case CHUNK_DATA:
    case CHUNK_DONE:
        break;
    }
    return HTTP_BAD_CHUNK;
}

enum http_refusal http_chunks_take(struct http_chunks *chunks, const uint8_t *data, size_t len,
                                   size_t *used, size_t *data_at, size_t *data_len)
{
    struct otter_reader r = otter_reader_on(data, len);
    enum http_refusal refusal = HTTP_ACCEPTED;
    *data_at = 0;
    *data_len = 0;
    while (r.left > 0 && refusal == HTTP_ACCEPTED && chunks->state != CHUNK_DONE) {
        if (chunks->state != CHUNK_DATA) {
            refusal = line_byte(chunks, otter_read_u8(&r));
            continue;
        }
        size_t take = chunks->left < r.left ? (size_t)chunks->left : r.left;
        *data_at = len - r.left;
        *data_len = take;
        otter_read_skip(&r, take);
        chunks->left -= take;
        if (chunks->left == 0) {
            chunks->state = CHUNK_DATA_CR;
        }
        break;
    }
    *used = len - r.left;
    return refusal;
}
