/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device half as a table: in this state, on this event, do this, then go there; if it fails,
 * go to the last one. A request that has no row is answered with OTTER_ERR_STATE and changes
 * nothing. docs/protocols/hosted.md shows the same rows; a test holds the two together.
 */
#ifndef OTTER_PROTO_HOSTED_DEVICE_ROWS_H
#define OTTER_PROTO_HOSTED_DEVICE_ROWS_H

/* clang-format off */
#define OTTER_HOSTED_DEVICE_ROWS(X)                                                    \
    /* state     event     action          next        when it fails */                \
    X(IDLE,       BEGIN,    begin,          RECEIVING,  IDLE)                          \
    X(RECEIVING,  BEGIN,    begin,          RECEIVING,  IDLE)                          \
    X(RECEIVING,  WRITE,    take_chunk,     WRITING,    RECEIVING)                     \
    X(RECEIVING,  END,      nothing,        CHECKING,   IDLE)                          \
    X(RECEIVING,  SILENCE,  give_up,        IDLE,       IDLE)                          \
    X(WRITING,    STEP,     write_step,     RECEIVING,  IDLE)                          \
    X(CHECKING,   STEP,     check_step,     RESTARTING, IDLE)                          \
    X(RESTARTING, RESTART,  restart,        RESTARTED,  RESTARTED)
/* clang-format on */

#endif
