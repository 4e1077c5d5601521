/* SPDX-License-Identifier: Apache-2.0 */
#include "devices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

static bool keep(void *ctx, const char *uri, const struct otter_target_device *device)
{
    struct device_list *list = ctx;
    struct device_entry *entries =
        realloc(list->entries, (list->count + 1) * sizeof(*list->entries));

    if (entries == NULL) {
        return false;
    }
    list->entries = entries;
    char *copy = strdup(uri);
    if (copy == NULL) {
        return false;
    }
    entries[list->count++] = (struct device_entry){.uri = copy, .device = *device};
    return true;
}

int device_list_scan(struct device_list *list, const struct otter_target_scheme *scheme,
                     const struct otter_target_options *options)
{
    const struct otter_target_observer nobody = {0};
    const struct otter_target_scheme *s;
    int code = EXIT_OK;

    *list = (struct device_list){0};
    for (size_t i = 0; (s = otter_target_scheme_at(i)) != NULL; i++) {
        if ((scheme != NULL && s != scheme) || s->scan == NULL) {
            continue;
        }
        otter_err err =
            s->scan(options, &nobody, keep, list, list->complaint, sizeof(list->complaint));
        /* What this machine does not have is missed only by who asked for it. */
        if (err != OTTER_OK && (scheme != NULL || err != OTTER_ERR_UNSUPPORTED)) {
            code = EXIT_FAILED;
        }
    }
    return code;
}

void device_list_free(struct device_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->entries[i].uri);
    }
    free(list->entries);
    *list = (struct device_list){0};
}

const char *device_state_text(enum otter_target_state state)
{
    switch (state) {
    case OTTER_TARGET_STATE_CONFIRMED:
        return "confirmed";
    case OTTER_TARGET_STATE_PENDING:
        return "on trial";
    case OTTER_TARGET_STATE_ROLLED_BACK:
        return "rolled back";
    case OTTER_TARGET_STATE_UNKNOWN:
        break;
    }
    return "";
}

static const char *or_dash(const char *text)
{
    return *text != '\0' ? safe(text) : "-";
}

void device_list_print(const struct device_list *list, bool numbered)
{
    static const char *const heads[] = {"Target",  "Name",  "Chip",     "Project",
                                        "Version", "State", "Protocols"};
    struct table t = {.columns = numbered ? 8 : 7, .align = numbered ? "rlllllll" : "lllllll"};

    if (numbered) {
        table_cell(&t, STYLE_FAINT, "#");
    }
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        table_cell(&t, STYLE_FAINT, "%s", heads[i]);
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct otter_target_device *d = &list->entries[i].device;

        if (numbered) {
            table_cell(&t, STYLE_STRONG, "%zu", i + 1);
        }
        table_cell(&t, STYLE_STRONG, "%s", safe(list->entries[i].uri));
        table_cell(&t, STYLE_PLAIN, "%s", or_dash(d->name));
        table_cell(&t, STYLE_PLAIN, "%s", or_dash(d->chip));
        table_cell(&t, STYLE_PLAIN, "%s", or_dash(d->project));
        table_cell(&t, STYLE_PLAIN, "%s", or_dash(d->version));
        table_cell(&t,
                   d->state == OTTER_TARGET_STATE_CONFIRMED ? STYLE_GOOD
                   : d->state == OTTER_TARGET_STATE_UNKNOWN ? STYLE_PLAIN
                                                            : STYLE_WARNING,
                   "%s", or_dash(device_state_text(d->state)));
        table_cell(&t, STYLE_PLAIN, "%s", d->protocols[0] != '\0' ? safe(d->protocols) : "none");
    }
    table_print(&t);
}

static json_t *text_or_null(const char *text)
{
    return *text != '\0' ? json_text(text) : json_null();
}

json_t *device_json(const struct otter_target_device *device)
{
    json_t *protocols = json_array();
    char words[sizeof(device->protocols)];
    char *rest = words;

    snprintf(words, sizeof(words), "%s", device->protocols);
    for (char *word; (word = strsep(&rest, " ")) != NULL;) {
        if (*word != '\0') {
            json_array_append_new(protocols, json_text(word));
        }
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name", text_or_null(device->name),
                     "chip", text_or_null(device->chip), "project", text_or_null(device->project),
                     "version", text_or_null(device->version), "image", text_or_null(device->image),
                     "state", text_or_null(device_state_text(device->state)), "protocols",
                     protocols);
}
