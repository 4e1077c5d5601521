/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 and MD5 for hosts, by OpenSSL's libcrypto. */
#ifndef OTTER_HOST_SHA256_H
#define OTTER_HOST_SHA256_H

#include <openssl/evp.h>

#include "otter/hash.h"

/* A hash context; owned by the caller, freed with otter_sha256_free(). */
struct otter_sha256 {
    EVP_MD_CTX *evp;
};

OTTER_CHECKED otter_err otter_sha256_new(struct otter_sha256 *sha);
void otter_sha256_free(struct otter_sha256 *sha);
struct otter_hash otter_sha256_hash(struct otter_sha256 *sha);

/* otter_md5_fn for partition tables. */
otter_err otter_md5(const uint8_t *data, size_t len, uint8_t digest[16]);
#endif
