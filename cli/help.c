/* SPDX-License-Identifier: Apache-2.0 */
#include "help.h"

#include <stdlib.h>
#include <string.h>

#include "otter/image.h"
#include "output.h"

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

static void list_line(FILE *f, const struct command *c)
{
    fprintf(f, "  otter %-16s  %s\n", c->name, c->brief);
}

void help_overview(FILE *f)
{
    fputs("otter: over-the-air firmware updates for ESP32\n\n", f);
    for (const struct command *const *c = commands; *c; c++) {
        list_line(f, *c);
    }
    fputs("\n"
          "  otter help COMMAND     how a command is used\n"
          "  otter completion bash  completion for your shell: source it from ~/.bashrc\n"
          "  otter --version        the version of this program\n"
          "\n"
          "Every command takes --json. Exit codes: 0 ok, 1 failure, 2 usage, 3 image or flash\n"
          "invalid, 4 refused, 5 link failed, 6 not back or rolled back. The manual: man otter.\n",
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

static void help_options(FILE *f, const struct option_spec *option)
{
    for (; option && option->name; option++) {
        char left[64];
        char letter[8] = "   ";
        if (option->letter) {
            snprintf(letter, sizeof letter, "-%c,", option->letter);
        }
        snprintf(left, sizeof left, "%s --%s%s%s", letter, option->name, option->arg ? " " : "",
                 option->arg ? option->arg : "");
        fprintf(f, "  %-32s  %s\n", left, option->help);
    }
}

void help_command(FILE *f, const struct command *c)
{
    fprintf(f, "Usage: otter %s [OPTION...]%s%s\n\n%s\n", c->name, *c->args ? " " : "", c->args,
            c->about);
    help_options(f, c->options);
    help_options(f, common);
    fprintf(f, "\nMore: man otter-%.*s\n", (int)first_word(c->name), c->name);
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

/* The words after "otter", or after a group: each once. */
static void completion_words(const char *group)
{
    const char *last = "";
    for (const struct command *const *c = commands; *c; c++) {
        size_t first = first_word((*c)->name);
        if (group) {
            if (in_group(*c, group)) {
                printf(" %s", (*c)->name + first + 1);
            }
        } else if (strncmp(last, (*c)->name, first + 1) != 0) {
            printf(" %.*s", (int)first, (*c)->name);
            last = (*c)->name;
        }
    }
}

static void completion_values(const struct option_spec *o)
{
    if (strcmp(o->arg, "CHIP") == 0) {
        for (size_t i = 0; otter_chip_at(i); i++) {
            printf(" %s", otter_chip_at(i)->name);
        }
        return;
    }
    for (const char *s = o->arg; *s; s++) {
        putchar(*s == '|' ? ' ' : *s);
    }
}

static void completion_command(const struct command *c)
{
    for (const struct option_spec *o = c->options; o && o->name; o++) {
        if (o->arg && (strchr(o->arg, '|') || strcmp(o->arg, "CHIP") == 0)) {
            printf("    '%s --%s') words='", c->name, o->name);
            completion_values(o);
            printf("' ;;\n");
        }
    }
    printf("    '%s '*) [[ $cur == -* ]] && words='", c->name);
    for (const struct option_spec *o = c->options; o && o->name; o++) {
        printf("--%s ", o->name);
    }
    printf("--json --help' ;;\n");
}

void completion_bash(void)
{
    puts("# bash completion for otter, made by: otter completion bash");
    puts("_otter()\n{\n"
         "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
         "    local command=${COMP_WORDS[1]} words=''\n"
         "    COMPREPLY=()");
    printf("    if ((COMP_CWORD == 1)); then\n        words='");
    completion_words(NULL);
    puts(" help completion --help --version'\n        command=''\n    fi\n    case $command in");
    for (const struct command *const *c = commands; *c; c++) {
        size_t len = first_word((*c)->name);
        bool again = c > commands && strncmp(c[-1]->name, (*c)->name, len + 1) == 0;
        if ((*c)->name[len] == ' ' && !again) {
            char group[33];
            snprintf(group, sizeof group, "%.*s", (int)len, (*c)->name);
            printf("    %s) if ((COMP_CWORD == 2)); then words='", group);
            completion_words(group);
            puts("'; else command+=\" ${COMP_WORDS[2]}\"; fi ;;");
        }
    }
    puts("    esac\n    case \"$command $prev\" in");
    for (const struct command *const *c = commands; *c; c++) {
        completion_command(*c);
    }
    puts("    esac\n"
         "    [[ $words ]] && mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
         "}\n"
         "complete -o bashdefault -o default -F _otter otter");
}
