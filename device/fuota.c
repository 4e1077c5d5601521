/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --fuota URL: asks an update server, and pulls what it offers. Everything but the link is in
 * src/proto/fuota; the link is host/fuota_client.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "device/download.h"
#include "device/transport.h"
#include "host/clock.h"
#include "host/fuota_client.h"

#define STEP_FAST 16384u /* bytes of a download between two turns of the device's loop */
#define STEP_SLOW 4096u  /* the same, with flash as slow as on a board */

#define DIGITS (2u * OTTER_SHA256_SIZE)

struct fuota {
    struct device *device;
    char *server;        /* the URL without a slash at the end */
    char *download_path; /* where an unfinished download is remembered */
    struct otter_fuota_kept kept;
    const char *id;
    struct otter_https https;
    int epoll;
    bool up;
    bool told; /* of the last result */
    enum otter_fuota_result last;
    otter_err last_err;
    struct device_way handle;
    struct otter_fuota_client client;
    char running[DIGITS + 1];
    char given_up[DIGITS + 1]; /* image in the other slot that did not make it; "": none */
};

extern const struct transport_type fuota_transport;

/* --- what is told ---------------------------------------------------------------------------- */

/* Text from a server, for the terminal. */
static const char *plain(const char *text, char out[OTTER_FUOTA_FILE_MAX + 1])
{
    size_t n = 0;

    for (; text[n] != '\0' && n < OTTER_FUOTA_FILE_MAX; n++) {
        unsigned char byte = (unsigned char)text[n];

        out[n] = (char)(byte < 0x20 || byte >= 0x7F ? '?' : byte);
    }
    out[n] = '\0';
    return out;
}

static const char *why(const struct fuota *f, const struct otter_fuota_event *event,
                       char out[CURL_ERROR_SIZE])
{
    bool ours = event->err != OTTER_ERR_LINK && event->err != OTTER_ERR_REFUSED &&
                event->err != OTTER_ERR_TIMEOUT;

    if (event->status != 0 && event->status != 200 && event->status != 206) {
        bool login = event->status == 401 || event->status == 403;

        snprintf(out, CURL_ERROR_SIZE, "the server answers %u%s", event->status,
                 login ? ": --login names the credentials" : "");
    } else if (!ours && f->client.error[0] != '\0') {
        char text[OTTER_FUOTA_FILE_MAX + 1];

        /* Refused by us: the server's certificate is not one to trust. */
        bool unknown = event->err == OTTER_ERR_REFUSED && f->device->options->cacert_count == 0;

        snprintf(out, CURL_ERROR_SIZE, "%.190s%s", plain(f->client.error, text),
                 unknown ? ": --cacert names the CA that signed it" : "");
    } else {
        snprintf(out, CURL_ERROR_SIZE, "%s", otter_err_text(event->err));
    }
    return out;
}

static void report(struct fuota *f, const char *result, const char *detail)
{
    const struct otter_fuota_report r = {
        .result = result,
        .detail = detail,
        .version = f->device->boot.facts.version,
        .running = f->running,
    };

    if (!otter_fuota_client_report(&f->client, &r, otter_clock_ms())) {
        device_error(f->device, "fuota: no memory for the report");
    }
}

/* Of the image, not of the moment: another transport is updating, or this image is on trial. */
static bool is_news(otter_err err)
{
    return err != OTTER_ERR_BUSY && err != OTTER_ERR_STATE && err != OTTER_ERR_PENDING &&
           err != OTTER_ERR_RESTART;
}

static void tell_over(struct fuota *f, const struct otter_fuota_event *event)
{
    char text[CURL_ERROR_SIZE];
    double seconds = event->wait_ms / 1000.0;

    if (event->result == OTTER_FUOTA_UPDATED) {
        return;
    }
    if (event->result == OTTER_FUOTA_SYSTEM_ERROR && is_news(event->err)) {
        report(f, "failed", otter_err_text(event->err));
    }
    /* The same again is not told again. */
    if (f->told && f->last == event->result && f->last_err == event->err) {
        return;
    }
    f->told = true;
    f->last = event->result;
    f->last_err = event->err;
    if (event->result == OTTER_FUOTA_NO_UPDATE) {
        device_log(f->device, "fuota: no update; the next check in %.1f s", seconds);
    } else {
        device_log(f->device, "fuota: %s; the next check in %.1f s", why(f, event, text), seconds);
    }
}

static void on_event(void *ctx, const struct otter_fuota_event *event)
{
    struct fuota *f = ctx;
    char file[OTTER_FUOTA_FILE_MAX + 1], text[CURL_ERROR_SIZE];

    switch (event->kind) {
    case OTTER_FUOTA_EVENT_CHECK:
        break;
    case OTTER_FUOTA_EVENT_OFFER:
        device_log(f->device, "fuota: %s is offered", plain(event->file, file));
        break;
    case OTTER_FUOTA_EVENT_BEGIN:
        if (event->done > 0) {
            device_log(f->device, "fuota: goes on from byte %u", event->done);
        }
        break;
    case OTTER_FUOTA_EVENT_PAUSE:
        device_log(f->device, "fuota: cut after %u bytes: %s; tries again in %.1f s", event->done,
                   why(f, event, text), event->wait_ms / 1000.0);
        break;
    case OTTER_FUOTA_EVENT_OVER:
        tell_over(f, event);
        break;
    }
}

static void keep(void *ctx)
{
    struct fuota *f = ctx;

    if (!device_download_save(f->download_path, &f->kept)) {
        device_error(f->device, "%s: %s", f->download_path, strerror(errno));
    }
}

/* --- a transport ----------------------------------------------------------------------------- */

static void fuota_destroy(void *transport)
{
    struct fuota *f = transport;

    if (f->up) {
        otter_fuota_client_free(&f->client);
    }
    otter_https_close(&f->https);
    if (f->epoll >= 0) {
        close(f->epoll);
    }
    free(f->server);
    free(f->download_path);
    free(f);
}

static void *fuota_create(struct device *device, const char *argument)
{
    const struct device_options *options = device->options;
    struct fuota *f = calloc(1, sizeof(*f));

    if (f != NULL) {
        f->server = strdup(argument);
        if (asprintf(&f->download_path, "%s.download", options->flash_path) < 0) {
            f->download_path = NULL;
        }
    }
    if (f == NULL || f->server == NULL || f->download_path == NULL) {
        device_error(device, "out of memory");
        if (f != NULL) {
            free(f->server);
            free(f->download_path);
        }
        free(f);
        return NULL;
    }
    size_t len = strlen(f->server);
    f->server[len > 0 && f->server[len - 1] == '/' ? len - 1 : len] = '\0';
    f->device = device;
    f->id = options->device_id != NULL ? options->device_id : options->name;
    f->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (f->epoll < 0) {
        device_error(device, "fuota: %s", strerror(errno));
    } else if (f->id == NULL) {
        device_error(device, "fuota: give --device-id, by which the server knows this device");
    } else if (!otter_https_open(&f->https, options->cacert, options->cacert_count,
                                 options->login)) {
        device_error(device, "fuota: %s", f->https.error);
    } else {
        return f;
    }
    fuota_destroy(f);
    return NULL;
}

/* What became of an update that was taken before the restart. */
static void report_restart(struct fuota *f)
{
    struct device *device = f->device;

    if (!device->updated || device->reported || device->testing) {
        return;
    }
    device->reported = true;
    if (device->identity.state == OTTER_IDENTITY_ROLLED_BACK) {
        report(f, "rolled-back", "the new image did not confirm itself");
    } else {
        report(f, "updated", "confirmed");
    }
}

static void write_digits(char out[DIGITS + 1], const uint8_t digest[OTTER_SHA256_SIZE])
{
    for (size_t i = 0; i < OTTER_SHA256_SIZE; i++) {
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    }
}

/* The image that was rolled back, if there is one: it is not pulled again. */
static void find_given_up(struct fuota *f)
{
    struct otter_flash_slots *slots = &f->device->slots;
    struct otter_image_facts facts;
    int slot = OTTER_SLOT_NONE;

    f->given_up[0] = '\0';
    if (otter_flash_slots_rejected(slots, &slot) == OTTER_OK && slot != OTTER_SLOT_NONE &&
        otter_flash_verify(&slots->flash, otter_layout_slot(&slots->layout, slot), slots->hash,
                           slots->buf, slots->buf_size, &facts) == OTTER_OK) {
        write_digits(f->given_up, facts.digest);
    }
}

static bool fuota_up(void *transport)
{
    struct fuota *f = transport;
    const struct device_options *options = f->device->options;
    const struct otter_image_facts *facts = &f->device->boot.facts;
    uint32_t seed = otter_clock_ms();

    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) < 0) {
        seed ^= (uint32_t)getpid();
    }
    write_digits(f->running, facts->digest);
    find_given_up(f);
    const struct otter_fuota_client_config client = {
        .https = &f->https,
        .epoll = f->epoll,
        .step = options->slow_flash ? STEP_SLOW : STEP_FAST,
        .running = f->running,
    };
    const struct otter_fuota_config machine = {
        .sink = device_sink(f->device, &f->handle),
        .server = f->server,
        .device_id = f->id,
        .version = facts->version,
        .given_up = f->given_up[0] != '\0' ? f->given_up : NULL,
        .poll_ms = f->device->leaving ? OTTER_FUOTA_NEVER : options->poll_ms,
        .backoff_ms = options->backoff_ms,
        .seed = seed,
        .on_event = on_event,
        .event_ctx = f,
        .kept = &f->kept,
        .keep = keep,
        .keep_ctx = f,
    };
    device_download_load(f->download_path, &f->kept);
    otter_err err = otter_fuota_client_init(&f->client, &client, &machine, otter_clock_ms());
    if (err != OTTER_OK) {
        device_error(f->device, "fuota: %s",
                     err == OTTER_ERR_LENGTH
                         ? "address, id and version together are too long"
                         : "needs an address such as https://server:8443, and an id without "
                           "slashes, quotes and control characters");
        return false;
    }
    f->up = true;
    f->told = false;
    /* With an hour between checks there are minutes without a word before the first. */
    int32_t first = (int32_t)(f->client.machine.due_ms - otter_clock_ms());
    device_log(f->device, "ready: fuota:%s as %s", f->server, f->id);
    if (f->client.machine.timed && first > 1000) {
        device_log(f->device, "fuota: the first check in %d s", first / 1000);
    }
    return true;
}

static bool fuota_owes(void *transport)
{
    const struct fuota *f = transport;

    return (f->device->updated && !f->device->reported) ||
           (f->up && otter_fuota_client_has_report(&f->client));
}

static void fuota_down(void *transport)
{
    struct fuota *f = transport;

    if (f->up) {
        otter_fuota_client_free(&f->client);
    }
    f->up = false;
}

static size_t fuota_fds(void *transport, struct pollfd *fds, size_t max)
{
    struct fuota *f = transport;

    if (max == 0) {
        return 0;
    }
    fds[0] = (struct pollfd){.fd = f->epoll, .events = POLLIN};
    return 1;
}

static uint32_t fuota_run(void *transport, const struct pollfd *fds, size_t count, uint32_t now_ms)
{
    struct fuota *f = transport;

    report_restart(f);
    if (count > 0 && (fds[0].revents & POLLIN) != 0) {
        otter_fuota_client_events(f->epoll, 0);
    }
    uint32_t wait = otter_fuota_client_run(&f->client);
    if (f->client.selected) {
        device_restart(f->device);
    }
    return wait;
}

const struct transport_type fuota_transport = {
    .option = "fuota",
    .argument = "URL",
    .help = "pull updates from the server https://NAME:PORT",
    .create = fuota_create,
    .up = fuota_up,
    .fds = fuota_fds,
    .run = fuota_run,
    .owes = fuota_owes,
    .down = fuota_down,
    .destroy = fuota_destroy,
};
