/* SPDX-License-Identifier: Apache-2.0 */
#include "port/flash/flash_slots.h"

#include <stddef.h>
#include <string.h>

#include "otter/image.h"
#include "otter/otadata.h"
#include "otter/sink.h"

void otter_flash_slots_init(struct otter_flash_slots *slots)
{
    slots->target = OTTER_SLOT_NONE;
}

int otter_flash_slots_next(const struct otter_flash_slots *slots)
{
    const int count = slots->layout.ota_slots;

    if (count == 0) {
        return OTTER_SLOT_NONE;
    }
    const int next = slots->running < 0 ? 0 : (slots->running + 1) % count;
    return next != slots->running ? next : OTTER_SLOT_NONE;
}

otter_err otter_flash_verify(const struct otter_flash *flash, struct otter_region region,
                             struct otter_hash hash, uint8_t *buf, uint32_t buf_size,
                             struct otter_image_facts *facts)
{
    struct otter_image image;
    otter_err err = otter_image_begin(&image, hash, region.size);

    for (uint32_t at = 0; err == OTTER_OK && at < region.size && !otter_image_done(&image);) {
        const uint32_t left = region.size - at;
        const uint32_t len = left < buf_size ? left : buf_size;
        err = flash->ops->read(flash->ctx, region.offset + at, buf, len);
        if (err == OTTER_OK) {
            err = otter_image_feed(&image, buf, len);
        }
        at += len;
    }
    if (err == OTTER_OK) {
        err = otter_image_end(&image);
    }
    *facts = image.facts;
    return err;
}

static otter_err read_otadata(const struct otter_flash_slots *slots, struct otter_otadata *data)
{
    return otter_layout_read_otadata(&slots->layout, &slots->flash, data);
}

/* The slot the bootloader tries first. */
static int selected_slot(const struct otter_flash_slots *slots, const struct otter_otadata *data)
{
    int order[OTTER_BOOT_ORDER_MAX];

    return otter_layout_boot_order(&slots->layout, data, order, NULL) != 0 ? order[0]
                                                                           : OTTER_SLOT_NONE;
}

/* The running image is on its first boot and has not confirmed. */
static bool pending(const struct otter_flash_slots *slots, const struct otter_otadata *data)
{
    const int active = otter_otadata_active(data);

    return slots->rollback && active >= 0 &&
           data->copy[active].state == OTTER_OTADATA_PENDING_VERIFY &&
           selected_slot(slots, data) == slots->running;
}

/*
 * Erases a copy that counts, and only that. One that is INVALID or ABORTED does no harm as it is;
 * where it cannot be spoilt (a large write unit), an erase that is cut may bring it back, and with
 * it an image that was refused. select() replaces it once the new image stands in that slot.
 */
static otter_err drop_copy(const struct otter_flash_slots *slots, const struct otter_otadata *data,
                           int copy)
{
    struct otter_otadata after;

    if (!otter_otadata_entry_valid(&data->copy[copy])) {
        return OTTER_OK;
    }
    otter_err err = otter_layout_erase_otadata(&slots->layout, &slots->flash, copy);
    if (err == OTTER_OK) {
        err = read_otadata(slots, &after);
    }
    if (err == OTTER_OK && otter_otadata_entry_valid(&after.copy[copy])) {
        err = OTTER_ERR_FLASH_DIFFERS;
    }
    return err;
}

static bool seq_left(const struct otter_flash_slots *slots, const struct otter_otadata *data,
                     int target)
{
    struct otter_otadata_plan plan;

    return otter_otadata_plan_select(data, (uint8_t)target, slots->layout.ota_slots,
                                     OTTER_OTADATA_NEW, &plan) == OTTER_OK;
}

/* Carries a plan out and makes sure it is there: the next step may rely on it. */
static otter_err write_plan(const struct otter_flash_slots *slots,
                            const struct otter_otadata_plan *plan)
{
    struct otter_otadata data;
    otter_err err = otter_layout_write_otadata(&slots->layout, &slots->flash, plan);

    if (err == OTTER_OK) {
        err = read_otadata(slots, &data);
    }
    if (err != OTTER_OK) {
        return err;
    }
    const struct otter_otadata_entry *there = &data.copy[plan->copy];
    const bool same = there->seq == plan->entry.seq && there->state == plan->entry.state &&
                      there->crc == plan->entry.crc;
    return same ? OTTER_OK : OTTER_ERR_FLASH_DIFFERS;
}

/*
 * Makes otadata select the running slot and nothing else, by an entry with the lowest seq.
 *
 * Until the copy that misled is erased, either both say the same or the bootloader falls back as
 * it did before, because no image has changed yet: the running slot boots at every instant.
 */
static otter_err select_running(const struct otter_flash_slots *slots,
                                const struct otter_otadata *data)
{
    struct otter_otadata_plan plan = {.copy = otter_otadata_active(data) == 0 ? 1 : 0};
    otter_err err = OTTER_OK;

    if (slots->running >= 0) {
        plan.entry.seq = (uint32_t)slots->running + 1u;
        plan.entry.state = OTTER_OTADATA_VALID;
        plan.entry.crc = otter_otadata_crc(plan.entry.seq);
        memset(plan.entry.label, 0xFF, sizeof(plan.entry.label));
        err = write_plan(slots, &plan);
    } else {
        err = drop_copy(slots, data, plan.copy);
    }
    if (err == OTTER_OK) {
        err = drop_copy(slots, data, plan.copy == 0 ? 1 : 0);
    }
    return err;
}

/* Only a copy that selects the running slot may count while the other slot is rewritten. */
static otter_err prepare_otadata(const struct otter_flash_slots *slots, int target)
{
    struct otter_otadata data;
    const otter_err err = read_otadata(slots, &data);

    if (err != OTTER_OK) {
        return err;
    }
    if (pending(slots, &data)) {
        return OTTER_ERR_PENDING;
    }
    /* The test app is the bootloader's last resort; otadata cannot select it. */
    const bool misled =
        slots->running != OTTER_SLOT_TEST && selected_slot(slots, &data) != slots->running;
    if (misled || !seq_left(slots, &data, target)) {
        return select_running(slots, &data);
    }
    const int active = otter_otadata_active(&data);
    return active < 0 ? OTTER_OK : drop_copy(slots, &data, active == 0 ? 1 : 0);
}

static otter_err slots_open(void *ctx, uint32_t length, struct otter_slot_info *info)
{
    struct otter_flash_slots *slots = ctx;
    const int target = otter_flash_slots_next(slots);
    const struct otter_region region = otter_layout_slot(&slots->layout, target);

    if (slots->layout.otadata.size == 0) {
        return OTTER_ERR_NO_OTADATA;
    }
    if (region.size == 0) {
        return OTTER_ERR_NO_SLOT;
    }
    if (length != OTTER_LENGTH_UNKNOWN && length > region.size) {
        return OTTER_ERR_TOO_LARGE;
    }
    const otter_err err = prepare_otadata(slots, target);
    if (err != OTTER_OK) {
        return err;
    }
    info->size = region.size;
    info->erase_unit = slots->flash.erase_unit;
    info->write_unit = slots->flash.write_unit;
    slots->target = target;
    return OTTER_OK;
}

/* The flash address of a piece of the opened slot. */
static otter_err locate(const struct otter_flash_slots *slots, uint32_t offset, uint32_t len,
                        uint32_t *address)
{
    const struct otter_region region = otter_layout_slot(&slots->layout, slots->target);

    if (region.size == 0) {
        return OTTER_ERR_STATE;
    }
    if (len > region.size || offset > region.size - len) {
        return OTTER_ERR_BOUNDS;
    }
    *address = region.offset + offset;
    return OTTER_OK;
}

static otter_err slots_erase(void *ctx, uint32_t offset)
{
    const struct otter_flash_slots *slots = ctx;
    uint32_t address;
    const otter_err err = locate(slots, offset, slots->flash.erase_unit, &address);

    return err != OTTER_OK ? err : slots->flash.ops->erase(slots->flash.ctx, address);
}

static otter_err slots_write(void *ctx, uint32_t offset, const uint8_t *data, uint32_t len)
{
    const struct otter_flash_slots *slots = ctx;
    uint32_t address;
    const otter_err err = locate(slots, offset, len, &address);

    return err != OTTER_OK ? err : slots->flash.ops->program(slots->flash.ctx, address, data, len);
}

static otter_err slots_read(void *ctx, uint32_t offset, uint8_t *buf, uint32_t len)
{
    const struct otter_flash_slots *slots = ctx;
    uint32_t address;
    const otter_err err = locate(slots, offset, len, &address);

    return err != OTTER_OK ? err : slots->flash.ops->read(slots->flash.ctx, address, buf, len);
}

static otter_err verify_slot(const struct otter_flash_slots *slots, int slot,
                             struct otter_image_facts *facts)
{
    return otter_flash_verify(&slots->flash, otter_layout_slot(&slots->layout, slot), slots->hash,
                              slots->buf, slots->buf_size, facts);
}

static otter_err slots_select(void *ctx, const uint8_t digest[OTTER_SHA256_SIZE])
{
    const struct otter_flash_slots *slots = ctx;
    struct otter_image_facts facts;
    struct otter_otadata data;
    struct otter_otadata_plan plan;

    if (slots->target == OTTER_SLOT_NONE) {
        return OTTER_ERR_STATE;
    }
    otter_err err = verify_slot(slots, slots->target, &facts);
    if (err == OTTER_OK && memcmp(facts.digest, digest, OTTER_SHA256_SIZE) != 0) {
        err = OTTER_ERR_FLASH_DIFFERS;
    }
    if (err == OTTER_OK) {
        err = read_otadata(slots, &data);
    }
    if (err == OTTER_OK) {
        err = otter_otadata_plan_select(
            &data, (uint8_t)slots->target, slots->layout.ota_slots,
            slots->rollback ? (uint32_t)OTTER_OTADATA_NEW : OTTER_OTADATA_UNDEFINED, &plan);
    }
    if (err != OTTER_OK) {
        return err;
    }
    err = write_plan(slots, &plan);
    if (err != OTTER_OK) {
        /* Reported as failed, so it should not boot; if this fails too, what boots is whole. */
        const otter_err undone =
            otter_layout_erase_otadata(&slots->layout, &slots->flash, plan.copy);
        (void)undone;
    }
    return err;
}

static void slots_close(void *ctx)
{
    struct otter_flash_slots *slots = ctx;

    slots->target = OTTER_SLOT_NONE;
}

static otter_err slots_state(void *ctx, enum otter_boot_state *state)
{
    const struct otter_flash_slots *slots = ctx;
    struct otter_otadata data;

    *state = OTTER_BOOT_CONFIRMED;
    if (slots->layout.otadata.size == 0) {
        return OTTER_OK;
    }
    const otter_err err = read_otadata(slots, &data);
    if (err == OTTER_OK && pending(slots, &data)) {
        *state = OTTER_BOOT_PENDING;
    }
    return err;
}

/* Once the running image is given up, does the bootloader boot another one? */
static otter_err find_fallback(const struct otter_flash_slots *slots, struct otter_otadata *after)
{
    struct otter_image_facts facts;
    int order[OTTER_BOOT_ORDER_MAX];

    for (int i = 0; i < 2; i++) { /* as the bootloader does first */
        if (slots->rollback && after->copy[i].state == OTTER_OTADATA_PENDING_VERIFY) {
            after->copy[i].state = OTTER_OTADATA_ABORTED;
        }
    }

    const uint8_t count = otter_layout_boot_order(&slots->layout, after, order, NULL);
    for (uint8_t i = 0; i < count; i++) {
        const otter_err err = verify_slot(slots, order[i], &facts);
        if (err == OTTER_OK) {
            return order[i] != slots->running ? OTTER_OK : OTTER_ERR_NO_FALLBACK;
        }
        if (err == OTTER_ERR_FLASH_READ) {
            return err;
        }
    }
    return OTTER_ERR_NO_FALLBACK;
}

static otter_err slots_mark(void *ctx, bool valid)
{
    const struct otter_flash_slots *slots = ctx;
    struct otter_otadata data;
    struct otter_otadata_plan plan;
    otter_err err = read_otadata(slots, &data);

    if (err == OTTER_OK) {
        err = otter_otadata_plan_mark(&data, valid, &plan);
    }
    if (err != OTTER_OK) {
        return err;
    }
    if (selected_slot(slots, &data) != slots->running) {
        return OTTER_ERR_STATE;
    }
    if (data.copy[plan.copy].state == plan.entry.state) {
        return OTTER_OK;
    }
    if (!valid) {
        data.copy[plan.copy] = plan.entry;
        err = find_fallback(slots, &data);
        if (err != OTTER_OK) {
            return err;
        }
    }
    return write_plan(slots, &plan);
}

struct otter_slots otter_flash_slots_table(struct otter_flash_slots *slots)
{
    static const struct otter_slot_ops ops = {.open = slots_open,
                                              .erase = slots_erase,
                                              .write = slots_write,
                                              .read = slots_read,
                                              .select = slots_select,
                                              .close = slots_close,
                                              .state = slots_state,
                                              .mark = slots_mark};

    return (struct otter_slots){.ops = &ops, .ctx = slots};
}

otter_err otter_flash_slots_rejected(const struct otter_flash_slots *slots, int *slot)
{
    struct otter_otadata data;
    const otter_err err = read_otadata(slots, &data);
    uint32_t newest = 0;

    *slot = OTTER_SLOT_NONE;
    if (err != OTTER_OK || slots->layout.ota_slots == 0) {
        return err;
    }
    for (int i = 0; i < 2; i++) {
        const struct otter_otadata_entry *e = &data.copy[i];
        const bool rejected =
            e->state == OTTER_OTADATA_INVALID || e->state == OTTER_OTADATA_ABORTED;
        if (rejected && e->seq != OTTER_OTADATA_SEQ_NONE && e->crc == otter_otadata_crc(e->seq) &&
            e->seq >= newest) {
            newest = e->seq;
            *slot = otter_otadata_slot(e->seq, slots->layout.ota_slots);
        }
    }
    return OTTER_OK;
}
