/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of starting that happen once, in this order. Each says on standard error what is wrong. */
#ifndef OTTERD_START_H
#define OTTERD_START_H

#include "server.h"

/* Makes the data folder if it is missing; started as root, for the account to become. */
bool start_folder(const struct options *options);
/* Becomes that account, for good. Nothing to do unless started as root. */
bool start_drop_privileges(const struct options *options);
/* Takes the data folder for this process alone, brings the database to its present shape, clears
 * up after a crash, takes over the first server's files, and starts the lanes. */
bool start_store(struct server *server);
void stop_store(struct server *server);
bool start_failed(const char *format, ...) __attribute__((format(printf, 1, 2)));
#endif
