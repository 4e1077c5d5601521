/* SPDX-License-Identifier: Apache-2.0 */
/* The requests of the ESP-Hosted control path one by one. They share everything but the request,
 * so they share a file. `otter update hosted:...` does a whole update. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "host/firmware.h"
#include "otter/hosted_client.h"
#include "output.h"
#include "progress.h"

enum { TIMEOUT, VERBOSE, CACERT };

static const struct option_spec options[] = {
    [TIMEOUT] = {"timeout", 0, "SECONDS", "to wait for the answer (30, begin: 60)"},
    [VERBOSE] = {"verbose", 'v', NULL, "show events that the device sends meanwhile"},
    {NULL, 0, NULL, NULL},
};

static const struct option_spec write_options[] = {
    [TIMEOUT] = {"timeout", 0, "SECONDS", "to wait for each answer (30)"},
    [VERBOSE] = {"verbose", 'v', NULL, "show events that the device sends meanwhile"},
    [CACERT] = {"cacert", 0, "FILE", "https: trust the certificates in FILE"},
    {NULL, 0, NULL, NULL},
};

static volatile sig_atomic_t stops;

static void ask_to_stop(int number)
{
    stops = stops + 1;
    signal(number, SIG_DFL);
}

static void show_event(void *ctx, uint16_t id, const uint8_t *data, size_t len)
{
    fprintf(stderr, "event %u%s, %zu bytes\n", id,
            id == 301   ? " (the device started)"
            : id == 302 ? " (heartbeat)"
                        : "",
            len);
}

typedef int request_fn(struct call *call, struct otter_hosted_client *client);

static int client_failed(struct call *call, struct otter_hosted_client *client, otter_err err)
{
    int code = err == OTTER_ERR_REFUSED     ? EXIT_REFUSED
               : err == OTTER_ERR_ARG       ? EXIT_USAGE
               : err == OTTER_ERR_CANCELLED ? EXIT_FAILED
                                            : EXIT_LINK;

    if (call->json != NULL && err == OTTER_ERR_REFUSED) {
        json_object_set_new(call->json, "code", json_integer(otter_hosted_client_resp(client)));
    }
    return fail(call, code, "%s", safe(otter_hosted_client_error(client)));
}

/* Opens the line of the first argument, and makes the request on it. */
static int on_device(struct call *call, request_fn *request)
{
    const char *address = call->args[0];
    unsigned long seconds = 0;
    int code;

    if (!option_number(call, TIMEOUT, 86400, &seconds)) {
        return EXIT_USAGE;
    }
    struct sigaction action = {.sa_handler = ask_to_stop}; /* no SA_RESTART: waits shall end */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);

    struct otter_hosted_client *client = otter_hosted_client_new();
    if (client == NULL) {
        return fail(call, EXIT_FAILED, "not enough memory");
    }
    otter_hosted_client_timeouts(client, (uint32_t)seconds * 1000u, (uint32_t)seconds * 1000u);
    otter_hosted_client_cancel_on(client, &stops);
    if (call->option[VERBOSE] != NULL) {
        otter_hosted_client_on_event(client, show_event, NULL);
    }
    if (strncmp(address, "hosted:", 7) == 0) { /* as `otter update` names it */
        address += 7;
    }
    otter_err err = otter_hosted_client_open(client, address);
    code = err == OTTER_OK ? request(call, client) : client_failed(call, client, err);
    otter_hosted_client_free(client);
    return code;
}

static void say(const struct call *call, const char *text)
{
    if (call->json == NULL) {
        puts(text);
    }
}

/* --- version ------------------------------------------------------------------------------------
 */

static int ask_version(struct call *call, struct otter_hosted_client *client)
{
    struct otter_hosted_client_version v;
    const uint32_t *n = v.numbers;
    otter_err err = otter_hosted_client_version(client, &v);

    if (err != OTTER_OK) {
        return client_failed(call, client, err);
    }
    if (call->json == NULL) {
        printf("%s %u.%u.%u.%u.%u\n", v.name[0] != '\0' ? safe(v.name) : "(no name)", n[0], n[1],
               n[2], n[3], n[4]);
        return EXIT_OK;
    }
    json_object_set_new(call->json, "name", json_text(v.name));
    json_object_set_new(call->json, "version",
                        json_sprintf("%u.%u.%u.%u.%u", n[0], n[1], n[2], n[3], n[4]));
    return EXIT_OK;
}

static int run_version(struct call *call)
{
    return on_device(call, ask_version);
}

#define DEVICE_HELP                                                                                \
    "DEVICE is /dev/esps0, a serial line such as /dev/ttyUSB0?baud=921600, or unix:PATH;\n"        \
    "hosted: may stand before it. Exit code 4: the device refused, 5: link failed.\n"

const struct command command_hosted_version = {
    .name = "hosted version",
    .args = "DEVICE",
    .brief = "ask an ESP-Hosted device for its firmware version",
    .about = "Asks a device on the ESP-Hosted control path what firmware it runs.\n" DEVICE_HELP,
    .schema = "otter.hosted/1",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .run = run_version,
};

/* --- ota-begin ----------------------------------------------------------------------------------
 */

static int begin(struct call *call, struct otter_hosted_client *client)
{
    otter_err err = otter_hosted_client_begin(client);

    if (err != OTTER_OK) {
        return client_failed(call, client, err);
    }
    say(call, "An update has begun: now otter hosted ota-write.");
    return EXIT_OK;
}

static int run_begin(struct call *call)
{
    return on_device(call, begin);
}

const struct command command_hosted_begin = {
    .name = "hosted ota-begin",
    .args = "DEVICE",
    .brief = "begin an update step by step",
    .about = "Tells the device to prepare its next slot. The first of three steps: ota-begin,\n"
             "ota-write, ota-end; otter update does all of them.\n" DEVICE_HELP,
    .schema = "otter.hosted/1",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .run = run_begin,
};

/* --- ota-write ----------------------------------------------------------------------------------
 */

static int write_all(struct call *call, struct otter_hosted_client *client,
                     struct otter_firmware *firmware)
{
    uint8_t buf[16384];
    uint64_t sent = 0;
    size_t got = 0;
    struct progress progress;
    otter_err err = OTTER_OK;

    progress_start(&progress, "Writing",
                   firmware->size != OTTER_LENGTH_UNKNOWN ? firmware->size : 0, call->json != NULL);
    while (err == OTTER_OK) {
        err = otter_firmware_read(firmware, buf, sizeof(buf), &got);
        if (err != OTTER_OK) {
            progress_end(&progress);
            return fail(call, EXIT_FAILED, "%s", safe(firmware->error));
        }
        if (got == 0) {
            break;
        }
        err = otter_hosted_client_write(client, buf, got);
        sent += err == OTTER_OK ? got : 0;
        progress_step(&progress, sent);
    }
    progress_end(&progress);
    if (err != OTTER_OK) {
        return client_failed(call, client, err);
    }
    if (call->json != NULL) {
        json_object_set_new(call->json, "written", json_integer((json_int_t)sent));
    } else {
        printf("%s written: now otter hosted ota-end.\n", bytes_text(sent));
    }
    return EXIT_OK;
}

static int write_file(struct call *call, struct otter_hosted_client *client)
{
    const struct otter_firmware_options source = {.cacert = call->option[CACERT], .cancel = &stops};
    struct otter_firmware firmware;

    if (otter_firmware_open(&firmware, call->args[1], &source) != OTTER_OK) {
        return fail(call, EXIT_FAILED, "%s", safe(firmware.error));
    }
    int code = write_all(call, client, &firmware);
    otter_firmware_close(&firmware);
    return code;
}

static int run_write(struct call *call)
{
    return on_device(call, write_file);
}

const struct command command_hosted_write = {
    .name = "hosted ota-write",
    .args = "DEVICE FILE",
    .brief = "send firmware, after ota-begin",
    .about = "Appends the bytes of FILE to the update that ota-begin began, 4000 a request.\n"
             "FILE is a file, a URL, or - for standard input; its bytes are sent as they "
             "are.\n" DEVICE_HELP,
    .schema = "otter.hosted/1",
    .options = write_options,
    .args_min = 2,
    .args_max = 2,
    .run = run_write,
};

/* --- ota-end ------------------------------------------------------------------------------------
 */

static int end(struct call *call, struct otter_hosted_client *client)
{
    otter_err err = otter_hosted_client_end(client);

    if (err != OTTER_OK) {
        return client_failed(call, client, err);
    }
    say(call, "The device took the update and restarts in a few seconds.");
    return EXIT_OK;
}

static int run_end(struct call *call)
{
    return on_device(call, end);
}

const struct command command_hosted_end = {
    .name = "hosted ota-end",
    .args = "DEVICE",
    .brief = "end an update: the device verifies it and restarts",
    .about = "Tells the device that all firmware was sent. It verifies it, selects it, and\n"
             "restarts 5 seconds later; what is not whole it refuses, and keeps what it "
             "has.\n" DEVICE_HELP,
    .schema = "otter.hosted/1",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .run = run_end,
};
