/* SPDX-License-Identifier: Apache-2.0 */
#include "host/signing.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <string.h>

#include "base/crc.h"
#include "base/cursor.h"
#include "host/keys.h"
#include "host/sha256.h"

#define SALT_SIZE 32
#define DER_SIGNATURE_MAX 80 /* bytes of a P-256 signature in DER */

static void reverse(uint8_t *out, const uint8_t *in, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        out[i] = in[len - 1 - i];
    }
}

static EVP_PKEY *public_key(const char *type, OSSL_PARAM_BLD *build)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;

    if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return key;
}

static bool use_pss(EVP_PKEY_CTX *ctx)
{
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, SALT_SIZE) == 1;
}

/* Frees key. A key that makes no sense is one that signed nothing. */
static otter_err check_with(EVP_PKEY *key, bool rsa, const uint8_t *signature, size_t len,
                            const uint8_t digest[OTTER_SHA256_SIZE])
{
    EVP_PKEY_CTX *ctx = key != NULL ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    bool holds = ctx != NULL && EVP_PKEY_verify_init(ctx) == 1 &&
                 EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 && (!rsa || use_pss(ctx)) &&
                 EVP_PKEY_verify(ctx, signature, len, digest, OTTER_SHA256_SIZE) == 1;

    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    return holds ? OTTER_OK : OTTER_ERR_SIGNATURE;
}

static otter_err check_rsa(void *ctx, const uint8_t modulus[OTTER_RSA_SIZE], uint32_t exponent,
                           const uint8_t signature[OTTER_RSA_SIZE],
                           const uint8_t digest[OTTER_SHA256_SIZE])
{
    uint8_t big_endian[OTTER_RSA_SIZE];
    BIGNUM *n = BN_lebin2bn(modulus, OTTER_RSA_SIZE, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;

    if (n != NULL && build != NULL &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_uint32(build, OSSL_PKEY_PARAM_RSA_E, exponent) == 1) {
        key = public_key("RSA", build);
    }
    OSSL_PARAM_BLD_free(build);
    BN_free(n);
    reverse(big_endian, signature, OTTER_RSA_SIZE);
    return check_with(key, true, big_endian, sizeof(big_endian), digest);
}

/* r and s as DER; 0 when they cannot be. */
static size_t signature_der(const uint8_t signature[OTTER_POINT_SIZE],
                            uint8_t der[DER_SIGNATURE_MAX])
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_lebin2bn(signature, 32, NULL), *s = BN_lebin2bn(signature + 32, 32, NULL);
    int len = 0;

    if (sig == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(sig, r, s) != 1) {
        BN_free(r);
        BN_free(s);
    } else {
        len = i2d_ECDSA_SIG(sig, &der);
    }
    ECDSA_SIG_free(sig);
    return len > 0 ? (size_t)len : 0;
}

static otter_err check_ecdsa(void *ctx, const uint8_t point[OTTER_POINT_SIZE],
                             const uint8_t signature[OTTER_POINT_SIZE],
                             const uint8_t digest[OTTER_SHA256_SIZE])
{
    uint8_t encoded[1 + OTTER_POINT_SIZE] = {4}; /* uncompressed */
    uint8_t der[DER_SIGNATURE_MAX];
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;

    reverse(encoded + 1, point, 32);
    reverse(encoded + 33, point + 32, 32);
    if (build != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, SN_X9_62_prime256v1,
                                        0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, encoded,
                                         sizeof(encoded)) == 1) {
        key = public_key("EC", build);
    }
    OSSL_PARAM_BLD_free(build);
    return check_with(key, false, der, signature_der(signature, der), digest);
}

struct otter_signature_port otter_openssl_signatures(void)
{
    static const struct otter_signature_ops ops = {.rsa = check_rsa, .ecdsa = check_ecdsa};

    return (struct otter_signature_port){.ops = &ops};
}

/* ---- making ------------------------------------------------------------------------------- */

/* The signature as a block has it. Returns its length, or 0. */
static size_t sign(EVP_PKEY *key, bool rsa, const uint8_t digest[OTTER_SHA256_SIZE],
                   uint8_t out[OTTER_RSA_SIZE])
{
    uint8_t raw[OTTER_RSA_SIZE];
    size_t len = sizeof(raw);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    bool done = ctx != NULL && EVP_PKEY_sign_init(ctx) == 1 &&
                EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 && (!rsa || use_pss(ctx)) &&
                EVP_PKEY_sign(ctx, raw, &len, digest, OTTER_SHA256_SIZE) == 1;

    EVP_PKEY_CTX_free(ctx);
    if (!done) {
        return 0;
    }
    if (rsa) {
        reverse(out, raw, OTTER_RSA_SIZE);
        return OTTER_RSA_SIZE;
    }
    const uint8_t *der = raw;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
    done = sig != NULL && BN_bn2lebinpad(ECDSA_SIG_get0_r(sig), out, 32) > 0 &&
           BN_bn2lebinpad(ECDSA_SIG_get0_s(sig), out + 32, 32) > 0;
    ECDSA_SIG_free(sig);
    return done ? OTTER_POINT_SIZE : 0;
}

otter_err otter_signature_block_make(EVP_PKEY *key, const uint8_t digest[OTTER_SHA256_SIZE],
                                     uint8_t block[OTTER_SIGNATURE_BLOCK_SIZE])
{
    uint8_t part[OTTER_KEY_PART_MAX], signature[OTTER_RSA_SIZE];
    bool is_rsa = false;
    size_t part_len = otter_key_fits(key, &is_rsa) ? otter_key_part(key, part) : 0;
    size_t signature_len = part_len > 0 ? sign(key, is_rsa, digest, signature) : 0;
    struct otter_writer w = otter_writer_on(block, OTTER_SIGNATURE_BLOCK_SIZE);

    if (signature_len == 0) {
        return OTTER_ERR_CRYPTO;
    }
    memset(block, 0, OTTER_SIGNATURE_BLOCK_SIZE);
    otter_write_u8(&w, OTTER_SIGNATURE_MAGIC);
    otter_write_u8(&w, is_rsa ? 2 : 3);
    otter_write_u16(&w, 0);
    otter_write_bytes(&w, digest, OTTER_SHA256_SIZE);
    otter_write_bytes(&w, part, part_len);
    otter_write_bytes(&w, signature, signature_len);
    otter_write_fill(&w, 0, w.left - 20);
    otter_write_u32(&w, otter_crc32(0, block, OTTER_SIGNATURE_BLOCK_SIZE - 20));
    return otter_writer_ok(&w);
}

/* ---- a whole file, through the slots that a device has --------------------------------------- */

struct memory {
    const uint8_t *data;
    size_t len;
};

static otter_err memory_open(void *ctx, uint32_t length, struct otter_slot_info *info)
{
    *info = (struct otter_slot_info){.size = length, .erase_unit = 1, .write_unit = 1};
    return OTTER_OK;
}

static otter_err memory_write(void *ctx, uint32_t offset, const uint8_t *data, uint32_t len)
{
    return OTTER_OK; /* it is there */
}

static otter_err memory_read(void *ctx, uint32_t offset, uint8_t *buf, uint32_t len)
{
    const struct memory *m = ctx;

    if (offset > m->len || len > m->len - offset) {
        return OTTER_ERR_FLASH_READ;
    }
    memcpy(buf, m->data + offset, len);
    return OTTER_OK;
}

otter_err otter_signed_image_check(const uint8_t *data, size_t len, uint32_t image_size,
                                   const uint8_t *trusted, size_t trusted_count)
{
    static const struct otter_slot_ops ops = {
        .open = memory_open, .write = memory_write, .read = memory_read};
    struct memory memory = {data, len};
    uint8_t buf[OTTER_SIGNATURE_SECTOR];
    struct otter_signed_slots slots;
    struct otter_slot_info info;
    struct otter_sha256 sha;

    if (len > UINT32_MAX) {
        return OTTER_ERR_TOO_LARGE;
    }
    otter_err err = otter_sha256_new(&sha);
    if (err != OTTER_OK) {
        return err;
    }
    const struct otter_signed_config config = {
        .slots = {&ops, &memory},
        .hash = otter_sha256_hash(&sha),
        .port = otter_openssl_signatures(),
        .trusted = trusted,
        .trusted_count = trusted_count,
        .buf = buf,
        .buf_size = sizeof(buf),
    };
    err = otter_signed_slots_init(&slots, &config);
    struct otter_slots table = otter_signed_slots_table(&slots);
    if (err == OTTER_OK) {
        err = table.ops->open(table.ctx, (uint32_t)len, &info);
    }
    if (err == OTTER_OK) {
        err = table.ops->write(table.ctx, 0, data, (uint32_t)len);
    }
    while (err == OTTER_OK && (err = table.ops->verify(table.ctx, image_size)) == OTTER_ERR_AGAIN) {
        err = OTTER_OK;
    }
    otter_sha256_free(&sha);
    return err;
}
