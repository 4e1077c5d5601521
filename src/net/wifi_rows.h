/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection as a table: in this state, on this event, do this, then go there; if it fails, go
 * to the last one. An event without a row means nothing in that state. docs/esp-idf.md shows the
 * same rows; a test holds the two together.
 */
#ifndef OTTER_NET_WIFI_ROWS_H
#define OTTER_NET_WIFI_ROWS_H

/* clang-format off */
#define OTTER_WIFI_ROWS(X)                                                              \
    /* state         event         action        next           when it fails */        \
    X(OFF,           CONNECT,      join_first,   JOINING,       OFF)                    \
    X(JOINING,       JOINED,       await_address,ADDRESSING,    OFF)                    \
    X(JOINING,       LEFT,         join_again,   JOINING,       OFF)                    \
    X(JOINING,       TIMEOUT,      give_up_join, LEAVING,       OFF)                    \
    X(JOINING,       DISCONNECT,   leave,        LEAVING,       OFF)                    \
    X(ADDRESSING,    ADDRESS,      arrive,       ON,            OFF)                    \
    X(ADDRESSING,    LEFT,         join_again,   JOINING,       OFF)                    \
    X(ADDRESSING,    TIMEOUT,      give_up_addr, LEAVING,       OFF)                    \
    X(ADDRESSING,    DISCONNECT,   leave,        LEAVING,       OFF)                    \
    X(ON,            LEFT,         pause,        LOST,          OFF)                    \
    X(ON,            ADDRESS_LOST, drop,         LOST,          OFF)                    \
    X(ON,            DISCONNECT,   leave,        LEAVING,       OFF)                    \
    X(LOST,          TIMEOUT,      rejoin,       REJOINING,     LOST)                   \
    X(LOST,          DISCONNECT,   nothing,      OFF,           OFF)                    \
    X(REJOINING,     JOINED,       await_address,READDRESSING,  LOST)                   \
    X(REJOINING,     LEFT,         pause,        LOST,          OFF)                    \
    X(REJOINING,     TIMEOUT,      drop,         LOST,          OFF)                    \
    X(REJOINING,     DISCONNECT,   leave,        LEAVING,       OFF)                    \
    X(READDRESSING,  ADDRESS,      arrive,       ON,            LOST)                   \
    X(READDRESSING,  LEFT,         pause,        LOST,          OFF)                    \
    X(READDRESSING,  TIMEOUT,      drop,         LOST,          OFF)                    \
    X(READDRESSING,  DISCONNECT,   leave,        LEAVING,       OFF)                    \
    X(LEAVING,       LEFT,         nothing,      OFF,           OFF)                    \
    X(LEAVING,       TIMEOUT,      leave_late,   OFF,           OFF)
/* clang-format on */

#endif
