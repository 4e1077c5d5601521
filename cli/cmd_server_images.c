/* SPDX-License-Identifier: Apache-2.0 */
/* otter server list and remove. */
#include <stdio.h>
#include <string.h>

#include "output.h"
#include "server_api.h"

static const struct option_spec options[] = {
    SERVER_OPTION_ROWS,
    {NULL, 0, NULL, NULL},
};

static void print_images(const json_t *images)
{
    struct table table = {.columns = 6, .align = "lrllll"};
    static const char *const heads[] = {"NAME", "SIZE", "CHIP", "PROJECT", "VERSION", "UPLOADED"};
    size_t i;
    json_t *row;

    if (json_array_size(images) == 0) {
        puts("No image yet: otter server upload FILE.");
        return;
    }
    for (i = 0; i < 6; i++) {
        table_cell(&table, STYLE_FAINT, "%s", heads[i]);
    }
    json_array_foreach(images, i, row)
    {
        const json_t *image = json_object_get(row, "image");

        table_cell(&table, STYLE_STRONG, "%s", server_text(row, "name"));
        table_cell(&table, STYLE_PLAIN, "%s",
                   size_text((uint64_t)json_integer_value(json_object_get(row, "size"))));
        table_cell(&table, STYLE_PLAIN, "%s", server_text(image, "chip"));
        if (strcmp(server_text(row, "format"), "encrypted") == 0) {
            table_cell(&table, STYLE_FAINT, "encrypted");
        } else {
            table_cell(&table, STYLE_PLAIN, "%s", server_text(image, "project"));
        }
        table_cell(&table, STYLE_PLAIN, "%s", server_text(image, "version"));
        table_cell(&table, STYLE_PLAIN, "%s", server_time(row, "uploaded"));
    }
    table_print(&table);
}

static int run_list(struct call *call)
{
    struct server_api api;
    int code = server_api_open(&api, call);

    if (code != EXIT_OK) {
        return code;
    }
    json_t *images = server_api_list(&api, "/api/v1/images", "images", &code);
    if (images != NULL && call->json != NULL) {
        json_object_set(call->json, "images", images);
    } else if (images != NULL) {
        print_images(images);
    }
    json_decref(images);
    server_api_close(&api);
    return code;
}

const struct command command_server_list = {
    .name = "server list",
    .args = "",
    .brief = "list the images on the update server",
    .about = "Lists the images on the server and what each says of itself.\n" SERVER_HELP,
    .schema = "otter.server.list/1",
    .options = options,
    .args_min = 0,
    .args_max = 0,
    .run = run_list,
};

/* --- remove ---------------------------------------------------------------------------------- */

enum { DEVICE = SERVER_OPTIONS, FORCE };

static const struct option_spec remove_options[] = {
    SERVER_OPTION_ROWS,
    [DEVICE] = {"device", 'd', NULL, "NAME is a device: forget it"},
    [FORCE] = {"force", 'f', NULL, "also an image that devices are assigned to"},
    {NULL, 0, NULL, NULL},
};

static int run_remove(struct call *call)
{
    struct server_api api;
    const char *pattern = call->option[DEVICE] != NULL  ? "/api/v1/devices/%"
                          : call->option[FORCE] != NULL ? "/api/v1/images/%?force=1"
                                                        : "/api/v1/images/%";
    int code = server_api_open(&api, call);

    if (code != EXIT_OK) {
        return code;
    }
    api.unsaid = call->option[DEVICE] == NULL ? 409 : 0;
    code = server_api_ask(
        &api, (struct server_request){.method = "DELETE",
                                      .path = server_api_path(&api, pattern, call->args[0])});
    if (code != EXIT_OK && api.status == api.unsaid) {
        fail(call, code, "devices are assigned to %s: unassign them, or say --force",
             safe(call->args[0]));
    } else if (code == EXIT_OK && call->json != NULL) {
        json_object_set_new(call->json, "removed", json_text(call->args[0]));
    } else if (code == EXIT_OK) {
        printf("Removed %s.\n", safe(call->args[0]));
    }
    server_api_close(&api);
    return code;
}

const struct command command_server_remove = {
    .name = "server remove",
    .args = "NAME",
    .brief = "remove an image, or with --device a device",
    .about = "Removes an image from the server; one that devices are assigned to only with\n"
             "--force. With --device, forgets a device; it is known again when it asks "
             "again.\n" SERVER_HELP,
    .schema = "otter.server.remove/1",
    .options = remove_options,
    .args_min = 1,
    .args_max = 1,
    .run = run_remove,
};
