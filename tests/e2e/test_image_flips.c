/* SPDX-License-Identifier: Apache-2.0 */
/*
 * F06: single bit flips over whole images. No byte of an image is harmless:
 *
 *   header, segment headers, data, padding, checksum   covered by the appended SHA-256
 *   the SHA-256 itself                                 compared whole
 *   byte 23 (a SHA-256 is appended)                    bit 0 set to 0 leaves an image that only its
 *                                                      8-bit checksum would guard: refused for
 *                                                      that, as updates must carry the SHA-256; any
 *                                                      other bit is a change like all others
 *
 * What follows the image's own end is not part of it, and these files have nothing there.
 *
 *   test_image_flips FOLDER    real images; without them those cases are left out
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/image_build.h"
#include "host/sha256.h"
#include "otter/image.h"

#define FLIPS 2000

static const char *firmware_folder;
static struct otter_sha256 sha;

/* The verdict on an image that comes as an update. */
static otter_err judge(const uint8_t *data, size_t len)
{
    struct otter_image image;
    otter_err err = otter_image_begin(&image, otter_sha256_hash(&sha), UINT32_MAX);
    err = err ? err : otter_image_feed(&image, data, len);
    err = err ? err : otter_image_end(&image);
    return err == OTTER_OK && !image.facts.has_digest ? OTTER_ERR_IMAGE_NO_DIGEST : err;
}

static void flip_and_judge(uint8_t *data, size_t len, size_t bit, const char *name, uint32_t seed)
{
    data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    otter_err err = judge(data, len);
    data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    if (err == OTTER_OK) {
        fail_msg("%s: bit %zu of byte %zu is flipped and the image is accepted (OTTER_SEED=%u)",
                 name, bit % 8, bit / 8, seed);
    }
}

static uint32_t choose_seed(void)
{
    const char *given = getenv("OTTER_SEED");
    return given ? (uint32_t)strtoul(given, NULL, 0) : (uint32_t)time(NULL);
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 1 ^ *state << 15;
}

static void flip_at_random(uint8_t *data, size_t len, const char *name)
{
    uint32_t seed = choose_seed(), state = seed;
    assert_int_equal(judge(data, len), OTTER_OK);
    for (int i = 0; i < FLIPS; i++) {
        flip_and_judge(data, len, next_random(&state) % (len * 8), name, seed);
    }
    for (size_t bit = 0; bit < OTTER_IMAGE_HEADER_SIZE * 8u; bit++) { /* byte 23 among them */
        flip_and_judge(data, len, bit, name, seed);
    }
    print_message("%s: %d random flips and every bit of the header, all refused\n", name, FLIPS);
}

static void F06_every_bit_of_a_small_image(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        static const uint16_t chips[] = {0, 9, 13};
        struct otter_image_spec spec = {
            .chip_id = chips[i], .project = "flips", .version = "1", .size = 2048, .seed = i};
        uint8_t *data;
        size_t len;
        assert_int_equal(otter_image_build(&spec, &data, &len), OTTER_OK);
        assert_int_equal(judge(data, len), OTTER_OK);
        for (size_t bit = 0; bit < len * 8; bit++) {
            flip_and_judge(data, len, bit, "built image", i);
        }
        free(data);
    }
}

static void F06_random_bits_of_a_built_image(void **state)
{
    (void)state;
    struct otter_image_spec spec = {.project = "flips", .version = "1", .size = 300000};
    uint8_t *data;
    size_t len;
    assert_int_equal(otter_image_build(&spec, &data, &len), OTTER_OK);
    flip_at_random(data, len, "built image");
    free(data);
}

static uint8_t *read_file(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    *len = (size_t)ftell(f);
    rewind(f);
    uint8_t *data = malloc(*len);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *len, f), *len);
    fclose(f);
    return data;
}

static void F06_random_bits_of_real_images(void **state)
{
    (void)state;
    char pattern[1024];
    glob_t found;
    int images = 0;
    snprintf(pattern, sizeof pattern, "%s/*.bin", firmware_folder);
    if (glob(pattern, 0, NULL, &found) != 0) {
        print_message("no sample firmware: name its folder in OTTER_FIRMWARE\n");
        skip();
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        size_t len;
        uint8_t *data = read_file(found.gl_pathv[i], &len);
        if (data[0] == OTTER_IMAGE_MAGIC) { /* the others are partition tables */
            flip_at_random(data, len, strrchr(found.gl_pathv[i], '/') + 1);
            images++;
        }
        free(data);
    }
    globfree(&found);
    assert_true(images > 0);
}

int main(int argc, char **argv)
{
    const char *given = getenv("OTTER_FIRMWARE");
    firmware_folder = given ? given : argc > 1 ? argv[1] : ".";
    if (otter_sha256_new(&sha)) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F06_every_bit_of_a_small_image),
        cmocka_unit_test(F06_random_bits_of_a_built_image),
        cmocka_unit_test(F06_random_bits_of_real_images),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    otter_sha256_free(&sha);
    return failed;
}
