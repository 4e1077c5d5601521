/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's work on a lane. It outlives the request when the client goes away meanwhile: what was
 * begun is carried out, only nobody is told.
 */
#ifndef OTTERD_WORK_H
#define OTTERD_WORK_H

#include "job.h"

struct request;

struct work {
    struct job job;
    struct request *request; /* NULL: the client has gone */
    void (*run)(struct work *work, struct lane *lane);
    void (*done)(struct work *work); /* on the worker, while the request is there; may be NULL */
    void (*free)(struct work *work);
};

/* Hands work over; its run, done and free are set. The request waits. */
void work_post(struct request *request, struct lane *lane, struct work *work);
#endif
