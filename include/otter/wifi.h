/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Wi-Fi station's connection as a state machine: join, get an address, come back when the link
 * is lost, leave. The driver is the port's; its events come in, its commands go out.
 *
 * One thread at a time calls in. Times are milliseconds of a clock that runs steadily; it may wrap.
 */
#ifndef OTTER_WIFI_H
#define OTTER_WIFI_H

#include <stdbool.h>
#include <stdint.h>

#include "otter/err.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OTTER_WIFI_NEVER UINT32_MAX

/* How a request went. */
enum otter_wifi_status {
    OTTER_WIFI_OK,
    OTTER_WIFI_PENDING,          /* look again after the next event or poll */
    OTTER_WIFI_CONNECTION_ERROR, /* the access point is not there, or refused */
    OTTER_WIFI_ADDRESS_TIMEOUT,  /* joined, but no address came */
    OTTER_WIFI_DISCONNECTED,     /* joined, and lost before an address came; or disconnect was
                                    called meanwhile */
    OTTER_WIFI_ALREADY,          /* connect: connected or connecting; disconnect: not connected */
    OTTER_WIFI_BAD_PARAMETER,
    OTTER_WIFI_TIMEOUT,      /* disconnect: the driver did not say that it is done */
    OTTER_WIFI_SYSTEM_ERROR, /* the driver refused a command */
};

/* What the driver says. */
enum otter_wifi_event {
    OTTER_WIFI_JOINED,
    OTTER_WIFI_LEFT, /* or could not join */
    OTTER_WIFI_ADDRESS,
    OTTER_WIFI_ADDRESS_LOST,
};

enum otter_wifi_state {
    OTTER_WIFI_OFF,
    OTTER_WIFI_JOINING,
    OTTER_WIFI_ADDRESSING,
    OTTER_WIFI_ON,   /* connected, with an address */
    OTTER_WIFI_LOST, /* was on; waits before it joins again */
    OTTER_WIFI_REJOINING,
    OTTER_WIFI_READDRESSING,
    OTTER_WIFI_LEAVING,
};

struct otter_wifi_config {
    /* Commands to the driver: they return at once, and the outcome comes as an event. */
    otter_err (*join)(void *ctx);
    otter_err (*leave)(void *ctx);
    void (*changed)(void *ctx, enum otter_wifi_state state); /* may be NULL */
    void *ctx;
    uint32_t join_ms;      /* to join, tries included; default 15,000 */
    uint32_t address_ms;   /* to get an address; default 5,000 */
    uint32_t leave_ms;     /* default 5,000 */
    uint32_t retry_ms;     /* before joining again after a loss; default 1,000, doubled each time */
    uint32_t retry_max_ms; /* default 60,000 */
    uint8_t tries;         /* of joining, for a connect; default 3 */
    bool stay;             /* after a loss join again until disconnect; else OFF */
};

struct otter_wifi {
    struct otter_wifi_config config;
    uint32_t due_ms;
    uint32_t retry_ms; /* next pause after a loss */
    uint8_t state;     /* enum otter_wifi_state */
    uint8_t answer;    /* enum otter_wifi_status, of the last request */
    uint8_t planned;   /* what LEAVING ends with */
    uint8_t tries;
    bool timed; /* due_ms counts */
};

/* config is copied. OTTER_ERR_ARG: a command is missing. */
OTTER_CHECKED otter_err otter_wifi_init(struct otter_wifi *w,
                                        const struct otter_wifi_config *config);

/* Requests. OTTER_WIFI_PENDING: the answer comes later, in w->answer. */
enum otter_wifi_status otter_wifi_connect(struct otter_wifi *w, uint32_t now_ms);
enum otter_wifi_status otter_wifi_disconnect(struct otter_wifi *w, uint32_t now_ms);

void otter_wifi_event(struct otter_wifi *w, enum otter_wifi_event event, uint32_t now_ms);

/* What is due. Returns when to call again, in ms; OTTER_WIFI_NEVER: after the next event. Call it
 * after each of the others, too. */
uint32_t otter_wifi_poll(struct otter_wifi *w, uint32_t now_ms);

#ifdef __cplusplus
}
#endif
#endif
