/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command of the tool is. Each is one file with one `const struct command`, named in the
 * table of commands.c; options, help, completion and usage errors all come from that struct.
 */
#ifndef OTTER_CLI_H
#define OTTER_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "host/completion.h"
#include "otter/err.h"

enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_INVALID = 3, /* the image or flash is not valid */
    EXIT_REFUSED = 4, /* by the device, or by the policy a device would have */
    EXIT_LINK = 5,
    EXIT_NOT_BACK = 6, /* the device did not come back, or rolled back */
};

#define OPTIONS_MAX 24

/* One run of a command. */
struct call {
    const struct command *command;
    const char *option[OPTIONS_MAX]; /* by the command's own index; NULL: not given */
    char **args;
    int arg_count;
    json_t *json; /* with --json: the object printed at the end, the command fills it; else NULL */
};

struct command {
    const char *name;  /* "image info" */
    const char *args;  /* "FILE", as the usage line shows it */
    const char *brief; /* one line for lists */
    const char *about; /* for its own help: a few lines, ended by a newline */
    const char *schema;
    const struct option_spec *options; /* ended by one without a name; --json and --help are
                                          everywhere and not listed; NULL: no others */
    int args_min;
    int args_max;
    int (*run)(struct call *call); /* returns an exit code */
};

/* commands.c: the table, ended by NULL. */
extern const struct command *const commands[];

/* Reports a failure: one sentence to stderr (and as "error" in JSON). Returns code. */
__attribute__((format(printf, 3, 4))) int fail(struct call *call, int code, const char *format,
                                               ...);

/* The exit code that stands for a library error. */
int exit_code_for(otter_err err);

/* Reads an option that is a number, with 0x and the suffixes K and M; reports a usage error and
 * returns false when it is not one or is above max. An absent option leaves *value alone. */
bool option_number(struct call *call, int option, unsigned long max, unsigned long *value);

#endif
