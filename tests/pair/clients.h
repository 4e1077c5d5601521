/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How clients in the field send, by hand: the test is the client, packet by packet. Written from
 * the description of the protocols alone, with a CRC of its own, so that it shares no mistake
 * with the library.
 */
#ifndef OTTER_TESTS_CLIENTS_H
#define OTTER_TESTS_CLIENTS_H

#include "pair/pair.h"

enum { CLIENT_START = 1, CLIENT_STOP = 2, CLIENT_ACK = 3 };

/* A way of sending espble. */
struct client {
    uint16_t mtu;
    uint16_t packet; /* bytes of a packet */
    uint16_t crc_init;
    uint16_t cccd;      /* on all characteristics */
    bool request;       /* write with response */
    bool padded;        /* the last packet of a sector is padded to `packet` */
    bool crc_of_4096;   /* of a short last sector: over 4096 bytes, padded with zeros */
    bool whole_sectors; /* the last sector is sent as 4096 bytes, zeros after the firmware */
    bool extra_room;    /* the crc comes on top of a full packet */
    bool waits;         /* for every answer */
};

extern const struct client client_android, client_ios, client_python;

uint16_t client_crc(uint16_t crc, const uint8_t *data, size_t len);

/* The answer's words, after checking its length and CRC; 0xFFFF in word 0 when none is right. */
struct answer {
    uint16_t word[4];
};
struct answer client_answer(const struct pair *p, uint8_t id, uint16_t crc_init);

/* Connects with what the client subscribes to. */
void client_connect(struct pair *p, const struct client *c);

void client_command(struct pair *p, const struct client *c, uint16_t command, uint32_t value);

/* Sends one sector of the image. */
void client_sector(struct pair *p, const struct client *c, uint16_t sector);

/* One packet of it, as the client would; the number of packets it makes. */
unsigned client_packets(const struct pair *p, const struct client *c, uint16_t sector);
void client_packet(struct pair *p, const struct client *c, uint16_t sector, unsigned number);

/* START, every sector, STOP. Returns false when an answer that is waited for is not a success. */
bool client_update(struct pair *p, const struct client *c);

#endif
