/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's state machine, as docs/protocols/espble.md shows it: both come from here. An action
 * that returns OTTER_ERR_AGAIN leaves the state as it is; any other error ends the update with it.
 */
#ifndef OTTER_PROTO_ESPBLE_HOST_TABLE_H
#define OTTER_PROTO_ESPBLE_HOST_TABLE_H

#include "proto/gatt/host.h"

/* X(state, what it means) */
#define ESPBLE_HOST_STATES(X)                                                                      \
    X(READY, "START is to be sent")                                                                \
    X(STARTED, "its answer is awaited")                                                            \
    X(SENDING, "packets go out, as many sectors ahead as the window allows")                       \
    X(SETTLING, "the device complained: the sector begun is sent to its end, then silence")        \
    X(STOPPING, "every sector is acknowledged; STOP is to be sent")                                \
    X(STOPPED, "its answer is awaited")                                                            \
    X(CANCELLING, "cancelled; STOP is to be sent")                                                 \
    X(CANCELLED, "its answer is awaited")                                                          \
    X(DONE, "the result is final")

/* X(event, what it is) */
#define ESPBLE_HOST_EVENTS(X)                                                                      \
    GATT_HOST_EVENTS(X)                                                                            \
    X(SECTOR_ACK, "a firmware ACK")                                                                \
    X(COMMAND_ACK, "a command ACK")

/* X(state, event, action, next, in words) */
#define ESPBLE_HOST_ROWS(X)                                                                        \
    X(READY, STEP, send_start, STARTED, "send START")                                              \
    X(READY, TIMEOUT, try_again, READY, "the link does not move: wait again, a few times")         \
    X(READY, LOST, gatt_lost, DONE, "fail")                                                        \
    X(READY, CANCEL, gatt_cancelled, DONE, "nothing to undo")                                      \
                                                                                                   \
    X(STARTED, COMMAND_ACK, start_answered, SENDING, "accepted: take the window; rejected: fail")  \
    X(STARTED, ATT_ERROR, gatt_att_error, DONE, "fail")                                            \
    X(STARTED, TIMEOUT, try_again, READY, "send it again, a bounded number of times")              \
    X(STARTED, LOST, gatt_lost, DONE, "fail")                                                      \
    X(STARTED, CANCEL, may_cancel, CANCELLING, "tell the device")                                  \
                                                                                                   \
    X(SENDING, STEP, send_packets, STOPPING, "send packets; stay until all is acknowledged")       \
    X(SENDING, SECTOR_ACK, sector_answered, SETTLING, "success: go on; an error: settle")          \
    X(SENDING, COMMAND_ACK, taken_back, SENDING, "START rejected: fail")                           \
    X(SENDING, ATT_ERROR, packet_refused, SETTLING, "unlikely error: settle; another: fail")       \
    X(SENDING, TIMEOUT, step_back, SENDING, "send from the oldest sector not acknowledged")        \
    X(SENDING, LOST, lost_sending, DONE,                                                           \
      "gone with everything: success, to be looked at; else fail")                                 \
    X(SENDING, CANCEL, may_cancel, CANCELLING,                                                     \
      "tell the device; too late once everything is sent")                                         \
                                                                                                   \
    X(SETTLING, STEP, send_rest, SETTLING, "send the sector to its end, then wait for silence")    \
    X(SETTLING, SECTOR_ACK, answered_late, SETTLING, "take it; wait for silence again")            \
    X(SETTLING, COMMAND_ACK, taken_back, SETTLING, "START rejected: fail")                         \
    X(SETTLING, ATT_ERROR, packet_refused, SETTLING, "unlikely error: go on; another: fail")       \
    X(SETTLING, TIMEOUT, settled, SENDING, "send from the oldest sector not acknowledged")         \
    X(SETTLING, LOST, lost_sending, DONE,                                                          \
      "gone with everything: success, to be looked at; else fail")                                 \
    X(SETTLING, CANCEL, may_cancel, CANCELLING,                                                    \
      "tell the device; too late once everything is sent")                                         \
                                                                                                   \
    X(STOPPING, STEP, send_stop, STOPPED, "send STOP")                                             \
    X(STOPPING, TIMEOUT, try_again, STOPPING, "the link does not move: wait again, a few times")   \
    X(STOPPING, LOST, NULL, DONE, "gone with everything: success, to be looked at")                \
                                                                                                   \
    X(STOPPED, COMMAND_ACK, stop_answered, DONE, "accepted: success; rejected: fail")              \
    X(STOPPED, ATT_ERROR, gatt_att_error, DONE, "fail")                                            \
    X(STOPPED, TIMEOUT, try_again, STOPPING, "send it again, a bounded number of times")           \
    X(STOPPED, LOST, NULL, DONE, "gone with everything: success, to be looked at")                 \
                                                                                                   \
    X(CANCELLING, STEP, send_stop, CANCELLED, "send STOP")                                         \
    X(CANCELLING, TIMEOUT, gatt_cancelled, DONE, "the link does not move: leave it")               \
    X(CANCELLING, LOST, gatt_cancelled, DONE, "cancelled")                                         \
                                                                                                   \
    X(CANCELLED, COMMAND_ACK, gatt_cancelled, DONE, "cancelled")                                   \
    X(CANCELLED, ATT_ERROR, gatt_cancelled, DONE, "cancelled")                                     \
    X(CANCELLED, TIMEOUT, gatt_cancelled, DONE, "cancelled")                                       \
    X(CANCELLED, LOST, gatt_cancelled, DONE, "cancelled")

#endif
