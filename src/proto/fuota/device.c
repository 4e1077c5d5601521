/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's machine. An answer is gathered by _header, _head and _body; _end makes one event of
 * it, and the row of rows.h for that event says what follows.
 *
 *   check      GET <server>/devices/<id>?app_ver=<version>      200: a file path, at most 255 bytes
 *   download   GET <server>/files/<path>                        200: the image, 206: the rest of it
 */
#include <string.h>

#include "base/fsm.h"
#include "proto/fuota/answer.h"
#include "proto/fuota/http.h"
#include "proto/fuota/rows.h"

#define BODY_TIMEOUT_MS 15000u /* without a byte */
#define LOOK_MS 1000u          /* how often a download's rate is looked at */

/* ---- time --------------------------------------------------------------------------------- */

static void set_timer(struct otter_fuota *f, uint32_t ms, uint32_t now)
{
    f->timed = ms != OTTER_FUOTA_NEVER;
    f->due_ms = now + ms;
}

/* Milliseconds until the timer, OTTER_FUOTA_NEVER without one. */
static uint32_t timer_left(const struct otter_fuota *f, uint32_t now)
{
    uint32_t left = f->due_ms - now;

    if (!f->timed) {
        return OTTER_FUOTA_NEVER;
    }
    return left <= INT32_MAX ? left : 0;
}

static uint32_t random_below(struct otter_fuota *f, uint32_t limit)
{
    f->random ^= f->random << 13;
    f->random ^= f->random >> 17;
    f->random ^= f->random << 5;
    return limit > 0 ? f->random % limit : 0;
}

/* Doubled for each failure after the first, and between half and all of that. */
static uint32_t backoff(struct otter_fuota *f, uint32_t failures)
{
    uint32_t ms = f->config.backoff_ms;

    for (; failures > 1 && ms < f->config.backoff_max_ms; failures--) {
        ms = ms <= f->config.backoff_max_ms / 2 ? ms * 2 : f->config.backoff_max_ms;
    }
    return ms - random_below(f, ms / 2 + 1);
}

static uint32_t retry_ms(const struct otter_fuota *f)
{
    return otter_fuota_retry_ms(&f->head, f->config.backoff_max_ms);
}

static uint32_t longer(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* A server under load gets its clients back one by one, not all at the second it named. */
static uint32_t no_sooner(struct otter_fuota *f, uint32_t ms)
{
    uint32_t asked = retry_ms(f);

    return ms >= asked ? ms : asked + random_below(f, asked / 10 + 1);
}

/* ---- events for the application ------------------------------------------------------------ */

void otter_fuota_report(const struct otter_fuota *f, enum otter_fuota_event_kind kind,
                        otter_err err, uint32_t wait_ms)
{
    struct otter_fuota_event event = {
        .kind = kind,
        .result = (enum otter_fuota_result)f->result,
        .err = err,
        .status = f->head.status,
        .done = f->done,
        .total = f->total,
        .wait_ms = wait_ms,
        .file = f->file,
    };

    if (f->config.on_event != NULL) {
        f->config.on_event(f->config.event_ctx, &event);
    }
}

/* ---- what to ask --------------------------------------------------------------------------- */

static struct otter_fuota_text new_request(struct otter_fuota *f)
{
    memset(&f->request, 0, sizeof(f->request));
    f->request.authorize = true;
    f->request.timeout_ms = BODY_TIMEOUT_MS;
    f->redirects = 0;
    struct otter_fuota_text t = otter_fuota_text_on(f->request.url, sizeof(f->request.url));
    otter_fuota_put(&t, f->config.server);
    return t;
}

static otter_err put_check(struct otter_fuota *f)
{
    struct otter_fuota_text t = new_request(f);

    otter_fuota_put(&t, "/devices/");
    otter_fuota_put_escaped(&t, f->config.device_id, "");
    otter_fuota_put(&t, "?app_ver=");
    otter_fuota_put_escaped(&t, f->config.version, "");
    return t.cut ? OTTER_ERR_LENGTH : OTTER_OK;
}

static otter_err ask_check(void *machine, void *arg)
{
    struct otter_fuota *f = machine;

    f->wanted = false;
    f->result = OTTER_FUOTA_RUNNING;
    f->file[0] = '\0';
    f->etag[0] = '\0';
    f->done = 0;
    f->total = OTTER_LENGTH_UNKNOWN;
    f->tries = 0;
    memset(&f->head, 0, sizeof(f->head));
    otter_fuota_report(f, OTTER_FUOTA_EVENT_CHECK, OTTER_OK, 0);
    return put_check(f);
}

static otter_err ask_file(void *machine, void *arg)
{
    struct otter_fuota *f = machine;
    struct otter_fuota_text t = new_request(f);

    otter_fuota_put(&t, "/files/");
    otter_fuota_put_escaped(&t, f->file, "/");
    f->asked_from = f->done;
    if (f->done > 0) {
        struct otter_fuota_text r = otter_fuota_text_on(f->request.range, sizeof(f->request.range));
        otter_fuota_put(&r, "bytes=");
        otter_fuota_put_u32(&r, f->done);
        otter_fuota_put(&r, "-");
        memcpy(f->request.if_range, f->etag, sizeof(f->etag));
    }
    return t.cut ? OTTER_ERR_LENGTH : OTTER_OK;
}

/* request.url is where the server sent us: header() resolved it. */
static otter_err follow(void *machine, void *arg)
{
    struct otter_fuota *f = machine;
    size_t home = otter_fuota_origin(f->config.server);

    if (!f->head.has_location || f->head.location_bad || f->redirects >= OTTER_FUOTA_REDIRECTS) {
        return OTTER_ERR_PROTOCOL;
    }
    f->redirects++;
    f->request.authorize = otter_fuota_origin(f->request.url) == home &&
                           memcmp(f->request.url, f->config.server, home) == 0;
    return OTTER_OK;
}

/* ---- what is kept across a restart ----------------------------------------------------------- */

/* Without an ETag nobody can tell whether the rest belongs to it. */
void otter_fuota_keep(struct otter_fuota *f)
{
    struct otter_fuota_kept *kept = f->config.kept;

    if (kept != NULL && f->open && f->done > 0 && f->etag[0] != '\0') {
        kept->done = f->done;
        kept->total = f->total;
        memcpy(kept->etag, f->etag, sizeof(kept->etag));
        memcpy(kept->file, f->file, sizeof(kept->file));
        f->config.keep(f->config.keep_ctx);
    }
}

void otter_fuota_forget(struct otter_fuota *f)
{
    if (f->config.kept != NULL && f->config.kept->done > 0) {
        memset(f->config.kept, 0, sizeof(*f->config.kept));
        f->config.keep(f->config.keep_ctx);
    }
}

static otter_err begin_again(void *machine, void *arg)
{
    struct otter_fuota *f = machine;

    f->total = f->config.kept->total;
    otter_err err = f->config.sink.ops->begin(f->config.sink.ctx, f->total);
    f->open = err == OTTER_OK;
    f->refused = !f->open;
    return err;
}

/* Takes up one piece more; then asks for the rest. When the sink does not like what is there, the
 * whole file is asked for. */
static otter_err take_step(void *machine, void *arg)
{
    struct otter_fuota *f = machine;
    const struct otter_fuota_kept *kept = f->config.kept;
    uint32_t got = 0;
    otter_err err = f->config.sink.ops->take_up(f->config.sink.ctx, kept->done - f->done, &got);

    if (err == OTTER_OK && got > 0) {
        f->done += got;
        return OTTER_ERR_AGAIN;
    }
    if (err == OTTER_OK) {
        memcpy(f->etag, kept->etag, sizeof(f->etag));
    } else {
        f->open = false;
        f->done = 0;
        otter_fuota_forget(f);
    }
    return ask_file(f, arg);
}

/* ---- how attempts go on and end ------------------------------------------------------------- */

#define nothing NULL

static otter_err fail(void *machine, void *arg)
{
    const struct otter_fuota *f = machine;

    return f->err != OTTER_OK ? f->err : OTTER_ERR_LINK;
}

/* Waits a moment with the download open, unless that was done often enough or takes too long. */
static otter_err hold(void *machine, void *arg)
{
    struct otter_fuota *f = machine;
    uint32_t now = *(const uint32_t *)arg;

    otter_fuota_keep(f);
    if (f->done >= f->asked_from && f->done - f->asked_from >= OTTER_FUOTA_GAIN) {
        f->tries = 0;
    }
    f->tries++;
    uint32_t wait = no_sooner(f, backoff(f, f->tries));
    if (f->tries >= f->config.tries || retry_ms(f) > f->config.hold_ms) {
        return f->err;
    }
    wait = wait < f->config.hold_ms ? wait : f->config.hold_ms;
    set_timer(f, wait, now);
    otter_fuota_report(f, OTTER_FUOTA_EVENT_PAUSE, f->err, wait);
    return OTTER_OK;
}

static otter_err finish_step(void *machine, void *arg)
{
    struct otter_fuota *f = machine;
    otter_err err = f->config.sink.ops->finish(f->config.sink.ctx);

    if (err != OTTER_ERR_AGAIN) {
        f->open = false;
        f->refused = err != OTTER_OK;
    }
    return err;
}

#define ROW(s, e, act, n, x)                                                                       \
    {OTTER_FUOTA_##s, OTTER_FUOTA_ON_##e, OTTER_FUOTA_##n, OTTER_FUOTA_##x, act},
static const struct otter_fsm_row rows[] = {OTTER_FUOTA_ROWS(ROW)};
static const struct otter_fsm machine = {rows, sizeof(rows) / sizeof(rows[0]), OTTER_ERR_STATE};

static void close_sink(struct otter_fuota *f)
{
    if (f->open) {
        f->config.sink.ops->abort(f->config.sink.ctx);
    }
    f->open = false;
}

static enum otter_fuota_result result_of(const struct otter_fuota *f, otter_err err)
{
    if (err == OTTER_OK) {
        return OTTER_FUOTA_NO_UPDATE;
    }
    if (f->head.status == 400 || f->head.status == 401 || f->head.status == 403) {
        return OTTER_FUOTA_PARAMETER_ERROR;
    }
    /* Without a length, an image that stops short was a connection that did. */
    bool cut = err == OTTER_ERR_TRUNCATED && f->total == OTTER_LENGTH_UNKNOWN;
    return f->refused && !cut ? OTTER_FUOTA_SYSTEM_ERROR : OTTER_FUOTA_CONNECTION_ERROR;
}

static void conclude(struct otter_fuota *f, otter_err err, uint32_t now)
{
    uint32_t poll = f->config.poll_ms;
    uint32_t wait;

    if (poll != OTTER_FUOTA_NEVER && f->head.poll_s != 0) {
        poll = f->head.poll_s * 1000;
    }

    close_sink(f);
    f->result = (uint8_t)result_of(f, err);
    if (f->result == OTTER_FUOTA_SYSTEM_ERROR) {
        otter_fuota_forget(f);
    }
    if (err == OTTER_OK) {
        f->failures = 0;
        wait = poll == OTTER_FUOTA_NEVER ? 0 : poll - poll / 10 + random_below(f, poll / 5 + 1);
    } else {
        f->failures = f->failures < UINT16_MAX ? (uint16_t)(f->failures + 1) : UINT16_MAX;
        wait = backoff(f, f->failures);
    }
    wait = no_sooner(f, wait);
    set_timer(f, poll == OTTER_FUOTA_NEVER ? OTTER_FUOTA_NEVER : wait, now);
    otter_fuota_report(f, OTTER_FUOTA_EVENT_OVER, err, wait);
}

/* Every event goes through here, so every end of an attempt is concluded. */
static void run(struct otter_fuota *f, enum otter_fuota_happening event, uint32_t now)
{
    uint8_t before = f->state;

    f->timed = false;
    otter_err err = otter_fsm_event(&machine, &f->state, (uint8_t)event, f, &now);
    if (f->state == OTTER_FUOTA_IDLE && (before != OTTER_FUOTA_IDLE || err != OTTER_OK)) {
        conclude(f, err, now);
    } else if (f->state == OTTER_FUOTA_SELECTED) {
        f->result = OTTER_FUOTA_UPDATED;
        otter_fuota_forget(f);
        otter_fuota_report(f, OTTER_FUOTA_EVENT_OVER, OTTER_OK, 0);
    } else if (event == OTTER_FUOTA_ON_FILE || event == OTTER_FUOTA_ON_KEPT) {
        otter_fuota_report(f, OTTER_FUOTA_EVENT_OFFER, OTTER_OK, 0);
    }
}

/* ---- public ------------------------------------------------------------------------------- */

otter_err otter_fuota_init(struct otter_fuota *f, const struct otter_fuota_config *config,
                           uint32_t now)
{
    const struct otter_sink_ops *ops = config->sink.ops;
    const char *id = config->device_id;

    if (ops == NULL || config->server == NULL || id == NULL || config->version == NULL ||
        memchr(id, '/', strlen(id)) != NULL || !otter_fuota_file_good(id) ||
        otter_fuota_origin(config->server) == 0 || (config->kept != NULL && config->keep == NULL)) {
        return OTTER_ERR_ARG;
    }
    memset(f, 0, sizeof(*f));
    f->config = *config;
    struct otter_fuota_config *c = &f->config;
    c->poll_ms = c->poll_ms != 0 ? c->poll_ms : OTTER_FUOTA_NEVER;
    c->backoff_ms = c->backoff_ms != 0 ? c->backoff_ms : 5000;
    c->backoff_max_ms = longer(c->backoff_max_ms != 0 ? c->backoff_max_ms : 3600000, c->backoff_ms);
    c->check_ms = c->check_ms != 0 ? c->check_ms : 30000;
    c->hold_ms = c->hold_ms != 0 ? c->hold_ms : 60000;
    c->rate_min = c->rate_min != 0 ? c->rate_min : 256;
    c->tries = c->tries != 0 ? c->tries : 5;
    /* Seeds that are close to each other must not give times that are. */
    f->random = (c->seed ^ 0x5851F42Du) * 2654435769u;
    f->random += f->random == 0 ? 1 : 0;
    set_timer(f,
              c->poll_ms != OTTER_FUOTA_NEVER ? random_below(f, c->poll_ms / 10 + 1)
                                              : OTTER_FUOTA_NEVER,
              now);
    return put_check(f);
}

void otter_fuota_check(struct otter_fuota *f)
{
    f->wanted = true;
}

bool otter_fuota_is_idle(const struct otter_fuota *f)
{
    return f->state == OTTER_FUOTA_IDLE;
}

static enum otter_fuota_do ask(struct otter_fuota *f, uint32_t now)
{
    memset(&f->head, 0, sizeof(f->head));
    f->head.length = OTTER_LENGTH_UNKNOWN;
    f->err = OTTER_OK;
    f->refused = false;
    f->file_len = f->state == OTTER_FUOTA_CHECK ? 0 : f->file_len;
    run(f, OTTER_FUOTA_ON_SENT, now);
    set_timer(f, f->config.check_ms, now);
    return OTTER_FUOTA_ASK;
}

enum otter_fuota_do otter_fuota_poll(struct otter_fuota *f, uint32_t now, uint32_t *wait)
{
    *wait = 0;
    switch (f->state) {
    case OTTER_FUOTA_IDLE:
    case OTTER_FUOTA_PAUSE:
        if (f->state != OTTER_FUOTA_IDLE || !f->wanted) {
            *wait = timer_left(f, now);
        }
        if (*wait == 0) {
            run(f, OTTER_FUOTA_ON_DUE, now);
        }
        return OTTER_FUOTA_WAIT;
    case OTTER_FUOTA_CHECK:
    case OTTER_FUOTA_FETCH:
        return ask(f, now);
    case OTTER_FUOTA_CHECKING:
    case OTTER_FUOTA_FETCHING:
        if (otter_fuota_late(f, now)) {
            f->err = f->err != OTTER_OK ? f->err : OTTER_ERR_TIMEOUT;
            return OTTER_FUOTA_STOP;
        }
        *wait = timer_left(f, now);
        *wait = *wait != 0 ? *wait : LOOK_MS;
        return OTTER_FUOTA_WAIT;
    case OTTER_FUOTA_TAKING:
    case OTTER_FUOTA_FINISHING:
        run(f, OTTER_FUOTA_ON_STEP, now);
        return OTTER_FUOTA_WAIT;
    default:
        return OTTER_FUOTA_RESTART;
    }
}

static bool answering(const struct otter_fuota *f)
{
    return f->state == OTTER_FUOTA_CHECKING || f->state == OTTER_FUOTA_FETCHING;
}

void otter_fuota_header(struct otter_fuota *f, const char *name, const char *value)
{
    if (otter_fuota_is_name(name, "otter-image-sha256")) {
        f->head.given_up = f->config.given_up != NULL && strcmp(value, f->config.given_up) == 0;
    } else if (!otter_fuota_is_name(name, "location")) {
        otter_fuota_read_header(&f->head, name, value);
    } else if (answering(f)) {
        f->head.location_bad =
            f->head.has_location || otter_fuota_redirect(f->request.url, value) != OTTER_OK;
        f->head.has_location = true;
    }
}

void otter_fuota_end(struct otter_fuota *f, otter_err err, uint32_t now)
{
    if (answering(f)) {
        f->err = f->err != OTTER_OK ? f->err : err;
        run(f, otter_fuota_answer_event(f), now);
    }
}

void otter_fuota_cancel(struct otter_fuota *f, uint32_t now)
{
    if (f->state != OTTER_FUOTA_IDLE && f->state != OTTER_FUOTA_SELECTED) {
        f->err = OTTER_ERR_CANCELLED;
        run(f, OTTER_FUOTA_ON_FAILED, now);
    }
}
