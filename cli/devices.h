/* SPDX-License-Identifier: Apache-2.0 */
/* Looking for devices, and what is shown of one. */
#ifndef OTTER_CLI_DEVICES_H
#define OTTER_CLI_DEVICES_H

#include "cli.h"
#include "host/target.h"

struct device_entry {
    char *uri;
    struct otter_target_device device;
};

struct device_list {
    struct device_entry *entries;
    size_t count;
    bool live;           /* shown while it grows */
    size_t drawn;        /* lines of it on the terminal */
    char complaint[320]; /* of a scheme that could not search, one sentence; empty: none */
};

/* Searches with this scheme, or with all of them when it is NULL; Ctrl-C ends the search. live:
 * standard output is a terminal, on which the list is shown as it grows. What can be updated comes
 * first. The list is freed with device_list_free(). An exit code. */
int device_list_scan(struct device_list *list, const struct otter_target_scheme *scheme,
                     const struct otter_target_options *options, bool live);

/* How many at its beginning are known to take updates. */
size_t device_list_known(const struct device_list *list);

void device_list_free(struct device_list *list);

/* As a table, numbered for a choice or not. */
void device_list_print(const struct device_list *list, bool numbered);

/* "confirmed", "on trial", "rolled back", or "" when the device does not say. */
const char *device_state_text(enum otter_target_state state);

json_t *device_json(const struct otter_target_device *device);

#endif
