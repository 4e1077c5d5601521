/* SPDX-License-Identifier: Apache-2.0 */
/* The session's picture is in include/otter/update.h; its table is below. */
#include "otter/update.h"

#include <string.h>

#include "base/fsm.h"
#include "core/policy.h"

enum event { EVENT_BEGIN, EVENT_WRITE, EVENT_TAKE_UP, EVENT_FINISH, EVENT_ABORT };

/* What EVENT_TAKE_UP carries. */
struct left {
    uint32_t len;
    uint32_t got;
};

/* What EVENT_WRITE carries. */
struct chunk {
    const uint8_t *data;
    size_t len;
    size_t used;
};

static void report(const struct otter_update *u, enum otter_update_event_kind kind, otter_err err)
{
    const struct otter_update_config *c = &u->config;
    bool checking = kind == OTTER_EVENT_CHECKING || kind == OTTER_EVENT_SELECTED;
    struct otter_update_event event = {
        .kind = kind,
        .err = err,
        .done = checking ? u->checked : u->received,
        .total = checking ? u->image_size : u->length,
        .facts = otter_image_desc_known(&u->image) ? &u->image.facts : NULL,
    };

    if (c->on_event != NULL) {
        c->on_event(c->event_ctx, &event);
    }
}

/* ---- begin ------------------------------------------------------------------------------- */

static bool power_of_two(uint32_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

static otter_err check_slot(const struct otter_update *u)
{
    const struct otter_slot_info *s = &u->slot;

    if (!power_of_two(s->erase_unit) || !power_of_two(s->write_unit) ||
        s->write_unit > OTTER_WRITE_UNIT_MAX || s->write_unit > s->erase_unit ||
        s->size % s->erase_unit != 0) {
        return OTTER_ERR_ARG;
    }
    if (u->length != OTTER_LENGTH_UNKNOWN && u->length > s->size) {
        return OTTER_ERR_TOO_LARGE;
    }
    return OTTER_OK;
}

static void close_slot(struct otter_update *u)
{
    if (u->config.slots.ops->close != NULL) {
        u->config.slots.ops->close(u->config.slots.ctx);
    }
    u->owner = NULL;
}

static otter_err do_begin(void *machine, void *arg)
{
    struct otter_update *u = machine;
    const struct otter_update_config *c = &u->config;

    memset(&u->slot, 0, offsetof(struct otter_update, state) - offsetof(struct otter_update, slot));
    u->length = *(const uint32_t *)arg;
    if (u->length == 0) {
        return OTTER_ERR_EMPTY;
    }
    otter_err err = c->slots.ops->open(c->slots.ctx, u->length, &u->slot);
    if (err != OTTER_OK) {
        return err;
    }
    err = check_slot(u);
    if (err == OTTER_OK) {
        uint32_t limit = u->length < u->slot.size ? u->length : u->slot.size;
        err = otter_image_begin(&u->image, c->hash, limit);
    }
    if (err != OTTER_OK) {
        close_slot(u);
        return err;
    }
    report(u, OTTER_EVENT_BEGIN, OTTER_OK);
    return OTTER_OK;
}

static otter_err refuse_restart(void *machine, void *arg)
{
    return OTTER_ERR_RESTART;
}

/* ---- write ------------------------------------------------------------------------------- */

/* The image as it passes by: is it whole so far, and do we want it? */
static otter_err check_bytes(struct otter_update *u, const uint8_t *data, size_t len)
{
    bool had_header = otter_image_header_known(&u->image);
    bool had_desc = otter_image_desc_known(&u->image);
    otter_err err = otter_image_feed(&u->image, data, len);

    /* What policy refuses, it refuses whatever else is wrong with the bytes behind. */
    if (!had_header && otter_image_header_known(&u->image)) {
        otter_err policy = otter_policy_header(u->config.policy, &u->image.facts);
        err = policy != OTTER_OK ? policy : err;
    }
    if (err == OTTER_OK && !had_desc && otter_image_desc_known(&u->image)) {
        err = otter_policy_description(u->config.policy, &u->image.facts);
        if (err == OTTER_OK) {
            report(u, OTTER_EVENT_IMAGE, OTTER_OK);
        }
    }
    /* The image is larger than was announced, not than the slot. */
    if (err == OTTER_ERR_TOO_LARGE && u->length < u->slot.size) {
        err = OTTER_ERR_TRUNCATED;
    }
    return err;
}

/* len bytes, a multiple of the write unit, inside one erase unit. */
static otter_err program(struct otter_update *u, const uint8_t *data, uint32_t len)
{
    const struct otter_slots *s = &u->config.slots;

    if (u->written == u->erased) {
        otter_err err = s->ops->erase(s->ctx, u->erased);
        if (err != OTTER_OK) {
            return err;
        }
        u->erased += u->slot.erase_unit;
    }
    otter_err err = s->ops->write(s->ctx, u->written, data, len);
    u->written += len;
    return err;
}

static otter_err flush(struct otter_update *u)
{
    uint32_t rest = u->staged % u->slot.write_unit;

    if (rest != 0) {
        uint32_t fill = u->slot.write_unit - rest;
        memset(u->config.buf + u->staged, 0xFF, fill);
        u->staged += fill;
    }
    uint32_t len = u->staged;
    u->staged = 0;
    return len > 0 ? program(u, u->config.buf, len) : OTTER_OK;
}

/* How many of len bytes one step takes: never past the erase unit at hand, and not more than the
 * buffer can gather unless whole write units can pass it by. */
static uint32_t step_length(const struct otter_update *u, size_t len)
{
    uint32_t place = u->written + u->staged;
    uint32_t room = u->slot.erase_unit - place % u->slot.erase_unit;
    uint32_t n = len < room ? (uint32_t)len : room;

    if (u->staged == 0 && n >= u->slot.write_unit) {
        return n - n % u->slot.write_unit;
    }
    uint32_t space = (uint32_t)u->config.buf_size - u->staged;
    return n < space ? n : space;
}

/* The slot is full: what still comes is not stored. Only bytes after the image's end can get
 * here, since an image that would not fit was refused. */
static otter_err drop(struct otter_update *u, struct chunk *c)
{
    c->used = c->len;
    u->received += (uint32_t)c->len;
    return OTTER_OK;
}

static otter_err store(struct otter_update *u, struct chunk *c)
{
    uint32_t n = step_length(u, c->len);
    otter_err err = check_bytes(u, c->data, n);

    if (err != OTTER_OK) {
        return err;
    }
    u->received += n;
    c->used = n;
    if (u->staged == 0 && n >= u->slot.write_unit) {
        return program(u, c->data, n);
    }
    memcpy(u->config.buf + u->staged, c->data, n);
    u->staged += n;
    bool unit_full = (u->written + u->staged) % u->slot.erase_unit == 0;
    return unit_full || u->staged == u->config.buf_size ? flush(u) : OTTER_OK;
}

static otter_err do_write(void *machine, void *arg)
{
    struct otter_update *u = machine;
    struct chunk *c = arg;

    if (c->len > u->length - u->received) {
        return OTTER_ERR_TRAILING;
    }
    /* Held against what was taken before: a whole chunk counts as one. */
    if (otter_image_done(&u->image) &&
        u->received + c->len > u->image.facts.size + OTTER_UPDATE_TRAILING_MAX) {
        return OTTER_ERR_TRAILING;
    }
    otter_err err = u->written + u->staged < u->slot.size ? store(u, c) : drop(u, c);
    if (err == OTTER_OK) {
        report(u, OTTER_EVENT_PROGRESS, OTTER_OK);
    }
    return err;
}

/* ---- take up ----------------------------------------------------------------------------- */

/* A whole erase unit that an earlier update has written: what follows it is erased as ever. */
static otter_err do_take_up(void *machine, void *arg)
{
    struct otter_update *u = machine;
    const struct otter_slots *s = &u->config.slots;
    struct left *left = arg;
    uint32_t end = u->received + u->slot.erase_unit;

    if (u->received != u->erased || u->received != u->written || u->staged != 0) {
        return OTTER_ERR_STATE;
    }
    if (left->len < u->slot.erase_unit || end > u->slot.size || end > u->length) {
        return OTTER_OK;
    }
    while (u->received < end) {
        uint32_t room = end - u->received;
        uint32_t n = room < u->config.buf_size ? room : (uint32_t)u->config.buf_size;
        otter_err err = s->ops->read(s->ctx, u->received, u->config.buf, n);

        err = err == OTTER_OK ? check_bytes(u, u->config.buf, n) : err;
        if (err != OTTER_OK) {
            return err;
        }
        u->received += n;
    }
    u->written = u->erased = end;
    left->got = u->slot.erase_unit;
    report(u, OTTER_EVENT_PROGRESS, OTTER_OK);
    return OTTER_OK;
}

/* ---- finish ------------------------------------------------------------------------------ */

static otter_err end_receiving(void *machine, void *arg)
{
    struct otter_update *u = machine;
    otter_err err = otter_image_end(&u->image);

    if (err == OTTER_OK && u->length != OTTER_LENGTH_UNKNOWN && u->received < u->length) {
        err = OTTER_ERR_TRUNCATED;
    }
    if (err == OTTER_OK) {
        err = flush(u);
    }
    if (err != OTTER_OK) {
        return err;
    }
    u->image_size = u->image.facts.size;
    memcpy(u->digest, u->image.facts.digest, sizeof u->digest);
    return otter_image_begin(&u->image, u->config.hash, u->image_size);
}

static otter_err read_back(struct otter_update *u)
{
    const struct otter_slots *s = &u->config.slots;
    uint32_t left = u->image_size - u->checked;
    uint32_t n = left < u->config.buf_size ? left : (uint32_t)u->config.buf_size;
    otter_err err = s->ops->read(s->ctx, u->checked, u->config.buf, n);

    if (err != OTTER_OK) {
        return err;
    }
    err = otter_image_feed(&u->image, u->config.buf, n);
    if (err != OTTER_OK) {
        return err == OTTER_ERR_HASH ? err : OTTER_ERR_FLASH_DIFFERS;
    }
    u->checked += n;
    report(u, OTTER_EVENT_CHECKING, OTTER_OK);
    return OTTER_ERR_AGAIN;
}

static otter_err do_check(void *machine, void *arg)
{
    struct otter_update *u = machine;
    const struct otter_slots *s = &u->config.slots;

    if (u->checked < u->image_size) {
        return read_back(u);
    }
    if (!otter_image_done(&u->image) ||
        memcmp(u->image.facts.digest, u->digest, sizeof u->digest) != 0) {
        return OTTER_ERR_FLASH_DIFFERS;
    }
    otter_err err = s->ops->verify != NULL ? s->ops->verify(s->ctx, u->image_size) : OTTER_OK;
    if (err == OTTER_OK) {
        err = s->ops->select(s->ctx, u->digest);
    }
    if (err == OTTER_OK) {
        report(u, OTTER_EVENT_SELECTED, OTTER_OK);
        close_slot(u);
    }
    return err;
}

/* ---- the table ---------------------------------------------------------------------------- */

/* clang-format off */
static const struct otter_fsm_row rows[] = {
    /* state                   event         next                    failed               action */
    {OTTER_UPDATE_IDLE,      EVENT_BEGIN,  OTTER_UPDATE_RECEIVING, OTTER_UPDATE_IDLE,     do_begin},
    {OTTER_UPDATE_IDLE,      EVENT_ABORT,  OTTER_UPDATE_IDLE,      OTTER_UPDATE_IDLE,     NULL},
    {OTTER_UPDATE_RECEIVING, EVENT_WRITE,  OTTER_UPDATE_RECEIVING, OTTER_UPDATE_IDLE,     do_write},
    {OTTER_UPDATE_RECEIVING, EVENT_TAKE_UP, OTTER_UPDATE_RECEIVING, OTTER_UPDATE_IDLE,    do_take_up},
    {OTTER_UPDATE_RECEIVING, EVENT_FINISH, OTTER_UPDATE_CHECKING,  OTTER_UPDATE_IDLE,     end_receiving},
    {OTTER_UPDATE_RECEIVING, EVENT_ABORT,  OTTER_UPDATE_IDLE,      OTTER_UPDATE_IDLE,     NULL},
    {OTTER_UPDATE_CHECKING,  EVENT_FINISH, OTTER_UPDATE_SELECTED,  OTTER_UPDATE_IDLE,     do_check},
    {OTTER_UPDATE_CHECKING,  EVENT_ABORT,  OTTER_UPDATE_IDLE,      OTTER_UPDATE_IDLE,     NULL},
    {OTTER_UPDATE_SELECTED,  EVENT_BEGIN,  OTTER_UPDATE_SELECTED,  OTTER_UPDATE_SELECTED, refuse_restart},
    {OTTER_UPDATE_SELECTED,  EVENT_ABORT,  OTTER_UPDATE_SELECTED,  OTTER_UPDATE_SELECTED, NULL},
};
/* clang-format on */

static const struct otter_fsm fsm = {rows, sizeof rows / sizeof rows[0], OTTER_ERR_STATE};

static bool open_in(uint8_t state)
{
    return state == OTTER_UPDATE_RECEIVING || state == OTTER_UPDATE_CHECKING;
}

/* Whatever way an update ends without being selected, it ends here. */
static otter_err run(struct otter_update *u, enum event event, void *arg)
{
    uint8_t before = u->state;
    otter_err err = otter_fsm_event(&fsm, &u->state, (uint8_t)event, u, arg);

    if (open_in(before) && u->state == OTTER_UPDATE_IDLE) {
        close_slot(u);
        report(u, OTTER_EVENT_ABORTED, err);
    }
    return err;
}

/* ---- public ------------------------------------------------------------------------------- */

otter_err otter_update_init(struct otter_update *u, const struct otter_update_config *config)
{
    const struct otter_slot_ops *ops = config->slots.ops;

    if (ops == NULL || !ops->open || !ops->erase || !ops->write || !ops->read || !ops->select ||
        !ops->state || !ops->mark || config->hash.ops == NULL || config->buf == NULL ||
        config->buf_size == 0 || config->buf_size % OTTER_WRITE_UNIT_MAX != 0) {
        return OTTER_ERR_ARG;
    }
    memset(u, 0, sizeof *u);
    u->config = *config;
    return OTTER_OK;
}

otter_err otter_update_begin(struct otter_update *u, uint32_t length)
{
    return run(u, EVENT_BEGIN, &length);
}

otter_err otter_update_write(struct otter_update *u, const uint8_t *data, size_t len, size_t *used)
{
    struct chunk c = {.data = data, .len = len};
    otter_err err = run(u, EVENT_WRITE, &c);

    *used = c.used;
    return err;
}

otter_err otter_update_write_all(struct otter_update *u, const uint8_t *data, size_t len)
{
    otter_err err = OTTER_OK;

    for (size_t used; len > 0 && err == OTTER_OK; data += used, len -= used) {
        err = otter_update_write(u, data, len, &used);
    }
    return err;
}

otter_err otter_update_take_up(struct otter_update *u, uint32_t len, uint32_t *got)
{
    struct left left = {.len = len};
    otter_err err = run(u, EVENT_TAKE_UP, &left);

    *got = left.got;
    return err;
}

otter_err otter_update_finish(struct otter_update *u)
{
    otter_err err = run(u, EVENT_FINISH, NULL);

    return err == OTTER_OK && u->state == OTTER_UPDATE_CHECKING ? OTTER_ERR_AGAIN : err;
}

void otter_update_abort(struct otter_update *u)
{
    (void)!run(u, EVENT_ABORT, NULL);
}

/* ---- a transport's sink -------------------------------------------------------------------- */

static otter_err may_continue(const struct otter_update_transport *t)
{
    if (!open_in(t->update->state)) {
        return OTTER_ERR_STATE;
    }
    return t->update->owner == t ? OTTER_OK : OTTER_ERR_BUSY;
}

static otter_err sink_begin(void *ctx, uint32_t length)
{
    struct otter_update_transport *t = ctx;
    otter_err err = may_continue(t);

    if (err == OTTER_ERR_BUSY) {
        return err;
    }
    if (err == OTTER_OK) {
        otter_update_abort(t->update);
    }
    err = otter_update_begin(t->update, length);
    if (err == OTTER_OK) {
        t->update->owner = t;
    }
    return err;
}

static otter_err sink_write(void *ctx, const uint8_t *data, size_t len, size_t *used)
{
    struct otter_update_transport *t = ctx;
    otter_err err = may_continue(t);

    *used = 0;
    return err == OTTER_OK ? otter_update_write(t->update, data, len, used) : err;
}

static otter_err sink_finish(void *ctx)
{
    struct otter_update_transport *t = ctx;
    otter_err err = may_continue(t);

    return err == OTTER_OK ? otter_update_finish(t->update) : err;
}

static void sink_abort(void *ctx)
{
    struct otter_update_transport *t = ctx;

    if (may_continue(t) == OTTER_OK) {
        otter_update_abort(t->update);
    }
}

static otter_err sink_take_up(void *ctx, uint32_t len, uint32_t *got)
{
    struct otter_update_transport *t = ctx;
    otter_err err = may_continue(t);

    *got = 0;
    return err == OTTER_OK ? otter_update_take_up(t->update, len, got) : err;
}

struct otter_sink otter_update_sink(struct otter_update_transport *transport)
{
    static const struct otter_sink_ops ops = {sink_begin, sink_write, sink_finish, sink_abort,
                                              sink_take_up};

    return (struct otter_sink){.ops = &ops, .ctx = transport};
}
