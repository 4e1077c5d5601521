/* SPDX-License-Identifier: Apache-2.0 */
/* Slots that select only what is signed: see include/otter/signature.h. */
#include <string.h>

#include "otter/signature.h"
#include "secure/bytes.h"

/* ---- what is passed on -------------------------------------------------------------------- */

static otter_err signed_open(void *ctx, uint32_t length, struct otter_slot_info *info)
{
    struct otter_signed_slots *s = ctx;
    otter_err err = s->config.slots.ops->open(s->config.slots.ctx, length, info);

    memset(&s->slot_size, 0, sizeof *s - offsetof(struct otter_signed_slots, slot_size));
    s->slot_size = err == OTTER_OK ? info->size : 0;
    return err;
}

static otter_err signed_erase(void *ctx, uint32_t offset)
{
    struct otter_signed_slots *s = ctx;

    s->verified = false;
    return s->config.slots.ops->erase(s->config.slots.ctx, offset);
}

static otter_err signed_write(void *ctx, uint32_t offset, const uint8_t *data, uint32_t len)
{
    struct otter_signed_slots *s = ctx;

    if (offset > s->slot_size || len > s->slot_size - offset) {
        return OTTER_ERR_FLASH_WRITE;
    }
    s->verified = false;
    s->written = offset + len > s->written ? offset + len : s->written;
    return s->config.slots.ops->write(s->config.slots.ctx, offset, data, len);
}

static otter_err signed_read(void *ctx, uint32_t offset, uint8_t *buf, uint32_t len)
{
    struct otter_signed_slots *s = ctx;

    return s->config.slots.ops->read(s->config.slots.ctx, offset, buf, len);
}

static void signed_close(void *ctx)
{
    struct otter_signed_slots *s = ctx;

    s->verified = false;
    if (s->config.slots.ops->close != NULL) {
        s->config.slots.ops->close(s->config.slots.ctx);
    }
}

static otter_err signed_state(void *ctx, enum otter_boot_state *state)
{
    struct otter_signed_slots *s = ctx;

    return s->config.slots.ops->state(s->config.slots.ctx, state);
}

static otter_err signed_mark(void *ctx, bool valid)
{
    struct otter_signed_slots *s = ctx;

    return s->config.slots.ops->mark(s->config.slots.ctx, valid);
}

/* ---- verify ------------------------------------------------------------------------------- */

/* Keeps what of the bytes at `at` belongs to the SHA-256 at the image's end. */
static void keep_image_digest(struct otter_signed_slots *s, uint32_t at, uint32_t len,
                              uint32_t size)
{
    uint32_t first = size - OTTER_SHA256_SIZE;

    for (uint32_t i = at > first ? at : first; i < at + len && i < size; i++) {
        s->image[i - first] = s->config.buf[i - at];
    }
}

/* One buffer of what is covered. */
static otter_err digest_step(struct otter_signed_slots *s, uint32_t size, uint32_t sector)
{
    const struct otter_signed_config *c = &s->config;
    uint32_t left = sector - s->checked;
    uint32_t n = left < c->buf_size ? left : (uint32_t)c->buf_size;
    otter_err err = s->checked == 0 ? c->hash.ops->start(c->hash.ctx) : OTTER_OK;

    if (err == OTTER_OK) {
        err = signed_read(s, s->checked, c->buf, n);
    }
    if (err == OTTER_OK) {
        err = c->hash.ops->update(c->hash.ctx, c->buf, n);
    }
    if (err != OTTER_OK) {
        return err;
    }
    keep_image_digest(s, s->checked, n, size);
    s->checked += n;
    if (s->checked == sector) {
        err = c->hash.ops->finish(c->hash.ctx, s->covered);
    }
    return err != OTTER_OK ? err : OTTER_ERR_AGAIN;
}

static bool trusts(const struct otter_signed_config *c, const uint8_t digest[OTTER_SHA256_SIZE])
{
    for (size_t i = 0; i < c->trusted_count; i++) {
        if (memcmp(c->trusted + i * OTTER_SHA256_SIZE, digest, OTTER_SHA256_SIZE) == 0) {
            return true;
        }
    }
    return false;
}

static otter_err check_block(struct otter_signed_slots *s, const struct otter_signature_block *b)
{
    uint8_t digest[OTTER_SHA256_SIZE];

    if (b->kind == OTTER_SIGNATURE_NONE) {
        s->blank = true;
        return OTTER_OK;
    }
    if (s->blank) {
        return OTTER_ERR_SIGNATURE_FORMAT;
    }
    if (b->kind == OTTER_SIGNATURE_OTHER) {
        s->foreign = true;
        return OTTER_OK;
    }
    otter_err err = otter_signature_key_digest(b, s->config.hash, digest);
    if (err != OTTER_OK) {
        return err;
    }
    if (!trusts(&s->config, digest)) {
        s->foreign = true;
        return OTTER_OK;
    }
    err = otter_signature_block_check(b, s->config.port, s->covered);
    s->trusted |= err == OTTER_OK;
    return err;
}

/* One block, or at last the rest of the sector. */
static otter_err sector_step(struct otter_signed_slots *s, uint32_t sector)
{
    uint32_t at = s->checked - sector;
    uint32_t left = OTTER_SIGNATURE_SECTOR - at;
    uint32_t n = left < OTTER_SIGNATURE_BLOCK_SIZE ? left : OTTER_SIGNATURE_BLOCK_SIZE;
    struct otter_signature_block block;
    otter_err err = signed_read(s, s->checked, s->config.buf, n);

    if (err != OTTER_OK) {
        return err;
    }
    if (n < OTTER_SIGNATURE_BLOCK_SIZE) {
        err = otter_all_bytes(s->config.buf, n, 0xFF) ? OTTER_OK : OTTER_ERR_SIGNATURE_FORMAT;
    } else {
        err = otter_signature_block_read(&block, s->config.buf);
        if (err == OTTER_OK) {
            err = check_block(s, &block);
        }
    }
    s->checked += n;
    return err != OTTER_OK ? err : OTTER_ERR_AGAIN;
}

static otter_err signed_verify(void *ctx, uint32_t size)
{
    struct otter_signed_slots *s = ctx;
    const struct otter_slots *behind = &s->config.slots;
    uint32_t sector = otter_signature_place(size, s->slot_size);

    if (sector == 0 || size < OTTER_SHA256_SIZE || s->written < sector + OTTER_SIGNATURE_SECTOR) {
        return OTTER_ERR_UNSIGNED;
    }
    if (s->written > sector + OTTER_SIGNATURE_SECTOR) {
        return OTTER_ERR_TRAILING;
    }
    if (s->checked < sector) {
        return digest_step(s, size, sector);
    }
    if (s->checked < sector + OTTER_SIGNATURE_SECTOR) {
        return sector_step(s, sector);
    }
    if (!s->trusted) {
        return s->foreign ? OTTER_ERR_SIGNATURE_KEY : OTTER_ERR_UNSIGNED;
    }
    otter_err err = behind->ops->verify != NULL ? behind->ops->verify(behind->ctx, size) : OTTER_OK;
    s->verified = err == OTTER_OK;
    return err;
}

static otter_err signed_select(void *ctx, const uint8_t digest[OTTER_SHA256_SIZE])
{
    struct otter_signed_slots *s = ctx;

    if (!s->verified) {
        return OTTER_ERR_UNSIGNED;
    }
    if (memcmp(s->image, digest, OTTER_SHA256_SIZE) != 0) {
        return OTTER_ERR_FLASH_DIFFERS;
    }
    return s->config.slots.ops->select(s->config.slots.ctx, digest);
}

/* ---- public ------------------------------------------------------------------------------- */

otter_err otter_signed_slots_init(struct otter_signed_slots *s,
                                  const struct otter_signed_config *config)
{
    if (config->slots.ops == NULL || config->hash.ops == NULL || config->port.ops == NULL ||
        config->trusted == NULL || config->trusted_count == 0 || config->buf == NULL ||
        config->buf_size < OTTER_SIGNATURE_BLOCK_SIZE || config->buf_size > UINT32_MAX) {
        return OTTER_ERR_ARG;
    }
    memset(s, 0, sizeof *s);
    s->config = *config;
    return OTTER_OK;
}

struct otter_slots otter_signed_slots_table(struct otter_signed_slots *s)
{
    static const struct otter_slot_ops ops = {
        .open = signed_open,
        .erase = signed_erase,
        .write = signed_write,
        .read = signed_read,
        .verify = signed_verify,
        .select = signed_select,
        .close = signed_close,
        .state = signed_state,
        .mark = signed_mark,
    };

    return (struct otter_slots){.ops = &ops, .ctx = s};
}
