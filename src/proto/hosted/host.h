/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ESP-Hosted control path, host half: one request at a time and its response. No I/O: the caller
 * moves the bytes and tells the time. Programs use it through otter/hosted_client.h.
 *
 *        request                      response with its uid, timeout, drop
 *   IDLE --------> WAITING ----------------------------------------> IDLE
 *                     | an event, another uid, bytes of no frame
 *                     +----> WAITING
 */
#ifndef OTTER_PROTO_HOSTED_HOST_H
#define OTTER_PROTO_HOSTED_HOST_H

#include "proto/hosted/wire.h"

#define OTTER_HOSTED_REQUEST_MAX (OTTER_HOSTED_CHUNK_MAX + 64u) /* bytes of the longest frame */

struct otter_hosted_host_config {
    uint8_t *buf;    /* for one message from the device */
    size_t buf_size; /* bytes, 512 at least and 65535 at most; longer messages are passed over */
    int32_t first_uid;
    /* An event came. data is its message. May be NULL. */
    void (*on_event)(void *ctx, uint16_t id, const uint8_t *data, size_t len);
    void *event_ctx;
};

struct otter_hosted_host {
    struct otter_hosted_host_config config;
    struct otter_hosted_decoder decoder;
    struct otter_hosted_message answer; /* the last response, when result is not a timeout */
    otter_err result;                   /* of the last request */
    uint32_t since;                     /* ms: when it was made */
    uint32_t timeout;                   /* ms */
    uint32_t heard;                     /* bytes from the device since then */
    int32_t uid;
    uint16_t msg_id;
    uint8_t state;
};

enum otter_hosted_host_state { OTTER_HOSTED_HOST_IDLE, OTTER_HOSTED_HOST_WAITING };

OTTER_CHECKED otter_err otter_hosted_host_init(struct otter_hosted_host *h,
                                               const struct otter_hosted_host_config *config);

/*
 * Makes a request (enum otter_hosted_msg_id) and its frame, *used bytes of the size given;
 * OTTER_HOSTED_REQUEST_MAX is enough for any. data is the firmware of a write, at most
 * OTTER_HOSTED_CHUNK_MAX bytes. OTTER_ERR_STATE while one is under way, OTTER_ERR_LENGTH,
 * OTTER_ERR_BOUNDS.
 */
OTTER_CHECKED otter_err otter_hosted_host_request(struct otter_hosted_host *h, uint16_t msg_id,
                                                  const uint8_t *data, size_t len,
                                                  uint32_t timeout_ms, uint32_t now_ms,
                                                  uint8_t *frame, size_t size, size_t *used);

/* Takes bytes from the device, up to the awaited response; returns how many. */
size_t otter_hosted_host_input(struct otter_hosted_host *h, const uint8_t *data, size_t len);

/*
 * How the request stands: OTTER_ERR_AGAIN while waiting, then its result, which stays:
 * OTTER_OK; OTTER_ERR_REFUSED: answer.resp says why; OTTER_ERR_TIMEOUT: not a byte came;
 * OTTER_ERR_PROTOCOL: bytes came, but no response, or one without content.
 */
OTTER_CHECKED otter_err otter_hosted_host_poll(struct otter_hosted_host *h, uint32_t now_ms);

/* Gives the request up, if there is one: its answer will not be taken. */
void otter_hosted_host_drop(struct otter_hosted_host *h);

/* Milliseconds until the request times out; OTTER_HOSTED_NEVER when there is none. */
uint32_t otter_hosted_host_wait(const struct otter_hosted_host *h, uint32_t now_ms);

#endif
