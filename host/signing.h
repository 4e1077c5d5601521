/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and signatures on hosts, by OpenSSL's libcrypto: RSA-3072 and ECDSA P-256. */
#ifndef OTTER_HOST_SIGNING_H
#define OTTER_HOST_SIGNING_H

#include <openssl/evp.h>
#include <stdbool.h>

#include "otter/signature.h"

/* Reads a PEM key, private or public. NULL: it is not one. A password is asked for on the
 * terminal. Freed with EVP_PKEY_free(). */
EVP_PKEY *otter_key_read(const uint8_t *pem, size_t len, bool *is_private);

/* True for the two kinds of key there are; *is_rsa tells them apart. */
bool otter_key_fits(const EVP_PKEY *key, bool *is_rsa);

/* Makes a new key. NULL when that fails. */
EVP_PKEY *otter_key_make(bool rsa);

#define OTTER_HMAC_KEY_SIZE 32u /* bytes */

/*
 * The P-256 key that a device has whose eFuses hold this HMAC key, as esp_encrypted_img derives it:
 * PBKDF2-HMAC-SHA-256 with its salt, 2048 rounds. NULL: those 32 bytes make no key, take others.
 */
EVP_PKEY *otter_key_from_hmac(const uint8_t hmac_key[OTTER_HMAC_KEY_SIZE]);

/* The key as PEM, in memory that the caller frees with OPENSSL_free(). NULL when that fails. */
char *otter_key_pem(const EVP_PKEY *key, bool private_too, size_t *len);

/* The digest by which a device trusts the key: the one espsecure prints. */
OTTER_CHECKED otter_err otter_key_digest(const EVP_PKEY *key, uint8_t digest[OTTER_SHA256_SIZE]);

/* Makes the signature block of a private key over the digest of what is to be covered. */
OTTER_CHECKED otter_err otter_signature_block_make(EVP_PKEY *key,
                                                   const uint8_t digest[OTTER_SHA256_SIZE],
                                                   uint8_t block[OTTER_SIGNATURE_BLOCK_SIZE]);

struct otter_signature_port otter_openssl_signatures(void);

/* Checks the signature of an image of image_size bytes at the start of data, as a device that
 * trusts these keys and no others does; trusted as in struct otter_signed_config. */
OTTER_CHECKED otter_err otter_signed_image_check(const uint8_t *data, size_t len,
                                                 uint32_t image_size, const uint8_t *trusted,
                                                 size_t trusted_count);

#endif
