/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

static otter_err start(void *ctx)
{
    struct otter_idf_hash *hash = ctx;

    if (psa_hash_abort(&hash->operation) != PSA_SUCCESS) {
        return OTTER_ERR_HASH;
    }
    hash->operation = psa_hash_operation_init();
    return psa_hash_setup(&hash->operation, PSA_ALG_SHA_256) == PSA_SUCCESS ? OTTER_OK
                                                                            : OTTER_ERR_HASH;
}

static otter_err update(void *ctx, const uint8_t *data, size_t len)
{
    struct otter_idf_hash *hash = ctx;

    return psa_hash_update(&hash->operation, data, len) == PSA_SUCCESS ? OTTER_OK : OTTER_ERR_HASH;
}

static otter_err finish(void *ctx, uint8_t digest[OTTER_SHA256_SIZE])
{
    struct otter_idf_hash *hash = ctx;
    size_t len = 0;
    psa_status_t status = psa_hash_finish(&hash->operation, digest, OTTER_SHA256_SIZE, &len);

    return status == PSA_SUCCESS && len == OTTER_SHA256_SIZE ? OTTER_OK : OTTER_ERR_HASH;
}

struct otter_hash otter_idf_hash_on(struct otter_idf_hash *hash)
{
    static const struct otter_hash_ops ops = {.start = start, .update = update, .finish = finish};

    hash->operation = psa_hash_operation_init();
    return (struct otter_hash){.ops = &ops, .ctx = hash};
}
