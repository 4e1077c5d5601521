/* SPDX-License-Identifier: Apache-2.0 */
/* Ctrl-C and SIGTERM as a count, for work that has to be ended cleanly. */
#ifndef OTTER_CLI_STOP_H
#define OTTER_CLI_STOP_H

#include <signal.h>

/* From now on: how often the user has asked to stop. First: end cleanly. Second: at once. Third:
 * whatever the system does. Waits end (EINTR). */
const volatile sig_atomic_t *stop_watch(void);

/* As before stop_watch(); the count is 0 again. */
void stop_unwatch(void);

#endif
