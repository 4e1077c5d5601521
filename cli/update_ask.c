/* SPDX-License-Identifier: Apache-2.0 */
#include "update_ask.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices.h"
#include "output.h"

/* A line from the terminal without its end; NULL at the end of input. The caller frees it. */
static char *ask(const char *question)
{
    char *line = NULL;
    size_t room = 0;

    printf("%s ", question);
    fflush(stdout);
    ssize_t len = getline(&line, &room, stdin);
    if (len < 0) {
        free(line);
        putchar('\n');
        return NULL;
    }
    line[strcspn(line, "\r\n")] = '\0';
    return line;
}

/* Quotes and spaces around a path, as drag and drop leaves them. */
static char *trimmed(char *text)
{
    char *end = text + strlen(text);

    while (*text == ' ' || *text == '"' || *text == '\'') {
        text++;
    }
    while (end > text && (end[-1] == ' ' || end[-1] == '"' || end[-1] == '\'')) {
        *--end = '\0';
    }
    return text;
}

/* "AA:BB:CC:DD:EE:FF", as the list of the system's own tools shows it. */
static bool is_address(const char *text)
{
    for (size_t i = 0; i < 17; i++) {
        if (i % 3 == 2 ? text[i] != ':' : !isxdigit((unsigned char)text[i])) {
            return false;
        }
    }
    return text[17] == '\0';
}

/* The target that an answer names, or NULL. The caller frees it. */
static char *target_of(const char *text, const struct device_list *list)
{
    const char *address;
    char *end, *uri = NULL;
    unsigned long number = strtoul(text, &end, 10);

    if (*text != '\0' && *end == '\0') {
        return number >= 1 && number <= list->count ? strdup(list->entries[number - 1].uri) : NULL;
    }
    if (is_address(text)) {
        return asprintf(&uri, "ble:%s", text) >= 0 ? uri : NULL;
    }
    return otter_target_find(text, &address) != NULL ? strdup(text) : NULL;
}

static int choose(struct call *call, const struct device_list *list, size_t shown, char **uri)
{
    bool all = shown == list->count;

    for (;;) {
        char *line = ask("Which one (number, or a target such as att:/path)?");

        if (line == NULL) {
            return fail(call, EXIT_USAGE, "no device was chosen");
        }
        char *text = trimmed(line);
        bool more = !all && strcmp(text, "a") == 0;
        *uri = target_of(text, list);
        free(line);
        if (*uri != NULL) {
            return EXIT_OK;
        }
        if (more) {
            all = true;
            device_list_print(list, true);
        } else if (list->count == 1) {
            puts("Please type 1, or a target.");
        } else {
            printf("Please type a number from 1 to %zu, or a target.\n", list->count);
        }
    }
}

int ask_target(struct call *call, const struct otter_target_options *options, char **uri)
{
    struct otter_target_options searched = *options;
    struct device_list list;

    searched.all = true;
    puts("Looking for devices...");
    int code = device_list_scan(&list, NULL, &searched, true);
    size_t known = device_list_known(&list);
    if (list.count == 0) {
        code = code != EXIT_OK ? fail(call, code, "%s", list.complaint)
                               : fail(call, EXIT_LINK,
                                      "no device was found; \"otter help update\" shows how "
                                      "to name one, \"otter doctor\" says what is missing here");
    } else {
        struct device_list shown = {.entries = list.entries,
                                    .count = known > 0 ? known : list.count};

        if (code != EXIT_OK) {
            (void)fail(call, code, "%s", list.complaint);
        }
        if (known == 0) {
            puts("None says that it can be updated; these were heard:");
        }
        device_list_print(&shown, true);
        if (shown.count < list.count) {
            printf("  (a: %zu more that do not say so)\n", list.count - shown.count);
        }
        code = choose(call, &list, shown.count, uri);
    }
    device_list_free(&list);
    return code;
}

int ask_firmware(struct call *call, char **path)
{
    char *line = ask("Firmware file to send?");

    if (line == NULL || *trimmed(line) == '\0') {
        free(line);
        return fail(call, EXIT_USAGE, "no file was named");
    }
    *path = strdup(trimmed(line));
    free(line);
    return *path != NULL ? EXIT_OK : fail(call, EXIT_FAILED, "out of memory");
}
