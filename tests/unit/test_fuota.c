/* SPDX-License-Identifier: Apache-2.0 */
/* src/proto/fuota: what is asked, what is made of the answers, and when it is asked again. The rows
 * of the list of faults are in test_fuota_download.c and test_fuota_faults.c. */
#include "unit/fuota_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/fuota/http.h"
#include "proto/fuota/rows.h"

/* ---- the usual way ------------------------------------------------------------------------- */

static void updates_as_the_seed_describes(void **state)
{
    struct fixture *t = *state;

    assert_asks(t, CHECK_URL);
    assert_true(t->fuota.request.authorize);
    struct reply r = {.status = 200,
                      .headers = {"Content-Type: text/csv", "Content-Length: 21"},
                      .body = (const uint8_t *)OFFER,
                      .len = strlen(OFFER)};
    assert_int_equal(answer(t, &r), OTTER_OK);
    assert_string_equal(t->file_seen, OFFER);
    assert_asks(t, FILE_URL);
    assert_true(t->fuota.request.authorize);
    serve_file(t, SIZE_MAX);
    assert_updated(t);
    assert_int_equal(t->events[OTTER_FUOTA_EVENT_CHECK], 1);
    assert_int_equal(t->events[OTTER_FUOTA_EVENT_BEGIN], 1);
}

static void not_found_and_no_content_mean_no_update(void **state)
{
    struct fixture *t = *state;

    assert_asks(t, CHECK_URL);
    assert_true(t->waited <= t->config.poll_ms / 10);
    answer_text(t, 404, "<html>not found</html>");
    assert_over(t, OTTER_FUOTA_NO_UPDATE, OTTER_OK);
    assert_asks(t, CHECK_URL);
    assert_in_range(t->waited, 3240000, 3960000); /* an hour, a tenth either way */
    answer_text(t, 204, "");
    assert_over(t, OTTER_FUOTA_NO_UPDATE, OTTER_OK);
    offer(t);
    answer_text(t, 404, "");
    assert_over(t, OTTER_FUOTA_NO_UPDATE, OTTER_OK);
    assert_next_attempt_works(t);
}

static void errors_of_configuration_are_told_apart(void **state)
{
    struct fixture *t = *state;
    static const uint16_t status[] = {400, 401, 403};

    for (size_t i = 0; i < 3; i++) {
        assert_asks(t, CHECK_URL);
        answer_text(t, status[i], "");
        assert_over(t, OTTER_FUOTA_PARAMETER_ERROR, OTTER_ERR_REFUSED);
        assert_int_equal(t->last.status, status[i]);
    }
    offer(t);
    answer_text(t, 403, "");
    assert_over(t, OTTER_FUOTA_PARAMETER_ERROR, OTTER_ERR_REFUSED);
    assert_next_attempt_works(t);
}

static void checks_when_asked_only(void **state)
{
    struct fixture *t = *state;

    t->config.poll_ms = 0;
    start(t);
    assert_int_equal(until_due(t), OTTER_FUOTA_WAIT);
    otter_fuota_check(&t->fuota);
    assert_asks(t, CHECK_URL);
    answer_text(t, 503, "");
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_PROTOCOL);
    assert_in_range(t->last.wait_ms, 2500, 5000); /* advice */
    assert_int_equal(until_due(t), OTTER_FUOTA_WAIT);
    otter_fuota_check(&t->fuota);
    assert_next_attempt_works(t);
}

static void cancels_at_any_time(void **state)
{
    struct fixture *t = *state;

    otter_fuota_cancel(&t->fuota, t->now);
    assert_int_equal(t->last.kind, OTTER_FUOTA_EVENT_CHECK); /* nothing yet: kind 0 */
    assert_asks(t, CHECK_URL);
    otter_fuota_cancel(&t->fuota, t->now);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_CANCELLED);
    offer(t);
    otter_fuota_cancel(&t->fuota, t->now);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_CANCELLED);
    offer(t);
    serve_file(t, 5000);
    assert_int_equal(t->fuota.state, OTTER_FUOTA_PAUSE);
    otter_fuota_cancel(&t->fuota, t->now);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_CANCELLED);
    offer(t);
    serve_file(t, SIZE_MAX);
    assert_int_equal(t->fuota.state, OTTER_FUOTA_FINISHING);
    otter_fuota_cancel(&t->fuota, t->now);
    assert_over(t, OTTER_FUOTA_CONNECTION_ERROR, OTTER_ERR_CANCELLED);
    otter_fuota_end(&t->fuota, OTTER_OK, t->now); /* a late end of something forgotten */
    assert_next_attempt_works(t);
}

static void urls_are_escaped_and_bounded(void **state)
{
    struct fixture *t = *state;
    char longest[OTTER_FUOTA_URL_MAX];
    const char *bad[] = {"", ".", "..", "a/b", "a\"b", "a\nb"};

    t->config.device_id = "a0:b1 #2%3?\xC3\xA9";
    t->config.version = "v1.0:2+dirty&x=1";
    start(t);
    assert_asks(t, SERVER "/devices/a0:b1%20%232%253%3F%C3%A9?app_ver=v1.0:2%2Bdirty%26x%3D1");

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        t->config.device_id = bad[i];
        assert_int_equal(otter_fuota_init(&t->fuota, &t->config, 0), OTTER_ERR_ARG);
    }
    t->config.device_id = "1";
    t->config.version = longest;
    size_t room = OTTER_FUOTA_URL_MAX - strlen(SERVER "/devices/1?app_ver=");
    memset(longest, 'v', room + 1);
    longest[room + 1] = '\0';
    assert_int_equal(otter_fuota_init(&t->fuota, &t->config, 0), OTTER_ERR_LENGTH);
    longest[room] = '\0';
    start(t);
    assert_int_equal(until_due(t), OTTER_FUOTA_ASK);
    assert_int_equal(strlen(t->fuota.request.url), OTTER_FUOTA_URL_MAX);
}

static void only_https_servers(void **state)
{
    struct fixture *t = *state;
    const char *bad[] = {"http://host", "https://", "host", "https://user@host", "https://h h", ""};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        t->config.server = bad[i];
        assert_int_equal(otter_fuota_init(&t->fuota, &t->config, 0), OTTER_ERR_ARG);
    }
    t->config.server = "https://[fd00::1]:443/ota";
    start(t);
    assert_asks(t, "https://[fd00::1]:443/ota/devices/00001?app_ver=0.1.0");
}

/* ---- the rest ------------------------------------------------------------------------------- */

static void another_transport_is_updating(void **state)
{
    struct fixture *t = *state;
    struct otter_update_transport other = {.update = &t->update};
    struct otter_sink sink = otter_update_sink(&other);

    assert_int_equal(sink.ops->begin(sink.ctx, OTTER_LENGTH_UNKNOWN), OTTER_OK);
    offer(t);
    struct reply r = {.status = 200, .body = t->image, .len = t->len};
    assert_int_equal(answer(t, &r), OTTER_ERR_BUSY);
    assert_int_equal(t->last.result, OTTER_FUOTA_SYSTEM_ERROR);
    assert_int_equal(t->update.state, OTTER_UPDATE_RECEIVING); /* the other's, undisturbed */
    sink.ops->abort(sink.ctx);
    assert_next_attempt_works(t);
}

static void flash_fails(void **state)
{
    struct fixture *t = *state;
    struct reply r = {.status = 200, .body = t->image, .len = t->len};

    t->slots.fail_write = 3;
    offer(t);
    assert_int_equal(answer(t, &r), OTTER_ERR_FLASH_WRITE);
    assert_over(t, OTTER_FUOTA_SYSTEM_ERROR, OTTER_ERR_FLASH_WRITE);
    t->slots.fail_read = 1;
    offer(t);
    assert_int_equal(answer(t, &r), OTTER_OK);
    assert_asks(t, CHECK_URL);
    answer_text(t, 204, "");
    assert_next_attempt_works(t);
}

static void a_compressed_body_is_not_firmware(void **state)
{
    struct fixture *t = *state;
    struct reply r = {
        .status = 200, .headers = {"Content-Encoding: gzip"}, .body = t->image, .len = t->len};

    offer(t);
    assert_int_equal(answer(t, &r), OTTER_ERR_PROTOCOL);
    assert_asks(t, FILE_URL);
    r.headers[0] = "Content-Encoding: identity";
    assert_int_equal(answer(t, &r), OTTER_OK);
    assert_updated(t);
}

/* Weak and over-long ETags cannot vouch for a range; then the digest alone decides. */
static void etags_that_are_of_no_use(void **state)
{
    struct fixture *t = *state;
    char long_tag[100] = "ETag: \"";
    const char *tags[] = {"ETag: W/\"one\"", long_tag, "ETag: one", "ETag: \""};

    memset(long_tag + 7, 'x', 80);
    strcpy(long_tag + 87, "\"");
    for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
        struct reply r = {.status = 200,
                          .headers = {tags[i]},
                          .body = t->image,
                          .len = 4100,
                          .end = OTTER_ERR_LINK};
        start(t);
        otter_update_abort(&t->update);
        offer(t);
        (void)answer(t, &r);
        assert_asks(t, FILE_URL);
        assert_string_equal(t->fuota.request.range, "bytes=4100-");
        assert_string_equal(t->fuota.request.if_range, "");
    }
}

static void dates_count_as_the_calendar_does(void **state)
{
    struct {
        const char *text;
        int64_t seconds;
    } row[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Thu, 01 Jan 1970 00:00:01 GMT", 1},
        {"Tue, 29 Feb 2000 12:00:00 GMT", 951825600},
        {"Wed, 31 Dec 2098 23:59:59 GMT", 4070908799},
        {"Sun, 06 Nov 1994", 0},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 0},
        {"", 0},
        {"Sun, 99 Nov 1994 08:49:37 GMT", 0},
        {"Sun, 06 Nov 1994 08:49:37 CET", 0},
        {"Sun, 06", 0},
    };

    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct otter_fuota_head head = {0};
        otter_fuota_read_header(&head, "date", row[i].text);
        assert_int_equal(head.date, row[i].seconds);
    }
}

/* docs/protocols/fuota.md shows the rows that the code runs by, all of them and in order. */
static void the_page_shows_the_table(void **state)
{
#define ROW(s, e, act, n, x) {#s, #e, #act, #n, #x},
    static const char *const rows[][5] = {OTTER_FUOTA_ROWS(ROW)};
    static char page[32768];
    FILE *file = fopen("../docs/protocols/fuota.md", "r"); /* tests run in the build folder */

    assert_non_null(file);
    page[fread(page, 1, sizeof(page) - 1, file)] = '\0';
    fclose(file);
    const char *at = strstr(page, "| state | event | action |");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char line[200];
        const char *action = strcmp(rows[i][2], "nothing") == 0 ? "\xE2\x80\x94" : rows[i][2];
        snprintf(line, sizeof(line), "| %s | %s | %s | %s | %s |\n", rows[i][0], rows[i][1], action,
                 rows[i][3], rows[i][4]);
        for (char *c = line; *c != '\0'; c++) {
            *c = *c == '_' ? ' ' : *c;
        }
        assert_non_null(at);
        at = strstr(at, line);
        if (at == NULL) {
            fail_msg("not there, or not in order: %s", line);
        }
    }
}

static void what_is_reported(void **state)
{
    (void)state;
    const struct otter_fuota_report report = {
        .result = "updated", .detail = "a \"b\" \\ \n\xC3", .version = "1.1.0", .running = "00ff"};
    static const char expected[] = "{\"result\": \"updated\", \"detail\": \"a \\\"b\\\" \\\\ ??\", "
                                   "\"version\": \"1.1.0\", \"running\": \"00ff\"}\n";
    char text[256];

    assert_int_equal(otter_fuota_report_url(text, sizeof(text), SERVER, "room 1"), OTTER_OK);
    assert_string_equal(text, SERVER "/api/v1/devices/room%201/report");
    assert_int_equal(otter_fuota_report_url(text, 40, SERVER, "room 1"), OTTER_ERR_LENGTH);
    assert_int_equal(otter_fuota_report_body(text, sizeof(text), &report), OTTER_OK);
    assert_string_equal(text, expected);
    assert_int_equal(otter_fuota_report_body(text, sizeof(expected), &report), OTTER_OK);
    assert_int_equal(otter_fuota_report_body(text, sizeof(expected) - 1, &report),
                     OTTER_ERR_LENGTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(updates_as_the_seed_describes),
        CASE(not_found_and_no_content_mean_no_update),
        CASE(errors_of_configuration_are_told_apart),
        CASE(checks_when_asked_only),
        CASE(cancels_at_any_time),
        CASE(urls_are_escaped_and_bounded),
        CASE(only_https_servers),
        CASE(another_transport_is_updating),
        CASE(flash_fails),
        CASE(a_compressed_body_is_not_firmware),
        CASE(etags_that_are_of_no_use),
        cmocka_unit_test(the_page_shows_the_table),
        cmocka_unit_test(dates_count_as_the_calendar_does),
        cmocka_unit_test(what_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
