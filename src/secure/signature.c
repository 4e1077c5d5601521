/* SPDX-License-Identifier: Apache-2.0 */
/* One signature block. The layout is drawn in include/otter/signature.h. */
#include "otter/signature.h"

#include <string.h>

#include "base/crc.h"
#include "base/cursor.h"
#include "secure/bytes.h"

enum { VERSION_RSA = 2, VERSION_ECDSA = 3, CURVE_P256 = 2 };

#define CHECKED_SIZE 1196u /* bytes of a block that its CRC covers */
#define RSA_KEY_SIZE (2u * OTTER_RSA_SIZE + 8u)
#define POINT_KEY_SIZE (1u + OTTER_POINT_SIZE)

static void read_rsa(struct otter_signature_block *block, struct otter_reader *r)
{
    block->kind = OTTER_SIGNATURE_RSA;
    block->key = otter_read_view(r, RSA_KEY_SIZE);
    block->key_size = RSA_KEY_SIZE;
    block->signature = otter_read_view(r, OTTER_RSA_SIZE);
}

static void read_ecdsa(struct otter_signature_block *block, struct otter_reader *r)
{
    block->kind = OTTER_SIGNATURE_ECDSA;
    block->key = otter_read_view(r, POINT_KEY_SIZE);
    block->key_size = POINT_KEY_SIZE;
    block->signature = otter_read_view(r, OTTER_POINT_SIZE);
}

otter_err otter_signature_block_read(struct otter_signature_block *block,
                                     const uint8_t raw[OTTER_SIGNATURE_BLOCK_SIZE])
{
    struct otter_reader r = otter_reader_on(raw, CHECKED_SIZE);
    struct otter_reader end =
        otter_reader_on(raw + CHECKED_SIZE, OTTER_SIGNATURE_BLOCK_SIZE - CHECKED_SIZE);

    memset(block, 0, sizeof *block);
    if (otter_all_bytes(raw, OTTER_SIGNATURE_BLOCK_SIZE, 0xFF)) {
        block->kind = OTTER_SIGNATURE_NONE;
        return OTTER_OK;
    }
    if (otter_read_u8(&r) != OTTER_SIGNATURE_MAGIC ||
        otter_read_u32(&end) != otter_crc32(0, raw, CHECKED_SIZE) ||
        !otter_all_bytes(end.next, end.left, 0)) {
        return OTTER_ERR_SIGNATURE_FORMAT;
    }
    uint8_t version = otter_read_u8(&r);
    uint8_t hash = otter_read_u8(&r);
    otter_read_skip(&r, 1);
    block->kind = OTTER_SIGNATURE_OTHER;
    block->digest = otter_read_view(&r, OTTER_SHA256_SIZE);
    if (version == VERSION_RSA) {
        read_rsa(block, &r);
    } else if (version == VERSION_ECDSA && hash == 0 && *r.next == CURVE_P256) {
        read_ecdsa(block, &r);
    }
    return otter_reader_ok(&r);
}

otter_err otter_signature_key_digest(const struct otter_signature_block *block,
                                     struct otter_hash hash, uint8_t digest[OTTER_SHA256_SIZE])
{
    otter_err err = hash.ops->start(hash.ctx);

    if (err == OTTER_OK) {
        err = hash.ops->update(hash.ctx, block->key, block->key_size);
    }
    return err == OTTER_OK ? hash.ops->finish(hash.ctx, digest) : err;
}

otter_err otter_signature_block_check(const struct otter_signature_block *block,
                                      struct otter_signature_port port,
                                      const uint8_t digest[OTTER_SHA256_SIZE])
{
    if (block->kind != OTTER_SIGNATURE_RSA && block->kind != OTTER_SIGNATURE_ECDSA) {
        return OTTER_ERR_ARG;
    }
    if (memcmp(block->digest, digest, OTTER_SHA256_SIZE) != 0) {
        return OTTER_ERR_SIGNATURE;
    }
    if (block->kind == OTTER_SIGNATURE_ECDSA) {
        return port.ops->ecdsa(port.ctx, block->key + 1, block->signature, digest);
    }
    struct otter_reader r = otter_reader_on(block->key, block->key_size);
    const uint8_t *modulus = otter_read_view(&r, OTTER_RSA_SIZE);
    uint32_t exponent = otter_read_u32(&r);
    return port.ops->rsa(port.ctx, modulus, exponent, block->signature, digest);
}

uint32_t otter_signature_place(uint32_t size, uint32_t limit)
{
    uint32_t over = size % OTTER_SIGNATURE_SECTOR;
    uint32_t fill = over > 0 ? OTTER_SIGNATURE_SECTOR - over : 0;

    if (size == 0 || size > limit || limit - size < fill + OTTER_SIGNATURE_SECTOR) {
        return 0;
    }
    return size + fill;
}
