/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signature sector. Input: u32 size of the image, u8 what the port says, then the slot, which
 * is what was written too.
 *
 * Holds: nothing is read outside the slot; what is accepted has a sector right behind the padded
 * image, to the last byte of the slot, with a block that the port was asked about; another digest
 * than the one at the image's end is never selected.
 */
#include "fuzz.h"

#include <string.h>

#include "base/cursor.h"
#include "otter/signature.h"

#define SLOT_MAX 65536u

struct slot {
    const uint8_t *data;
    uint32_t len;
    bool says_yes;
    unsigned asked, selected;
};

static otter_err slot_open(void *ctx, uint32_t length, struct otter_slot_info *info)
{
    *info = (struct otter_slot_info){.size = length, .erase_unit = 1, .write_unit = 1};
    return OTTER_OK;
}

static otter_err slot_write(void *ctx, uint32_t offset, const uint8_t *data, uint32_t len)
{
    return OTTER_OK;
}

static otter_err slot_read(void *ctx, uint32_t offset, uint8_t *buf, uint32_t len)
{
    const struct slot *slot = ctx;

    FUZZ_HOLDS(offset <= slot->len && len <= slot->len - offset);
    memcpy(buf, slot->data + offset, len);
    return OTTER_OK;
}

static otter_err slot_select(void *ctx, const uint8_t digest[OTTER_SHA256_SIZE])
{
    ((struct slot *)ctx)->selected++;
    return OTTER_OK;
}

static otter_err answer(void *ctx)
{
    struct slot *slot = ctx;

    slot->asked++;
    return slot->says_yes ? OTTER_OK : OTTER_ERR_SIGNATURE;
}

static otter_err ask_rsa(void *ctx, const uint8_t modulus[OTTER_RSA_SIZE], uint32_t exponent,
                         const uint8_t signature[OTTER_RSA_SIZE],
                         const uint8_t digest[OTTER_SHA256_SIZE])
{
    return answer(ctx);
}

static otter_err ask_ecdsa(void *ctx, const uint8_t point[OTTER_POINT_SIZE],
                           const uint8_t signature[OTTER_POINT_SIZE],
                           const uint8_t digest[OTTER_SHA256_SIZE])
{
    return answer(ctx);
}

/* The key of the first block is trusted, when there is one. */
static void trust_first(const struct slot *slot, uint32_t size, struct otter_hash hash,
                        uint8_t trusted[OTTER_SHA256_SIZE])
{
    uint32_t place = otter_signature_place(size, slot->len);
    struct otter_signature_block block;

    memset(trusted, 0, OTTER_SHA256_SIZE);
    if (place == 0 || otter_signature_block_read(&block, slot->data + place) != OTTER_OK ||
        block.key == NULL) {
        return;
    }
    FUZZ_HOLDS(block.key > slot->data + place && block.key + block.key_size <= block.signature &&
               block.signature < slot->data + place + OTTER_SIGNATURE_BLOCK_SIZE);
    FUZZ_HOLDS(otter_signature_key_digest(&block, hash, trusted) == OTTER_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct otter_slot_ops ops = {
        .open = slot_open, .write = slot_write, .read = slot_read, .select = slot_select};
    static const struct otter_signature_ops port = {ask_rsa, ask_ecdsa};
    static uint8_t buf[2048];
    struct otter_reader r = otter_reader_on(data, size);
    uint32_t image_size = otter_read_u32(&r);
    struct slot slot = {.says_yes = otter_read_u8(&r) & 1};
    uint8_t trusted[OTTER_SHA256_SIZE], other[OTTER_SHA256_SIZE];
    struct otter_signed_slots s;
    struct otter_slot_info info;
    struct fuzz_hash hash;
    otter_err err;

    if (otter_reader_ok(&r) != OTTER_OK || r.left > SLOT_MAX) {
        return 0;
    }
    slot.data = r.next;
    slot.len = (uint32_t)r.left;
    trust_first(&slot, image_size, fuzz_hash_on(&hash), trusted);
    const struct otter_signed_config config = {.slots = {&ops, &slot},
                                               .hash = fuzz_hash_on(&hash),
                                               .port = {&port, &slot},
                                               .trusted = trusted,
                                               .trusted_count = 1,
                                               .buf = buf,
                                               .buf_size = sizeof buf};
    FUZZ_HOLDS(otter_signed_slots_init(&s, &config) == OTTER_OK);
    struct otter_slots table = otter_signed_slots_table(&s);
    FUZZ_HOLDS(table.ops->open(table.ctx, slot.len, &info) == OTTER_OK);
    FUZZ_HOLDS(table.ops->write(table.ctx, 0, slot.data, slot.len) == OTTER_OK);
    while ((err = table.ops->verify(table.ctx, image_size)) == OTTER_ERR_AGAIN) {
    }
    if (err != OTTER_OK) {
        FUZZ_HOLDS(table.ops->select(table.ctx, trusted) != OTTER_OK && slot.selected == 0);
        return 0;
    }
    FUZZ_HOLDS(slot.says_yes && slot.asked > 0);
    FUZZ_HOLDS(otter_signature_place(image_size, slot.len) + OTTER_SIGNATURE_SECTOR == slot.len);
    memcpy(other, slot.data + image_size - sizeof other, sizeof other);
    FUZZ_HOLDS(table.ops->select(table.ctx, other) == OTTER_OK);
    other[0] ^= 1;
    FUZZ_HOLDS(table.ops->select(table.ctx, other) == OTTER_ERR_FLASH_DIFFERS);
    return 0;
}
