/* SPDX-License-Identifier: Apache-2.0 */
#include "pair/pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONG_MS 3600000u

static void must(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "pair: %s\n", what);
        abort();
    }
}

static void restart(void *ctx)
{
    struct pair *p = ctx;

    p->restart_asked = true;
}

static otter_err read_image(void *ctx, uint32_t offset, uint8_t *buf, size_t len)
{
    struct pair *p = ctx;

    must(offset <= p->len && len <= p->len - offset, "the host reads past the image");
    memcpy(buf, p->image + offset, len);
    return OTTER_OK;
}

static void on_value(void *ctx, uint8_t id, const uint8_t *data, size_t len)
{
    struct pair *p = ctx;

    memcpy(p->value[id], data, len);
    p->value_len[id] = len;
    p->values[id]++;
}

static void on_response(void *ctx, uint8_t att)
{
    struct pair *p = ctx;

    p->responses++;
    p->att = att;
}

void pair_init(struct pair *p, enum pair_protocol protocol, uint32_t len, uint32_t seed)
{
    memset(p, 0, sizeof *p);
    p->protocol = protocol;
    p->image = slot_image(len, seed);
    p->len = len;
    p->next_conn = 1;
    slot_init(&p->slot);
    p->slot.sim = &p->sim;
    p->sim.seed = seed * 2654435761u | 1u;
    p->sim.on_value = on_value;
    p->sim.on_response = on_response;
    p->sim.client_ctx = p;
    for (int i = 0; i < OTTER_ESPBLE_CHARS; i++) {
        p->sim.cccd[i] = OTTER_GATT_CCCD_NOTIFY;
    }
    p->espble_config = (struct otter_espble_device_config){
        .sink = slot_sink(&p->slot),
        .server = otter_gatt_sim_server(&p->sim),
        .app = {.restart = restart, .ctx = p},
        .sectors = p->buf,
        .window = 4,
    };
    p->gattota_config = (struct otter_gattota_device_config){
        .sink = slot_sink(&p->slot),
        .server = otter_gatt_sim_server(&p->sim),
        .app = {.restart = restart, .ctx = p},
        .buf = p->buf,
        .buf_size = 4096,
    };
    struct otter_gatt_host_config host = {
        .client = otter_gatt_sim_client(&p->sim),
        .mtu = 247,
        .data_props = OTTER_GATT_WRITE | OTTER_GATT_WRITE_COMMAND,
    };
    struct otter_source source = {read_image, p, len};
    p->espble_host_config = (struct otter_espble_host_config){.gatt = host, .source = source};
    p->gattota_host_config = (struct otter_gattota_host_config){.gatt = host, .source = source};
}

void pair_free(struct pair *p)
{
    free(p->image);
    slot_free(&p->slot);
}

void pair_boot(struct pair *p)
{
    if (p->protocol == PAIR_ESPBLE) {
        must(otter_espble_device_init(&p->espble, &p->espble_config) == OTTER_OK, "device");
        p->sim.mount = otter_espble_device_mount(&p->espble);
    } else {
        must(otter_gattota_device_init(&p->gattota, &p->gattota_config) == OTTER_OK, "device");
        p->sim.mount = otter_gattota_device_mount(&p->gattota);
    }
    p->restart_asked = false;
}

void pair_connect_host(struct pair *p)
{
    if (p->protocol == PAIR_ESPBLE) {
        must(otter_espble_host_init(&p->espble_host, &p->espble_host_config) == OTTER_OK, "host");
        p->sim.updater = otter_espble_host_updater(&p->espble_host);
    } else {
        must(otter_gattota_host_init(&p->gattota_host, &p->gattota_host_config) == OTTER_OK,
             "host");
        p->sim.updater = otter_gattota_host_updater(&p->gattota_host);
    }
    otter_gatt_sim_connect(&p->sim, p->next_conn++);
}

void pair_connect_test(struct pair *p)
{
    p->sim.updater.ops = NULL;
    otter_gatt_sim_connect(&p->sim, p->next_conn++);
}

const struct otter_gatt_status *pair_status(const struct pair *p)
{
    return p->sim.updater.status;
}

static bool step(struct pair *p, uint64_t limit_us)
{
    bool more = otter_gatt_sim_step(&p->sim, limit_us);

    if (p->restart_asked) {
        p->restarts++;
        p->restart_asked = false;
        otter_gatt_sim_cut(&p->sim);
        if (!p->foreign) {
            pair_boot(p);
        }
    }
    return more;
}

void pair_run(struct pair *p, uint64_t ms)
{
    uint64_t limit_us = p->sim.now_us + ms * 1000;

    while (step(p, limit_us)) {
    }
}

void pair_update(struct pair *p)
{
    uint64_t limit_us = p->sim.now_us + (uint64_t)LONG_MS * 1000;

    while (!pair_status(p)->finished && step(p, limit_us)) {
    }
    must(pair_status(p)->finished, "the host never ends");
    if (pair_status(p)->result == OTTER_OK && p->sim.connected) {
        pair_run(p, 5000); /* the device restarts */
    }
    otter_gatt_sim_cut(&p->sim);
    pair_run(p, 5000);
}

bool pair_fresh_attempt(struct pair *p)
{
    memset(&p->sim.faults, 0, sizeof p->sim.faults);
    p->slot.fail_write = 0;
    p->slot.fail_erase = 0;
    p->slot.fail_begin = false;
    for (int i = 0; i < OTTER_ESPBLE_CHARS; i++) {
        p->sim.cccd[i] = OTTER_GATT_CCCD_NOTIFY;
    }
    pair_connect_host(p);
    pair_update(p);
    return pair_status(p)->result == OTTER_OK && pair_status(p)->answered && pair_new(p);
}

bool pair_new(const struct pair *p)
{
    return p->restarts > 0 && slot_holds(&p->slot, p->image, p->len);
}

bool pair_old(const struct pair *p)
{
    return p->slot.boots == SLOT_BOOTS_OLD;
}

void pair_write(struct pair *p, uint8_t id, bool request, const void *data, size_t len)
{
    struct otter_gatt_client client = otter_gatt_sim_client(&p->sim);
    unsigned responses = p->responses;

    otter_err err;

    while ((err = client.write(client.ctx, id, request, data, len)) == OTTER_ERR_AGAIN) {
        must(step(p, p->sim.now_us + 60000000u), "the link never has room");
    }
    must(err == OTTER_OK || !p->sim.connected, "the link takes no write of that length");
    while (request && p->sim.connected && p->responses == responses &&
           step(p, p->sim.now_us + 60000000u)) {
    }
}
