/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ESP-Hosted control path: the wire.
 *
 * A byte stream carries frames:
 *
 *   0    1       3           11   12      14
 *   +----+-------+-----------+----+-------+- - - - - -+
 *   | 01 | 08 00 | endpoint  | 02 | u16   | message   |   u16 little-endian: length of message
 *   +----+-------+-----------+----+-------+- - - - - -+
 *
 *   endpoint: "ctrlResp" for requests and responses, "ctrlEvnt" for events.
 *   message:  one protobuf, hosted.proto.
 *
 * The 12 bytes before the length are the same in every frame but for four, so they serve to find
 * the next frame in a stream that holds other things too.
 */
#ifndef OTTER_PROTO_HOSTED_WIRE_H
#define OTTER_PROTO_HOSTED_WIRE_H

#include "otter/hosted.h"

/* Of a message that is too long, this much is gathered, so that it can be answered. */
#define OTTER_HOSTED_PREFIX 64u

enum otter_hosted_frame {
    OTTER_HOSTED_FRAME_NONE,     /* still coming */
    OTTER_HOSTED_FRAME_WHOLE,    /* buf holds a message of len bytes */
    OTTER_HOSTED_FRAME_TOO_LONG, /* buf holds its first `got` bytes; the others are passed over as
                                    if they belonged to no frame */
};

/* room is 65535 bytes at most, and OTTER_HOSTED_PREFIX at least. */
void otter_hosted_decoder_init(struct otter_hosted_decoder *dec, uint8_t *buf, size_t room);

/* Takes bytes up to the end of a frame, or all; returns how many. Takes none after the end of a
 * frame until otter_hosted_decoder_next(). */
size_t otter_hosted_decoder_feed(struct otter_hosted_decoder *dec, const uint8_t *data, size_t len);

/* Forgets the frame in hand, whole or not. */
void otter_hosted_decoder_next(struct otter_hosted_decoder *dec);

/* True in the middle of a frame. */
bool otter_hosted_decoder_inside(const struct otter_hosted_decoder *dec);

enum otter_hosted_msg_type {
    OTTER_HOSTED_REQUEST = 1,
    OTTER_HOSTED_RESPONSE = 2,
    OTTER_HOSTED_EVENT = 3,
};

/* Requests; the response's id is OTTER_HOSTED_RESPONSE_OFFSET more. */
enum otter_hosted_msg_id {
    OTTER_HOSTED_REQUEST_FIRST = 101,
    OTTER_HOSTED_BEGIN = 116,
    OTTER_HOSTED_WRITE = 117,
    OTTER_HOSTED_END = 118,
    OTTER_HOSTED_GET_VERSION = 123,
    OTTER_HOSTED_REQUEST_LAST = 199,
    OTTER_HOSTED_RESPONSE_OFFSET = 100,
    OTTER_HOSTED_EVENT_ESP_INIT = 301,
    OTTER_HOSTED_EVENT_HEARTBEAT = 302,
};

/* A message in plain terms. */
struct otter_hosted_message {
    uint8_t type;     /* enum otter_hosted_msg_type */
    bool has_payload; /* the one that belongs to id is there */
    uint16_t id;
    int32_t uid;
    uint32_t req_resp_type;
    int32_t resp;        /* responses */
    const uint8_t *data; /* write: the firmware; version: the name, not terminated. A view */
    size_t data_len;
    uint32_t version[5]; /* major1, major2, minor, rev_patch1, rev_patch2 */
};

/* Reads a message. On OTTER_ERR_PROTOCOL, m still holds what was read before the fault, so that a
 * request can be answered. */
OTTER_CHECKED otter_err otter_hosted_decode(struct otter_hosted_message *m, const uint8_t *data,
                                            size_t len);

/* Writes a whole frame and its length, *used. OTTER_ERR_BOUNDS: size is too small. */
OTTER_CHECKED otter_err otter_hosted_encode(const struct otter_hosted_message *m, uint8_t *frame,
                                            size_t size, size_t *used);

#endif
