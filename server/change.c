/* SPDX-License-Identifier: Apache-2.0 */
#include "change.h"

#include <stdlib.h>

#include "log.h"
#include "upload.h"

static void change_run(struct work *work, struct lane *lane)
{
    struct change *change = (struct change *)work;
    change->result = change->apply(change, lane->ctx);
}

static void change_done(struct work *work)
{
    struct change *change = (struct change *)work;
    struct request *request = work->request;
    if (change->result == STORE_OK) {
        change->answer(request, change);
    } else {
        store_failed(request, change->result, "there is no such thing");
    }
}

static void change_free(struct work *work)
{
    struct change *change = (struct change *)work;
    if (change->upload != NULL) {
        upload_abort(change->upload);
    }
    free(change);
}

struct change *change_new(struct request *request)
{
    struct change *change = calloc(1, sizeof *change);
    if (change == NULL) {
        reply_error(request, 503, "out of memory");
        return NULL;
    }
    change->server = request->server;
    change->work.run = change_run;
    change->work.done = change_done;
    change->work.free = change_free;
    return change;
}

void change_post(struct request *request, struct change *change)
{
    work_post(request, &request->server->store_lane, &change->work);
}

void store_failed(struct request *request, enum store_result result, const char *none)
{
    static const struct {
        int status;
        const char *text;
    } answers[] = {
        [STORE_OK] = {500, "nothing is wrong"},
        [STORE_NONE] = {404, NULL},
        [STORE_BUSY] = {503, "the database is locked by another program"},
        [STORE_FULL] = {507, "the disk is full; what was there before is kept"},
        [STORE_LOST] = {503, "the store cannot be used at the moment"},
        [STORE_BROKEN] = {503, "the database is damaged"},
    };
    int status = answers[result].status;
    const char *text = result == STORE_NONE ? none : answers[result].text;
    if (status >= 500) {
        metrics_add(&request->worker->metrics, METRIC_STORE_ERRORS, 1);
        log_event(LOG_LEVEL_ERROR, "store", "%s", text);
    }
    if (status == 503) {
        reply_field(request, "Retry-After", "5");
    }
    reply_error(request, status, text);
}
