/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What to make of an answer: status line and headers, then the body, and at the end one event for
 * the machine.
 */
#include "proto/fuota/answer.h"

#include <string.h>

#include "proto/fuota/http.h"
#include "proto/fuota/rows.h"

#define RATE_WINDOW_MS 30000u

/* A slow download is cut: fewer bytes in a window than the rate asks for. */
static bool too_slow(struct otter_fuota *f, uint32_t now)
{
    if (now - f->rate_at_ms < RATE_WINDOW_MS) {
        return false;
    }
    uint64_t least = (uint64_t)f->config.rate_min * (now - f->rate_at_ms) / 1000;
    bool slow = f->done - f->rate_done < least;
    f->rate_at_ms = now;
    f->rate_done = f->done;
    return slow;
}

bool otter_fuota_late(struct otter_fuota *f, uint32_t now)
{
    if (f->state == OTTER_FUOTA_FETCHING && f->head.status != 0) {
        return too_slow(f, now);
    }
    return now - f->due_ms <= INT32_MAX;
}

static void start_over(struct otter_fuota *f)
{
    f->done = 0;
    f->etag[0] = '\0';
}

/* The whole file, from its first byte on. */
static otter_err take_whole(struct otter_fuota *f)
{
    start_over(f);
    otter_fuota_forget(f);
    f->total = f->head.length;
    memcpy(f->etag, f->head.etag, sizeof(f->etag));
    otter_err err = f->config.sink.ops->begin(f->config.sink.ctx, f->total);
    f->open = err == OTTER_OK;
    f->refused = !f->open;
    return err;
}

/* The rest of it: of the same file, and exactly what was asked for. */
static otter_err take_rest(struct otter_fuota *f)
{
    const struct otter_fuota_head *h = &f->head;
    bool same_total = f->total == OTTER_LENGTH_UNKNOWN || h->range_total == f->total;
    bool same_file = h->etag[0] == '\0' || strcmp(h->etag, f->etag) == 0;

    if (!f->open || f->done == 0 || !h->has_range || h->range_first != f->done || !same_total ||
        !same_file) {
        start_over(f);
        return OTTER_ERR_PROTOCOL;
    }
    f->total = h->range_total;
    return OTTER_OK;
}

static otter_err take_file(struct otter_fuota *f)
{
    otter_err err = f->head.status == 200 ? take_whole(f) : take_rest(f);

    if (err == OTTER_OK) {
        otter_fuota_report(f, OTTER_FUOTA_EVENT_BEGIN, OTTER_OK, 0);
    }
    return err;
}

otter_err otter_fuota_head(struct otter_fuota *f, uint16_t status, uint32_t now)
{
    struct otter_fuota_head *h = &f->head;

    h->status = status;
    f->rate_at_ms = now;
    f->rate_done = f->done;
    if (status == 200 || (status == 206 && f->state == OTTER_FUOTA_FETCHING)) {
        if (h->bad || h->encoded) {
            f->err = OTTER_ERR_PROTOCOL;
        } else if (f->state == OTTER_FUOTA_FETCHING) {
            f->err = take_file(f);
            f->rate_done = f->done;
        } else if (h->length != OTTER_LENGTH_UNKNOWN && h->length > OTTER_FUOTA_FILE_MAX) {
            f->err = OTTER_ERR_LENGTH;
        }
    } else if (status == 416 && f->state == OTTER_FUOTA_FETCHING) {
        start_over(f);
        f->err = OTTER_ERR_PROTOCOL;
    } else if (status != 204 && status != 404) {
        bool refused = status == 400 || status == 401 || status == 403;
        f->err = refused ? OTTER_ERR_REFUSED : OTTER_ERR_PROTOCOL;
    }
    return f->err;
}

static otter_err take_path(struct otter_fuota *f, const uint8_t *data, size_t len)
{
    if (len > OTTER_FUOTA_FILE_MAX - f->file_len || memchr(data, '\0', len) != NULL) {
        return OTTER_ERR_LENGTH;
    }
    memcpy(f->file + f->file_len, data, len);
    f->file_len = (uint16_t)(f->file_len + len);
    f->file[f->file_len] = '\0';
    return OTTER_OK;
}

static otter_err take_image(struct otter_fuota *f, const uint8_t *data, size_t len)
{
    while (len > 0) {
        size_t used = 0;
        otter_err err = f->config.sink.ops->write(f->config.sink.ctx, data, len, &used);
        if (err != OTTER_OK) {
            f->open = false;
            f->refused = true;
            return err;
        }
        data += used;
        len -= used;
        f->done += (uint32_t)used;
    }
    if (f->config.kept != NULL && f->done - f->config.kept->done >= OTTER_FUOTA_KEEP) {
        otter_fuota_keep(f);
    }
    return OTTER_OK;
}

otter_err otter_fuota_body(struct otter_fuota *f, const uint8_t *data, size_t len, uint32_t now)
{
    if (f->err != OTTER_OK) {
        return f->err;
    }
    if (otter_fuota_late(f, now)) {
        f->err = OTTER_ERR_TIMEOUT;
    } else if (f->head.status != 200 && f->head.status != 206) {
        f->err = OTTER_ERR_CANCELLED; /* what a 404 looks like does not matter */
    } else if (f->state == OTTER_FUOTA_CHECKING) {
        f->err = take_path(f, data, len);
    } else if (f->open) {
        f->err = take_image(f, data, len);
    } else {
        f->err = OTTER_ERR_STATE;
    }
    return f->err;
}

/* A part of this very file is in the slot. */
static bool can_take_up(const struct otter_fuota *f)
{
    const struct otter_fuota_kept *kept = f->config.kept;

    return kept != NULL && kept->done > 0 && f->config.sink.ops->take_up != NULL &&
           strcmp(kept->file, f->file) == 0;
}

static enum otter_fuota_happening check_event(struct otter_fuota *f)
{
    if (f->head.given_up && f->err == OTTER_OK) {
        return OTTER_FUOTA_ON_NO_FILE;
    }
    /* A line end is no part of a path. */
    if (f->file_len > 0 && f->file[f->file_len - 1] == '\n') {
        f->file[--f->file_len] = '\0';
    }
    if (f->file_len > 0 && f->file[f->file_len - 1] == '\r') {
        f->file[--f->file_len] = '\0';
    }
    if (f->err == OTTER_OK && !otter_fuota_file_good(f->file)) {
        f->err = OTTER_ERR_PROTOCOL;
    }
    if (f->err != OTTER_OK) {
        f->file[0] = '\0';
    }
    if (f->err != OTTER_OK) {
        return OTTER_FUOTA_ON_FAILED;
    }
    return can_take_up(f) ? OTTER_FUOTA_ON_KEPT : OTTER_FUOTA_ON_FILE;
}

/* The answer as one event. */
enum otter_fuota_happening otter_fuota_answer_event(struct otter_fuota *f)
{
    bool fetching = f->state == OTTER_FUOTA_FETCHING;

    switch (f->head.status) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        return OTTER_FUOTA_ON_REDIRECT;
    case 204:
    case 404:
        return OTTER_FUOTA_ON_NO_FILE;
    case 400:
    case 401:
    case 403:
        return OTTER_FUOTA_ON_FAILED;
    case 200:
        if (!fetching) {
            return check_event(f);
        }
        break;
    default:
        if (!fetching) {
            return OTTER_FUOTA_ON_FAILED;
        }
        break;
    }
    if (f->refused) {
        return OTTER_FUOTA_ON_FAILED;
    }
    bool all = f->total != OTTER_LENGTH_UNKNOWN && f->done == f->total && f->done > 0;
    bool ended = f->total == OTTER_LENGTH_UNKNOWN && f->err == OTTER_OK && f->open;
    if (f->open && (all || ended)) {
        return OTTER_FUOTA_ON_WHOLE;
    }
    f->err = f->err != OTTER_OK ? f->err : OTTER_ERR_LINK;
    return OTTER_FUOTA_ON_CUT;
}
