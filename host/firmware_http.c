/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Firmware from an http or https URL, streamed: no temporary file, and no more in memory than one
 * buffer. A download that breaks or stalls is taken up where it stopped, by Range when the server
 * can do that, else by passing over what is known already. It must be the same file: the ETag, the
 * Last-Modified or, if there is neither, the length says so. That the bytes fit together is proven
 * by the image's own SHA-256, which the reader checks.
 */
#include <curl/curl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/firmware.h"
#include "host/http_head.h"

#define BUFFER_SIZE 131072u /* bytes; curl delivers up to CURL_MAX_WRITE_SIZE at a time */
#define REDIRECTS_MAX 5L
#define STALL_MS 15000u
#define GIVE_UP_MS 90000u
#define IN_VAIN_MAX 4u /* answers that brought nothing new: the server's length lies */

struct http {
    struct otter_firmware *firmware;
    struct otter_firmware_options options;
    char *url;
    CURLM *multi;
    CURL *easy;
    struct curl_slist *headers; /* of the request */
    struct otter_http_head head;
    struct otter_http_head first; /* of the answer that began the download */
    bool began;                   /* first is filled */
    bool judged;                  /* head was looked at: bytes that come now are the file's */
    bool paused;                  /* curl waits for room in the buffer */
    bool ended;                   /* the file is complete */
    bool fatal;                   /* trying again cannot help; firmware->error says why */
    uint32_t received;            /* bytes of the file put into the buffer so far */
    uint32_t skip;                /* bytes known already that this answer begins with */
    uint32_t heard_at;            /* ms: last new byte, or start of waiting for one */
    uint32_t answer_at;           /* ms: last sign of life of this connection */
    unsigned tries;               /* connections in a row without a new byte */
    unsigned in_vain;             /* those of them that the server answered with the file */
    uint32_t retry_ms;            /* the next one not sooner: Retry-After */
    size_t start, len;            /* of what waits in buffer */
    char why[CURL_ERROR_SIZE];
    uint8_t buffer[BUFFER_SIZE];
};

bool otter_firmware_is_url(const char *where)
{
    return strncasecmp(where, "http://", 7) == 0 || strncasecmp(where, "https://", 8) == 0;
}

__attribute__((format(printf, 2, 3))) static void fatal(struct http *h, const char *format, ...)
{
    va_list ap;
    char text[160];

    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    snprintf(h->firmware->error, sizeof(h->firmware->error), "%.80s: %s", h->firmware->name, text);
    h->fatal = true;
}

static void note(struct http *h, const char *line)
{
    if (h->options.note != NULL) {
        h->options.note(h->options.ctx, line);
    }
}

/* --- the answer's head -------------------------------------------------------------------------
 */

static size_t on_header(char *line, size_t size, size_t count, void *ctx)
{
    struct http *h = ctx;
    size_t len = size * count;

    h->answer_at = otter_clock_ms();
    otter_http_head_line(&h->head, line, len);
    return len;
}

/* Content-Length, or -1. */
static curl_off_t content_length(const struct http *h)
{
    curl_off_t length = -1;

    curl_easy_getinfo(h->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    return length;
}

static void judge_first(struct http *h, long status)
{
    curl_off_t length = content_length(h);

    if (status != 200) {
        fatal(h, "the server answered %s", h->head.phrase);
    } else if (length == 0) {
        fatal(h, "the server has an empty file");
    } else if (length > (curl_off_t)OTTER_FIRMWARE_MAX) {
        fatal(h, "is larger than 16 MiB: no ESP32 image is");
    } else {
        h->firmware->size = length > 0 ? (uint32_t)length : OTTER_LENGTH_UNKNOWN;
        h->first = h->head;
        h->began = true;
    }
}

static bool same_file(const struct http *h, long long total)
{
    return otter_http_head_agrees(&h->first, &h->head) &&
           (total < 0 || h->firmware->size == OTTER_LENGTH_UNKNOWN || total == h->firmware->size);
}

/* The answer to a request for what is missing. */
static void judge_resumed(struct http *h, long status)
{
    unsigned long long from, to;
    long long total = -1;

    if (status == 408 || status == 429 || status >= 500) {
        return; /* not now: another try may do */
    }
    if (status == 206) {
        if (sscanf(h->head.range, "bytes %llu-%llu/%lld", &from, &to, &total) < 2 ||
            from != h->received) {
            fatal(h, "the server answered with another part of the file than was asked for");
            return;
        }
        h->skip = 0;
    } else if (status == 200) {
        total = content_length(h);
        h->skip = h->received;
    } else if (status != 416) {
        fatal(h, "the server answered %s when the download was to go on", h->head.phrase);
        return;
    }
    if (status == 416 || !same_file(h, total)) {
        fatal(h, "the file changed on the server during the download: start again");
    }
}

/* Looks at the head once, when it is complete. False: the body is not the file's. */
static bool judge(struct http *h)
{
    long status = 0;

    if (!h->judged) {
        curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
        if (h->began) {
            judge_resumed(h, status);
        } else {
            judge_first(h, status);
        }
        h->judged = !h->fatal && (status == 200 || status == 206);
    }
    return h->judged;
}

/* --- the body ----------------------------------------------------------------------------------
 */

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
    struct http *h = ctx;
    size_t len = size * count, known;

    h->answer_at = otter_clock_ms();
    if (!judge(h)) {
        return CURL_WRITEFUNC_ERROR;
    }
    known = len < h->skip ? len : h->skip;
    if (len - known > BUFFER_SIZE - h->len) {
        h->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    h->skip -= (uint32_t)known;
    if (len > known) {
        bool announced = h->firmware->size != OTTER_LENGTH_UNKNOWN;
        uint32_t limit = announced ? h->firmware->size : OTTER_FIRMWARE_MAX;

        if (len - known > limit - h->received) {
            fatal(h, announced ? "the server sends more than it announced"
                               : "is larger than 16 MiB: no ESP32 image is");
            return CURL_WRITEFUNC_ERROR;
        }
        memmove(h->buffer, h->buffer + h->start, h->len);
        h->start = 0;
        memcpy(h->buffer + h->len, data + known, len - known);
        h->len += len - known;
        h->received += (uint32_t)(len - known);
        h->heard_at = h->answer_at;
        h->tries = 0;
        h->in_vain = 0;
    }
    return len;
}

/* --- connections -------------------------------------------------------------------------------
 */

static void hang_up(struct http *h)
{
    if (h->easy != NULL) {
        curl_multi_remove_handle(h->multi, h->easy);
        curl_easy_cleanup(h->easy);
        h->easy = NULL;
    }
    curl_slist_free_all(h->headers);
    h->headers = NULL;
}

/* Asks for the file, or for what is missing of it. */
static bool call(struct http *h)
{
    const char *protocols = strncasecmp(h->url, "https:", 6) == 0 ? "https" : "http,https";
    const char *validator = h->first.etag[0] != '\0' ? h->first.etag : h->first.modified;
    CURL *easy = curl_easy_init();

    if (easy == NULL) {
        return false;
    }
    h->easy = easy;
    h->head = (struct otter_http_head){0};
    h->judged = false;
    h->paused = false;
    h->why[0] = '\0';
    h->answer_at = otter_clock_ms();
    curl_easy_setopt(easy, CURLOPT_URL, h->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, protocols); /* never down from https */
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)h->options.stall_ms);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "otter");
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, h->why);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, h);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, h);
    if (h->options.cacert != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, h->options.cacert);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* these and no others */
    }
    if (h->received > 0) {
        char line[OTTER_HTTP_LINE + 16];

        snprintf(line, sizeof(line), "Range: bytes=%u-", h->received);
        h->headers = curl_slist_append(h->headers, line);
        /* A weak ETag cannot be asked for; a change is then seen in the answer's head. */
        if (validator[0] != '\0' && strncmp(validator, "W/", 2) != 0) {
            snprintf(line, sizeof(line), "If-Range: %s", validator);
            h->headers = curl_slist_append(h->headers, line);
        }
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, h->headers);
    }
    return curl_multi_add_handle(h->multi, easy) == CURLM_OK;
}

/* A failure that the same request may not meet again. */
static bool passing(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_WRITE_ERROR: /* the answer was not the file's: "503, not now" */
        return true;
    default:
        return false;
    }
}

static void told(struct http *h, CURLcode code)
{
    const char *why = h->why[0] != '\0' ? h->why : curl_easy_strerror(code);
    const char *cacert = h->options.cacert, *hint = "";

    if (code == CURLE_SSL_CACERT_BADFILE && cacert != NULL) {
        fatal(h, "there is no certificate in %.80s, or no such file", cacert);
        return;
    }
    if (code == CURLE_SSL_CONNECT_ERROR) {
        hint = ": no TLS connection; is it an https server?";
    } else if (code == CURLE_PEER_FAILED_VERIFICATION && cacert == NULL) {
        hint = ": --cacert names the CA that signed it";
    }
    if (code == CURLE_TOO_MANY_REDIRECTS) {
        why = "more than 5 redirects";
    } else if (code == CURLE_UNSUPPORTED_PROTOCOL) {
        why = "a redirect to something that is not https, or not http";
    } else if (code == CURLE_SSL_CACERT_BADFILE) {
        why = "no CA certificates to trust a server by: --cacert names one, or install the package "
              "ca-certificates";
    } else if (code == CURLE_WRITE_ERROR) {
        why = h->head.phrase;
    }
    fatal(h, "%s%s", why, hint);
}

static bool missing(const struct http *h)
{
    return h->firmware->size != OTTER_LENGTH_UNKNOWN && h->received < h->firmware->size;
}

/* Milliseconds that the server asks to be left alone: Retry-After, in seconds or as a date. */
static uint32_t retry_after(const struct http *h)
{
    curl_off_t seconds = 0;

    if (curl_easy_getinfo(h->easy, CURLINFO_RETRY_AFTER, &seconds) != CURLE_OK || seconds <= 0) {
        return 0;
    }
    return seconds < 86400 ? (uint32_t)seconds * 1000u : 86400000u;
}

/* True, and told, when the next try would come too late. */
static bool too_late(struct http *h)
{
    uint32_t gone = otter_clock_ms() - h->heard_at;

    h->retry_ms = retry_after(h);
    if (h->retry_ms == 0 ||
        (gone < h->options.give_up_ms && h->retry_ms <= h->options.give_up_ms - gone)) {
        return false;
    }
    fatal(h,
          "the download broke off after %u bytes: the server answers %.40s and wants to be asked "
          "again in %u seconds; try again then",
          h->received, h->head.phrase, h->retry_ms / 1000u);
    return true;
}

/* The connection is over: complete, for good, or to be made again. */
static void over(struct http *h, CURLcode code)
{
    char line[CURL_ERROR_SIZE + 80];

    if (code == CURLE_OK && judge(h) && !missing(h)) {
        if (h->skip > 0) {
            fatal(h, "the file is shorter on the server than it was");
        }
        h->ended = true;
        hang_up(h);
        return;
    }
    if (h->fatal) {
        return;
    }
    code = code == CURLE_OK && h->judged ? CURLE_PARTIAL_FILE : code;
    /* At the very start a failure is told at once: the URL may be wrong. */
    bool later = code == CURLE_OK || passing(code);
    h->in_vain += h->judged;
    if (!h->began || !later || h->in_vain > IN_VAIN_MAX ||
        otter_clock_ms() - h->heard_at >= h->options.give_up_ms) {
        if (h->began && h->firmware->size != OTTER_LENGTH_UNKNOWN) {
            fatal(h, "the download broke off after %u of %u bytes and could not go on (%.80s)",
                  h->received, h->firmware->size,
                  h->why[0] != '\0' ? h->why : curl_easy_strerror(code));
        } else {
            told(h, code);
        }
        return;
    }
    if (too_late(h)) {
        return;
    }
    snprintf(line, sizeof(line), "download broke off after %u bytes (%s); trying again",
             h->received, h->why[0] != '\0' ? h->why : curl_easy_strerror(code));
    note(h, line);
    hang_up(h);
}

static bool cancelled(const struct http *h)
{
    return h->options.cancel != NULL && *h->options.cancel != 0;
}

/* Waits before the next try: longer each time, never past the moment to give up. */
static void pause_between(struct http *h)
{
    uint32_t wait = 250u << (h->tries < 5 ? h->tries : 5), begin = otter_clock_ms();

    wait = wait > h->retry_ms ? wait : h->retry_ms;
    h->retry_ms = 0;
    while (otter_clock_ms() - begin < wait &&
           otter_clock_ms() - h->heard_at < h->options.give_up_ms && !cancelled(h)) {
        usleep(20000);
    }
    h->tries++;
}

/* One round: moves what can be moved, and sees how the connection does. */
static void round_trip(struct http *h)
{
    int running = 0, left;
    CURLMsg *message;

    if (h->easy == NULL && !call(h)) {
        fatal(h, "no memory for the download");
        return;
    }
    if (h->paused) {
        h->paused = false;
        curl_easy_pause(h->easy, CURLPAUSE_CONT);
    }
    curl_multi_perform(h->multi, &running);
    while ((message = curl_multi_info_read(h->multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE) {
            over(h, message->data.result);
            if (h->easy == NULL && !h->ended) {
                pause_between(h);
            }
            return;
        }
    }
    if (h->len > 0 || h->fatal) {
        return;
    }
    if (otter_clock_ms() - h->answer_at >= h->options.stall_ms) {
        snprintf(h->why, sizeof(h->why), "no byte for %u seconds", h->options.stall_ms / 1000u);
        over(h, CURLE_OPERATION_TIMEDOUT);
        if (!h->fatal) {
            pause_between(h);
        }
        return;
    }
    curl_multi_poll(h->multi, NULL, 0, 100, NULL);
}

static otter_err http_read(void *ctx, uint8_t *buf, size_t len, size_t *got)
{
    struct http *h = ctx;

    /* The reader may have been slow: that is not the server's fault. */
    h->heard_at = otter_clock_ms();
    h->answer_at = h->heard_at;
    while (h->len == 0 && !h->ended && !h->fatal) {
        if (cancelled(h)) {
            snprintf(h->firmware->error, sizeof(h->firmware->error), "cancelled");
            return OTTER_ERR_CANCELLED;
        }
        round_trip(h);
    }
    if (h->fatal) {
        return OTTER_ERR_LINK;
    }
    *got = len < h->len ? len : h->len;
    memcpy(buf, h->buffer + h->start, *got);
    h->start += *got;
    h->len -= *got;
    return OTTER_OK;
}

static void http_close(void *ctx)
{
    struct http *h = ctx;

    hang_up(h);
    if (h->multi != NULL) {
        curl_multi_cleanup(h->multi);
    }
    free(h->url);
    free(h);
}

static const struct otter_firmware_ops http_ops = {.read = http_read, .close = http_close};

/* The last part of the path, without the query: what people call the file. */
static void name_from_url(char *name, size_t size, const char *url)
{
    const char *begin = strstr(url, "://") + 3;
    size_t len = strcspn(begin, "?#");
    const char *slash = memrchr(begin, '/', len);

    if (slash != NULL && slash + 1 < begin + len) {
        len -= (size_t)(slash + 1 - begin);
        begin = slash + 1;
    } else { /* no file name: the host's, without user name and password */
        const char *at = memrchr(begin, '@', len);
        const char *host = at != NULL ? at + 1 : begin;

        len = strcspn(host, "/?#");
        begin = host;
    }
    snprintf(name, size, "%.*s", (int)(len < size ? len : size - 1), begin);
}

otter_err otter_firmware_open_url(struct otter_firmware *firmware, const char *url,
                                  const struct otter_firmware_options *options)
{
    struct http *h = calloc(1, sizeof(*h));

    *firmware = (struct otter_firmware){.size = OTTER_LENGTH_UNKNOWN};
    name_from_url(firmware->name, sizeof(firmware->name), url);
    if (h == NULL || (h->url = strdup(url)) == NULL || (h->multi = curl_multi_init()) == NULL) {
        snprintf(firmware->error, sizeof(firmware->error), "no memory for the download");
        if (h != NULL) {
            http_close(h);
        }
        return OTTER_ERR_ARG;
    }
    h->firmware = firmware;
    if (options != NULL) {
        h->options = *options;
    }
    if (h->options.stall_ms == 0) {
        h->options.stall_ms = STALL_MS;
    }
    if (h->options.give_up_ms == 0) {
        h->options.give_up_ms = GIVE_UP_MS;
    }
    h->heard_at = otter_clock_ms();
    while (!h->began && !h->fatal && !h->ended) {
        if (cancelled(h)) {
            fatal(h, "cancelled");
        } else {
            round_trip(h);
        }
    }
    if (h->fatal) {
        http_close(h);
        return OTTER_ERR_LINK;
    }
    firmware->ops = &http_ops;
    firmware->ctx = h;
    return OTTER_OK;
}
