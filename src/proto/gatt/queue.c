/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring holds records, each a header and the value behind it, rounded up to 4 bytes. A value is
 * never split: where it would not fit before the ring's end, a record that says so fills the rest.
 */
#include "otter/gatt_queue.h"

#include <string.h>

#define HELD_MS 20u /* a held write is offered again after this at the latest */

enum kind { WRITE, GONE, SKIP };

struct record {
    uint16_t conn;
    uint16_t len; /* bytes of the value */
    uint8_t kind;
    uint8_t mount;
    uint8_t id;
    uint8_t unused;
};

/* Kept free for records of links that are gone. */
#define KEPT ((OTTER_GATT_QUEUE_CONNECTIONS + 1) * sizeof(struct record))

static uint32_t size_of(size_t len)
{
    return (uint32_t)(sizeof(struct record) + ((len + 3) & ~(size_t)3));
}

static void lock(struct otter_gatt_queue *q)
{
    q->config.lock(q->config.ctx);
}

static void unlock(struct otter_gatt_queue *q)
{
    q->config.unlock(q->config.ctx);
}

otter_err otter_gatt_queue_init(struct otter_gatt_queue *q,
                                const struct otter_gatt_queue_config *config)
{
    if (config->mounts == NULL || config->count == 0 || config->count > OTTER_GATT_QUEUE_MOUNTS ||
        config->buf == NULL || config->buf_size < OTTER_GATT_QUEUE_MIN ||
        config->buf_size > UINT32_MAX / 4 || config->buf_size % 4 != 0 ||
        (uintptr_t)config->buf % 4 != 0 || config->lock == NULL || config->unlock == NULL) {
        return OTTER_ERR_ARG;
    }
    *q = (struct otter_gatt_queue){.config = *config};
    return OTTER_OK;
}

static void put_header(struct otter_gatt_queue *q, uint32_t at, struct record record)
{
    memcpy(q->config.buf + at, &record, sizeof(record));
}

static struct record header_at(const struct otter_gatt_queue *q, uint32_t at)
{
    struct record record;

    memcpy(&record, q->config.buf + at, sizeof(record));
    return record;
}

/* Finds `need` bytes in one piece, leaving `keep` free. False: there are none. Under the lock. */
static bool place(struct otter_gatt_queue *q, uint32_t need, uint32_t keep, uint32_t *at)
{
    uint32_t size = (uint32_t)q->config.buf_size;
    uint32_t tail = (q->head + q->fill) % size;
    uint32_t to_end = size - tail;
    uint32_t skip = need > to_end ? to_end : 0;

    if (size - q->fill < skip + need + keep) {
        return false;
    }
    if (skip > 0) {
        uint16_t len = (uint16_t)(skip < sizeof(struct record) ? 0 : skip - sizeof(struct record));
        /* Fewer bytes than a header are recognised by their place alone. */
        if (skip >= sizeof(struct record)) {
            put_header(q, tail, (struct record){.kind = SKIP, .len = len});
        }
        q->fill += skip;
    }
    *at = skip > 0 ? 0 : tail;
    return true;
}

uint8_t *otter_gatt_queue_reserve(struct otter_gatt_queue *q, size_t len)
{
    bool room = false;

    if (len <= OTTER_GATT_WRITE_MAX) {
        lock(q);
        room = place(q, size_of(len), KEPT, &q->pending);
        unlock(q);
    }
    return room ? q->config.buf + q->pending + sizeof(struct record) : NULL;
}

void otter_gatt_queue_commit(struct otter_gatt_queue *q, uint16_t conn, uint8_t mount, uint8_t id,
                             size_t len)
{
    struct record record = {
        .conn = conn, .len = (uint16_t)len, .kind = WRITE, .mount = mount, .id = id};

    lock(q);
    put_header(q, q->pending, record);
    q->fill += size_of(len);
    unlock(q);
}

void otter_gatt_queue_gone(struct otter_gatt_queue *q, uint16_t conn)
{
    uint32_t at;

    lock(q);
    if (place(q, sizeof(struct record), 0, &at)) {
        put_header(q, at, (struct record){.conn = conn, .kind = GONE});
        q->fill += (uint32_t)sizeof(struct record);
    }
    unlock(q);
}

size_t otter_gatt_queue_read(struct otter_gatt_queue *q, uint8_t mount, uint8_t id, uint8_t *out,
                             size_t cap)
{
    size_t len = 0;

    if (mount < OTTER_GATT_QUEUE_MOUNTS && id < OTTER_GATT_QUEUE_CHARS) {
        lock(q);
        len = q->value[mount][id].len < cap ? q->value[mount][id].len : cap;
        memcpy(out, q->value[mount][id].bytes, len);
        unlock(q);
    }
    return len;
}

/* Bytes from one record to the next. */
static uint32_t step(const struct otter_gatt_queue *q, uint32_t at, struct record *record)
{
    uint32_t to_end = (uint32_t)q->config.buf_size - at;

    if (to_end < sizeof(*record)) {
        *record = (struct record){.kind = SKIP};
        return to_end;
    }
    *record = header_at(q, at);
    return size_of(record->len);
}

static void drop(struct otter_gatt_queue *q, uint32_t bytes)
{
    q->head = (q->head + bytes) % (uint32_t)q->config.buf_size;
    q->fill -= bytes;
}

/* The oldest record. False: there is none. */
static bool oldest(struct otter_gatt_queue *q, struct record *record, uint32_t *at)
{
    bool found = false;

    lock(q);
    while (!found && q->fill > 0) {
        *at = q->head;
        uint32_t bytes = step(q, *at, record);
        found = record->kind != SKIP;
        if (!found) {
            drop(q, bytes);
        }
    }
    unlock(q);
    return found;
}

/* Further back in the ring its link is reported gone: nobody waits for this write. */
static bool link_gone(struct otter_gatt_queue *q, uint16_t conn)
{
    bool gone = false;

    lock(q);
    for (uint32_t done = 0; done < q->fill && !gone;) {
        struct record record;
        done += step(q, (q->head + done) % (uint32_t)q->config.buf_size, &record);
        gone = record.kind == GONE && record.conn == conn;
    }
    unlock(q);
    return gone;
}

/* Hands over one record. False: it is held. */
static bool deliver(struct otter_gatt_queue *q, const struct record *record, uint32_t at)
{
    const struct otter_gatt_mount *mounts = q->config.mounts;

    if (record->kind == GONE) {
        for (uint8_t i = 0; i < q->config.count; i++) {
            mounts[i].ops->disconnected(mounts[i].service, record->conn);
        }
    } else if (record->mount < q->config.count) {
        const struct otter_gatt_mount *m = &mounts[record->mount];
        const uint8_t *value = q->config.buf + at + sizeof(*record);
        if (m->ops->write(m->service, record->conn, record->id, value, record->len) ==
                OTTER_ATT_HOLD &&
            !link_gone(q, record->conn)) {
            return false;
        }
    }
    lock(q);
    drop(q, size_of(record->len));
    unlock(q);
    return true;
}

static void note_values(struct otter_gatt_queue *q, uint8_t mount)
{
    const struct otter_gatt_mount *m = &q->config.mounts[mount];

    for (uint8_t i = 0; i < m->table->count; i++) {
        const struct otter_gatt_char *chr = &m->table->chars[i];
        uint8_t bytes[OTTER_GATT_QUEUE_VALUE];
        if ((chr->props & OTTER_GATT_READ) == 0 || chr->id >= OTTER_GATT_QUEUE_CHARS) {
            continue;
        }
        size_t len = m->ops->read(m->service, chr->id, bytes, sizeof(bytes));
        lock(q);
        q->value[mount][chr->id].len = (uint8_t)len;
        memcpy(q->value[mount][chr->id].bytes, bytes, len);
        unlock(q);
    }
}

uint32_t otter_gatt_queue_run(struct otter_gatt_queue *q, uint32_t now_ms, bool *taken)
{
    uint32_t wait = OTTER_GATT_NEVER;
    struct record record;
    uint32_t at;
    bool some = oldest(q, &record, &at);

    *taken = some && deliver(q, &record, at);
    for (uint8_t i = 0; i < q->config.count; i++) {
        const struct otter_gatt_mount *m = &q->config.mounts[i];
        uint32_t ms = m->ops->poll(m->service, now_ms);
        wait = ms < wait ? ms : wait;
        note_values(q, i);
    }
    if (some) {
        uint32_t most = *taken ? 0 : HELD_MS;
        wait = most < wait ? most : wait;
    }
    return wait;
}
