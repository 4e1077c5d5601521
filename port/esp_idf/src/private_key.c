/* SPDX-License-Identifier: Apache-2.0 */
/* The device's private key as PSA has it, and from numbers; key_file.c reads files. */
#include <mbedtls/platform_util.h>
#include <string.h>

#include "crypto.h"

#define ROUNDS 2048u

void otter_idf_wipe(void *data, size_t len)
{
    mbedtls_platform_zeroize(data, len);
}

void otter_idf_key_use(psa_key_attributes_t *attributes, bool ecies)
{
    psa_set_key_usage_flags(attributes, ecies ? PSA_KEY_USAGE_DERIVE : PSA_KEY_USAGE_DECRYPT);
    psa_set_key_algorithm(attributes,
                          ecies ? PSA_ALG_KEY_AGREEMENT(PSA_ALG_ECDH, PSA_ALG_HKDF(PSA_ALG_SHA_256))
                                : PSA_ALG_RSA_PKCS1V15_CRYPT);
}

otter_err otter_idf_key_from_number(const uint8_t number[32], struct otter_idf_private_key *key)
{
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;

    key->ecies = true;
    psa_set_key_type(&attributes, PSA_KEY_TYPE_ECC_KEY_PAIR(PSA_ECC_FAMILY_SECP_R1));
    otter_idf_key_use(&attributes, true);
    return psa_import_key(&attributes, number, 32, &key->id) == PSA_SUCCESS ? OTTER_OK
                                                                            : OTTER_ERR_CRYPTO;
}

/* PBKDF2 of RFC 8018 with one block of output. */
otter_err otter_idf_number_from_hmac(otter_err (*hmac)(void *ctx, const uint8_t *data, size_t len,
                                                       uint8_t out[32]),
                                     void *ctx, uint8_t number[32])
{
    /* The salt of the format, and the number of the block behind it. */
    static const uint8_t salt[] = {0x0E, 0x21, 0x60, 0x64, 0x2D, 0xAE, 0x76, 0xD3, 0x34,
                                   0x48, 0xE4, 0x3D, 0x77, 0x20, 0x12, 0x3D, 0x9F, 0x3B,
                                   0x1E, 0xCE, 0xB8, 0x8E, 0x57, 0x3A, 0x4E, 0x8F, 0x7F,
                                   0xB9, 0x4F, 0xF0, 0xC8, 0x69, 0,    0,    0,    1};
    uint8_t last[32], next[32];
    otter_err err = hmac(ctx, salt, sizeof(salt), last);

    memcpy(number, last, sizeof(last));
    for (unsigned round = 1; err == OTTER_OK && round < ROUNDS; round++) {
        err = hmac(ctx, last, sizeof(last), next);
        memcpy(last, next, sizeof(last));
        for (size_t i = 0; i < sizeof(last); i++) {
            number[i] ^= last[i];
        }
    }
    otter_idf_wipe(last, sizeof(last));
    otter_idf_wipe(next, sizeof(next));
    return err;
}
