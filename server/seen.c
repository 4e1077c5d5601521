/* SPDX-License-Identifier: Apache-2.0 */
#include "seen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conn.h"
#include "job.h"
#include "server.h"

struct seen_batch {
    struct job job;
    struct worker *worker;
    size_t count;
    struct store_device devices[SEEN_BATCH];
};

static void batch_run(struct job *job, struct lane *lane)
{
    struct seen_batch *batch = (struct seen_batch *)job;
    struct server *server = batch->worker->server;
    /* What cannot be written is said again: news by the next poll, the time of a poll by one that
     * comes SEEN_FRESH_SECONDS later. */
    enum store_result result = server->store_ops->seen(lane->ctx, batch->devices, batch->count,
                                                       server->options.max_devices);
    (void)result;
}

static void batch_done(struct job *job)
{
    struct seen_batch *batch = (struct seen_batch *)job;
    batch->worker->seen_busy = false;
    free(batch);
}

static bool is_news(const struct store_poll *known, const char *version, const char *running,
                    const char *address, int64_t now)
{
    /* A clock that was set back makes last_seen lie in the future. */
    int64_t age = now - known->last_seen;
    return age > SEEN_FRESH_SECONDS || age < 0 || strcmp(known->version, version) != 0 ||
           strcmp(known->running, running) != 0 || strcmp(known->address, address) != 0;
}

void seen_note(struct request *request, const struct store_poll *known, const char *version,
               const char *running)
{
    struct worker *worker = request->worker;
    const char *address = request->conn->address;
    int64_t now = time(NULL);
    if (!is_news(known, version, running, address, now)) {
        return;
    }
    if (worker->seen != NULL && worker->seen->count == SEEN_BATCH) {
        seen_flush(worker);
    }
    if (worker->seen == NULL) {
        worker->seen = malloc(sizeof *worker->seen);
        if (worker->seen == NULL) {
            return;
        }
        worker->seen->worker = worker;
        worker->seen->count = 0;
    }
    if (worker->seen->count == SEEN_BATCH) {
        return; /* the last batch is still being written: this poll goes unnoted */
    }
    struct store_device *device = &worker->seen->devices[worker->seen->count++];
    memcpy(device->id, known->id, sizeof device->id);
    device->last_seen = now;
    snprintf(device->version, sizeof device->version, "%s", version);
    snprintf(device->running, sizeof device->running, "%s", running);
    snprintf(device->address, sizeof device->address, "%s", address);
    worker->server->store_ops->noted(worker->store, known->id, now);
}

void seen_flush(struct worker *worker)
{
    struct seen_batch *batch = worker->seen;
    if (batch == NULL || batch->count == 0 || worker->seen_busy) {
        return;
    }
    worker->seen = NULL;
    worker->seen_busy = true;
    batch->job = (struct job){.home = &worker->home, .run = batch_run, .done = batch_done};
    lane_post(&worker->server->store_lane, &batch->job);
}

void seen_drop(struct worker *worker)
{
    free(worker->seen);
    worker->seen = NULL;
}
