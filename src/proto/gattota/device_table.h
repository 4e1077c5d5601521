/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's state machine, as docs/protocols/gattota.md shows it: both come from here.
 *
 * An action that returns OTTER_ERR_AGAIN leaves the state as it is. "failed" is where an error
 * leads. Only the owner's writes become events: those of another connection are refused before.
 */
#ifndef OTTER_PROTO_GATTOTA_DEVICE_TABLE_H
#define OTTER_PROTO_GATTOTA_DEVICE_TABLE_H

/* X(state, what it means) */
#define GATTOTA_DEVICE_STATES(X)                                                                   \
    X(IDLE, "no update is running")                                                                \
    X(STARTING, "REQUEST came; its answer follows when the sink has begun")                        \
    X(RECEIVING, "data arrives, and is written behind")                                            \
    X(CHECKING, "DONE came: the rest is written, the image verified and selected")                 \
    X(SELECTED, "the answer leaves; restart follows")

/* X(event, what it is) */
#define GATTOTA_DEVICE_EVENTS(X)                                                                   \
    X(REQUEST, "control: REQUEST")                                                                 \
    X(DATA, "a packet on data")                                                                    \
    X(DONE, "control: DONE")                                                                       \
    X(STEP, "poll: the next step is due")                                                          \
    X(GONE, "the owner's link is lost, or it was silent for too long")

/* X(state, event, action, next, failed, in words) */
#define GATTOTA_DEVICE_ROWS(X)                                                                     \
    X(IDLE, REQUEST, take_request, STARTING, IDLE, "note the owner")                               \
    X(IDLE, DATA, take_size, IDLE, IDLE, "two bytes: a hint, not used; else refuse the write")     \
    X(IDLE, DONE, done_nak, IDLE, IDLE, "notify DONE_NAK")                                         \
                                                                                                   \
    X(STARTING, REQUEST, take_request, STARTING, STARTING, "nothing new")                          \
    X(STARTING, DATA, hold, STARTING, STARTING, "hold the write until the sink has begun")         \
    X(STARTING, DONE, hold, STARTING, STARTING, "hold the write until the sink has begun")         \
    X(STARTING, STEP, begin, RECEIVING, IDLE, "begin; notify REQUEST_ACK or REQUEST_NAK")          \
    X(STARTING, GONE, give_up, IDLE, IDLE, "abort")                                                \
                                                                                                   \
    X(RECEIVING, REQUEST, take_request, STARTING, RECEIVING, "start afresh: forget what came")     \
    X(RECEIVING, DATA, take_data, RECEIVING, RECEIVING, "keep it for flash, or hold the write")    \
    X(RECEIVING, DONE, NULL, CHECKING, RECEIVING, "verify; the answer follows")                    \
    X(RECEIVING, STEP, write_flash, RECEIVING, IDLE, "write; on an error notify DONE_NAK")         \
    X(RECEIVING, GONE, give_up, IDLE, IDLE, "abort")                                               \
                                                                                                   \
    X(CHECKING, REQUEST, hold, CHECKING, CHECKING, "hold it until DONE is answered")               \
    X(CHECKING, DATA, refuse, CHECKING, CHECKING, "refuse the write")                              \
    X(CHECKING, DONE, hold, CHECKING, CHECKING, "hold it until the first one is answered")         \
    X(CHECKING, STEP, check, SELECTED, IDLE,                                                       \
      "write the rest, verify, select; notify DONE_ACK or DONE_NAK")                               \
    X(CHECKING, GONE, NULL, CHECKING, CHECKING, "go on: DONE was said")                            \
                                                                                                   \
    X(SELECTED, REQUEST, request_nak, SELECTED, SELECTED, "notify REQUEST_NAK")                    \
    X(SELECTED, DATA, refuse, SELECTED, SELECTED, "refuse the write")                              \
    X(SELECTED, DONE, NULL, SELECTED, SELECTED, "it was answered")                                 \
    X(SELECTED, STEP, restart, IDLE, IDLE, "restart, 500 ms after the answer left")                \
    X(SELECTED, GONE, NULL, SELECTED, SELECTED, "go on")

#endif
