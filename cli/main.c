/* SPDX-License-Identifier: Apache-2.0 */
/* otter: finds the command in the table, reads its options, runs it, prints its JSON. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "help.h"
#include "output.h"

enum { OPTION_JSON = OPTIONS_MAX + 1000, OPTION_HELP, OPTION_FIRST = 1000 };

int fail(struct call *call, int code, const char *format, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, format);
    if (vasprintf(&text, format, ap) < 0) {
        text = NULL;
    }
    va_end(ap);
    const char *sentence = safe(text ? text : "out of memory");
    fflush(stdout);
    print_styled(stderr, STYLE_BAD, "otter:");
    fprintf(stderr, " %s\n", sentence);
    if (call && call->json && code != EXIT_USAGE) {
        json_object_set_new(call->json, "error", json_string(sentence));
    }
    free(text);
    return code;
}

int exit_code_for(otter_err err)
{
    switch (err) {
    case OTTER_OK:
        return EXIT_OK;
    case OTTER_ERR_POLICY:
    case OTTER_ERR_BUSY:
    case OTTER_ERR_PENDING:
    case OTTER_ERR_RESTART:
    case OTTER_ERR_REFUSED:
    case OTTER_ERR_TOO_LARGE:
    case OTTER_ERR_IMAGE_CHIP:
    case OTTER_ERR_IMAGE_REVISION:
    case OTTER_ERR_IMAGE_PROJECT:
    case OTTER_ERR_IMAGE_OLDER:
    case OTTER_ERR_IMAGE_SECURE_VERSION:
    case OTTER_ERR_UNSIGNED:
    case OTTER_ERR_SIGNATURE_KEY:
    case OTTER_ERR_UNENCRYPTED:
    case OTTER_ERR_ENCRYPTED_KEY:
        return EXIT_REFUSED;
    case OTTER_ERR_EMPTY:
    case OTTER_ERR_TRUNCATED:
    case OTTER_ERR_TRAILING:
    case OTTER_ERR_IMAGE_MAGIC:
    case OTTER_ERR_IMAGE_HEADER:
    case OTTER_ERR_IMAGE_SEGMENT:
    case OTTER_ERR_IMAGE_MAPPING:
    case OTTER_ERR_IMAGE_CHECKSUM:
    case OTTER_ERR_IMAGE_DIGEST:
    case OTTER_ERR_SIGNATURE:
    case OTTER_ERR_SIGNATURE_FORMAT:
    case OTTER_ERR_ENCRYPTED_HEADER:
    case OTTER_ERR_ENCRYPTED_TAG:
    case OTTER_ERR_IMAGE_NO_DIGEST:
    case OTTER_ERR_IMAGE_NO_DESC:
    case OTTER_ERR_NO_SLOT:
    case OTTER_ERR_NO_OTADATA:
    case OTTER_ERR_SEQ_EXHAUSTED:
    case OTTER_ERR_TABLE_EMPTY:
    case OTTER_ERR_TABLE_MAGIC:
    case OTTER_ERR_TABLE_ALIGN:
    case OTTER_ERR_TABLE_RANGE:
    case OTTER_ERR_TABLE_OVERLAP:
    case OTTER_ERR_TABLE_MD5:
    case OTTER_ERR_TABLE_FULL:
    case OTTER_ERR_TABLE_LABEL:
    case OTTER_ERR_TABLE_SLOTS:
        return EXIT_INVALID;
    default:
        return EXIT_FAILED;
    }
}

bool option_number(struct call *call, int option, unsigned long max, unsigned long *value)
{
    const char *text = call->option[option];
    if (!text) {
        return true;
    }
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 0);
    unsigned shift = *end == 'K' || *end == 'k' ? 10 : *end == 'M' || *end == 'm' ? 20 : 0;
    end += shift ? 1 : 0;
    const char *name = call->command->options[option].name;
    if (errno || end == text || *end || *text == '-' || strlen(text) > 20) {
        fail(call, EXIT_USAGE, "--%s takes a number such as 4096, 0x1000, 64K or 4M, not \"%s\"",
             name, safe(text));
        return false;
    }
    if (number > max >> shift) {
        fail(call, EXIT_USAGE, "--%s is %lu at most, not %s", name, max, safe(text));
        return false;
    }
    *value = number << shift;
    return true;
}

static int usage_hint(const struct command *command, int code)
{
    fprintf(stderr, "otter: how it is used: otter help %s\n", command->name);
    return code;
}

static int bad_option(const struct command *command, int option, char **argv)
{
    const char *typed = optind > 0 ? argv[optind - 1] : "";
    bool is_long = strncmp(typed, "--", 2) == 0;
    if (option == ':') {
        fail(NULL, EXIT_USAGE, "%s needs a value", safe(typed));
    } else if (!is_long && optopt && optopt < 1000) {
        fail(NULL, EXIT_USAGE, "there is no option -%s", safe((char[]){(char)optopt, 0}));
    } else {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(typed, "="), typed);
        const char *near = is_long ? suggest_option(command, name + 2) : NULL;
        if (near && optopt == 0) {
            fail(NULL, EXIT_USAGE, "there is no option %s: did you mean --%s?", safe(name), near);
        } else if (optopt) {
            fail(NULL, EXIT_USAGE, "%s takes no value", safe(name));
        } else {
            fail(NULL, EXIT_USAGE, "there is no option %s", safe(name));
        }
    }
    return usage_hint(command, EXIT_USAGE);
}

/* Fills call from argv, whose element 0 is the last word of the command's name. Returns -1 to go
 * on, or an exit code. */
static int read_options(struct call *call, int argc, char **argv)
{
    const struct option_spec *specs = call->command->options;
    struct option longs[OPTIONS_MAX + 3] = {0};
    char shorts[2 * OPTIONS_MAX + 4] = ":h";
    int count = 0;
    for (; specs && specs[count].name; count++) {
        const struct option_spec *o = &specs[count];
        longs[count] = (struct option){o->name, o->arg ? required_argument : no_argument, NULL,
                                       OPTION_FIRST + count};
        if (o->letter) {
            snprintf(shorts + strlen(shorts), 3, "%c%s", o->letter, o->arg ? ":" : "");
        }
    }
    longs[count] = (struct option){"json", no_argument, NULL, OPTION_JSON};
    longs[count + 1] = (struct option){"help", no_argument, NULL, OPTION_HELP};

    opterr = 0;
    int got;
    while ((got = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        if (got == OPTION_JSON) {
            call->json = call->json ? call->json : json_object();
        } else if (got == OPTION_HELP || got == 'h') {
            help_command(stdout, call->command, false);
            return EXIT_OK;
        } else if (got == '?' || got == ':') {
            return bad_option(call->command, got, argv);
        } else {
            int i = got - OPTION_FIRST;
            for (int j = 0; got < OPTION_FIRST && j < count; j++) {
                i = specs[j].letter == got ? j : i;
            }
            call->option[i] = optarg ? optarg : "";
        }
    }
    call->args = argv + optind;
    call->arg_count = argc - optind;
    return -1;
}

static int check_arguments(const struct call *call)
{
    const struct command *c = call->command;
    if (call->arg_count < c->args_min) {
        fail(NULL, EXIT_USAGE, "otter %s needs %s", c->name, c->args);
        return usage_hint(c, EXIT_USAGE);
    }
    if (call->arg_count > c->args_max) {
        fail(NULL, EXIT_USAGE, "otter %s does not know what to do with \"%s\"", c->name,
             safe(call->args[c->args_max]));
        return usage_hint(c, EXIT_USAGE);
    }
    return -1;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    struct call call = {.command = command, .args = argv};
    int code = read_options(&call, argc, argv);
    if (code < 0) {
        code = check_arguments(&call);
    }
    if (code < 0) {
        if (call.json) {
            json_object_set_new(call.json, "schema", json_string(command->schema));
        }
        code = command->run(&call);
        if (call.json && code != EXIT_USAGE) {
            json_dumpf(call.json, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
            putchar('\n');
        }
    }
    json_decref(call.json);
    return code;
}

static int unknown_command(const char *group, const char *typed)
{
    const char *near = suggest_command(group, typed);
    const char *gap = group ? " " : "";
    group = group ? group : "";
    if (*typed == '-') {
        fail(NULL, EXIT_USAGE, "there is no option %s here: name a command first", safe(typed));
    } else if (near) {
        fail(NULL, EXIT_USAGE, "there is no command \"%s%s%s\": did you mean \"otter %s%s%s\"?",
             group, gap, safe(typed), group, gap, near);
    } else {
        fail(NULL, EXIT_USAGE, "there is no command \"%s%s%s\": \"otter help\" lists them", group,
             gap, safe(typed));
    }
    return EXIT_USAGE;
}

/* The command that words begin with; *used is how many words its name has. */
static const struct command *command_of(int count, char **words, int *used)
{
    char name[64];
    for (*used = count < 2 ? count : 2; *used > 0; --*used) {
        snprintf(name, sizeof name, "%s%s%s", words[0], *used == 2 ? " " : "",
                 *used == 2 ? words[1] : "");
        const struct command *command = command_find(name);
        if (command) {
            return command;
        }
    }
    return NULL;
}

#define COMPLETION_HELP                                                                            \
    "Usage: otter completion bash|zsh|fish\n\n"                                                    \
    "Prints a completion script. For the shell that runs:\n"                                       \
    "  bash  source <(otter completion bash)\n"                                                    \
    "  zsh   source <(otter completion zsh), after compinit\n"                                     \
    "  fish  otter completion fish | source\n\n"                                                   \
    "The Debian package brings it along."

static int help(int count, char **words)
{
    int used;
    bool all = count > 1 && strcmp(words[0], "--all") == 0;
    if (all) {
        count--;
        words++;
    }
    const struct command *command = command_of(count, words, &used);
    if (count == 0 || strcmp(words[0], "help") == 0) {
        help_overview(stdout);
    } else if (strcmp(words[0], "completion") == 0) {
        puts(COMPLETION_HELP);
    } else if (command) {
        help_command(stdout, command, all);
    } else if (group_exists(words[0]) && count == 1) {
        help_group(stdout, words[0]);
    } else {
        bool group = group_exists(words[0]);
        return unknown_command(group ? words[0] : NULL, words[group]);
    }
    return EXIT_OK;
}

static int print_completion(int count, char **words)
{
    if (count > 0 && (strcmp(words[0], "--help") == 0 || strcmp(words[0], "-h") == 0)) {
        puts(COMPLETION_HELP);
        return EXIT_OK;
    }
    if (count != 1 || !completion(words[0])) {
        return fail(NULL, EXIT_USAGE,
                    "completion is there for bash, zsh and fish: otter completion bash");
    }
    return EXIT_OK;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        help_overview(stderr);
        return EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        puts("otter " OTTER_VERSION);
        return EXIT_OK;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        return help(0, NULL);
    }
    if (strcmp(word, "help") == 0) {
        return help(argc - 2, argv + 2);
    }
    if (strcmp(word, "completion") == 0) {
        return print_completion(argc - 2, argv + 2);
    }
    int used;
    const struct command *command = command_of(argc - 1, argv + 1, &used);
    if (command) {
        return run_command(command, argc - used, argv + used);
    }
    if (!group_exists(word)) {
        return unknown_command(NULL, word);
    }
    if (argc < 3) {
        help_group(stderr, word);
        return EXIT_USAGE;
    }
    if (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0) {
        return help(1, argv + 1);
    }
    return unknown_command(word, argv[2]);
}

int main(int argc, char **argv)
{
    output_init();
    int code = dispatch(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        return fail(NULL, EXIT_FAILED, "cannot write the output: %s", strerror(errno));
    }
    return code;
}
