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

/* X(state, event, action, next, failed, in words). REQUEST and DONE without a row are answered with
 * their NAK, data without one is refused, and anything else without one changes nothing. */
#define GATTOTA_DEVICE_ROWS(X)                                                                     \
    X(IDLE, REQUEST, take_request, STARTING, IDLE, "the answer follows")                           \
    X(IDLE, DATA, take_size, IDLE, IDLE, "two bytes: a hint, not used; else refuse the write")     \
                                                                                                   \
    X(STARTING, REQUEST, NULL, STARTING, STARTING, "nothing new")                                  \
    X(STARTING, DATA, hold, STARTING, STARTING, "hold the write until the sink has begun")         \
    X(STARTING, DONE, hold, STARTING, STARTING, "hold the write until the sink has begun")         \
    X(STARTING, STEP, begin, RECEIVING, IDLE, "begin; notify REQUEST_ACK or REQUEST_NAK")          \
    X(STARTING, GONE, give_up, IDLE, IDLE, "abort")                                                \
                                                                                                   \
    X(RECEIVING, REQUEST, take_request, STARTING, RECEIVING, "start afresh: forget what came")     \
    X(RECEIVING, DATA, take_data, RECEIVING, RECEIVING, "keep it for flash, or hold the write")    \
    X(RECEIVING, DONE, NULL, CHECKING, RECEIVING, "the answer follows")                            \
    X(RECEIVING, STEP, write_flash, RECEIVING, IDLE, "write; on an error notify DONE_NAK")         \
    X(RECEIVING, GONE, give_up, IDLE, IDLE, "abort")                                               \
                                                                                                   \
    X(CHECKING, REQUEST, hold, CHECKING, CHECKING, "hold it until DONE is answered")               \
    X(CHECKING, DONE, hold, CHECKING, CHECKING, "hold it until the first one is answered")         \
    X(CHECKING, STEP, check, SELECTED, IDLE,                                                       \
      "write the rest, verify, select; notify DONE_ACK or DONE_NAK")                               \
                                                                                                   \
    X(SELECTED, DONE, NULL, SELECTED, SELECTED, "it was answered")                                 \
    X(SELECTED, STEP, restart, IDLE, IDLE, "restart, 500 ms after the answer left")

#endif
