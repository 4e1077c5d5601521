/* SPDX-License-Identifier: Apache-2.0 */
/* AES-256-GCM by PSA, with the image's key opened by the device's private key. */
#include <string.h>

#include "crypto.h"

#define KEY_SIZE 32u   /* AES-256 */
#define POINT_SIZE 64u /* of the sender, in the key block */
#define SALT_SIZE 32u  /* behind it */

static const uint8_t info[] = "_esp_enc_img_ecc";

static psa_status_t open_rsa(psa_key_id_t key, const uint8_t *block, uint8_t out[KEY_SIZE])
{
    size_t len = 0;
    psa_status_t status =
        psa_asymmetric_decrypt(key, PSA_ALG_RSA_PKCS1V15_CRYPT, block, OTTER_ENCRYPTED_KEY_BLOCK,
                               NULL, 0, out, KEY_SIZE, &len);

    return status == PSA_SUCCESS && len != KEY_SIZE ? PSA_ERROR_INVALID_PADDING : status;
}

/* ECDH and HKDF in one, so that the secret between them is never here. */
static psa_status_t open_ecies(psa_key_id_t key, const uint8_t *block, uint8_t out[KEY_SIZE])
{
    psa_key_derivation_operation_t operation = PSA_KEY_DERIVATION_OPERATION_INIT;
    uint8_t point[1 + POINT_SIZE] = {4}; /* uncompressed */

    memcpy(point + 1, block, POINT_SIZE);
    psa_status_t status = psa_key_derivation_setup(
        &operation, PSA_ALG_KEY_AGREEMENT(PSA_ALG_ECDH, PSA_ALG_HKDF(PSA_ALG_SHA_256)));
    if (status == PSA_SUCCESS) {
        status = psa_key_derivation_input_bytes(&operation, PSA_KEY_DERIVATION_INPUT_SALT,
                                                block + POINT_SIZE, SALT_SIZE);
    }
    if (status == PSA_SUCCESS) {
        status = psa_key_derivation_key_agreement(&operation, PSA_KEY_DERIVATION_INPUT_SECRET, key,
                                                  point, sizeof(point));
    }
    if (status == PSA_SUCCESS) {
        status = psa_key_derivation_input_bytes(&operation, PSA_KEY_DERIVATION_INPUT_INFO, info,
                                                sizeof(info) - 1);
    }
    if (status == PSA_SUCCESS) {
        status = psa_key_derivation_output_bytes(&operation, out, KEY_SIZE);
    }
    (void)psa_key_derivation_abort(&operation);
    return status;
}

/* Not the sender's doing: the device could not work on any image. */
static bool is_our_fault(psa_status_t status)
{
    return status == PSA_ERROR_INSUFFICIENT_MEMORY || status == PSA_ERROR_NOT_SUPPORTED ||
           status == PSA_ERROR_NOT_PERMITTED || status == PSA_ERROR_INVALID_HANDLE ||
           status == PSA_ERROR_BAD_STATE || status == PSA_ERROR_INSUFFICIENT_ENTROPY;
}

/* The image's key; a random one, in the same time, when the block does not open. */
static otter_err open_key(const struct otter_idf_private_key *own, const uint8_t *block,
                          uint8_t key[KEY_SIZE])
{
    uint8_t opened[KEY_SIZE] = {0};

    if (psa_generate_random(key, KEY_SIZE) != PSA_SUCCESS) {
        return OTTER_ERR_CRYPTO;
    }
    psa_status_t status =
        own->ecies ? open_ecies(own->id, block, opened) : open_rsa(own->id, block, opened);
    uint8_t take = (uint8_t)(0u - (unsigned)(status == PSA_SUCCESS)); /* 0xFF or 0 */
    for (size_t i = 0; i < KEY_SIZE; i++) {
        key[i] ^= (uint8_t)((key[i] ^ opened[i]) & take);
    }
    otter_idf_wipe(opened, sizeof(opened));
    return is_our_fault(status) ? OTTER_ERR_CRYPTO : OTTER_OK;
}

static void end(void *ctx)
{
    struct otter_idf_cipher *c = ctx;

    (void)psa_aead_abort(&c->operation);
    (void)psa_destroy_key(c->image_key);
    c->image_key = PSA_KEY_ID_NULL;
}

static otter_err start(void *ctx, const uint8_t key_block[OTTER_ENCRYPTED_KEY_BLOCK],
                       const uint8_t iv[OTTER_ENCRYPTED_IV])
{
    struct otter_idf_cipher *c = ctx;
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    uint8_t key[KEY_SIZE];

    end(c);
    otter_err err = open_key(&c->key, key_block, key);
    if (err != OTTER_OK) {
        return err;
    }
    psa_set_key_type(&attributes, PSA_KEY_TYPE_AES);
    psa_set_key_usage_flags(&attributes, PSA_KEY_USAGE_DECRYPT);
    psa_set_key_algorithm(&attributes, PSA_ALG_GCM);
    psa_status_t status = psa_import_key(&attributes, key, sizeof(key), &c->image_key);
    otter_idf_wipe(key, sizeof(key));
    c->operation = psa_aead_operation_init();
    if (status == PSA_SUCCESS) {
        status = psa_aead_decrypt_setup(&c->operation, c->image_key, PSA_ALG_GCM);
    }
    if (status == PSA_SUCCESS) {
        status = psa_aead_set_nonce(&c->operation, iv, OTTER_ENCRYPTED_IV);
    }
    return status == PSA_SUCCESS ? OTTER_OK : OTTER_ERR_CRYPTO;
}

static otter_err update(void *ctx, const uint8_t *in, size_t len, uint8_t *out)
{
    struct otter_idf_cipher *c = ctx;
    size_t written = 0;

    if (len == 0) {
        return OTTER_OK;
    }
    psa_status_t status = psa_aead_update(&c->operation, in, len, out, len, &written);
    return status == PSA_SUCCESS && written == len ? OTTER_OK : OTTER_ERR_CRYPTO;
}

static otter_err finish(void *ctx, const uint8_t tag[OTTER_ENCRYPTED_TAG])
{
    struct otter_idf_cipher *c = ctx;
    uint8_t none[16];
    size_t written = 0;
    psa_status_t status =
        psa_aead_verify(&c->operation, none, sizeof(none), &written, tag, OTTER_ENCRYPTED_TAG);

    if (status == PSA_ERROR_INVALID_SIGNATURE) {
        return OTTER_ERR_ENCRYPTED_TAG;
    }
    return status == PSA_SUCCESS && written == 0 ? OTTER_OK : OTTER_ERR_CRYPTO;
}

struct otter_cipher otter_idf_cipher_on(struct otter_idf_cipher *cipher,
                                        struct otter_idf_private_key key)
{
    static const struct otter_cipher_ops ops = {
        .start = start, .update = update, .finish = finish, .end = end};

    *cipher = (struct otter_idf_cipher){.key = key, .image_key = PSA_KEY_ID_NULL};
    cipher->operation = psa_aead_operation_init();
    return (struct otter_cipher){.ops = &ops, .ctx = cipher, .ecies = key.ecies};
}
