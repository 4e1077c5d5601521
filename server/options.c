/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "router.h"

#ifndef OTTER_VERSION
#define OTTER_VERSION "0"
#endif

enum option_kind { TEXT, FLAG, NUMBER, SIZE, LIST, OTHER };

#define AT(field) offsetof(struct options, field)

/* One row an option: the table makes the parser and the help. */
static const struct row {
    const char *name;
    char letter;
    enum option_kind kind;
    size_t at;
    const char *value;
    const char *help;
} rows[] = {
    {"dir", 'd', TEXT, AT(dir), "DIR", "configuration made by `otterd init` [/etc/otterd]"},
    {"data", 'D', TEXT, AT(data), "DIR", "database and files [/var/lib/otterd]"},
    {"listen", 'l', LIST, AT(listen), "WHERE", "PORT, ADDRESS:PORT or [ADDRESS]:PORT [8443]"},
    {"cert", 'c', TEXT, AT(cert), "FILE", "certificate chain, PEM [DIR/server.pem]"},
    {"key", 'k', TEXT, AT(key), "FILE", "its key, PEM [DIR/server-key.pem]"},
    {"users", 'u', TEXT, AT(users), "FILE", "name:role:hash lines [DIR/users]"},
    {"user", 0, TEXT, AT(run_as), "NAME", "account to become when started as root [otterd]"},
    {"plain", 0, FLAG, AT(plain), NULL, "no TLS, on loopback only: behind a proxy"},
    {"any-file", 0, FLAG, AT(any_file), NULL, "take uploads that are not ESP32 images"},
    {"max-upload", 0, SIZE, AT(max_upload), "BYTES", "largest upload, K and M understood [16M]"},
    {"max-uploads", 0, NUMBER, AT(max_uploads), "N", "uploads at once [16]"},
    {"max-connections", 0, NUMBER, AT(max_connections), "N", "open connections [8192]"},
    {"max-per-address", 0, NUMBER, AT(max_per_address), "N", "of them from one address [1024]"},
    {"max-devices", 0, NUMBER, AT(max_devices), "N", "devices remembered by their polls [200000]"},
    {"poll", 0, NUMBER, AT(poll_seconds), "SECONDS", "tell devices how often to ask [not told]"},
    {"threads", 't', NUMBER, AT(threads), "N", "event loops [one a core, at most 8]"},
    {"head-timeout", 0, NUMBER, AT(head_seconds), "SECONDS", "for handshake and head [10]"},
    {"idle-timeout", 0, NUMBER, AT(idle_seconds), "SECONDS", "between requests [60]"},
    {"rate-window", 0, NUMBER, AT(rate_seconds), "SECONDS", "time over which bodies count [15]"},
    {"min-rate", 0, NUMBER, AT(rate_bytes), "BYTES", "a second, slower bodies are cut off [256]"},
    {"grace", 0, NUMBER, AT(grace_seconds), "SECONDS", "for downloads when stopping [30]"},
    {"cache-control", 0, TEXT, AT(cache_control), "TEXT", "sent with files [private, no-cache]"},
    {"open-metrics", 0, FLAG, AT(open_metrics), NULL, "/metrics without credentials"},
    {"log", 0, OTHER, 'L', "KIND", "plain or json [plain]"},
    {"quiet", 'q', OTHER, 'q', NULL, "log warnings and errors only"},
    {"verbose", 'v', OTHER, 'v', NULL, "log every request"},
    {"name", 'n', LIST, AT(names), "NAME", "for init: host name or address of the server"},
    {"force", 'f', FLAG, AT(force), NULL, "for init: replace what is there"},
    {"routes", 0, OTHER, 'r', NULL, "print the table of routes"},
    {"version", 'V', OTHER, 'V', NULL, "print the version"},
    {"help", 'h', OTHER, 'h', NULL, "this text"},
};
#define ROWS (sizeof rows / sizeof rows[0])

void options_help(void)
{
    puts("usage: otterd [OPTION]...               serve firmware updates over HTTPS\n"
         "       otterd init [OPTION]... DIR      make a CA, a certificate and credentials in DIR\n"
         "       otterd passwd FILE NAME ROLE     set a password, read from standard input;\n"
         "                                        ROLE is admin or device\n");
    for (size_t i = 0; i < ROWS; i++) {
        char left[40];
        char letter[5] = "    ";
        if (rows[i].letter != 0) {
            snprintf(letter, sizeof letter, "-%c, ", rows[i].letter);
        }
        snprintf(left, sizeof left, "%s--%s %s", letter, rows[i].name,
                 rows[i].value != NULL ? rows[i].value : "");
        printf("  %-30s %s\n", left, rows[i].help);
    }
    puts("\nEnvironment: US_AUTH_USERNAME, US_AUTH_PASSWORD and US_SERVER_PORT are understood as\n"
         "the first FUOTA server did; OTTERD_DEVICE_USERNAME and OTTERD_DEVICE_PASSWORD give\n"
         "devices credentials of their own.");
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
    case 'V':
        puts("otterd " OTTER_VERSION);
        return 0;
    default:
        options_help();
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
