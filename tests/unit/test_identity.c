/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "otter/identity.h"

static const struct otter_identity example = {
    .state = OTTER_IDENTITY_CONFIRMED,
    .image = {0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF},
    .project = "weather station",
};

static void round_trip(void **state)
{
    static const char *const texts[] = {
        "otter/1 confirmed 0123456789abcdef weather station",
        "otter/1 pending 0123456789abcdef weather station",
        "otter/1 rolled-back 0123456789abcdef weather station",
    };
    uint8_t text[OTTER_IDENTITY_SIZE];

    for (unsigned i = 0; i < 3; i++) {
        struct otter_identity in = example, out;

        in.state = (enum otter_identity_state)i;
        size_t len = otter_identity_write(&in, text, sizeof(text));
        assert_int_equal(len, strlen(texts[i]));
        assert_memory_equal(text, texts[i], len);
        assert_true(otter_identity_read(&out, text, len));
        assert_int_equal(out.state, in.state);
        assert_memory_equal(out.image, in.image, sizeof(in.image));
        assert_string_equal(out.project, in.project);
        /* Cut anywhere before the project it is not one; and no byte past the end is read. */
        for (size_t cut = 0; cut < len - strlen(in.project); cut++) {
            uint8_t exact[OTTER_IDENTITY_SIZE];

            memcpy(exact, text, cut);
            assert_false(otter_identity_read(&out, exact, cut));
        }
        assert_int_equal(otter_identity_write(&in, text, len - 1), 0);
    }
}

static void longest_project(void **state)
{
    struct otter_identity in = {.state = OTTER_IDENTITY_ROLLED_BACK}, out;
    uint8_t text[OTTER_IDENTITY_SIZE];

    memset(in.project, 'x', 32);
    size_t len = otter_identity_write(&in, text, sizeof(text));
    assert_true(len > 0);
    assert_true(otter_identity_read(&out, text, len));
    assert_string_equal(out.project, in.project);
    in.project[0] = '\0';
    len = otter_identity_write(&in, text, sizeof(text));
    assert_true(otter_identity_read(&out, text, len));
    assert_string_equal(out.project, "");
}

static void demands(void **state)
{
    uint8_t text[OTTER_IDENTITY_SIZE];

    for (int i = 0; i < 36; i++) {
        struct otter_identity in = {.state = OTTER_IDENTITY_ROLLED_BACK,
                                    .wants_signature = i % 2 != 0,
                                    .wants_encryption = i / 2 % 3 == 1,
                                    .decrypts = i / 2 % 3 == 2,
                                    .older = (enum otter_identity_older)(i / 6 % 3),
                                    .buffered = i >= 18};
        struct otter_identity out;

        memset(in.project, 'p', sizeof(in.project) - 1);
        size_t len = otter_identity_write(&in, text, sizeof(text));
        assert_true(len > 0);
        assert_true(otter_identity_read(&out, text, len));
        assert_int_equal(out.wants_signature, in.wants_signature);
        assert_int_equal(out.wants_encryption, in.wants_encryption);
        assert_int_equal(out.decrypts, in.decrypts);
        assert_int_equal(out.older, in.older);
        assert_int_equal(out.buffered, in.buffered);
        assert_string_equal(out.project, in.project);
    }
}

static void a_host_asks(void **state)
{
    const uint8_t *words = (const uint8_t *)OTTER_IDENTITY_ASK_OLDER " ";

    for (size_t len = 0; len <= strlen((const char *)words); len++) {
        assert_int_equal(otter_identity_asks_older(words, len),
                         len == strlen(OTTER_IDENTITY_ASK_OLDER));
    }
    assert_false(otter_identity_asks_older((const uint8_t *)"otter/2 ask-older", 17));
}

static void other_texts(void **state)
{
    static const char *const texts[] = {
        "",
        "1.0.0",
        "otter/2 confirmed 0123456789abcdef x",
        "otter/1 fine 0123456789abcdef x",
        "otter/1 confirmed 0123456789ABCDEF x",
        "otter/1 confirmed 0123456789abcde x",
        "otter/1 confirmed 0123456789abcdef",
        "otter/1 confirmed sig",
        "otter/1 confirmed signed ",
        "otter/1 confirmed signed2 0123456789abcdef x",
        "otter/1 confirmed  0123456789abcdef x",
        "otter/1 confirmed 0123456789abcdef0 x",
        "otter/1 confirmed 0123456789abcdef a project of more than 32 letters",
    };
    struct otter_identity out;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_false(otter_identity_read(&out, (const uint8_t *)texts[i], strlen(texts[i])));
    }
}

/* A device of a later version says more, in whatever order. */
static void words_of_later_versions(void **state)
{
    static const char text[] =
        "otter/1 pending brave buffered signed-twice signed abcdefabcdefabcd new name";
    struct otter_identity out;

    assert_true(otter_identity_read(&out, (const uint8_t *)text, strlen(text)));
    assert_int_equal(out.state, OTTER_IDENTITY_PENDING);
    assert_true(out.buffered && out.wants_signature);
    assert_false(out.wants_encryption || out.decrypts);
    assert_int_equal(out.image[0], 0xAB);
    assert_string_equal(out.project, "new name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),  cmocka_unit_test(longest_project),
        cmocka_unit_test(demands),     cmocka_unit_test(a_host_asks),
        cmocka_unit_test(other_texts), cmocka_unit_test(words_of_later_versions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
