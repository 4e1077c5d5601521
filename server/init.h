/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OTTERD_INIT_H
#define OTTERD_INIT_H

#include "options.h"

/* `otterd init DIR` and `otterd passwd FILE NAME ROLE`. Return the exit code. */
int init_run(const struct options *options);
int passwd_run(const struct options *options);
#endif
