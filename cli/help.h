/* SPDX-License-Identifier: Apache-2.0 */
/* Help, suggestions and completion, all made from the table of commands. What is printed fits a
 * screen of 24 lines of 80 columns. */
#ifndef OTTER_CLI_HELP_H
#define OTTER_CLI_HELP_H

#include <stdio.h>

#include "cli.h"

void help_overview(FILE *f);
/* all: also the options that are rarely needed. */
void help_command(FILE *f, const struct command *command, bool all);
/* The commands whose name begins with this word: "image". */
void help_group(FILE *f, const char *group);
/* False: there is no such shell. */
bool completion(const char *shell);

/* The command with this name ("image info"), or NULL. */
const struct command *command_find(const char *name);
bool group_exists(const char *word);

/* The nearest command, or first word of one, to what was typed; NULL when none is near. Within a
 * group (not NULL) its second words are searched. */
const char *suggest_command(const char *group, const char *typed);
const char *suggest_option(const struct command *command, const char *typed);

#endif
