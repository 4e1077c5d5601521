/* SPDX-License-Identifier: Apache-2.0 */
/* Encrypted images on hosts, by OpenSSL's libcrypto: the device's cipher, and the making. */
#ifndef OTTER_HOST_ENCRYPTION_H
#define OTTER_HOST_ENCRYPTION_H

#include <openssl/evp.h>

#include "otter/encrypted.h"

/* Decrypts with a private key, RSA-3072 or P-256. Owned by the caller, freed with
 * otter_decryptor_free(). */
struct otter_decryptor {
    EVP_PKEY *key;
    EVP_CIPHER_CTX *gcm;
    bool ecies;
};

/* Takes the key over, also when it fails. */
OTTER_CHECKED otter_err otter_decryptor_new(struct otter_decryptor *d, EVP_PKEY *key);
void otter_decryptor_free(struct otter_decryptor *d);
struct otter_cipher otter_decryptor_cipher(struct otter_decryptor *d);

/* Encrypts for a public key into *out, OTTER_ENCRYPTED_HEADER bytes longer, freed with free(). */
OTTER_CHECKED otter_err otter_image_encrypt(EVP_PKEY *key, const uint8_t *data, uint32_t len,
                                            uint8_t **out);

/* Decrypts a whole file into *out, freed with free(). */
OTTER_CHECKED otter_err otter_image_decrypt(struct otter_decryptor *d, const uint8_t *data,
                                            size_t len, uint8_t **out, size_t *out_len);

#endif
