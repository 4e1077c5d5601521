/* SPDX-License-Identifier: Apache-2.0 */
/* otter-device: a virtual ESP32. Options, and the one loop. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "device/device.h"
#include "device/gatt.h"
#include "device/transport.h"
#include "host/clock.h"

#define FDS_MAX 64u
#define TRANSPORTS_MAX 8u

enum { EXIT_USAGE = 2 };

enum option_id {
    OPT_HELP = 256,
    OPT_VERSION,
    OPT_FLASH,
    OPT_CREATE,
    OPT_NAME,
    OPT_PROJECT,
    OPT_APP_VERSION,
    OPT_CHIP,
    OPT_SELF_TEST,
    OPT_SELF_TEST_TIME,
    OPT_SELF_TEST_TIMEOUT,
    OPT_RESTART_DELAY,
    OPT_SILENCE,
    OPT_ONCE,
    OPT_READY_FD,
    OPT_FLASH_SPEED,
    OPT_LINK_RATE,
    OPT_MTU,
    OPT_WINDOW,
    OPT_NOT_OLDER,
    OPT_REQUIRE_SIGNATURE,
    OPT_TRUST,
    OPT_REQUIRE_ENCRYPTION,
    OPT_KEY,
    OPT_SERVICES,
    OPT_PAIRING,
    OPT_LEGACY,
    OPT_DEVICE_ID,
    OPT_POLL,
    OPT_BACKOFF,
    OPT_CACERT,
    OPT_LOGIN,
    OPT_TRANSPORT, /* and above: the transport types, in order */
};

static const struct {
    const char *name;
    const char *argument;
    int id;
    const char *help;
} options_table[] = {
    {"flash", "FILE", OPT_FLASH, "the flash image to run (needed)"},
    {"create", NULL, OPT_CREATE, "make FILE when it is not there: 4 MB, a small image in it"},
    {"name", "NAME", OPT_NAME, "the device's name, also before each line of the log"},
    {"chip", "NAME", OPT_CHIP, "the chip; default: that of the image that boots first"},
    {"project", "NAME", OPT_PROJECT, "with --create: project of the image (demo)"},
    {"app-version", "TEXT", OPT_APP_VERSION, "with --create: version of the image (1.0.0)"},
    {"self-test", "WORD", OPT_SELF_TEST,
     "what the self-test of a new image does: pass, fail, crash or hang (pass)"},
    {"self-test-time", "MS", OPT_SELF_TEST_TIME, "how long it takes (0)"},
    {"self-test-timeout", "MS", OPT_SELF_TEST_TIMEOUT, "when one that hangs is reset (5000)"},
    {"restart-delay", "MS", OPT_RESTART_DELAY,
     "from the last answer to the restart (500; hosted: 5000)"},
    {"silence", "MS", OPT_SILENCE, "hosted: gives an update up after this (120000)"},
    {"once", NULL, OPT_ONCE, "end after one update: 0 confirmed, 6 rolled back"},
    {"ready-fd", "N", OPT_READY_FD, "write a line to descriptor N when services are offered"},
    {"flash-speed", "WORD", OPT_FLASH_SPEED, "full, or real: as slow as flash on a board (full)"},
    {"link-rate", "BYTES", OPT_LINK_RATE, "bytes a second a GATT link carries (no limit)"},
    {"mtu", "N", OPT_MTU, "ATT MTU offered, 23 to 517 (517)"},
    {"window", "N", OPT_WINDOW, "espble: sectors in flight, 1 to 16 (4)"},
    {"not-older", NULL, OPT_NOT_OLDER, "refuse images of an older version"},
    {"require-signature", NULL, OPT_REQUIRE_SIGNATURE, "refuse images that no --trust key signed"},
    {"trust", "FILE", OPT_TRUST, "a key whose signatures count; can be given three times"},
    {"require-encryption", NULL, OPT_REQUIRE_ENCRYPTION, "refuse images not encrypted for --key"},
    {"key", "FILE", OPT_KEY, "the device's private key for encrypted images"},
    {"services", "LIST", OPT_SERVICES, "espble,gattota or one of them (both)"},
    {"pairing", NULL, OPT_PAIRING, "ble: only paired centrals may write"},
    {"legacy", "LIST", OPT_LEGACY,
     "act like older devices: indicate-only, zero-ack, no-window, early-restart, field-uuid, "
     "no-identity, no-device-info"},
    {"device-id", "TEXT", OPT_DEVICE_ID, "fuota: the device's id on the server (its name)"},
    {"poll", "TIME", OPT_POLL, "fuota: from one check to the next: 500ms, 5s, 10m, 1h (1h)"},
    {"backoff", "TIME", OPT_BACKOFF, "fuota: after a failure, doubled after each more (5s)"},
    {"cacert", "FILE", OPT_CACERT, "fuota: trust the roots in FILE, no others; can be repeated"},
    {"login", "FILE", OPT_LOGIN, "fuota: credentials, NAME:PASSWORD (environment: OTTER_LOGIN)"},
    {"version", NULL, OPT_VERSION, "print the version"},
    {"help", NULL, OPT_HELP, "print this"},
};

#define OPTIONS_COUNT (sizeof(options_table) / sizeof(options_table[0]))

static void print_help(void)
{
    const struct transport_type *type;

    puts("Usage: otter-device --flash FILE (--att PATH | --ble ADAPTER | --hosted PATH | --fuota "
         "URL) [OPTION]...\n"
         "A virtual ESP32 that takes firmware updates.\n");
    for (size_t i = 0; (type = transport_type_at(i)) != NULL; i++) {
        printf("  --%s %-*s %s\n", type->option, (int)(20 - strlen(type->option)), type->argument,
               type->help);
    }
    for (size_t i = 0; i < OPTIONS_COUNT; i++) {
        const char *argument = options_table[i].argument != NULL ? options_table[i].argument : "";

        printf("  --%s %-*s %s\n", options_table[i].name, (int)(20 - strlen(options_table[i].name)),
               argument, options_table[i].help);
    }
}

_Noreturn __attribute__((format(printf, 1, 2))) static void usage(const char *format, ...)
{
    va_list ap;

    fputs("otter-device: ", stderr);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputs("\notter-device: see otter-device --help\n", stderr);
    exit(EXIT_USAGE);
}

static uint32_t number(const char *option, const char *text, uint32_t min, uint32_t max)
{
    char *end;

    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-' || value < min || value > max) {
        usage("--%s is a number from %u to %u, not \"%s\"", option, min, max, text);
    }
    return (uint32_t)value;
}

/* "500ms", "5s", "10m", "1h" as milliseconds. */
static uint32_t duration(const char *option, const char *text)
{
    static const struct {
        const char *unit;
        uint32_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    char *end;

    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (errno == 0 && end != text && *text != '-' && strcmp(end, units[i].unit) == 0 &&
            value > 0 && value <= 86400000u / units[i].ms) {
            return (uint32_t)value * units[i].ms;
        }
    }
    usage("--%s is a time such as 500ms, 5s, 10m or 1h, a day at most, not \"%s\"", option, text);
}

static unsigned word_of(const char *option, const char *text, const char *const *words)
{
    for (unsigned i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], text) == 0) {
            return i;
        }
    }
    usage("--%s does not know \"%s\"", option, text);
}

/* A bit for each word of a list with commas. */
static unsigned words_of(const char *option, const char *text, const char *const *words)
{
    char *copy = strdup(text);
    char *rest = copy;
    unsigned bits = 0;

    for (char *word; rest != NULL && (word = strsep(&rest, ",")) != NULL;) {
        bits |= 1u << word_of(option, word, words);
    }
    free(copy);
    return bits;
}

static uint16_t chip_of(const char *text)
{
    const struct otter_chip *chip;

    for (size_t i = 0; (chip = otter_chip_at(i)) != NULL; i++) {
        if (strcasecmp(chip->name, text) == 0) {
            return chip->id;
        }
    }
    usage("there is no chip \"%s\"; names are such as ESP32-C3", text);
}

static void take_services(struct device_options *options, const char *text)
{
    static const char *const services[] = {"espble", "gattota", NULL};
    unsigned bits = words_of("services", text, services);

    options->espble = (bits & 1) != 0;
    options->gattota = (bits & 2) != 0;
}

static void take_option(struct device_options *options, int id, const char *value)
{
    static const char *const self_tests[] = {"pass", "fail", "crash", "hang", NULL};
    static const char *const speeds[] = {"full", "real", NULL};
    static const char *const legacies[] = {"indicate-only",  "zero-ack",   "no-window",
                                           "early-restart",  "field-uuid", "no-identity",
                                           "no-device-info", NULL};

    switch ((enum option_id)id) {
    case OPT_HELP:
        print_help();
        exit(0);
    case OPT_VERSION:
        puts("otter-device " OTTER_VERSION_TEXT);
        exit(0);
    case OPT_FLASH:
        options->flash_path = value;
        break;
    case OPT_CREATE:
        options->create = true;
        break;
    case OPT_NAME:
        options->name = value;
        break;
    case OPT_PROJECT:
        options->project = value;
        break;
    case OPT_APP_VERSION:
        options->version = value;
        break;
    case OPT_CHIP:
        options->chip_id = chip_of(value);
        break;
    case OPT_SELF_TEST:
        options->self_test = (enum self_test)word_of("self-test", value, self_tests);
        break;
    case OPT_SELF_TEST_TIME:
        options->self_test_ms = number("self-test-time", value, 0, 3600000);
        break;
    case OPT_SELF_TEST_TIMEOUT:
        options->watchdog_ms = number("self-test-timeout", value, 0, 3600000);
        break;
    case OPT_RESTART_DELAY:
        options->restart_ms = number("restart-delay", value, 1, 3600000);
        break;
    case OPT_SILENCE:
        options->silence_ms = number("silence", value, 1, 86400000);
        break;
    case OPT_ONCE:
        options->once = true;
        break;
    case OPT_READY_FD:
        options->ready_fd = (int)number("ready-fd", value, 0, 65535);
        break;
    case OPT_FLASH_SPEED:
        options->slow_flash = word_of("flash-speed", value, speeds) == 1;
        break;
    case OPT_LINK_RATE:
        options->link_rate = number("link-rate", value, 1000, 1000000000);
        break;
    case OPT_MTU:
        options->mtu = (uint16_t)number("mtu", value, OTTER_GATT_MTU_MIN, OTTER_GATT_MTU_MAX);
        break;
    case OPT_WINDOW:
        options->window = (uint8_t)number("window", value, 1, DEVICE_GATT_WINDOW_MAX);
        break;
    case OPT_NOT_OLDER:
        options->not_older = true;
        break;
    case OPT_REQUIRE_SIGNATURE:
        options->require_signature = true;
        break;
    case OPT_TRUST:
        if (options->trust_count == DEVICE_TRUST_MAX) {
            usage("--trust can be given %u times", DEVICE_TRUST_MAX);
        }
        options->trust[options->trust_count++] = value;
        break;
    case OPT_REQUIRE_ENCRYPTION:
        options->require_encryption = true;
        break;
    case OPT_KEY:
        options->key = value;
        break;
    case OPT_SERVICES:
        take_services(options, value);
        break;
    case OPT_PAIRING:
        options->pairing = true;
        break;
    case OPT_LEGACY:
        options->legacy = words_of("legacy", value, legacies);
        break;
    case OPT_DEVICE_ID:
        options->device_id = value;
        break;
    case OPT_POLL:
        options->poll_ms = duration("poll", value);
        break;
    case OPT_BACKOFF:
        options->backoff_ms = duration("backoff", value);
        break;
    case OPT_CACERT:
        if (options->cacert_count == DEVICE_ROOTS_MAX) {
            usage("--cacert can be given %u times; a file may hold several roots",
                  DEVICE_ROOTS_MAX);
        }
        options->cacert[options->cacert_count++] = value;
        break;
    case OPT_LOGIN:
        options->login = value;
        break;
    case OPT_TRANSPORT:
        break;
    }
}

static void read_options(int argc, char **argv, struct device_options *options,
                         const char *transports[TRANSPORTS_MAX])
{
    struct option longs[OPTIONS_COUNT + TRANSPORTS_MAX + 1] = {0};
    const struct transport_type *type;
    size_t count = 0;
    int id;

    for (; count < OPTIONS_COUNT; count++) {
        longs[count] =
            (struct option){options_table[count].name, options_table[count].argument != NULL, NULL,
                            options_table[count].id};
    }
    for (size_t i = 0; (type = transport_type_at(i)) != NULL && i < TRANSPORTS_MAX; i++) {
        longs[count++] =
            (struct option){type->option, required_argument, NULL, OPT_TRANSPORT + (int)i};
    }
    while ((id = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (id == '?') {
            fputs("otter-device: see otter-device --help\n", stderr);
            exit(EXIT_USAGE);
        }
        if (id >= OPT_TRANSPORT) {
            transports[id - OPT_TRANSPORT] = optarg;
        } else {
            take_option(options, id, optarg);
        }
    }
    if (optind < argc) {
        usage("\"%s\" is not an option", argv[optind]);
    }
    if (options->flash_path == NULL) {
        usage("--flash FILE is needed; --create makes one");
    }
    if (options->require_signature != (options->trust_count > 0)) {
        usage("--require-signature and --trust FILE go together");
    }
    if (options->require_encryption != (options->key != NULL)) {
        usage("--require-encryption and --key FILE go together");
    }
}

static bool create_transports(struct device *device, const char *const arguments[TRANSPORTS_MAX],
                              struct transport list[TRANSPORTS_MAX])
{
    const struct transport_type *type;
    size_t count = 0;

    for (size_t i = 0; (type = transport_type_at(i)) != NULL && i < TRANSPORTS_MAX; i++) {
        if (arguments[i] == NULL) {
            continue;
        }
        struct transport *t = &list[count++];

        t->type = type;
        t->self = type->create(device, arguments[i]);
        if (t->self == NULL) {
            return false;
        }
        t->next = device->transports;
        device->transports = t;
    }
    if (count == 0) {
        usage("no way in: give --att PATH, --ble ADAPTER, --hosted PATH or --fuota URL");
    }
    return true;
}

/* SIGINT and SIGTERM as a descriptor: they end the loop between two steps, never inside one. */
static int signal_descriptor(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Each transport with its own events; returns in how many ms one of them wants to be called. */
static uint32_t run_transports(struct device *device, const struct pollfd *fds,
                               const size_t *counts)
{
    uint32_t next = OTTER_GATT_NEVER;
    uint32_t now = otter_clock_ms();
    size_t i = 0;

    for (struct transport *t = device->transports; t != NULL; t = t->next, i++) {
        uint32_t wanted = t->type->run(t->self, fds, counts[i], now);

        fds += counts[i];
        next = wanted < next ? wanted : next;
    }
    return next;
}

static void loop(struct device *device, int signals)
{
    uint32_t next = 0;

    while (!device->done) {
        struct pollfd fds[FDS_MAX] = {{.fd = signals, .events = POLLIN}};
        size_t counts[TRANSPORTS_MAX] = {0};
        size_t count = 1, i = 0;

        for (struct transport *t = device->transports; t != NULL && device->offered;
             t = t->next, i++) {
            counts[i] = t->type->fds(t->self, fds + count, FDS_MAX - count);
            count += counts[i];
        }
        if (poll(fds, count, next > INT32_MAX ? -1 : (int)next) < 0 && errno != EINTR) {
            device_error(device, "poll: %s", strerror(errno));
            device->exit_code = 1;
            return;
        }
        if ((fds[0].revents & POLLIN) != 0) {
            device_log(device, "stopped");
            return;
        }
        next = device_tick(device, otter_clock_ms());
        if (device->offered && !device->restart && !device->done) {
            uint32_t wanted = run_transports(device, fds + 1, counts);

            next = wanted < next ? wanted : next;
        }
        if (device->restart) {
            device_reboot(device);
            next = 0;
        }
    }
}

int main(int argc, char **argv)
{
    static struct device device;
    struct transport list[TRANSPORTS_MAX] = {0};
    const char *arguments[TRANSPORTS_MAX] = {0};
    struct device_options options = {
        .project = "demo",
        .version = "1.0.0",
        .chip_id = OTTER_CHIP_ANY,
        .watchdog_ms = 5000,
        .ready_fd = -1,
        .mtu = OTTER_GATT_MTU_MAX,
        .window = 4,
        .espble = true,
        .gattota = true,
        .poll_ms = 3600000,
    };

    read_options(argc, argv, &options, arguments);
    int signals = signal_descriptor();
    device.options = &options;
    if (!create_transports(&device, arguments, list)) {
        device.exit_code = 1;
    } else if (device_start(&device, &options)) {
        loop(&device, signals);
    }
    device_stop(&device);
    for (struct transport *t = device.transports; t != NULL; t = t->next) {
        t->type->destroy(t->self);
    }
    return device.exit_code;
}
