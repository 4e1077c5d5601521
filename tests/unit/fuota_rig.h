/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the FUOTA client share: a client over a session over slots in memory, and the
 * other end of its requests. */
#ifndef OTTER_TESTS_FUOTA_RIG_H
#define OTTER_TESTS_FUOTA_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/sha256.h"
#include "otter/fuota.h"
#include "otter/update.h"
#include "unit/ram_slots.h"

#define SERVER "https://192.168.1.41:50000"
#define CHECK_URL SERVER "/devices/00001?app_ver=0.1.0"
#define FILE_URL SERVER "/files/esp32-fuota.bin.0.1.1"
#define OFFER "esp32-fuota.bin.0.1.1"

struct fixture {
    struct ram_slots slots;
    struct otter_sha256 sha;
    struct otter_update update;
    struct otter_update_transport transport;
    struct otter_fuota_config config;
    struct otter_fuota fuota;
    uint8_t buf[512];
    uint8_t *image;
    size_t len;
    uint32_t now;
    uint32_t waited; /* ms, since the last request */
    struct otter_fuota_event last;
    unsigned keeps;
    unsigned events[OTTER_FUOTA_EVENT_OVER + 1];
    char file_seen[OTTER_FUOTA_FILE_MAX + 1];
};

/* An answer. headers: "Name: value" texts up to a NULL. */
struct reply {
    uint16_t status; /* 0: no connection */
    const char *headers[6];
    const uint8_t *body;
    size_t len;
    otter_err end;
    uint32_t byte_ms; /* time that each byte takes */
};

void start(struct fixture *t);

int setup(void **state);

int teardown(void **state);

void count_keep(void *ctx);

/* Lets time pass until something is to be done. */
enum otter_fuota_do until_due(struct fixture *t);

void give_header(struct fixture *t, const char *line);

otter_err answer(struct fixture *t, const struct reply *r);

otter_err answer_text(struct fixture *t, uint16_t status, const char *body);

void assert_asks(struct fixture *t, const char *url);

void assert_over(struct fixture *t, enum otter_fuota_result result, otter_err err);

void offer(struct fixture *t);

/* A server that does it all right: whole files, ranges, an ETag; cut after `most` bytes. */
otter_err serve(struct fixture *t, size_t most);

void serve_file(struct fixture *t, size_t most);

void assert_updated(struct fixture *t);

/* Whatever went wrong before: with a good server the next attempt succeeds. */
void assert_next_attempt_works(struct fixture *t);

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
