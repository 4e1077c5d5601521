/* SPDX-License-Identifier: Apache-2.0 */
#include "update_ask.h"

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

static int choose(struct call *call, const struct device_list *list, char **uri)
{
    for (;;) {
        char *line = ask("Which one (number, or a target such as att:/path)?");
        const char *address;

        if (line == NULL) {
            return fail(call, EXIT_USAGE, "no device was chosen");
        }
        char *text = trimmed(line);
        char *end;
        unsigned long number = strtoul(text, &end, 10);
        const char *chosen = *text != '\0' && *end == '\0' && number >= 1 && number <= list->count
                                 ? list->entries[number - 1].uri
                             : otter_target_find(text, &address) != NULL ? text
                                                                         : NULL;
        *uri = chosen != NULL ? strdup(chosen) : NULL;
        free(line);
        if (*uri != NULL) {
            return EXIT_OK;
        }
        if (list->count == 1) {
            puts("Please type 1, or a target.");
        } else {
            printf("Please type a number from 1 to %zu, or a target.\n", list->count);
        }
    }
}

int ask_target(struct call *call, const struct otter_target_options *options, char **uri)
{
    struct device_list list;

    puts("Looking for devices...");
    int code = device_list_scan(&list, NULL, options);
    if (list.count == 0) {
        code = code != EXIT_OK ? fail(call, code, "%s", list.complaint)
                               : fail(call, EXIT_LINK,
                                      "no device was found; \"otter help update\" shows how "
                                      "to name one");
    } else {
        device_list_print(&list, true);
        code = choose(call, &list, uri);
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
