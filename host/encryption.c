/* SPDX-License-Identifier: Apache-2.0 */
#include "host/encryption.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "host/signing.h"

#define KEY_SIZE 32u    /* AES-256 */
#define SECRET_SIZE 32u /* of ECDH on P-256 */
#define POINT_SIZE 64u
#define SALT_SIZE 32u
#define INFO "_esp_enc_img_ecc"

/* ---- key blocks --------------------------------------------------------------------------- */

static bool derive_key(const uint8_t secret[SECRET_SIZE], const uint8_t salt[SALT_SIZE],
                       uint8_t key[KEY_SIZE])
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret,
                                          SECRET_SIZE),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt, SALT_SIZE),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (char *)INFO, sizeof(INFO) - 1),
        OSSL_PARAM_construct_end(),
    };
    bool done = ctx != NULL && EVP_KDF_derive(ctx, key, KEY_SIZE, params) == 1;

    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return done;
}

static bool shared_secret(EVP_PKEY *own, EVP_PKEY *peer, uint8_t secret[SECRET_SIZE])
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
    size_t len = SECRET_SIZE;
    bool done = ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 &&
                EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
                EVP_PKEY_derive(ctx, secret, &len) == 1 && len == SECRET_SIZE;

    EVP_PKEY_CTX_free(ctx);
    return done;
}

static EVP_PKEY *point_key(const uint8_t point[POINT_SIZE])
{
    uint8_t encoded[1 + POINT_SIZE] = {4}; /* uncompressed */
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)SN_X9_62_prime256v1,
                                         0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, encoded, sizeof(encoded)),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *key = NULL;

    memcpy(encoded + 1, point, POINT_SIZE);
    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static bool open_ecies(EVP_PKEY *own, const uint8_t *block, uint8_t key[KEY_SIZE])
{
    uint8_t secret[SECRET_SIZE];
    EVP_PKEY *peer = point_key(block);
    bool done = peer != NULL && shared_secret(own, peer, secret) &&
                derive_key(secret, block + POINT_SIZE, key);

    OPENSSL_cleanse(secret, sizeof(secret));
    EVP_PKEY_free(peer);
    return done;
}

static bool open_rsa(EVP_PKEY *own, const uint8_t *block, uint8_t key[KEY_SIZE])
{
    uint8_t plain[OTTER_ENCRYPTED_KEY_BLOCK];
    size_t len = sizeof(plain);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
    bool done = ctx != NULL && EVP_PKEY_decrypt_init(ctx) == 1 &&
                EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
                EVP_PKEY_decrypt(ctx, plain, &len, block, OTTER_ENCRYPTED_KEY_BLOCK) == 1 &&
                len == KEY_SIZE;

    if (done) {
        memcpy(key, plain, KEY_SIZE);
    }
    OPENSSL_cleanse(plain, sizeof(plain));
    EVP_PKEY_CTX_free(ctx);
    return done;
}

/* ---- the device's cipher ------------------------------------------------------------------ */

static bool set_up(EVP_CIPHER_CTX *gcm, const uint8_t *key, const uint8_t *iv, int encrypting)
{
    return EVP_CipherInit_ex(gcm, EVP_aes_256_gcm(), NULL, NULL, NULL, encrypting) == 1 &&
           EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_AEAD_SET_IVLEN, OTTER_ENCRYPTED_IV, NULL) == 1 &&
           EVP_CipherInit_ex(gcm, NULL, NULL, key, iv, encrypting) == 1;
}

static otter_err cipher_start(void *ctx, const uint8_t key_block[OTTER_ENCRYPTED_KEY_BLOCK],
                              const uint8_t iv[OTTER_ENCRYPTED_IV])
{
    struct otter_decryptor *d = ctx;
    uint8_t key[KEY_SIZE], opened[KEY_SIZE];

    if (RAND_bytes(key, sizeof(key)) != 1) {
        return OTTER_ERR_CRYPTO;
    }
    if (d->ecies ? open_ecies(d->key, key_block, opened) : open_rsa(d->key, key_block, opened)) {
        memcpy(key, opened, sizeof(key));
    }
    bool done = set_up(d->gcm, key, iv, 0);
    OPENSSL_cleanse(key, sizeof(key));
    OPENSSL_cleanse(opened, sizeof(opened));
    return done ? OTTER_OK : OTTER_ERR_CRYPTO;
}

static otter_err cipher_update(void *ctx, const uint8_t *in, size_t len, uint8_t *out)
{
    struct otter_decryptor *d = ctx;
    int written = 0;

    return EVP_CipherUpdate(d->gcm, out, &written, in, (int)len) == 1 && (size_t)written == len
               ? OTTER_OK
               : OTTER_ERR_CRYPTO;
}

static otter_err cipher_finish(void *ctx, const uint8_t tag[OTTER_ENCRYPTED_TAG])
{
    struct otter_decryptor *d = ctx;
    uint8_t none[16];
    int written = 0;

    if (EVP_CIPHER_CTX_ctrl(d->gcm, EVP_CTRL_AEAD_SET_TAG, OTTER_ENCRYPTED_TAG,
                            (void *)(uintptr_t)tag) != 1) {
        return OTTER_ERR_CRYPTO;
    }
    return EVP_CipherFinal_ex(d->gcm, none, &written) == 1 ? OTTER_OK : OTTER_ERR_ENCRYPTED_TAG;
}

static void cipher_end(void *ctx)
{
    EVP_CIPHER_CTX_reset(((struct otter_decryptor *)ctx)->gcm);
}

otter_err otter_decryptor_new(struct otter_decryptor *d, EVP_PKEY *key)
{
    bool is_rsa = false;
    bool fits = key != NULL && otter_key_fits(key, &is_rsa);

    *d = (struct otter_decryptor){.key = key, .gcm = EVP_CIPHER_CTX_new(), .ecies = !is_rsa};
    if (fits && d->gcm != NULL) {
        return OTTER_OK;
    }
    otter_decryptor_free(d);
    return OTTER_ERR_CRYPTO;
}

void otter_decryptor_free(struct otter_decryptor *d)
{
    EVP_CIPHER_CTX_free(d->gcm);
    EVP_PKEY_free(d->key);
    *d = (struct otter_decryptor){0};
}

struct otter_cipher otter_decryptor_cipher(struct otter_decryptor *d)
{
    static const struct otter_cipher_ops ops = {cipher_start, cipher_update, cipher_finish,
                                                cipher_end};

    return (struct otter_cipher){.ops = &ops, .ctx = d, .ecies = d->ecies};
}

/* ---- making -------------------------------------------------------------------------------- */

static bool wrap_rsa(EVP_PKEY *key, const uint8_t aes[KEY_SIZE], uint8_t *block)
{
    size_t len = OTTER_ENCRYPTED_KEY_BLOCK;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    bool done = ctx != NULL && EVP_PKEY_encrypt_init(ctx) == 1 &&
                EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
                EVP_PKEY_encrypt(ctx, block, &len, aes, KEY_SIZE) == 1;

    EVP_PKEY_CTX_free(ctx);
    return done;
}

/* A key of its own for each image, whose public half goes along. */
static bool wrap_ecies(EVP_PKEY *key, uint8_t aes[KEY_SIZE], uint8_t *block)
{
    uint8_t point[1 + POINT_SIZE], secret[SECRET_SIZE];
    size_t len = 0;
    EVP_PKEY *own = otter_key_make(false);
    bool done = own != NULL &&
                EVP_PKEY_get_octet_string_param(own, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point),
                                                &len) == 1 &&
                len == sizeof(point) && point[0] == 4 &&
                RAND_bytes(block + POINT_SIZE, SALT_SIZE) == 1 && shared_secret(own, key, secret) &&
                derive_key(secret, block + POINT_SIZE, aes);

    if (done) {
        memcpy(block, point + 1, POINT_SIZE);
    }
    OPENSSL_cleanse(secret, sizeof(secret));
    EVP_PKEY_free(own);
    return done;
}

/* The key block at offset 4 and the IV behind it; aes is the key. */
static bool begin_header(EVP_PKEY *key, uint8_t *out, uint8_t aes[KEY_SIZE])
{
    uint8_t *block = out + 4;
    bool is_rsa;

    if (!otter_key_fits(key, &is_rsa) || RAND_bytes(aes, KEY_SIZE) != 1 ||
        RAND_bytes(block + OTTER_ENCRYPTED_KEY_BLOCK, OTTER_ENCRYPTED_IV) != 1) {
        return false;
    }
    return is_rsa ? wrap_rsa(key, aes, block) : wrap_ecies(key, aes, block);
}

static bool encrypt_body(const uint8_t *aes, const uint8_t *data, uint32_t len, uint8_t *out)
{
    EVP_CIPHER_CTX *gcm = EVP_CIPHER_CTX_new();
    int written = 0;
    bool done =
        gcm != NULL && set_up(gcm, aes, out + 4 + OTTER_ENCRYPTED_KEY_BLOCK, 1) &&
        EVP_CipherUpdate(gcm, out + OTTER_ENCRYPTED_HEADER, &written, data, (int)len) == 1 &&
        EVP_CipherFinal_ex(gcm, out + OTTER_ENCRYPTED_HEADER + written, &written) == 1 &&
        EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_AEAD_GET_TAG, OTTER_ENCRYPTED_TAG,
                            out + 8 + OTTER_ENCRYPTED_KEY_BLOCK + OTTER_ENCRYPTED_IV) == 1;

    EVP_CIPHER_CTX_free(gcm);
    return done;
}

otter_err otter_image_encrypt(EVP_PKEY *key, const uint8_t *data, uint32_t len, uint8_t **out)
{
    uint8_t aes[KEY_SIZE];
    uint8_t *file = len <= INT32_MAX ? calloc(1, (size_t)len + OTTER_ENCRYPTED_HEADER) : NULL;

    if (file == NULL) {
        return OTTER_ERR_TOO_LARGE;
    }
    struct otter_writer magic = otter_writer_on(file, 4);
    struct otter_writer size =
        otter_writer_on(file + 4 + OTTER_ENCRYPTED_KEY_BLOCK + OTTER_ENCRYPTED_IV, 4);
    otter_write_u32(&magic, OTTER_ENCRYPTED_MAGIC);
    otter_write_u32(&size, len);
    bool done = begin_header(key, file, aes) && encrypt_body(aes, data, len, file);
    OPENSSL_cleanse(aes, sizeof(aes));
    if (!done) {
        free(file);
        return OTTER_ERR_CRYPTO;
    }
    *out = file;
    return OTTER_OK;
}

/* ---- a whole file, through the sink that a device has -----------------------------------------
 */

struct memory {
    uint8_t *data;
    size_t len;
};

static otter_err memory_begin(void *ctx, uint32_t length)
{
    struct memory *m = ctx;

    m->data = malloc(length);
    return m->data != NULL ? OTTER_OK : OTTER_ERR_TOO_LARGE;
}

static otter_err memory_write(void *ctx, const uint8_t *data, size_t len, size_t *used)
{
    struct memory *m = ctx;

    memcpy(m->data + m->len, data, len); /* the sink in front holds to the length of begin */
    m->len += len;
    *used = len;
    return OTTER_OK;
}

static otter_err memory_finish(void *ctx)
{
    return OTTER_OK;
}

static void memory_abort(void *ctx) {}

otter_err otter_image_decrypt(struct otter_decryptor *d, const uint8_t *data, size_t len,
                              uint8_t **out, size_t *out_len)
{
    static const struct otter_sink_ops ops = {.begin = memory_begin,
                                              .write = memory_write,
                                              .finish = memory_finish,
                                              .abort = memory_abort};
    struct memory memory = {0};
    struct otter_encrypted encrypted;
    struct otter_encrypted_transport transport = {&encrypted, {&ops, &memory}};
    struct otter_sink sink = otter_encrypted_sink(&transport);

    if (len >= UINT32_MAX) {
        return OTTER_ERR_TOO_LARGE;
    }
    otter_encrypted_init(&encrypted, otter_decryptor_cipher(d));
    otter_err err = sink.ops->begin(sink.ctx, (uint32_t)len);
    for (size_t used; err == OTTER_OK && len > 0; data += used, len -= used) {
        err = sink.ops->write(sink.ctx, data, len, &used);
    }
    while (err == OTTER_OK && (err = sink.ops->finish(sink.ctx)) == OTTER_ERR_AGAIN) {
        err = OTTER_OK;
    }
    if (err != OTTER_OK) {
        free(memory.data);
        return err;
    }
    *out = memory.data;
    *out_len = memory.len;
    return OTTER_OK;
}
