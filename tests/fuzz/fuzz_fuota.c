/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The FUOTA client. Input: answers one after another, each
 *   u8 status (index), u8 number of headers, each u8 name (index), u8 length, value;
 *   u16 length of the body, body; u8 how it ends; u8 seconds that it took.
 *
 * Holds: every request is https, bounded, and carries credentials to the server of the
 * configuration only; a range is asked for only when its beginning is there; the sink is called as
 * its contract says; a restart comes only after the sink has said that the image is good.
 */
#include "fuzz.h"

#include <string.h>

#include "base/cursor.h"
#include "otter/fuota.h"

#define SERVER "https://server:443"

struct fake_sink {
    bool open, good;
    uint32_t length, got;
};

static otter_err sink_begin(void *ctx, uint32_t length)
{
    struct fake_sink *s = ctx;

    if (length == 0 || (length != OTTER_LENGTH_UNKNOWN && length > 60000)) {
        s->open = false;
        return OTTER_ERR_TOO_LARGE;
    }
    *s = (struct fake_sink){.open = true, .length = length};
    return OTTER_OK;
}

static otter_err sink_write(void *ctx, const uint8_t *data, size_t len, size_t *used)
{
    struct fake_sink *s = ctx;

    FUZZ_HOLDS(s->open && len > 0);
    *used = len > 7 ? 7 : len;
    s->got += (uint32_t)*used;
    s->open = memchr(data, 0xBD, *used) == NULL; /* an image that is refused */
    return s->open ? OTTER_OK : OTTER_ERR_IMAGE_MAGIC;
}

static otter_err sink_finish(void *ctx)
{
    struct fake_sink *s = ctx;

    FUZZ_HOLDS(s->open);
    if (s->got % 5 == 4) {
        s->got++;
        return OTTER_ERR_AGAIN;
    }
    s->good = s->length == OTTER_LENGTH_UNKNOWN || s->got >= s->length;
    s->open = false;
    return s->good ? OTTER_OK : OTTER_ERR_TRUNCATED;
}

static void sink_abort(void *ctx)
{
    struct fake_sink *s = ctx;

    FUZZ_HOLDS(s->open);
    s->open = false;
}

static void check_request(const struct otter_fuota *f, const struct fake_sink *s)
{
    const struct otter_fuota_request *r = &f->request;

    FUZZ_HOLDS(strlen(r->url) <= OTTER_FUOTA_URL_MAX);
    for (size_t i = 0; r->url[i] != '\0'; i++) {
        FUZZ_HOLDS(r->url[i] > ' ' && r->url[i] < 0x7F && r->url[i] != '#');
    }
    if (r->authorize) {
        FUZZ_HOLDS(memcmp(r->url, SERVER, strlen(SERVER)) == 0);
        FUZZ_HOLDS(r->url[strlen(SERVER)] == '/' || r->url[strlen(SERVER)] == '?' ||
                   r->url[strlen(SERVER)] == '\0');
    }
    FUZZ_HOLDS((r->url[0] | 0x20) == 'h' && (r->url[4] | 0x20) == 's' && r->url[5] == ':');
    FUZZ_HOLDS(r->range[0] == '\0' || (s->open && f->done > 0 && f->done == s->got));
    FUZZ_HOLDS(r->if_range[0] == '\0' || r->range[0] != '\0');
    FUZZ_HOLDS(strlen(f->file) <= OTTER_FUOTA_FILE_MAX);
}

static otter_err take_headers(struct otter_fuota *f, struct otter_reader *r, uint32_t now)
{
    static const char *const names[] = {"Content-Length", "content-range",   "ETag",
                                        "Location",       "Retry-After",     "Date",
                                        "Server",         "Content-Encoding"};
    static const uint16_t status[] = {200, 206, 204, 302, 404, 416, 403, 503, 0, 200};
    uint16_t code = status[otter_read_u8(r) % 10];
    char value[256];

    for (uint8_t left = otter_read_u8(r) % 8; left > 0; left--) {
        const char *name = names[otter_read_u8(r) % 8];
        uint8_t len = otter_read_u8(r);
        const uint8_t *text = otter_read_view(r, len);

        if (text != NULL && code != 0) {
            memcpy(value, text, len);
            value[len] = '\0';
            otter_fuota_header(f, name, value);
        }
    }
    return code != 0 ? otter_fuota_head(f, code, now) : OTTER_ERR_LINK;
}

/* One request and its answer, or whatever else is due. False when nothing more can come. */
static bool step(struct otter_fuota *f, const struct fake_sink *s, struct otter_reader *r,
                 uint32_t *now)
{
    static const otter_err ends[] = {OTTER_OK, OTTER_OK, OTTER_ERR_LINK, OTTER_ERR_TIMEOUT};
    uint32_t wait;

    switch (otter_fuota_poll(f, *now, &wait)) {
    case OTTER_FUOTA_RESTART:
        FUZZ_HOLDS(s->good);
        return false;
    case OTTER_FUOTA_STOP:
        FUZZ_HOLDS(false); /* the answers here end before anything is polled */
        return false;
    case OTTER_FUOTA_WAIT:
        *now += wait;
        FUZZ_HOLDS(wait <= 4 * 3600000u);
        return r->left > 0 || wait == 0;
    default:
        check_request(f, s);
        break;
    }
    otter_err err = take_headers(f, r, *now);
    uint16_t len = otter_read_u16(r);
    size_t body = len < r->left ? len : r->left;
    const uint8_t *data = otter_read_view(r, body);
    otter_err end = ends[otter_read_u8(r) % 4];
    *now += otter_read_u8(r) * 1000u;
    if (data != NULL && err == OTTER_OK) {
        err = otter_fuota_body(f, data, body, *now);
    }
    otter_fuota_end(f, err != OTTER_OK ? err : end, *now);
    FUZZ_HOLDS(f->open == s->open || f->state == 6 /* finishing */);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct otter_sink_ops ops = {sink_begin, sink_write, sink_finish, sink_abort};
    static struct otter_fuota fuota;
    struct fake_sink sink = {0};
    struct otter_reader r = otter_reader_on(data, size);
    struct otter_fuota_config config = {
        .sink = {&ops, &sink},
        .server = SERVER,
        .device_id = "1",
        .version = "1",
        .poll_ms = 1000,
    };
    uint32_t now = 0;

    FUZZ_HOLDS(otter_fuota_init(&fuota, &config, 0) == OTTER_OK);
    while (otter_reader_ok(&r) == OTTER_OK && step(&fuota, &sink, &r, &now)) {
    }
    return 0;
}
