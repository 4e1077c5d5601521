/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device half and a host half of one of the BLE protocols on a simulated link, with a slot
 * behind the device. pair_init() makes the usual pair; tests change what they are about between
 * it and pair_start().
 */
#ifndef OTTER_TESTS_PAIR_H
#define OTTER_TESTS_PAIR_H

#include "otter/espble.h"
#include "otter/gattota.h"
#include "pair/slot.h"
#include "port/sim/gatt_sim.h"

enum pair_protocol { PAIR_ESPBLE, PAIR_GATTOTA };

#define PAIR_WINDOW_MAX 8u

struct pair {
    enum pair_protocol protocol;
    struct otter_gatt_sim sim;
    struct slot slot;
    uint8_t *image;
    uint32_t len;

    uint8_t buf[PAIR_WINDOW_MAX * OTTER_ESPBLE_SECTOR];
    struct otter_espble_device_config espble_config;
    struct otter_gattota_device_config gattota_config;
    struct otter_espble_device espble;
    struct otter_gattota_device gattota;
    bool restart_asked;
    bool foreign; /* the mount is not ours: a restart leaves it as it is */
    unsigned restarts;
    uint16_t next_conn;

    struct otter_espble_host_config espble_host_config;
    struct otter_gattota_host_config gattota_host_config;
    struct otter_espble_host espble_host;
    struct otter_gattota_host gattota_host;

    /* a client that is the test: what it was told last */
    uint8_t value[OTTER_SIM_CHARS][OTTER_GATT_WRITE_MAX];
    size_t value_len[OTTER_SIM_CHARS];
    unsigned values[OTTER_SIM_CHARS]; /* how many came */
    unsigned responses;
    uint8_t att; /* of the last response */
};

/* An image of len bytes on a clean link: MTU 247, notifications, window 4. */
void pair_init(struct pair *p, enum pair_protocol protocol, uint32_t len, uint32_t seed);
void pair_free(struct pair *p);

/* Powers the device up and mounts it. */
void pair_boot(struct pair *p);

/* Connects anew, with a fresh host half, or with the test as the client. */
void pair_connect_host(struct pair *p);
void pair_connect_test(struct pair *p);

const struct otter_gatt_status *pair_status(const struct pair *p);

/* Runs until nothing more happens within ms of virtual time. A device that asks to is
 * restarted. */
void pair_run(struct pair *p, uint64_t ms);

/* Runs until the host is finished and the device is at rest; then leaves, as a host does. */
void pair_update(struct pair *p);

/* A second attempt on the same device, over a link without faults; must bring the image. */
bool pair_fresh_attempt(struct pair *p);

/* The device booted the new image, or the old, and nothing else. */
bool pair_new(const struct pair *p);
bool pair_old(const struct pair *p);

/* The test's writes; a link that has no room is waited for. */
void pair_write(struct pair *p, uint8_t id, bool request, const void *data, size_t len);

#endif
