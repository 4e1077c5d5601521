/* SPDX-License-Identifier: Apache-2.0 */
/* src/secure: Secure Boot v2 signatures, alone and behind the update session. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc.h"
#include "host/image_build.h"
#include "host/sha256.h"
#include "host/signing.h"
#include "otter/update.h"
#include "unit/ram_slots.h"

#define SMALL 512u
#define SECTOR OTTER_SIGNATURE_SECTOR
#define BLOCK OTTER_SIGNATURE_BLOCK_SIZE

enum { BY_RSA, BY_ECDSA, BY_STRANGER, KEYS };

static EVP_PKEY *keys[KEYS];
static uint8_t trusted[2 * OTTER_SHA256_SIZE]; /* the first two of them */

static int make_keys(void **state)
{
    for (int i = 0; i < KEYS; i++) {
        keys[i] = otter_key_make(i == BY_RSA);
        assert_non_null(keys[i]);
    }
    assert_int_equal(otter_key_digest(keys[BY_RSA], trusted), OTTER_OK);
    assert_int_equal(otter_key_digest(keys[BY_ECDSA], trusted + OTTER_SHA256_SIZE), OTTER_OK);
    return 0;
}

static int free_keys(void **state)
{
    for (int i = 0; i < KEYS; i++) {
        EVP_PKEY_free(keys[i]);
    }
    return 0;
}

/* An image with a signature sector. */
struct file {
    uint8_t data[RAM_SLOT_SIZE];
    uint32_t image;  /* bytes */
    uint32_t sector; /* where it begins */
    uint32_t len;
};

static void build(struct file *f, uint32_t size, uint32_t seed)
{
    const struct otter_image_spec spec = {
        .size = size, .seed = seed, .project = "p", .version = "1.0.0"};
    uint8_t *image = NULL;
    size_t len = 0;

    assert_int_equal(otter_image_build(&spec, &image, &len), OTTER_OK);
    memset(f->data, 0xFF, sizeof f->data);
    memcpy(f->data, image, len);
    free(image);
    f->image = (uint32_t)len;
    f->sector = otter_signature_place(f->image, sizeof f->data);
    assert_int_not_equal(f->sector, 0);
    f->len = f->sector + SECTOR;
}

static void sign(struct file *f, int place, int key)
{
    uint8_t digest[OTTER_SHA256_SIZE];

    EVP_Digest(f->data, f->sector, digest, NULL, EVP_sha256(), NULL);
    assert_int_equal(otter_signature_block_make(keys[key], digest,
                                                f->data + f->sector + (uint32_t)place * BLOCK),
                     OTTER_OK);
}

static void mend_crc(struct file *f, int place)
{
    uint8_t *block = f->data + f->sector + (uint32_t)place * BLOCK;
    uint32_t crc = otter_crc32(0, block, BLOCK - 20);

    for (int i = 0; i < 4; i++) {
        block[BLOCK - 20 + (uint32_t)i] = (uint8_t)(crc >> 8 * i);
    }
}

static otter_err check(const struct file *f)
{
    return otter_signed_image_check(f->data, f->len, f->image, trusted, 2);
}

static void a_signature_of_each_kind_is_accepted(void **state)
{
    struct file f;

    for (int key = BY_RSA; key <= BY_ECDSA; key++) {
        build(&f, 6000, 1);
        sign(&f, 0, key);
        assert_int_equal(check(&f), OTTER_OK);
    }
}

static void any_of_three_blocks_will_do(void **state)
{
    struct file f;

    for (int place = 0; place < 3; place++) {
        build(&f, 6000, 4);
        for (int i = 0; i < 3; i++) {
            sign(&f, i, i == place ? BY_ECDSA : BY_STRANGER);
        }
        assert_int_equal(check(&f), OTTER_OK);
    }
}

static void an_old_and_a_new_key_are_both_trusted(void **state)
{
    struct file f;

    build(&f, 6000, 5);
    sign(&f, 0, BY_RSA);
    sign(&f, 1, BY_ECDSA);
    assert_int_equal(check(&f), OTTER_OK);
    assert_int_equal(otter_signed_image_check(f.data, f.len, f.image, trusted, 1), OTTER_OK);
    assert_int_equal(
        otter_signed_image_check(f.data, f.len, f.image, trusted + OTTER_SHA256_SIZE, 1), OTTER_OK);
}

static void a_wrong_key_is_refused(void **state)
{
    struct file f;

    build(&f, 6000, 6);
    sign(&f, 0, BY_STRANGER);
    assert_int_equal(check(&f), OTTER_ERR_SIGNATURE_KEY);
}

static void an_image_without_a_signature_is_refused(void **state)
{
    struct file f;

    build(&f, 6000, 7);
    assert_int_equal(check(&f), OTTER_ERR_UNSIGNED);
    f.len = f.image;
    assert_int_equal(check(&f), OTTER_ERR_UNSIGNED);
}

static void a_truncated_sector_is_refused(void **state)
{
    struct file f;

    build(&f, SMALL, 8);
    sign(&f, 0, BY_RSA);
    for (f.len = f.image; f.len < f.sector + SECTOR; f.len++) {
        assert_int_equal(check(&f), OTTER_ERR_UNSIGNED);
    }
}

static void the_block_of_another_image_is_refused(void **state)
{
    struct file f, other;

    build(&f, 6000, 9);
    build(&other, 6000, 10);
    sign(&other, 0, BY_RSA);
    memcpy(f.data + f.sector, other.data + other.sector, SECTOR);
    assert_int_equal(check(&f), OTTER_ERR_SIGNATURE);
    /* and with the digest in the block exchanged, so that only the signature tells */
    EVP_Digest(f.data, f.sector, f.data + f.sector + 4, NULL, EVP_sha256(), NULL);
    mend_crc(&f, 0);
    assert_int_equal(check(&f), OTTER_ERR_SIGNATURE);
}

/* CVE-2026-34155 and its like: the signer's word covers less than what boots. Where the covered
 * part ends follows from the image that was read back, never from a field of the sector. */
static void a_signature_over_a_prefix_is_refused(void **state)
{
    struct file f;
    uint8_t digest[OTTER_SHA256_SIZE];

    build(&f, 10000, 11);
    for (uint32_t covered = 0; covered < f.sector; covered += 512) {
        EVP_Digest(f.data, covered, digest, NULL, EVP_sha256(), NULL);
        assert_int_equal(otter_signature_block_make(keys[BY_RSA], digest, f.data + f.sector),
                         OTTER_OK);
        assert_int_equal(check(&f), OTTER_ERR_SIGNATURE);
    }
}

static void bytes_behind_the_sector_are_refused(void **state)
{
    struct file f;

    build(&f, 6000, 12);
    sign(&f, 0, BY_RSA);
    f.len += 1;
    assert_int_equal(check(&f), OTTER_ERR_TRAILING);
    f.len += SECTOR - 1;
    assert_int_equal(check(&f), OTTER_ERR_TRAILING);
}

static void a_block_after_an_unused_place_is_refused(void **state)
{
    struct file f;

    build(&f, 6000, 13);
    sign(&f, 1, BY_RSA);
    assert_int_equal(check(&f), OTTER_ERR_SIGNATURE_FORMAT);
}

static void the_place_of_a_sector_does_not_wrap(void **state)
{
    assert_int_equal(otter_signature_place(0, UINT32_MAX), 0);
    assert_int_equal(otter_signature_place(1, 8191), 0);
    assert_int_equal(otter_signature_place(1, 8192), 4096);
    assert_int_equal(otter_signature_place(4096, 8192), 4096);
    assert_int_equal(otter_signature_place(4097, 12287), 0);
    for (uint32_t back = 0; back < 3 * SECTOR; back++) {
        uint32_t place = otter_signature_place(UINT32_MAX - back, UINT32_MAX);
        assert_true(place == 0 || (place >= UINT32_MAX - back && place <= UINT32_MAX - SECTOR));
    }
}

/* ---- behind the session --------------------------------------------------------------------- */

struct device {
    struct ram_slots ram;
    struct otter_sha256 sha;
    struct otter_signed_slots signed_slots;
    struct otter_slot_ops ops;
    struct otter_update update;
    uint8_t buf[4096];
    unsigned reads_left; /* after so many more reads the slot is changed; 0: never */
    uint32_t change_at;
};

static struct device *device;

/* F15: somebody writes to the slot while it is being verified. */
static otter_err changing_read(void *ctx, uint32_t offset, uint8_t *buf, uint32_t len)
{
    struct otter_slots inner = ram_slots_table(&device->ram);
    otter_err err = inner.ops->read(ctx, offset, buf, len);

    if (device->reads_left > 0 && --device->reads_left == 0) {
        device->ram.mem[device->change_at] ^= 1;
    }
    return err;
}

static int setup(void **state)
{
    device = calloc(1, sizeof *device);
    ram_slots_init(&device->ram);
    assert_int_equal(otter_sha256_new(&device->sha), OTTER_OK);
    struct otter_slots ram = ram_slots_table(&device->ram);
    device->ops = *ram.ops;
    device->ops.read = changing_read;
    ram.ops = &device->ops;
    const struct otter_signed_config config = {
        .slots = ram,
        .hash = otter_sha256_hash(&device->sha),
        .port = otter_openssl_signatures(),
        .trusted = trusted,
        .trusted_count = 2,
        .buf = device->buf,
        .buf_size = sizeof device->buf,
    };
    assert_int_equal(otter_signed_slots_init(&device->signed_slots, &config), OTTER_OK);
    const struct otter_update_config session = {
        .slots = otter_signed_slots_table(&device->signed_slots),
        .hash = otter_sha256_hash(&device->sha),
        .buf = device->buf,
        .buf_size = sizeof device->buf,
    };
    assert_int_equal(otter_update_init(&device->update, &session), OTTER_OK);
    return 0;
}

static int teardown(void **state)
{
    otter_sha256_free(&device->sha);
    free(device);
    return 0;
}

static otter_err update_with(const struct file *f, uint32_t length)
{
    otter_err err = otter_update_begin(&device->update, length);

    if (err == OTTER_OK) {
        err = otter_update_write_all(&device->update, f->data, f->len);
    }
    while (err == OTTER_OK && (err = otter_update_finish(&device->update)) == OTTER_ERR_AGAIN) {
        err = OTTER_OK;
    }
    assert_int_equal(device->ram.selected, err == OTTER_OK);
    return err;
}

static void the_session_takes_a_signed_image(void **state)
{
    struct file f;

    build(&f, 10000, 20);
    sign(&f, 0, BY_RSA);
    assert_int_equal(update_with(&f, f.len), OTTER_OK);
    assert_memory_equal(device->ram.mem, f.data, f.len);
    assert_false(device->ram.broke_rules);
}

static void the_session_takes_it_without_a_length_too(void **state)
{
    struct file f;

    build(&f, 10000, 21);
    sign(&f, 0, BY_ECDSA);
    assert_int_equal(update_with(&f, OTTER_LENGTH_UNKNOWN), OTTER_OK);
}

static void the_session_refuses_what_is_not_signed_and_works_on(void **state)
{
    struct file f;

    build(&f, 10000, 22);
    f.len = f.image;
    assert_int_equal(update_with(&f, f.len), OTTER_ERR_UNSIGNED);
    sign(&f, 0, BY_RSA);
    f.len = f.sector + SECTOR;
    assert_int_equal(update_with(&f, f.len), OTTER_OK);
}

/* Signed as it is, by a key that is trusted. */
static void a_signed_image_without_its_digest_is_refused(void **state)
{
    struct file f;

    build(&f, 10000, 27);
    f.data[23] = 0; /* no SHA-256 behind it, says its header */
    sign(&f, 0, BY_RSA);
    assert_int_equal(update_with(&f, f.len), OTTER_ERR_IMAGE_NO_DIGEST);
    assert_int_equal(device->ram.erases, 0);
}

/* The slot still holds the signature of an update that came before. */
static void a_sector_that_was_not_sent_does_not_count(void **state)
{
    struct file f;

    build(&f, 10000, 23);
    sign(&f, 0, BY_RSA);
    memcpy(device->ram.mem, f.data, f.len);
    device->ram.silent_erases = device->ram.silent_writes = true;
    f.len = f.image;
    assert_int_equal(update_with(&f, f.len), OTTER_ERR_UNSIGNED);
}

static void bytes_that_no_signature_covers_are_not_taken(void **state)
{
    struct file f;

    build(&f, 6000, 24);
    sign(&f, 0, BY_RSA);
    f.len += 100;
    assert_int_equal(update_with(&f, f.len), OTTER_ERR_TRAILING);
}

/* A slot whose very end is the image leaves no room for a signature. */
static void an_image_that_fills_the_slot_is_refused(void **state)
{
    struct file f;
    const struct otter_image_spec spec = {.size = RAM_SLOT_SIZE, .project = "p", .version = "1"};
    uint8_t *image = NULL;
    size_t len = 0;

    assert_int_equal(otter_image_build(&spec, &image, &len), OTTER_OK);
    assert_int_equal(len, sizeof f.data);
    memcpy(f.data, image, len);
    free(image);
    f.len = (uint32_t)len;
    assert_int_equal(update_with(&f, f.len), OTTER_ERR_UNSIGNED);
}

/* The slot changes after each of the reads in turn. What is selected was verified in the one digest
 * that the port looks for again; a change it could not see by that is one of bytes that do not
 * boot. */
static void F15_slot_changed_during_verification(void **state)
{
    struct file f;

    build(&f, 10000, 25);
    sign(&f, 0, BY_RSA);
    for (unsigned reads = 1; reads <= 3; reads++) { /* the session reads the image back */
        device->reads_left = reads;
        device->change_at = 5000;
        otter_err err = update_with(&f, f.len);
        assert_true(err == OTTER_ERR_SIGNATURE || err == OTTER_ERR_FLASH_DIFFERS);
    }
}

/* The image that was verified by the signature is not the one to be selected. */
static void F15_another_image_is_not_selected(void **state)
{
    struct file f;
    struct otter_slots table = otter_signed_slots_table(&device->signed_slots);
    struct otter_slot_info info;
    uint8_t other[OTTER_SHA256_SIZE] = {1};
    otter_err err;

    build(&f, 10000, 26);
    sign(&f, 0, BY_RSA);
    assert_int_equal(table.ops->open(table.ctx, f.len, &info), OTTER_OK);
    for (uint32_t at = 0; at < f.len; at += SECTOR) {
        assert_int_equal(table.ops->erase(table.ctx, at), OTTER_OK);
        assert_int_equal(table.ops->write(table.ctx, at, f.data + at, SECTOR), OTTER_OK);
    }
    assert_int_equal(table.ops->select(table.ctx, f.data + f.image - 32), OTTER_ERR_UNSIGNED);
    while ((err = table.ops->verify(table.ctx, f.image)) == OTTER_ERR_AGAIN) {
    }
    assert_int_equal(err, OTTER_OK);
    assert_int_equal(table.ops->select(table.ctx, other), OTTER_ERR_FLASH_DIFFERS);
    assert_int_equal(table.ops->write(table.ctx, 0, f.data, 0), OTTER_OK); /* a late write */
    assert_int_equal(table.ops->select(table.ctx, f.data + f.image - 32), OTTER_ERR_UNSIGNED);
    assert_int_equal(device->ram.selects, 0);
}

/* ---- bit flips in the slot ------------------------------------------------------------------ */

/* The verdict on what is in the slot, all of it written in this update. */
static otter_err check_slot(uint32_t image, uint32_t len)
{
    struct otter_slots table = otter_signed_slots_table(&device->signed_slots);
    struct otter_slot_info info;
    otter_err err = table.ops->open(table.ctx, len, &info);

    assert_int_equal(err, OTTER_OK);
    assert_int_equal(table.ops->write(table.ctx, len, device->ram.mem, 0), OTTER_OK);
    while ((err = table.ops->verify(table.ctx, image)) == OTTER_ERR_AGAIN) {
    }
    return err;
}

/* Each bit of the image, its padding, and the whole signature sector; with ECDSA each of the image
 * and of the block, as the rest is looked at in the same way. */
static void every_bit_flip_is_refused(void **state)
{
    struct file f;
    uint8_t *mem = device->ram.mem;

    for (int key = BY_RSA; key <= BY_ECDSA; key++) {
        build(&f, SMALL, 2);
        sign(&f, 0, key);
        memcpy(mem, f.data, f.len);
        uint32_t end = (key == BY_RSA ? f.len : f.sector + BLOCK) * 8;
        for (uint32_t bit = 0; bit < end; bit++) {
            if (key == BY_ECDSA && bit == f.image * 8) {
                bit = f.sector * 8;
            }
            mem[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (check_slot(f.image, f.len) == OTTER_OK) {
                fail_msg("kind %d: a flip of bit %u of byte %u passes", key, bit % 8, bit / 8);
            }
            mem[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        assert_int_equal(check_slot(f.image, f.len), OTTER_OK);
    }
}

/* The same inside the block with the CRC made right again: an attacker, not an accident. */
static void every_bit_flip_of_a_block_is_refused_with_its_crc_mended(void **state)
{
    struct file f;

    for (int key = BY_RSA; key <= BY_ECDSA; key++) {
        uint32_t used = key == BY_RSA ? 1196 : 165;
        build(&f, SMALL, 3);
        sign(&f, 0, key);
        for (uint32_t bit = 0; bit < used * 8; bit++) {
            uint8_t *byte = &f.data[f.sector + bit / 8];
            if (bit / 8 == 3 || (bit / 8 == 2 && key == BY_RSA)) {
                continue; /* reserved: they say nothing */
            }
            *byte ^= (uint8_t)(1u << bit % 8);
            mend_crc(&f, 0);
            memcpy(device->ram.mem, f.data, f.len);
            if (check_slot(f.image, f.len) == OTTER_OK) {
                fail_msg("kind %d: a flip of bit %u of byte %u passes", key, bit % 8, bit / 8);
            }
            *byte ^= (uint8_t)(1u << bit % 8);
        }
    }
}

#define SESSION(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signature_of_each_kind_is_accepted),
        SESSION(every_bit_flip_is_refused),
        SESSION(every_bit_flip_of_a_block_is_refused_with_its_crc_mended),
        cmocka_unit_test(any_of_three_blocks_will_do),
        cmocka_unit_test(an_old_and_a_new_key_are_both_trusted),
        cmocka_unit_test(a_wrong_key_is_refused),
        cmocka_unit_test(an_image_without_a_signature_is_refused),
        cmocka_unit_test(a_truncated_sector_is_refused),
        cmocka_unit_test(the_block_of_another_image_is_refused),
        cmocka_unit_test(a_signature_over_a_prefix_is_refused),
        cmocka_unit_test(bytes_behind_the_sector_are_refused),
        cmocka_unit_test(a_block_after_an_unused_place_is_refused),
        cmocka_unit_test(the_place_of_a_sector_does_not_wrap),
        SESSION(the_session_takes_a_signed_image),
        SESSION(the_session_takes_it_without_a_length_too),
        SESSION(the_session_refuses_what_is_not_signed_and_works_on),
        SESSION(a_signed_image_without_its_digest_is_refused),
        SESSION(a_sector_that_was_not_sent_does_not_count),
        SESSION(bytes_that_no_signature_covers_are_not_taken),
        SESSION(an_image_that_fills_the_slot_is_refused),
        SESSION(F15_slot_changed_during_verification),
        SESSION(F15_another_image_is_not_selected),
    };

    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
