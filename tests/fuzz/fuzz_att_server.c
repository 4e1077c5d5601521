/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ATT server: what a client may send, mixed with what the device does. Input: steps of a byte
 * and its operand: 0..0xEF: a PDU of that many bytes follows; 0xF0 + n: the device notifies
 * characteristic n & 3 of espble; 0xF8: the service begins to hold writes; 0xF9: it takes them;
 * 0xFA: it refuses them.
 *
 * Holds: never more than one PDU out for one in, none longer than the MTU; a command is never
 * answered; a held PDU changes nothing; no value above 512 bytes reaches a service.
 */
#include "fuzz.h"

#include <string.h>

#include "base/cursor.h"
#include "host/att_server.h"
#include "otter/espble.h"
#include "otter/gattota.h"

struct target {
    struct otter_att_db db;
    struct otter_gatt_mount mounts[2];
    struct otter_att_server server;
    enum otter_att answer;
    unsigned sent;
};

static void target_send(void *ctx, const uint8_t *pdu, size_t len)
{
    struct target *t = ctx;
    struct otter_att_pdu out;

    t->sent++;
    FUZZ_HOLDS(len > 0 && len <= t->server.mtu + 0u);
    FUZZ_HOLDS(otter_att_decode(&out, pdu, len) == OTTER_OK);
}

static const struct otter_att_server_ops server_ops = {.send = target_send};

static enum otter_att target_write(void *service, uint16_t conn, uint8_t id, const uint8_t *data,
                                   size_t len)
{
    struct target *t = service;
    uint8_t copy[OTTER_GATT_VALUE_MAX];

    FUZZ_HOLDS(conn == 1 && id < OTTER_ESPBLE_CHARS && len <= OTTER_GATT_VALUE_MAX);
    memcpy(copy, data, len);
    return t->answer;
}

static size_t target_read(void *service, uint8_t id, uint8_t *out, size_t cap)
{
    (void)service;
    size_t len = id == 0 ? cap : id;

    memset(out, id, len);
    return len;
}

static const struct otter_gatt_service_ops service_ops = {.write = target_write,
                                                          .read = target_read};

static void feed(struct target *t, const uint8_t *pdu, size_t len)
{
    struct otter_att_server before = t->server;

    t->sent = 0;
    otter_err err = otter_att_server_feed(&t->server, pdu, len);
    FUZZ_HOLDS(err == OTTER_OK || err == OTTER_ERR_AGAIN);
    FUZZ_HOLDS(t->sent <= 1);
    if (len > 0 && (pdu[0] & OTTER_ATT_COMMAND_FLAG) != 0) {
        FUZZ_HOLDS(t->sent == 0);
    }
    if (err == OTTER_ERR_AGAIN) {
        FUZZ_HOLDS(t->answer == OTTER_ATT_HOLD && t->sent == 0);
        FUZZ_HOLDS(memcmp(&before, &t->server, sizeof(before)) == 0);
    }
    FUZZ_HOLDS(t->server.mtu >= OTTER_GATT_MTU_MIN && t->server.mtu <= OTTER_GATT_MTU_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum otter_att answers[] = {OTTER_ATT_HOLD, OTTER_ATT_OK, OTTER_ATT_UNLIKELY};
    struct target t;
    struct otter_reader r = otter_reader_on(data, size);

    memset(&t, 0, sizeof(t));
    t.mounts[0] = (struct otter_gatt_mount){&otter_espble_service, &service_ops, &t};
    t.mounts[1] = (struct otter_gatt_mount){&otter_gattota_service, &service_ops, &t};
    FUZZ_HOLDS(otter_att_db_build(&t.db, t.mounts, 2) == OTTER_OK);
    otter_att_server_init(&t.server, &t.db, &server_ops, &t, 1, OTTER_GATT_MTU_MAX);
    while (r.left > 0) {
        uint8_t step = otter_read_u8(&r);

        if (step < 0xF0) {
            size_t len = step < r.left ? step : r.left;

            feed(&t, otter_read_view(&r, len), len);
        } else if (step < 0xF8) {
            const struct otter_gatt_char *chr = &otter_espble_service.chars[step & 3];
            otter_err err = otter_att_server_notify(&t.server, chr, data, size < 64 ? size : 64);

            FUZZ_HOLDS(err == OTTER_OK || err == OTTER_ERR_AGAIN);
        } else if (step < 0xFB) {
            t.answer = answers[step - 0xF8];
        }
    }
    return 0;
}
