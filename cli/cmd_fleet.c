/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fleet.h"
#include "output.h"
#include "server_api.h"

enum { DEVICES = SERVER_OPTIONS, PREFIX, FROM, POLL, AT_ONCE, TIME, ONCE };

static const struct option_spec options[] = {
    SERVER_OPTION_ROWS,
    [DEVICES] = {"devices", 'n', "N", "how many (100)"},
    [PREFIX] = {"prefix", 0, "TEXT", "their ids are TEXT0001, TEXT0002 ... (fleet-)"},
    [FROM] = {"from", 0, "VERSION", "the version that they run at first (1.0.0)"},
    [POLL] = {"poll", 0, "SECONDS", "from one check to the next (10)"},
    [AT_ONCE] = {"at-once", 0, "N", "connections at a time, at most (1000)"},
    [TIME] = {"time", 0, "SECONDS", "end after this (by Ctrl-C)"},
    [ONCE] = {"once", 0, NULL, "end when each has taken an update and asked again"},
    {NULL, 0, NULL, NULL},
};

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

static void show_progress(void *ctx)
{
    const struct fleet_counts *c = ctx;

    fprintf(stderr, "\r%u s: %u connected, %llu checks, %llu updated, %llu errors\033[K",
            c->ran_ms / 1000, c->active, (unsigned long long)c->checks,
            (unsigned long long)c->updates, (unsigned long long)c->errors);
    fflush(stderr);
}

static json_t *times_json(const struct fleet_times *t)
{
    return json_pack("{s:I, s:f, s:f, s:f, s:f}", "count", (json_int_t)t->count, "p50",
                     fleet_times_part(t, 0.5), "p95", fleet_times_part(t, 0.95), "p99",
                     fleet_times_part(t, 0.99), "max", t->max);
}

static long peak_memory(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss * 1024L : 0;
}

static void put_json(json_t *json, const struct fleet_options *o, const struct fleet_counts *c)
{
    json_t *causes = json_array();
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {{"devices", o->devices},     {"finished", c->finished},
                   {"checks", c->checks},       {"offers", c->offers},
                   {"updates", c->updates},     {"no_updates", c->no_updates},
                   {"reports", c->reports},     {"retries", c->pauses},
                   {"errors", c->errors},       {"bytes", c->bytes},
                   {"milliseconds", c->ran_ms}, {"peak_memory", (uint64_t)peak_memory()}};

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        json_object_set_new(json, numbers[i].name, json_integer((json_int_t)numbers[i].value));
    }
    for (uint32_t i = 0; i < c->cause_count; i++) {
        json_array_append_new(causes, json_pack("{s:o, s:I}", "cause", json_text(c->causes[i].text),
                                                "count", (json_int_t)c->causes[i].count));
    }
    json_object_set_new(json, "causes", causes);
    json_object_set_new(json, "check_ms", times_json(&c->check));
    json_object_set_new(json, "update_ms", times_json(&c->update));
}

static void print_times(const char *name, const struct fleet_times *t)
{
    if (t->count > 0) {
        print_field(
            name, "half within %.0f ms, 95%% within %.0f, 99%% within %.0f, all within %.0f",
            fleet_times_part(t, 0.5), fleet_times_part(t, 0.95), fleet_times_part(t, 0.99), t->max);
    }
}

static void print_counts(const struct fleet_options *o, const struct fleet_counts *c)
{
    double seconds = c->ran_ms / 1000.0;

    print_field("devices", "%s, %s of them updated", number_text(o->devices),
                number_text(c->finished));
    print_field("time", "%.1f s", seconds);
    print_field("checks", "%s, %s with an offer", number_text(c->checks), number_text(c->offers));
    print_field("images", "%s, %s a second", bytes_text(c->bytes),
                size_text((uint64_t)((double)c->bytes / (seconds > 0 ? seconds : 1))));
    print_times("answers", &c->check);
    print_times("downloads", &c->update);
    print_field("memory", "%s at most", size_text((uint64_t)peak_memory()));
    if (c->offers == 0 && c->checks > 0 && c->errors == 0) {
        print_field("offers", "none; otter server assign --all IMAGE --from %s", safe(o->version));
    }
    print_field("errors", "%s, %s downloads taken up again", number_text(c->errors),
                number_text(c->pauses));
    for (uint32_t i = 0; i < c->cause_count; i++) {
        print_field("", "%s times: %s", number_text(c->causes[i].count), safe(c->causes[i].text));
    }
}

static bool read_options(struct call *call, struct fleet_options *o)
{
    unsigned long devices = 100, poll = 10, at_once = 1000, seconds = 0;

    if (!option_number(call, DEVICES, 100000, &devices) ||
        !option_number(call, POLL, 86400, &poll) ||
        !option_number(call, AT_ONCE, 100000, &at_once) ||
        !option_number(call, TIME, 86400, &seconds)) {
        return false;
    }
    if (devices == 0 || poll == 0 || at_once == 0) {
        fail(call, EXIT_USAGE, "--devices, --poll and --at-once are 1 at least");
        return false;
    }
    o->prefix = call->option[PREFIX] != NULL ? call->option[PREFIX] : "fleet-";
    o->version = call->option[FROM] != NULL ? call->option[FROM] : "1.0.0";
    if (strlen(o->prefix) > 48 || strlen(o->version) > 32) {
        fail(call, EXIT_USAGE, "--prefix has 48 bytes at most, --from 32");
        return false;
    }
    o->devices = (uint32_t)devices;
    o->poll_ms = (uint32_t)poll * 1000u;
    o->at_once = (uint32_t)at_once;
    o->time_ms = (uint32_t)seconds * 1000u;
    o->once = call->option[ONCE] != NULL;
    o->stop = &stopped;
    return true;
}

static int run_with(struct call *call, struct fleet_options *o)
{
    static struct fleet_counts counts;
    struct sigaction action = {.sa_handler = stop};
    bool terminal = isatty(STDERR_FILENO) && call->json == NULL;
    char error[256];

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    o->progress = terminal ? show_progress : NULL;
    o->ctx = &counts;
    if (!fleet_run(o, &counts, error)) {
        return fail(call, EXIT_FAILED, "%s", safe(error));
    }
    if (terminal) {
        fputs("\r\033[K", stderr);
    }
    if (call->json != NULL) {
        put_json(call->json, o, &counts);
    } else {
        print_counts(o, &counts);
    }
    bool missing = o->once && counts.finished < o->devices;
    return counts.errors > 0 || missing ? EXIT_FAILED : EXIT_OK;
}

static int run_fleet(struct call *call)
{
    struct fleet_options o = {0};
    struct server_api api;

    if (!read_options(call, &o)) {
        return EXIT_USAGE;
    }
    int code = server_api_open(&api, call);
    if (code != EXIT_OK) {
        return code;
    }
    char *url = strndup(api.url, api.url_len);
    o.https = &api.https;
    o.server = url;
    code = url != NULL ? run_with(call, &o) : fail(call, EXIT_FAILED, "out of memory");
    free(url);
    server_api_close(&api);
    return code;
}

const struct command command_fleet = {
    .name = "fleet",
    .args = "",
    .brief = "put a crowd of virtual devices on an update server",
    .about =
        "Each device asks, downloads, verifies, restarts and reports as a real one does, over\n"
        "connections of its own; nothing of the image is kept. Exit code 1: there were errors,\n"
        "or with --once not every device took an update.\n" SERVER_HELP,
    .schema = "otter.fleet/1",
    .options = options,
    .args_min = 0,
    .args_max = 0,
    .run = run_fleet,
};
