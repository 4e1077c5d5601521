/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>

#include "host/keys.h"
#include "host/signing.h"

#define RSA_BITS (8 * (int)OTTER_RSA_SIZE)

EVP_PKEY *otter_key_read(const uint8_t *pem, size_t len, bool *is_private)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)len);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;

    *is_private = key != NULL;
    if (bio != NULL && key == NULL) {
        (void)BIO_reset(bio);
        key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    }
    BIO_free(bio);
    return key;
}

bool otter_key_fits(const EVP_PKEY *key, bool *is_rsa)
{
    char group[32] = "";

    *is_rsa = EVP_PKEY_is_a(key, "RSA");
    if (*is_rsa) {
        return EVP_PKEY_get_bits(key) == RSA_BITS;
    }
    return EVP_PKEY_is_a(key, "EC") &&
           EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
           strcmp(group, SN_X9_62_prime256v1) == 0;
}

EVP_PKEY *otter_key_make(bool rsa)
{
    return rsa ? EVP_RSA_gen((unsigned)RSA_BITS) : EVP_EC_gen(SN_X9_62_prime256v1);
}

/* The key of a number; number is freed. */
static EVP_PKEY *p256_key(BIGNUM *number)
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *point = group != NULL ? EC_POINT_new(group) : NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *key = NULL;
    uint8_t encoded[1 + OTTER_POINT_SIZE];

    if (number != NULL && point != NULL && build != NULL && ctx != NULL && !BN_is_zero(number) &&
        BN_cmp(number, EC_GROUP_get0_order(group)) < 0 &&
        EC_POINT_mul(group, point, number, NULL, NULL, NULL) == 1 &&
        EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, encoded, sizeof(encoded),
                           NULL) == sizeof(encoded) &&
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, SN_X9_62_prime256v1,
                                        0) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, number) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, encoded,
                                         sizeof(encoded)) == 1 &&
        (params = OSSL_PARAM_BLD_to_param(build)) != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EC_POINT_free(point);
    EC_GROUP_free(group);
    BN_clear_free(number);
    return key;
}

EVP_PKEY *otter_key_from_hmac(const uint8_t hmac_key[OTTER_HMAC_KEY_SIZE])
{
    static const uint8_t salt[32] = {
        0x0E, 0x21, 0x60, 0x64, 0x2D, 0xAE, 0x76, 0xD3, 0x34, 0x48, 0xE4,
        0x3D, 0x77, 0x20, 0x12, 0x3D, 0x9F, 0x3B, 0x1E, 0xCE, 0xB8, 0x8E,
        0x57, 0x3A, 0x4E, 0x8F, 0x7F, 0xB9, 0x4F, 0xF0, 0xC8, 0x69,
    };
    uint8_t number[32];

    if (PKCS5_PBKDF2_HMAC((const char *)hmac_key, OTTER_HMAC_KEY_SIZE, salt, sizeof(salt), 2048,
                          EVP_sha256(), sizeof(number), number) != 1) {
        return NULL;
    }
    EVP_PKEY *key = p256_key(BN_bin2bn(number, sizeof(number), NULL));
    OPENSSL_cleanse(number, sizeof(number));
    return key;
}

char *otter_key_pem(const EVP_PKEY *key, bool private_too, size_t *len)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text, *pem = NULL;
    int done = 0;

    if (bio != NULL) {
        done = private_too ? PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)
                           : PEM_write_bio_PUBKEY(bio, key);
    }
    long n = done == 1 ? BIO_get_mem_data(bio, &text) : 0;
    if (n > 0) {
        pem = OPENSSL_memdup(text, (size_t)n);
        *len = (size_t)n;
    }
    BIO_free(bio);
    return pem;
}

/* modulus, exponent, R^2 mod n and -1/n mod 2^32, little-endian */
static bool write_rsa(const EVP_PKEY *key, uint8_t part[OTTER_KEY_PART_MAX])
{
    BIGNUM *n = NULL, *e = NULL, *power = BN_new(), *word = BN_new(), *r = BN_new();
    BN_CTX *ctx = BN_CTX_new();
    bool done = power != NULL && word != NULL && r != NULL && ctx != NULL &&
                EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
                EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 &&
                BN_bn2lebinpad(n, part, OTTER_RSA_SIZE) > 0 &&
                BN_bn2lebinpad(e, part + OTTER_RSA_SIZE, 4) > 0 &&
                BN_set_bit(power, 2 * RSA_BITS) == 1 && BN_mod(r, power, n, ctx) == 1 &&
                BN_bn2lebinpad(r, part + OTTER_RSA_SIZE + 4, OTTER_RSA_SIZE) > 0 &&
                BN_set_bit(word, 32) == 1 && BN_mod_inverse(r, n, word, ctx) != NULL &&
                BN_sub(r, word, r) == 1 && BN_bn2lebinpad(r, part + 2 * OTTER_RSA_SIZE + 4, 4) > 0;

    BN_free(n);
    BN_free(e);
    BN_free(power);
    BN_free(word);
    BN_free(r);
    BN_CTX_free(ctx);
    return done;
}

static bool write_point(const EVP_PKEY *key, uint8_t part[OTTER_KEY_PART_MAX])
{
    BIGNUM *x = NULL, *y = NULL;
    bool done = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
                EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1 &&
                BN_bn2lebinpad(x, part + 1, 32) > 0 && BN_bn2lebinpad(y, part + 33, 32) > 0;

    part[0] = 2; /* P-256 */
    BN_free(x);
    BN_free(y);
    return done;
}

size_t otter_key_part(const EVP_PKEY *key, uint8_t part[OTTER_KEY_PART_MAX])
{
    bool is_rsa;

    if (!otter_key_fits(key, &is_rsa)) {
        return 0;
    }
    if (is_rsa) {
        return write_rsa(key, part) ? OTTER_KEY_PART_MAX : 0;
    }
    return write_point(key, part) ? 1 + OTTER_POINT_SIZE : 0;
}

otter_err otter_key_digest(const EVP_PKEY *key, uint8_t digest[OTTER_SHA256_SIZE])
{
    uint8_t part[OTTER_KEY_PART_MAX];
    size_t len = otter_key_part(key, part);

    if (len == 0) {
        return OTTER_ERR_CRYPTO;
    }
    return EVP_Digest(part, len, digest, NULL, EVP_sha256(), NULL) == 1 ? OTTER_OK
                                                                        : OTTER_ERR_CRYPTO;
}
