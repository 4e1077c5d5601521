/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mbed TLS 2.28 declares AEAD in parts and does not have it. These stand in for it, on OpenSSL, so
 * that all else of the port can be run with that version; from 3.0 on this file is empty.
 *
 * The linker hands psa_import_key() over (--wrap): an AES key is noted on its way.
 */
#include <mbedtls/version.h>
#include <openssl/evp.h>
#include <psa/crypto.h>
#include <string.h>

#if MBEDTLS_VERSION_MAJOR < 3

psa_status_t __real_psa_import_key(const psa_key_attributes_t *attributes, const uint8_t *data,
                                   size_t len, psa_key_id_t *id);
psa_status_t __wrap_psa_import_key(const psa_key_attributes_t *attributes, const uint8_t *data,
                                   size_t len, psa_key_id_t *id);

static EVP_CIPHER_CTX *gcm; /* one at a time */
static uint8_t aes[32];
static psa_key_id_t aes_id;

psa_status_t __wrap_psa_import_key(const psa_key_attributes_t *attributes, const uint8_t *data,
                                   size_t len, psa_key_id_t *id)
{
    psa_status_t status = __real_psa_import_key(attributes, data, len, id);

    if (status == PSA_SUCCESS && psa_get_key_type(attributes) == PSA_KEY_TYPE_AES &&
        len == sizeof aes) {
        memcpy(aes, data, len);
        aes_id = *id;
    }
    return status;
}

static psa_status_t as_status(int done, psa_status_t otherwise)
{
    return done == 1 ? PSA_SUCCESS : otherwise;
}

psa_status_t psa_aead_decrypt_setup(psa_aead_operation_t *operation, psa_key_id_t key,
                                    psa_algorithm_t algorithm)
{
    if (gcm != NULL || key != aes_id || algorithm != PSA_ALG_GCM) {
        return PSA_ERROR_BAD_STATE;
    }
    gcm = EVP_CIPHER_CTX_new();
    operation->alg = algorithm;
    return as_status(gcm != NULL, PSA_ERROR_INSUFFICIENT_MEMORY);
}

psa_status_t psa_aead_set_nonce(psa_aead_operation_t *operation, const uint8_t *nonce, size_t len)
{
    return as_status(operation->alg == PSA_ALG_GCM &&
                         EVP_DecryptInit_ex(gcm, EVP_aes_256_gcm(), NULL, NULL, NULL) == 1 &&
                         EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_AEAD_SET_IVLEN, (int)len, NULL) == 1 &&
                         EVP_DecryptInit_ex(gcm, NULL, NULL, aes, nonce) == 1,
                     PSA_ERROR_BAD_STATE);
}

psa_status_t psa_aead_update(psa_aead_operation_t *operation, const uint8_t *in, size_t in_len,
                             uint8_t *out, size_t out_size, size_t *out_len)
{
    int written = 0;
    int done = operation->alg == PSA_ALG_GCM && out_size >= in_len &&
               EVP_DecryptUpdate(gcm, out, &written, in, (int)in_len) == 1;

    *out_len = (size_t)written;
    return as_status(done, PSA_ERROR_BAD_STATE);
}

psa_status_t psa_aead_verify(psa_aead_operation_t *operation, uint8_t *out, size_t out_size,
                             size_t *out_len, const uint8_t *tag, size_t tag_len)
{
    int written = 0;

    *out_len = 0;
    if (operation->alg != PSA_ALG_GCM ||
        EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_AEAD_SET_TAG, (int)tag_len, (void *)tag) != 1) {
        return PSA_ERROR_BAD_STATE;
    }
    return as_status(EVP_DecryptFinal_ex(gcm, out, &written), PSA_ERROR_INVALID_SIGNATURE);
}

psa_status_t psa_aead_abort(psa_aead_operation_t *operation)
{
    EVP_CIPHER_CTX_free(gcm);
    gcm = NULL;
    *operation = psa_aead_operation_init();
    return PSA_SUCCESS;
}

#endif
