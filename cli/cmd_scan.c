/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "devices.h"
#include "output.h"

enum { ALL, PROBE, ADAPTER, TIME };

static const struct option_spec scan_options[] = {
    [ALL] = {"all", 0, NULL, "ble: also devices that advertise no update service"},
    [PROBE] = {"probe", 0, NULL, "ble: connect to all that was heard, and look at it"},
    [ADAPTER] = {"adapter", 0, "NAME", "ble: the adapter, such as hci1 (the first that is on)"},
    [TIME] = {"time", 0, "SECONDS", "ble: for how long to listen (5)"},
    {NULL, 0, NULL, NULL},
};

/* "att", "att:" and "att:/folder". */
static int read_where(struct call *call, const char *where,
                      const struct otter_target_scheme **scheme,
                      struct otter_target_options *options)
{
    char uri[64];
    const char *address;

    snprintf(uri, sizeof(uri), "%.50s%s", where, strchr(where, ':') != NULL ? "" : ":");
    *scheme = otter_target_find(uri, &address);
    if (*scheme == NULL) {
        return fail(call, EXIT_USAGE, "\"%s\" is not a kind of target: try att or ble",
                    safe(where));
    }
    if ((*scheme)->scan == NULL) {
        return fail(call, EXIT_USAGE, "%s: devices cannot be searched for, name one: %s",
                    (*scheme)->name, (*scheme)->example);
    }
    const char *colon = strchr(where, ':');
    if (colon != NULL && colon[1] != '\0') {
        options->scan_folder = colon + 1;
    }
    return EXIT_OK;
}

static json_t *list_json(const struct device_list *list)
{
    json_t *devices = json_array();

    for (size_t i = 0; i < list->count; i++) {
        const struct otter_target_device *device = &list->entries[i].device;
        json_t *one = device_json(device);

        json_object_set_new(one, "target", json_text(list->entries[i].uri));
        json_object_set_new(one, "rssi",
                            device->rssi != 0 ? json_integer(device->rssi) : json_null());
        json_array_append_new(devices, one);
    }
    return devices;
}

static int run_scan(struct call *call)
{
    const struct otter_target_scheme *scheme = NULL;
    struct otter_target_options options = {0};
    struct device_list list;

    if (call->arg_count > 0) {
        int code = read_where(call, call->args[0], &scheme, &options);
        if (code != EXIT_OK) {
            return code;
        }
    }
    unsigned long seconds = 0;
    if (!option_number(call, TIME, 3600, &seconds)) {
        return EXIT_USAGE;
    }
    options.scan_ms = (uint32_t)seconds * 1000u;
    options.adapter = call->option[ADAPTER];
    options.probe = call->option[PROBE] != NULL;
    options.all = call->option[ALL] != NULL;
    int code =
        device_list_scan(&list, scheme, &options, call->json == NULL && isatty(STDOUT_FILENO) != 0);
    if (code != EXIT_OK && (list.count == 0 || scheme != NULL)) {
        fail(call, code, "%s%s", list.complaint,
             scheme == NULL ? " (\"otter doctor\" says what to do)" : "");
    } else if (code != EXIT_OK) {
        fprintf(stderr, "otter: %s\n", safe(list.complaint));
        code = EXIT_OK;
    }
    if (call->json != NULL) {
        json_object_set_new(call->json, "devices", list_json(&list));
    } else if (list.count > 0) {
        device_list_print(&list, false);
    } else if (code == EXIT_OK) {
        puts("No device found.");
        if (scheme == NULL) {
            puts("\"otter doctor\" says what is missing here.");
            puts("Virtual devices elsewhere: otter scan att:FOLDER");
        } else if (strcmp(scheme->name, "ble") == 0 && !options.probe) {
            puts("--probe also looks at devices that do not say that they can be updated.");
        }
    }
    device_list_free(&list);
    return code;
}

const struct command command_scan = {
    .name = "scan",
    .args = "[KIND[:FOLDER]]",
    .brief = "look for devices that can be updated",
    .about = "Looks for devices and says what each runs and which protocols it offers.\n"
             "KIND att: virtual devices on this machine, by their sockets in FOLDER, or else in\n"
             "$XDG_RUNTIME_DIR/otter. KIND ble: devices that advertise an update service over\n"
             "Bluetooth, shown as they are heard; Ctrl-C ends the search. Devices that do not\n"
             "advertise what they are: --all lists them, --probe connects to find out.\n"
             "Without KIND, everything that can be searched is.\n",
    .schema = "otter.scan/1",
    .options = scan_options,
    .args_min = 0,
    .args_max = 1,
    .run = run_scan,
};
