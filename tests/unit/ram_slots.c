/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/ram_slots.h"

#include <string.h>

void ram_slots_init(struct ram_slots *s)
{
    memset(s, 0, sizeof *s);
    s->info = (struct otter_slot_info){RAM_SLOT_SIZE, 0x1000, 4};
    memset(s->mem, 0x5A, sizeof s->mem);
}

/* Counts down to the failure that a test asked for. */
static bool fails(unsigned *countdown)
{
    return *countdown > 0 && --*countdown == 0;
}

static otter_err ram_open(void *ctx, uint32_t length, struct otter_slot_info *info)
{
    struct ram_slots *s = ctx;

    if (s->boot == OTTER_BOOT_PENDING) {
        return OTTER_ERR_PENDING;
    }
    s->opens++;
    *info = s->info;
    return OTTER_OK;
}

static otter_err ram_erase(void *ctx, uint32_t offset)
{
    struct ram_slots *s = ctx;

    s->erases++;
    s->step_erases++;
    if (s->step_erases > s->most_erases_a_step) {
        s->most_erases_a_step = s->step_erases;
    }
    if (fails(&s->fail_erase)) {
        return OTTER_ERR_FLASH_ERASE;
    }
    if (offset % s->info.erase_unit != 0 || offset >= s->info.size) {
        s->broke_rules = true;
    } else if (!s->silent_erases) {
        memset(s->mem + offset, 0xFF, s->info.erase_unit);
    }
    return OTTER_OK;
}

static otter_err ram_write(void *ctx, uint32_t offset, const uint8_t *data, uint32_t len)
{
    struct ram_slots *s = ctx;

    s->writes++;
    if (fails(&s->fail_write)) {
        return OTTER_ERR_FLASH_WRITE;
    }
    if (offset % s->info.write_unit != 0 || len % s->info.write_unit != 0 ||
        len > s->info.size - offset) {
        s->broke_rules = true;
        return OTTER_OK;
    }
    for (uint32_t i = 0; i < len && !s->silent_writes; i++) {
        s->broke_rules |= !s->silent_erases && (data[i] & ~s->mem[offset + i]) != 0;
        s->mem[offset + i] &= data[i];
    }
    return OTTER_OK;
}

static otter_err ram_read(void *ctx, uint32_t offset, uint8_t *buf, uint32_t len)
{
    struct ram_slots *s = ctx;

    s->reads++;
    if (fails(&s->fail_read)) {
        return OTTER_ERR_FLASH_READ;
    }
    memcpy(buf, s->mem + offset, len);
    return OTTER_OK;
}

static otter_err ram_verify(void *ctx, uint32_t size)
{
    return ((struct ram_slots *)ctx)->verify_result;
}

static otter_err ram_select(void *ctx, const uint8_t digest[OTTER_SHA256_SIZE])
{
    struct ram_slots *s = ctx;

    s->selects++;
    s->selected = s->select_result == OTTER_OK;
    memcpy(s->selected_digest, digest, OTTER_SHA256_SIZE);
    return s->select_result;
}

static void ram_close(void *ctx)
{
    ((struct ram_slots *)ctx)->closes++;
}

static otter_err ram_state(void *ctx, enum otter_boot_state *state)
{
    *state = ((struct ram_slots *)ctx)->boot;
    return OTTER_OK;
}

static otter_err ram_mark(void *ctx, bool valid)
{
    struct ram_slots *s = ctx;

    if (s->mark_result == OTTER_OK) {
        s->marked = true;
        s->marked_valid = valid;
        s->boot = OTTER_BOOT_CONFIRMED;
    }
    return s->mark_result;
}

struct otter_slots ram_slots_table(struct ram_slots *slots)
{
    static const struct otter_slot_ops ops = {
        .open = ram_open,
        .erase = ram_erase,
        .write = ram_write,
        .read = ram_read,
        .verify = ram_verify,
        .select = ram_select,
        .close = ram_close,
        .state = ram_state,
        .mark = ram_mark,
    };
    return (struct otter_slots){.ops = &ops, .ctx = slots};
}
