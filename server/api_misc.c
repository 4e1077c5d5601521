/* SPDX-License-Identifier: Apache-2.0 */
/* For those who watch the server. */
#include <stdio.h>
#include <string.h>

#include "api.h"
#include "change.h"
#include "request.h"
#include "server.h"
#include "tls.h"

/* Well means: the store answers. */
void api_health(struct request *request)
{
    struct store_file file;
    enum store_result result =
        request->server->store_ops->file_get(request->worker->store, "", &file);
    if (result != STORE_OK && result != STORE_NONE) {
        store_failed(request, result, "");
        return;
    }
    reply_bytes(request, 200, "text/plain; charset=utf-8", "ok\n", 3);
}

struct metric_row {
    const char *name;
    const char *help;
    const char *label;
};

static const struct metric_row metric_rows[] = {
#define METRIC_ROW(id, name, help, label) {name, help, label},
    METRICS(METRIC_ROW)
#undef METRIC_ROW
};

static void add_gauge(struct evbuffer *out, const char *name, const char *help, long long value)
{
    evbuffer_add_printf(out, "# HELP %s %s\n# TYPE %s gauge\n%s %lld\n", name, help, name, name,
                        value);
}

void api_metrics(struct request *request)
{
    struct server *server = request->server;
    struct evbuffer *out = evbuffer_new();
    if (out == NULL) {
        reply_error(request, 503, "out of memory");
        return;
    }
    for (int i = 0; i < METRIC_COUNT; i++) {
        const struct metric_row *row = &metric_rows[i];
        uint64_t sum = 0;
        for (uint32_t k = 0; k < server->worker_count; k++) {
            sum += metrics_get(&server->workers[k].metrics, (enum metric)i);
        }
        if (row->help[0] != 0) {
            evbuffer_add_printf(out, "# HELP %s %s\n# TYPE %s counter\n", row->name, row->help,
                                row->name);
        }
        evbuffer_add_printf(out, "%s%s %llu\n", row->name, row->label, (unsigned long long)sum);
    }
    add_gauge(out, "otterd_start_time_seconds", "When the server started",
              (long long)server->started);
    add_gauge(out, "otterd_uploads_running", "Uploads under way",
              (long long)atomic_load(&server->uploads));
    if (server->tls != NULL) {
        add_gauge(out, "otterd_certificate_seconds", "Until the certificate ends",
                  (long long)tls_seconds_left(server->tls));
    }
    size_t len = evbuffer_get_length(out);
    reply_bytes(request, 200, "text/plain; version=0.0.4", evbuffer_pullup(out, -1), len);
    evbuffer_free(out);
}
