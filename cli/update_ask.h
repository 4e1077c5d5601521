/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OTTER_CLI_UPDATE_ASK_H
#define OTTER_CLI_UPDATE_ASK_H

#include "cli.h"
#include "host/target.h"

/* On a terminal: searches, lists what it found and asks which device; *uri is freed by the caller.
 * An exit code. */
int ask_target(struct call *call, const struct otter_target_options *options, char **uri);

/* Asks for the firmware file. */
int ask_firmware(struct call *call, char **path);

#endif
