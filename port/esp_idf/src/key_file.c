/* SPDX-License-Identifier: Apache-2.0 */
/* The device's private key from a file, by Mbed TLS 3.6 or later. */
#include <mbedtls/pk.h>
#include <mbedtls/version.h>

#include "crypto.h"

#if MBEDTLS_VERSION_NUMBER < 0x03060000
#error "Key files need Mbed TLS 3.6: ESP-IDF 5.3, or a late release of 5.1 or 5.2"
#endif

#define RSA_BITS (8u * OTTER_RSA_SIZE)
#define P256_BITS 256u

#if MBEDTLS_VERSION_MAJOR < 4
/* For the parser, which masks what it computes. */
static int random_bytes(void *ctx, unsigned char *out, size_t len)
{
    return psa_generate_random(out, len) == PSA_SUCCESS ? 0 : -1;
}
#endif

static int parse(mbedtls_pk_context *pk, const uint8_t *file, size_t len)
{
#if MBEDTLS_VERSION_MAJOR < 4
    return mbedtls_pk_parse_key(pk, file, len, NULL, 0, random_bytes, NULL);
#else
    return mbedtls_pk_parse_key(pk, file, len, NULL, 0);
#endif
}

/* Fills the attributes for the key that was read. False: it is of another kind. */
static bool describe(const mbedtls_pk_context *pk, psa_key_attributes_t *attributes, bool *ecies)
{
    if (mbedtls_pk_get_psa_attributes(pk, PSA_KEY_USAGE_DECRYPT, attributes) == 0 &&
        psa_get_key_type(attributes) == PSA_KEY_TYPE_RSA_KEY_PAIR) {
        *ecies = false;
        return psa_get_key_bits(attributes) == RSA_BITS;
    }
    *ecies = true;
    return mbedtls_pk_get_psa_attributes(pk, PSA_KEY_USAGE_DERIVE, attributes) == 0 &&
           psa_get_key_type(attributes) == PSA_KEY_TYPE_ECC_KEY_PAIR(PSA_ECC_FAMILY_SECP_R1) &&
           psa_get_key_bits(attributes) == P256_BITS;
}

otter_err otter_idf_key_from_file(const uint8_t *file, size_t len,
                                  struct otter_idf_private_key *key)
{
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    mbedtls_pk_context pk;
    bool done = false;

    mbedtls_pk_init(&pk);
    if (parse(&pk, file, len) == 0 && describe(&pk, &attributes, &key->ecies)) {
        otter_idf_key_use(&attributes, key->ecies);
        done = mbedtls_pk_import_into_psa(&pk, &attributes, &key->id) == 0;
    }
    mbedtls_pk_free(&pk);
    psa_reset_key_attributes(&attributes);
    return done ? OTTER_OK : OTTER_ERR_CRYPTO;
}
