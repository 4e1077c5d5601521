/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet.h"

#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/fuota_client.h"
#include "host/sha256.h"
#include "otter/image.h"

#define IMAGE_MAX (16u * 1024u * 1024u)
#define FIRST_MS 0.1 /* upper end of the first bucket */
#define WIDER 1.1
/* Requests at a time that are no downloads. Devices make their handshakes each with a processor of
 * its own; these share one, and more at a time would only make each wait until the server loses
 * patience. */
#define ASKING_MAX 64u
#define STEP 65536u /* bytes of a download between two turns of the others */

struct fleet;

struct member {
    struct fleet *fleet;
    struct otter_fuota_client client;
    struct otter_image image; /* that passes */
    struct otter_sha256 sha;  /* only while one does */
    uint32_t due;             /* ms: when to run it next */
    uint32_t check_at, offer_at;
    bool timed;    /* due counts */
    bool active;   /* an attempt is under way */
    bool fetching; /* and there is an offer */
    bool updated;  /* took an update */
    bool finished; /* and asked again */
    char id[64];
    char version[33];
};

struct fleet {
    const struct fleet_options *options;
    struct fleet_counts *counts;
    struct member *members;
    struct otter_fuota_client_config client;
    uint32_t reports_waiting;
    uint32_t asking; /* of the members; see ASKING_MAX */
};

/* --- counting -------------------------------------------------------------------------------- */

static void add_time(struct fleet_times *times, uint32_t ms)
{
    double end = FIRST_MS;
    size_t i = 0;

    for (; i < FLEET_BUCKETS - 1 && (double)ms > end; i++) {
        end *= WIDER;
    }
    times->bucket[i]++;
    times->count++;
    times->max = (double)ms > times->max ? (double)ms : times->max;
}

double fleet_times_part(const struct fleet_times *times, double part)
{
    uint64_t seen = 0, wanted = (uint64_t)ceil((double)times->count * part);
    double end = FIRST_MS;

    for (size_t i = 0; i < FLEET_BUCKETS && times->count > 0; i++, end *= WIDER) {
        seen += times->bucket[i];
        if (seen >= wanted) {
            return end < times->max ? end : times->max;
        }
    }
    return times->max;
}

static void add_cause(struct fleet_counts *counts, const char *text)
{
    uint32_t i = 0;

    while (i < counts->cause_count &&
           strncmp(counts->causes[i].text, text, sizeof(counts->causes[i].text) - 1) != 0) {
        i++;
    }
    if (i == counts->cause_count) {
        if (i == FLEET_CAUSES) {
            i = FLEET_CAUSES - 1;
            text = "others";
        } else {
            counts->cause_count++;
        }
        snprintf(counts->causes[i].text, sizeof(counts->causes[i].text), "%s", text);
    }
    counts->causes[i].count++;
}

static void count_failure(struct member *m, const struct otter_fuota_event *event)
{
    char text[CURL_ERROR_SIZE];

    if (event->status != 0 && event->status != 200 && event->status != 206) {
        snprintf(text, sizeof(text), "the server answers %u", event->status);
    } else if (m->client.error[0] != '\0') {
        snprintf(text, sizeof(text), "%s", m->client.error);
    } else {
        snprintf(text, sizeof(text), "%s", otter_err_text(event->err));
    }
    add_cause(m->fleet->counts, text);
}

static void on_event(void *ctx, const struct otter_fuota_event *event)
{
    struct member *m = ctx;
    struct fleet_counts *counts = m->fleet->counts;
    uint32_t now = otter_clock_ms();

    switch (event->kind) {
    case OTTER_FUOTA_EVENT_CHECK:
        m->check_at = now;
        m->active = true;
        counts->active++;
        counts->checks++;
        break;
    case OTTER_FUOTA_EVENT_OFFER:
        m->offer_at = now;
        m->fetching = true;
        add_time(&counts->check, now - m->check_at);
        counts->offers++;
        break;
    case OTTER_FUOTA_EVENT_BEGIN:
        break;
    case OTTER_FUOTA_EVENT_PAUSE:
        counts->pauses++;
        count_failure(m, event);
        break;
    case OTTER_FUOTA_EVENT_OVER:
        counts->active -= m->active ? 1 : 0;
        m->active = m->fetching = false;
        if (event->result == OTTER_FUOTA_UPDATED) {
            add_time(&counts->update, now - m->offer_at);
            counts->updates++;
        } else if (event->result == OTTER_FUOTA_NO_UPDATE) {
            add_time(&counts->check, now - m->check_at);
            counts->no_updates++;
            counts->finished += m->updated && !m->finished ? 1 : 0;
            m->finished = m->updated;
        } else {
            counts->errors++;
            count_failure(m, event);
        }
        break;
    }
}

/* --- a sink that keeps nothing --------------------------------------------------------------- */

static void sink_abort(void *ctx)
{
    struct member *m = ctx;

    otter_sha256_free(&m->sha);
    m->sha.evp = NULL;
}

static otter_err sink_begin(void *ctx, uint32_t length)
{
    struct member *m = ctx;

    sink_abort(m);
    if (length != OTTER_LENGTH_UNKNOWN && length > IMAGE_MAX) {
        return OTTER_ERR_TOO_LARGE;
    }
    otter_err err = otter_sha256_new(&m->sha);
    return err == OTTER_OK ? otter_image_begin(&m->image, otter_sha256_hash(&m->sha), IMAGE_MAX)
                           : err;
}

static otter_err sink_write(void *ctx, const uint8_t *data, size_t len, size_t *used)
{
    struct member *m = ctx;
    otter_err err = otter_image_feed(&m->image, data, len);

    *used = len;
    m->fleet->counts->bytes += len;
    if (err != OTTER_OK) {
        sink_abort(m);
    }
    return err;
}

static otter_err sink_finish(void *ctx)
{
    struct member *m = ctx;
    otter_err err = otter_image_end(&m->image);

    if (err == OTTER_OK && !m->image.facts.has_digest) {
        err = OTTER_ERR_IMAGE_NO_DIGEST;
    }
    sink_abort(m);
    return err;
}

static const struct otter_sink_ops sink_ops = {
    .begin = sink_begin, .write = sink_write, .finish = sink_finish, .abort = sink_abort};

/* --- devices --------------------------------------------------------------------------------- */

static bool power_on(struct member *m)
{
    const struct fleet_options *options = m->fleet->options;
    const struct otter_fuota_config machine = {
        .sink = {&sink_ops, m},
        .server = options->server,
        .device_id = m->id,
        .version = m->version,
        .poll_ms = options->poll_ms,
        .seed = (uint32_t)(m - m->fleet->members) ^ otter_clock_ms(),
        .on_event = on_event,
        .event_ctx = m,
    };

    m->timed = true;
    m->due = otter_clock_ms();
    return otter_fuota_client_init(&m->client, &m->fleet->client, &machine, m->due) == OTTER_OK;
}

/* The new image boots, works, and says so. */
static void restart(struct member *m)
{
    char running[2 * OTTER_SHA256_SIZE + 1];

    otter_fuota_client_free(&m->client);
    memcpy(m->version, m->image.facts.version, sizeof(m->version));
    m->updated = true;
    if (!power_on(m)) {
        m->timed = false; /* a version that makes the URL too long: no more of it */
        add_cause(m->fleet->counts, "the version of the image cannot be asked with");
        m->fleet->counts->errors++;
        return;
    }
    for (size_t i = 0; i < OTTER_SHA256_SIZE; i++) {
        snprintf(running + 2 * i, 3, "%02x", m->image.facts.digest[i]);
    }
    const struct otter_fuota_report report = {
        .result = "updated", .detail = "confirmed", .version = m->version, .running = running};
    if (otter_fuota_client_report(&m->client, &report, otter_clock_ms())) {
        m->fleet->counts->reports++;
    }
}

/* One step of a device that has something to do. */
static void run(struct member *m)
{
    m->client.touched = false;
    uint32_t wait = otter_fuota_client_run(&m->client);
    m->timed = wait != OTTER_FUOTA_NEVER;
    m->due = otter_clock_ms() + wait;
    if (m->client.selected) {
        restart(m);
    }
}

static uint32_t asks(const struct member *m)
{
    return (m->active || m->client.busy) && !m->fetching ? 1 : 0;
}

/* Whether one more may begin. */
static bool has_room(const struct fleet *f)
{
    return f->counts->active < f->options->at_once && f->asking < ASKING_MAX;
}

static bool is_due(const struct member *m, uint32_t now)
{
    return m->client.touched || (m->timed && now - m->due <= INT32_MAX);
}

/* Those that have something to do; returns in how many ms to look again. */
static uint32_t run_all(struct fleet *f)
{
    const struct fleet_options *options = f->options;
    uint32_t now = otter_clock_ms(), wait = 500;

    f->reports_waiting = f->asking = 0;
    for (uint32_t i = 0; i < options->devices; i++) {
        f->asking += asks(&f->members[i]);
    }
    for (uint32_t i = 0; i < options->devices; i++) {
        struct member *m = &f->members[i];
        bool starts = !m->active && !m->client.busy;

        if (is_due(m, now) && (!starts || has_room(f))) {
            f->asking -= asks(m);
            run(m);
            f->asking += asks(m);
        }
        f->reports_waiting += otter_fuota_client_has_report(&m->client) ? 1 : 0;
        if (m->timed && (m->active || m->client.busy || has_room(f))) {
            uint32_t left = m->due - now <= INT32_MAX ? m->due - now : 0;

            wait = left < wait ? left : wait;
        }
    }
    return wait;
}

static bool over(const struct fleet *f)
{
    const struct fleet_options *options = f->options;

    return (options->stop != NULL && *options->stop != 0) ||
           (options->time_ms != 0 && f->counts->ran_ms >= options->time_ms) ||
           (options->once && f->counts->finished == options->devices && f->reports_waiting == 0);
}

static void loop(struct fleet *f)
{
    uint32_t start = otter_clock_ms(), told = start;

    for (;;) {
        uint32_t wait = run_all(f);
        uint32_t now = otter_clock_ms();

        f->counts->ran_ms = now - start;
        if (over(f)) {
            return;
        }
        if (now - told >= 1000 && f->options->progress != NULL) {
            told = now;
            f->options->progress(f->options->ctx);
        }
        otter_fuota_client_events(f->client.epoll, (int)wait);
    }
}

/* --- beginning and end ----------------------------------------------------------------------- */

/* "name:port:address" for all: the name of the server is looked up once. False: error is set. */
static bool look_up(struct fleet *f, char error[256])
{
    CURLU *url = curl_url();
    char *host = NULL, *port = NULL, entry[600], address[64];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    bool good = url != NULL &&
                curl_url_set(url, CURLUPART_URL, f->options->server, 0) == CURLUE_OK &&
                curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK;

    if (!good) {
        snprintf(error, 256, "%.200s is no address of a server", f->options->server);
    } else if (host[0] != '[') {
        int code = getaddrinfo(host, port, &hints, &found);

        good = code == 0 && getnameinfo(found->ai_addr, found->ai_addrlen, address, sizeof(address),
                                        NULL, 0, NI_NUMERICHOST) == 0;
        if (good) {
            snprintf(entry, sizeof(entry), "%s:%s:%s", host, port, address);
            f->client.resolve = curl_slist_append(NULL, entry);
        } else {
            snprintf(error, 256, "%.200s: %s", host, code != 0 ? gai_strerror(code) : "no address");
        }
    }
    if (found != NULL) {
        freeaddrinfo(found);
    }
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(url);
    return good;
}

static bool set_up(struct fleet *f, char error[256])
{
    const struct fleet_options *options = f->options;
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    f->client = (struct otter_fuota_client_config){.https = options->https,
                                                   .epoll = epoll_create1(EPOLL_CLOEXEC),
                                                   .step = STEP,
                                                   .one_connection = true};
    f->members = calloc(options->devices, sizeof(*f->members));
    if (f->members == NULL || f->client.epoll < 0) {
        snprintf(error, 256, "%s", strerror(errno));
        return false;
    }
    if (!look_up(f, error)) {
        return false;
    }
    for (uint32_t i = 0; i < options->devices; i++) {
        struct member *m = &f->members[i];

        m->fleet = f;
        snprintf(m->id, sizeof(m->id), "%s%04u", options->prefix, i + 1);
        snprintf(m->version, sizeof(m->version), "%s", options->version);
        if (!power_on(m)) {
            snprintf(error, 256,
                     "the ids or the version cannot be asked with: no slashes, "
                     "quotes and control characters, and not too long");
            return false;
        }
    }
    return true;
}

bool fleet_run(const struct fleet_options *options, struct fleet_counts *counts, char error[256])
{
    struct fleet f = {.options = options, .counts = counts};

    *counts = (struct fleet_counts){0};
    bool good = set_up(&f, error);
    if (good) {
        loop(&f);
    }
    for (uint32_t i = 0; f.members != NULL && i < options->devices; i++) {
        otter_fuota_client_free(&f.members[i].client);
        sink_abort(&f.members[i]);
    }
    curl_slist_free_all(f.client.resolve);
    free(f.members);
    if (f.client.epoll >= 0) {
        close(f.client.epoll);
    }
    return good;
}
