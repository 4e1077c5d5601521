/* SPDX-License-Identifier: Apache-2.0 */
#include "pair/clients.h"

#include <string.h>

#define WAIT_MS 30000u

const struct client client_android = {.mtu = 500,
                                      .packet = 463,
                                      .cccd = OTTER_GATT_CCCD_INDICATE,
                                      .request = true,
                                      .extra_room = true,
                                      .waits = true};
const struct client client_ios = {
    .mtu = 185, .packet = 182, .cccd = OTTER_GATT_CCCD_NOTIFY, .request = true, .waits = true};
const struct client client_python = {
    .mtu = 517, .packet = 514, .crc_init = 0xFFFF, .cccd = OTTER_GATT_CCCD_NONE, .padded = true};

uint16_t client_crc(uint16_t crc, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        crc = (uint16_t)(crc ^ data[i] << 8);
        for (int bit = 0; bit < 8; bit++) {
            crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
        }
    }
    return crc;
}

static uint16_t u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

struct answer client_answer(const struct pair *p, uint8_t id, uint16_t crc_init)
{
    struct answer answer = {{0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF}};
    const uint8_t *value = p->value[id];

    if (p->value_len[id] == 20 && client_crc(crc_init, value, 18) == u16(value + 18)) {
        for (int i = 0; i < 4; i++) {
            answer.word[i] = u16(value + 2 * i);
        }
    }
    return answer;
}

void client_connect(struct pair *p, const struct client *c)
{
    for (int i = 0; i < OTTER_ESPBLE_CHARS; i++) {
        p->sim.cccd[i] = c->cccd;
    }
    pair_connect_test(p);
}

void client_command(struct pair *p, const struct client *c, uint16_t command, uint32_t value)
{
    uint8_t bytes[20] = {(uint8_t)command,      (uint8_t)(command >> 8), (uint8_t)value,
                         (uint8_t)(value >> 8), (uint8_t)(value >> 16),  (uint8_t)(value >> 24)};
    uint16_t crc = client_crc(c->crc_init, bytes, 18);

    bytes[18] = (uint8_t)crc;
    bytes[19] = (uint8_t)(crc >> 8);
    pair_write(p, OTTER_ESPBLE_COMMAND_CHAR, true, bytes, sizeof bytes);
}

/* What the client takes the sector for: its bytes, and how many it sends. */
static uint32_t sector_bytes(const struct pair *p, const struct client *c, uint16_t sector,
                             uint8_t bytes[4096])
{
    uint32_t from = sector * 4096u;
    uint32_t len = p->len - from < 4096 ? p->len - from : 4096;

    memset(bytes, 0, 4096);
    memcpy(bytes, p->image + from, len);
    return c->whole_sectors ? 4096 : len;
}

/* How much of a packet may be payload, and how much of a last one. */
static uint32_t room(const struct client *c)
{
    return c->packet - 3u;
}

static uint32_t last_room(const struct client *c)
{
    return c->extra_room ? room(c) : room(c) - 2;
}

unsigned client_packets(const struct pair *p, const struct client *c, uint16_t sector)
{
    uint8_t bytes[4096];
    uint32_t len = sector_bytes(p, c, sector, bytes);
    unsigned n = 1;

    while (len > last_room(c)) {
        len -= len < room(c) ? len : room(c);
        n++;
    }
    return n;
}

void client_packet(struct pair *p, const struct client *c, uint16_t sector, unsigned number)
{
    uint8_t bytes[4096], packet[OTTER_GATT_WRITE_MAX + 16];
    uint32_t len = sector_bytes(p, c, sector, bytes);
    bool last = number + 1 == client_packets(p, c, sector);
    uint32_t from = number * room(c) < len ? number * room(c) : len;
    uint32_t n = len - from < room(c) ? len - from : room(c);
    uint32_t size = 3 + n;

    packet[0] = (uint8_t)sector;
    packet[1] = (uint8_t)(sector >> 8);
    packet[2] = last ? 0xFF : (uint8_t)number;
    memcpy(packet + 3, bytes + from, n);
    if (last) {
        uint16_t crc = client_crc(c->crc_init, bytes, c->crc_of_4096 ? 4096 : len);
        while (c->padded && size < c->packet - 2u) {
            packet[size++] = 0;
        }
        packet[size++] = (uint8_t)crc;
        packet[size++] = (uint8_t)(crc >> 8);
    }
    pair_write(p, OTTER_ESPBLE_RECV_FW, c->request, packet, size);
}

void client_sector(struct pair *p, const struct client *c, uint16_t sector)
{
    unsigned n = client_packets(p, c, sector);

    for (unsigned i = 0; i < n; i++) {
        client_packet(p, c, sector, i);
    }
}

/* Runs until one more value of the characteristic came. */
static void await(struct pair *p, uint8_t id, unsigned before)
{
    for (unsigned ms = 0; ms < WAIT_MS && p->values[id] == before; ms += 10) {
        pair_run(p, 10);
    }
}

static bool command(struct pair *p, const struct client *c, uint16_t id, uint32_t value)
{
    unsigned before = p->values[OTTER_ESPBLE_COMMAND_CHAR];

    client_command(p, c, id, value);
    if (!c->waits) {
        return true;
    }
    await(p, OTTER_ESPBLE_COMMAND_CHAR, before);
    struct answer a = client_answer(p, OTTER_ESPBLE_COMMAND_CHAR, c->crc_init);
    return a.word[0] == CLIENT_ACK && a.word[1] == id && a.word[2] == 0;
}

bool client_update(struct pair *p, const struct client *c)
{
    if (!command(p, c, CLIENT_START, p->len)) {
        return false;
    }
    for (uint16_t sector = 0; sector * 4096u < p->len; sector++) {
        unsigned before = p->values[OTTER_ESPBLE_RECV_FW];

        client_sector(p, c, sector);
        if (c->waits) {
            await(p, OTTER_ESPBLE_RECV_FW, before);
            struct answer a = client_answer(p, OTTER_ESPBLE_RECV_FW, c->crc_init);
            if (a.word[0] != sector || a.word[1] != 0 || a.word[2] != sector + 1) {
                return false; /* the Android app gives up there */
            }
        }
    }
    return command(p, c, CLIENT_STOP, 0);
}
