/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 through the port: the library hashes with whatever the platform does best (a hardware
 * engine, OpenSSL, PSA) and contains no hash of its own.
 */
#ifndef OTTER_HASH_H
#define OTTER_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "otter/err.h"

#define OTTER_SHA256_SIZE 32u /* bytes */

/* Each function returns OTTER_OK or OTTER_ERR_HASH. start() may be called at any time and forgets
 * what went before. */
struct otter_hash_ops {
    otter_err (*start)(void *ctx);
    otter_err (*update)(void *ctx, const uint8_t *data, size_t len);
    otter_err (*finish)(void *ctx, uint8_t digest[OTTER_SHA256_SIZE]);
};

/* One running hash. The caller owns ctx and keeps it alive as long as the hash is used. */
struct otter_hash {
    const struct otter_hash_ops *ops;
    void *ctx;
};

#endif
