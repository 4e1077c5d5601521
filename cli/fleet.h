/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A crowd of virtual devices on an update server: each is the pure device half with a connection of
 * its own, and a sink that verifies the image as it passes and keeps nothing of it. One thread.
 */
#ifndef OTTER_CLI_FLEET_H
#define OTTER_CLI_FLEET_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/https.h"
#include "otter/fuota.h"

#define FLEET_CAUSES 16u
#define FLEET_BUCKETS 160u /* each a tenth wider than the one before, from 0.1 ms on */

/* Times in milliseconds, as a histogram. */
struct fleet_times {
    uint64_t count;
    double max;
    uint32_t bucket[FLEET_BUCKETS];
};

struct fleet_cause {
    char text[96];
    uint64_t count;
};

struct fleet_options {
    const struct otter_https *https;
    const char *server;
    const char *prefix;  /* of the ids */
    const char *version; /* that they run at first */
    uint32_t devices;
    uint32_t at_once; /* attempts under way at a time, at most */
    uint32_t poll_ms;
    uint32_t time_ms; /* ends after this; 0: does not */
    bool once;        /* ends when each device has taken an update and asked again */
    const volatile sig_atomic_t *stop;
    void (*progress)(void *ctx); /* about once a second */
    void *ctx;
};

/* What happened. Callers may read it at any time. */
struct fleet_counts {
    uint32_t active;   /* attempts under way */
    uint32_t finished; /* devices that took an update and asked again */
    uint64_t checks, offers, updates, no_updates, reports, pauses, errors;
    uint64_t bytes; /* of images */
    uint32_t cause_count;
    struct fleet_cause causes[FLEET_CAUSES]; /* of errors and pauses; the last is "others" */
    struct fleet_times check;                /* from the connection's start to the answer */
    struct fleet_times update;               /* from the offer to the verified image */
    uint32_t ran_ms;
};

/* Runs the fleet to its end. False: error says why it could not begin. */
bool fleet_run(const struct fleet_options *options, struct fleet_counts *counts, char error[256]);

/* The time below which this part of all of them lies; 0 without any. */
double fleet_times_part(const struct fleet_times *times, double part);

#endif
