/* SPDX-License-Identifier: Apache-2.0 */
#include "help.h"

#include <stdlib.h>
#include <string.h>

#include "otter/image.h"
#include "output.h"

#define COLUMNS 80
#define COMMANDS_MAX 64u

static const struct option_spec top[] = {
    {"version", 'V', NULL, "print the version"},
    {"help", 'h', NULL, "list the commands"},
    {NULL, 0, NULL, NULL},
};

static const struct option_spec common[] = {
    {"json", 0, NULL, "print one JSON object"},
    {"help", 'h', NULL, "show this help"},
    {NULL, 0, NULL, NULL},
};

static size_t first_word(const char *name)
{
    return strcspn(name, " ");
}

static bool in_group(const struct command *command, const char *group)
{
    size_t len = first_word(command->name);
    return command->name[len] == ' ' && strlen(group) == len &&
           strncmp(command->name, group, len) == 0;
}

bool group_exists(const char *word)
{
    for (const struct command *const *c = commands; *c; c++) {
        if (in_group(*c, word)) {
            return true;
        }
    }
    return false;
}

const struct command *command_find(const char *name)
{
    for (const struct command *const *c = commands; *c; c++) {
        if (strcmp((*c)->name, name) == 0) {
            return *c;
        }
    }
    return NULL;
}

/* Words from column on, the next lines from indent on. */
static size_t fill(FILE *f, const char *text, size_t len, size_t column, size_t indent)
{
    for (const char *end = text + len; text < end;) {
        size_t word = strcspn(text, " \n");
        word = word < (size_t)(end - text) ? word : (size_t)(end - text);
        if (column > indent && column + 1 + word > COLUMNS) {
            fprintf(f, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', f);
            column++;
        }
        fprintf(f, "%.*s", (int)word, text);
        column += word;
        text += word;
        text += text < end;
    }
    return column;
}

/* Lines that begin with a space stay as they are, the others are paragraphs to fill. */
static void paragraphs(FILE *f, const char *text)
{
    size_t column = 0;
    while (*text) {
        size_t len = strcspn(text, "\n");
        if (*text == ' ') {
            fprintf(f, "%s%.*s\n", column ? "\n" : "", (int)len, text);
            column = 0;
        } else {
            column = fill(f, text, len, column, 0);
        }
        text += len + (text[len] == '\n');
    }
    fputs(column ? "\n" : "", f);
}

static void list_line(FILE *f, const struct command *c)
{
    fprintf(f, "  otter %-16s  %s\n", c->name, c->brief);
}

/* "otter image COMMAND    info, verify ..." */
static void group_line(FILE *f, const struct command *const *c)
{
    char left[48];
    char group[33];
    snprintf(group, sizeof group, "%.*s", (int)first_word((*c)->name), (*c)->name);
    snprintf(left, sizeof left, "%s COMMAND", group);
    size_t column = (size_t)fprintf(f, "  otter %-16s  ", left);
    size_t indent = column;
    for (; *c && in_group(*c, group); c++) {
        char word[40];
        snprintf(word, sizeof word, "%s%s", (*c)->name + strlen(group) + 1,
                 c[1] && in_group(c[1], group) ? "," : "");
        column = fill(f, word, strlen(word), column, indent);
    }
    fputc('\n', f);
}

void help_overview(FILE *f)
{
    fputs("otter: over-the-air firmware updates for ESP32\n\n", f);
    for (const struct command *const *c = commands; *c; c++) {
        size_t len = first_word((*c)->name);
        bool again = c > commands && strncmp(c[-1]->name, (*c)->name, len + 1) == 0;
        if ((*c)->name[len] != ' ') {
            list_line(f, *c);
        } else if (!again) {
            group_line(f, c);
        }
    }
    fputs("\n"
          "  otter help COMMAND      how a command is used\n"
          "  otter completion SHELL  completion for bash, zsh or fish\n"
          "  otter --version         the version of this program\n"
          "\n"
          "Every command takes --json. Exit codes: 0 ok, 1 failure, 2 usage, 3 image or\n"
          "flash invalid, 4 refused, 5 link failed, 6 not back or rolled back.\n"
          "The manual: man otter.\n",
          f);
}

void help_group(FILE *f, const char *group)
{
    for (const struct command *const *c = commands; *c; c++) {
        if (in_group(*c, group)) {
            list_line(f, *c);
        }
    }
    fprintf(f, "\nHow one is used: otter help %s COMMAND\n", group);
}

/* "-o, --output FILE"; returns its length. */
static size_t option_left(char left[64], const struct option_spec *option)
{
    char letter[8] = "   ";
    if (option->letter) {
        snprintf(letter, sizeof letter, "-%c,", option->letter);
    }
    snprintf(left, 64, "%s --%s%s%s", letter, option->name, option->arg ? " " : "",
             option->arg ? option->arg : "");
    return strlen(left);
}

static size_t widest(const struct option_spec *option, bool all)
{
    size_t width = 0;
    for (char left[64]; option && option->name; option++) {
        size_t len = all || !option->rare ? option_left(left, option) : 0;
        width = len > width ? len : width;
    }
    return width;
}

static void help_options(FILE *f, const struct option_spec *option, size_t width, bool all)
{
    for (char left[64]; option && option->name; option++) {
        if (all || !option->rare) {
            option_left(left, option);
            fprintf(f, "  %-*s  ", (int)width, left);
            fill(f, option->help, strlen(option->help), width + 4, width + 4);
            fputc('\n', f);
        }
    }
}

void help_command(FILE *f, const struct command *c, bool all)
{
    size_t width = widest(c->options, all);
    bool more = false;
    for (const struct option_spec *o = c->options; o && o->name; o++) {
        more = more || o->rare;
    }
    width = width < 14 ? 14 : width;
    fprintf(f, "Usage: otter %s [OPTION...]%s%s\n\n", c->name, *c->args ? " " : "", c->args);
    paragraphs(f, c->about);
    fputc('\n', f);
    help_options(f, c->options, width, all);
    help_options(f, common, width, all);
    if (more && !all) {
        fprintf(f, "\nAll options: otter help --all %s, and ", c->name);
    } else {
        fputs("\nMore: ", f);
    }
    fprintf(f, "man otter-%.*s\n", (int)first_word(c->name), c->name);
}

/* How many letters must change, come or go to make one word of the other. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[33];
    size_t n = strlen(b);
    if (strlen(a) > 32 || n > 32) {
        return 99;
    }
    for (unsigned j = 0; j <= n; j++) {
        row[j] = j;
    }
    for (unsigned i = 1; a[i - 1]; i++) {
        unsigned corner = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= n; j++) {
            unsigned change = corner + (a[i - 1] != b[j - 1]);
            corner = row[j];
            unsigned step = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < step ? change : step;
        }
    }
    return row[n];
}

struct nearest {
    const char *typed;
    unsigned distance;
    char name[33];
};

static void consider(struct nearest *n, const char *name, size_t len)
{
    char word[33];
    snprintf(word, sizeof word, "%.*s", (int)len, name);
    unsigned d = distance(n->typed, word);
    unsigned allowed = strlen(n->typed) <= 4 ? 1 : 2;
    if (d <= allowed && d < n->distance) {
        n->distance = d;
        memcpy(n->name, word, sizeof word);
    }
}

static const char *found(const struct nearest *n)
{
    return n->distance < 99 ? safe(n->name) : NULL;
}

const char *suggest_command(const char *group, const char *typed)
{
    struct nearest n = {.typed = typed, .distance = 99};
    for (const struct command *const *c = commands; *c; c++) {
        size_t first = first_word((*c)->name);
        const char *second = (*c)->name + first + ((*c)->name[first] == ' ');
        if (group && in_group(*c, group)) {
            consider(&n, second, strlen(second));
        } else if (!group) {
            consider(&n, (*c)->name, first);
        }
    }
    if (!group) {
        consider(&n, "help", 4);
        consider(&n, "completion", 10);
    }
    return found(&n);
}

const char *suggest_option(const struct command *command, const char *typed)
{
    struct nearest n = {.typed = typed, .distance = 99};
    for (const struct option_spec *o = command->options; o && o->name; o++) {
        consider(&n, o->name, strlen(o->name));
    }
    for (const struct option_spec *o = common; o->name; o++) {
        consider(&n, o->name, strlen(o->name));
    }
    return found(&n);
}

/* "esp32|esp32s2|...", as CHIP takes them. */
static void join_chips(char *chips, size_t size)
{
    *chips = 0;
    for (size_t i = 0; otter_chip_at(i); i++) {
        size_t used = strlen(chips);
        snprintf(chips + used, size - used, "%s%s", i ? "|" : "", otter_chip_at(i)->name);
    }
}

bool completion(const char *shell)
{
    struct completion_command list[COMMANDS_MAX + 1] = {0};
    char chips[256];
    size_t count = 0;
    for (const struct command *const *c = commands; *c && count < COMMANDS_MAX; c++) {
        list[count++] = (struct completion_command){(*c)->name, (*c)->brief, (*c)->options};
    }
    list[count++] = (struct completion_command){"help", "how a command is used", NULL};
    list[count++] = (struct completion_command){"completion", "completion for your shell", NULL};
    join_chips(chips, sizeof chips);
    const struct completion all = {"otter", list, top, common, chips};
    return completion_print(&all, shell);
}
