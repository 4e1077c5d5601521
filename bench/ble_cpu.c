/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an update over BLE costs a processor, to be run under callgrind: every call into the device
 * goes through device_write() and device_poll(), every call into the host through host_poll() and
 * host_value(), so that either side is counted alone. scripts/bench-ble does.
 *
 *   bench-ble-cpu espble|gattota MTU BYTES [session]
 *
 * The device writes into a sink that takes everything, or with "session" into the update session
 * on slots that take everything. The digest is not counted: its place is taken by a function that
 * does nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/image_build.h"
#include "otter/espble.h"
#include "otter/gattota.h"
#include "otter/update.h"

#define CONN 1u
#define WINDOW 4u

static struct {
    uint8_t *image;
    size_t len;
    struct otter_gatt_mount mount;
    struct otter_gatt_updater updater;
    bool restarted;
    bool responding; /* a request was taken: its response is due */
    struct {
        uint8_t id;
        uint8_t len;
        uint8_t data[OTTER_ESPBLE_COMMAND];
    } values[64];
    unsigned value_count;
} w;

/* ---- what is counted ----------------------------------------------------------------------- */

__attribute__((noinline)) enum otter_att device_write(uint8_t id, const uint8_t *data, size_t len);
__attribute__((noinline)) uint32_t device_poll(uint32_t now_ms);
__attribute__((noinline)) void host_poll(uint32_t now_ms);
__attribute__((noinline)) void host_value(uint8_t id, const uint8_t *data, size_t len);

enum otter_att device_write(uint8_t id, const uint8_t *data, size_t len)
{
    return w.mount.ops->write(w.mount.service, CONN, id, data, len);
}

uint32_t device_poll(uint32_t now_ms)
{
    return w.mount.ops->poll(w.mount.service, now_ms);
}

void host_poll(uint32_t now_ms)
{
    w.updater.ops->poll(w.updater.updater, now_ms);
}

void host_value(uint8_t id, const uint8_t *data, size_t len)
{
    w.updater.ops->received(w.updater.updater, id, data, len);
}

/* ---- the link: a packet at a time ---------------------------------------------------------- */

static struct {
    uint8_t id;
    bool request;
    bool full;
    size_t len;
    uint8_t data[OTTER_GATT_VALUE_MAX];
} packet;

static otter_err client_write(void *ctx, uint8_t id, bool request, const uint8_t *data, size_t len)
{
    if (packet.full) {
        return OTTER_ERR_AGAIN;
    }
    packet.id = id;
    packet.request = request;
    packet.len = len;
    memcpy(packet.data, data, len);
    packet.full = true;
    return OTTER_OK;
}

static otter_err server_send(void *ctx, uint16_t conn, const struct otter_gatt_char *chr,
                             const uint8_t *data, size_t len)
{
    if (w.value_count == sizeof w.values / sizeof w.values[0]) {
        return OTTER_ERR_AGAIN;
    }
    w.values[w.value_count].id = chr->id;
    w.values[w.value_count].len = (uint8_t)len;
    memcpy(w.values[w.value_count++].data, data, len);
    return OTTER_OK;
}

static void restart(void *ctx)
{
    w.restarted = true;
}

static otter_err read_image(void *ctx, uint32_t offset, uint8_t *buf, size_t len)
{
    memcpy(buf, w.image + offset, len);
    return OTTER_OK;
}

/* ---- what takes everything ----------------------------------------------------------------- */

static otter_err null_begin(void *ctx, uint32_t length)
{
    return OTTER_OK;
}

static otter_err null_write(void *ctx, const uint8_t *data, size_t len, size_t *used)
{
    *used = len;
    return OTTER_OK;
}

static otter_err null_done(void *ctx)
{
    return OTTER_OK;
}

static void null_abort(void *ctx) {}

static const struct otter_sink_ops null_sink = {null_begin, null_write, null_done, null_abort};

static otter_err slot_open(void *ctx, uint32_t length, struct otter_slot_info *info)
{
    *info = (struct otter_slot_info){.size = 16u << 20, .erase_unit = 4096, .write_unit = 16};
    return OTTER_OK;
}

static otter_err slot_erase(void *ctx, uint32_t offset)
{
    return OTTER_OK;
}

static otter_err slot_write(void *ctx, uint32_t offset, const uint8_t *data, uint32_t len)
{
    return OTTER_OK;
}

static otter_err slot_read(void *ctx, uint32_t offset, uint8_t *buf, uint32_t len)
{
    return read_image(ctx, offset, buf, len);
}

static otter_err slot_select(void *ctx, const uint8_t digest[OTTER_SHA256_SIZE])
{
    return OTTER_OK;
}

static otter_err slot_state(void *ctx, enum otter_boot_state *state)
{
    *state = OTTER_BOOT_CONFIRMED;
    return OTTER_OK;
}

static otter_err slot_mark(void *ctx, bool valid)
{
    return OTTER_OK;
}

static const struct otter_slot_ops null_slots = {
    .open = slot_open,
    .erase = slot_erase,
    .write = slot_write,
    .read = slot_read,
    .select = slot_select,
    .state = slot_state,
    .mark = slot_mark,
};

/* The right digest, at no cost: the image's own last bytes. */
static otter_err hash_start(void *ctx)
{
    return OTTER_OK;
}

static otter_err hash_update(void *ctx, const uint8_t *data, size_t len)
{
    return OTTER_OK;
}

static otter_err hash_finish(void *ctx, uint8_t digest[OTTER_SHA256_SIZE])
{
    memcpy(digest, w.image + w.len - OTTER_SHA256_SIZE, OTTER_SHA256_SIZE);
    return OTTER_OK;
}

static const struct otter_hash_ops null_hash = {hash_start, hash_update, hash_finish};

static struct otter_sink make_sink(bool session)
{
    static struct otter_update update;
    static struct otter_update_transport transport = {&update};
    static uint8_t buf[4096];
    struct otter_update_config config = {
        .slots = {&null_slots, NULL},
        .hash = {&null_hash, NULL},
        .buf = buf,
        .buf_size = sizeof buf,
    };

    if (!session) {
        return (struct otter_sink){&null_sink, NULL};
    }
    if (otter_update_init(&update, &config) != OTTER_OK) {
        abort();
    }
    return otter_update_sink(&transport);
}

/* ---- the update ---------------------------------------------------------------------------- */

static void make_halves(bool espble, uint16_t mtu, bool session)
{
    static union {
        struct otter_espble_device espble;
        struct otter_gattota_device gattota;
    } device;
    static union {
        struct otter_espble_host espble;
        struct otter_gattota_host gattota;
    } host;
    static uint8_t buf[WINDOW * OTTER_ESPBLE_SECTOR];
    struct otter_gatt_app app = {.restart = restart};
    struct otter_gatt_server server = {server_send, NULL};
    struct otter_gatt_host_config link = {
        .client = {client_write, NULL},
        .mtu = mtu,
        .data_props = OTTER_GATT_WRITE | OTTER_GATT_WRITE_COMMAND,
    };
    struct otter_source source = {read_image, NULL, (uint32_t)w.len};
    otter_err err;

    if (espble) {
        struct otter_espble_device_config config = {.sink = make_sink(session),
                                                    .server = server,
                                                    .app = app,
                                                    .sectors = buf,
                                                    .window = WINDOW};
        struct otter_espble_host_config hosts = {.gatt = link, .source = source};
        err = otter_espble_device_init(&device.espble, &config);
        w.mount = otter_espble_device_mount(&device.espble);
        err = err == OTTER_OK ? otter_espble_host_init(&host.espble, &hosts) : err;
        w.updater = otter_espble_host_updater(&host.espble);
    } else {
        struct otter_gattota_device_config config = {
            .sink = make_sink(session), .server = server, .app = app, .buf = buf, .buf_size = 4096};
        struct otter_gattota_host_config hosts = {.gatt = link, .source = source};
        err = otter_gattota_device_init(&device.gattota, &config);
        w.mount = otter_gattota_device_mount(&device.gattota);
        err = err == OTTER_OK ? otter_gattota_host_init(&host.gattota, &hosts) : err;
        w.updater = otter_gattota_host_updater(&host.gattota);
    }
    if (err != OTTER_OK) {
        abort();
    }
}

static void deliver(uint32_t now_ms)
{
    host_poll(now_ms);
    if (packet.full) {
        enum otter_att att = device_write(packet.id, packet.data, packet.len);
        if (att != OTTER_ATT_HOLD) {
            packet.full = false;
            if (packet.request) {
                w.updater.ops->written(w.updater.updater, (uint8_t)att);
            }
        }
    }
    while (device_poll(now_ms) == 0 && !w.restarted) {
    }
    for (unsigned i = 0; i < w.value_count; i++) {
        host_value(w.values[i].id, w.values[i].data, w.values[i].len);
    }
    w.value_count = 0;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: bench-ble-cpu espble|gattota MTU BYTES [session]\n");
        return 2;
    }
    struct otter_image_spec spec = {
        .project = "bench", .version = "1", .size = (uint32_t)strtoul(argv[3], NULL, 10)};
    if (otter_image_build(&spec, &w.image, &w.len) != OTTER_OK) {
        return 1;
    }
    make_halves(strcmp(argv[1], "espble") == 0, (uint16_t)strtoul(argv[2], NULL, 10), argc > 4);
    for (uint32_t ms = 0; !w.restarted && ms < 100000000; ms++) {
        deliver(ms);
    }
    printf("%zu\n", w.len);
    return w.updater.status->result == OTTER_OK && w.restarted ? 0 : 1;
}
