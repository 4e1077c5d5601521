/* SPDX-License-Identifier: Apache-2.0 */
/* Counters, one set a worker: only its own thread adds, any thread may read. */
#ifndef OTTERD_METRICS_H
#define OTTERD_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

/* name, help, label: the Prometheus text is made from this list. Rows of one name stand together.
 */
#define METRICS(X)                                                                                 \
    X(CONNECTIONS, "otterd_connections_total", "Connections accepted", "")                         \
    X(CLOSED, "otterd_connections_closed_total", "Connections ended", "")                          \
    X(TURNED_AWAY, "otterd_connections_refused_total", "Connections over a cap", "")               \
    X(HANDSHAKES, "otterd_tls_handshakes_total", "TLS handshakes", "{kind=\"full\"}")              \
    X(RESUMED, "otterd_tls_handshakes_total", "", "{kind=\"resumed\"}")                            \
    X(TIMEOUTS, "otterd_deadlines_total", "Connections closed by a deadline", "")                  \
    X(REFUSED, "otterd_malformed_total", "Requests refused by the parser", "")                     \
    X(ANSWERS_2XX, "otterd_answers_total", "Answers", "{class=\"2xx\"}")                           \
    X(ANSWERS_3XX, "otterd_answers_total", "", "{class=\"3xx\"}")                                  \
    X(ANSWERS_4XX, "otterd_answers_total", "", "{class=\"4xx\"}")                                  \
    X(ANSWERS_5XX, "otterd_answers_total", "", "{class=\"5xx\"}")                                  \
    X(BAD_LOGINS, "otterd_bad_logins_total", "Wrong credentials", "")                              \
    X(SLOWED, "otterd_slowed_logins_total", "Attempts answered 429", "")                           \
    X(POLLS, "otterd_polls_total", "Device polls", "")                                             \
    X(OFFERS, "otterd_offers_total", "Polls answered with an update", "")                          \
    X(DOWNLOADS, "otterd_downloads_total", "File downloads begun", "")                             \
    X(UPLOADS, "otterd_uploads_total", "Files stored", "")                                         \
    X(BYTES_OUT, "otterd_file_bytes_sent_total", "Bytes of files sent", "")                        \
    X(BYTES_IN, "otterd_file_bytes_received_total", "Bytes of files received", "")                 \
    X(STORE_ERRORS, "otterd_store_errors_total", "Requests the store could not serve", "")

enum metric {
#define METRIC_ENUM(id, name, help, label) METRIC_##id,
    METRICS(METRIC_ENUM)
#undef METRIC_ENUM
        METRIC_COUNT
};

struct metrics {
    atomic_uint_fast64_t value[METRIC_COUNT];
};

static inline void metrics_add(struct metrics *metrics, enum metric metric, uint64_t n)
{
    uint64_t old = atomic_load_explicit(&metrics->value[metric], memory_order_relaxed);
    atomic_store_explicit(&metrics->value[metric], old + n, memory_order_relaxed);
}

static inline uint64_t metrics_get(struct metrics *metrics, enum metric metric)
{
    return atomic_load_explicit(&metrics->value[metric], memory_order_relaxed);
}
#endif
