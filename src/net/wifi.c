/* SPDX-License-Identifier: Apache-2.0 */
#include "otter/wifi.h"

#include <stddef.h>

#include "base/fsm.h"
#include "net/wifi_rows.h"

enum event {
    ON_JOINED = OTTER_WIFI_JOINED,
    ON_LEFT = OTTER_WIFI_LEFT,
    ON_ADDRESS = OTTER_WIFI_ADDRESS,
    ON_ADDRESS_LOST = OTTER_WIFI_ADDRESS_LOST,
    ON_CONNECT,
    ON_DISCONNECT,
    ON_TIMEOUT,
};

static void set_timer(struct otter_wifi *w, uint32_t ms, const void *now)
{
    w->timed = true;
    w->due_ms = *(const uint32_t *)now + ms;
}

/* ---- actions ------------------------------------------------------------------------------- */

#define nothing NULL

static otter_err command(struct otter_wifi *w, otter_err (*driver)(void *ctx))
{
    otter_err err = driver(w->config.ctx);

    if (err != OTTER_OK) {
        w->planned = OTTER_WIFI_SYSTEM_ERROR;
    }
    return err;
}

static otter_err join_first(void *machine, void *now)
{
    struct otter_wifi *w = machine;

    w->tries = 1;
    w->retry_ms = w->config.retry_ms;
    set_timer(w, w->config.join_ms, now);
    return command(w, w->config.join);
}

/* Lost before there was an address: once more, in the time that the first join began. */
static otter_err join_again(void *machine, void *now)
{
    struct otter_wifi *w = machine;

    if (w->tries >= w->config.tries) {
        w->planned =
            w->state == OTTER_WIFI_JOINING ? OTTER_WIFI_CONNECTION_ERROR : OTTER_WIFI_DISCONNECTED;
        return OTTER_ERR_RETRIES;
    }
    w->tries++;
    if (w->state == OTTER_WIFI_ADDRESSING) {
        set_timer(w, w->config.join_ms, now);
    }
    return command(w, w->config.join);
}

static otter_err await_address(void *machine, void *now)
{
    struct otter_wifi *w = machine;

    set_timer(w, w->config.address_ms, now);
    return OTTER_OK;
}

static otter_err arrive(void *machine, void *now)
{
    struct otter_wifi *w = machine;

    w->timed = false;
    w->retry_ms = w->config.retry_ms;
    return OTTER_OK;
}

static otter_err leave_with(struct otter_wifi *w, enum otter_wifi_status planned, const void *now)
{
    w->planned = (uint8_t)planned;
    set_timer(w, w->config.leave_ms, now);
    return command(w, w->config.leave);
}

static otter_err leave(void *machine, void *now)
{
    return leave_with(machine, OTTER_WIFI_OK, now);
}

static otter_err give_up_join(void *machine, void *now)
{
    return leave_with(machine, OTTER_WIFI_CONNECTION_ERROR, now);
}

static otter_err give_up_addr(void *machine, void *now)
{
    return leave_with(machine, OTTER_WIFI_ADDRESS_TIMEOUT, now);
}

static otter_err leave_late(void *machine, void *now)
{
    struct otter_wifi *w = machine;

    if (w->planned == OTTER_WIFI_OK) {
        w->planned = OTTER_WIFI_TIMEOUT;
    }
    return OTTER_OK;
}

static otter_err pause(void *machine, void *now)
{
    struct otter_wifi *w = machine;

    if (!w->config.stay) {
        w->planned = OTTER_WIFI_DISCONNECTED;
        return OTTER_ERR_LINK;
    }
    set_timer(w, w->retry_ms, now);
    w->retry_ms =
        w->retry_ms <= w->config.retry_max_ms / 2 ? w->retry_ms * 2 : w->config.retry_max_ms;
    return OTTER_OK;
}

/* The link is there and of no use. */
static otter_err drop(void *machine, void *now)
{
    struct otter_wifi *w = machine;
    otter_err err = command(w, w->config.leave);

    return err == OTTER_OK || w->config.stay ? pause(machine, now) : err;
}

static otter_err rejoin(void *machine, void *now)
{
    struct otter_wifi *w = machine;

    set_timer(w, w->config.join_ms, now);
    otter_err err = w->config.join(w->config.ctx);
    if (err != OTTER_OK) {
        (void)!pause(machine, now);
    }
    return err;
}

#define ROW(s, e, act, n, f) {OTTER_WIFI_##s, ON_##e, OTTER_WIFI_##n, OTTER_WIFI_##f, act},
static const struct otter_fsm_row rows[] = {OTTER_WIFI_ROWS(ROW)};
static const struct otter_fsm machine = {rows, sizeof(rows) / sizeof(rows[0]), OTTER_ERR_STATE};

/* ---- the machine ----------------------------------------------------------------------------- */

/* Runs an event. True: it meant something. */
static bool run(struct otter_wifi *w, enum event event, uint32_t now)
{
    uint8_t before = w->state;
    otter_err err = otter_fsm_event(&machine, &w->state, (uint8_t)event, w, &now);

    if (w->state == OTTER_WIFI_ON && w->answer == OTTER_WIFI_PENDING) {
        w->answer = OTTER_WIFI_OK;
    }
    if (w->state == OTTER_WIFI_OFF && (before != OTTER_WIFI_OFF || err != OTTER_OK)) {
        w->timed = false;
        if (w->answer == OTTER_WIFI_PENDING) {
            w->answer = w->planned;
        }
    }
    if (w->state != before && w->config.changed != NULL) {
        w->config.changed(w->config.ctx, (enum otter_wifi_state)w->state);
    }
    return err != OTTER_ERR_STATE;
}

otter_err otter_wifi_init(struct otter_wifi *w, const struct otter_wifi_config *config)
{
    if (config->join == NULL || config->leave == NULL) {
        return OTTER_ERR_ARG;
    }
    *w = (struct otter_wifi){.config = *config};
    struct otter_wifi_config *c = &w->config;
    c->join_ms = c->join_ms != 0 ? c->join_ms : 15000;
    c->address_ms = c->address_ms != 0 ? c->address_ms : 5000;
    c->leave_ms = c->leave_ms != 0 ? c->leave_ms : 5000;
    c->retry_ms = c->retry_ms != 0 ? c->retry_ms : 1000;
    c->retry_max_ms = c->retry_max_ms != 0 ? c->retry_max_ms : 60000;
    c->tries = c->tries != 0 ? c->tries : 3;
    return OTTER_OK;
}

enum otter_wifi_status otter_wifi_connect(struct otter_wifi *w, uint32_t now)
{
    if (w->state != OTTER_WIFI_OFF) {
        return OTTER_WIFI_ALREADY;
    }
    w->answer = OTTER_WIFI_PENDING;
    w->planned = OTTER_WIFI_OK;
    (void)run(w, ON_CONNECT, now);
    return (enum otter_wifi_status)w->answer;
}

enum otter_wifi_status otter_wifi_disconnect(struct otter_wifi *w, uint32_t now)
{
    if (w->state == OTTER_WIFI_OFF || w->state == OTTER_WIFI_LEAVING) {
        return OTTER_WIFI_ALREADY;
    }
    /* A connect that still waits learns it from the glue: the answer is the disconnect's now. */
    w->answer = OTTER_WIFI_PENDING;
    w->planned = OTTER_WIFI_OK;
    (void)run(w, ON_DISCONNECT, now);
    return (enum otter_wifi_status)w->answer;
}

void otter_wifi_event(struct otter_wifi *w, enum otter_wifi_event event, uint32_t now)
{
    (void)run(w, (enum event)event, now);
}

uint32_t otter_wifi_poll(struct otter_wifi *w, uint32_t now)
{
    if (w->timed && now - w->due_ms <= INT32_MAX) {
        w->timed = false;
        (void)run(w, ON_TIMEOUT, now);
    }
    if (!w->timed) {
        return OTTER_WIFI_NEVER;
    }
    uint32_t left = w->due_ms - now;
    return left <= INT32_MAX ? left : 0;
}
