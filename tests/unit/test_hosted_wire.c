/* SPDX-License-Identifier: Apache-2.0 */
/* ESP-Hosted: frames and messages, and the host half's reaction to what a device may answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/hosted/device_rows.h"
#include "proto/hosted/host.h"

#define HEAD                                                                                       \
    "\x01\x08\x00"                                                                                 \
    "ctrlResp\x02"
#define EVENT_HEAD                                                                                 \
    "\x01\x08\x00"                                                                                 \
    "ctrlEvnt\x02"
#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

/* As they are on the wire: uid 5. */
static const uint8_t begin_frame[] = HEAD "\x09\x00"
                                          "\x08\x01\x10\x74\x18\x05\xa2\x07\x00";
static const uint8_t write_frame[] = HEAD "\x0e\x00"
                                          "\x08\x01\x10\x75\x18\x05\xaa\x07\x05\x0a\x03"
                                          "abc";
static const uint8_t begin_answer[] = HEAD "\x0a\x00"
                                           "\x08\x02\x10\xd8\x01\x18\x05\xc2\x0d\x00";
static const uint8_t refusal[] = HEAD "\x15\x00"
                                      "\x08\x02\x10\xd8\x01\x18\x05\xc2\x0d\x0b\x08"
                                      "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
static const uint8_t init_event[] = EVENT_HEAD "\x08\x00"
                                               "\x08\x03\x10\xad\x02\xea\x12\x00";

static void frames_are_as_the_protocol_says(void **state)
{
    struct otter_hosted_message m = {
        .type = OTTER_HOSTED_REQUEST, .id = OTTER_HOSTED_BEGIN, .uid = 5, .has_payload = true};
    uint8_t frame[64];
    size_t used;

    assert_int_equal(otter_hosted_encode(&m, frame, sizeof(frame), &used), OTTER_OK);
    assert_int_equal(used, sizeof(begin_frame) - 1);
    assert_memory_equal(frame, begin_frame, used);
    m.id = OTTER_HOSTED_WRITE;
    m.data = (const uint8_t *)"abc";
    m.data_len = 3;
    assert_int_equal(otter_hosted_encode(&m, frame, sizeof(frame), &used), OTTER_OK);
    assert_int_equal(used, sizeof(write_frame) - 1);
    assert_memory_equal(frame, write_frame, used);
    for (size_t size = 0; size < used; size++) {
        size_t ignored;
        assert_int_equal(otter_hosted_encode(&m, frame, size, &ignored), OTTER_ERR_BOUNDS);
    }
}

static void every_message_survives_encoding(void **state)
{
    static const uint16_t ids[] = {116, 117, 118, 123, 216, 217, 218, 223};
    static const int32_t numbers[] = {0, 1, -1, -132, INT32_MAX, INT32_MIN};

    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++) {
            bool named = ids[i] == 117 || ids[i] == 223;
            struct otter_hosted_message in = {
                .type = ids[i] < 200 ? OTTER_HOSTED_REQUEST : OTTER_HOSTED_RESPONSE,
                .id = ids[i],
                .uid = numbers[n],
                .req_resp_type = (uint32_t)numbers[n],
                .resp = ids[i] < 200 ? 0 : numbers[n],
                .has_payload = true,
                .data = named ? (const uint8_t *)"network_adapter" : NULL,
                .data_len = named ? n : 0,
            };
            struct otter_hosted_message out;
            uint8_t frame[128];
            size_t used;

            if (ids[i] == 223) {
                memcpy(in.version, (uint32_t[]){1, 0, UINT32_MAX, 4, 5}, sizeof(in.version));
            }
            assert_int_equal(otter_hosted_encode(&in, frame, sizeof(frame), &used), OTTER_OK);
            assert_int_equal(otter_hosted_decode(&out, frame + OTTER_HOSTED_HEAD_SIZE,
                                                 used - OTTER_HOSTED_HEAD_SIZE),
                             OTTER_OK);
            assert_int_equal(out.type, in.type);
            assert_int_equal(out.id, in.id);
            assert_int_equal(out.uid, in.uid);
            assert_int_equal(out.req_resp_type, in.req_resp_type);
            assert_int_equal(out.resp, in.resp);
            assert_true(out.has_payload);
            assert_int_equal(out.data_len, in.data_len);
            assert_memory_equal(out.version, in.version, sizeof(in.version));
            if (in.data_len > 0) {
                assert_memory_equal(out.data, in.data, in.data_len);
            }
        }
    }
}

static void W02_lengths_of_a_frame(void **state)
{
    static const struct {
        uint16_t len;   /* as the frame says */
        uint8_t status; /* after 4096 more bytes */
        uint16_t got;
    } rows[] = {
        {0, OTTER_HOSTED_FRAME_NONE, 0},
        {1, OTTER_HOSTED_FRAME_WHOLE, 1},
        {4096, OTTER_HOSTED_FRAME_WHOLE, 4096},
        {4097, OTTER_HOSTED_FRAME_TOO_LONG, OTTER_HOSTED_PREFIX},
        {65535, OTTER_HOSTED_FRAME_TOO_LONG, OTTER_HOSTED_PREFIX},
    };
    static uint8_t stream[12 + 2 + 4096], buf[4096];

    memcpy(stream, HEAD, 12);
    memset(stream + 14, 0xA5, 4096);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct otter_hosted_decoder dec;

        stream[12] = (uint8_t)rows[i].len;
        stream[13] = (uint8_t)(rows[i].len >> 8);
        otter_hosted_decoder_init(&dec, buf, sizeof(buf));
        (void)otter_hosted_decoder_feed(&dec, stream, sizeof(stream));
        assert_int_equal(dec.status, rows[i].status);
        assert_int_equal(dec.got, rows[i].got);
        /* Whatever it was, the next frame is found. */
        otter_hosted_decoder_next(&dec);
        (void)otter_hosted_decoder_feed(&dec, begin_frame, sizeof(begin_frame) - 1);
        assert_int_equal(dec.status, OTTER_HOSTED_FRAME_WHOLE);
        assert_int_equal(dec.len, 9);
    }
}

static void W01_frames_are_found_in_garbage(void **state)
{
    static const char *const garbage[] = {
        "",
        "\x01",
        "\x01\x01",
        "\x01\x08\x01\x08",
        "\x01\x08\x01trlResp\x02",
        "boot: ESP-IDF v5.1 2nd stage bootloader\r\n",
        "\x01\x08",
        "\x02\x0e\x01",
    };
    uint8_t buf[64];

    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        struct otter_hosted_decoder dec;
        size_t len = strlen(garbage[i]);

        otter_hosted_decoder_init(&dec, buf, sizeof(buf));
        for (int twice = 0; twice < 2; twice++) {
            (void)otter_hosted_decoder_feed(&dec, (const uint8_t *)garbage[i], len);
            assert_int_equal(dec.status, OTTER_HOSTED_FRAME_NONE);
            assert_int_equal(otter_hosted_decoder_feed(&dec, write_frame, sizeof(write_frame) - 1),
                             sizeof(write_frame) - 1);
            assert_int_equal(dec.status, OTTER_HOSTED_FRAME_WHOLE);
            assert_false(dec.events);
            assert_memory_equal(buf, write_frame + 14, sizeof(write_frame) - 15);
            assert_int_equal(dec.skipped, (size_t)(twice + 1) * len);
            otter_hosted_decoder_next(&dec);
        }
    }
}

static void W09_messages(void **state)
{
    static const struct {
        const char *what;
        const char *bytes;
        size_t len;
        otter_err err;
        bool payload;
        uint16_t id; /* what can still be answered */
    } rows[] = {
#define ROW(what, bytes, err, payload, id) {what, bytes, sizeof(bytes) - 1, err, payload, id}
        ROW("as it should be", "\x08\x01\x10\x74\x18\x05\xa2\x07\x00", OTTER_OK, true, 116),
        ROW("empty", "", OTTER_OK, false, 0),
        ROW("no payload", "\x08\x01\x10\x75", OTTER_OK, false, 117),
        ROW("payload of another message", "\x08\x01\x10\x75\xa2\x07\x00", OTTER_OK, false, 117),
        ROW("payload first", "\xa2\x07\x00\x08\x01\x10\x74", OTTER_OK, true, 116),
        ROW("unknown varint", "\x08\x01\x10\x74\x28\x7f\xa2\x07\x00", OTTER_OK, true, 116),
        ROW("unknown 64 bit", "\x08\x01\x10\x74\x29zzzzzzzz\xa2\x07\x00", OTTER_OK, true, 116),
        ROW("unknown bytes", "\x08\x01\x10\x74\x32\x03zzz\xa2\x07\x00", OTTER_OK, true, 116),
        ROW("unknown 32 bit", "\x08\x01\x10\x74\x35zzzz\xa2\x07\x00", OTTER_OK, true, 116),
        ROW("unknown fields in the payload", "\x08\x01\x10\x74\xa2\x07\x05\x0a\x03zzz", OTTER_OK,
            true, 116),
        ROW("group", "\x08\x01\x10\x74\x2b\x2c\xa2\x07\x00", OTTER_ERR_PROTOCOL, false, 116),
        ROW("field number 0", "\x08\x01\x10\x74\x00\xa2\x07\x00", OTTER_ERR_PROTOCOL, false, 116),
        ROW("cut in a tag", "\x08\x01\x10\x75\xaa", OTTER_ERR_PROTOCOL, false, 117),
        ROW("cut in a length", "\x08\x01\x10\x75\xaa\x07", OTTER_ERR_PROTOCOL, false, 117),
        ROW("cut in the payload", "\x08\x01\x10\x75\xaa\x07\x05\x0a", OTTER_ERR_PROTOCOL, false,
            117),
        ROW("payload longer than the message", "\x08\x01\x10\x75\xaa\x07\x7f\x0a\x01z",
            OTTER_ERR_PROTOCOL, false, 117),
        ROW("data longer than the payload", "\x08\x01\x10\x75\xaa\x07\x03\x0a\x7fz",
            OTTER_ERR_PROTOCOL, false, 117),
        ROW("length of 2^63", "\x08\x01\x10\x75\xaa\x07\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
            OTTER_ERR_PROTOCOL, false, 117),
        ROW("number that does not end",
            "\x08\x01\x10\x74\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff"
            "\xff\xff\xff",
            OTTER_ERR_PROTOCOL, false, 116),
        ROW("number of another type", "\x0d\x01\x01\x01\x01\x10\x74", OTTER_ERR_PROTOCOL, false, 0),
        ROW("number instead of data", "\x08\x01\x10\x75\xaa\x07\x02\x08\x05", OTTER_ERR_PROTOCOL,
            false, 117),
        ROW("id that wraps", "\x08\x01\x10\xf4\x80\x04\xa2\x07\x00", OTTER_OK, false, 0),
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct otter_hosted_message m;
        otter_err err = otter_hosted_decode(&m, (const uint8_t *)rows[i].bytes, rows[i].len);

        if (err != rows[i].err || m.has_payload != rows[i].payload || m.id != rows[i].id) {
            fail_msg("%s: %d, payload %d, id %d", rows[i].what, err, m.has_payload, m.id);
        }
        assert_true(m.data == NULL ||
                    (m.data >= (const uint8_t *)rows[i].bytes &&
                     m.data + m.data_len <= (const uint8_t *)rows[i].bytes + rows[i].len));
    }
}

/* --- host half ---------------------------------------------------------------------------------
 */

static unsigned events;
static uint16_t last_event;

static void on_event(void *ctx, uint16_t id, const uint8_t *data, size_t len)
{
    events++;
    last_event = id;
}

struct host_rig {
    struct otter_hosted_host host;
    uint8_t buf[512];
};

/* A host that waits for the answer to a begin with uid 5, asked at 1000 ms with 60 s to go. */
static void waiting(struct host_rig *rig)
{
    const struct otter_hosted_host_config config = {
        .buf = rig->buf, .buf_size = sizeof(rig->buf), .first_uid = 5, .on_event = on_event};
    uint8_t frame[64];
    size_t used;

    events = 0;
    assert_int_equal(otter_hosted_host_init(&rig->host, &config), OTTER_OK);
    assert_int_equal(otter_hosted_host_request(&rig->host, OTTER_HOSTED_BEGIN, NULL, 0, 60000, 1000,
                                               frame, sizeof(frame), &used),
                     OTTER_OK);
    assert_memory_equal(frame, begin_frame, used);
    assert_int_equal(otter_hosted_host_poll(&rig->host, 1000), OTTER_ERR_AGAIN);
    assert_int_equal(otter_hosted_host_wait(&rig->host, 2000), 59000);
}

static void host_takes_its_answer(void **state)
{
    struct host_rig rig;

    waiting(&rig);
    assert_int_equal(otter_hosted_host_input(&rig.host, BYTES(begin_answer)),
                     sizeof(begin_answer) - 1);
    assert_int_equal(otter_hosted_host_poll(&rig.host, 1001), OTTER_OK);
    assert_int_equal(otter_hosted_host_wait(&rig.host, 1001), OTTER_HOSTED_NEVER);
    /* Nothing is taken when nothing is awaited. */
    assert_int_equal(otter_hosted_host_input(&rig.host, BYTES(begin_answer)), 0);
}

static void host_tells_a_refusal(void **state)
{
    struct host_rig rig;

    waiting(&rig);
    (void)otter_hosted_host_input(&rig.host, BYTES(refusal));
    assert_int_equal(otter_hosted_host_poll(&rig.host, 1001), OTTER_ERR_REFUSED);
    assert_int_equal(rig.host.answer.resp, -1);
}

static void host_tells_silence_from_garbage(void **state)
{
    struct host_rig rig;

    waiting(&rig);
    assert_int_equal(otter_hosted_host_poll(&rig.host, 60999), OTTER_ERR_AGAIN);
    assert_int_equal(otter_hosted_host_poll(&rig.host, 61000), OTTER_ERR_TIMEOUT);
    waiting(&rig);
    (void)otter_hosted_host_input(&rig.host, BYTES("login: "));
    assert_int_equal(otter_hosted_host_poll(&rig.host, 61000), OTTER_ERR_PROTOCOL);
}

static void W03_host_takes_its_answer_split_anywhere(void **state)
{
    static uint8_t stream[sizeof(init_event) + sizeof(begin_answer) - 2];
    const size_t event_len = sizeof(init_event) - 1;

    memcpy(stream, init_event, event_len);
    memcpy(stream + event_len, begin_answer, sizeof(begin_answer) - 1);
    for (size_t split = 0; split <= sizeof(stream); split++) {
        struct host_rig rig;

        waiting(&rig);
        size_t used = otter_hosted_host_input(&rig.host, stream, split);
        used += otter_hosted_host_input(&rig.host, stream + used, sizeof(stream) - used);
        assert_int_equal(used, sizeof(stream));
        assert_int_equal(otter_hosted_host_poll(&rig.host, 1001), OTTER_OK);
        assert_int_equal(events, 1);
        assert_int_equal(last_event, OTTER_HOSTED_EVENT_ESP_INIT);
    }
}

static void W08_events_and_other_answers_are_passed_over(void **state)
{
    /* another uid; the answer to another request; a request; garbage; an event too long to hold */
    static const char other_uid[] = HEAD "\x0a\x00"
                                         "\x08\x02\x10\xd8\x01\x18\x06\xc2\x0d\x00";
    static const char other_id[] = HEAD "\x0a\x00"
                                        "\x08\x02\x10\xd9\x01\x18\x05\xca\x0d\x00";
    struct host_rig rig;
    uint8_t big[700] = EVENT_HEAD "\xae\x02"
                                  "\x08\x03\x10\xaf\x02";

    waiting(&rig);
    (void)otter_hosted_host_input(&rig.host, BYTES(init_event));
    (void)otter_hosted_host_input(&rig.host, BYTES(other_uid));
    (void)otter_hosted_host_input(&rig.host, BYTES(other_id));
    (void)otter_hosted_host_input(&rig.host, BYTES(begin_frame));
    (void)otter_hosted_host_input(&rig.host, BYTES("brownout\r\n"));
    (void)otter_hosted_host_input(&rig.host, big, sizeof(big));
    (void)otter_hosted_host_input(&rig.host, BYTES(init_event));
    assert_int_equal(otter_hosted_host_poll(&rig.host, 1001), OTTER_ERR_AGAIN);
    assert_int_equal(events, 3);
    (void)otter_hosted_host_input(&rig.host, BYTES(begin_answer));
    assert_int_equal(otter_hosted_host_poll(&rig.host, 1002), OTTER_OK);
}

static void W09_answer_without_content(void **state)
{
    static const char bare[] = HEAD "\x07\x00"
                                    "\x08\x02\x10\xd8\x01\x18\x05";
    struct host_rig rig;

    waiting(&rig);
    (void)otter_hosted_host_input(&rig.host, BYTES(bare));
    assert_int_equal(otter_hosted_host_poll(&rig.host, 1001), OTTER_ERR_PROTOCOL);
}

static void host_makes_one_request_at_a_time(void **state)
{
    static const uint8_t data[OTTER_HOSTED_CHUNK_MAX + 1];
    static uint8_t frame[OTTER_HOSTED_REQUEST_MAX];
    struct host_rig rig;
    size_t used;

    waiting(&rig);
    assert_int_equal(otter_hosted_host_request(&rig.host, OTTER_HOSTED_END, NULL, 0, 1, 0, frame,
                                               sizeof(frame), &used),
                     OTTER_ERR_STATE);
    (void)otter_hosted_host_input(&rig.host, BYTES(begin_answer));
    assert_int_equal(otter_hosted_host_request(&rig.host, OTTER_HOSTED_WRITE, data, sizeof(data), 1,
                                               0, frame, sizeof(frame), &used),
                     OTTER_ERR_LENGTH);
    rig.host.uid = INT32_MIN; /* the longest there is */
    assert_int_equal(otter_hosted_host_request(&rig.host, OTTER_HOSTED_WRITE, data,
                                               OTTER_HOSTED_CHUNK_MAX, 1, 0, frame, sizeof(frame),
                                               &used),
                     OTTER_OK);
}

/* docs/protocols/hosted.md shows the rows that the code runs by, all of them and in order. */
static void the_page_shows_the_table(void **state)
{
#define PAGE_ROW(s, e, act, n, f) {#s, #e, #act, #n, #f},
    static const char *const rows[][5] = {OTTER_HOSTED_DEVICE_ROWS(PAGE_ROW)};
    static char page[32768];
    FILE *file = fopen("../docs/protocols/hosted.md", "r"); /* tests run in the build folder */

    assert_non_null(file);
    page[fread(page, 1, sizeof(page) - 1, file)] = '\0';
    fclose(file);
    const char *at = strstr(page, "| state | event | action |");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *action = strcmp(rows[i][2], "nothing") == 0 ? "\xE2\x80\x94" : rows[i][2];
        char line[200];

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_as_the_protocol_says),
        cmocka_unit_test(every_message_survives_encoding),
        cmocka_unit_test(W01_frames_are_found_in_garbage),
        cmocka_unit_test(W02_lengths_of_a_frame),
        cmocka_unit_test(W03_host_takes_its_answer_split_anywhere),
        cmocka_unit_test(W08_events_and_other_answers_are_passed_over),
        cmocka_unit_test(W09_messages),
        cmocka_unit_test(W09_answer_without_content),
        cmocka_unit_test(host_takes_its_answer),
        cmocka_unit_test(host_tells_a_refusal),
        cmocka_unit_test(host_tells_silence_from_garbage),
        cmocka_unit_test(host_makes_one_request_at_a_time),
        cmocka_unit_test(the_page_shows_the_table),
    };

    return cmocka_run_group_tests_name("hosted wire", tests, NULL, NULL);
}
