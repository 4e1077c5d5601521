/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's state machine, as docs/protocols/espble.md shows it: both come from here.
 *
 * An action that returns OTTER_ERR_AGAIN leaves the state as it is. "failed" is where an error
 * leads; the update is given up there. Only the owner's writes become events: those of another
 * connection are refused before.
 */
#ifndef OTTER_PROTO_ESPBLE_DEVICE_TABLE_H
#define OTTER_PROTO_ESPBLE_DEVICE_TABLE_H

/* X(state, what it means) */
#define ESPBLE_DEVICE_STATES(X)                                                                    \
    X(IDLE, "no update is running")                                                                \
    X(STARTING, "START came; its answer follows when the sink has begun")                          \
    X(RECEIVING, "sectors arrive, and are written behind")                                         \
    X(COMPLETE, "every sector has arrived; STOP is awaited")                                       \
    X(CHECKING, "the rest is written, the image verified and selected")                            \
    X(SELECTED, "the answer leaves; restart follows")

/* X(event, what it is) */
#define ESPBLE_DEVICE_EVENTS(X)                                                                    \
    X(START, "a START command")                                                                    \
    X(STOP, "a STOP command")                                                                      \
    X(PACKET, "a firmware packet")                                                                 \
    X(STEP, "poll: the next step is due")                                                          \
    X(GONE, "the owner's link is lost, or it was silent for too long")

/* X(state, event, action, next, failed, in words). A command without a row is answered reject, a
 * packet without one is refused, and anything else without one changes nothing. */
#define ESPBLE_DEVICE_ROWS(X)                                                                      \
    X(IDLE, START, take_start, STARTING, IDLE, "note the length and the CRC convention")           \
                                                                                                   \
    X(STARTING, START, take_start, STARTING, STARTING, "the later START counts")                   \
    X(STARTING, PACKET, hold, STARTING, STARTING, "hold the write until the sink has begun")       \
    X(STARTING, STEP, begin, RECEIVING, IDLE, "begin; answer accept and window, or reject")        \
    X(STARTING, GONE, give_up, IDLE, IDLE, "abort")                                                \
                                                                                                   \
    X(RECEIVING, START, take_start, STARTING, RECEIVING, "start afresh")                           \
    X(RECEIVING, PACKET, take_packet, COMPLETE, RECEIVING,                                         \
      "gather and check; stay until the last sector is whole")                                     \
    X(RECEIVING, STEP, write_flash, RECEIVING, IDLE, "write; answer a sector once it is in flash") \
    X(RECEIVING, GONE, give_up, IDLE, IDLE, "abort")                                               \
                                                                                                   \
    X(COMPLETE, START, take_start, STARTING, COMPLETE, "start afresh")                             \
    X(COMPLETE, STOP, NULL, CHECKING, COMPLETE, "the answer follows")                              \
    X(COMPLETE, PACKET, wrong_sector, COMPLETE, COMPLETE, "index error: nothing more is wanted")   \
    X(COMPLETE, STEP, write_flash, COMPLETE, IDLE, "write; answer a sector once it is in flash")   \
    X(COMPLETE, GONE, NULL, CHECKING, COMPLETE, "everything is here: go on as on STOP")            \
                                                                                                   \
    X(CHECKING, STOP, hold, CHECKING, CHECKING, "hold it until the first one is answered")         \
    X(CHECKING, STEP, check, SELECTED, IDLE,                                                       \
      "write the rest, verify, select; answer accept or reject")                                   \
                                                                                                   \
    X(SELECTED, STEP, restart, IDLE, IDLE, "restart, 500 ms after the answer left")

#endif
