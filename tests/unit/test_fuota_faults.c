/* SPDX-License-Identifier: Apache-2.0 */
/* src/proto/fuota: redirects, certificates, slow, busy and strange servers. */
#include "unit/fuota_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/fuota/http.h"
#include "proto/fuota/rows.h"

static void H03_redirects(void **state)
{
    struct fixture *t = *state;
    struct reply r = {.status = 302, .headers = {"Location: /elsewhere?x=1#y"}};

    /* On the same server: credentials go along. */
    assert_asks(t, CHECK_URL);
    (void)answer(t, &r);
    assert_asks(t, SERVER "/elsewhere?x=1");
    assert_true(t->fuota.request.authorize);
    /* To another: they do not, and they come back when it leads back. */
    r.headers[0] = "LOCATION: https://cdn.example/fw";
    (void)answer(t, &r);
    assert_asks(t, "https://cdn.example/fw");
    assert_false(t->fuota.request.authorize);
    r.headers[0] = "Location: https://192.168.1.41:50001/fw";
    (void)answer(t, &r);
    assert_int_equal(until_due(t), OTTER_FUOTA_ASK);
    assert_false(t->fuota.request.authorize);
    r.headers[0] = "Location: " SERVER "/fw";
    (void)answer(t, &r);
    assert_asks(t, SERVER "/fw");
    assert_true(t->fuota.request.authorize);
    answer_text(t, 200, OFFER);
    assert_asks(t, FILE_URL);

    /* Downloads are redirected alike, and a resumed one begins at the server again. */
    r.headers[0] = "Location: https://cdn.example/fw";
    (void)answer(t, &r);
    assert_asks(t, "https://cdn.example/fw");
    serve_file(t, 5000);
    assert_asks(t, FILE_URL);
    assert_string_equal(t->fuota.request.range, "bytes=5000-");
    (void)answer(t, &r);
    assert_asks(t, "https://cdn.example/fw");
    assert_string_equal(t->fuota.request.range, "bytes=5000-");
    serve_file(t, SIZE_MAX);
    assert_updated(t);
}

static void H03_redirects_that_are_refused(void **state)
{
    struct fixture *t = *state;
    char far[700] = "Location: https://h/";
    const char *bad[] = {"Location: http://192.168.1.41:50000/x",
                         "Location: //other/x",
                         "Location: ftp://other/x",
                         "Location: x",
                         "Location: https://user:pw@other/x",
                         "Location: https:///x",
                         "Location: https://other/a b",
                         far};

    memset(far + strlen(far), 'x', 600);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct reply r = {.status = 307, .headers = {bad[i]}};
        assert_asks(t, CHECK_URL);
        (void)answer(t, &r);
        assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_PROTOCOL);
    }
    assert_asks(t, CHECK_URL); /* without any */
    answer_text(t, 301, "");
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_PROTOCOL);

    struct reply loop = {.status = 308, .headers = {"Location: /again"}};
    assert_asks(t, CHECK_URL);
    for (unsigned i = 0; i < OTTER_FUOTA_REDIRECTS; i++) {
        (void)answer(t, &loop);
        assert_asks(t, SERVER "/again");
    }
    (void)answer(t, &loop);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_PROTOCOL);
    assert_next_attempt_works(t);
}

static void H04_a_certificate_that_is_not_good(void **state)
{
    struct fixture *t = *state;
    struct reply r = {.end = OTTER_ERR_REFUSED};

    assert_asks(t, CHECK_URL);
    (void)answer(t, &r);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_REFUSED);
    assert_int_equal(t->last.status, 0);
    assert_next_attempt_works(t);
}

static void H06_one_byte_a_second(void **state)
{
    struct fixture *t = *state;
    struct reply r = {.status = 200, .body = t->image, .len = t->len, .byte_ms = 1000};
    struct reply drip = {
        .status = 200, .body = (const uint8_t *)OFFER OFFER, .len = 42, .byte_ms = 1000};

    assert_asks(t, CHECK_URL);
    assert_int_equal(answer(t, &drip), OTTER_ERR_TIMEOUT);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_TIMEOUT);

    offer(t);
    uint32_t before = t->now;
    assert_int_equal(answer(t, &r), OTTER_ERR_TIMEOUT);
    assert_in_range(t->now - before, 29000, 31000);
    assert_int_equal(t->last.kind, OTTER_FUOTA_EVENT_PAUSE);
    otter_fuota_cancel(&t->fuota, t->now);
    assert_next_attempt_works(t);
}

/* The same for clients that do not block: poll() says when to stop. */
static void H06_silence(void **state)
{
    struct fixture *t = *state;

    assert_asks(t, CHECK_URL);
    assert_int_equal(until_due(t), OTTER_FUOTA_STOP);
    assert_int_equal(t->waited, 30000);
    otter_fuota_end(&t->fuota, OTTER_ERR_LINK, t->now);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_TIMEOUT);

    offer(t);
    give_header(t, "Content-Length: 9000");
    assert_int_equal(otter_fuota_head(&t->fuota, 200, t->now), OTTER_OK);
    assert_int_equal(otter_fuota_body(&t->fuota, t->image, 8000, t->now), OTTER_OK);
    assert_int_equal(until_due(t), OTTER_FUOTA_STOP);
    assert_in_range(t->waited, 59000, 61000); /* 8000 bytes were enough for one window */
    otter_fuota_end(&t->fuota, OTTER_ERR_LINK, t->now);
    assert_int_equal(t->last.kind, OTTER_FUOTA_EVENT_PAUSE);
    assert_int_equal(t->last.err, OTTER_ERR_TIMEOUT);
    assert_asks(t, FILE_URL);
    assert_string_equal(t->fuota.request.range, "bytes=8000-");
    otter_fuota_cancel(&t->fuota, t->now);
    assert_next_attempt_works(t);
}

static void H07_backs_off_with_jitter(void **state)
{
    struct fixture *t = *state;
    static const uint16_t status[] = {429, 500, 502, 503, 0};
    uint32_t least = 2500;
    unsigned different = 0;

    assert_asks(t, CHECK_URL);
    for (unsigned i = 0; i < 20; i++) {
        struct reply r = {.status = status[i % 5], .end = OTTER_ERR_LINK};
        (void)answer(t, &r);
        assert_int_equal(t->fuota.result, OTTER_FUOTA_CONNECTION_ERROR);
        assert_asks(t, CHECK_URL);
        assert_in_range(t->waited, least, least * 2);
        different += t->waited != least && t->waited != least * 2;
        least = least * 2 < 1800000 ? least * 2 : 1800000;
    }
    assert_true(different >= 18);
    answer_text(t, 204, ""); /* and then all is well again */
    assert_asks(t, CHECK_URL);
    answer_text(t, 503, "");
    assert_asks(t, CHECK_URL);
    assert_in_range(t->waited, 2500, 5000);

    /* Devices that differ by one do not come at the same time. */
    uint32_t first[2];
    for (uint32_t i = 0; i < 2; i++) {
        t->config.seed = i;
        start(t);
        (void)until_due(t);
        first[i] = t->waited;
    }
    assert_int_not_equal(first[0] / 1000, first[1] / 1000);
}

static void H07_honours_retry_after(void **state)
{
    struct fixture *t = *state;
    struct {
        const char *retry;
        uint32_t least, most;
    } row[] = {
        {"Retry-After: 120", 120000, 132000},
        {"Retry-After: 99999999999", 3600000, 3960000},
        {"Retry-After: 4000", 3600000, 3960000},
        {"Retry-After: 0", 2500, 5000},
        {"Retry-After: soon", 2500, 5000},
        {"Retry-After: -5", 2500, 5000},
        {"Retry-After: Fri, 31 Dec 1999 23:59:59 GMT", 599000, 660000},
        {"Retry-After: Sun, 06 Nov 1994 08:49:37 GMT", 2500, 5000}, /* gone by */
        {"Retry-After: Fri, 31 Xyz 1999 23:59:59 GMT", 2500, 5000},
    };

    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct reply r = {.status = 503,
                          .headers = {row[i].retry, "Date: Fri, 31 Dec 1999 23:50:00 GMT"}};
        start(t);
        assert_asks(t, CHECK_URL);
        (void)answer(t, &r);
        assert_asks(t, CHECK_URL);
        assert_in_range(t->waited, row[i].least, row[i].most);
    }

    /* With "no update" it is the server's word on the polling interval, where that is longer. */
    struct reply later = {.status = 204, .headers = {"Retry-After: 3600"}};
    t->config.poll_ms = 5000;
    start(t);
    assert_asks(t, CHECK_URL);
    (void)answer(t, &later);
    assert_asks(t, CHECK_URL);
    assert_in_range(t->waited, 3600000, 3960000);

    /* In the middle of a download: a short time is waited, a long one ends the attempt. */
    struct reply busy = {.status = 503, .headers = {"Retry-After: 30"}};
    answer_text(t, 200, OFFER);
    assert_asks(t, FILE_URL);
    serve_file(t, 5000);
    assert_asks(t, FILE_URL);
    (void)answer(t, &busy);
    assert_asks(t, FILE_URL);
    assert_in_range(t->waited, 30000, 33000);
    assert_string_equal(t->fuota.request.range, "bytes=5000-");
    busy.headers[0] = "Retry-After: 600";
    (void)answer(t, &busy);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_PROTOCOL);
    assert_in_range(t->last.wait_ms, 600000, 660000);
    assert_next_attempt_works(t);
}

static void H08_a_page_instead_of_an_image(void **state)
{
    struct fixture *t = *state;
    static const char page[] = "<!DOCTYPE html><html><body>Log in to the guest network</body>";

    offer(t);
    assert_int_equal(answer_text(t, 200, page), OTTER_ERR_IMAGE_MAGIC);
    assert_over(t, OTTER_FUOTA_SYSTEM_ERROR, OTTER_ERR_IMAGE_MAGIC);
    assert_int_equal(t->slots.erases, 0);
    assert_next_attempt_works(t);
}

static void H09_larger_than_the_slot_and_endless(void **state)
{
    struct fixture *t = *state;
    struct reply r = {
        .status = 200, .headers = {"Content-Length: 32769"}, .body = t->image, .len = t->len};

    offer(t);
    assert_int_equal(answer(t, &r), OTTER_ERR_TOO_LARGE);
    assert_over(t, OTTER_FUOTA_SYSTEM_ERROR, OTTER_ERR_TOO_LARGE);
    assert_int_equal(t->slots.erases, 0);

    offer(t);
    uint32_t wait;
    otter_err err = otter_fuota_head(&t->fuota, 200, t->now);
    assert_int_equal(err, OTTER_OK);
    err = otter_fuota_body(&t->fuota, t->image, t->len, t->now);
    for (size_t sent = 0; err == OTTER_OK && sent < 0x100000; sent += sizeof(t->buf)) {
        uint8_t more[512] = {0};
        err = otter_fuota_body(&t->fuota, more, sizeof(more), t->now);
    }
    assert_int_equal(err, OTTER_ERR_TRAILING);
    otter_fuota_end(&t->fuota, OTTER_ERR_LINK, t->now);
    assert_over(t, OTTER_FUOTA_SYSTEM_ERROR, OTTER_ERR_TRAILING);
    assert_int_equal(otter_fuota_poll(&t->fuota, t->now, &wait), OTTER_FUOTA_WAIT);
    assert_next_attempt_works(t);
}

static void H11_paths(void **state)
{
    struct fixture *t = *state;
    char long_path[4097];
    struct {
        const char *body;
        const char *url; /* NULL: refused */
    } row[] = {
        {"", NULL},
        {"\r\n", NULL},
        {"a\"b", NULL},
        {"\"a\"", NULL},
        {"..", NULL},
        {"../data/devices.db", NULL},
        {"a/../b", NULL},
        {"a/..", NULL},
        {"a/./b", NULL},
        {"a\tb", NULL},
        {"a\x7F", NULL},
        {"a\\b", NULL},
        {"a\nb", NULL},
        {"<html>\n<body>", NULL},
        {"a.bin\n", SERVER "/files/a.bin"},
        {"a.bin\r\n", SERVER "/files/a.bin"},
        {"dir/a..b/c:1.bin", SERVER "/files/dir/a..b/c:1.bin"},
        {"a b?c#d%2e&'", SERVER "/files/a%20b%3Fc%23d%252e%26%27"},
        {"\xC3\xA9", SERVER "/files/%C3%A9"},
    };

    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        start(t);
        assert_asks(t, CHECK_URL);
        answer_text(t, 200, row[i].body);
        if (row[i].url == NULL) {
            assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_PROTOCOL);
            assert_string_equal(t->fuota.file, ""); /* nothing stale */
        } else {
            assert_asks(t, row[i].url);
        }
    }
    memset(long_path, 'a', sizeof(long_path) - 1);
    for (size_t len = 250; len <= 4096; len += len < 260 ? 1 : 3836) {
        start(t);
        assert_asks(t, CHECK_URL);
        long_path[4096] = '\0';
        answer_text(t, 200, long_path + 4096 - len);
        if (len <= 255) {
            assert_int_equal(until_due(t), OTTER_FUOTA_ASK);
            assert_int_equal(strlen(t->fuota.request.url), strlen(SERVER "/files/") + len);
        } else {
            assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_LENGTH);
        }
    }
    /* 255 bytes that become three times as many. */
    memset(long_path, ' ', 255);
    long_path[255] = '\0';
    start(t);
    assert_asks(t, CHECK_URL);
    answer_text(t, 200, long_path);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_LENGTH);

    struct reply nul = {.status = 200, .body = (const uint8_t *)"a\0b", .len = 3};
    assert_asks(t, CHECK_URL);
    assert_int_equal(answer(t, &nul), OTTER_ERR_LENGTH);
    struct reply cut = {
        .status = 200, .body = (const uint8_t *)"esp32-fuo", .len = 9, .end = OTTER_ERR_LINK};
    assert_asks(t, CHECK_URL);
    (void)answer(t, &cut);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_LINK);
    assert_next_attempt_works(t);
}

static void H12_gone_between_check_and_download(void **state)
{
    struct fixture *t = *state;
    struct reply gone = {.end = OTTER_ERR_LINK};

    offer(t);
    for (int i = 1; i < 5; i++) {
        (void)answer(t, &gone);
        assert_asks(t, FILE_URL);
    }
    (void)answer(t, &gone);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_LINK);
    assert_int_equal(t->slots.opens, 0);
    assert_next_attempt_works(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(H03_redirects),
        CASE(H03_redirects_that_are_refused),
        CASE(H04_a_certificate_that_is_not_good),
        CASE(H06_one_byte_a_second),
        CASE(H06_silence),
        CASE(H07_backs_off_with_jitter),
        CASE(H07_honours_retry_after),
        CASE(H08_a_page_instead_of_an_image),
        CASE(H09_larger_than_the_slot_and_endless),
        CASE(H11_paths),
        CASE(H12_gone_between_check_and_download),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
