/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completion scripts for bash, zsh and fish, made from the tables that a program reads its options
 * by: what is added there is completed.
 */
#ifndef OTTER_HOST_COMPLETION_H
#define OTTER_HOST_COMPLETION_H

#include <stdbool.h>
#include <stddef.h>

struct option_spec {
    const char *name; /* long name without dashes */
    char letter;      /* short name, or 0 */
    const char *arg;  /* "FILE", or NULL for a switch; "a|b|c" lists all values there are */
    const char *help; /* one line, what it does and its default */
    bool rare;        /* left out of the short help */
};

struct completion_command {
    const char *name; /* one word or two, "image info"; those of one group stand together */
    const char *brief;
    const struct option_spec *options; /* ended by one without a name; NULL: none of its own */
};

struct completion {
    const char *program;
    const struct completion_command *commands; /* ended by one without a name; NULL: none */
    const struct option_spec *top;             /* options where no command was named */
    const struct option_spec *common;          /* options of every command; NULL: those of top */
    const char *chips;                         /* the values of an argument CHIP, "a|b|c" */
};

/* Prints the script for "bash", "zsh" or "fish"; false: there is no such shell. */
bool completion_print(const struct completion *completion, const char *shell);

#endif
