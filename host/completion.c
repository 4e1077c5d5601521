/* SPDX-License-Identifier: Apache-2.0 */
#include "host/completion.h"

#include <stdio.h>
#include <string.h>

/* --- what the three share -------------------------------------------------------------------- */

static size_t first_word(const char *name)
{
    return strcspn(name, " ");
}

static bool same_group(const struct completion_command *a, const struct completion_command *b)
{
    size_t len = first_word(a->name);
    return a->name[len] == ' ' && strncmp(a->name, b->name, len + 1) == 0;
}

/* One without options of its own takes those of the top. */
static bool has_options(const struct completion *c, const struct completion_command *command)
{
    return command->options != NULL || c->common != NULL;
}

/* A command of one word, or the first of its group. */
static bool is_first(const struct completion *c, const struct completion_command *command)
{
    return command == c->commands || !same_group(command, command - 1);
}

/* All values of an option's argument as "a|b|c", or NULL. */
static const char *values_of(const struct completion *c, const struct option_spec *option)
{
    if (option->arg != NULL && strcmp(option->arg, "CHIP") == 0) {
        return c->chips;
    }
    return option->arg != NULL && strchr(option->arg, '|') != NULL ? option->arg : NULL;
}

static bool names_file(const struct option_spec *option)
{
    return strcmp(option->arg, "FILE") == 0 || strcmp(option->arg, "PATH") == 0;
}

/* Text in which each character of special becomes its escape, "%c" being the character. */
static void escaped(const char *text, const char *special, const char *escape)
{
    for (; *text != 0; text++) {
        if (strchr(special, *text) != NULL) {
            for (const char *e = escape; *e != 0; e++) {
                putchar(*e == '%' ? *text : *e);
            }
        } else {
            putchar(*text);
        }
    }
}

static void spaced(const char *values)
{
    for (; *values != 0; values++) {
        putchar(*values == '|' ? ' ' : *values);
    }
}

/* The program's name as part of a function's. */
static void function_name(const struct completion *c)
{
    putchar('_');
    for (const char *p = c->program; *p != 0; p++) {
        putchar(*p == '-' ? '_' : *p);
    }
}

static void header(const struct completion *c, const char *shell)
{
    printf("# %s completion for %s, made by the program itself\n", shell, c->program);
}

/* --- bash ------------------------------------------------------------------------------------ */

/* The words that may stand first, or second in a group: each once. */
static void bash_words(const struct completion *c, const struct completion_command *group)
{
    for (const struct completion_command *x = c->commands; x != NULL && x->name != NULL; x++) {
        if (group != NULL && same_group(group, x)) {
            printf("%s ", x->name + first_word(x->name) + 1);
        } else if (group == NULL && is_first(c, x)) {
            printf("%.*s ", (int)first_word(x->name), x->name);
        }
    }
}

static void bash_options(const struct completion *c, const char *pattern,
                         const struct option_spec *options, const struct option_spec *common)
{
    for (const struct option_spec *o = options; o != NULL && o->name != NULL; o++) {
        const char *values = values_of(c, o);
        if (values != NULL) {
            printf("    %s' --%s') words='", pattern, o->name);
            spaced(values);
            puts("' ;;");
        }
    }
    printf("    %s' '*) [[ $cur == -* ]] && words='", pattern);
    for (const struct option_spec *o = options; o != NULL && o->name != NULL; o++) {
        printf("--%s ", o->name);
    }
    for (const struct option_spec *o = common; o != NULL && o->name != NULL; o++) {
        printf("--%s ", o->name);
    }
    puts("' ;;");
}

static void bash(const struct completion *c)
{
    header(c, "bash");
    function_name(c);
    puts("()\n{\n"
         "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
         "    local command=${COMP_WORDS[1]} words=''\n"
         "    COMPREPLY=()\n"
         "    if ((COMP_CWORD == 1)); then\n        command=''");
    if (c->commands != NULL) {
        printf("        [[ $cur == -* ]] || words='");
        bash_words(c, NULL);
        puts("'");
    }
    puts("    fi\n    case $command in");
    for (const struct completion_command *x = c->commands; x != NULL && x->name != NULL; x++) {
        if (x->name[first_word(x->name)] == ' ' && is_first(c, x)) {
            printf("    %.*s) if ((COMP_CWORD == 2)); then words='", (int)first_word(x->name),
                   x->name);
            bash_words(c, x);
            puts("'; else command+=\" ${COMP_WORDS[2]}\"; fi ;;");
        }
    }
    puts("    esac\n    [[ $words ]] || case \"$command $prev\" in");
    for (const struct completion_command *x = c->commands; x != NULL && x->name != NULL; x++) {
        char pattern[64];
        snprintf(pattern, sizeof pattern, "'%s'", x->name);
        if (has_options(c, x)) {
            bash_options(c, pattern, x->options, c->common);
        }
    }
    bash_options(c, "*", c->top, NULL);
    printf("    esac\n"
           "    [[ $words ]] && mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
           "}\n"
           "complete -o bashdefault -o default -F ");
    function_name(c);
    printf(" %s\n", c->program);
}

/* --- zsh ------------------------------------------------------------------------------------- */

/* In single quotes: ' ends them, and comes back escaped. */
static void zsh_text(const char *text, const char *special)
{
    for (; *text != 0; text++) {
        const char one[2] = {*text, 0};
        if (*text == '\'') {
            fputs("'\\''", stdout);
        } else {
            escaped(one, special, "\\%");
        }
    }
}

static void zsh_option(const struct completion *c, const struct option_spec *o, const char *dashes,
                       const char *name)
{
    const char *values = values_of(c, o);
    bool is_long = dashes[1] == '-';
    printf(" \\\n            '%s%s%s%s[", o->arg != NULL ? "*" : "", dashes, name,
           o->arg == NULL ? ""
           : is_long      ? "="
                          : "+");
    zsh_text(o->help, "[]\\:");
    putchar(']');
    if (values != NULL) {
        fputs(":value:(", stdout);
        spaced(values);
        putchar(')');
    } else if (o->arg != NULL) {
        printf(":%s:%s", o->arg,
               names_file(o)                ? "_files"
               : strcmp(o->arg, "DIR") == 0 ? "_directories"
                                            : " ");
    }
    putchar('\'');
}

static void zsh_options(const struct completion *c, const struct option_spec *options)
{
    for (const struct option_spec *o = options; o != NULL && o->name != NULL; o++) {
        const char letter[2] = {o->letter, 0};
        if (o->letter != 0) {
            zsh_option(c, o, "-", letter);
        }
        zsh_option(c, o, "--", o->name);
    }
}

/* A list for _describe of what may stand first, or second in a group. */
static void zsh_words(const struct completion *c, const struct completion_command *group)
{
    puts("        local -a names=(");
    for (const struct completion_command *x = c->commands; x != NULL && x->name != NULL; x++) {
        size_t len = first_word(x->name);
        const char *word = x->name;
        if (group != NULL ? !same_group(group, x) : !is_first(c, x)) {
            continue;
        }
        if (group != NULL) {
            word += len + 1;
            len = strlen(word);
        }
        printf("            '%.*s:", (int)len, word);
        if (group == NULL && x->name[len] == ' ') {
            printf("commands: %.*s --help", (int)len, x->name);
        } else {
            zsh_text(x->brief, "\\:");
        }
        puts("'");
    }
    puts("        )\n        _describe -t commands command names\n        return");
}

static void zsh(const struct completion *c)
{
    printf("#compdef %s\n", c->program);
    header(c, "zsh");
    function_name(c);
    puts("()\n{\n    local command=$words[2]\n    integer used=1");
    if (c->commands != NULL) {
        puts("    if (( CURRENT == 2 )) && [[ $PREFIX != -* ]]; then");
        zsh_words(c, NULL);
        puts("    fi");
    }
    for (const struct completion_command *x = c->commands; x != NULL && x->name != NULL; x++) {
        if (x->name[first_word(x->name)] == ' ' && is_first(c, x)) {
            printf("    if [[ $command == %.*s ]] && (( CURRENT == 3 )); then\n",
                   (int)first_word(x->name), x->name);
            zsh_words(c, x);
            printf("    elif [[ $command == %.*s ]]; then\n"
                   "        command+=\" $words[3]\"\n        used=2\n    fi\n",
                   (int)first_word(x->name), x->name);
        }
    }
    puts("    case $command in");
    for (const struct completion_command *x = c->commands; x != NULL && x->name != NULL; x++) {
        if (!has_options(c, x)) {
            continue;
        }
        printf("    '%s')\n        shift $used words\n        (( CURRENT -= used ))\n"
               "        _arguments -s -S",
               x->name);
        zsh_options(c, x->options);
        zsh_options(c, c->common);
        puts(" \\\n            '*:file:_files' ;;");
    }
    printf("    *)\n        _arguments -s -S");
    zsh_options(c, c->top);
    puts(" \\\n            '*:file:_files' ;;\n    esac\n}");
    /* Found by name in fpath, this file is the function's body; else it was sourced. */
    printf("if [[ $funcstack[1] == _%s ]]; then\n    ", c->program);
    function_name(c);
    printf(" \"$@\"\nelse\n    compdef ");
    function_name(c);
    printf(" %s\nfi\n", c->program);
}

/* --- fish ------------------------------------------------------------------------------------ */

static void fish_text(const char *text)
{
    putchar('\'');
    escaped(text, "'\\", "\\%");
    putchar('\'');
}

/* Where it counts: "at" or "in" these words; "in" no words is everywhere. */
static void fish_begin(const struct completion *c, const char *test, const char *words)
{
    printf("complete -c %s", c->program);
    if (strcmp(test, "at") == 0 || *words != 0) {
        fputs(" -n \"_", stdout);
        function_name(c);
        printf("_%s '%s'\"", test, words);
    }
}

static void fish_options(const struct completion *c, const char *test, const char *command,
                         const struct option_spec *options)
{
    for (const struct option_spec *o = options; o != NULL && o->name != NULL; o++) {
        const char *values = values_of(c, o);
        fish_begin(c, test, command);
        if (o->letter != 0) {
            printf(" -s %c", o->letter);
        }
        printf(" -l %s", o->name);
        if (values != NULL) {
            fputs(" -x -a '", stdout);
            spaced(values);
            putchar('\'');
        } else if (o->arg != NULL && strcmp(o->arg, "DIR") == 0) {
            fputs(" -x -a '(__fish_complete_directories)'", stdout);
        } else if (o->arg != NULL) {
            fputs(names_file(o) ? " -r -F" : " -x", stdout);
        }
        fputs(" -d ", stdout);
        fish_text(o->help);
        putchar('\n');
    }
}

static void fish_word(const struct completion *c, const char *after, const char *word, int len,
                      const char *brief)
{
    fish_begin(c, "at", after);
    printf(" -f -a %.*s -d ", len, word);
    fish_text(brief);
    putchar('\n');
}

static void fish_commands(const struct completion *c)
{
    for (const struct completion_command *x = c->commands; x != NULL && x->name != NULL; x++) {
        size_t len = first_word(x->name);
        char group[32];
        snprintf(group, sizeof group, "%.*s", (int)len, x->name);
        if (is_first(c, x)) {
            fish_word(c, "", x->name, (int)len, x->name[len] == ' ' ? "commands" : x->brief);
        }
        if (x->name[len] == ' ') {
            const char *word = x->name + len + 1;
            fish_word(c, group, word, (int)strlen(word), x->brief);
        }
        fish_options(c, "in", x->name, x->options);
        fish_options(c, "in", x->name, c->common);
    }
}

static void fish(const struct completion *c)
{
    header(c, "fish");
    fputs("function _", stdout);
    function_name(c);
    puts("_at -d 'What is typed so far is these words'\n"
         "    set -l typed (commandline -opc)\n"
         "    set -e typed[1]\n"
         "    test \"$typed\" = \"$argv\"\n"
         "end");
    fputs("function _", stdout);
    function_name(c);
    puts("_in -d 'What is typed begins with these words'\n"
         "    set -l typed (commandline -opc)\n"
         "    set -e typed[1]\n"
         "    string match -q -- \"$argv *\" \"$typed \"\n"
         "end");
    fish_commands(c);
    fish_options(c, c->common != NULL ? "at" : "in", "", c->top);
}

bool completion_print(const struct completion *completion, const char *shell)
{
    static const struct {
        const char *name;
        void (*print)(const struct completion *completion);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};

    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++) {
        if (strcmp(shells[i].name, shell) == 0) {
            shells[i].print(completion);
            return true;
        }
    }
    return false;
}
