/* SPDX-License-Identifier: Apache-2.0 */
/* src/secure: encrypted images in front of the update session, with OpenSSL as the port. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/encryption.h"
#include "host/image_build.h"
#include "host/sha256.h"
#include "host/signing.h"
#include "otter/update.h"
#include "unit/ram_slots.h"

#define SMALL 512u

enum { BY_RSA, BY_ECIES, KEYS };

struct fixture {
    struct ram_slots ram;
    struct otter_sha256 sha;
    struct otter_update update;
    uint8_t buf[512];
    struct otter_decryptor decryptor;
    struct otter_cipher inside; /* of the engine */
    bool part_of_block;         /* the engine's last piece ended in the middle of one */
    struct otter_encrypted encrypted;
    struct otter_update_transport behind[2];
    struct otter_encrypted_transport transport[2];
    uint8_t *image;
    uint8_t *file; /* the image encrypted */
    size_t image_len, len;
};

/* Of the flips that cost an RSA operation each, every how many-th is tried: each one with the
 * argument "all". */
static size_t stride = 23;

static EVP_PKEY *keys[2 * KEYS]; /* the device's, and others */

static int make_keys(void **state)
{
    for (int i = 0; i < 2 * KEYS; i++) {
        keys[i] = otter_key_make(i % KEYS == BY_RSA);
        assert_non_null(keys[i]);
    }
    return 0;
}

static int free_keys(void **state)
{
    for (int i = 0; i < 2 * KEYS; i++) {
        EVP_PKEY_free(keys[i]);
    }
    return 0;
}

static void encrypt_for(struct fixture *f, int key, uint32_t size)
{
    const struct otter_image_spec spec = {.size = size, .project = "p", .version = "1.0.0"};

    free(f->image);
    free(f->file);
    f->file = NULL;
    assert_int_equal(otter_image_build(&spec, &f->image, &f->image_len), OTTER_OK);
    assert_int_equal(otter_image_encrypt(keys[key], f->image, (uint32_t)f->image_len, &f->file),
                     OTTER_OK);
    f->len = f->image_len + OTTER_ENCRYPTED_HEADER;
}

/* ---- an engine, as ESP32 chips have it: after a part of a block nothing can follow ----------- */

static otter_err engine_start(void *ctx, const uint8_t key_block[OTTER_ENCRYPTED_KEY_BLOCK],
                              const uint8_t iv[OTTER_ENCRYPTED_IV])
{
    struct fixture *f = ctx;

    f->part_of_block = false;
    return f->inside.ops->start(f->inside.ctx, key_block, iv);
}

static otter_err engine_update(void *ctx, const uint8_t *in, size_t len, uint8_t *out)
{
    struct fixture *f = ctx;

    assert_false(f->part_of_block);
    assert_true(out + len <= in || in + len <= out);
    f->part_of_block = len % OTTER_ENCRYPTED_BLOCK != 0;
    return f->inside.ops->update(f->inside.ctx, in, len, out);
}

static otter_err engine_finish(void *ctx, const uint8_t tag[OTTER_ENCRYPTED_TAG])
{
    struct fixture *f = ctx;

    return f->inside.ops->finish(f->inside.ctx, tag);
}

static void engine_end(void *ctx)
{
    struct fixture *f = ctx;

    f->inside.ops->end(f->inside.ctx);
}

static struct otter_cipher engine(struct fixture *f)
{
    static const struct otter_cipher_ops ops = {engine_start, engine_update, engine_finish,
                                                engine_end};

    f->inside = otter_decryptor_cipher(&f->decryptor);
    return (struct otter_cipher){.ops = &ops, .ctx = f, .ecies = f->inside.ecies};
}

static void use_key(struct fixture *f, int key)
{
    otter_decryptor_free(&f->decryptor);
    EVP_PKEY_up_ref(keys[key]);
    assert_int_equal(otter_decryptor_new(&f->decryptor, keys[key]), OTTER_OK);
    otter_encrypted_init(&f->encrypted, engine(f));
}

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
    for (int i = 0; i < 2; i++) {
        f->behind[i].update = &f->update;
        f->transport[i].encrypted = &f->encrypted;
        f->transport[i].next = otter_update_sink(&f->behind[i]);
    }
    use_key(f, BY_RSA);
    encrypt_for(f, BY_RSA, 10000);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    otter_decryptor_free(&f->decryptor);
    otter_sha256_free(&f->sha);
    free(f->image);
    free(f->file);
    free(f);
    return 0;
}

static otter_err write_all(struct otter_sink sink, const uint8_t *data, size_t len, size_t piece)
{
    otter_err err = OTTER_OK;

    while (err == OTTER_OK && len > 0) {
        size_t used = 0;
        err = sink.ops->write(sink.ctx, data, len < piece ? len : piece, &used);
        data += used;
        len -= used;
    }
    return err;
}

static otter_err finish(struct otter_sink sink)
{
    otter_err err;

    while ((err = sink.ops->finish(sink.ctx)) == OTTER_ERR_AGAIN) {
    }
    return err;
}

/* A whole update; the session must be free again afterwards, or have selected the image. */
static otter_err update_with(struct fixture *f, uint32_t length, size_t len, size_t piece)
{
    struct otter_sink sink = otter_encrypted_sink(&f->transport[0]);
    otter_err err = sink.ops->begin(sink.ctx, length);

    if (err == OTTER_OK) {
        err = write_all(sink, f->file, len, piece);
    }
    if (err == OTTER_OK) {
        err = finish(sink);
    }
    assert_int_equal(f->ram.selected, err == OTTER_OK);
    assert_int_equal(f->update.state, err == OTTER_OK ? OTTER_UPDATE_SELECTED : OTTER_UPDATE_IDLE);
    assert_null(f->encrypted.owner);
    return err;
}

/* The device restarts. */
static void restart(struct fixture *f)
{
    f->update.state = OTTER_UPDATE_IDLE;
    f->ram.selected = false;
}

static void both_kinds_of_key_in_pieces_of_any_size(void **state)
{
    struct fixture *f = *state;
    static const size_t pieces[] = {1, 7, 15, 16, 17, 460, 511, 512, 513, 4096, 100000};

    for (int key = BY_RSA; key < KEYS; key++) {
        use_key(f, key);
        encrypt_for(f, key, 10000);
        for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
            uint32_t length = i % 2 ? OTTER_LENGTH_UNKNOWN : (uint32_t)f->len;
            assert_int_equal(update_with(f, length, f->len, pieces[i]), OTTER_OK);
            assert_memory_equal(f->ram.mem, f->image, f->image_len);
            assert_false(f->ram.broke_rules);
            restart(f);
        }
    }
}

static otter_err flipped(struct fixture *f, size_t bit)
{
    f->file[bit / 8] ^= (uint8_t)(1u << bit % 8);
    otter_err err = update_with(f, (uint32_t)f->len, f->len, f->len);
    f->file[bit / 8] ^= (uint8_t)(1u << bit % 8);
    return err;
}

/* Header, IV, size, tag, zeros and ciphertext; the wrapped key below. */
static void every_bit_flip_outside_the_key_is_refused(void **state)
{
    struct fixture *f = *state;

    for (int key = BY_RSA; key < KEYS; key++) {
        use_key(f, key);
        encrypt_for(f, key, SMALL);
        size_t step = key == BY_RSA ? stride : 1;
        for (size_t bit = key == BY_RSA ? 388 * 8 : 0; bit < f->len * 8; bit += step) {
            if (flipped(f, bit) == OTTER_OK) {
                fail_msg("kind %d: a flip of bit %zu of byte %zu passes", key, bit % 8, bit / 8);
            }
        }
        assert_int_equal(update_with(f, (uint32_t)f->len, f->len, 100), OTTER_OK);
        restart(f);
    }
}

/* What the device says does not tell whether the key block opened. */
static void every_bit_flip_of_an_RSA_key_looks_like_another_key(void **state)
{
    struct fixture *f = *state;

    encrypt_for(f, BY_RSA, SMALL);
    for (size_t bit = 4 * 8; bit < 388 * 8; bit += stride) {
        otter_err err = flipped(f, bit);
        if (err == OTTER_OK || err == OTTER_ERR_CRYPTO) {
            fail_msg("a flip of bit %zu of byte %zu: %s", bit % 8, bit / 8, otter_err_text(err));
        }
    }
}

static void another_key_is_refused_at_the_first_bytes(void **state)
{
    struct fixture *f = *state;
    unsigned refused = 0;

    for (int key = BY_RSA; key < KEYS; key++) {
        use_key(f, key);
        for (int i = 0; i < 4; i++) { /* one time in 256 the first byte looks like an image's */
            encrypt_for(f, key + KEYS, SMALL);
            otter_err err = update_with(f, (uint32_t)f->len, f->len, 4096);
            assert_int_not_equal(err, OTTER_OK);
            refused += err == OTTER_ERR_ENCRYPTED_KEY;
        }
    }
    assert_true(refused >= 4);
    assert_int_equal(f->ram.erases, 0);
}

static void what_is_not_encrypted_is_refused_at_the_first_bytes(void **state)
{
    struct fixture *f = *state;

    memcpy(f->file, f->image, f->image_len);
    assert_int_equal(update_with(f, (uint32_t)f->image_len, f->image_len, 1),
                     OTTER_ERR_UNENCRYPTED);
    memcpy(f->file, "<htm", 4);
    assert_int_equal(update_with(f, (uint32_t)f->image_len, f->image_len, 1),
                     OTTER_ERR_ENCRYPTED_HEADER);
    assert_int_equal(f->ram.erases, 0);
}

static void truncated_at_any_length(void **state)
{
    struct fixture *f = *state;

    encrypt_for(f, BY_RSA, SMALL);
    for (size_t len = 0; len < f->len; len += len < 500 ? 97 : 1) {
        assert_int_equal(update_with(f, OTTER_LENGTH_UNKNOWN, len, 4096), OTTER_ERR_TRUNCATED);
    }
    for (uint32_t length = 1; length < f->len; length += 61) {
        assert_int_equal(update_with(f, length, length, 4096), OTTER_ERR_TRUNCATED);
    }
    assert_int_equal(update_with(f, 0, 0, 4096), OTTER_ERR_EMPTY);
    assert_int_equal(update_with(f, (uint32_t)f->len + 1, f->len, 4096), OTTER_ERR_TRAILING);
}

static void padding_behind_is_tolerated_to_a_limit(void **state)
{
    struct fixture *f = *state;
    size_t len = f->len + OTTER_ENCRYPTED_TRAILING_MAX;

    f->file = realloc(f->file, len + 1);
    assert_non_null(f->file);
    memset(f->file + f->len, 0xA5, len + 1 - f->len);
    assert_int_equal(update_with(f, OTTER_LENGTH_UNKNOWN, len + 1, 1000), OTTER_ERR_TRAILING);
    assert_int_equal(update_with(f, OTTER_LENGTH_UNKNOWN, len, 1000), OTTER_OK);
}

static void swapped_blocks_are_refused(void **state)
{
    struct fixture *f = *state;
    uint8_t block[1024];

    memcpy(block, f->file + 2048, sizeof block);
    memcpy(f->file + 2048, f->file + 4096, sizeof block);
    memcpy(f->file + 4096, block, sizeof block);
    assert_int_not_equal(update_with(f, (uint32_t)f->len, f->len, 4096), OTTER_OK);
}

/* The image inside may be whole: without the tag it is still not taken. */
static void a_wrong_tag_alone_is_refused(void **state)
{
    struct fixture *f = *state;

    f->file[408] ^= 1;
    assert_int_equal(update_with(f, (uint32_t)f->len, f->len, 4096), OTTER_ERR_ENCRYPTED_TAG);
    assert_int_equal(f->ram.selects, 0);
}

static void an_image_that_fills_the_slot(void **state)
{
    struct fixture *f = *state;

    encrypt_for(f, BY_RSA, RAM_SLOT_SIZE);
    assert_int_equal(update_with(f, (uint32_t)f->len, f->len, 4096), OTTER_OK);
    restart(f);
    encrypt_for(f, BY_RSA, RAM_SLOT_SIZE + 16);
    unsigned erases = f->ram.erases;
    assert_int_equal(update_with(f, (uint32_t)f->len, f->len, 4096), OTTER_ERR_TOO_LARGE);
    assert_int_equal(f->ram.erases, erases);
}

static void a_second_transport_disturbs_nothing(void **state)
{
    struct fixture *f = *state;
    struct otter_sink a = otter_encrypted_sink(&f->transport[0]);
    struct otter_sink b = otter_encrypted_sink(&f->transport[1]);
    size_t used;

    assert_int_equal(b.ops->write(b.ctx, f->file, 10, &used), OTTER_ERR_STATE);
    assert_int_equal(a.ops->begin(a.ctx, (uint32_t)f->len), OTTER_OK);
    assert_int_equal(write_all(a, f->file, 3000, 300), OTTER_OK);
    assert_int_equal(b.ops->begin(b.ctx, (uint32_t)f->len), OTTER_ERR_BUSY);
    assert_int_equal(b.ops->write(b.ctx, f->file, 10, &used), OTTER_ERR_BUSY);
    assert_int_equal(b.ops->finish(b.ctx), OTTER_ERR_BUSY);
    b.ops->abort(b.ctx);
    assert_int_equal(write_all(a, f->file + 3000, f->len - 3000, 300), OTTER_OK);
    assert_int_equal(finish(a), OTTER_OK);
    assert_int_equal(a.ops->finish(a.ctx), OTTER_ERR_STATE);
}

static void afresh_after_any_part(void **state)
{
    struct fixture *f = *state;
    struct otter_sink sink = otter_encrypted_sink(&f->transport[0]);

    for (size_t len = 0; len < f->len; len += 509) {
        assert_int_equal(sink.ops->begin(sink.ctx, (uint32_t)f->len), OTTER_OK);
        assert_int_equal(write_all(sink, f->file, len, 4096), OTTER_OK);
        if (len % 2) {
            sink.ops->abort(sink.ctx);
            assert_int_equal(f->update.state, OTTER_UPDATE_IDLE);
        }
    }
    assert_int_equal(update_with(f, (uint32_t)f->len, f->len, 4096), OTTER_OK);
}

/* ---- a device that takes plain images, too --------------------------------------------------- */

static void put_plain(struct fixture *f)
{
    memcpy(f->file, f->image, f->image_len);
    f->len = f->image_len;
}

static void plain_and_encrypted_by_their_first_bytes(void **state)
{
    struct fixture *f = *state;
    static const size_t pieces[] = {1, 3, 4, 5, 511, 512, 513, 4096, 100000};

    f->encrypted.plain_too = true;
    for (int plain = 0; plain < 2; plain++) {
        encrypt_for(f, BY_RSA, 10000);
        if (plain) {
            put_plain(f);
        }
        for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
            uint32_t length = i % 2 ? OTTER_LENGTH_UNKNOWN : (uint32_t)f->len;
            assert_int_equal(update_with(f, length, f->len, pieces[i]), OTTER_OK);
            assert_memory_equal(f->ram.mem, f->image, f->image_len);
            assert_false(f->ram.broke_rules);
            restart(f);
        }
    }
}

/* Damage, truncation and other files are refused as by a device that takes the one kind. */
static void taking_both_lets_nothing_else_in(void **state)
{
    struct fixture *f = *state;

    f->encrypted.plain_too = true;
    encrypt_for(f, BY_RSA, SMALL);
    for (size_t bit = 0; bit < f->len * 8; bit += 5 * stride) {
        assert_int_not_equal(flipped(f, bit), OTTER_OK);
    }
    for (size_t len = 0; len < f->len; len += len < 8 || len > 500 ? 1 : 61) {
        assert_int_equal(update_with(f, OTTER_LENGTH_UNKNOWN, len, 4096), OTTER_ERR_TRUNCATED);
    }
    for (uint32_t length = 1; length < f->len; length += 61) {
        assert_int_equal(update_with(f, length, length, 4096), OTTER_ERR_TRUNCATED);
    }
    assert_int_equal(update_with(f, 0, 0, 4096), OTTER_ERR_EMPTY);
    assert_int_equal(update_with(f, (uint32_t)f->len + 1, f->len, 4096), OTTER_ERR_TRAILING);
    put_plain(f);
    for (size_t bit = 0; bit < f->len * 8; bit++) {
        assert_int_not_equal(flipped(f, bit), OTTER_OK);
    }
    for (size_t len = 0; len < f->len; len++) {
        assert_int_equal(update_with(f, OTTER_LENGTH_UNKNOWN, len, 4096), OTTER_ERR_TRUNCATED);
    }
    memcpy(f->file, "<htm", 4);
    assert_int_equal(update_with(f, (uint32_t)f->len, f->len, 1), OTTER_ERR_IMAGE_MAGIC);
}

/* The header must not count against the slot, and must not make room for what is too large. */
static void taking_both_knows_the_slot(void **state)
{
    struct fixture *f = *state;

    f->encrypted.plain_too = true;
    for (uint32_t more = 0; more <= OTTER_ENCRYPTED_HEADER; more += 256) {
        encrypt_for(f, BY_RSA, RAM_SLOT_SIZE - OTTER_ENCRYPTED_HEADER + more);
        assert_int_equal(update_with(f, (uint32_t)f->len, f->len, 4096), OTTER_OK);
        restart(f);
    }
    unsigned erases = f->ram.erases;
    encrypt_for(f, BY_RSA, RAM_SLOT_SIZE + 16);
    assert_int_equal(update_with(f, (uint32_t)f->len, f->len, 4096), OTTER_ERR_TOO_LARGE);
    put_plain(f);
    assert_int_equal(update_with(f, (uint32_t)f->len, f->len, 4096), OTTER_ERR_TOO_LARGE);
    assert_int_equal(f->ram.erases, erases);
}

static void taking_both_one_update_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct otter_sink a = otter_encrypted_sink(&f->transport[0]);
    struct otter_sink b = otter_encrypted_sink(&f->transport[1]);

    f->encrypted.plain_too = true;
    for (size_t len = 0; len < f->len; len += len < 10 ? 1 : 509) {
        assert_int_equal(a.ops->begin(a.ctx, (uint32_t)f->len), OTTER_OK);
        assert_int_equal(write_all(a, f->file, len, 4096), OTTER_OK);
        assert_int_equal(b.ops->begin(b.ctx, (uint32_t)f->len), OTTER_ERR_BUSY);
        if (len % 2) {
            a.ops->abort(a.ctx);
            assert_int_equal(f->update.state, OTTER_UPDATE_IDLE);
        }
    }
    assert_int_equal(update_with(f, (uint32_t)f->len, f->len, 4096), OTTER_OK);
}

/* Header, cipher state and decrypted bytes, all that the device needs beyond the session. */
static void it_fits_into_a_kilobyte(void **state)
{
    assert_true(sizeof(struct otter_encrypted) + 4 * sizeof(struct otter_encrypted_transport) <=
                1024);
}

#define SESSION(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(int argc, char **argv)
{
    stride = argc > 1 ? 1 : stride;
    const struct CMUnitTest tests[] = {
        SESSION(both_kinds_of_key_in_pieces_of_any_size),
        SESSION(every_bit_flip_outside_the_key_is_refused),
        SESSION(every_bit_flip_of_an_RSA_key_looks_like_another_key),
        SESSION(another_key_is_refused_at_the_first_bytes),
        SESSION(what_is_not_encrypted_is_refused_at_the_first_bytes),
        SESSION(truncated_at_any_length),
        SESSION(padding_behind_is_tolerated_to_a_limit),
        SESSION(swapped_blocks_are_refused),
        SESSION(a_wrong_tag_alone_is_refused),
        SESSION(an_image_that_fills_the_slot),
        SESSION(a_second_transport_disturbs_nothing),
        SESSION(afresh_after_any_part),
        SESSION(plain_and_encrypted_by_their_first_bytes),
        SESSION(taking_both_lets_nothing_else_in),
        SESSION(taking_both_knows_the_slot),
        SESSION(taking_both_one_update_at_a_time),
        cmocka_unit_test(it_fits_into_a_kilobyte),
    };

    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
