/* SPDX-License-Identifier: Apache-2.0 */
/* ATT: the codec, the server's answers PDU by PDU, and the client against that server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/att_client.h"
#include "host/att_server.h"
#include "otter/espble.h"
#include "otter/gattota.h"

/* ---- a device with three services
 * ---------------------------------------------------------------- */

#define UUID16(n)                                                                                  \
    {                                                                                              \
        .size = 2, .bytes = {(n)&0xFF, (n) >> 8 }                                                  \
    }

enum { NAME, LONG };

static const struct otter_gatt_char access_chars[] = {
    {.uuid = UUID16(0x2A00), .props = OTTER_GATT_READ, .id = NAME},
    {.uuid = UUID16(0x2A28), .props = OTTER_GATT_READ, .id = LONG},
};
static const struct otter_gatt_service access_service = {
    .uuid = UUID16(0x1800), .chars = access_chars, .count = 2};

struct fake {
    struct otter_att_db db;
    struct otter_gatt_mount mounts[3];
    struct otter_att_server server;
    uint8_t out[OTTER_GATT_MTU_MAX]; /* the last PDU sent */
    size_t out_len;
    unsigned sent;
    uint8_t got[OTTER_GATT_VALUE_MAX]; /* the last value written */
    size_t got_len;
    uint8_t got_id;
    unsigned writes;
    enum otter_att answer; /* to writes */
    unsigned confirmations;
    size_t long_len; /* of the value of LONG */
    struct otter_att_client client;
    bool pass_on; /* what the server sends goes to the client at once */
};

static enum otter_att fake_write(void *service, uint16_t conn, uint8_t id, const uint8_t *data,
                                 size_t len)
{
    struct fake *f = service;

    assert_int_equal(conn, 7);
    f->writes++;
    f->got_id = id;
    f->got_len = len;
    memcpy(f->got, data, len);
    return f->answer;
}

static size_t fake_read(void *service, uint8_t id, uint8_t *out, size_t cap)
{
    struct fake *f = service;

    assert_int_equal(cap, OTTER_GATT_VALUE_MAX);
    if (id == NAME) {
        memcpy(out, "kitchen", 7);
        return 7;
    }
    for (size_t i = 0; i < f->long_len; i++) {
        out[i] = (uint8_t)i;
    }
    return f->long_len;
}

static const struct otter_gatt_service_ops fake_ops = {.write = fake_write, .read = fake_read};

static void fake_send(void *ctx, const uint8_t *pdu, size_t len)
{
    struct fake *f = ctx;

    assert_true(len <= f->server.mtu);
    memcpy(f->out, pdu, len);
    f->out_len = len;
    f->sent++;
}

static void fake_confirmed(void *ctx)
{
    ((struct fake *)ctx)->confirmations++;
}

static const struct otter_att_server_ops server_ops = {.send = fake_send,
                                                       .confirmed = fake_confirmed};

/*
 * Handles: 1 access: 2,3 name 4,5 long; 6 espble: 7,8,9 RECV_FW 10,11,12 PROGRESS 13,14,15 COMMAND
 * 16,17,18 CUSTOMER; 19 gattota: 20,21,22 control 23,24 data
 */
static void start(struct fake *f)
{
    memset(f, 0, sizeof(*f));
    f->mounts[0] = (struct otter_gatt_mount){&access_service, &fake_ops, f};
    f->mounts[1] = (struct otter_gatt_mount){&otter_espble_service, &fake_ops, f};
    f->mounts[2] = (struct otter_gatt_mount){&otter_gattota_service, &fake_ops, f};
    f->long_len = 60;
    assert_int_equal(otter_att_db_build(&f->db, f->mounts, 3), OTTER_OK);
    assert_int_equal(f->db.count, 24);
    otter_att_server_init(&f->server, &f->db, &server_ops, f, 7, OTTER_GATT_MTU_MAX);
}

/* Bytes in, bytes out, both as text in hexadecimal. */
static size_t bytes_of(const char *hex, uint8_t *out)
{
    size_t n = 0;

    for (; *hex != '\0'; hex++) {
        if (*hex != ' ') {
            char pair[3] = {hex[0], hex[1], 0};
            out[n++] = (uint8_t)strtoul(pair, NULL, 16);
            hex++;
        }
    }
    return n;
}

static void expect(struct fake *f, const char *in, const char *out)
{
    uint8_t request[OTTER_GATT_MTU_MAX], wanted[OTTER_GATT_MTU_MAX];
    size_t len = bytes_of(in, request);
    size_t wanted_len = bytes_of(out, wanted);

    f->sent = 0;
    f->out_len = 0;
    assert_int_equal(otter_att_server_feed(&f->server, request, len), OTTER_OK);
    assert_int_equal(f->sent, wanted_len > 0 ? 1 : 0);
    if (wanted_len > 0) {
        assert_int_equal(f->out_len, wanted_len);
        assert_memory_equal(f->out, wanted, wanted_len);
    }
}

/* ---- codec
 * --------------------------------------------------------------------------------------- */

static void codec_round_trip(void **state)
{
    static const char *const pdus[] = {
        "01 0A 0500 02",
        "02 F700",
        "03 0502",
        "04 0100 FFFF",
        "05 01 0900 0229",
        "06 0100 FFFF 0028 1880",
        "07 0600 1200",
        "08 0100 FFFF 0328",
        "08 0100 FFFF 000102030405060708090A0B0C0D0E0F",
        "09 07 0200 02 0300 002A",
        "0A 0300",
        "0B 6B",
        "0C 0300 1600",
        "0D",
        "10 0100 FFFF 0028",
        "11 06 0100 0500 0018",
        "12 0800 0102",
        "13",
        "16 0800 0000 01",
        "17 0800 0000 01",
        "18 01",
        "19",
        "1B 0800 01",
        "1D 0800 01",
        "1E",
        "52 0800 01",
        "D2 0800 01",
    };

    for (size_t i = 0; i < sizeof(pdus) / sizeof(pdus[0]); i++) {
        uint8_t in[64], out[64];
        struct otter_att_pdu pdu;
        size_t len = bytes_of(pdus[i], in);

        assert_int_equal(otter_att_decode(&pdu, in, len), OTTER_OK);
        assert_int_equal(otter_att_encode(&pdu, out, sizeof(out)), len);
        assert_memory_equal(in, out, len);
        assert_int_equal(otter_att_encode(&pdu, out, len - 1), 0);
    }
}

static void codec_refuses_wrong_lengths(void **state)
{
    static const struct {
        const char *pdu;
        otter_err err;
    } rows[] = {
        {"", OTTER_ERR_EMPTY},
        {"02", OTTER_ERR_LENGTH},
        {"02 17", OTTER_ERR_LENGTH},
        {"02 1700 00", OTTER_ERR_LENGTH},
        {"04 0100", OTTER_ERR_LENGTH},
        {"08 0100 FFFF 03", OTTER_ERR_LENGTH},
        {"0A 01", OTTER_ERR_LENGTH},
        {"08 0100 FFFF 032801", OTTER_ERR_LENGTH},
        {"12 01", OTTER_ERR_LENGTH},
        {"1E 00", OTTER_ERR_LENGTH},
        {"7F 01", OTTER_ERR_UNSUPPORTED},
        {"20", OTTER_ERR_UNSUPPORTED},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t in[64];
        struct otter_att_pdu pdu;

        assert_int_equal(otter_att_decode(&pdu, in, bytes_of(rows[i].pdu, in)), rows[i].err);
    }
}

/* ---- server
 * -------------------------------------------------------------------------------------- */

static void server_answers(void **state)
{
    static const struct {
        const char *in;
        const char *out;
    } rows[] = {
        /* services: 16-bit ones first, the 128-bit one in an answer of its own */
        {"10 0100 FFFF 0028", "11 06 0100 0500 0018 0600 1200 1880"},
        {"10 1300 FFFF 0028", "11 14 1300 1800 D8E6FD1D4A24C6B1534C4C596DD9F1D6"},
        {"10 1400 FFFF 0028", "01 10 1400 0A"},
        {"10 0100 FFFF 0328", "01 10 0100 10"},
        {"10 0000 FFFF 0028", "01 10 0000 01"},
        {"10 0500 0400 0028", "01 10 0500 01"},
        /* one service by its UUID */
        {"06 0100 FFFF 0028 1880", "07 0600 1200"},
        {"06 0100 FFFF 0028 D8E6FD1D4A24C6B1534C4C596DD9F1D6", "07 1300 1800"},
        {"06 0100 FFFF 0028 0D18", "01 06 0100 0A"},
        {"06 0100 FFFF 0228 1880", "01 06 0100 0A"},
        {"06 0100 FFFF 0028 188001", "01 06 0100 0A"},
        /* characteristics of a service */
        {"08 0100 0500 0328", "09 07 0200 02 0300 002A 0400 02 0500 282A"},
        {"08 0300 0500 0328", "09 07 0400 02 0500 282A"},
        {"08 0500 0500 0328", "01 08 0500 0A"},
        /* by type: the name, and a value that may not be read */
        {"08 0100 FFFF 002A", "09 09 0300 6B69746368656E"},
        {"08 0100 FFFF 2080", "01 08 0800 02"},
        /* descriptors */
        {"04 0900 0900", "05 01 0900 0229"},
        {"04 0800 0900", "05 01 0800 2080 0900 0229"},
        {"04 1500 1600", "05 02 1500 30D8E33A0E27 22B7A446C021AA71D67A"},
        {"04 1900 FFFF", "01 04 1900 0A"},
        /* values */
        {"0A 0300", "0B 6B69746368656E"},
        {"0A 0100", "0B 0018"},
        {"0A 0200", "0B 02 0300 002A"},
        {"0A 0900", "0B 0000"},
        {"0A 0000", "01 0A 0000 01"},
        {"0A 1900", "01 0A 1900 01"},
        {"0A 0800", "01 0A 0800 02"},
        {"0A 0500", "0B 000102030405060708090A0B0C0D0E0F101112131415"},
        {"0C 0500 1600", "0D 161718191A1B1C1D1E1F202122232425262728292A2B"},
        {"0C 0500 3C00", "0D"},
        {"0C 0500 3D00", "01 0C 0500 07"},
        {"0C 0300 0700", "0D"},
        /* writes */
        {"12 0E00 0102", "13"},
        {"12 0300 01", "01 12 0300 03"},
        {"12 0100 01", "01 12 0100 03"},
        {"12 1900 01", "01 12 1900 01"},
        {"12 0900 01", "01 12 0900 0D"},
        {"12 0900 0300", "13"},
        {"0A 0900", "0B 0300"},
        {"52 0E00 01", ""},
        {"52 0300 01", ""},
        {"52 1900 01", ""},
        /* what is not there */
        {"16 0E00 0000 01", "01 16 0000 06"},
        {"18 01", "01 18 0000 06"},
        {"0E 0300 0500", "01 0E 0000 06"},
        {"20 0300 0500", "01 20 0000 06"},
        {"3E", "01 3E 0000 06"},
        {"D2 0E00 01", ""},
        {"52", ""},
        {"7E 01 02", ""},
        {"", ""},
        /* malformed requests, and what only a server sends */
        {"02 17", "01 02 0000 04"},
        {"0A", "01 0A 0000 04"},
        {"12 0E", "01 12 0000 04"},
        {"13", ""},
        {"1B 0E00 01", ""},
        {"1D 0E00 01", ""},
        {"1E", ""},
        {"01 0A 0000 01", ""},
        /* longer than the MTU */
        {"12 0E00 000102030405060708090A0B0C0D0E0F1011121314", "01 12 0000 04"},
        {"52 0E00 000102030405060708090A0B0C0D0E0F1011121314", ""},
    };
    struct fake f;

    start(&f);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("%s\n", rows[i].in);
        expect(&f, rows[i].in, rows[i].out);
    }
}

static void server_mtu(void **state)
{
    struct fake f;

    start(&f);
    expect(&f, "02 F700", "03 0502");
    assert_int_equal(f.server.mtu, 247);
    expect(&f, "02 0000", "03 0502");
    assert_int_equal(f.server.mtu, 23);
    expect(&f, "02 FFFF", "03 0502");
    assert_int_equal(f.server.mtu, 517);
}

static void server_passes_errors_and_holds(void **state)
{
    struct fake f;
    const uint8_t request[] = {0x12, 0x0E, 0x00, 0xAA};
    const uint8_t command[] = {0x52, 0x0E, 0x00, 0xBB};

    start(&f);
    f.answer = OTTER_ATT_INSUFFICIENT_ENCRYPTION;
    expect(&f, "12 0E00 01", "01 12 0E00 0F");

    /* Nothing is answered, and nothing else happens, until the service takes it. */
    f.answer = OTTER_ATT_HOLD;
    f.sent = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(otter_att_server_feed(&f.server, request, sizeof(request)),
                         OTTER_ERR_AGAIN);
        assert_int_equal(otter_att_server_feed(&f.server, command, sizeof(command)),
                         OTTER_ERR_AGAIN);
    }
    assert_int_equal(f.sent, 0);
    f.answer = OTTER_ATT_OK;
    expect(&f, "12 0E00 AA", "13");
    assert_int_equal(f.got_len, 1);
    assert_int_equal(f.got[0], 0xAA);
    assert_int_equal(f.got_id, OTTER_ESPBLE_COMMAND_CHAR);
}

static void server_notifies_as_asked(void **state)
{
    const struct otter_gatt_char *chr = &otter_espble_service.chars[OTTER_ESPBLE_COMMAND_CHAR];
    const uint8_t value[] = {1, 2, 3};
    uint8_t big[200] = {0};
    struct fake f;

    start(&f);
    assert_int_equal(otter_att_server_notify(&f.server, chr, value, 3), OTTER_OK);
    assert_int_equal(f.sent, 0);

    expect(&f, "12 0F00 0100", "13");
    assert_int_equal(otter_att_server_notify(&f.server, chr, value, 3), OTTER_OK);
    assert_memory_equal(f.out, "\x1B\x0E\x00\x01\x02\x03", 6);

    expect(&f, "12 0F00 0200", "13");
    assert_int_equal(otter_att_server_notify(&f.server, chr, value, 3), OTTER_OK);
    assert_memory_equal(f.out, "\x1D\x0E\x00\x01\x02\x03", 6);
    assert_int_equal(otter_att_server_notify(&f.server, chr, value, 3), OTTER_ERR_AGAIN);
    expect(&f, "1E", "");
    assert_int_equal(f.confirmations, 1);
    expect(&f, "1E", "");
    assert_int_equal(f.confirmations, 1);
    assert_int_equal(otter_att_server_notify(&f.server, chr, big, sizeof(big)), OTTER_OK);
    assert_int_equal(f.out_len, 23);

    /* Old devices notify whatever was asked for. */
    f.server.always_notify = true;
    expect(&f, "12 0F00 0000", "13");
    assert_int_equal(otter_att_server_notify(&f.server, chr, value, 3), OTTER_OK);
    assert_int_equal(f.out[0], 0x1B);
    assert_int_equal(otter_att_server_notify(&f.server, &access_chars[NAME], value, 3),
                     OTTER_ERR_ARG);
}

static void server_database_is_bounded(void **state)
{
    struct otter_gatt_mount many[16];
    struct otter_att_db db;

    for (size_t i = 0; i < 16; i++) {
        many[i] = (struct otter_gatt_mount){&otter_espble_service, &fake_ops, NULL};
    }
    assert_int_equal(otter_att_db_build(&db, many, 3), OTTER_OK);
    assert_int_equal(otter_att_db_build(&db, many, 4), OTTER_ERR_BOUNDS);
    for (size_t i = 0; i < 16; i++) {
        many[i].table = &access_service;
    }
    assert_int_equal(otter_att_db_build(&db, many, 12), OTTER_OK);
    assert_int_equal(otter_att_db_build(&db, many, 13), OTTER_ERR_BOUNDS);
}

/* ---- client
 * -------------------------------------------------------------------------------------- */

struct ears {
    struct otter_att_client client;
    struct fake *device;             /* NULL: what is sent is only kept */
    uint8_t out[OTTER_GATT_MTU_MAX]; /* the last PDU sent */
    size_t out_len;
    unsigned done;
    otter_err err;
    uint8_t att;
    uint8_t value[OTTER_GATT_VALUE_MAX];
    size_t len;
    uint16_t heard_handle;
    size_t heard_len;
    unsigned heard;
    unsigned requests;
};

static void ears_send(void *ctx, const uint8_t *pdu, size_t len)
{
    struct ears *e = ctx;

    memcpy(e->out, pdu, len);
    e->out_len = len;
    e->requests++;
}

/* Lets client and device talk until neither has anything to say. */
static void talk(struct ears *e)
{
    while (e->out_len > 0) {
        uint8_t pdu[OTTER_GATT_MTU_MAX];
        size_t len = e->out_len;

        memcpy(pdu, e->out, len);
        e->out_len = 0;
        e->device->out_len = 0;
        assert_int_equal(otter_att_server_feed(&e->device->server, pdu, len), OTTER_OK);
        if (e->device->out_len > 0) {
            otter_att_client_feed(&e->client, e->device->out, e->device->out_len);
        }
    }
}

static void ears_received(void *ctx, uint16_t handle, const uint8_t *data, size_t len)
{
    struct ears *e = ctx;

    (void)data;
    e->heard++;
    e->heard_handle = handle;
    e->heard_len = len;
}

static void ears_done(void *ctx, otter_err err, uint8_t att, const uint8_t *value, size_t len)
{
    struct ears *e = ctx;

    e->done++;
    e->err = err;
    e->att = att;
    e->len = len;
    memcpy(e->value, value, len);
}

static const struct otter_att_client_ops client_ops = {
    .send = ears_send, .received = ears_received, .done = ears_done};

static void listen_to(struct ears *e, struct fake *f)
{
    memset(e, 0, sizeof(*e));
    e->device = f;
    otter_att_client_init(&e->client, &client_ops, e);
}

static void client_feed(struct ears *e, const char *hex)
{
    uint8_t pdu[OTTER_GATT_MTU_MAX];

    e->out_len = 0;
    otter_att_client_feed(&e->client, pdu, bytes_of(hex, pdu));
}

static void discover_at(uint16_t mtu)
{
    struct otter_att_profile p;
    struct fake f;
    struct ears e;
    int index[OTTER_ESPBLE_CHARS];

    start(&f);
    listen_to(&e, &f);
    assert_int_equal(otter_att_client_exchange_mtu(&e.client, mtu), OTTER_OK);
    assert_int_equal(otter_att_client_exchange_mtu(&e.client, mtu), OTTER_ERR_BUSY);
    talk(&e);
    assert_int_equal(e.client.mtu, mtu);
    assert_int_equal(f.server.mtu, mtu);

    assert_int_equal(otter_att_client_discover(&e.client, &p), OTTER_OK);
    talk(&e);
    assert_int_equal(e.done, 2);
    assert_int_equal(e.err, OTTER_OK);
    assert_int_equal(p.service_count, 3);
    assert_int_equal(p.count, 8);
    static const struct otter_att_place places[8] = {
        {3, 0, 3},    {5, 0, 5},    {8, 9, 9},    {11, 12, 12},
        {14, 15, 15}, {17, 18, 18}, {21, 22, 22}, {24, 0, 24},
    };
    assert_memory_equal(p.places, places, sizeof(places));
    assert_true(otter_espble_recognise(p.found, p.count, index));
    assert_true(otter_gattota_recognise(p.found, p.count, index));
    struct otter_gatt_uuid service = otter_att_uuid16(0x1800), name = otter_att_uuid16(0x2A00);
    assert_true(otter_gatt_uuid_equal(&p.found[0].service, &service) &&
                otter_gatt_uuid_equal(&p.found[0].uuid, &name));
}

static void client_discovers(void **state)
{
    discover_at(23);
    discover_at(185);
    discover_at(517);
}

static void client_reads_long_values(void **state)
{
    static const size_t lengths[] = {0, 1, 21, 22, 23, 44, 45, 60, 511, 512};
    struct fake f;
    struct ears e;

    start(&f);
    listen_to(&e, &f);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        f.long_len = lengths[i];
        assert_int_equal(otter_att_client_read(&e.client, 5), OTTER_OK);
        talk(&e);
        assert_int_equal(e.err, OTTER_OK);
        assert_int_equal(e.len, lengths[i]);
        for (size_t k = 0; k < e.len; k++) {
            assert_int_equal(e.value[k], k & 0xFF);
        }
    }
    assert_int_equal(otter_att_client_read(&e.client, 8), OTTER_OK);
    talk(&e);
    assert_int_equal(e.err, OTTER_ERR_REFUSED);
    assert_int_equal(e.att, OTTER_ATT_READ_NOT_PERMITTED);
}

static void client_writes(void **state)
{
    struct fake f;
    struct ears e;
    uint8_t data[21] = {1, 2, 3};

    start(&f);
    listen_to(&e, &f);
    assert_int_equal(otter_att_client_write(&e.client, 14, data, 20), OTTER_OK);
    assert_true(otter_att_client_busy(&e.client));
    talk(&e);
    assert_false(otter_att_client_busy(&e.client));
    assert_int_equal(e.err, OTTER_OK);
    assert_int_equal(f.got_len, 20);
    assert_int_equal(otter_att_client_write(&e.client, 14, data, 21), OTTER_ERR_LENGTH);
    assert_int_equal(otter_att_client_command(&e.client, 14, data, 21), OTTER_ERR_LENGTH);
    f.answer = OTTER_ATT_WRITE_REJECTED;
    assert_int_equal(otter_att_client_write(&e.client, 14, data, 3), OTTER_OK);
    talk(&e);
    assert_int_equal(e.err, OTTER_ERR_REFUSED);
    assert_int_equal(e.att, OTTER_ATT_WRITE_REJECTED);
    e.done = 0;
    f.writes = 0;
    assert_int_equal(otter_att_client_command(&e.client, 14, data, 3), OTTER_OK);
    talk(&e);
    assert_int_equal(f.writes, 1);
    assert_int_equal(e.done, 0);
}

static void client_hears(void **state)
{
    struct ears e;

    listen_to(&e, NULL);
    client_feed(&e, "1B 0800 0102");
    assert_int_equal(e.heard, 1);
    assert_int_equal(e.heard_handle, 8);
    assert_int_equal(e.heard_len, 2);
    assert_int_equal(e.out_len, 0);
    client_feed(&e, "1D 0900 01");
    assert_int_equal(e.heard, 2);
    assert_int_equal(e.out_len, 1);
    assert_int_equal(e.out[0], OTTER_ATT_CONFIRMATION);
    client_feed(&e, "1B 08");
    assert_int_equal(e.heard, 2);
}

static void client_is_no_server(void **state)
{
    struct ears e;

    listen_to(&e, NULL);
    client_feed(&e, "02 F700");
    assert_int_equal(e.out_len, 5);
    assert_memory_equal(e.out, "\x01\x02\x00\x00\x06", 5);
    client_feed(&e, "0A 0100");
    assert_memory_equal(e.out, "\x01\x0A\x00\x00\x06", 5);
    client_feed(&e, "52 0100 01");
    assert_int_equal(e.out_len, 0);
    client_feed(&e, "1E");
    assert_int_equal(e.out_len, 0);
    client_feed(&e, "13");
    client_feed(&e, "0B 01");
    client_feed(&e, "01 0A 0000 01");
    assert_int_equal(e.done, 0);
}

/* Answers that make no sense end the request; none makes the client ask without end. */
static void client_refuses_nonsense(void **state)
{
    static const char *const services[] = {
        "11",
        "11 00",
        "11 05 0100 0500 00",
        "11 06",
        "11 06 0000 0500 0018",
        "11 06 0500 0400 0018",
        "11 06 0100 05",
    };
    static const char *const characteristics[] = {
        "09",
        "09 07",
        "09 06 0200 02 0300 00",
        "09 07 0200 02 0200 002A",
        "09 07 0000 02 0300 002A",
        "09 07 0200 02 0900 002A",
    };
    static const char *const descriptors[] = {
        "05", "05 01", "05 03 0400 0229", "05 01 0300 0229", "05 01 0600 0229",
    };
    struct otter_att_profile p;
    struct ears e;

    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
        listen_to(&e, NULL);
        assert_int_equal(otter_att_client_discover(&e.client, &p), OTTER_OK);
        client_feed(&e, services[i]);
        assert_int_equal(e.err, OTTER_ERR_PROTOCOL);
        assert_int_equal(e.done, 1);
    }
    for (size_t i = 0; i < sizeof(characteristics) / sizeof(characteristics[0]); i++) {
        listen_to(&e, NULL);
        assert_int_equal(otter_att_client_discover(&e.client, &p), OTTER_OK);
        client_feed(&e, "11 06 0100 0500 0018");
        client_feed(&e, "01 10 0600 0A");
        client_feed(&e, characteristics[i]);
        assert_int_equal(e.err, OTTER_ERR_PROTOCOL);
        assert_int_equal(e.done, 1);
    }
    for (size_t i = 0; i < sizeof(descriptors) / sizeof(descriptors[0]); i++) {
        listen_to(&e, NULL);
        assert_int_equal(otter_att_client_discover(&e.client, &p), OTTER_OK);
        client_feed(&e, "11 06 0100 0500 0018");
        client_feed(&e, "01 10 0600 0A");
        client_feed(&e, "09 07 0200 12 0300 002A");
        client_feed(&e, "01 08 0400 0A");
        client_feed(&e, descriptors[i]);
        assert_int_equal(e.err, OTTER_ERR_PROTOCOL);
        assert_int_equal(e.done, 1);
    }
    listen_to(&e, NULL);
    assert_int_equal(otter_att_client_exchange_mtu(&e.client, 247), OTTER_OK);
    client_feed(&e, "03 00");
    assert_int_equal(e.err, OTTER_ERR_PROTOCOL);
}

static void client_without_mtu_exchange(void **state)
{
    struct ears e;

    listen_to(&e, NULL);
    assert_int_equal(otter_att_client_exchange_mtu(&e.client, 517), OTTER_OK);
    client_feed(&e, "01 02 0000 06");
    assert_int_equal(e.err, OTTER_OK);
    assert_int_equal(e.client.mtu, 23);
    assert_int_equal(otter_att_client_exchange_mtu(&e.client, 517), OTTER_OK);
    client_feed(&e, "03 0500");
    assert_int_equal(e.client.mtu, 23);
}

static void client_times_out(void **state)
{
    struct ears e;
    uint32_t now = UINT32_MAX - 5000u; /* the clock may wrap */

    listen_to(&e, NULL);
    assert_int_equal(otter_att_client_poll(&e.client, now), OTTER_GATT_NEVER);
    assert_int_equal(otter_att_client_read(&e.client, 3), OTTER_OK);
    assert_int_equal(otter_att_client_poll(&e.client, now), OTTER_ATT_TIMEOUT_MS);
    assert_int_equal(otter_att_client_poll(&e.client, now + 29999u), 1);
    assert_int_equal(e.done, 0);
    assert_int_equal(otter_att_client_poll(&e.client, now + 30000u), OTTER_GATT_NEVER);
    assert_int_equal(e.err, OTTER_ERR_TIMEOUT);
    assert_int_equal(otter_att_client_read(&e.client, 3), OTTER_ERR_LINK);
    assert_int_equal(otter_att_client_command(&e.client, 3, NULL, 0), OTTER_ERR_LINK);

    listen_to(&e, NULL);
    assert_int_equal(otter_att_client_read(&e.client, 3), OTTER_OK);
    otter_att_client_lost(&e.client);
    assert_int_equal(e.err, OTTER_ERR_LINK);
    assert_int_equal(e.done, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codec_round_trip),
        cmocka_unit_test(codec_refuses_wrong_lengths),
        cmocka_unit_test(server_answers),
        cmocka_unit_test(server_mtu),
        cmocka_unit_test(server_passes_errors_and_holds),
        cmocka_unit_test(server_notifies_as_asked),
        cmocka_unit_test(server_database_is_bounded),
        cmocka_unit_test(client_discovers),
        cmocka_unit_test(client_reads_long_values),
        cmocka_unit_test(client_writes),
        cmocka_unit_test(client_hears),
        cmocka_unit_test(client_is_no_server),
        cmocka_unit_test(client_refuses_nonsense),
        cmocka_unit_test(client_without_mtu_exchange),
        cmocka_unit_test(client_times_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
