/* SPDX-License-Identifier: Apache-2.0 */
#include "devices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "stop.h"

#define LIVE_MAX 15 /* rows of a list that is drawn again and again */

static struct device_entry *entry_of(struct device_list *list, const char *uri)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->entries[i].uri, uri) == 0) {
            return &list->entries[i];
        }
    }
    struct device_entry *entries =
        realloc(list->entries, (list->count + 1) * sizeof(*list->entries));
    if (entries == NULL) {
        return NULL;
    }
    list->entries = entries;
    entries[list->count] = (struct device_entry){.uri = strdup(uri)};
    return entries[list->count].uri != NULL ? &entries[list->count++] : NULL;
}

/* The list takes the place of what was drawn of it before. */
static void draw(struct device_list *list)
{
    if (list->drawn > 0) {
        printf("\033[%zuA\033[J", list->drawn);
    }
    printf("\033[?7l"); /* a row is a line: the end of a long one is cut off */
    device_list_print(list, false);
    printf("\033[?7h");
    fflush(stdout);
    list->drawn = list->count + 1;
}

static bool keep(void *ctx, const char *uri, const struct otter_target_device *device)
{
    struct device_list *list = ctx;
    struct device_entry *entry = entry_of(list, uri);

    if (entry == NULL) {
        return false;
    }
    entry->device = *device;
    if (list->live && list->count <= LIVE_MAX) {
        draw(list);
    }
    return true;
}

/* Only --probe has details to tell. */
static void on_detail(void *ctx, const char *line)
{
    struct device_list *list = ctx;

    print_styled(stderr, STYLE_FAINT, "%s\n", safe(line));
    list->drawn = 0; /* the list goes on below */
}

/* What can be updated first, then the nearest. */
static int by_use(const void *a, const void *b)
{
    const struct otter_target_device *x = &((const struct device_entry *)a)->device;
    const struct otter_target_device *y = &((const struct device_entry *)b)->device;
    int use = (y->protocols[0] != '\0') - (x->protocols[0] != '\0');
    int x_rssi = x->rssi != 0 ? x->rssi : INT16_MIN, y_rssi = y->rssi != 0 ? y->rssi : INT16_MIN;

    return use != 0           ? use
           : x_rssi != y_rssi ? y_rssi - x_rssi
                              : strcmp(((const struct device_entry *)a)->uri,
                                       ((const struct device_entry *)b)->uri);
}

int device_list_scan(struct device_list *list, const struct otter_target_scheme *scheme,
                     const struct otter_target_options *options, bool live)
{
    const struct otter_target_observer observer = {
        .detail = options->probe ? on_detail : NULL, .ctx = list, .cancel = stop_watch()};
    const struct otter_target_scheme *s;
    int code = EXIT_OK;

    const char *term = getenv("TERM");

    *list = (struct device_list){.live = live && term != NULL && strcmp(term, "dumb") != 0};
    for (size_t i = 0; (s = otter_target_scheme_at(i)) != NULL; i++) {
        if ((scheme != NULL && s != scheme) || s->scan == NULL) {
            continue;
        }
        char complaint[sizeof(list->complaint)] = "";
        otter_err err = s->scan(options, &observer, keep, list, complaint, sizeof(complaint));
        /* What this machine does not have is missed only by who asked for it. */
        if (err != OTTER_OK && (scheme != NULL || err != OTTER_ERR_UNSUPPORTED)) {
            memcpy(list->complaint, complaint, sizeof(complaint));
            code = EXIT_FAILED;
        }
    }
    stop_unwatch();
    if (list->drawn > 0) {
        printf("\033[%zuA\033[J", list->drawn);
    }
    if (list->count > 0) {
        qsort(list->entries, list->count, sizeof(*list->entries), by_use);
    }
    return code;
}

size_t device_list_known(const struct device_list *list)
{
    size_t count = 0;

    while (count < list->count && list->entries[count].device.protocols[0] != '\0') {
        count++;
    }
    return count;
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

enum column { TARGET, NAME, SIGNAL, CHIP, PROJECT, VERSION, STATE, PROTOCOLS, COLUMNS };

static const char *cell(const struct device_entry *entry, enum column column, char signal[16])
{
    const struct otter_target_device *d = &entry->device;

    switch (column) {
    case TARGET:
        return entry->uri;
    case NAME:
        return d->name;
    case SIGNAL:
        snprintf(signal, 16, "%d dBm", d->rssi);
        return d->rssi != 0 ? signal : "";
    case CHIP:
        return d->chip;
    case PROJECT:
        return d->project;
    case VERSION:
        return d->version;
    case STATE:
        return device_state_text(d->state);
    default:
        return d->protocols[0] != '\0' ? d->protocols : "none known";
    }
}

static enum style style_of(const struct device_entry *entry, enum column column)
{
    if (column == TARGET) {
        return STYLE_STRONG;
    }
    return column != STATE                                       ? STYLE_PLAIN
           : entry->device.state == OTTER_TARGET_STATE_CONFIRMED ? STYLE_GOOD
           : entry->device.state == OTTER_TARGET_STATE_UNKNOWN   ? STYLE_PLAIN
                                                                 : STYLE_WARNING;
}

/* A column in which nothing is would only make lines longer. */
static bool is_used(const struct device_list *list, enum column column)
{
    char signal[16];
    bool used = column == TARGET || column == NAME;

    for (size_t i = 0; i < list->count; i++) {
        used = used || *cell(&list->entries[i], column, signal) != '\0';
    }
    return used;
}

void device_list_print(const struct device_list *list, bool numbered)
{
    static const char *const heads[COLUMNS] = {"Target",  "Name",    "Signal", "Chip",
                                               "Project", "Version", "State",  "Protocols"};
    char align[COLUMNS + 1];
    struct table t = {.align = align};
    bool used[COLUMNS];
    char signal[16];

    if (numbered) {
        align[t.columns++] = 'r';
    }
    for (enum column c = TARGET; c < COLUMNS; c++) {
        used[c] = is_used(list, c);
        if (used[c]) {
            align[t.columns++] = c == CHIP || c == PROJECT || c == PROTOCOLS ? 'L' : 'l';
        }
    }
    if (numbered) {
        table_cell(&t, STYLE_FAINT, "#");
    }
    for (enum column c = TARGET; c < COLUMNS; c++) {
        if (used[c]) {
            table_cell(&t, STYLE_FAINT, "%s", heads[c]);
        }
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct device_entry *entry = &list->entries[i];

        if (numbered) {
            table_cell(&t, STYLE_STRONG, "%zu", i + 1);
        }
        for (enum column c = TARGET; c < COLUMNS; c++) {
            if (used[c]) {
                const char *text = cell(entry, c, signal);

                table_cell(&t, style_of(entry, c), "%s", *text != '\0' ? safe(text) : "-");
            }
        }
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
