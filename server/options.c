/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/completion.h"
#include "router.h"

#ifndef OTTER_VERSION
#define OTTER_VERSION "0"
#endif

enum option_kind { TEXT, FLAG, NUMBER, SIZE, LIST, OTHER };

#define AT(field) offsetof(struct options, field)

/* Where a row counts: BRIEF is in the short help, LINE is for the command line alone, not for the
 * configuration file. */
enum { BRIEF = 1, LINE = 2 };

/* One row an option: the table makes the parser, the help, the configuration file's settings and
 * the completion. */
static const struct row {
    const char *name;
    char letter;
    enum option_kind kind;
    size_t at;
    const char *value;
    const char *help;
    unsigned where;
} rows[] = {
    {"dir", 'd', TEXT, AT(dir), "DIR", "made by `otterd init` [/etc/otterd]", BRIEF | LINE},
    {"config", 'C', TEXT, AT(config), "FILE", "settings [DIR/otterd.conf]", BRIEF | LINE},
    {"data", 'D', TEXT, AT(data), "DIR", "database and files [/var/lib/otterd]", BRIEF},
    {"listen", 'l', LIST, AT(listen), "WHERE", "PORT, ADDRESS:PORT or [ADDRESS]:PORT [8443]",
     BRIEF},
    {"cert", 'c', TEXT, AT(cert), "FILE", "certificate chain, PEM [DIR/server.pem]", 0},
    {"key", 'k', TEXT, AT(key), "FILE", "its key, PEM [DIR/server-key.pem]", 0},
    {"users", 'u', TEXT, AT(users), "FILE", "name:role:hash lines [DIR/users]", 0},
    {"user", 0, TEXT, AT(run_as), "NAME", "account to become when started as root [otterd]", 0},
    {"plain", 0, FLAG, AT(plain), NULL, "no TLS, on loopback only: behind a proxy", BRIEF},
    {"any-file", 0, FLAG, AT(any_file), NULL, "take uploads that are not ESP32 images", 0},
    {"max-upload", 0, SIZE, AT(max_upload), "BYTES", "largest upload, K and M understood [16M]", 0},
    {"max-uploads", 0, NUMBER, AT(max_uploads), "N", "uploads at once [16]", 0},
    {"max-connections", 0, NUMBER, AT(max_connections), "N", "open connections [8192]", 0},
    {"max-per-address", 0, NUMBER, AT(max_per_address), "N", "of them from one address [1024]", 0},
    {"max-devices", 0, NUMBER, AT(max_devices), "N", "devices remembered by their polls [200000]",
     0},
    {"poll", 0, NUMBER, AT(poll_seconds), "SECONDS", "tell devices how often to ask [not told]", 0},
    {"threads", 't', NUMBER, AT(threads), "N", "event loops [one a core, at most 8]", 0},
    {"head-timeout", 0, NUMBER, AT(head_seconds), "SECONDS", "for handshake and head [10]", 0},
    {"idle-timeout", 0, NUMBER, AT(idle_seconds), "SECONDS", "between requests [60]", 0},
    {"rate-window", 0, NUMBER, AT(rate_seconds), "SECONDS", "time over which bodies count [15]", 0},
    {"min-rate", 0, NUMBER, AT(rate_bytes), "BYTES", "a second, slower bodies are cut off [256]",
     0},
    {"grace", 0, NUMBER, AT(grace_seconds), "SECONDS", "for downloads when stopping [30]", 0},
    {"cache-control", 0, TEXT, AT(cache_control), "TEXT", "sent with files [private, no-cache]", 0},
    {"open-metrics", 0, FLAG, AT(open_metrics), NULL, "/metrics without credentials", 0},
    {"log", 0, OTHER, 'L', "plain|json", "the log's form [plain]", 0},
    {"quiet", 'q', OTHER, 'q', NULL, "log warnings and errors only", BRIEF},
    {"verbose", 'v', OTHER, 'v', NULL, "log every request", BRIEF},
    {"name", 'n', LIST, AT(names), "NAME", "for init: host name or address of the server",
     BRIEF | LINE},
    {"force", 'f', FLAG, AT(force), NULL, "for init: replace what is there", BRIEF | LINE},
    {"routes", 0, OTHER, 'r', NULL, "print the table of routes", LINE},
    {"completion", 0, OTHER, 'S', "bash|zsh|fish", "print a completion script", LINE},
    {"version", 'V', OTHER, 'V', NULL, "print the version", LINE},
    {"help-all", 0, OTHER, 'H', NULL, "every option there is", BRIEF | LINE},
    {"help", 'h', OTHER, 'h', NULL, "this text", BRIEF | LINE},
};
#define ROWS (sizeof rows / sizeof rows[0])

static void print_row(const struct row *row)
{
    char left[40];
    char letter[5] = "    ";
    if (row->letter != 0) {
        snprintf(letter, sizeof letter, "-%c, ", row->letter);
    }
    snprintf(left, sizeof left, "%s--%s %s", letter, row->name,
             row->value != NULL ? row->value : "");
    printf("  %-27s  %s\n", left, row->help);
}

static void print_help(bool all)
{
    puts("usage: otterd [OPTION]...            serve firmware updates over HTTPS\n"
         "       otterd init [OPTION]... DIR   make CA, certificate, credentials in DIR\n"
         "       otterd passwd FILE NAME ROLE  set a password, read from standard input;\n"
         "                                     ROLE is admin, device, or remove\n");
    for (size_t i = 0; i < ROWS; i++) {
        if (all || (rows[i].where & BRIEF) != 0) {
            print_row(&rows[i]);
        }
    }
    puts("\nA line `listen = 443` in otterd.conf is `--listen 443` here: otterd.conf(5).\n"
         "Environment: US_AUTH_USERNAME and others, as for the first FUOTA server.\n"
         "The manual: man otterd.");
}

static bool print_completion(const char *shell)
{
    static const struct completion_command commands[] = {
        {"init", "make a CA, a certificate and credentials", NULL},
        {"passwd", "set a password, read from standard input", NULL},
        {NULL, NULL, NULL},
    };
    struct option_spec specs[ROWS + 1] = {{0}};
    for (size_t i = 0; i < ROWS; i++) {
        specs[i] = (struct option_spec){.name = rows[i].name,
                                        .letter = rows[i].letter,
                                        .arg = rows[i].value,
                                        .help = rows[i].help};
    }
    return completion_print(
        &(struct completion){.program = "otterd", .commands = commands, .top = specs}, shell);
}

static bool parse_number(const char *text, uint64_t max, bool suffix, uint64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || text[0] == '-') {
        return false;
    }
    if (suffix && (*end == 'K' || *end == 'M')) {
        uint64_t unit = *end == 'K' ? 1024 : 1024 * 1024;
        if (*value > max / unit) {
            return false;
        }
        *value *= unit;
        end++;
    }
    return *end == 0 && *value <= max;
}

static bool store(struct options *options, const struct row *row, const char *text)
{
    char *field = (char *)options + row->at;
    uint64_t value = 0;
    switch (row->kind) {
    case TEXT:
        *(const char **)(void *)field = text;
        return true;
    case FLAG:
        *(bool *)field = true;
        return true;
    case NUMBER:
        if (!parse_number(text, 100000000, false, &value)) {
            return false;
        }
        *(uint32_t *)(void *)field = (uint32_t)value;
        return true;
    case SIZE:
        if (!parse_number(text, (uint64_t)1 << 40, true, &value)) {
            return false;
        }
        *(uint64_t *)(void *)field = value;
        return true;
    case LIST: {
        bool listen = row->at == AT(listen);
        int *count = listen ? &options->listen_count : &options->name_count;
        int most = listen ? LISTEN_MAX : (int)(sizeof options->names / sizeof options->names[0]);
        if (*count == most) {
            return false;
        }
        ((const char **)(void *)field)[(*count)++] = text;
        return true;
    }
    case OTHER:
        break;
    }
    return false;
}

/* Options that do something of their own. -1 to go on, or the exit code. */
static int other(struct options *options, const struct row *row, const char *text)
{
    switch (row->at) {
    case 'L':
        options->json_log = strcmp(text, "json") == 0;
        if (!options->json_log && strcmp(text, "plain") != 0) {
            fprintf(stderr, "otterd: --log takes plain or json, not \"%s\"\n", text);
            return 2;
        }
        return -1;
    case 'q':
        options->log_level = LOG_LEVEL_WARNING;
        return -1;
    case 'v':
        options->log_level = LOG_LEVEL_REQUEST;
        return -1;
    case 'r':
        router_print();
        return 0;
    case 'S':
        if (!print_completion(text)) {
            fprintf(stderr, "otterd: --completion takes bash, zsh or fish, not \"%s\"\n", text);
            return 2;
        }
        return 0;
    case 'V':
        puts("otterd " OTTER_VERSION);
        return 0;
    default:
        print_help(row->at == 'H');
        return 0;
    }
}

static void defaults(struct options *options)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    *options = (struct options){
        .log_level = LOG_LEVEL_INFO,
        .threads = cores < 1   ? 1
                   : cores > 8 ? 8
                               : (uint32_t)cores,
        .max_connections = 8192,
        .max_per_address = 1024,
        .max_devices = 200000,
        .max_upload = 16 << 20,
        .max_uploads = 16,
        .head_seconds = 10,
        .idle_seconds = 60,
        .rate_seconds = 15,
        .rate_bytes = 256,
        .grace_seconds = 30,
        .cache_control = "private, no-cache",
        .env_user = getenv("US_AUTH_USERNAME"),
        .env_password = getenv("US_AUTH_PASSWORD"),
        .env_device_user = getenv("OTTERD_DEVICE_USERNAME"),
        .env_device_password = getenv("OTTERD_DEVICE_PASSWORD"),
    };
}

static const char *join(char path[OPTION_PATH_MAX], const char *dir, const char *name)
{
    snprintf(path, OPTION_PATH_MAX, "%s/%s", dir, name);
    return path;
}

/* Started the way the first server was: its variables set, its certificate in this folder. */
static bool first_server_layout(const struct options *options)
{
    return options->env_user != NULL && options->dir == NULL && options->cert == NULL &&
           access("ca_cert.pem", F_OK) == 0 && access("ca_key.pem", F_OK) == 0;
}

/* --- the configuration file ------------------------------------------------------------------ */

/* Without the blanks around it. */
static char *trimmed(char *text)
{
    text += strspn(text, " \t\r");
    size_t len = strlen(text);
    while (len > 0 && strchr(" \t\r", text[len - 1]) != NULL) {
        len--;
    }
    text[len] = 0;
    return text;
}

/* A switch is "yes" or "no"; everything else is what the option takes. */
static const char *take_setting(struct options *options, const char *name, const char *value)
{
    const struct row *row = NULL;
    for (size_t i = 0; i < ROWS && row == NULL; i++) {
        row = (rows[i].where & LINE) == 0 && strcmp(rows[i].name, name) == 0 ? &rows[i] : NULL;
    }
    if (row == NULL) {
        return "there is no such setting: otterd.conf(5) lists them";
    }
    if (row->value == NULL && strcmp(value, "no") == 0) {
        return NULL;
    }
    if (row->value == NULL ? strcmp(value, "yes") != 0 : *value == 0) {
        return row->value == NULL ? "it takes yes or no" : "it needs a value";
    }
    bool good = row->kind == OTHER ? other(options, row, value) < 0 : store(options, row, value);
    return good ? NULL : "the value does not make sense here";
}

/* Lines "setting = value", named as the options are; # begins a comment line. The text stays, as
 * the options point into it. */
static bool read_settings(struct options *options, const char *path, char *text)
{
    unsigned number = 0;
    for (char *line; (line = strsep(&text, "\n")) != NULL;) {
        number++;
        char *name = trimmed(line);
        char *equals = strchr(name, '=');
        if (*name == 0 || *name == '#') {
            continue;
        }
        const char *wrong = "a line is: setting = value";
        if (equals != NULL) {
            *equals = 0;
            name = trimmed(name);
            wrong = take_setting(options, name, trimmed(equals + 1));
        }
        if (wrong != NULL) {
            fprintf(stderr, "otterd: %s:%u: %s: %s\n", path, number, name, wrong);
            return false;
        }
    }
    return true;
}

/* Without --config a file that is not there is none. */
static bool read_file(struct options *options, const char *path, bool must)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        if (!must && errno == ENOENT) {
            return true;
        }
        fprintf(stderr, "otterd: cannot read %s: %s\n", path, strerror(errno));
        return false;
    }
    options->settings = calloc(1, SETTINGS_MAX);
    size_t len =
        options->settings != NULL ? fread(options->settings, 1, SETTINGS_MAX - 1, file) : 0;
    bool good = options->settings != NULL && ferror(file) == 0 && len < SETTINGS_MAX - 1;
    fclose(file);
    if (!good || strlen(options->settings) != len) {
        fprintf(stderr, "otterd: %s cannot be read, or is no text of less than %u bytes\n", path,
                SETTINGS_MAX);
        return false;
    }
    return read_settings(options, path, options->settings);
}

static bool read_config(struct options *options)
{
    if (options->config == NULL && first_server_layout(options)) {
        return true;
    }
    const char *dir = options->dir != NULL ? options->dir : "/etc/otterd";
    const char *path = options->config;
    return read_file(options, path != NULL ? path : join(options->paths[2], dir, "otterd.conf"),
                     path != NULL);
}

/* --- the whole ------------------------------------------------------------------------------- */

static void fill_in(struct options *options)
{
    if (first_server_layout(options)) {
        options->cert = "ca_cert.pem";
        options->key = "ca_key.pem";
        options->data = options->data != NULL ? options->data : "../data";
    }
    const char *dir = options->dir != NULL ? options->dir : "/etc/otterd";
    if (options->cert == NULL) {
        options->cert = join(options->paths[0], dir, "server.pem");
    }
    if (options->key == NULL) {
        options->key = join(options->paths[1], dir, "server-key.pem");
    }
    if (options->users == NULL && access(join(options->paths[2], dir, "users"), F_OK) == 0) {
        options->users = options->paths[2];
    }
    if (options->data == NULL) {
        options->data = "/var/lib/otterd";
    }
    if (options->listen_count == 0) {
        const char *port = getenv("US_SERVER_PORT");
        options->listen[options->listen_count++] = port != NULL ? port : "8443";
    }
}

static int read_arguments(struct options *options, int argc, char **argv)
{
    bool listens = false;
    struct option longs[ROWS + 1] = {{0}};
    char shorts[2 * ROWS + 1] = "";
    for (size_t i = 0; i < ROWS; i++) {
        bool takes = rows[i].value != NULL;
        longs[i] = (struct option){rows[i].name, takes ? required_argument : no_argument, NULL,
                                   (int)(1000 + i)};
        if (rows[i].letter != 0) {
            char text[3] = {rows[i].letter, takes ? ':' : 0, 0};
            strcat(shorts, text);
        }
    }
    int got;
    while ((got = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        const struct row *row = got >= 1000 ? &rows[got - 1000] : NULL;
        for (size_t i = 0; i < ROWS && row == NULL; i++) {
            row = rows[i].letter == got ? &rows[i] : NULL;
        }
        if (row == NULL) {
            fputs("otterd: try otterd --help\n", stderr);
            return 2;
        }
        if (row->kind == LIST && row->at == AT(listen) && !listens) {
            listens = true;
            options->listen_count = 0; /* instead of the configuration file's */
        }
        if (row->kind == OTHER) {
            int result = other(options, row, optarg);
            if (result >= 0) {
                return result;
            }
        } else if (!store(options, row, optarg)) {
            fprintf(stderr, "otterd: --%s: \"%s\" does not make sense here\n", row->name, optarg);
            return 2;
        }
    }
    return -1;
}

int options_parse(struct options *options, int argc, char **argv)
{
    defaults(options);
    int result = read_arguments(options, argc, argv);
    if (result >= 0) {
        return result;
    }
    if (argv[optind] == NULL) {
        /* The file goes before: it is named by the command line, which comes again on top. */
        if (!read_config(options)) {
            return 2;
        }
        optind = 0;
        result = read_arguments(options, argc, argv);
        if (result >= 0) {
            return result;
        }
    }
    options->command = argv[optind];
    options->arguments = argv + optind + (optind < argc ? 1 : 0);
    if (options->threads < 1 || options->threads > 64 || options->head_seconds < 1 ||
        options->rate_seconds < 1 || options->idle_seconds < 1) {
        fputs("otterd: --threads takes 1 to 64, and timeouts are at least 1\n", stderr);
        return 2;
    }
    if (options->command == NULL) {
        fill_in(options);
    }
    return -1;
}
