/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FUOTA over HTTPS, device half: what to ask the update server, what to make of the answer, and
 * when to ask again. The protocol is described in docs/protocols/fuota.md.
 *
 * Pure: an HTTP client (libcurl, esp_http_client) carries the requests, checks certificates and
 * keeps the credentials; this decides everything else. The client must not follow redirects by
 * itself and must not resend by itself.
 *
 *   for (;;) {
 *       switch (otter_fuota_poll(&fuota, now, &wait)) {
 *       case OTTER_FUOTA_WAIT:    sleep for at most `wait` ms; continue;
 *       case OTTER_FUOTA_ASK:     GET fuota.request.url with the headers that fuota.request names
 *                                   otter_fuota_header()   for each header of the answer
 *                                   otter_fuota_head()     when they are all there
 *                                   otter_fuota_body()     for each piece of the body
 *                                   otter_fuota_end()      always once, also when nothing came
 *       case OTTER_FUOTA_STOP:    close the connection of the request; otter_fuota_end()
 *       case OTTER_FUOTA_RESTART: restart into the new image
 *       }
 *   }
 *
 * When _head() or _body() returns an error, close the connection and call _end() with any error.
 * A client that blocks calls poll() between requests only, and never sees OTTER_FUOTA_STOP.
 *
 * One thread calls in. Times are milliseconds of a clock that runs steadily; it may wrap.
 */
#ifndef OTTER_FUOTA_H
#define OTTER_FUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "otter/err.h"
#include "otter/sink.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OTTER_FUOTA_URL_MAX 512u  /* bytes of a request URL, without the NUL */
#define OTTER_FUOTA_FILE_MAX 255u /* bytes of an update file path, without the NUL */
#define OTTER_FUOTA_ETAG_MAX 64u  /* bytes; a longer one is not used */
#define OTTER_FUOTA_RANGE_MAX 24u /* bytes of a Range header's value */
#define OTTER_FUOTA_REDIRECTS 5u  /* one after another */
#define OTTER_FUOTA_KEEP 65536u   /* bytes between two calls of keep() */
#define OTTER_FUOTA_GAIN 4096u    /* bytes that a try of a download must bring to count as none */
#define OTTER_FUOTA_NEVER UINT32_MAX

/* What to do next. */
enum otter_fuota_do {
    OTTER_FUOTA_WAIT,
    OTTER_FUOTA_ASK,
    OTTER_FUOTA_STOP,
    OTTER_FUOTA_RESTART,
};

/* How a whole attempt ended: a check, and a download if there was something to download. */
enum otter_fuota_result {
    OTTER_FUOTA_RUNNING,
    OTTER_FUOTA_UPDATED,          /* selected: restart to run it */
    OTTER_FUOTA_NO_UPDATE,        /* 204 and 404 */
    OTTER_FUOTA_PARAMETER_ERROR,  /* 400, 401, 403 */
    OTTER_FUOTA_CONNECTION_ERROR, /* no connection, no certificate we trust, cut, slow, 429, 5xx,
                                     or an answer that makes no sense */
    OTTER_FUOTA_SYSTEM_ERROR,     /* the image was refused, or the flash failed */
};

enum otter_fuota_event_kind {
    OTTER_FUOTA_EVENT_CHECK, /* the server is being asked */
    OTTER_FUOTA_EVENT_OFFER, /* file is offered */
    OTTER_FUOTA_EVENT_BEGIN, /* file's bytes come, from offset `done` on */
    OTTER_FUOTA_EVENT_PAUSE, /* the download was cut by err; goes on in wait_ms */
    OTTER_FUOTA_EVENT_OVER,  /* result says how; the next check is in wait_ms */
};

struct otter_fuota_event {
    enum otter_fuota_event_kind kind;
    enum otter_fuota_result result;
    otter_err err;
    uint16_t status;  /* HTTP status that led here, or 0 */
    uint32_t done;    /* bytes */
    uint32_t total;   /* bytes, or OTTER_LENGTH_UNKNOWN */
    uint32_t wait_ms; /* with poll_ms OTTER_FUOTA_NEVER: do not check sooner */
    const char *file; /* "" before the offer. From outside: escape it before it reaches a
                         terminal. Valid during the call */
};

/* An unfinished download, as it is remembered across a restart of the device. */
struct otter_fuota_kept {
    uint32_t done;  /* bytes that are in the slot; 0: nothing is kept */
    uint32_t total; /* bytes, or OTTER_LENGTH_UNKNOWN */
    char etag[OTTER_FUOTA_ETAG_MAX + 1];
    char file[OTTER_FUOTA_FILE_MAX + 1];
};

/* Strings belong to the caller and outlive the machine. 0 in a field: the default. */
struct otter_fuota_config {
    struct otter_sink sink;
    const char *server;      /* "https://192.168.1.41:50000", no slash at the end */
    const char *device_id;   /* any text; escaped here */
    const char *version;     /* that runs now */
    const char *given_up;    /* SHA-256, as 64 hexadecimal digits, of an image that this device has
                                given up; an offer of it is none (Otter-Image-SHA256). Or NULL */
    uint32_t poll_ms;        /* from one check to the next; default OTTER_FUOTA_NEVER: only when
                                otter_fuota_check() is called. Spread by a tenth either way. What
                                the server says (Otter-Poll) goes before it */
    uint32_t backoff_ms;     /* after the first failure; default 5,000. Doubled after each more */
    uint32_t backoff_max_ms; /* default 3,600,000. Also the longest Retry-After that is honoured */
    uint32_t check_ms;       /* an answer to a check takes at most this; default 30,000 */
    uint32_t hold_ms;        /* an unfinished download waits for the server at most this at a time
                                before it is given up; default 60,000 */
    uint32_t rate_min;       /* bytes a second, over 30 s; a slower download is cut; default 256 */
    uint8_t tries;           /* of a download, one after another, that bring less than
                                OTTER_FUOTA_GAIN; default 5 */
    uint32_t seed;           /* of the jitter: a random number, or one that differs by device */
    void (*on_event)(void *ctx, const struct otter_fuota_event *event); /* may be NULL */
    void *event_ctx;
    /* For downloads that go on after a restart; kept NULL: they start over. kept belongs to the
     * caller, who has filled it with what was saved last, or zeros. keep() is called when it has
     * changed: save it before the next restart. Whether the bytes in the slot are still those is
     * proven by the image's digest; when not, the next download starts over. */
    struct otter_fuota_kept *kept;
    void (*keep)(void *ctx);
    void *keep_ctx;
};

/* What to ask: GET url. Filled when poll() says OTTER_FUOTA_ASK, valid until _end(). */
struct otter_fuota_request {
    char url[OTTER_FUOTA_URL_MAX + 1];       /* always https */
    char range[OTTER_FUOTA_RANGE_MAX + 1];   /* value of Range; "": leave the header out */
    char if_range[OTTER_FUOTA_ETAG_MAX + 1]; /* value of If-Range; "": leave the header out */
    bool authorize;      /* send the credentials; false after a redirect to another server */
    uint32_t timeout_ms; /* without a byte, at most */
};

/* What the headers of an answer said. */
struct otter_fuota_head {
    uint32_t length;      /* Content-Length, or OTTER_LENGTH_UNKNOWN */
    uint32_t range_first; /* Content-Range */
    uint32_t range_total;
    uint32_t retry_s;   /* Retry-After, when given in seconds */
    int64_t retry_date; /* Retry-After, when given as a date: seconds since 1970; 0: not */
    int64_t date;       /* Date, likewise */
    uint32_t poll_s;    /* Otter-Poll: seconds from one check to the next; 0: not given */
    uint16_t status;
    bool bad; /* a header that matters and makes no sense */
    bool has_range;
    bool has_retry;
    bool has_location; /* and it is now in request.url */
    bool location_bad;
    bool given_up;                       /* the offer is of that image */
    bool encoded;                        /* Content-Encoding other than identity */
    char etag[OTTER_FUOTA_ETAG_MAX + 1]; /* a strong one, or "" */
};

/* One client. Callers may read request, result and state, and due_ms when timed. */
struct otter_fuota {
    struct otter_fuota_config config;
    struct otter_fuota_request request;
    struct otter_fuota_head head;
    uint32_t due_ms;     /* when the wait is over, or the answer has to be */
    uint32_t rate_at_ms; /* when the rate was last looked at */
    uint32_t rate_done;  /* bytes there were then */
    uint32_t random;
    uint32_t done;       /* bytes of the image that the sink has */
    uint32_t total;      /* bytes, or OTTER_LENGTH_UNKNOWN */
    uint32_t asked_from; /* `done` when the file was last asked for */
    uint16_t failures;   /* attempts that failed one after another */
    uint16_t file_len;
    uint8_t state;  /* enum in src/proto/fuota/rows.h */
    uint8_t result; /* enum otter_fuota_result, of the attempt that runs or ran last */
    uint8_t tries;  /* of the download, since the last byte gained */
    uint8_t redirects;
    bool open;                           /* the sink has an update of ours */
    bool timed;                          /* due_ms counts */
    bool wanted;                         /* otter_fuota_check() was called */
    bool refused;                        /* err comes from the sink */
    otter_err err;                       /* first error in the answer at hand */
    char file[OTTER_FUOTA_FILE_MAX + 1]; /* offered by the server */
    char etag[OTTER_FUOTA_ETAG_MAX + 1]; /* of the file whose bytes we have */
};

/* config is copied. The first check comes soon, or with OTTER_FUOTA_NEVER when it is asked for.
 * OTTER_ERR_ARG: a missing field, or server is not https; OTTER_ERR_LENGTH: the URL of the check
 * would be too long. */
OTTER_CHECKED otter_err otter_fuota_init(struct otter_fuota *f,
                                         const struct otter_fuota_config *config, uint32_t now_ms);

/* Checks now instead of later; while an attempt runs, once it is over. */
void otter_fuota_check(struct otter_fuota *f);

/* True between two attempts: nothing is under way. */
bool otter_fuota_is_idle(const struct otter_fuota *f);

/* Does one bounded step and says what to do next. *wait_ms is set for OTTER_FUOTA_WAIT. */
OTTER_CHECKED enum otter_fuota_do otter_fuota_poll(struct otter_fuota *f, uint32_t now_ms,
                                                   uint32_t *wait_ms);

/* A header of the answer: terminated strings, value without the space around it. Any case, any
 * order; those that do not matter are ignored. */
void otter_fuota_header(struct otter_fuota *f, const char *name, const char *value);

/* The headers are complete. An error: the body is not wanted. */
OTTER_CHECKED otter_err otter_fuota_head(struct otter_fuota *f, uint16_t status, uint32_t now_ms);

/* The next bytes of the body, transfer coding undone. May take as long as their way to the flash.
 * An error: no more are wanted. */
OTTER_CHECKED otter_err otter_fuota_body(struct otter_fuota *f, const uint8_t *data, size_t len,
                                         uint32_t now_ms);

/* The answer is over. OTTER_OK: it came as HTTP says it must end. OTTER_ERR_LINK, _TIMEOUT,
 * _REFUSED (the certificate is not good) or any other: it did not. */
void otter_fuota_end(struct otter_fuota *f, otter_err err, uint32_t now_ms);

/* Gives up what runs, aborts the download, and waits for the next check as after a failure. */
void otter_fuota_cancel(struct otter_fuota *f, uint32_t now_ms);

/* What a device says of an update, for servers that take it (otterd): a POST of application/json. A
 * server that does not know of it answers 404 or nothing. No text is NULL. */
struct otter_fuota_report {
    const char *result; /* "updated", "failed", "rolled-back" */
    const char *detail; /* at most 255 bytes, as are the next two */
    const char *version;
    const char *running; /* digest of the running image, 64 hexadecimal digits */
};

/* Where it goes, and what is sent; terminated. OTTER_ERR_LENGTH: it does not fit. */
OTTER_CHECKED otter_err otter_fuota_report_url(char *out, size_t size, const char *server,
                                               const char *device_id);
OTTER_CHECKED otter_err otter_fuota_report_body(char *out, size_t size,
                                                const struct otter_fuota_report *report);

#ifdef __cplusplus
}
#endif
#endif
