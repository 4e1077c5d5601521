/* SPDX-License-Identifier: Apache-2.0 */
/* What the power is cut in: a flash, a partition table, a history, and an update on top of it. */
#ifndef OTTER_TESTS_SCENARIO_H
#define OTTER_TESTS_SCENARIO_H

#include <stdbool.h>

#include "tests/powerloss/world.h"

/* What happened before. */
enum history {
    FRESH,       /* nothing: otadata is blank */
    UPDATED,     /* one update, confirmed */
    UPDATED_OFT, /* three */
    REJECTED,    /* one update that gave itself up: its image is still there, whole */
    CRASHED,     /* one that never confirmed: the same */
    FELL_BACK,   /* two updates, then the running image was damaged */
    EXHAUSTED,   /* otadata has no seq left */
    HISTORY_COUNT
};

/* What the power is cut during. */
enum play {
    CONFIRM,   /* an update that confirms */
    ROLL_BACK, /* one that gives itself up */
    CRASH,     /* one that never confirms */
    GIVE_UP,   /* one that is aborted half way */
    PLAY_COUNT
};

struct scenario {
    unsigned geometry;
    unsigned shape;
    unsigned history;
    unsigned play;
    unsigned rollback; /* bootloader and application have it enabled */
};

#define GEOMETRY_COUNT 9u
#define SHAPE_COUNT 4u
extern const struct geometry geometries[GEOMETRY_COUNT];
extern const struct shape shapes[SHAPE_COUNT];

/* Giving up and never confirming mean nothing to a bootloader without rollback. */
bool scenario_possible(const struct scenario *s);

/* Makes w the device of the scenario, with its history behind it. False: see w->why. */
bool scenario_start(struct world *w, const struct scenario *s, const struct gallery *gallery);

/* The update and what follows it. False: see w->why. */
bool scenario_play(struct world *w, const struct scenario *s);
#endif
