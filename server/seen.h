/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who polled, when, with which version. Kept by the worker for a moment and written in batches, and
 * only when it says something new: a fleet's polls are reads.
 */
#ifndef OTTERD_SEEN_H
#define OTTERD_SEEN_H

#include "request.h"
#include "store.h"

#define SEEN_BATCH 128u
/* A poll this soon after the last that the worker noted, or read, changes nothing. */
#define SEEN_FRESH_SECONDS 30

struct seen_batch;

/* Notes a poll. known: what the session has of it, which may not know yet what others noted.
 * version and running as the device said. */
void seen_note(struct request *request, const struct store_poll *known, const char *version,
               const char *running);

/* Hands the batch to the store's lane. Called every second or so. */
void seen_flush(struct worker *worker);
/* Throws away what has not been written: at the end. */
void seen_drop(struct worker *worker);
#endif
