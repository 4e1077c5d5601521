/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast ESP-Hosted updates go: `make bench-hosted`.
 *
 *   over a pseudo-terminal   host client and device in two processes, the device with its update
 *                            session, SHA-256 and slots on flash in memory; in turn a plain image
 * and one encrypted for the device's P-256 key over a 921600-baud line  a model: every byte takes
 * its ten bits, nothing else takes time
 *
 * Fails when the first is below 20 MB of image a second, when an encrypted image goes at less than
 * half the rate of a plain one by the processor time of both processes, or when the second is below
 * 97% of the line.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/encryption.h"
#include "host/image_build.h"
#include "host/sha256.h"
#include "host/signing.h"
#include "otter/hosted.h"
#include "otter/hosted_client.h"
#include "otter/update.h"
#include "port/flash/flash_slots.h"
#include "port/sim/nor.h"
#include "proto/hosted/host.h"

#define SLOT_SIZE 0x800000u  /* bytes */
#define IMAGE_SIZE 0x400000u /* bytes */
#define ROUNDS 9             /* of each kind; the medians count */
#define LEAST_ENCRYPTED 0.5
#define LEAST_MB_S 20.0
#define LEAST_SHARE 0.97
#define BAUD 921600.0

_Noreturn static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void must(otter_err err, const char *what)
{
    if (err != OTTER_OK) {
        fprintf(stderr, "%s: %s\n", what, otter_err_text(err));
        exit(1);
    }
}

enum kind { PLAIN, ENCRYPTED, KINDS };

/* --- a device in memory -------------------------------------------------------------------------
 */

struct rig {
    struct otter_nor nor;
    struct otter_sha256 sha[2];
    struct otter_flash_slots slots;
    struct otter_update update;
    struct otter_update_transport transport;
    struct otter_decryptor decryptor;
    struct otter_encrypted encrypted;
    struct otter_encrypted_transport way;
    struct otter_hosted_device device;
    uint8_t buf[2][4096];
    uint8_t message[OTTER_HOSTED_DATA_MAX];
};

static void ignore(void *ctx) {}

/* A device that has just started. The slot it runs from is never looked at. */
static void start_device(struct rig *rig)
{
    rig->slots = (struct otter_flash_slots){
        .flash = otter_nor_flash(&rig->nor),
        .layout = {.otadata = {0, 8192},
                   .otadata_stride = 4096,
                   .ota = {{8192, SLOT_SIZE}, {8192 + SLOT_SIZE, SLOT_SIZE}},
                   .ota_slots = 2},
        .hash = otter_sha256_hash(&rig->sha[0]),
        .buf = rig->buf[0],
        .buf_size = sizeof(rig->buf[0]),
    };
    otter_flash_slots_init(&rig->slots);
    const struct otter_update_config update = {
        .slots = otter_flash_slots_table(&rig->slots),
        .hash = otter_sha256_hash(&rig->sha[1]),
        .buf = rig->buf[1],
        .buf_size = sizeof(rig->buf[1]),
    };
    must(otter_update_init(&rig->update, &update), "update session");
    rig->transport.update = &rig->update;
    otter_encrypted_init(&rig->encrypted, otter_decryptor_cipher(&rig->decryptor));
    rig->encrypted.plain_too = true;
    rig->way =
        (struct otter_encrypted_transport){&rig->encrypted, otter_update_sink(&rig->transport)};
    const struct otter_hosted_config device = {
        .sink = otter_encrypted_sink(&rig->way),
        .buf = rig->message,
        .buf_size = sizeof(rig->message),
        .restart_ms = OTTER_HOSTED_RESTART_MS,
        .silence_ms = OTTER_HOSTED_SILENCE_MS,
        .restart = ignore,
    };
    must(otter_hosted_device_init(&rig->device, &device), "device");
}

/* Takes the key over. */
static void make_rig(struct rig *rig, EVP_PKEY *key)
{
    rig->nor =
        (struct otter_nor){.size = 8192 + 2 * SLOT_SIZE, .erase_unit = 4096, .write_unit = 4};
    rig->nor.bytes = malloc(rig->nor.size);
    if (rig->nor.bytes == NULL) {
        die("memory");
    }
    memset(rig->nor.bytes, 0xFF, rig->nor.size);
    must(otter_sha256_new(&rig->sha[0]), "SHA-256");
    must(otter_sha256_new(&rig->sha[1]), "SHA-256");
    must(otter_decryptor_new(&rig->decryptor, key), "key");
    start_device(rig);
}

/* --- over a pseudo-terminal ---------------------------------------------------------------------
 */

static double cpu_seconds(void)
{
    struct rusage use;

    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Serves ROUNDS updates of each kind; tells what each took of the processor. */
_Noreturn static void serve(int line, EVP_PKEY *key, double cpu[2 * ROUNDS])
{
    static struct rig rig;
    static uint8_t in[8192];
    size_t start = 0, len = 0;

    make_rig(&rig, key);
    double begun = cpu_seconds();
    for (unsigned done = 0; done < KINDS * ROUNDS;) {
        const uint8_t *reply;
        size_t used = otter_hosted_device_input(&rig.device, in + start, len, otter_clock_ms());
        start += used;
        len -= used;
        size_t n = otter_hosted_device_output(&rig.device, &reply);
        if (n > 0) {
            ssize_t sent = write(line, reply, n);
            if (sent < 0) {
                die("write");
            }
            otter_hosted_device_sent(&rig.device, (size_t)sent);
        }
        if (otter_hosted_device_poll(&rig.device, otter_clock_ms()) == 0 || n > 0 || len > 0) {
            continue;
        }
        if (rig.device.state == OTTER_HOSTED_RESTARTING) {
            cpu[done++] = cpu_seconds() - begun;
            begun = cpu_seconds();
            start_device(&rig);
            continue;
        }
        ssize_t got = read(line, in, sizeof(in));
        if (got <= 0) {
            die("read");
        }
        start = 0;
        len = (size_t)got;
    }
    exit(0);
}

static void raw_terminal(int *line, int *terminal)
{
    struct termios tio;

    *line = posix_openpt(O_RDWR | O_NOCTTY);
    if (*line < 0 || grantpt(*line) != 0 || unlockpt(*line) != 0) {
        die("pseudo-terminal");
    }
    *terminal = open(ptsname(*line), O_RDWR | O_NOCTTY);
    if (*terminal < 0 || tcgetattr(*terminal, &tio) != 0) {
        die("pseudo-terminal");
    }
    cfmakeraw(&tio);
    tcsetattr(*terminal, TCSANOW, &tio);
}

struct image {
    uint8_t *data;
    size_t len;
};

static void send_image(struct otter_hosted_client *client, const struct image *image, double *rate)
{
    double begun = seconds();

    if (otter_hosted_client_begin(client) != OTTER_OK ||
        otter_hosted_client_write(client, image->data, image->len) != OTTER_OK) {
        fprintf(stderr, "%s\n", otter_hosted_client_error(client));
        exit(1);
    }
    *rate = (double)image->len / 1e6 / (seconds() - begun);
    if (otter_hosted_client_end(client) != OTTER_OK) {
        fprintf(stderr, "%s\n", otter_hosted_client_error(client));
        exit(1);
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* Of ROUNDS values, two apart. */
static double median(const double *values)
{
    double sorted[ROUNDS];

    for (unsigned i = 0; i < ROUNDS; i++) {
        sorted[i] = values[i * KINDS];
    }
    qsort(sorted, ROUNDS, sizeof(sorted[0]), ascending);
    return sorted[ROUNDS / 2];
}

struct measured {
    double rate;  /* MB of plain image a second, the best round: the machine may do other things */
    double share; /* of the plain image's rate that the encrypted one reaches, by processor time */
};

static struct measured over_terminal(const struct image images[KINDS], EVP_PKEY *key)
{
    double rate[KINDS * ROUNDS], host[KINDS * ROUNDS];
    double *device =
        mmap(NULL, sizeof(host), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int line, terminal, status;
    struct measured m = {0};
    double cost[KINDS];

    raw_terminal(&line, &terminal);
    pid_t child = device != MAP_FAILED ? fork() : -1;
    if (child < 0) {
        die("fork");
    }
    if (child == 0) {
        serve(line, key, device);
    }
    struct otter_hosted_client *client = otter_hosted_client_new();
    if (client == NULL) {
        die("client");
    }
    must(otter_hosted_client_open_fd(client, terminal), "open");
    for (unsigned i = 0; i < KINDS * ROUNDS; i++) {
        double begun = cpu_seconds();

        send_image(client, &images[i % KINDS], &rate[i]);
        host[i] = cpu_seconds() - begun;
    }
    waitpid(child, &status, 0);
    otter_hosted_client_free(client);
    for (unsigned i = 0; i < KINDS * ROUNDS; i += KINDS) {
        m.rate = rate[i] > m.rate ? rate[i] : m.rate;
    }
    for (enum kind kind = PLAIN; kind < KINDS; kind++) {
        double bytes = (double)images[kind].len / 1e9;

        cost[kind] = (median(host + kind) + median(device + kind)) / bytes;
        printf("%s   %.1f MB/s; CPU a byte of image: host %.2f ns, device %.2f ns, with its "
               "verification\n",
               kind == PLAIN ? "pseudo-terminal " : "  encrypted     ", median(rate + kind),
               median(host + kind) / bytes, median(device + kind) / bytes);
    }
    m.share = cost[PLAIN] / cost[ENCRYPTED];
    printf(
        "                   encrypted: %.0f%% of the plain rate by processor time, %.0f%% by the "
        "clock\n",
        m.share * 100, median(rate + ENCRYPTED) / median(rate + PLAIN) * 100);
    munmap(device, sizeof(host));
    return m;
}

/* --- over a serial line -------------------------------------------------------------------------
 */

/* One request and its answer, with the bytes that both take on the line. */
static size_t exchange(struct rig *rig, struct otter_hosted_host *host, uint16_t id,
                       const uint8_t *data, size_t len)
{
    static uint8_t frame[OTTER_HOSTED_REQUEST_MAX];
    const uint8_t *reply;
    size_t used = 0, answer = 0;

    must(otter_hosted_host_request(host, id, data, len, 1000, 0, frame, sizeof(frame), &used),
         "request");
    if (otter_hosted_device_input(&rig->device, frame, used, 0) != used) {
        die("device");
    }
    while ((answer = otter_hosted_device_output(&rig->device, &reply)) == 0) {
        (void)otter_hosted_device_poll(&rig->device, 0);
    }
    (void)otter_hosted_host_input(host, reply, answer);
    otter_hosted_device_sent(&rig->device, answer);
    must(otter_hosted_host_poll(host, 0), "answer");
    return used + answer;
}

/* The share of the line that carries image. */
static double over_line(const uint8_t *image, size_t len, EVP_PKEY *key)
{
    static struct rig rig;
    static uint8_t buf[512];
    struct otter_hosted_host host;
    const struct otter_hosted_host_config config = {
        .buf = buf, .buf_size = sizeof(buf), .first_uid = 1};
    size_t bytes;

    make_rig(&rig, key);
    must(otter_hosted_host_init(&host, &config), "host");
    bytes = exchange(&rig, &host, OTTER_HOSTED_BEGIN, NULL, 0);
    for (size_t at = 0; at < len; at += OTTER_HOSTED_CHUNK_MAX) {
        size_t n = len - at < OTTER_HOSTED_CHUNK_MAX ? len - at : OTTER_HOSTED_CHUNK_MAX;

        bytes += exchange(&rig, &host, OTTER_HOSTED_WRITE, image + at, n);
    }
    bytes += exchange(&rig, &host, OTTER_HOSTED_END, NULL, 0);
    free(rig.nor.bytes);
    double share = (double)len / (double)bytes;
    printf("921600-baud line   %.2f%% of the line is image: %.1f kB/s, 1 MB in %.1f s\n",
           share * 100, BAUD / 10 * share / 1000, 1e6 / (BAUD / 10 * share));
    return share;
}

int main(void)
{
    const struct otter_image_spec spec = {
        .project = "bench", .version = "1.0.0", .size = IMAGE_SIZE, .seed = 1};
    EVP_PKEY *key = otter_key_make(false);
    struct image images[KINDS];

    must(otter_image_build(&spec, &images[PLAIN].data, &images[PLAIN].len), "image");
    must(otter_image_encrypt(key, images[PLAIN].data, (uint32_t)images[PLAIN].len,
                             &images[ENCRYPTED].data),
         "encryption");
    images[ENCRYPTED].len = images[PLAIN].len + OTTER_ENCRYPTED_HEADER;
    struct measured terminal = over_terminal(images, key);
    double share = over_line(images[PLAIN].data, images[PLAIN].len, key);
    for (enum kind kind = PLAIN; kind < KINDS; kind++) {
        free(images[kind].data);
    }
    if (terminal.rate < LEAST_MB_S || terminal.share < LEAST_ENCRYPTED || share < LEAST_SHARE) {
        printf("too slow: %.0f MB/s, %.0f%% encrypted and %.0f%% of the line are the least\n",
               LEAST_MB_S, LEAST_ENCRYPTED * 100, LEAST_SHARE * 100);
        return 1;
    }
    return 0;
}
