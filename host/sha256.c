/* SPDX-License-Identifier: Apache-2.0 */
#include "host/sha256.h"

static otter_err sha256_start(void *ctx)
{
    struct otter_sha256 *sha = ctx;
    /* The algorithm was looked up by otter_sha256_new(): doing it here again would cost as much as
     * hashing a kilobyte. */
    return EVP_DigestInit_ex(sha->evp, NULL, NULL) == 1 ? OTTER_OK : OTTER_ERR_HASH;
}

static otter_err sha256_update(void *ctx, const uint8_t *data, size_t len)
{
    struct otter_sha256 *sha = ctx;
    return EVP_DigestUpdate(sha->evp, data, len) == 1 ? OTTER_OK : OTTER_ERR_HASH;
}

static otter_err sha256_finish(void *ctx, uint8_t digest[OTTER_SHA256_SIZE])
{
    struct otter_sha256 *sha = ctx;
    return EVP_DigestFinal_ex(sha->evp, digest, NULL) == 1 ? OTTER_OK : OTTER_ERR_HASH;
}

static const struct otter_hash_ops sha256_ops = {sha256_start, sha256_update, sha256_finish};

otter_err otter_sha256_new(struct otter_sha256 *sha)
{
    sha->evp = EVP_MD_CTX_new();
    if (sha->evp && EVP_DigestInit_ex(sha->evp, EVP_sha256(), NULL) != 1) {
        otter_sha256_free(sha);
    }
    return sha->evp ? OTTER_OK : OTTER_ERR_HASH;
}

void otter_sha256_free(struct otter_sha256 *sha)
{
    EVP_MD_CTX_free(sha->evp);
    sha->evp = NULL;
}

struct otter_hash otter_sha256_hash(struct otter_sha256 *sha)
{
    return (struct otter_hash){&sha256_ops, sha};
}

otter_err otter_md5(const uint8_t *data, size_t len, uint8_t digest[16])
{
    return EVP_Digest(data, len, digest, NULL, EVP_md5(), NULL) == 1 ? OTTER_OK : OTTER_ERR_HASH;
}
