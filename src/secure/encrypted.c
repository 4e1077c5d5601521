/* SPDX-License-Identifier: Apache-2.0 */
/* The format is drawn in include/otter/encrypted.h. */
#include "otter/encrypted.h"

#include <string.h>

#include "base/cursor.h"
#include "base/fsm.h"
#include "secure/bytes.h"

enum state { STATE_IDLE, STATE_MAGIC, STATE_HEADER, STATE_BODY, STATE_CHECKED, STATE_PLAIN };
enum event {
    EVENT_BEGIN,
    EVENT_BEGIN_ANY,
    EVENT_WRITE,
    EVENT_ENCRYPTED,
    EVENT_PLAIN,
    EVENT_OPEN,
    EVENT_FINISH,
    EVENT_ABORT,
};

#define MAGIC_SIZE 4u
#define IMAGE_MAGIC 0xE9u
#define ECIES_USED 96u /* bytes of the key block: point and salt */

_Static_assert(OTTER_ENCRYPTED_HEADER % OTTER_ENCRYPTED_BLOCK == 0, "buf holds whole blocks");

/* What the events carry. */
struct call {
    const struct otter_encrypted_transport *transport;
    const uint8_t *data;
    size_t len;
    size_t used;
    uint32_t length;
};

static struct otter_encrypted *of(void *machine)
{
    return machine;
}

/* ---- begin and header ---------------------------------------------------------------------- */

/* Begins what is behind, with as many bytes. */
static otter_err begin_next(struct otter_encrypted *e, const struct call *c, uint32_t length)
{
    const struct otter_sink *next = &c->transport->next;
    otter_err err = next->ops->begin(next->ctx, length);

    if (err == OTTER_OK) {
        e->owner = c->transport;
        e->length = length;
        e->left = e->trailing = e->start = 0;
    }
    return err;
}

/* An encrypted image of so many bytes, header and all. */
static otter_err begin_encrypted(struct otter_encrypted *e, const struct call *c, uint32_t length)
{
    if (length != OTTER_LENGTH_UNKNOWN) {
        if (length <= OTTER_ENCRYPTED_HEADER) {
            return length == 0 ? OTTER_ERR_EMPTY : OTTER_ERR_TRUNCATED;
        }
        length -= OTTER_ENCRYPTED_HEADER;
    }
    return begin_next(e, c, length);
}

static otter_err do_begin(void *machine, void *arg)
{
    struct otter_encrypted *e = of(machine);
    struct call *c = arg;

    e->waiting = 0;
    return begin_encrypted(e, c, c->length);
}

/* Nobody knows yet what comes. What is too large as it is may fit without its header. */
static otter_err do_begin_any(void *machine, void *arg)
{
    struct otter_encrypted *e = of(machine);
    struct call *c = arg;
    otter_err err = begin_next(e, c, c->length);

    e->waiting = 0;
    e->file = c->length;
    return err == OTTER_ERR_TOO_LARGE ? begin_encrypted(e, c, c->length) : err;
}

static bool is_encrypted(const struct otter_encrypted *e)
{
    struct otter_reader r = otter_reader_on(e->buf, e->waiting);
    uint32_t magic = otter_read_u32(&r);

    return otter_reader_ok(&r) == OTTER_OK && magic == OTTER_ENCRYPTED_MAGIC;
}

static void gather(struct otter_encrypted *e, struct call *c, uint32_t end)
{
    size_t room = end - e->waiting;

    c->used = c->len < room ? c->len : room;
    memcpy(e->buf + e->waiting, c->data, c->used);
    e->waiting += (uint32_t)c->used;
}

static otter_err gather_magic(void *machine, void *arg)
{
    gather(of(machine), arg, MAGIC_SIZE);
    return OTTER_OK;
}

static otter_err gather_header(void *machine, void *arg)
{
    struct otter_encrypted *e = of(machine);

    gather(e, arg, OTTER_ENCRYPTED_HEADER);
    if (e->waiting < MAGIC_SIZE || is_encrypted(e)) {
        return OTTER_OK;
    }
    return e->buf[0] == IMAGE_MAGIC ? OTTER_ERR_UNENCRYPTED : OTTER_ERR_ENCRYPTED_HEADER;
}

/* It is encrypted: what is behind was told the length of the whole file. */
static otter_err go_encrypted(void *machine, void *arg)
{
    struct otter_encrypted *e = of(machine);

    return e->length == e->file && e->file != OTTER_LENGTH_UNKNOWN
               ? begin_encrypted(e, arg, e->file)
               : OTTER_OK;
}

/* It is not: what was begun must be for all of it. */
static otter_err go_plain(void *machine, void *arg)
{
    const struct otter_encrypted *e = of(machine);

    return e->length == e->file ? OTTER_OK : OTTER_ERR_TOO_LARGE;
}

static otter_err open_header(void *machine, void *arg)
{
    struct otter_encrypted *e = of(machine);
    struct otter_reader r = otter_reader_on(e->buf, sizeof e->buf);

    otter_read_skip(&r, MAGIC_SIZE);
    const uint8_t *key = otter_read_view(&r, OTTER_ENCRYPTED_KEY_BLOCK);
    const uint8_t *iv = otter_read_view(&r, OTTER_ENCRYPTED_IV);
    e->left = otter_read_u32(&r);
    otter_read_bytes(&r, e->tag, sizeof e->tag);
    e->waiting = 0;
    e->held = 0;
    if (otter_reader_ok(&r) != OTTER_OK || !otter_all_bytes(r.next, r.left, 0) || e->left == 0 ||
        (e->cipher.ecies &&
         !otter_all_bytes(key + ECIES_USED, OTTER_ENCRYPTED_KEY_BLOCK - ECIES_USED, 0))) {
        return OTTER_ERR_ENCRYPTED_HEADER;
    }
    if (e->length != OTTER_LENGTH_UNKNOWN && e->left != e->length) {
        return e->left > e->length ? OTTER_ERR_TRUNCATED : OTTER_ERR_TRAILING;
    }
    return e->cipher.ops->start(e->cipher.ctx, key, iv);
}

/* ---- ciphertext ---------------------------------------------------------------------------- */

/* One step of what is behind. */
static otter_err pass_on(struct otter_encrypted *e, const struct otter_sink *next)
{
    size_t used = 0;
    otter_err err = next->ops->write(next->ctx, e->buf + e->start, e->waiting, &used);

    e->start += (uint32_t)used;
    e->waiting -= (uint32_t)used;
    return err;
}

/* With another key the first bytes are anything but an image. */
static otter_err pass_decrypted(struct otter_encrypted *e, const struct otter_sink *next)
{
    otter_err err = pass_on(e, next);

    return err == OTTER_ERR_IMAGE_MAGIC ? OTTER_ERR_ENCRYPTED_KEY : err;
}

/* Decrypts whole blocks into buf. */
static otter_err decrypt_blocks(struct otter_encrypted *e, const uint8_t *data, size_t len)
{
    otter_err err = e->cipher.ops->update(e->cipher.ctx, data, len, e->buf);

    e->start = 0;
    e->waiting = err == OTTER_OK ? (uint32_t)len : 0;
    return err;
}

/* What is less than a block is kept until there is one, or the ciphertext is at its end. */
static otter_err decrypt_some(struct otter_encrypted *e, struct call *c)
{
    size_t n = c->len < e->left ? c->len : e->left;
    bool last = n == e->left;

    if (e->held > 0 || (n < OTTER_ENCRYPTED_BLOCK && !last)) {
        size_t room = OTTER_ENCRYPTED_BLOCK - e->held;
        c->used = n < room ? n : room;
        memcpy(e->block + e->held, c->data, c->used);
        e->held += (uint8_t)c->used;
        e->left -= (uint32_t)c->used;
        if (e->held < OTTER_ENCRYPTED_BLOCK && e->left > 0) {
            return OTTER_OK;
        }
        n = e->held;
        e->held = 0;
        return decrypt_blocks(e, e->block, n);
    }
    if (n > sizeof e->buf) {
        n = sizeof e->buf;
    } else if (!last) {
        n -= n % OTTER_ENCRYPTED_BLOCK;
    }
    c->used = n;
    e->left -= (uint32_t)n;
    return decrypt_blocks(e, c->data, n);
}

static otter_err decrypt(void *machine, void *arg)
{
    struct otter_encrypted *e = of(machine);
    struct call *c = arg;

    if (e->waiting > 0) {
        return pass_decrypted(e, &c->transport->next);
    }
    if (e->left == 0) {
        c->used = c->len;
        e->trailing += c->len <= OTTER_ENCRYPTED_TRAILING_MAX ? (uint32_t)c->len
                                                              : OTTER_ENCRYPTED_TRAILING_MAX + 1;
        return e->trailing > OTTER_ENCRYPTED_TRAILING_MAX ? OTTER_ERR_TRAILING : OTTER_OK;
    }
    otter_err err = decrypt_some(e, c);
    return err == OTTER_OK && e->waiting > 0 ? pass_decrypted(e, &c->transport->next) : err;
}

/* ---- finish -------------------------------------------------------------------------------- */

static otter_err too_short(void *machine, void *arg)
{
    return OTTER_ERR_TRUNCATED;
}

static otter_err check_tag(void *machine, void *arg)
{
    struct otter_encrypted *e = of(machine);
    struct call *c = arg;

    if (e->waiting > 0) {
        otter_err err = pass_decrypted(e, &c->transport->next);
        return err == OTTER_OK ? OTTER_ERR_AGAIN : err;
    }
    return e->left > 0 ? OTTER_ERR_TRUNCATED : e->cipher.ops->finish(e->cipher.ctx, e->tag);
}

static otter_err finish_next(void *machine, void *arg)
{
    struct call *c = arg;

    return c->transport->next.ops->finish(c->transport->next.ctx);
}

/* ---- what is not encrypted ----------------------------------------------------------------- */

static otter_err write_plain(void *machine, void *arg)
{
    struct otter_encrypted *e = of(machine);
    struct call *c = arg;
    const struct otter_sink *next = &c->transport->next;

    return e->waiting > 0 ? pass_on(e, next)
                          : next->ops->write(next->ctx, c->data, c->len, &c->used);
}

static otter_err finish_plain(void *machine, void *arg)
{
    struct otter_encrypted *e = of(machine);
    struct call *c = arg;

    if (e->waiting > 0) {
        otter_err err = pass_on(e, &c->transport->next);
        return err == OTTER_OK ? OTTER_ERR_AGAIN : err;
    }
    return finish_next(machine, arg);
}

/* ---- the table ------------------------------------------------------------------------------ */

/* clang-format off */
static const struct otter_fsm_row rows[] = {
    /* state         event            next           failed      action */
    {STATE_IDLE,     EVENT_BEGIN,     STATE_HEADER,  STATE_IDLE, do_begin},
    {STATE_IDLE,     EVENT_BEGIN_ANY, STATE_MAGIC,   STATE_IDLE, do_begin_any},
    {STATE_MAGIC,    EVENT_WRITE,     STATE_MAGIC,   STATE_IDLE, gather_magic},
    {STATE_MAGIC,    EVENT_ENCRYPTED, STATE_HEADER,  STATE_IDLE, go_encrypted},
    {STATE_MAGIC,    EVENT_PLAIN,     STATE_PLAIN,   STATE_IDLE, go_plain},
    {STATE_MAGIC,    EVENT_FINISH,    STATE_IDLE,    STATE_IDLE, too_short},
    {STATE_MAGIC,    EVENT_ABORT,     STATE_IDLE,    STATE_IDLE, NULL},
    {STATE_HEADER,   EVENT_WRITE,     STATE_HEADER,  STATE_IDLE, gather_header},
    {STATE_HEADER,   EVENT_OPEN,      STATE_BODY,    STATE_IDLE, open_header},
    {STATE_HEADER,   EVENT_FINISH,    STATE_IDLE,    STATE_IDLE, too_short},
    {STATE_HEADER,   EVENT_ABORT,     STATE_IDLE,    STATE_IDLE, NULL},
    {STATE_BODY,     EVENT_WRITE,     STATE_BODY,    STATE_IDLE, decrypt},
    {STATE_BODY,     EVENT_FINISH,    STATE_CHECKED, STATE_IDLE, check_tag},
    {STATE_BODY,     EVENT_ABORT,     STATE_IDLE,    STATE_IDLE, NULL},
    {STATE_CHECKED,  EVENT_FINISH,    STATE_IDLE,    STATE_IDLE, finish_next},
    {STATE_CHECKED,  EVENT_ABORT,     STATE_IDLE,    STATE_IDLE, NULL},
    {STATE_PLAIN,    EVENT_WRITE,     STATE_PLAIN,   STATE_IDLE, write_plain},
    {STATE_PLAIN,    EVENT_FINISH,    STATE_IDLE,    STATE_IDLE, finish_plain},
    {STATE_PLAIN,    EVENT_ABORT,     STATE_IDLE,    STATE_IDLE, NULL},
};
/* clang-format on */

static const struct otter_fsm fsm = {rows, sizeof rows / sizeof rows[0], OTTER_ERR_STATE};

/* Whatever way it ends, keys and decrypted bytes go, and what is behind ends too: an abort after
 * its own finish is harmless. */
static otter_err run(const struct otter_encrypted_transport *t, enum event event, struct call *c)
{
    struct otter_encrypted *e = t->encrypted;
    uint8_t before = e->state;

    c->transport = t;
    otter_err err = otter_fsm_event(&fsm, &e->state, (uint8_t)event, e, c);
    if (before != STATE_IDLE && e->state == STATE_IDLE) {
        e->cipher.ops->end(e->cipher.ctx);
        memset(e->buf, 0, sizeof e->buf);
        e->owner = NULL;
        t->next.ops->abort(t->next.ctx);
        if (err != OTTER_OK && e->refused != NULL) {
            e->refused(e->refused_ctx, err);
        }
    }
    return err;
}

/* ---- the sink ------------------------------------------------------------------------------- */

static otter_err may_continue(const struct otter_encrypted_transport *t)
{
    if (t->encrypted->owner == NULL) {
        return OTTER_ERR_STATE;
    }
    return t->encrypted->owner == t ? OTTER_OK : OTTER_ERR_BUSY;
}

static otter_err sink_begin(void *ctx, uint32_t length)
{
    const struct otter_encrypted_transport *t = ctx;
    otter_err err = may_continue(t);
    struct call c = {.length = length};

    if (err == OTTER_ERR_BUSY) {
        return err;
    }
    if (err == OTTER_OK) {
        (void)!run(t, EVENT_ABORT, &c);
    }
    return run(t, t->encrypted->plain_too ? EVENT_BEGIN_ANY : EVENT_BEGIN, &c);
}

static otter_err sink_write(void *ctx, const uint8_t *data, size_t len, size_t *used)
{
    const struct otter_encrypted_transport *t = ctx;
    otter_err err = may_continue(t);
    struct call c = {.data = data, .len = len};

    if (err == OTTER_OK) {
        err = run(t, EVENT_WRITE, &c);
    }
    *used = c.used;
    if (err != OTTER_OK) {
        return err;
    }
    if (t->encrypted->state == STATE_MAGIC && t->encrypted->waiting == MAGIC_SIZE) {
        return run(t, is_encrypted(t->encrypted) ? EVENT_ENCRYPTED : EVENT_PLAIN, &c);
    }
    if (t->encrypted->state == STATE_HEADER && t->encrypted->waiting == OTTER_ENCRYPTED_HEADER) {
        return run(t, EVENT_OPEN, &c);
    }
    return OTTER_OK;
}

static otter_err sink_finish(void *ctx)
{
    const struct otter_encrypted_transport *t = ctx;
    otter_err err = may_continue(t);
    struct call c = {0};

    if (err == OTTER_OK) {
        err = run(t, EVENT_FINISH, &c);
    }
    return err == OTTER_OK && t->encrypted->state == STATE_CHECKED ? OTTER_ERR_AGAIN : err;
}

static void sink_abort(void *ctx)
{
    const struct otter_encrypted_transport *t = ctx;
    struct call c = {0};

    if (may_continue(t) == OTTER_OK) {
        (void)!run(t, EVENT_ABORT, &c);
    }
}

struct otter_sink otter_encrypted_sink(struct otter_encrypted_transport *transport)
{
    static const struct otter_sink_ops ops = {
        .begin = sink_begin, .write = sink_write, .finish = sink_finish, .abort = sink_abort};

    return (struct otter_sink){.ops = &ops, .ctx = transport};
}

void otter_encrypted_init(struct otter_encrypted *e, struct otter_cipher cipher)
{
    memset(e, 0, sizeof *e);
    e->cipher = cipher;
}
