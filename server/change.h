/* SPDX-License-Identifier: Apache-2.0 */
/* A change to the store on behalf of a request: carried out on the store's lane, then answered. */
#ifndef OTTERD_CHANGE_H
#define OTTERD_CHANGE_H

#include "request.h"
#include "server.h"
#include "store.h"
#include "work.h"

struct change {
    struct work work;
    struct server *server;
    enum store_result (*apply)(struct change *change, struct store *store);
    void (*answer)(struct request *request, struct change *change); /* only after STORE_OK */
    enum store_result result;
    uint64_t count;
    bool replaced;
    struct store_device device;
    struct store_file file;
    struct upload *upload;
};

/* NULL when there is no memory: then the request has been answered. */
struct change *change_new(struct request *request);
void change_post(struct request *request, struct change *change);

/* The answer to a store call that did not work, but for STORE_NONE: 404 with `none`. */
void store_failed(struct request *request, enum store_result result, const char *none);
#endif
