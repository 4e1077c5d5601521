/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client as a table: in this state, on this event, do this, then go there; if it fails, go to
 * the last one. docs/protocols/fuota.md shows the same rows; a test holds the two together.
 * Whatever returns to IDLE ends the attempt, and its outcome decides when the next one is.
 */
#ifndef OTTER_PROTO_FUOTA_ROWS_H
#define OTTER_PROTO_FUOTA_ROWS_H

/* clang-format off */
#define OTTER_FUOTA_ROWS(X)                                                       \
    /* state     event     action       next       when it fails */              \
    X(IDLE,      DUE,      ask_check,   CHECK,     IDLE)                          \
    X(CHECK,     SENT,     nothing,     CHECKING,  IDLE)                          \
    X(CHECK,     FAILED,   fail,        IDLE,      IDLE)                          \
    X(CHECKING,  REDIRECT, follow,      CHECK,     IDLE)                          \
    X(CHECKING,  NO_FILE,  nothing,     IDLE,      IDLE)                          \
    X(CHECKING,  FILE,     ask_file,    FETCH,     IDLE)                          \
    X(CHECKING,  KEPT,     begin_again, TAKING,    IDLE)                          \
    X(CHECKING,  FAILED,   fail,        IDLE,      IDLE)                          \
    X(TAKING,    STEP,     take_step,   FETCH,     IDLE)                          \
    X(TAKING,    FAILED,   fail,        IDLE,      IDLE)                          \
    X(FETCH,     SENT,     nothing,     FETCHING,  IDLE)                          \
    X(FETCH,     FAILED,   fail,        IDLE,      IDLE)                          \
    X(FETCHING,  REDIRECT, follow,      FETCH,     IDLE)                          \
    X(FETCHING,  NO_FILE,  nothing,     IDLE,      IDLE)                          \
    X(FETCHING,  CUT,      hold,        PAUSE,     IDLE)                          \
    X(FETCHING,  WHOLE,    nothing,     FINISHING, IDLE)                          \
    X(FETCHING,  FAILED,   fail,        IDLE,      IDLE)                          \
    X(PAUSE,     DUE,      ask_file,    FETCH,     IDLE)                          \
    X(PAUSE,     FAILED,   fail,        IDLE,      IDLE)                          \
    X(FINISHING, STEP,     finish_step, SELECTED,  IDLE)                          \
    X(FINISHING, FAILED,   fail,        IDLE,      IDLE)
/* clang-format on */

enum otter_fuota_state {
    OTTER_FUOTA_IDLE,      /* until the next check */
    OTTER_FUOTA_CHECK,     /* the check is to be sent */
    OTTER_FUOTA_CHECKING,  /* its answer is coming */
    OTTER_FUOTA_TAKING,    /* what an earlier download left is taken up, step by step */
    OTTER_FUOTA_FETCH,     /* the request for the file is to be sent */
    OTTER_FUOTA_FETCHING,  /* the file is coming */
    OTTER_FUOTA_PAUSE,     /* between two tries of a download that was cut */
    OTTER_FUOTA_FINISHING, /* the sink verifies, step by step */
    OTTER_FUOTA_SELECTED,  /* restart */
};

#endif
