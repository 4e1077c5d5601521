/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's state machine, as docs/protocols/gattota.md shows it: both come from here. An action
 * that returns OTTER_ERR_AGAIN leaves the state as it is; any other error ends the update with it.
 */
#ifndef OTTER_PROTO_GATTOTA_HOST_TABLE_H
#define OTTER_PROTO_GATTOTA_HOST_TABLE_H

#include "proto/gatt/host.h"

/* X(state, what it means) */
#define GATTOTA_HOST_STATES(X)                                                                     \
    X(ANNOUNCING, "the packet size is to be sent")                                                 \
    X(REQUESTING, "REQUEST is to be sent")                                                         \
    X(REQUESTED, "its answer is awaited")                                                          \
    X(SENDING, "firmware goes out")                                                                \
    X(ENDING, "DONE is to be sent")                                                                \
    X(ENDED, "its answer is awaited")                                                              \
    X(FINISHED, "the result is final")

/* X(event, what it is) */
#define GATTOTA_HOST_EVENTS(X)                                                                     \
    GATT_HOST_EVENTS(X)                                                                            \
    X(GRANTED, "REQUEST_ACK came")                                                                 \
    X(ACCEPTED, "DONE_ACK came")                                                                   \
    X(REFUSED, "REQUEST_NAK or DONE_NAK came")

/* X(state, event, action, next, in words) */
#define GATTOTA_HOST_ROWS(X)                                                                       \
    X(ANNOUNCING, STEP, send_size, REQUESTING, "write the packet size to data")                    \
    X(ANNOUNCING, TIMEOUT, from_start, ANNOUNCING, "all again, a bounded number of times")         \
    X(ANNOUNCING, LOST, gatt_lost, FINISHED, "fail")                                               \
    X(ANNOUNCING, CANCEL, gatt_cancelled, FINISHED, "stop: the end of the link tells the device")  \
                                                                                                   \
    X(REQUESTING, STEP, send_request, REQUESTED, "write REQUEST to control")                       \
    X(REQUESTING, ATT_ERROR, gatt_att_error, FINISHED, "fail")                                     \
    X(REQUESTING, TIMEOUT, from_start, ANNOUNCING, "all again, a bounded number of times")         \
    X(REQUESTING, LOST, gatt_lost, FINISHED, "fail")                                               \
    X(REQUESTING, CANCEL, gatt_cancelled, FINISHED, "stop: the end of the link tells the device")  \
                                                                                                   \
    X(REQUESTED, GRANTED, granted, SENDING, "go on")                                               \
    X(REQUESTED, REFUSED, refused, FINISHED, "fail")                                               \
    X(REQUESTED, ATT_ERROR, gatt_att_error, FINISHED, "fail")                                      \
    X(REQUESTED, TIMEOUT, from_start, ANNOUNCING, "all again, a bounded number of times")          \
    X(REQUESTED, LOST, gatt_lost, FINISHED, "fail")                                                \
    X(REQUESTED, CANCEL, gatt_cancelled, FINISHED, "stop: the end of the link tells the device")   \
                                                                                                   \
    X(SENDING, STEP, send_firmware, ENDING, "write packets to data; stay until all are sent")      \
    X(SENDING, REFUSED, as_requests, ANNOUNCING, "all again as requests, or fail")                 \
    X(SENDING, ATT_ERROR, gatt_att_error, FINISHED, "fail")                                        \
    X(SENDING, TIMEOUT, from_start, ANNOUNCING, "all again, a bounded number of times")            \
    X(SENDING, LOST, gatt_lost, FINISHED, "fail")                                                  \
    X(SENDING, CANCEL, gatt_cancelled, FINISHED, "stop: the end of the link tells the device")     \
                                                                                                   \
    X(ENDING, STEP, send_done, ENDED, "write DONE to control")                                     \
    X(ENDING, REFUSED, as_requests, ANNOUNCING, "all again as requests, or fail")                  \
    X(ENDING, ATT_ERROR, gatt_att_error, FINISHED, "fail")                                         \
    X(ENDING, TIMEOUT, from_start, ANNOUNCING, "all again, a bounded number of times")             \
    X(ENDING, LOST, gatt_lost, FINISHED, "fail")                                                   \
    X(ENDING, CANCEL, gatt_cancelled, FINISHED, "stop: the end of the link tells the device")      \
                                                                                                   \
    X(ENDED, ACCEPTED, accepted, FINISHED, "success")                                              \
    X(ENDED, REFUSED, as_requests, ANNOUNCING, "all again as requests, or fail")                   \
    X(ENDED, ATT_ERROR, gatt_att_error, FINISHED, "fail")                                          \
    X(ENDED, TIMEOUT, gatt_timed_out, FINISHED, "fail")                                            \
    X(ENDED, LOST, NULL, FINISHED, "gone with everything: success, to be looked at")

#endif
