/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long an update takes over Bluetooth LE, in a model of the link: connection events, LL
 * packets and their times on air, buffers, turnaround, and a flash that erases and programs while
 * nothing else runs on the device. The protocols are the library's own halves; only time is made
 * up. Source of the times on air: Core specification, Vol 6, Part B, 2.1 and 4.1.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "otter/espble.h"
#include "otter/gattota.h"

#define IFS_US 150u
#define QUEUE 16u /* PDUs in a controller's or a stack's queue */
#define CONN 1u
#define NEVER UINT64_MAX

static struct parameters {
    uint32_t interval_us;   /* between connection events */
    unsigned phy;           /* 1 or 2, Mbit/s */
    unsigned ll_payload;    /* 251 with data length extension, 27 without */
    unsigned per_event;     /* LL exchanges in an event at most; 0: what fits */
    uint32_t turnaround_us; /* from hearing something to answering it, on either side */
    uint32_t erase_us;      /* 4096 bytes */
    uint32_t program_us;    /* 4096 bytes */
    uint32_t length;        /* of the firmware, bytes */
} par = {
    .interval_us = 30000,
    .phy = 1,
    .ll_payload = 251,
    .turnaround_us = 1000,
    .length = 500000,
};

struct pdu {
    uint64_t ready_us;
    uint32_t left; /* bytes of the L2CAP PDU still to be sent */
    uint8_t id;
    bool request, response;
    uint16_t len;
    uint8_t data[OTTER_GATT_WRITE_MAX];
};

struct queue {
    struct pdu pdu[QUEUE];
    unsigned head, count;
};

static struct {
    uint64_t now_us;        /* on air */
    uint64_t device_us;     /* the device's processor is free from then on */
    uint64_t poll_us;       /* when its service wants to be polled */
    uint64_t host_us;       /* when the host runs next */
    struct queue up, inbox; /* on the host's side of the air, on the device's */
    struct queue down, outbox;
    bool held;
    struct otter_gatt_mount mount;
    struct otter_gatt_updater updater;
    uint32_t unerased; /* bytes until the next erase */
    uint64_t first_us; /* the first firmware packet goes on air */
    uint64_t last_us;  /* the last one arrived */
    uint8_t data_id;   /* of the characteristic that takes firmware */
    bool restarted;
} m;

static struct pdu *at(struct queue *q, unsigned i)
{
    return &q->pdu[(q->head + i) % QUEUE];
}

static void push(struct queue *q, const struct pdu *pdu)
{
    *at(q, q->count++) = *pdu;
}

static void pop(struct queue *q)
{
    q->head = (q->head + 1) % QUEUE;
    q->count--;
}

/* ---- the halves' surroundings -------------------------------------------------------------- */

static otter_err client_write(void *ctx, uint8_t id, bool request, const uint8_t *data, size_t len)
{
    struct pdu pdu = {.ready_us = m.host_us,
                      .left = (uint32_t)len + 7, /* ATT and L2CAP headers */
                      .id = id,
                      .request = request,
                      .len = (uint16_t)len};

    if (m.up.count == QUEUE) {
        return OTTER_ERR_AGAIN;
    }
    memcpy(pdu.data, data, len);
    push(&m.up, &pdu);
    return OTTER_OK;
}

static otter_err server_send(void *ctx, uint16_t conn, const struct otter_gatt_char *chr,
                             const uint8_t *data, size_t len)
{
    struct pdu pdu = {.ready_us = m.device_us + par.turnaround_us,
                      .left = (uint32_t)len + 7,
                      .id = chr->id,
                      .len = (uint16_t)len};

    if (m.down.count == QUEUE) {
        return OTTER_ERR_AGAIN;
    }
    memcpy(pdu.data, data, len);
    push(&m.down, &pdu);
    return OTTER_OK;
}

static void restart(void *ctx)
{
    m.restarted = true;
}

static otter_err read_source(void *ctx, uint32_t offset, uint8_t *buf, size_t len)
{
    memset(buf, (int)(offset >> 8), len);
    return OTTER_OK;
}

static otter_err sink_begin(void *ctx, uint32_t length)
{
    m.unerased = 0;
    return OTTER_OK;
}

/* An erase just ahead of the data, then a page of 256 bytes a step. */
static otter_err sink_write(void *ctx, const uint8_t *data, size_t len, size_t *used)
{
    *used = 0;
    if (m.unerased == 0) {
        m.unerased = 4096;
        m.device_us += par.erase_us;
        return OTTER_OK;
    }
    *used = len < 256 ? len : 256;
    *used = *used < m.unerased ? *used : m.unerased;
    m.unerased -= (uint32_t)*used;
    m.device_us += par.program_us * *used / 4096;
    return OTTER_OK;
}

static otter_err sink_finish(void *ctx)
{
    return OTTER_OK;
}

static void sink_abort(void *ctx) {}

static const struct otter_sink_ops sink = {sink_begin, sink_write, sink_finish, sink_abort};

/* ---- both processors ----------------------------------------------------------------------- */

/* Lets the device do what it can begin before until_us. */
static void run_device(uint64_t until_us)
{
    for (;;) {
        uint64_t start_us = NEVER;
        bool write = m.inbox.count > 0 && !m.held;

        if (write) {
            start_us = at(&m.inbox, 0)->ready_us;
        }
        if (m.poll_us < start_us) {
            start_us = m.poll_us;
            write = false;
        }
        start_us = start_us > m.device_us ? start_us : m.device_us;
        if (start_us >= until_us || m.restarted) {
            return;
        }
        m.device_us = start_us;
        if (!write) {
            m.poll_us = NEVER;
            uint32_t ms = m.mount.ops->poll(m.mount.service, (uint32_t)(m.device_us / 1000));
            m.poll_us = ms == OTTER_GATT_NEVER ? NEVER : m.device_us + (uint64_t)ms * 1000;
            m.held = false;
            continue;
        }
        struct pdu *pdu = at(&m.inbox, 0);
        enum otter_att att =
            m.mount.ops->write(m.mount.service, CONN, pdu->id, pdu->data, pdu->len);
        m.held = att == OTTER_ATT_HOLD;
        if (!m.held) {
            struct pdu response = {.ready_us = m.device_us + par.turnaround_us,
                                   .left = 5,
                                   .response = true,
                                   .id = (uint8_t)att};
            if (pdu->request) {
                push(&m.down, &response);
            }
            pop(&m.inbox);
            m.poll_us = m.device_us;
        }
    }
}

static void run_host(uint64_t until_us)
{
    while (m.outbox.count > 0 && at(&m.outbox, 0)->ready_us <= until_us) {
        const struct pdu *pdu = at(&m.outbox, 0);

        m.host_us = pdu->ready_us;
        if (pdu->response) {
            m.updater.ops->written(m.updater.updater, pdu->id);
        } else {
            m.updater.ops->received(m.updater.updater, pdu->id, pdu->data, pdu->len);
        }
        pop(&m.outbox);
        m.updater.ops->poll(m.updater.updater, (uint32_t)(m.host_us / 1000));
    }
    m.host_us = until_us;
    m.updater.ops->poll(m.updater.updater, (uint32_t)(m.host_us / 1000));
}

/* ---- the air ------------------------------------------------------------------------------- */

static uint32_t air_us(uint32_t bytes)
{
    return par.phy == 2 ? (11 + bytes) * 4 : (10 + bytes) * 8;
}

/* Bytes of the next LL packet of a queue; 0: an empty one. */
static uint32_t fragment(struct queue *q)
{
    if (q->count == 0 || at(q, 0)->ready_us > m.now_us) {
        return 0;
    }
    return at(q, 0)->left < par.ll_payload ? at(q, 0)->left : par.ll_payload;
}

static uint32_t exchange_us(uint32_t up, uint32_t down)
{
    return air_us(up) + IFS_US + air_us(down) + IFS_US;
}

/* A fragment arrives; a receiver without room does not acknowledge it, and it is sent again. */
static void arrive(struct queue *from, struct queue *to, uint32_t bytes)
{
    if (bytes == 0 || (at(from, 0)->left == bytes && to->count == QUEUE)) {
        return;
    }
    if (to == &m.inbox && at(from, 0)->id == m.data_id && at(from, 0)->len > 2 && m.first_us == 0) {
        m.first_us = m.now_us - exchange_us(bytes, 0);
    }
    at(from, 0)->left -= bytes;
    if (at(from, 0)->left == 0) {
        at(from, 0)->ready_us = m.now_us + (to == &m.outbox ? par.turnaround_us : 0);
        if (to == &m.inbox && at(from, 0)->id == m.data_id) {
            m.last_us = m.now_us;
        }
        push(to, at(from, 0));
        pop(from);
    }
}

static void connection_event(uint64_t anchor_us)
{
    m.now_us = anchor_us;
    for (unsigned n = 0; par.per_event == 0 || n < par.per_event; n++) {
        run_device(m.now_us);
        run_host(m.now_us);
        uint32_t up = fragment(&m.up), down = fragment(&m.down);
        uint32_t us = exchange_us(up, down);
        if (n > 0 && ((up == 0 && down == 0) || m.now_us + us > anchor_us + par.interval_us)) {
            return;
        }
        m.now_us += us;
        arrive(&m.up, &m.inbox, up);
        arrive(&m.down, &m.outbox, down);
    }
}

struct way {
    bool espble;
    uint16_t mtu;
    uint8_t window;
    bool requests;
    bool padded;
};

/* An endless stream of PDUs one way. next() gives the size of each with its headers, and how many
 * bytes come the other way with its first fragment. Returns how many sectors or values pass in a
 * second, as counted by *count. */
static double stream(void (*next)(uint16_t mtu, uint32_t *left, uint32_t *down, uint64_t *count),
                     uint16_t mtu)
{
    uint64_t count = 0;
    uint32_t left = 0, down = 0;

    next(mtu, &left, &down, &count);
    count = 0;
    for (unsigned event = 0; event < 4000; event++) {
        uint32_t t = 0;
        for (unsigned n = 0; par.per_event == 0 || n < par.per_event; n++) {
            uint32_t bytes = left < par.ll_payload ? left : par.ll_payload;
            if (t + exchange_us(bytes, down) > par.interval_us) {
                break;
            }
            t += exchange_us(bytes, down);
            down = 0;
            left -= bytes;
            if (left == 0) {
                next(mtu, &left, &down, &count);
            }
        }
    }
    return (double)count * 1e6 / (4000.0 * par.interval_us);
}

static void next_value(uint16_t mtu, uint32_t *left, uint32_t *down, uint64_t *count)
{
    *left = mtu - 3u + 7;
    ++*count;
}

/* The packets of one sector after the other, and an ACK for each. */
static void next_packet(uint16_t mtu, uint32_t *left, uint32_t *down, uint64_t *count)
{
    static uint32_t rest;
    uint32_t room = (mtu - 3u < OTTER_GATT_VALUE_MAX ? mtu - 3u : OTTER_GATT_VALUE_MAX) - 3;
    bool last;

    if (rest == 0) {
        rest = 4096;
        *down = 27;
        ++*count;
    }
    last = rest + 2 <= room;
    uint32_t n = last ? rest : rest > room ? room : rest - 1;
    rest -= n;
    *left = 3 + n + (last ? 2 : 0) + 7;
}

/* What the link carries at most in values of MTU - 3 bytes: nothing but write commands. kB/s. */
static double att_limit(uint16_t mtu)
{
    return stream(next_value, mtu) * (mtu - 3u) / 1000;
}

/* What it carries of a protocol's frames, back to back. */
static double frame_limit(const struct way *way)
{
    return way->espble ? stream(next_packet, way->mtu) * 4.096 : att_limit(way->mtu);
}

/* ---- one update ---------------------------------------------------------------------------- */

static void make_halves(const struct way *way)
{
    static union {
        struct otter_espble_device espble;
        struct otter_gattota_device gattota;
    } device;
    static union {
        struct otter_espble_host espble;
        struct otter_gattota_host gattota;
    } host;
    static uint8_t buf[8 * OTTER_ESPBLE_SECTOR];
    struct otter_gatt_host_config link = {
        .client = {client_write, NULL},
        .mtu = way->mtu,
        .requests = way->requests,
        .data_props = OTTER_GATT_WRITE | OTTER_GATT_WRITE_COMMAND,
    };
    struct otter_source source = {read_source, NULL, par.length};
    struct otter_gatt_server server = {server_send, NULL};
    struct otter_gatt_app app = {.restart = restart};
    otter_err err;

    if (way->espble) {
        struct otter_espble_device_config d = {.sink = {&sink, NULL},
                                               .server = server,
                                               .app = app,
                                               .sectors = buf,
                                               .window = way->window};
        struct otter_espble_host_config h = {.gatt = link, .source = source, .padded = way->padded};
        err = otter_espble_device_init(&device.espble, &d);
        err = err == OTTER_OK ? otter_espble_host_init(&host.espble, &h) : err;
        m.mount = otter_espble_device_mount(&device.espble);
        m.updater = otter_espble_host_updater(&host.espble);
    } else {
        struct otter_gattota_device_config d = {
            .sink = {&sink, NULL}, .server = server, .app = app, .buf = buf, .buf_size = 4096};
        struct otter_gattota_host_config h = {.gatt = link, .source = source};
        err = otter_gattota_device_init(&device.gattota, &d);
        err = err == OTTER_OK ? otter_gattota_host_init(&host.gattota, &h) : err;
        m.mount = otter_gattota_device_mount(&device.gattota);
        m.updater = otter_gattota_host_updater(&host.gattota);
    }
    if (err != OTTER_OK) {
        fprintf(stderr, "bench: %s\n", otter_err_text(err));
        exit(1);
    }
}

/* Seconds from the first write to the device's word that the image is selected. */
static double update_s(const struct way *way)
{
    memset(&m, 0, sizeof m);
    m.data_id = way->espble ? OTTER_ESPBLE_RECV_FW : OTTER_GATTOTA_DATA;
    make_halves(way);
    for (uint64_t event = 0; !m.updater.status->finished; event++) {
        connection_event(event * par.interval_us);
    }
    if (m.updater.status->result != OTTER_OK || m.updater.status->resent > 0) {
        fprintf(stderr, "bench: %s\n", otter_err_text(m.updater.status->result));
        exit(1);
    }
    return (double)m.now_us / 1e6;
}

/* ---- tables -------------------------------------------------------------------------------- */

static bool short_of = false;

/* Where a sector of espble cannot be cut into packets that fill the link (MTU 247: 18 of them, the
 * last with one byte of firmware), what its frames allow is what can be reached. */
static void row(const char *name, struct way way, bool must_reach)
{
    double s = update_s(&way), limit = att_limit(way.mtu), frames = frame_limit(&way);
    double rate = par.length * 1e3 / (double)(m.last_us - m.first_us);

    printf("  %-26s %5u   %uM %8.1f kB/s %8.1f %% of %6.1f %8.1f %% of %6.1f %8.1f s\n", name,
           way.mtu, par.phy, rate, 100 * rate / limit, limit, 100 * rate / frames, frames,
           s * 500000 / par.length);
    if (must_reach && rate < 0.97 * (frames < 0.97 * limit ? frames : limit)) {
        short_of = true;
        printf("    ^ less than 97 %%\n");
    }
}

static void tables(void)
{
    static const uint16_t mtus[] = {23, 247, 498, 517};
    static const uint8_t windows[] = {1, 2, 4, 8};
    char name[40];

    printf("  %-26s %5s  %s %12s %19s %19s %11s\n", "way of sending", "MTU", "PHY", "speed",
           "of the ATT limit", "of its frames", "500 kB in");
    for (par.phy = 1; par.phy <= 2; par.phy++) {
        for (size_t i = 0; i < sizeof mtus / sizeof mtus[0]; i++) {
            bool named = (mtus[i] == 247 || mtus[i] == 498) && par.erase_us == 0;
            for (size_t v = 0; v < sizeof windows / sizeof windows[0]; v++) {
                snprintf(name, sizeof name, "espble, window %u", windows[v]);
                row(name, (struct way){.espble = true, .mtu = mtus[i], .window = windows[v]},
                    named && windows[v] >= 4);
            }
            row("gattota, write commands", (struct way){.mtu = mtus[i], .window = 1}, named);
            row("gattota, write requests", (struct way){.mtu = mtus[i], .requests = true}, false);
        }
    }
    par.phy = 1;
}

static void beside(const char *what, const char *figure, struct way seed, struct way ours)
{
    double theirs = update_s(&seed), our = update_s(&ours);

    printf("  %-44s %6.1f s in the model (published: %s); ours %5.1f s: %.1f times as fast\n", what,
           theirs, figure, our, theirs / our);
}

/* The published figures, in the way their clients send, at the interval that explains them. */
static void seeds(void)
{
    struct parameters keep = par;

    par.phy = 1;
    par.interval_us = 22500;
    par.erase_us = 0;
    par.program_us = 0;
    beside("article, MTU 256, every packet a request", "90 s",
           (struct way){.mtu = 256, .requests = true}, (struct way){.mtu = 256});
    par.interval_us = 50000;
    par.erase_us = 45000;
    par.program_us = 6400;
    double sector_s = 4096.0 / par.length;
    beside("espble, MTU 517, padded, requests, window 1", "139 s, at 1.14 s a sector",
           (struct way){.espble = true, .mtu = 517, .window = 1, .requests = true, .padded = true},
           (struct way){.espble = true, .mtu = 517, .window = 4});
    printf("    (a sector in %.2f s)\n",
           sector_s *
               update_s(&(struct way){
                   .espble = true, .mtu = 517, .window = 1, .requests = true, .padded = true}));
    par = keep;
}

static int usage(void)
{
    fprintf(stderr,
            "usage: bench-ble [--interval MS] [--no-dle] [--per-event N] [--turnaround US]\n"
            "                 [--erase MS] [--program MS] [--length BYTES]\n"
            "Erase and program times are those of 4096 bytes; without them two tables are\n"
            "printed, for a flash that takes no time and for a usual one.\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"interval", required_argument, NULL, 'i'},  {"no-dle", no_argument, NULL, 'd'},
        {"per-event", required_argument, NULL, 'e'}, {"turnaround", required_argument, NULL, 't'},
        {"erase", required_argument, NULL, 'E'},     {"program", required_argument, NULL, 'P'},
        {"length", required_argument, NULL, 'l'},    {NULL, 0, NULL, 0},
    };
    bool flash_given = false;

    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        double value = optarg != NULL ? strtod(optarg, NULL) : 0;
        switch (c) {
        case 'i':
            par.interval_us = (uint32_t)(value * 1000);
            break;
        case 'd':
            par.ll_payload = 27;
            break;
        case 'e':
            par.per_event = (unsigned)value;
            break;
        case 't':
            par.turnaround_us = (uint32_t)value;
            break;
        case 'E':
            par.erase_us = (uint32_t)(value * 1000);
            flash_given = true;
            break;
        case 'P':
            par.program_us = (uint32_t)(value * 1000);
            flash_given = true;
            break;
        case 'l':
            par.length = (uint32_t)value;
            break;
        default:
            return usage();
        }
    }
    if (optind < argc || par.interval_us < 7500 || par.length == 0) {
        return usage();
    }
    printf("%u bytes, connection interval %.1f ms, LL payload %u\n", par.length,
           par.interval_us / 1000.0, par.ll_payload);
    printf("Flash: erase %.1f ms, program %.1f ms for 4096 bytes\n", par.erase_us / 1000.0,
           par.program_us / 1000.0);
    tables();
    if (!flash_given) {
        par.erase_us = 45000;
        par.program_us = 6400;
        printf("\nFlash: erase %.1f ms, program %.1f ms for 4096 bytes: %.1f kB/s at most\n",
               par.erase_us / 1000.0, par.program_us / 1000.0,
               4096e3 / (par.erase_us + par.program_us));
        tables();
        printf("\nThe published figures\n");
        seeds();
    }
    return short_of ? 1 : 0;
}
