/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port/esp_idf's cryptography by PSA, on the Mbed TLS of this machine, against what OpenSSL makes:
 * the same files that the component compiles, held against the same formats.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <mbedtls/version.h>
#include <openssl/core_names.h>
#include <openssl/hmac.h>
#include <openssl/x509.h>

#include "crypto.h"
#include "host/encryption.h"
#include "host/image_build.h"
#include "host/sha256.h"
#include "host/signing.h"
#include "otter/update.h"
#include "unit/ram_slots.h"

#define STRIDE 97u /* of the bits of RSA and of an encrypted image; each costs a key operation */

enum { BY_RSA, BY_EC, KEYS };

static EVP_PKEY *keys[KEYS], *others[KEYS];
static struct otter_idf_private_key private_keys[KEYS];

/* The key as PSA imports it: RSAPrivateKey, or the number. */
static void import(EVP_PKEY *key, struct otter_idf_private_key *out)
{
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    uint8_t number[32];
    BIGNUM *n = NULL;
    bool is_rsa;

    assert_true(otter_key_fits(key, &is_rsa));
    if (!is_rsa) {
        assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &n), 1);
        assert_int_equal(BN_bn2binpad(n, number, 32), 32);
        BN_clear_free(n);
        assert_int_equal(otter_idf_key_from_number(number, out), OTTER_OK);
        assert_true(out->ecies);
        return;
    }
    uint8_t *der = NULL;
    int len = i2d_PrivateKey(key, &der);
    assert_true(len > 0);
    psa_set_key_type(&attributes, PSA_KEY_TYPE_RSA_KEY_PAIR);
    psa_set_key_usage_flags(&attributes, PSA_KEY_USAGE_DECRYPT);
    psa_set_key_algorithm(&attributes, PSA_ALG_RSA_PKCS1V15_CRYPT);
    *out = (struct otter_idf_private_key){.ecies = false};
    assert_int_equal(psa_import_key(&attributes, der, (size_t)len, &out->id), PSA_SUCCESS);
    OPENSSL_free(der);
}

static int make_keys(void **state)
{
    assert_int_equal(psa_crypto_init(), PSA_SUCCESS);
    for (int i = 0; i < KEYS; i++) {
        keys[i] = otter_key_make(i == BY_RSA);
        others[i] = otter_key_make(i == BY_RSA);
        assert_non_null(keys[i]);
        assert_non_null(others[i]);
        import(keys[i], &private_keys[i]);
    }
    return 0;
}

static int free_keys(void **state)
{
    for (int i = 0; i < KEYS; i++) {
        EVP_PKEY_free(keys[i]);
        EVP_PKEY_free(others[i]);
        assert_int_equal(psa_destroy_key(private_keys[i].id), PSA_SUCCESS);
    }
    return 0;
}

/* ---- signatures ----------------------------------------------------------------------------- */

static const uint8_t digest[OTTER_SHA256_SIZE] = "the digest of what is covered.!";

static otter_err check(const uint8_t raw[OTTER_SIGNATURE_BLOCK_SIZE])
{
    struct otter_signature_block block;

    assert_int_equal(otter_signature_block_read(&block, raw), OTTER_OK);
    return otter_signature_block_check(&block, otter_idf_signatures(), digest);
}

static void signatures_that_OpenSSL_made_hold(void **state)
{
    uint8_t raw[OTTER_SIGNATURE_BLOCK_SIZE];

    for (int i = 0; i < KEYS; i++) {
        for (int times = 0; times < 8; times++) {
            EVP_PKEY *key = otter_key_make(i == BY_RSA && times == 0);
            EVP_PKEY *use = i == BY_RSA && times > 0 ? keys[BY_RSA] : key;
            assert_int_equal(otter_signature_block_make(use, digest, raw), OTTER_OK);
            assert_int_equal(check(raw), OTTER_OK);
            EVP_PKEY_free(key);
        }
    }
}

/* Key, exponent and signature; the rest of a block is looked at before PSA. */
static void bit_flips_of_key_and_signature_do_not_hold(void **state)
{
    struct otter_signature_port psa = otter_idf_signatures();
    uint8_t raw[OTTER_SIGNATURE_BLOCK_SIZE];
    struct otter_signature_block block;

    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(otter_signature_block_make(keys[i], digest, raw), OTTER_OK);
        assert_int_equal(otter_signature_block_read(&block, raw), OTTER_OK);
        size_t key = (size_t)(block.key - raw), signature = (size_t)(block.signature - raw);
        size_t size = i == BY_RSA ? OTTER_RSA_SIZE : OTTER_POINT_SIZE;
        for (size_t bit = 0; bit < 2 * size * 8; bit += i == BY_RSA ? STRIDE : 11) {
            size_t at = bit / 8 < size ? key + (i != BY_RSA) + bit / 8 : signature + bit / 8 - size;
            raw[at] ^= (uint8_t)(1u << bit % 8);

            otter_err err = i == BY_RSA
                                ? psa.ops->rsa(psa.ctx, raw + key, 65537, raw + signature, digest)
                                : psa.ops->ecdsa(psa.ctx, raw + key + 1, raw + signature, digest);
            if (err != OTTER_ERR_SIGNATURE) {
                fail_msg("kind %d, bit %zu: %s", i, bit, otter_err_text(err));
            }
            raw[at] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

static void odd_exponents_are_no_fault_of_ours(void **state)
{
    static const uint32_t exponents[] = {0, 1, 2, 3, 0x80, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF};
    struct otter_signature_port psa = otter_idf_signatures();
    uint8_t raw[OTTER_SIGNATURE_BLOCK_SIZE];

    assert_int_equal(otter_signature_block_make(keys[BY_RSA], digest, raw), OTTER_OK);
    assert_int_equal(psa.ops->rsa(psa.ctx, raw + 36, 65537, raw + 812, digest), OTTER_OK);
    for (size_t i = 0; i < sizeof exponents / sizeof *exponents; i++) {
        assert_int_equal(psa.ops->rsa(psa.ctx, raw + 36, exponents[i], raw + 812, digest),
                         OTTER_ERR_SIGNATURE);
    }
}

static void another_digest_does_not_hold(void **state)
{
    uint8_t other[OTTER_SHA256_SIZE] = {0}, raw[OTTER_SIGNATURE_BLOCK_SIZE];
    struct otter_signature_port psa = otter_idf_signatures();

    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(otter_signature_block_make(keys[i], digest, raw), OTTER_OK);
        otter_err err = i == BY_RSA ? psa.ops->rsa(psa.ctx, raw + 36, 65537, raw + 812, other)
                                    : psa.ops->ecdsa(psa.ctx, raw + 37, raw + 101, other);
        assert_int_equal(err, OTTER_ERR_SIGNATURE);
    }
}

/* ---- encrypted images ----------------------------------------------------------------------- */

struct fixture {
    struct ram_slots ram;
    struct otter_sha256 sha;
    struct otter_update update;
    uint8_t buf[512];
    struct otter_idf_cipher cipher;
    struct otter_encrypted encrypted;
    struct otter_update_transport behind;
    struct otter_encrypted_transport transport;
    uint8_t *image, *file;
    size_t image_len, len;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    ram_slots_init(&f->ram);
    assert_int_equal(otter_sha256_new(&f->sha), OTTER_OK);
    const struct otter_update_config config = {.slots = ram_slots_table(&f->ram),
                                               .hash = otter_sha256_hash(&f->sha),
                                               .buf = f->buf,
                                               .buf_size = sizeof f->buf};
    assert_int_equal(otter_update_init(&f->update, &config), OTTER_OK);
    f->behind.update = &f->update;
    f->transport.encrypted = &f->encrypted;
    f->transport.next = otter_update_sink(&f->behind);
    *state = f;
    return 0;
}

static void drop_file(struct fixture *f)
{
    free(f->image);
    free(f->file);
    f->image = f->file = NULL;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    otter_sha256_free(&f->sha);
    drop_file(f);
    free(f);
    return 0;
}

static void prepare(struct fixture *f, struct otter_idf_private_key own, EVP_PKEY *key,
                    uint32_t size)
{
    const struct otter_image_spec spec = {.size = size, .project = "p", .version = "1.0.0"};

    drop_file(f);
    assert_int_equal(otter_image_build(&spec, &f->image, &f->image_len), OTTER_OK);
    assert_int_equal(otter_image_encrypt(key, f->image, (uint32_t)f->image_len, &f->file),
                     OTTER_OK);
    f->len = f->image_len + OTTER_ENCRYPTED_HEADER;
    otter_encrypted_init(&f->encrypted, otter_idf_cipher_on(&f->cipher, own));
}

static otter_err update(struct fixture *f, size_t piece)
{
    struct otter_sink sink = otter_encrypted_sink(&f->transport);
    const uint8_t *data = f->file;
    size_t left = f->len, used;

    f->update.state = OTTER_UPDATE_IDLE;
    f->ram.selected = false;
    otter_err err = sink.ops->begin(sink.ctx, (uint32_t)f->len);
    for (; err == OTTER_OK && left > 0; data += used, left -= used) {
        err = sink.ops->write(sink.ctx, data, left < piece ? left : piece, &used);
    }
    while (err == OTTER_OK && (err = sink.ops->finish(sink.ctx)) == OTTER_ERR_AGAIN) {
        err = OTTER_OK;
    }
    assert_int_equal(f->ram.selected, err == OTTER_OK);
    assert_int_equal(f->cipher.image_key, PSA_KEY_ID_NULL); /* forgotten */
    return err;
}

static void images_that_OpenSSL_encrypted(void **state)
{
    struct fixture *f = *state;
    static const size_t pieces[] = {1, 7, 15, 16, 17, 511, 512, 513, 4096, 100000};

    for (int i = 0; i < KEYS; i++) {
        prepare(f, private_keys[i], keys[i], 10000);
        for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
            assert_int_equal(update(f, pieces[p]), OTTER_OK);
            assert_memory_equal(f->ram.mem, f->image, f->image_len);
        }
    }
}

/* Header, key block and ciphertext. */
static void bit_flips_are_refused(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < KEYS; i++) {
        prepare(f, private_keys[i], keys[i], 512);
        for (size_t bit = 0; bit < f->len * 8; bit += STRIDE) {
            f->file[bit / 8] ^= (uint8_t)(1u << bit % 8);
            otter_err err = update(f, f->len);
            if (err == OTTER_OK || err == OTTER_ERR_CRYPTO) {
                fail_msg("kind %d, bit %zu: %s", i, bit, otter_err_text(err));
            }
            f->file[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        assert_int_equal(update(f, 100), OTTER_OK);
    }
}

static void images_for_another_key_are_refused(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < KEYS; i++) {
        for (int times = 0; times < 4; times++) {
            prepare(f, private_keys[i], others[i], 512);
            otter_err err = update(f, 512);
            assert_true(err != OTTER_OK && err != OTTER_ERR_CRYPTO);
        }
    }
}

static void an_update_given_up_leaves_no_key(void **state)
{
    struct fixture *f = *state;
    struct otter_sink sink = otter_encrypted_sink(&f->transport);
    size_t used;

    for (int times = 0; times < 100; times++) { /* more than PSA has places for keys */
        prepare(f, private_keys[BY_EC], keys[BY_EC], 512);
        assert_int_equal(sink.ops->begin(sink.ctx, (uint32_t)f->len), OTTER_OK);
        for (size_t done = 0; done < 600; done += used) {
            assert_int_equal(sink.ops->write(sink.ctx, f->file + done, 600 - done, &used),
                             OTTER_OK);
        }
        assert_int_not_equal(f->cipher.image_key, PSA_KEY_ID_NULL);
        sink.ops->abort(sink.ctx);
        assert_int_equal(f->cipher.image_key, PSA_KEY_ID_NULL);
    }
}

/* ---- where the private key comes from ------------------------------------------------------- */

static otter_err hmac(void *ctx, const uint8_t *data, size_t len, uint8_t out[32])
{
    unsigned out_len = 0;

    return HMAC(EVP_sha256(), ctx, 32, data, len, out, &out_len) != NULL ? OTTER_OK
                                                                         : OTTER_ERR_CRYPTO;
}

/* Like PBKDF2 of OpenSSL with the salt of esp_enc_img_gen. */
static void the_number_behind_an_HMAC_key(void **state)
{
    static const uint8_t salt[32] = "\x0e\x21\x60\x64\x2d\xae\x76\xd3\x34\x48\xe4\x3d\x77\x20\x12"
                                    "\x3d\x9f\x3b\x1e\xce\xb8\x8e\x57\x3a\x4e\x8f\x7f\xb9\x4f\xf0"
                                    "\xc8\x69";
    uint8_t secret[32], number[32], expected[32];

    for (int i = 0; i < 32; i++) {
        secret[i] = (uint8_t)(i * 7 + 1);
    }
    assert_int_equal(
        PKCS5_PBKDF2_HMAC((const char *)secret, 32, salt, 32, 2048, EVP_sha256(), 32, expected), 1);
    assert_int_equal(otter_idf_number_from_hmac(hmac, secret, number), OTTER_OK);
    assert_memory_equal(number, expected, 32);
}

static void numbers_that_are_no_keys(void **state)
{
    struct otter_idf_private_key key;
    uint8_t number[32] = {0};

    assert_int_equal(otter_idf_key_from_number(number, &key), OTTER_ERR_CRYPTO);
    memset(number, 0xFF, sizeof number);
    assert_int_equal(otter_idf_key_from_number(number, &key), OTTER_ERR_CRYPTO);
}

#if MBEDTLS_VERSION_MAJOR >= 3
static void key_files(void **state)
{
    struct fixture *f = *state;
    struct otter_idf_private_key key;
    uint8_t text[4096];
    size_t len;

    for (int i = 0; i < KEYS; i++) {
        char *pem = otter_key_pem(keys[i], true, &len);
        assert_non_null(pem);
        memcpy(text, pem, len);
        text[len] = '\0';
        OPENSSL_free(pem);
        assert_int_equal(otter_idf_key_from_file(text, len + 1, &key), OTTER_OK);
        assert_int_equal(key.ecies, i == BY_EC);
        prepare(f, key, keys[i], 5000);
        assert_int_equal(update(f, 1000), OTTER_OK);
        assert_int_equal(psa_destroy_key(key.id), PSA_SUCCESS);
        text[len / 2] = '\0';
        assert_int_equal(otter_idf_key_from_file(text, len / 2 + 1, &key), OTTER_ERR_CRYPTO);
    }
    EVP_PKEY *small = EVP_RSA_gen(2048), *p384 = EVP_EC_gen("P-384");
    uint8_t *der = NULL;
    int der_len = i2d_PrivateKey(small, &der);
    assert_int_equal(otter_idf_key_from_file(der, (size_t)der_len, &key), OTTER_ERR_CRYPTO);
    OPENSSL_free(der);
    der = NULL;
    der_len = i2d_PrivateKey(p384, &der);
    assert_int_equal(otter_idf_key_from_file(der, (size_t)der_len, &key), OTTER_ERR_CRYPTO);
    OPENSSL_free(der);
    der = NULL;
    der_len = i2d_PUBKEY(keys[BY_RSA], &der);
    assert_int_equal(otter_idf_key_from_file(der, (size_t)der_len, &key), OTTER_ERR_CRYPTO);
    OPENSSL_free(der);
    EVP_PKEY_free(small);
    EVP_PKEY_free(p384);
}
#endif

#define SESSION(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_that_OpenSSL_made_hold),
        cmocka_unit_test(bit_flips_of_key_and_signature_do_not_hold),
        cmocka_unit_test(odd_exponents_are_no_fault_of_ours),
        cmocka_unit_test(another_digest_does_not_hold),
        SESSION(images_that_OpenSSL_encrypted),
        SESSION(bit_flips_are_refused),
        SESSION(images_for_another_key_are_refused),
        SESSION(an_update_given_up_leaves_no_key),
        cmocka_unit_test(the_number_behind_an_HMAC_key),
        cmocka_unit_test(numbers_that_are_no_keys),
#if MBEDTLS_VERSION_MAJOR >= 3
        SESSION(key_files),
#endif
    };

    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
