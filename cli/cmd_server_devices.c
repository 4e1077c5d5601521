/* SPDX-License-Identifier: Apache-2.0 */
/* otter server devices, assign and unassign. */
#include <stdio.h>
#include <string.h>

#include "output.h"
#include "server_api.h"

static const struct option_spec options[] = {
    SERVER_OPTION_ROWS,
    {NULL, 0, NULL, NULL},
};

static void print_devices(const json_t *devices)
{
    struct table table = {.columns = 5, .align = "lllll"};
    static const char *const heads[] = {"DEVICE", "VERSION", "LAST SEEN", "LAST RESULT",
                                        "ASSIGNED"};
    size_t i;
    json_t *row;

    if (json_array_size(devices) == 0) {
        puts("No device yet: they appear when they ask, or are assigned to an image.");
        return;
    }
    for (i = 0; i < 5; i++) {
        table_cell(&table, STYLE_FAINT, "%s", heads[i]);
    }
    json_array_foreach(devices, i, row)
    {
        const json_t *assignment = json_object_get(row, "assignment");
        const json_t *last = json_object_get(row, "last_result");
        const char *result = server_text(last, "result"), *seen = server_time(row, "last_seen");
        enum style style = strcmp(result, "updated") == 0 ? STYLE_GOOD : STYLE_BAD;

        table_cell(&table, STYLE_STRONG, "%s", server_text(row, "id"));
        table_cell(&table, STYLE_PLAIN, "%s", server_text(row, "version"));
        table_cell(&table, STYLE_PLAIN, "%s", *seen != '\0' ? seen : "never");
        table_cell(&table, style, "%s", result);
        if (json_is_object(assignment)) {
            const char *from = server_text(assignment, "from");

            table_cell(&table, STYLE_PLAIN, "from %s: %s", from, server_text(assignment, "image"));
        } else {
            table_cell(&table, STYLE_PLAIN, "%s", "");
        }
    }
    table_print(&table);
}

static int run_devices(struct call *call)
{
    struct server_api api;
    int code = server_api_open(&api, call);

    if (code != EXIT_OK) {
        return code;
    }
    json_t *devices = server_api_list(&api, "/api/v1/devices", "devices", &code);
    if (devices != NULL && call->json != NULL) {
        json_object_set(call->json, "devices", devices);
    } else if (devices != NULL) {
        print_devices(devices);
    }
    json_decref(devices);
    server_api_close(&api);
    return code;
}

const struct command command_server_devices = {
    .name = "server devices",
    .args = "",
    .brief = "list the devices that the update server knows",
    .about = "Lists the devices, what each runs, when it was last heard of, how its last update\n"
             "ended, and what it is assigned to.\n" SERVER_HELP,
    .schema = "otter.server.devices/1",
    .options = options,
    .args_min = 0,
    .args_max = 0,
    .run = run_devices,
};

/* --- assign ---------------------------------------------------------------------------------- */

enum { ALL = SERVER_OPTIONS, FROM };

static const struct option_spec assign_options[] = {
    SERVER_OPTION_ROWS,
    [ALL] = {"all", 'a', NULL, "every device that the server knows"},
    [FROM] = {"from", 0, "VERSION", "offer it to a device that runs VERSION (what it runs now)"},
    {NULL, 0, NULL, NULL},
};

/* The version a device runs, as the server heard of it last; NULL: never. In api->answer. */
static int running_version(struct server_api *api, const char *device, const char **version)
{
    api->unsaid = 404;
    int code = server_api_ask(
        api, (struct server_request){.method = "GET",
                                     .path = server_api_path(api, "/api/v1/devices/%", device)});
    api->unsaid = 0;
    if (code != EXIT_OK && api->status != 404) {
        return code;
    }
    *version = code == EXIT_OK ? json_string_value(json_object_get(api->answer, "version")) : NULL;
    *version = *version != NULL && **version != '\0' ? *version : NULL;
    return EXIT_OK;
}

/* An offer that does not fit what the device runs looks like one that does not work. */
static void say_what_runs(const char *device, const char *runs, const char *from)
{
    if (*runs == '\0') {
        printf("%s has not asked yet: \"otter server devices\" lists those that have.\n",
               safe(device));
    } else if (strcmp(runs, from) != 0) {
        printf("%s runs %s now, and so is not offered it.\n", safe(device), runs);
    }
}

static int assign_all(struct server_api *api, const char *image)
{
    struct call *call = api->call;
    struct server_request request = {
        .method = "POST",
        .path = strdup("/api/v1/assign-all"),
        .send = json_pack("{s:s, s:s}", "from", call->option[FROM], "image", image),
    };
    int code = server_api_ask(api, request);
    json_int_t count = json_integer_value(json_object_get(api->answer, "devices"));

    if (code == EXIT_OK && call->json != NULL) {
        json_object_set_new(call->json, "devices", json_integer(count));
    } else if (code == EXIT_OK) {
        printf("%s is offered to %s device%s while it runs %s.\n", safe(image),
               number_text((uint64_t)count), count == 1 ? "" : "s, to each",
               safe(call->option[FROM]));
    }
    return code;
}

static int assign_one(struct server_api *api, const char *device, const char *image)
{
    struct call *call = api->call;
    const char *from = call->option[FROM], *runs;
    int code = running_version(api, device, &runs);

    if (code != EXIT_OK) {
        return code;
    }
    if (from == NULL && runs == NULL) {
        return fail(call, EXIT_FAILED,
                    "the server has not heard of %s yet: say with --from what it runs",
                    safe(device));
    }
    from = from != NULL ? from : runs;
    runs = runs != NULL ? safe(runs) : ""; /* the answer it is part of goes with the next request */
    struct server_request request = {
        .method = "PUT",
        .path = server_api_path(api, "/api/v1/devices/%/assignment", device),
        .send = json_pack("{s:s, s:s}", "from", from, "image", image),
    };
    from = safe(from);
    code = server_api_ask(api, request);
    if (code == EXIT_OK && call->json != NULL) {
        json_object_set_new(call->json, "device", json_text(device));
        json_object_set_new(call->json, "from", json_text(from));
        json_object_set_new(call->json, "image", json_text(image));
    } else if (code == EXIT_OK) {
        printf("%s is offered to %s while it runs %s.\n", safe(image), safe(device), from);
        say_what_runs(device, runs, from);
    }
    return code;
}

static int run_assign(struct call *call)
{
    struct server_api api;
    bool all = call->option[ALL] != NULL;

    if (call->arg_count != (all ? 1 : 2)) {
        return fail(call, EXIT_USAGE, "otter server assign needs DEVICE IMAGE, or --all IMAGE");
    }
    if (all && call->option[FROM] == NULL) {
        return fail(call, EXIT_USAGE, "with --all, say with --from which version is replaced");
    }
    int code = server_api_open(&api, call);
    if (code == EXIT_OK) {
        code =
            all ? assign_all(&api, call->args[0]) : assign_one(&api, call->args[0], call->args[1]);
        server_api_close(&api);
    }
    return code;
}

const struct command command_server_assign = {
    .name = "server assign",
    .args = "DEVICE IMAGE | --all IMAGE",
    .brief = "offer an image to a device, or to all",
    .about = "The device is offered the image IMAGE of the server each time it asks and runs the\n"
             "version that --from names: by default the one it runs now. With --all, every\n"
             "device the server knows.\n" SERVER_HELP,
    .schema = "otter.server.assign/1",
    .options = assign_options,
    .args_min = 1,
    .args_max = 2,
    .run = run_assign,
};

static int run_unassign(struct call *call)
{
    struct server_api api;
    int code = server_api_open(&api, call);

    if (code != EXIT_OK) {
        return code;
    }
    code = server_api_ask(
        &api, (struct server_request){
                  .method = "DELETE",
                  .path = server_api_path(&api, "/api/v1/devices/%/assignment", call->args[0])});
    if (code == EXIT_OK && call->json != NULL) {
        json_object_set_new(call->json, "device", json_text(call->args[0]));
    } else if (code == EXIT_OK) {
        printf("Nothing is offered to %s.\n", safe(call->args[0]));
    }
    server_api_close(&api);
    return code;
}

const struct command command_server_unassign = {
    .name = "server unassign",
    .args = "DEVICE",
    .brief = "offer nothing to a device any more",
    .about =
        "Takes back what the device is assigned to. A download that runs goes on.\n" SERVER_HELP,
    .schema = "otter.server.unassign/1",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .run = run_unassign,
};
