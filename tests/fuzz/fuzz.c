/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#define FNV_START 0x811C9DC5u
#define FNV_PRIME 0x01000193u

_Noreturn void fuzz_broken(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    abort();
}

static uint32_t fnv(uint32_t state, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        state = (uint32_t)((uint64_t)(state ^ data[i]) * FNV_PRIME);
    }
    return state;
}

static void spread(uint32_t state, uint8_t *digest, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        digest[i] = (uint8_t)(state >> i % 4 * 8 ^ i);
    }
}

static otter_err hash_start(void *ctx)
{
    ((struct fuzz_hash *)ctx)->state = FNV_START;
    return OTTER_OK;
}

static otter_err hash_update(void *ctx, const uint8_t *data, size_t len)
{
    struct fuzz_hash *hash = ctx;

    hash->state = fnv(hash->state, data, len);
    return OTTER_OK;
}

static otter_err hash_finish(void *ctx, uint8_t digest[OTTER_SHA256_SIZE])
{
    spread(((struct fuzz_hash *)ctx)->state, digest, OTTER_SHA256_SIZE);
    return OTTER_OK;
}

struct otter_hash fuzz_hash_on(struct fuzz_hash *hash)
{
    static const struct otter_hash_ops ops = {hash_start, hash_update, hash_finish};

    return (struct otter_hash){.ops = &ops, .ctx = hash};
}

otter_err fuzz_md5(const uint8_t *data, size_t len, uint8_t digest[16])
{
    spread(fnv(FNV_START, data, len), digest, 16);
    return OTTER_OK;
}

uint32_t fuzz_next(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}
