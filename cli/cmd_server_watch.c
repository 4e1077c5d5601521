/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "output.h"
#include "server_api.h"

enum { INTERVAL = SERVER_OPTIONS, ONLY, UNTIL };

static const struct option_spec options[] = {
    SERVER_OPTION_ROWS,
    [INTERVAL] = {"interval", 0, "SECONDS", "between two looks (1)"},
    [ONLY] = {"device", 'd', "DEVICE", "of this device only"},
    [UNTIL] = {"until", 0, "VERSION", "end when a device has reported an update to VERSION"},
    {NULL, 0, NULL, NULL},
};

static volatile sig_atomic_t stopped;

/* A second Ctrl-C does not wait for the server. */
static void stop(int number)
{
    stopped = 1;
    signal(number, SIG_DFL);
}

struct watch {
    struct server_api api;
    json_t *known; /* what was last shown of each device, by its id */
    json_int_t since;
    bool first; /* what is there already is not news */
    bool over;
};

static bool is_new(const json_t *old, const json_t *row, const char *member)
{
    return !json_equal(json_object_get(old, member), json_object_get(row, member));
}

static void print_change(const json_t *old, const json_t *row)
{
    const char *id = server_text(row, "id");
    const char *version = server_text(row, "version");
    const json_t *last = json_object_get(row, "last_result");
    const json_t *assignment = json_object_get(row, "assignment");

    if (is_new(old, row, "assignment")) {
        if (json_is_object(assignment)) {
            printf("%s: is offered %s while it runs %s\n", id, server_text(assignment, "image"),
                   server_text(assignment, "from"));
        } else {
            printf("%s: nothing is offered any more\n", id);
        }
    }
    if (is_new(old, row, "last_result") && json_is_object(last)) {
        const char *result = server_text(last, "result"), *detail = server_text(last, "detail");
        enum style style = strcmp(result, "updated") == 0 ? STYLE_GOOD : STYLE_BAD;

        printf("%s: ", id);
        print_styled(stdout, style, "%s", result);
        printf(", runs %s (%s)\n", version, detail);
    } else if (is_new(old, row, "version") && *version != '\0') {
        printf("%s: runs %s\n", id, version);
    }
}

static void show(struct watch *w, json_t *row)
{
    struct call *call = w->api.call;
    const char *id = json_string_value(json_object_get(row, "id"));
    const char *until = call->option[UNTIL];
    const json_t *last = json_object_get(row, "last_result");
    const json_t *old = json_object_get(w->known, id != NULL ? id : "");

    if (id == NULL || (call->option[ONLY] != NULL && strcmp(call->option[ONLY], id) != 0)) {
        return;
    }
    if (!w->first && call->json != NULL) {
        json_dumpf(row, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
        putchar('\n');
    } else if (!w->first) {
        print_change(old, row);
    }
    const char *version = json_string_value(json_object_get(row, "version"));
    const char *result = json_string_value(json_object_get(last, "result"));
    bool reached = until != NULL && version != NULL && result != NULL &&
                   strcmp(version, until) == 0 && strcmp(result, "updated") == 0;

    if (reached && w->first && call->json == NULL) {
        printf("%s: runs %s already\n", safe(id), safe(version));
    }
    w->over = w->over || reached;
    json_object_set(w->known, id, row);
}

/* Everything that has changed since the last look. An exit code. */
static int look(struct watch *w)
{
    char path[96];
    size_t rows, i;
    json_t *row;

    do {
        snprintf(path, sizeof(path), "/api/v1/devices?limit=1000&changed_since=%lld",
                 (long long)w->since);
        int code =
            server_api_ask(&w->api, (struct server_request){.method = "GET", .path = strdup(path)});
        if (code != EXIT_OK) {
            return code;
        }
        json_t *devices = json_object_get(w->api.answer, "devices");

        rows = json_array_size(devices);
        json_array_foreach(devices, i, row)
        {
            show(w, row);
        }
        w->since = json_integer_value(json_object_get(w->api.answer, "next"));
    } while (rows == 1000 && !stopped);
    w->first = false;
    return EXIT_OK;
}

static int run_watch(struct call *call)
{
    struct watch w = {.first = true, .known = json_object()};
    unsigned long interval = 1;
    struct sigaction action = {.sa_handler = stop};

    if (!option_number(call, INTERVAL, 86400, &interval)) {
        return EXIT_USAGE;
    }
    int code = server_api_open(&w.api, call);
    if (code != EXIT_OK) {
        json_decref(w.known);
        return code;
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (call->json == NULL) {
        fprintf(stderr, "Watching; Ctrl-C ends it.\n");
    }
    while (!stopped && !w.over && code == EXIT_OK) {
        code = look(&w);
        fflush(stdout);
        if (code == EXIT_OK && !w.over && !stopped) {
            nanosleep(&(struct timespec){(time_t)interval, interval == 0 ? 200000000 : 0}, NULL);
        }
    }
    server_api_close(&w.api);
    json_decref(w.known);
    if (code == EXIT_OK) {
        json_decref(call->json); /* the events have been printed */
        call->json = NULL;
    }
    return code;
}

const struct command command_server_watch = {
    .name = "server watch",
    .args = "",
    .brief = "show what happens to the devices, as it happens",
    .about = "Prints a line for each device that is assigned, reports, or runs another version,\n"
             "until Ctrl-C. With --json: the device as an object, a line each.\n" SERVER_HELP,
    .schema = "otter.server.watch/1",
    .options = options,
    .args_min = 0,
    .args_max = 0,
    .run = run_watch,
};
