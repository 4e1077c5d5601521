/* SPDX-License-Identifier: Apache-2.0 */
#include "pair/slot.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "base/cursor.h"

#define HEAD 5u
#define TAIL 4u
#define ERASE_UNIT 4096u
#define TRAILING_MAX 16384u

void slot_init(struct slot *slot)
{
    memset(slot, 0, sizeof *slot);
    slot->bytes = calloc(1, SLOT_SIZE);
    if (slot->bytes == NULL) {
        abort();
    }
}

void slot_free(struct slot *slot)
{
    free(slot->bytes);
    slot->bytes = NULL;
}

static void work(struct slot *slot, uint32_t us)
{
    if (slot->sim != NULL) {
        otter_gatt_sim_work(slot->sim, us);
    }
}

static otter_err begin(void *ctx, uint32_t length)
{
    struct slot *slot = ctx;

    slot->open = false;
    if (length == 0 || slot->fail_begin || (length != OTTER_LENGTH_UNKNOWN && length > SLOT_SIZE)) {
        slot->refusals++;
        return length == 0 ? OTTER_ERR_EMPTY : OTTER_ERR_TOO_LARGE;
    }
    slot->begins++;
    slot->length = length;
    slot->written = 0;
    slot->erased = 0;
    slot->finishing = 3;
    slot->boots = SLOT_BOOTS_OLD;
    slot->open = true;
    return OTTER_OK;
}

static otter_err fail(struct slot *slot, otter_err err)
{
    slot->open = false;
    return err;
}

static otter_err write(void *ctx, const uint8_t *data, size_t len, size_t *used)
{
    struct slot *slot = ctx;
    uint32_t step = slot->step > 0 ? slot->step : 1024;

    *used = 0;
    if (!slot->open) {
        return OTTER_ERR_STATE;
    }
    if (slot->length != OTTER_LENGTH_UNKNOWN && len > slot->length - slot->written) {
        return fail(slot, OTTER_ERR_TRAILING);
    }
    if (slot->written == slot->erased) {
        slot->erases++;
        if (slot->written + ERASE_UNIT > SLOT_SIZE) {
            return fail(slot, OTTER_ERR_TOO_LARGE);
        }
        if (slot->fail_erase > 0 && slot->erases >= slot->fail_erase) {
            return fail(slot, OTTER_ERR_FLASH_ERASE);
        }
        memset(slot->bytes + slot->erased, 0xFF, ERASE_UNIT);
        slot->erased += ERASE_UNIT;
        work(slot, slot->erase_us);
        return OTTER_OK;
    }
    uint32_t n = len < step ? (uint32_t)len : step;
    n = n < slot->erased - slot->written ? n : slot->erased - slot->written;
    slot->writes++;
    if (slot->fail_write > 0 && slot->writes >= slot->fail_write) {
        return fail(slot, OTTER_ERR_FLASH_WRITE);
    }
    memcpy(slot->bytes + slot->written, data, n);
    slot->written += n;
    work(slot, slot->write_us);
    *used = n;
    return OTTER_OK;
}

static bool whole(struct slot *slot)
{
    struct otter_reader r = otter_reader_on(slot->bytes, slot->written);
    uint8_t magic = otter_read_u8(&r);
    uint32_t len = otter_read_u32(&r);

    if (magic != 0xE9 || len < HEAD + TAIL || len > slot->written ||
        slot->written - len > TRAILING_MAX) {
        return false;
    }
    r = otter_reader_on(slot->bytes + len - TAIL, TAIL);
    slot->image = len;
    return otter_read_u32(&r) == otter_crc32(0, slot->bytes, len - TAIL);
}

static otter_err finish(void *ctx)
{
    struct slot *slot = ctx;

    if (!slot->open) {
        return OTTER_ERR_STATE;
    }
    if (slot->finishing > 0) {
        slot->finishing--;
        return OTTER_ERR_AGAIN;
    }
    slot->open = false;
    if (slot->length != OTTER_LENGTH_UNKNOWN && slot->written < slot->length) {
        return OTTER_ERR_TRUNCATED;
    }
    if (!whole(slot)) {
        return OTTER_ERR_IMAGE_DIGEST;
    }
    slot->boots = SLOT_BOOTS_NEW;
    return OTTER_OK;
}

static void abort_update(void *ctx)
{
    struct slot *slot = ctx;

    slot->aborts += slot->open;
    slot->open = false;
}

struct otter_sink slot_sink(struct slot *slot)
{
    static const struct otter_sink_ops ops = {begin, write, finish, abort_update};

    return (struct otter_sink){&ops, slot};
}

uint8_t *slot_image(uint32_t len, uint32_t seed)
{
    uint8_t *image = malloc(len);
    struct otter_writer w;

    if (image == NULL) {
        abort();
    }
    for (uint32_t i = 0; i < len; i++) {
        seed = (uint32_t)(seed * 1664525ull + 1013904223u);
        image[i] = (uint8_t)(seed >> 24);
    }
    w = otter_writer_on(image, len);
    otter_write_u8(&w, 0xE9);
    otter_write_u32(&w, len);
    w = otter_writer_on(image + len - TAIL, TAIL);
    otter_write_u32(&w, otter_crc32(0, image, len - TAIL));
    return image;
}

bool slot_holds(const struct slot *slot, const uint8_t *image, uint32_t len)
{
    return slot->boots == SLOT_BOOTS_NEW && slot->image == len &&
           memcmp(slot->bytes, image, len) == 0;
}
