/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cryptography by PSA, as Mbed TLS has it: signatures.c, cipher.c, private_key.c and
 * key_file.c. Nothing of ESP-IDF is in the four, so that they also run on a host. psa_crypto_init()
 * comes first.
 */
#ifndef OTTER_IDF_CRYPTO_H
#define OTTER_IDF_CRYPTO_H

#include <psa/crypto.h>

#include "otter/encrypted.h"
#include "otter/signature.h"

/* Overwrites what must not stay. */
void otter_idf_wipe(void *data, size_t len);

/* RSA-3072-PSS and ECDSA P-256. */
struct otter_signature_port otter_idf_signatures(void);

/* ---- the device's private key ---------------------------------------------------------------- */

struct otter_idf_private_key {
    psa_key_id_t id; /* kept until the device restarts */
    bool ecies;      /* P-256; else RSA-3072 */
};

/* A key file, PEM with its final NUL counted, or DER. OTTER_ERR_CRYPTO: it is not an RSA-3072 or
 * P-256 key without a password. */
OTTER_CHECKED otter_err otter_idf_key_from_file(const uint8_t *file, size_t len,
                                                struct otter_idf_private_key *key);

/* Says what a key of this kind is for. */
void otter_idf_key_use(psa_key_attributes_t *attributes, bool ecies);

/* P-256, from its number, big-endian. */
OTTER_CHECKED otter_err otter_idf_key_from_number(const uint8_t number[32],
                                                  struct otter_idf_private_key *key);

/*
 * The number of a P-256 key out of a secret that only `hmac` knows (HMAC-SHA-256 by an eFuse key,
 * say), as esp_encrypted_img has it: PBKDF2-HMAC-SHA-256, 2048 rounds, with its fixed salt.
 */
OTTER_CHECKED otter_err otter_idf_number_from_hmac(otter_err (*hmac)(void *ctx, const uint8_t *data,
                                                                     size_t len, uint8_t out[32]),
                                                   void *ctx, uint8_t number[32]);

/* ---- the cipher ------------------------------------------------------------------------------ */

/* Owned by the caller; forgets the image's key at the end of each update. */
struct otter_idf_cipher {
    struct otter_idf_private_key key;
    psa_key_id_t image_key;
    psa_aead_operation_t operation;
};

struct otter_cipher otter_idf_cipher_on(struct otter_idf_cipher *cipher,
                                        struct otter_idf_private_key key);

#endif
