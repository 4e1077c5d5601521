/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What on this machine stands in the way of updates, and what to do about it. Each check is told
 * once, in the order in which they should be mended. Nothing is changed.
 */
#ifndef OTTER_HOST_DOCTOR_H
#define OTTER_HOST_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum otter_doctor_state {
    OTTER_DOCTOR_OK,
    OTTER_DOCTOR_WARNING, /* some things will not work */
    OTTER_DOCTOR_BAD,
};

struct otter_doctor_check {
    const char *area; /* "bluetooth", "serial", "https", "files" */
    const char *name; /* one word: "adapter" */
    enum otter_doctor_state state;
    char found[256];  /* what is so, in words */
    char advice[320]; /* what to do; empty when nothing is to be done */
};

typedef void (*otter_doctor_tell)(void *ctx, const struct otter_doctor_check *check);

/* The areas, ended by NULL. */
extern const char *const otter_doctor_areas[];

/* Checks one of the areas, or all when it is NULL. */
void otter_doctor_run(const char *area, otter_doctor_tell tell, void *ctx);

/* ---- for the checks themselves -------------------------------------------------------------- */

void otter_doctor_bluetooth(otter_doctor_tell tell, void *ctx); /* doctor_ble.c */

/* True when this process has the group already; else advice says how to join it. */
bool otter_doctor_join(char *advice, size_t size, const char *group);

__attribute__((format(printf, 4, 5))) void otter_doctor_say(struct otter_doctor_check *check,
                                                            enum otter_doctor_state state,
                                                            const char *advice, const char *format,
                                                            ...);

#endif
