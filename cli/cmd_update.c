/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/target.h"
#include "otter/gatt.h"
#include "output.h"
#include "stop.h"
#include "update_ask.h"
#include "update_report.h"

enum {
    NO_WAIT,
    FORCE,
    DOWNGRADE,
    PROTOCOL,
    PACKET_SIZE,
    MTU,
    WINDOW,
    RESPONSE,
    RETRIES,
    CRC_INIT,
    TIMEOUT,
    WAIT,
    BEGIN_TIMEOUT,
    CACERT,
    SOURCE_TIMEOUT,
    ADAPTER,
    FORGET,
    CALLS,
    VERBOSE,
};

static const struct option_spec options[] = {
    [NO_WAIT] = {"no-wait", 0, NULL, "end when the device has taken the image"},
    [FORCE] = {"force", 0, NULL, "send it although chip or project differ"},
    [DOWNGRADE] = {"allow-downgrade", 0, NULL, "ask the device to take an older version"},
    [PROTOCOL] = {"protocol", 0, "espble|gattota", "default: the better one the device offers"},
    [PACKET_SIZE] = {"packet-size", 0, "BYTES", "bytes of one write (what the link allows)", true},
    [MTU] = {"mtu", 0, "BYTES", "ATT MTU to ask for (517)", true},
    [WINDOW] = {"window", 0, "N", "sectors in flight (what the device allows)", true},
    [RESPONSE] = {"response", 0, NULL, "every packet as a write with response", true},
    [RETRIES] = {"retries", 0, "N", "times a sector is sent again (5)", true},
    [CRC_INIT] = {"crc-init", 0, "0|ffff", "espble: start value of CRC16 (0)", true},
    [TIMEOUT] = {"timeout", 0, "SECONDS", "to wait for the device to come back (60)"},
    [WAIT] = {"answer-timeout", 0, "SECONDS", "hosted: to wait for an answer (30)", true},
    [BEGIN_TIMEOUT] = {"begin-timeout", 0, "SECONDS", "hosted: to wait for begin (60)", true},
    [CACERT] = {"cacert", 0, "FILE", "https: trust the certificates in FILE"},
    [SOURCE_TIMEOUT] = {"source-timeout", 0, "SECONDS",
                        "URL: a silent connection is made anew (15)", true},
    [ADAPTER] = {"adapter", 0, "NAME", "ble: the adapter, such as hci1 (the first that is on)",
                 true},
    [FORGET] = {"forget", 0, NULL, "ble: do not use what bluetoothd remembers of it", true},
    [CALLS] = {"calls", 0, NULL, "ble: a D-Bus call for each packet, no descriptors", true},
    [VERBOSE] = {"verbose", 'v', NULL, "show every packet"},
    {NULL, 0, NULL, NULL},
};

static bool read_numbers(struct call *call, struct otter_target_options *o)
{
    unsigned long packet = 0, mtu = 0, window = 0, retries = 0, wait = 0, answer = 0, begin = 0;

    if (!option_number(call, PACKET_SIZE, OTTER_GATT_VALUE_MAX, &packet) ||
        !option_number(call, MTU, OTTER_GATT_MTU_MAX, &mtu) ||
        !option_number(call, WINDOW, 64, &window) || !option_number(call, RETRIES, 254, &retries) ||
        !option_number(call, TIMEOUT, 86400, &wait) || !option_number(call, WAIT, 86400, &answer) ||
        !option_number(call, BEGIN_TIMEOUT, 86400, &begin)) {
        return false;
    }
    if (call->option[MTU] != NULL && mtu < OTTER_GATT_MTU_MIN) {
        fail(call, EXIT_USAGE, "--mtu is %u at least", OTTER_GATT_MTU_MIN);
        return false;
    }
    if (call->option[PACKET_SIZE] != NULL && packet < OTTER_GATT_MTU_MIN - 3) {
        fail(call, EXIT_USAGE, "--packet-size is %u at least", OTTER_GATT_MTU_MIN - 3);
        return false;
    }
    o->packet_size = (uint16_t)packet;
    o->mtu = (uint16_t)mtu;
    o->window = (uint16_t)window;
    o->retries = (uint16_t)retries;
    o->no_retries = call->option[RETRIES] != NULL && retries == 0;
    o->wait_ms = (uint32_t)wait * 1000u;
    o->timeout_ms = (uint32_t)answer * 1000u;
    o->begin_ms = (uint32_t)begin * 1000u;
    return true;
}

static bool read_words(struct call *call, struct otter_target_options *o)
{
    const char *protocol = call->option[PROTOCOL];
    const char *crc = call->option[CRC_INIT];

    if (protocol != NULL && strcmp(protocol, "espble") != 0 && strcmp(protocol, "gattota") != 0) {
        fail(call, EXIT_USAGE, "--protocol is espble or gattota, not \"%s\"", safe(protocol));
        return false;
    }
    if (crc != NULL) {
        char *end;
        unsigned long init = strtoul(crc, &end, 16);

        if (*crc == '\0' || *end != '\0' || (init != 0 && init != 0xFFFF)) {
            fail(call, EXIT_USAGE, "--crc-init is 0 or ffff, not \"%s\"", safe(crc));
            return false;
        }
        o->crc_ccitt = init == 0xFFFF;
    }
    o->protocol = protocol;
    o->adapter = call->option[ADAPTER];
    o->forget = call->option[FORGET] != NULL;
    o->calls = call->option[CALLS] != NULL;
    o->cacert = call->option[CACERT];
    o->no_wait = call->option[NO_WAIT] != NULL;
    o->force = call->option[FORCE] != NULL;
    o->allow_downgrade = call->option[DOWNGRADE] != NULL;
    o->response = call->option[RESPONSE] != NULL;
    return true;
}

/* Target and file from the arguments; what is missing is asked for on a terminal. Both are freed
 * by the caller. */
static int find_both(struct call *call, const struct otter_target_options *o, char **uri,
                     char **path)
{
    const char *address;
    bool ask = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && call->json == NULL;

    for (int i = 0; i < call->arg_count; i++) {
        bool is_target = i == 0 && otter_target_find(call->args[i], &address) != NULL;
        bool is_file = i == 1 || (call->arg_count == 1 && !is_target);

        if (!is_target && !is_file) {
            return fail(call, EXIT_USAGE,
                        "\"%s\" is not a target: they begin with their kind, as in att:SOCKET, "
                        "ble:ADDRESS or hosted:LINE",
                        safe(call->args[i]));
        }
        *(is_target ? uri : path) = strdup(call->args[i]);
    }
    if ((*uri == NULL || *path == NULL) && !ask) {
        return fail(call, EXIT_USAGE,
                    "otter update needs a TARGET and a FILE: otter update %s "
                    "firmware.bin",
                    otter_target_scheme_at(0)->example);
    }
    int code = *uri == NULL ? ask_target(call, o, uri) : EXIT_OK;
    if (code == EXIT_OK && *path == NULL) {
        code = ask_firmware(call, path);
    }
    return code;
}

static int update(struct call *call, const struct otter_target_options *o, const char *uri,
                  const char *path)
{
    const char *address;
    const struct otter_target_scheme *scheme = otter_target_find(uri, &address);
    struct update_report report = {
        .json = call->json != NULL,
        .verbose = call->option[VERBOSE] != NULL,
        .target = uri,
        .schema = call->command->schema,
    };
    struct otter_target_observer observer = update_report_observer(&report, stop_watch());
    struct otter_firmware_options source = {
        .cacert = o->cacert, .cancel = observer.cancel, .note = observer.detail, .ctx = &report};
    struct otter_firmware firmware;
    struct otter_target_result result = {0};
    unsigned long stall = 0;

    if (!option_number(call, SOURCE_TIMEOUT, 3600, &stall)) {
        return EXIT_USAGE;
    }
    source.stall_ms = (uint32_t)stall * 1000u;
    source.give_up_ms = source.stall_ms * 6u;

    otter_err err = otter_firmware_open(&firmware, path, &source);
    report.firmware = err == OTTER_OK ? firmware.name : path;
    if (err != OTTER_OK) {
        otter_target_end(&result, OTTER_TARGET_FAILED, err, "%s", firmware.error);
    } else {
        scheme->update(address, &firmware, o, &observer, &result);
        otter_firmware_close(&firmware);
    }
    return update_report_result(&report, &result);
}

static int run_update(struct call *call)
{
    struct otter_target_options o = {0};
    char *uri = NULL, *path = NULL;

    if (!read_numbers(call, &o) || !read_words(call, &o)) {
        return EXIT_USAGE;
    }
    int code = find_both(call, &o, &uri, &path);
    if (code == EXIT_OK) {
        code = update(call, &o, uri, path);
        /* The events have been printed, the last of them is the result. */
        json_decref(call->json);
        call->json = NULL;
    }
    free(uri);
    free(path);
    return code;
}

const struct command command_update = {
    .name = "update",
    .args = "[TARGET] [FILE]",
    .brief = "update a device",
    .about =
        "Checks the image, sends it to the device, waits for the device to come back, and says\n"
        "what runs then and whether it is confirmed. On a terminal, what is not given is asked\n"
        "for. TARGET is a URI:\n"
        "  att:PATH       a virtual device on this machine (otter-device --att PATH)\n"
        "  ble:ADDRESS    over Bluetooth, by address or name: ble:24:6F:28:12:34:56\n"
        "  hosted:DEVICE  ESP-Hosted over a serial line: hosted:/dev/ttyUSB0?baud=921600\n"
        "FILE is an image, a URL, or - for standard input.\n"
        "Ctrl-C stops cleanly, a second one at once. With --json: one event a line.\n"
        "Exit code 0: updated and back, 3: bad image, 4: refused, 5: link failed,\n"
        "6: did not come back or rolled back.\n",
    .schema = "otter.update/1",
    .options = options,
    .args_min = 0,
    .args_max = 2,
    .run = run_update,
};
