/* SPDX-License-Identifier: Apache-2.0 */
#include "device/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/gatt.h"
#include "device/transport.h"
#include "host/completion.h"

enum { EXIT_USAGE = 2, FIRST = 256, TRANSPORT = 512 };

struct row;
typedef void take_function(const struct row *row, struct device_options *options,
                           const char *value);

static take_function take_help, take_help_all, take_completion, take_version, take_flag, take_text,
    take_texts, take_u8, take_u16, take_u32, take_int, take_time, take_self_test, take_speed,
    take_services, take_legacy, take_chip;

/* An option. What take does with its value, it finds in the fields after it. */
struct row {
    const char *name;
    const char *argument; /* NULL: none */
    const char *help;
    take_function *take;
    size_t field; /* of struct device_options */
    uint32_t min, max;
    size_t count; /* the field that counts how often it was given */
    bool brief;   /* in the short help */
};

#define HOUR 3600000u
#define DAY 86400000u
#define AT(member) .field = offsetof(struct device_options, member)
#define RANGE(low, high) .min = (low), .max = (high)

/* clang-format off */
static const struct row rows[] = {
    {"flash", "FILE", "the flash image to run (needed)", take_text, AT(flash_path), .brief = true},
    {"create", NULL, "make FILE if it is not there: 4 MB with an image", take_flag, AT(create), .brief = true},
    {"name", "NAME", "the device's name, also in front of its log", take_text, AT(name), .brief = true},
    {"chip", "CHIP", "the chip; default: that of the image that boots first", take_chip},
    {"project", "NAME", "with --create: project of the image (demo)", take_text, AT(project)},
    {"app-version", "TEXT", "with --create: version of the image (1.0.0)", take_text, AT(version)},
    {"self-test", "pass|fail|crash|hang", "what a new image does on trial (pass)",
     take_self_test, .brief = true},
    {"self-test-time", "MS", "how long it takes (0)", take_u32, AT(self_test_ms), RANGE(0, HOUR)},
    {"self-test-timeout", "MS", "when one that hangs is reset (5000)", take_u32, AT(watchdog_ms), RANGE(0, HOUR)},
    {"restart-delay", "MS", "from the last answer to the restart (500; hosted: 5000)", take_u32,
     AT(restart_ms), RANGE(1, HOUR)},
    {"silence", "MS", "ends a silent client's update (hosted: 120000, ble: 60000)", take_u32, AT(silence_ms), RANGE(1, DAY)},
    {"once", NULL, "end after one update: 0 confirmed, 6 rolled back", take_flag, AT(once), .brief = true},
    {"ready-fd", "N", "write a line to descriptor N when services are offered", take_int, AT(ready_fd),
     RANGE(0, 65535)},
    {"flash-speed", "full|real", "real: as slow as flash on a board (full)", take_speed},
    {"link-rate", "BYTES", "bytes a second a GATT link carries (no limit)", take_u32, AT(link_rate),
     RANGE(1000, 1000000000)},
    {"mtu", "N", "ATT MTU offered, 23 to 517 (517)", take_u16, AT(mtu), RANGE(OTTER_GATT_MTU_MIN, OTTER_GATT_MTU_MAX)},
    {"window", "N", "espble: sectors in flight, 1 to 64 (4; ble: 16)", take_u8, AT(window), RANGE(1, DEVICE_GATT_WINDOW_MAX)},
    {"not-older", NULL, "refuse images of an older version", take_flag, AT(not_older), .brief = true},
    {"older-if-asked", NULL, "the same, but for a host that asks (otter update --allow-downgrade)", take_flag,
     AT(older_if_asked)},
    {"require-signature", NULL, "refuse images that no --trust key signed", take_flag, AT(require_signature), .brief = true},
    {"trust", "FILE", "a key whose signatures count; up to three", take_texts, AT(trust),
     .max = DEVICE_TRUST_MAX, .count = offsetof(struct device_options, trust_count), .brief = true},
    {"require-encryption", NULL, "refuse images not encrypted for --key", take_flag, AT(require_encryption)},
    {"key", "FILE", "the device's private key: takes encrypted images, too", take_text, AT(key)},
    {"services", "LIST", "espble,gattota or one of them (both)", take_services},
    {"pairing", NULL, "ble: only paired centrals may write", take_flag, AT(pairing)},
    {"legacy", "LIST", "act like older devices: indicate-only, zero-ack, no-window, early-restart, field-uuid, "
     "no-identity, no-device-info", take_legacy},
    {"device-id", "TEXT", "fuota: the device's id on the server (its name)", take_text, AT(device_id)},
    {"poll", "TIME", "fuota: between checks: 500ms, 5s, 10m, 1h (1h)", take_time, AT(poll_ms), .brief = true},
    {"backoff", "TIME", "fuota: after a failure, doubled after each more (5s)", take_time, AT(backoff_ms)},
    {"cacert", "FILE", "fuota: trust the roots in FILE, no others; can be repeated", take_texts, AT(cacert),
     .max = DEVICE_ROOTS_MAX, .count = offsetof(struct device_options, cacert_count)},
    {"login", "FILE", "fuota: credentials, NAME:PASSWORD ($OTTER_LOGIN)", take_text, AT(login), .brief = true},
    {"completion", "bash|zsh|fish", "print a completion script", take_completion},
    {"version", NULL, "print the version", take_version},
    {"help-all", NULL, "every option there is", take_help_all, .brief = true},
    {"help", NULL, "print this", take_help, .brief = true},
};
/* clang-format on */

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void print_option(const char *name, const char *argument, const char *help)
{
    char left[64];

    snprintf(left, sizeof(left), "--%s %s", name, argument != NULL ? argument : "");
    printf("  %-27s  %s\n", left, help);
}

static void print_help(bool all)
{
    const struct transport_type *type;

    puts("Usage: otter-device --flash FILE [OPTION]...\n"
         "A virtual ESP32 that takes firmware updates, in one or several of these ways:\n");
    for (size_t i = 0; (type = transport_type_at(i)) != NULL; i++) {
        print_option(type->option, type->argument, type->help);
    }
    puts("");
    for (size_t i = 0; i < ROWS; i++) {
        if (all || rows[i].brief) {
            print_option(rows[i].name, rows[i].argument, rows[i].help);
        }
    }
    puts("\nThe manual: man otter-device");
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

/* ---- one option each ----------------------------------------------------------------------- */

static void *field_of(const struct row *row, struct device_options *options)
{
    return (char *)options + row->field;
}

static void take_help(const struct row *row, struct device_options *options, const char *value)
{
    print_help(false);
    exit(0);
}

static void take_help_all(const struct row *row, struct device_options *options, const char *value)
{
    print_help(true);
    exit(0);
}

/* "ESP32|ESP32-S2|..." */
static void join_chips(char *chips, size_t size)
{
    const struct otter_chip *chip;
    size_t used = 0;

    for (size_t i = 0; (chip = otter_chip_at(i)) != NULL && used < size; i++) {
        used += (size_t)snprintf(chips + used, size - used, "%s%s", i > 0 ? "|" : "", chip->name);
    }
}

static void take_completion(const struct row *row, struct device_options *options,
                            const char *value)
{
    struct option_spec specs[ROWS + DEVICE_TRANSPORTS_MAX + 1] = {0};
    const struct transport_type *type;
    char chips[256] = "";
    size_t count = 0;

    for (size_t i = 0; (type = transport_type_at(i)) != NULL && i < DEVICE_TRANSPORTS_MAX; i++) {
        specs[count++] = (struct option_spec){type->option, 0, type->argument, type->help};
    }
    for (size_t i = 0; i < ROWS; i++) {
        specs[count++] = (struct option_spec){rows[i].name, 0, rows[i].argument, rows[i].help};
    }
    join_chips(chips, sizeof(chips));
    if (!completion_print(
            &(struct completion){.program = "otter-device", .top = specs, .chips = chips}, value)) {
        usage("--completion takes bash, zsh or fish, not \"%s\"", value);
    }
    exit(0);
}

static void take_version(const struct row *row, struct device_options *options, const char *value)
{
    puts("otter-device " OTTER_VERSION_TEXT);
    exit(0);
}

static void take_flag(const struct row *row, struct device_options *options, const char *value)
{
    *(bool *)field_of(row, options) = true;
}

static void take_text(const struct row *row, struct device_options *options, const char *value)
{
    *(const char **)field_of(row, options) = value;
}

static void take_texts(const struct row *row, struct device_options *options, const char *value)
{
    size_t *count = (size_t *)((char *)options + row->count);

    if (*count == row->max) {
        usage("--%s can be given %u times", row->name, row->max);
    }
    ((const char **)field_of(row, options))[(*count)++] = value;
}

static void take_u8(const struct row *row, struct device_options *options, const char *value)
{
    *(uint8_t *)field_of(row, options) = (uint8_t)number(row->name, value, row->min, row->max);
}

static void take_u16(const struct row *row, struct device_options *options, const char *value)
{
    *(uint16_t *)field_of(row, options) = (uint16_t)number(row->name, value, row->min, row->max);
}

static void take_u32(const struct row *row, struct device_options *options, const char *value)
{
    *(uint32_t *)field_of(row, options) = number(row->name, value, row->min, row->max);
}

static void take_int(const struct row *row, struct device_options *options, const char *value)
{
    *(int *)field_of(row, options) = (int)number(row->name, value, row->min, row->max);
}

static void take_time(const struct row *row, struct device_options *options, const char *value)
{
    *(uint32_t *)field_of(row, options) = duration(row->name, value);
}

static void take_self_test(const struct row *row, struct device_options *options, const char *value)
{
    static const char *const words[] = {"pass", "fail", "crash", "hang", NULL};

    options->self_test = (enum self_test)word_of(row->name, value, words);
}

static void take_speed(const struct row *row, struct device_options *options, const char *value)
{
    static const char *const words[] = {"full", "real", NULL};

    options->slow_flash = word_of(row->name, value, words) == 1;
}

static void take_services(const struct row *row, struct device_options *options, const char *value)
{
    static const char *const words[] = {"espble", "gattota", NULL};
    unsigned bits = words_of(row->name, value, words);

    options->espble = (bits & 1) != 0;
    options->gattota = (bits & 2) != 0;
}

static void take_legacy(const struct row *row, struct device_options *options, const char *value)
{
    static const char *const words[] = {"indicate-only",  "zero-ack",   "no-window",
                                        "early-restart",  "field-uuid", "no-identity",
                                        "no-device-info", NULL};

    options->legacy = words_of(row->name, value, words);
}

static void take_chip(const struct row *row, struct device_options *options, const char *value)
{
    const struct otter_chip *chip;

    for (size_t i = 0; (chip = otter_chip_at(i)) != NULL; i++) {
        if (strcasecmp(chip->name, value) == 0) {
            options->chip_id = chip->id;
            return;
        }
    }
    usage("there is no chip \"%s\"; names are such as ESP32-C3", value);
}

/* ---- all of them --------------------------------------------------------------------------- */

static void check(const struct device_options *options,
                  const char *arguments[DEVICE_TRANSPORTS_MAX])
{
    bool way_in = false;

    for (size_t i = 0; i < DEVICE_TRANSPORTS_MAX; i++) {
        way_in |= arguments[i] != NULL;
    }
    if (options->flash_path == NULL) {
        usage("--flash FILE is needed; --create makes one");
    }
    if (!way_in) {
        usage("no way in: give --att PATH, --ble ADAPTER, --hosted PATH or --fuota URL");
    }
    if (options->require_signature != (options->trust_count > 0)) {
        usage("--require-signature and --trust FILE go together");
    }
    if (options->require_encryption && options->key == NULL) {
        usage("--require-encryption needs --key FILE");
    }
}

void device_options_read(struct device_options *options,
                         const char *arguments[DEVICE_TRANSPORTS_MAX], int argc, char **argv)
{
    struct option longs[ROWS + DEVICE_TRANSPORTS_MAX + 1] = {0};
    const struct transport_type *type;
    size_t count = 0;
    int id;

    *options = (struct device_options){
        .project = "demo",
        .version = "1.0.0",
        .chip_id = OTTER_CHIP_ANY,
        .watchdog_ms = 5000,
        .ready_fd = -1,
        .mtu = OTTER_GATT_MTU_MAX,
        .espble = true,
        .gattota = true,
        .poll_ms = HOUR,
    };
    for (; count < ROWS; count++) {
        longs[count] = (struct option){rows[count].name, rows[count].argument != NULL, NULL,
                                       FIRST + (int)count};
    }
    for (size_t i = 0; (type = transport_type_at(i)) != NULL && i < DEVICE_TRANSPORTS_MAX; i++) {
        longs[count++] = (struct option){type->option, required_argument, NULL, TRANSPORT + (int)i};
    }
    while ((id = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (id >= TRANSPORT) {
            arguments[id - TRANSPORT] = optarg;
        } else if (id >= FIRST) {
            rows[id - FIRST].take(&rows[id - FIRST], options, optarg);
        } else {
            fputs("otter-device: see otter-device --help\n", stderr);
            exit(EXIT_USAGE);
        }
    }
    if (optind < argc) {
        usage("\"%s\" is not an option", argv[optind]);
    }
    check(options, arguments);
}
