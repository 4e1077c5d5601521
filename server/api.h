/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers that the table of routes names. */
#ifndef OTTERD_API_H
#define OTTERD_API_H

struct request;

/* api_misc.c */
void api_health(struct request *request);
#endif
