/* SPDX-License-Identifier: Apache-2.0 */
/* Building images and reading partition tables from text: what black-box tests cannot see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "host/image_build.h"
#include "host/partition_csv.h"
#include "host/sha256.h"
#include "otter/image.h"

/* Builds, and lets the parser judge. */
static otter_err build(const struct otter_image_spec *spec, struct otter_image_facts *facts)
{
    struct otter_sha256 sha;
    struct otter_image image;
    uint8_t *data;
    size_t len;
    otter_err err = otter_image_build(spec, &data, &len);
    if (err) {
        return err;
    }
    assert_int_equal(otter_sha256_new(&sha), OTTER_OK);
    err = otter_image_begin(&image, otter_sha256_hash(&sha), (uint32_t)len);
    err = err ? err : otter_image_feed(&image, data, len);
    err = err ? err : otter_image_end(&image);
    assert_int_equal(image.facts.size, len);
    *facts = image.facts;
    otter_sha256_free(&sha);
    free(data);
    return err;
}

static void every_chip_segments_and_size(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0, 1, 512, 4096, 65536, 66000, 1000000};
    const struct otter_chip *chip;
    for (size_t c = 0; (chip = otter_chip_at(c)); c++) {
        for (uint8_t segments = 0; segments <= OTTER_IMAGE_SEGMENTS_MAX; segments++) {
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                struct otter_image_spec spec = {.chip_id = chip->id,
                                                .project = "p",
                                                .version = "v",
                                                .segments = segments,
                                                .size = sizes[i],
                                                .no_digest = i % 2};
                struct otter_image_facts facts;
                assert_int_equal(build(&spec, &facts), OTTER_OK);
                assert_int_equal(facts.has_digest, !spec.no_digest);
                assert_true(facts.has_desc);
                assert_true(facts.size >= spec.size);
                assert_true(facts.size < spec.size + 16 || spec.size < 1000);
                assert_true(segments == 0 || facts.segment_count == segments);
            }
        }
    }
}

static void fields_and_limits(void **state)
{
    (void)state;
    struct otter_image_facts facts;
    struct otter_image_spec spec = {.chip_id = 77, /* unknown: nothing is mapped */
                                    .min_rev_full = 101,
                                    .max_rev_full = 399,
                                    .project = "12345678901234567890123456789012",
                                    .version = "v12345678901234567890123456789012",
                                    .secure_version = 3};
    assert_int_equal(build(&spec, &facts), OTTER_ERR_ARG);
    spec.version++;
    assert_int_equal(build(&spec, &facts), OTTER_OK);
    assert_string_equal(facts.project, spec.project);
    assert_string_equal(facts.version, spec.version);
    assert_int_equal(facts.chip_id, 77);
    assert_int_equal(facts.min_rev_full, 101);
    assert_int_equal(facts.max_rev_full, 399);
    assert_int_equal(facts.secure_version, 3);
    spec.segments = 17;
    assert_int_equal(build(&spec, &facts), OTTER_ERR_ARG);
    spec.segments = 0;
    spec.size = (16u << 20) + 1;
    assert_int_equal(build(&spec, &facts), OTTER_ERR_TOO_LARGE);
    spec.size--;
    assert_int_equal(build(&spec, &facts), OTTER_OK);
    assert_int_equal(facts.size, 16u << 20);
}

static void names_of_partitions(void **state)
{
    (void)state;
    char out[16];
    assert_string_equal(otter_partition_type_text(0, out), "app");
    assert_string_equal(otter_partition_type_text(1, out), "data");
    assert_string_equal(otter_partition_type_text(0x40, out), "0x40");
    assert_string_equal(otter_partition_subtype_text(0, 0x00, out), "factory");
    assert_string_equal(otter_partition_subtype_text(0, 0x1F, out), "ota_15");
    assert_string_equal(otter_partition_subtype_text(0, 0x20, out), "test");
    assert_string_equal(otter_partition_subtype_text(1, 0x00, out), "ota");
    assert_string_equal(otter_partition_subtype_text(1, 0x10, out), "0x10");
    assert_string_equal(otter_partition_subtype_text(0x40, 0, out), "0x00");
    assert_null(otter_partition_layout("none"));
}

static void built_in_layouts_build(void **state)
{
    (void)state;
    static const char *const names[] = {"two-ota", "no-factory"};
    for (size_t i = 0; i < 2; i++) {
        const char *text = otter_partition_layout(names[i]);
        struct otter_partition rows[OTTER_TABLE_ROWS_MAX];
        struct otter_partition_table table = {.rows = rows, .capacity = OTTER_TABLE_ROWS_MAX};
        struct otter_csv_error error;
        uint8_t out[OTTER_TABLE_SIZE];
        assert_int_equal(otter_partition_csv_read(text, strlen(text), &table, &error), OTTER_OK);
        assert_int_equal(otter_partition_build(&table, 4u << 20, otter_md5, out), OTTER_OK);
    }
}

/* A text that ends anywhere is read or refused, and never read beyond its end. */
static void text_cut_anywhere(void **state)
{
    (void)state;
    const char *text = otter_partition_layout("two-ota");
    for (size_t len = 0; len <= strlen(text); len++) {
        struct otter_partition rows[4]; /* also too few */
        struct otter_partition_table table = {.rows = rows, .capacity = 4};
        struct otter_csv_error error;
        char *copy = malloc(len + 1);
        assert_non_null(copy);
        memcpy(copy, text, len);
        otter_err err = otter_partition_csv_read(copy, len, &table, &error);
        assert_true((err == OTTER_OK) == (*error.text == '\0'));
        assert_true(table.count <= 4);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_chip_segments_and_size),
        cmocka_unit_test(fields_and_limits),
        cmocka_unit_test(names_of_partitions),
        cmocka_unit_test(built_in_layouts_build),
        cmocka_unit_test(text_cut_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
