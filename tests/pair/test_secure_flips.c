/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that demands both, on simulated flash with the bootloader model: a signed and encrypted
 * image with one bit changed, anywhere, is refused, and the old image boots. Without an argument
 * every how many-th bit is tried, but each of the header; with "all" each of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/encryption.h"
#include "host/signing.h"
#include "powerloss/world.h"

/* A slot is one unit: the image in the first half, its signature in the second. */
static const struct geometry geometry = {.erase_unit = 8192, .write_unit = 4, .image_size = 512};
static const struct shape shape = {.factory = false, .ota_slots = 2};
static size_t stride = 41;

static struct gallery gallery;
static struct world world;

struct device {
    EVP_PKEY *signing;
    uint8_t trusted[OTTER_SHA256_SIZE];
    struct otter_decryptor decryptor;
    struct otter_encrypted encrypted;
    struct otter_signed_slots signed_slots;
    struct otter_update_transport session;
    struct otter_encrypted_transport transport;
    uint8_t buf[OTTER_SIGNATURE_SECTOR];
    uint8_t *file;
    uint32_t len;
};

static void ok(bool held)
{
    if (!held) {
        fprintf(stderr, "%s\n", world.why);
    }
    assert_true(held);
}

static void make_file(struct device *d, const struct image *image)
{
    uint8_t plain[2 * OTTER_SIGNATURE_SECTOR], digest[OTTER_SHA256_SIZE];

    memset(plain, 0xFF, sizeof plain);
    memcpy(plain, image->bytes, image->len);
    EVP_Digest(plain, OTTER_SIGNATURE_SECTOR, digest, NULL, EVP_sha256(), NULL);
    assert_int_equal(otter_signature_block_make(d->signing, digest, plain + OTTER_SIGNATURE_SECTOR),
                     OTTER_OK);
    assert_int_equal(otter_image_encrypt(d->decryptor.key, plain, sizeof plain, &d->file),
                     OTTER_OK);
    d->len = sizeof plain + OTTER_ENCRYPTED_HEADER;
}

static void make_device(struct device *d, bool rsa)
{
    memset(d, 0, sizeof *d);
    d->signing = otter_key_make(rsa);
    assert_int_equal(otter_key_digest(d->signing, d->trusted), OTTER_OK);
    assert_int_equal(otter_decryptor_new(&d->decryptor, otter_key_make(rsa)), OTTER_OK);
    otter_encrypted_init(&d->encrypted, otter_decryptor_cipher(&d->decryptor));
    d->session.update = &world.update;
    d->transport.encrypted = &d->encrypted;
    d->transport.next = otter_update_sink(&d->session);
    make_file(d, &gallery.images[1]);
}

static void free_device(struct device *d)
{
    otter_decryptor_free(&d->decryptor);
    EVP_PKEY_free(d->signing);
    free(d->file);
}

/* The session of the world, with what is demanded in front of its slots. */
static void demand(struct device *d)
{
    assert_int_equal(world_expect(&world, &gallery.images[1]), OTTER_OK);
    const struct otter_signed_config signatures = {
        .slots = world_slots(&world),
        .hash = otter_sha256_hash(&world.hashes[1]),
        .port = otter_openssl_signatures(),
        .trusted = d->trusted,
        .trusted_count = 1,
        .buf = d->buf,
        .buf_size = sizeof d->buf,
    };
    assert_int_equal(otter_signed_slots_init(&d->signed_slots, &signatures), OTTER_OK);
    const struct otter_update_config session = {
        .slots = otter_signed_slots_table(&d->signed_slots),
        .hash = otter_sha256_hash(&world.hashes[1]),
        .buf = d->buf,
        .buf_size = sizeof d->buf,
    };
    assert_int_equal(otter_update_init(&world.update, &session), OTTER_OK);
}

static otter_err update(struct device *d)
{
    struct otter_sink sink = otter_encrypted_sink(&d->transport);

    demand(d);
    otter_err err = sink.ops->begin(sink.ctx, d->len);
    for (uint32_t at = 0; err == OTTER_OK && at < d->len;) {
        size_t used = 0;
        err = sink.ops->write(sink.ctx, d->file + at, d->len - at, &used);
        at += (uint32_t)used;
    }
    while (err == OTTER_OK && (err = sink.ops->finish(sink.ctx)) == OTTER_ERR_AGAIN) {
        err = OTTER_OK;
    }
    return err;
}

static void flipped_and_the_old_image_boots(bool rsa)
{
    struct device d;
    size_t tried = 0;

    make_device(&d, rsa);
    ok(world_start(&world, &gallery, &geometry, &shape, true));
    ok(world_power_on(&world));
    for (size_t bit = 0; bit < d.len * 8u;) {
        d.file[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (update(&d) == OTTER_OK) {
            fail_msg("bit %zu of byte %zu: taken", bit % 8, bit / 8);
        }
        d.file[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (!world_power_on(&world) || !world_must_run(&world, &gallery.images[0])) {
            fail_msg("bit %zu of byte %zu: %s", bit % 8, bit / 8, world.why);
        }
        tried++;
        bool costly = rsa || bit / 8 >= OTTER_ENCRYPTED_HEADER;
        bit += costly ? stride : 1;
    }
    assert_int_equal(update(&d), OTTER_OK);
    ok(world_power_on(&world));
    ok(world_must_run(&world, &gallery.images[1]));
    ok(world_fresh_attempt(&world));
    printf("%zu bits\n", tried);
    free_device(&d);
}

static void RSA_flipped_and_the_old_image_boots(void **state)
{
    flipped_and_the_old_image_boots(true);
}

static void ECDSA_and_ECIES_flipped_and_the_old_image_boots(void **state)
{
    flipped_and_the_old_image_boots(false);
}

static int setup(void **state)
{
    return gallery_build(&gallery, &geometry) && world_new(&world) ? 0 : -1;
}

static int teardown(void **state)
{
    world_free(&world);
    gallery_free(&gallery);
    return 0;
}

int main(int argc, char **argv)
{
    stride = argc > 1 ? 1 : stride;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(RSA_flipped_and_the_old_image_boots),
        cmocka_unit_test(ECDSA_and_ECIES_flipped_and_the_old_image_boots),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
