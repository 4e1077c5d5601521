/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures by PSA. A block has its numbers little-endian, PSA wants them big-endian. */
#include "crypto.h"

#define POINT_HALF (OTTER_POINT_SIZE / 2u)

/*
 * RSAPublicKey of RFC 8017, as PSA imports it: SEQUENCE { modulus, exponent }. The exponent is
 * written with all its four bytes and one of zeros where its top bit needs one, or fewer.
 */
#define DER_HEAD 9u /* SEQUENCE and its length; INTEGER, its length, and a zero */
#define DER_EXPONENT_MAX 7u
#define DER_MAX (DER_HEAD + OTTER_RSA_SIZE + DER_EXPONENT_MAX)

static void reverse(uint8_t *out, const uint8_t *in, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        out[i] = in[len - 1 - i];
    }
}

/* Writes the INTEGER without needless zeros in front; returns its length. */
static size_t put_exponent(uint8_t out[DER_EXPONENT_MAX], uint32_t exponent)
{
    uint8_t len = 1;

    while (len < 5 && (uint64_t)exponent >> (8u * len - 1u) != 0) {
        len++;
    }
    out[0] = 0x02;
    out[1] = len;
    for (uint8_t i = 0; i < len; i++) {
        out[2u + i] = (uint8_t)((uint64_t)exponent >> 8u * (len - 1u - i));
    }
    return 2u + len;
}

/* The modulus has its top bit set (RSA-3072), so a zero goes before it. */
static size_t put_rsa_key(uint8_t der[DER_MAX], const uint8_t modulus[OTTER_RSA_SIZE],
                          uint32_t exponent)
{
    size_t tail = put_exponent(der + DER_HEAD + OTTER_RSA_SIZE, exponent);
    size_t inside = 5u + OTTER_RSA_SIZE + tail;
    const uint8_t head[DER_HEAD] = {0x30,
                                    0x82,
                                    (uint8_t)(inside >> 8),
                                    (uint8_t)inside,
                                    0x02,
                                    0x82,
                                    (uint8_t)((OTTER_RSA_SIZE + 1u) >> 8),
                                    (uint8_t)(OTTER_RSA_SIZE + 1u),
                                    0x00};

    for (size_t i = 0; i < DER_HEAD; i++) {
        der[i] = head[i];
    }
    reverse(der + DER_HEAD, modulus, OTTER_RSA_SIZE);
    return DER_HEAD + OTTER_RSA_SIZE + tail;
}

/* A key that makes no sense is one that signed nothing. */
static otter_err verdict(psa_status_t status)
{
    switch (status) {
    case PSA_SUCCESS:
        return OTTER_OK;
    case PSA_ERROR_INVALID_SIGNATURE:
    case PSA_ERROR_INVALID_ARGUMENT:
    case PSA_ERROR_DATA_INVALID:
        return OTTER_ERR_SIGNATURE;
    default:
        return OTTER_ERR_CRYPTO;
    }
}

static otter_err check_with(psa_key_type_t type, psa_algorithm_t algorithm, const uint8_t *key,
                            size_t key_len, const uint8_t *signature, size_t signature_len,
                            const uint8_t digest[OTTER_SHA256_SIZE])
{
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    psa_key_id_t id = PSA_KEY_ID_NULL;

    psa_set_key_type(&attributes, type);
    psa_set_key_usage_flags(&attributes, PSA_KEY_USAGE_VERIFY_HASH);
    psa_set_key_algorithm(&attributes, algorithm);
    psa_status_t status = psa_import_key(&attributes, key, key_len, &id);
    if (status == PSA_SUCCESS) {
        status =
            psa_verify_hash(id, algorithm, digest, OTTER_SHA256_SIZE, signature, signature_len);
    }
    (void)psa_destroy_key(id);
    return verdict(status);
}

static otter_err check_rsa(void *ctx, const uint8_t modulus[OTTER_RSA_SIZE], uint32_t exponent,
                           const uint8_t signature[OTTER_RSA_SIZE],
                           const uint8_t digest[OTTER_SHA256_SIZE])
{
    uint8_t der[DER_MAX], big_endian[OTTER_RSA_SIZE];

    if ((modulus[OTTER_RSA_SIZE - 1] & 0x80) == 0) {
        return OTTER_ERR_SIGNATURE;
    }
    size_t len = put_rsa_key(der, modulus, exponent);
    reverse(big_endian, signature, OTTER_RSA_SIZE);
    return check_with(PSA_KEY_TYPE_RSA_PUBLIC_KEY, PSA_ALG_RSA_PSS(PSA_ALG_SHA_256), der, len,
                      big_endian, sizeof(big_endian), digest);
}

static otter_err check_ecdsa(void *ctx, const uint8_t point[OTTER_POINT_SIZE],
                             const uint8_t signature[OTTER_POINT_SIZE],
                             const uint8_t digest[OTTER_SHA256_SIZE])
{
    uint8_t key[1 + OTTER_POINT_SIZE] = {4}; /* uncompressed */
    uint8_t big_endian[OTTER_POINT_SIZE];

    for (size_t half = 0; half < OTTER_POINT_SIZE; half += POINT_HALF) {
        reverse(key + 1 + half, point + half, POINT_HALF);
        reverse(big_endian + half, signature + half, POINT_HALF);
    }
    return check_with(PSA_KEY_TYPE_ECC_PUBLIC_KEY(PSA_ECC_FAMILY_SECP_R1),
                      PSA_ALG_ECDSA(PSA_ALG_SHA_256), key, sizeof(key), big_endian,
                      sizeof(big_endian), digest);
}

struct otter_signature_port otter_idf_signatures(void)
{
    static const struct otter_signature_ops ops = {.rsa = check_rsa, .ecdsa = check_ecdsa};

    return (struct otter_signature_port){.ops = &ops};
}
