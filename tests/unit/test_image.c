/* SPDX-License-Identifier: Apache-2.0 */
/* src/esp/image: facts as soon as they are there, a verdict at the image's own end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/image_build.h"
#include "host/sha256.h"
#include "otter/image.h"

static struct otter_sha256 sha;

static int open_sha(void **state)
{
    return otter_sha256_new(&sha) == OTTER_OK ? 0 : -1;
}

static int close_sha(void **state)
{
    otter_sha256_free(&sha);
    return 0;
}

static uint8_t *build(const struct otter_image_spec *spec, size_t *len)
{
    struct otter_image_spec named = *spec;
    uint8_t *image;

    named.project = spec->project != NULL ? spec->project : "test";
    named.version = spec->version != NULL ? spec->version : "1.0.0";
    assert_int_equal(otter_image_build(&named, &image, len), OTTER_OK);
    return image;
}

static otter_err feed(struct otter_image *im, const uint8_t *data, size_t len, size_t piece)
{
    assert_int_equal(otter_image_begin(im, otter_sha256_hash(&sha), UINT32_MAX), OTTER_OK);
    for (size_t at = 0; at < len; at += piece) {
        size_t n = len - at < piece ? len - at : piece;
        otter_err err = otter_image_feed(im, data + at, n);

        if (err != OTTER_OK) {
            assert_int_equal(otter_image_feed(im, data, 1), err); /* sticky */
            assert_int_equal(otter_image_end(im), err);
            return err;
        }
    }
    return otter_image_end(im);
}

/* Writes a little-endian word. */
static void put32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        at[i] = (uint8_t)(value >> 8 * i);
    }
}

static void every_chunking_gives_the_same_facts(void **state)
{
    size_t len;
    uint8_t *image = build(&(struct otter_image_spec){.chip_id = 9,
                                                      .min_rev_full = 1,
                                                      .max_rev_full = 99,
                                                      .project = "frame",
                                                      .version = "0.15.0",
                                                      .secure_version = 7,
                                                      .size = 150000},
                           &len);
    struct otter_image whole;
    struct otter_image pieces;

    assert_int_equal(feed(&whole, image, len, len), OTTER_OK);
    assert_int_equal(whole.facts.chip_id, 9);
    assert_int_equal(whole.facts.min_rev_full, 1);
    assert_int_equal(whole.facts.max_rev_full, 99);
    assert_string_equal(whole.facts.project, "frame");
    assert_string_equal(whole.facts.version, "0.15.0");
    assert_int_equal(whole.facts.secure_version, 7);
    assert_int_equal(whole.facts.size, len);
    assert_true(whole.facts.has_desc && whole.facts.has_digest);
    assert_memory_equal(whole.facts.digest, image + len - 32, 32);
    for (size_t piece = 1; piece < 300; piece = piece * 3 / 2 + 1) {
        assert_int_equal(feed(&pieces, image, len, piece), OTTER_OK);
        assert_memory_equal(&pieces.facts, &whole.facts, sizeof whole.facts);
    }
    free(image);
}

static void facts_come_as_soon_as_they_can(void **state)
{
    size_t len;
    uint8_t *image = build(&(struct otter_image_spec){.chip_id = 5, .size = 3000}, &len);
    struct otter_image im;

    assert_int_equal(otter_image_begin(&im, otter_sha256_hash(&sha), UINT32_MAX), OTTER_OK);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(otter_image_header_known(&im), i >= 24);
        assert_int_equal(otter_image_desc_known(&im), i >= 32 + 256);
        assert_false(otter_image_done(&im));
        assert_int_equal(otter_image_end(&im), OTTER_ERR_TRUNCATED);
        assert_int_equal(otter_image_feed(&im, image + i, 1), OTTER_OK);
    }
    assert_true(otter_image_done(&im));
    assert_int_equal(otter_image_feed(&im, image, len), OTTER_OK); /* trailing: not looked at */
    assert_int_equal(otter_image_end(&im), OTTER_OK);
    assert_int_equal(im.facts.size, len);
    free(image);
}

static void an_image_without_digest_is_told_apart(void **state)
{
    size_t len;
    uint8_t *image =
        build(&(struct otter_image_spec){.chip_id = 5, .size = 3000, .no_digest = true}, &len);
    struct otter_image im;

    assert_int_equal(feed(&im, image, len, 7), OTTER_OK);
    assert_false(im.facts.has_digest);
    assert_int_equal(im.facts.size, len);
    free(image);
}

static void a_short_first_segment_has_no_description(void **state)
{
    /* Two segments by hand: 8 bytes at an address that is not mapped, and none at all. */
    uint8_t image[64] = {0xE9, 2, [12] = 5};
    struct otter_image im;

    put32(image + 24, 0x3FC80000);
    put32(image + 28, 8);
    image[32] = 0x12;
    put32(image + 40, 0x3FC90000);
    put32(image + 44, 0);
    image[63] = 0xEF ^ 0x12; /* 48 bytes, then a line of padding */
    assert_int_equal(feed(&im, image, sizeof image, 1), OTTER_OK);
    assert_false(im.facts.has_desc);
    assert_true(otter_image_desc_known(&im));
    assert_int_equal(im.facts.size, 64);
    image[63] ^= 1;
    assert_int_equal(feed(&im, image, sizeof image, 64), OTTER_ERR_IMAGE_CHECKSUM);
}

static void what_is_wrong_is_named(void **state)
{
    size_t len;
    uint8_t *image = build(&(struct otter_image_spec){.chip_id = 5, .size = 150000}, &len);
    struct otter_image im;
    struct otter_image_facts facts;
    uint8_t *copy = malloc(len);

    assert_int_equal(feed(&im, image, len, 4096), OTTER_OK);
    facts = im.facts;
    uint32_t second = facts.segments[1].offset - 8;
    const struct {
        uint32_t at;
        uint32_t word;
        otter_err err;
    } table[] = {
        {0, 0x3C21444F, OTTER_ERR_IMAGE_MAGIC},  /* "OD!<" */
        {0, 0x020200E9, OTTER_ERR_IMAGE_HEADER}, /* no segment */
        {0, 0x020211E9, OTTER_ERR_IMAGE_HEADER}, /* 17 segments */
        {28, 0x1000000, OTTER_ERR_IMAGE_SEGMENT},
        {28, 0x102, OTTER_ERR_IMAGE_SEGMENT},
        {second + 4, 0xFFFFFFFC, OTTER_ERR_IMAGE_SEGMENT},
        {24, 0x42000024, OTTER_ERR_IMAGE_MAPPING},
        {second, 0x42000024, OTTER_ERR_IMAGE_MAPPING},
        {(uint32_t)len - 36, 0, OTTER_ERR_IMAGE_CHECKSUM},
        {(uint32_t)len - 4, 0, OTTER_ERR_IMAGE_DIGEST},
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        memcpy(copy, image, len);
        put32(copy + table[i].at, table[i].word);
        assert_int_equal(feed(&im, copy, len, i % 2 ? 1 : len), table[i].err);
    }
    /* the checksum holds, the digest does not: two bits of the same column */
    memcpy(copy, image, len);
    copy[1000] ^= 4;
    copy[2000] ^= 4;
    assert_int_equal(feed(&im, copy, len, 512), OTTER_ERR_IMAGE_DIGEST);
    free(copy);
    free(image);
}

/* Chips with small MMU pages: the description says how small. */
static void mapping_follows_the_page_size(void **state)
{
    size_t len;
    uint8_t *image =
        build(&(struct otter_image_spec){.chip_id = 13, .size = 2000, .no_digest = true}, &len);
    struct otter_image im;

    put32(image + 24, 0x42004020);
    assert_int_equal(feed(&im, image, len, 100), OTTER_ERR_IMAGE_MAPPING);
    image[32 + 180] = 14; /* 16 KB */
    assert_int_not_equal(feed(&im, image, len, 100), OTTER_ERR_IMAGE_MAPPING);
    image[32 + 180] = 200; /* nonsense: the default counts */
    assert_int_equal(feed(&im, image, len, 100), OTTER_ERR_IMAGE_MAPPING);
    image[12] = 0x77; /* a chip nobody knows: no mapping to hold it against */
    assert_int_not_equal(feed(&im, image, len, 100), OTTER_ERR_IMAGE_MAPPING);
    free(image);
}

static void an_image_above_its_limit_is_refused_early(void **state)
{
    size_t len;
    uint8_t *image = build(&(struct otter_image_spec){.chip_id = 5, .size = 20000}, &len);
    struct otter_image im;

    for (uint32_t limit = 0; limit <= len; limit += limit < 400 ? 1 : 37) {
        assert_int_equal(otter_image_begin(&im, otter_sha256_hash(&sha), limit), OTTER_OK);
        assert_int_equal(otter_image_feed(&im, image, len), OTTER_ERR_TOO_LARGE);
    }
    assert_int_equal(otter_image_begin(&im, otter_sha256_hash(&sha), (uint32_t)len - 1), OTTER_OK);
    assert_int_equal(otter_image_feed(&im, image, len), OTTER_ERR_TOO_LARGE);
    assert_int_equal(otter_image_begin(&im, otter_sha256_hash(&sha), (uint32_t)len), OTTER_OK);
    assert_int_equal(otter_image_feed(&im, image, len), OTTER_OK);
    assert_int_equal(otter_image_end(&im), OTTER_OK);
    free(image);
}

static otter_err hash_start(void *ctx)
{
    return *(int *)ctx == 0 ? OTTER_ERR_HASH : OTTER_OK;
}

static otter_err hash_update(void *ctx, const uint8_t *data, size_t len)
{
    return --*(int *)ctx <= 0 ? OTTER_ERR_HASH : OTTER_OK;
}

static otter_err hash_finish(void *ctx, uint8_t digest[OTTER_SHA256_SIZE])
{
    return OTTER_ERR_HASH;
}

static void a_hash_that_fails_is_told(void **state)
{
    static const struct otter_hash_ops ops = {hash_start, hash_update, hash_finish};
    size_t len;
    uint8_t *image = build(&(struct otter_image_spec){.chip_id = 5, .size = 3000}, &len);
    struct otter_image im;

    for (int good = 0; good < 20; good++) {
        int left = good;
        otter_err err = otter_image_begin(&im, (struct otter_hash){&ops, &left}, UINT32_MAX);

        if (err == OTTER_OK) {
            err = otter_image_feed(&im, image, len);
        }
        assert_int_equal(err, OTTER_ERR_HASH);
    }
    free(image);
}

static void chips_are_found_by_id(void **state)
{
    size_t n = 0;

    for (const struct otter_chip *c; (c = otter_chip_at(n)) != NULL; n++) {
        assert_ptr_equal(otter_chip_find(c->id), c);
        assert_true(c->irom_first < c->irom_last && c->drom_first < c->drom_last);
        assert_memory_equal(c->name, "ESP32", 5);
    }
    assert_int_equal(n, 10);
    assert_null(otter_chip_find(0xFFFF));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_chunking_gives_the_same_facts),
        cmocka_unit_test(facts_come_as_soon_as_they_can),
        cmocka_unit_test(an_image_without_digest_is_told_apart),
        cmocka_unit_test(a_short_first_segment_has_no_description),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(mapping_follows_the_page_size),
        cmocka_unit_test(an_image_above_its_limit_is_refused_early),
        cmocka_unit_test(a_hash_that_fails_is_told),
        cmocka_unit_test(chips_are_found_by_id),
    };

    return cmocka_run_group_tests(tests, open_sha, close_sha);
}
