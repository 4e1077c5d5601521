/* SPDX-License-Identifier: Apache-2.0 */
/* What a connection does with its request. Handlers see request.h instead. */
#ifndef OTTERD_REQUEST_LIFE_H
#define OTTERD_REQUEST_LIFE_H

#include "request.h"

/* A request with the len bytes of its head; NULL when there is no memory. */
struct request *request_new(struct conn *conn, const uint8_t *head, size_t len);

/* Parses, routes, checks credentials. Afterwards the request is answered, waits for a lane, or
 * wants its body. */
void request_start(struct request *request);

/* Answers a head that could not even be read. */
void request_refuse(struct request *request, enum http_refusal refusal);

/* Takes bytes of the body; returns how many. Calls the route's handler at the body's end. */
size_t request_body(struct request *request, const uint8_t *data, size_t len);

/* True while a lane works for it. */
bool request_waits(const struct request *request);

/* The answer is whole: count and log. */
void request_finish(struct request *request);

/* At any time: what was begun is given up. */
void request_free(struct request *request);
#endif
