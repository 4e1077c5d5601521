/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Low Energy controllers and the air between them, for the kernel's Bluetooth stack on a machine
 * without a radio: each is a /dev/vhci, and what one advertises or sends the others receive.
 *
 *   air N    makes hci0 to hci(N-1) with the addresses 00:AA:01:01:00:00 and on, until killed
 *            SIGUSR1: every link is lost, as when a device goes out of range
 *            SIGUSR2: whoever tells its ATT MTU is heard to say 23, until the next SIGUSR2
 *
 * HCI as in the Bluetooth Core Specification 4.2, Volume 2, Part E. There is no air time, and keys
 * are compared instead of used. BlueZ's btvirt is not used: it gives every connection of a
 * controller the same handle, so that there can be no second central.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CONTROLLERS 8
#define LINKS 16
#define ADVERTISING_MS 100
#define PACKET_MAX 1100
#define ACL_LENGTH 251
#define ACL_COUNT 32

enum { COMMAND = 1, ACL = 2, EVENT = 4, VENDOR = 0xFF };

enum event {
    DISCONNECTED = 0x05,
    ENCRYPTION_CHANGE = 0x08,
    REMOTE_VERSION = 0x0C,
    COMMAND_COMPLETE = 0x0E,
    COMMAND_STATUS = 0x0F,
    COMPLETED_PACKETS = 0x13,
    KEY_REFRESHED = 0x30,
    LE_META = 0x3E,
};

enum le_event {
    LE_CONNECTED = 1,
    LE_REPORT = 2,
    LE_UPDATED = 3,
    LE_FEATURES = 4,
    LE_KEY_REQUEST = 5,
};

enum reason {
    NO_CONNECTION = 0x02,
    KEY_MISSING = 0x06,
    TIMED_OUT = 0x08,
    REMOTE_ENDED = 0x13,
    LOCAL_ENDED = 0x16,
};

struct controller {
    int fd;
    uint8_t address[6], random[6];
    bool advertising, scanning, scan_actively, connecting;
    uint8_t type, own;            /* of the advertisement, of its address */
    uint8_t data[32], answer[32]; /* length, bytes */
    uint8_t peer[7];              /* to connect to: type, address */
};

/* The handle is the index + 1, and the same at both ends. */
static struct link {
    struct controller *end[2]; /* central, peripheral; NULL: free */
    uint8_t key[16];
    bool encrypted;
} links[LINKS];

static struct controller controllers[CONTROLLERS];
static size_t count;
static volatile sig_atomic_t drop, narrow;

/* ---- to the kernel ------------------------------------------------------------------------- */

static void deliver(struct controller *c, const uint8_t *packet, size_t len)
{
    if (write(c->fd, packet, len) != (ssize_t)len) {
        perror("air: /dev/vhci");
        exit(1);
    }
}

static void event(struct controller *c, uint8_t code, const uint8_t *data, size_t len)
{
    uint8_t packet[3 + 255] = {EVENT, code, (uint8_t)len};

    memcpy(packet + 3, data, len);
    deliver(c, packet, 3 + len);
}

#define SEND(c, code, ...)                                                                         \
    event(c, code, (const uint8_t[]){__VA_ARGS__}, sizeof(const uint8_t[]){__VA_ARGS__})

#define LOW(n) (uint8_t)((n)&0xFF)
#define HIGH(n) (uint8_t)((n) >> 8)

static void complete(struct controller *c, uint16_t opcode, const uint8_t *data, size_t len)
{
    uint8_t out[4 + 248] = {1, LOW(opcode), HIGH(opcode), 0};

    if (len > 0) {
        memcpy(out + 4, data, len);
    }
    event(c, COMMAND_COMPLETE, out, 4 + len);
}

static void status(struct controller *c, uint16_t opcode, uint8_t value)
{
    SEND(c, COMMAND_STATUS, value, 1, LOW(opcode), HIGH(opcode));
}

/* ---- advertising and connecting ------------------------------------------------------------ */

static const uint8_t *own_address(const struct controller *c)
{
    return c->own & 1 ? c->random : c->address;
}

static void report(struct controller *to, const struct controller *c, uint8_t type,
                   const uint8_t *data)
{
    uint8_t out[12 + 31] = {LE_REPORT, 1, type, c->own & 1};

    memcpy(out + 4, own_address(c), 6);
    memcpy(out + 10, data, 1u + data[0]);
    out[11 + data[0]] = (uint8_t)-40; /* dBm */
    event(to, LE_META, out, 12u + data[0]);
}

static void connected(struct controller *c, uint8_t result, uint16_t handle, uint8_t role,
                      uint8_t type, const uint8_t address[6])
{
    uint8_t out[19] = {LE_CONNECTED, result, LOW(handle), HIGH(handle), role, type};

    memcpy(out + 6, address, 6);
    out[12] = 6;   /* interval, 7.5 ms */
    out[16] = 200; /* supervision timeout, 2 s */
    event(c, LE_META, out, sizeof out);
}

static void connect_two(struct controller *central, struct controller *peripheral)
{
    for (uint16_t i = 0; i < LINKS; i++) {
        if (links[i].end[0] == NULL) {
            links[i] = (struct link){.end = {central, peripheral}};
            central->connecting = false;
            peripheral->advertising = false;
            connected(central, 0, (uint16_t)(i + 1), 0, peripheral->own & 1,
                      own_address(peripheral));
            connected(peripheral, 0, (uint16_t)(i + 1), 1, 0, central->address);
            return;
        }
    }
}

/* An advertisement goes out: who hears it? */
static void advertise(struct controller *c)
{
    for (size_t i = 0; i < count && c->advertising; i++) {
        struct controller *other = &controllers[i];

        if (other == c) {
            continue;
        }
        if (other->connecting && c->type == 0 && other->peer[0] == (c->own & 1) &&
            memcmp(other->peer + 1, own_address(c), 6) == 0) {
            connect_two(other, c);
        } else if (other->scanning) {
            report(other, c, c->type, c->data);
            if (other->scan_actively && c->type != 3) {
                report(other, c, 4, c->answer);
            }
        }
    }
}

/* ---- links --------------------------------------------------------------------------------- */

static struct link *link_of(const struct controller *c, const uint8_t *handle)
{
    unsigned i = (handle[0] | handle[1] << 8) & 0xFFF;
    struct link *link = &links[i - 1];

    return i > 0 && i <= LINKS && (link->end[0] == c || link->end[1] == c) ? link : NULL;
}

static struct controller *other_end(const struct link *link, const struct controller *c)
{
    return link->end[link->end[0] == c];
}

static void lose(struct link *link, enum reason at_central, enum reason at_peripheral)
{
    uint8_t handle = (uint8_t)(link - links + 1);
    struct link gone = *link;

    *link = (struct link){0};
    SEND(gone.end[0], DISCONNECTED, 0, handle, 0, (uint8_t)at_central);
    SEND(gone.end[1], DISCONNECTED, 0, handle, 0, (uint8_t)at_peripheral);
}

static void disconnect(struct controller *c, struct link *link, enum reason reason)
{
    bool central = link->end[0] == c;

    lose(link, central ? LOCAL_ENDED : reason, central ? reason : LOCAL_ENDED);
}

static void encrypt(struct link *link, bool good)
{
    uint8_t handle = (uint8_t)(link - links + 1);

    if (!good) {
        SEND(link->end[0], ENCRYPTION_CHANGE, KEY_MISSING, handle, 0, 0);
        return;
    }
    for (int i = 0; i < 2; i++) {
        if (link->encrypted) {
            SEND(link->end[i], KEY_REFRESHED, 0, handle, 0);
        } else {
            SEND(link->end[i], ENCRYPTION_CHANGE, 0, handle, 0, 1);
        }
    }
    link->encrypted = true;
}

/* An Exchange MTU request or response: handle, ACL length, L2CAP length, channel 4, opcode, MTU. */
static bool tells_mtu(const uint8_t *packet, size_t len)
{
    return len == 12 && packet[7] == 4 && packet[8] == 0 && (packet[9] == 2 || packet[9] == 3);
}

static void forward(struct controller *c, const uint8_t *packet, size_t len)
{
    struct link *link = link_of(c, packet + 1);
    uint8_t out[PACKET_MAX];

    if (link == NULL) {
        return;
    }
    memcpy(out, packet, len);
    if (narrow && tells_mtu(out, len)) {
        out[10] = 23;
        out[11] = 0;
    }
    /* From a host a start is marked 0, to a host 2. */
    out[2] = (uint8_t)((packet[2] & 0x0F) | (packet[2] & 0x30 ? 0x10 : 0x20));
    deliver(other_end(link, c), out, len);
    SEND(c, COMPLETED_PACKETS, 1, packet[1], packet[2] & 0x0F, 1, 0);
}

/* ---- commands ------------------------------------------------------------------------------ */

/* What is read from a controller, after the status; the rest of len is 0. */
static const struct constant {
    uint16_t opcode;
    uint8_t len, data[8];
} constants[] = {
    {0x1001, 8, {8, 0, 0, 8, 0xFF, 0xFF}},             /* version 4.2 */
    {0x1002, 64, {0}},                                 /* no optional commands */
    {0x1003, 8, {0, 0, 0, 0, 0x60}},                   /* Low Energy alone */
    {0x1005, 7, {ACL_LENGTH, 0, 0, ACL_COUNT}},        /* buffers */
    {0x0C14, 248, {0}},                                /* name */
    {0x2002, 3, {ACL_LENGTH, 0, ACL_COUNT}},           /* buffers */
    {0x2003, 8, {1}},                                  /* encryption */
    {0x2007, 1, {0}},                                  /* power */
    {0x200F, 1, {0}},                                  /* accept list */
    {0x201C, 8, {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x03}}, /* states */
    {0x202A, 1, {0}},                                  /* resolving list */
};

static void read_constant(struct controller *c, uint16_t opcode)
{
    uint8_t out[248] = {0};
    size_t len = 0;

    for (size_t i = 0; i < sizeof constants / sizeof constants[0]; i++) {
        if (constants[i].opcode == opcode) {
            len = constants[i].len;
            memcpy(out, constants[i].data, sizeof constants[i].data);
        }
    }
    complete(c, opcode, out, len);
}

static void reset(struct controller *c)
{
    for (size_t i = 0; i < LINKS; i++) {
        if (links[i].end[0] == c || links[i].end[1] == c) {
            disconnect(c, &links[i], TIMED_OUT);
        }
    }
    c->advertising = c->scanning = c->connecting = false;
}

/* Of a command about a link. p: its parameters, the handle first. */
static void on_link_command(struct controller *c, struct link *link, uint16_t opcode,
                            const uint8_t *p)
{
    switch (opcode) {
    case 0x0406: /* disconnect */
        status(c, opcode, 0);
        disconnect(c, link, p[2]);
        break;
    case 0x041D: /* read remote version */
        status(c, opcode, 0);
        SEND(c, REMOTE_VERSION, 0, p[0], p[1], 8, 0xFF, 0xFF, 0, 0);
        break;
    case 0x2013: /* update the connection's parameters */
        status(c, opcode, 0);
        for (int i = 0; i < 2; i++) {
            SEND(link->end[i], LE_META, LE_UPDATED, 0, p[0], p[1], p[4], p[5], p[6], p[7], p[8],
                 p[9]);
        }
        break;
    case 0x2016: /* read remote features */
        status(c, opcode, 0);
        SEND(c, LE_META, LE_FEATURES, 0, p[0], p[1], 1, 0, 0, 0, 0, 0, 0, 0);
        break;
    case 0x2019: { /* encrypt */
        uint8_t out[13] = {LE_KEY_REQUEST, p[0], p[1]};
        status(c, opcode, 0);
        memcpy(link->key, p + 12, 16);
        memcpy(out + 3, p + 2, 10);
        event(other_end(link, c), LE_META, out, sizeof out);
        break;
    }
    case 0x201A: /* the key */
        complete(c, opcode, p, 2);
        encrypt(link, memcmp(link->key, p + 2, 16) == 0);
        break;
    case 0x201B: /* no key */
        complete(c, opcode, p, 2);
        encrypt(link, false);
        break;
    default:
        complete(c, opcode, p, 2);
        break;
    }
}

static void on_command(struct controller *c, uint16_t opcode, const uint8_t *p)
{
    switch (opcode) {
    case 0x0C03:
        reset(c);
        break;
    case 0x1009:
        complete(c, opcode, c->address, 6);
        return;
    case 0x2005:
        memcpy(c->random, p, 6);
        break;
    case 0x2006:
        c->type = p[4];
        c->own = p[5];
        break;
    case 0x2008:
    case 0x2009:
        memcpy(opcode == 0x2008 ? c->data : c->answer, p, 32);
        (opcode == 0x2008 ? c->data : c->answer)[0] = p[0] < 31 ? p[0] : 31;
        break;
    case 0x200A:
        c->advertising = p[0];
        break;
    case 0x200B:
        c->scan_actively = p[0];
        break;
    case 0x200C:
        c->scanning = p[0];
        break;
    case 0x200D:
        memcpy(c->peer, p + 5, 7);
        c->connecting = true;
        status(c, opcode, 0);
        return;
    case 0x200E:
        complete(c, opcode, NULL, 0);
        if (c->connecting) {
            c->connecting = false;
            connected(c, NO_CONNECTION, 0, 0, c->peer[0], c->peer + 1);
        }
        return;
    case 0x0406:
    case 0x041D:
    case 0x2013:
    case 0x2016:
    case 0x2019:
    case 0x201A:
    case 0x201B: {
        struct link *link = link_of(c, p);
        if (link == NULL) {
            status(c, opcode, NO_CONNECTION);
        } else {
            on_link_command(c, link, opcode, p);
        }
        return;
    }
    default:
        break;
    }
    read_constant(c, opcode);
}

static void on_packet(struct controller *c)
{
    uint8_t packet[PACKET_MAX + 64] = {0}; /* a short command has zeros for the rest */
    ssize_t len = read(c->fd, packet, PACKET_MAX);

    if (len >= 4 && packet[0] == COMMAND) {
        on_command(c, (uint16_t)(packet[1] | packet[2] << 8), packet + 4);
    } else if (len >= 5 && packet[0] == ACL) {
        forward(c, packet, (size_t)len);
    }
}

/* ---- the program --------------------------------------------------------------------------- */

static void make(struct controller *c, uint8_t number)
{
    static const uint8_t primary[] = {VENDOR, 0};
    uint8_t answer[4];

    c->fd = open("/dev/vhci", O_RDWR | O_CLOEXEC);
    memcpy(c->address, (const uint8_t[]){number, 0, 1, 1, 0xAA, 0}, 6);
    if (c->fd < 0 || write(c->fd, primary, sizeof primary) < 0 ||
        read(c->fd, answer, sizeof answer) < 0) {
        perror("air: /dev/vhci");
        exit(1);
    }
}

static void on_signal(int number)
{
    if (number == SIGUSR1) {
        drop = 1;
    } else {
        narrow = !narrow;
    }
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
    struct pollfd fds[CONTROLLERS];
    int64_t next = 0;

    count = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
    if (count == 0 || count > CONTROLLERS) {
        fprintf(stderr, "usage: air 1..%d\n", CONTROLLERS);
        return 2;
    }
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = on_signal}, NULL);
    sigaction(SIGUSR2, &(struct sigaction){.sa_handler = on_signal}, NULL);
    for (size_t i = 0; i < count; i++) {
        make(&controllers[i], (uint8_t)i);
        fds[i] = (struct pollfd){.fd = controllers[i].fd, .events = POLLIN};
    }
    for (;;) {
        int64_t left = next - now_ms();
        int ready = poll(fds, count, left > 0 ? (int)left : 0);

        for (size_t i = 0; i < LINKS && drop; i++) {
            if (links[i].end[0] != NULL) {
                lose(&links[i], TIMED_OUT, TIMED_OUT);
            }
        }
        drop = 0;
        for (size_t i = 0; i < count && ready > 0; i++) {
            if (fds[i].revents != 0) {
                on_packet(&controllers[i]);
            }
        }
        if (now_ms() >= next) {
            next = now_ms() + ADVERTISING_MS;
            for (size_t i = 0; i < count; i++) {
                advertise(&controllers[i]);
            }
        }
    }
}
