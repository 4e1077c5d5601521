/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ATT client: what a device may send. Input: steps of a byte: 0..0xEF: a PDU of that many
 * bytes follows; 0xF0: exchange the MTU; 0xF1: discover; 0xF2: read; 0xF3: write; 0xF4: a command;
 * 0xF5: time passes; 0xF6: the link is lost.
 *
 * Holds: one request at a time, each ended once; nothing is sent that is longer than the MTU; a
 * discovery ends after a bounded number of requests, and what it found is in order and in bounds.
 */
#include "fuzz.h"

#include <string.h>

#include "base/cursor.h"
#include "host/att_client.h"

struct target {
    struct otter_att_client client;
    struct otter_att_profile profile;
    unsigned sent, begun, ended;
    uint32_t now;
};

static void target_send(void *ctx, const uint8_t *pdu, size_t len)
{
    struct target *t = ctx;
    struct otter_att_pdu out;

    t->sent++;
    FUZZ_HOLDS(len > 0 && len <= OTTER_GATT_MTU_MAX);
    FUZZ_HOLDS(otter_att_decode(&out, pdu, len) == OTTER_OK);
}

static void target_received(void *ctx, uint16_t handle, const uint8_t *data, size_t len)
{
    uint8_t copy[OTTER_GATT_MTU_MAX];

    (void)ctx;
    (void)handle;
    FUZZ_HOLDS(len < sizeof(copy));
    memcpy(copy, data, len);
}

static void target_done(void *ctx, otter_err err, uint8_t att, const uint8_t *value, size_t len)
{
    struct target *t = ctx;

    (void)value;
    t->ended++;
    FUZZ_HOLDS(err == OTTER_ERR_REFUSED || att == OTTER_ATT_OK);
    FUZZ_HOLDS(len <= OTTER_GATT_VALUE_MAX);
}

static const struct otter_att_client_ops client_ops = {
    .send = target_send, .received = target_received, .done = target_done};

static void check_profile(const struct otter_att_profile *p)
{
    FUZZ_HOLDS(p->service_count <= OTTER_ATT_SERVICES_MAX && p->count <= OTTER_ATT_FOUND_MAX);
    for (unsigned i = 0; i < p->count; i++) {
        FUZZ_HOLDS(p->places[i].value > 0);
        FUZZ_HOLDS(p->places[i].cccd == 0 || (p->places[i].cccd > p->places[i].value &&
                                              p->places[i].cccd <= p->places[i].end));
        FUZZ_HOLDS(p->found[i].uuid.size == 2 || p->found[i].uuid.size == 16);
    }
}

static void act(struct target *t, uint8_t step, const uint8_t *data, size_t len)
{
    bool was_busy = otter_att_client_busy(&t->client);
    otter_err err = OTTER_ERR_ARG;

    switch (step) {
    case 0xF0:
        err = otter_att_client_exchange_mtu(&t->client, OTTER_GATT_MTU_MAX);
        break;
    case 0xF1:
        err = otter_att_client_discover(&t->client, &t->profile);
        break;
    case 0xF2:
        err = otter_att_client_read(&t->client, 3);
        break;
    case 0xF3:
        err = otter_att_client_write(&t->client, 3, data, len < 20 ? len : 20);
        break;
    case 0xF4:
        (void)!otter_att_client_command(&t->client, 3, data, len < 600 ? len : 600);
        return;
    case 0xF5:
        t->now += 10000;
        (void)otter_att_client_poll(&t->client, t->now);
        return;
    default:
        otter_att_client_lost(&t->client);
        return;
    }
    FUZZ_HOLDS(err != OTTER_OK || !was_busy);
    t->begun += err == OTTER_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct target t;
    struct otter_reader r = otter_reader_on(data, size);

    memset(&t, 0, sizeof(t));
    otter_att_client_init(&t.client, &client_ops, &t);
    while (r.left > 0) {
        uint8_t step = otter_read_u8(&r);

        if (step >= 0xF0) {
            act(&t, step, data, size);
        } else {
            size_t len = step < r.left ? step : r.left;
            unsigned sent = t.sent;

            otter_att_client_feed(&t.client, otter_read_view(&r, len), len);
            FUZZ_HOLDS(t.sent - sent <= 1);
        }
        FUZZ_HOLDS(t.begun - t.ended == (otter_att_client_busy(&t.client) ? 1u : 0u));
        check_profile(&t.profile);
    }
    return 0;
}
