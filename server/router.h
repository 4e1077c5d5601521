/* SPDX-License-Identifier: Apache-2.0 */
/* Routes: a table. What a request may do is decided here, before any of its body is read. */
#ifndef OTTERD_ROUTER_H
#define OTTERD_ROUTER_H

#include <stdbool.h>

#include "http_parse.h"

struct request;

enum role { ROLE_NONE, ROLE_DEVICE, ROLE_ADMIN };

enum route_body {
    BODY_NONE,  /* a body is refused */
    BODY_SMALL, /* gathered, at most ROUTE_SMALL_MAX bytes */
    BODY_FILE,  /* passed on as it comes */
};

#define ROUTE_SMALL_MAX 65536u

struct route {
    enum http_method method;
    const char *pattern; /* "{}" stands for one segment, a last "*" for one or more */
    enum role role;
    enum route_body body;
    void (*handle)(struct request *request); /* called when the body, if any, is complete */
    void (*begin)(struct request *request);  /* called before the body is read; may be NULL */
};

/* The route for a request. NULL when there is none; then *allow is the list of methods the path
 * has, or empty when it has none at all. */
const struct route *router_find(enum http_method method, const struct http_path *path,
                                char allow[64]);
/* Prints "METHOD pattern role" lines. */
void router_print(void);
const char *http_method_name(enum http_method method);
#endif
