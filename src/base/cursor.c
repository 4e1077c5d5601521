/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cursor.h"

#include <string.h>

struct otter_reader otter_reader_on(const void *data, size_t len)
{
    return (struct otter_reader){.next = data, .left = len};
}

const uint8_t *otter_read_view(struct otter_reader *r, size_t len)
{
    if (r->bad || len > r->left) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *view = r->next;
    r->next += len;
    r->left -= len;
    return view;
}

/* n is 1, 2 or 4. */
static uint32_t read_le(struct otter_reader *r, unsigned n)
{
    const uint8_t *p = otter_read_view(r, n);
    uint32_t value = 0;

    if (p != NULL) {
        while (n-- > 0) {
            value = value << 8 | p[n];
        }
    }
    return value;
}

uint8_t otter_read_u8(struct otter_reader *r)
{
    return (uint8_t)read_le(r, 1);
}

uint16_t otter_read_u16(struct otter_reader *r)
{
    return (uint16_t)read_le(r, 2);
}

uint32_t otter_read_u32(struct otter_reader *r)
{
    return read_le(r, 4);
}

void otter_read_bytes(struct otter_reader *r, void *out, size_t len)
{
    const uint8_t *p = otter_read_view(r, len);

    if (p != NULL) {
        memcpy(out, p, len);
    } else {
        memset(out, 0, len);
    }
}

void otter_read_skip(struct otter_reader *r, size_t len)
{
    (void)otter_read_view(r, len);
}

otter_err otter_reader_ok(const struct otter_reader *r)
{
    return r->bad ? OTTER_ERR_BOUNDS : OTTER_OK;
}

struct otter_writer otter_writer_on(void *data, size_t len)
{
    return (struct otter_writer){.next = data, .left = len};
}

/* The next len bytes to fill, or NULL. */
static uint8_t *claim(struct otter_writer *w, size_t len)
{
    if (w->bad || len > w->left) {
        w->bad = true;
        return NULL;
    }
    uint8_t *place = w->next;
    w->next += len;
    w->left -= len;
    return place;
}

static void write_le(struct otter_writer *w, uint32_t value, unsigned n)
{
    uint8_t *p = claim(w, n);

    for (unsigned i = 0; p != NULL && i < n; i++) {
        p[i] = (uint8_t)(value >> 8 * i);
    }
}

void otter_write_u8(struct otter_writer *w, uint8_t value)
{
    write_le(w, value, 1);
}

void otter_write_u16(struct otter_writer *w, uint16_t value)
{
    write_le(w, value, 2);
}

void otter_write_u32(struct otter_writer *w, uint32_t value)
{
    write_le(w, value, 4);
}

void otter_write_bytes(struct otter_writer *w, const void *data, size_t len)
{
    uint8_t *p = claim(w, len);

    if (p != NULL && len > 0) {
        memcpy(p, data, len);
    }
}

void otter_write_fill(struct otter_writer *w, uint8_t value, size_t len)
{
    uint8_t *p = claim(w, len);

    if (p != NULL && len > 0) {
        memset(p, value, len);
    }
}

otter_err otter_writer_ok(const struct otter_writer *w)
{
    return w->bad ? OTTER_ERR_BOUNDS : OTTER_OK;
}
