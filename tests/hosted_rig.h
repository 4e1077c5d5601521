/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that speaks ESP-Hosted, whole: device half, update session, slots, simulated NOR flash
 * and bootloader, in virtual time. For the tests of proto/hosted.
 */
#ifndef OTTER_TESTS_HOSTED_RIG_H
#define OTTER_TESTS_HOSTED_RIG_H

#include "host/sha256.h"
#include "otter/hosted.h"
#include "otter/update.h"
#include "port/flash/flash_slots.h"
#include "port/sim/nor.h"
#include "proto/hosted/host.h"

#define RIG_SILENCE_MS 60000u

struct rig {
    uint32_t now; /* ms */
    struct otter_nor nor;
    struct otter_layout layout;
    struct otter_sha256 sha[3];
    struct otter_flash_slots slots;
    struct otter_update update;
    struct otter_update_transport transport;
    struct otter_hosted_device device;
    uint32_t slot_size;
    uint8_t *old_image, *new_image;
    size_t old_len, new_len;
    uint8_t *pristine; /* of the flash, before the first update */
    unsigned restarts;
    uint8_t read_buf[2][512];
    uint8_t message[OTTER_HOSTED_DATA_MAX];
    /* what the device sent and nobody took yet */
    uint8_t out[8192];
    size_t out_len;
};

/* A flash with the old image in ota_0, running and confirmed. Sizes in bytes; the images' are
 * rounded up to what the format can have. Ends the test on failure. */
void rig_start(struct rig *rig, uint32_t erase_unit, uint32_t slot_size, uint32_t image_size);
void rig_stop(struct rig *rig);

/* The flash as it was at first, and the device freshly powered on. */
void rig_reset(struct rig *rig);

/* Power on: the bootloader runs, the device starts from nothing, the image confirms itself. Fails
 * the test unless exactly the old or the new image boots, whole. True: it is the new one. */
bool rig_boot(struct rig *rig);

/* Gives the device bytes until it has taken them all and done its work. */
void rig_feed(struct rig *rig, const uint8_t *data, size_t len);

/* Lets time pass, with the device polled when it asks for it. */
void rig_pass(struct rig *rig, uint32_t ms);

/* Takes the next response of the device. False: there is none. */
bool rig_response(struct rig *rig, struct otter_hosted_message *m);

/* One request and its answer; fails the test when there is no answer. */
int32_t rig_ask(struct rig *rig, uint16_t id, const uint8_t *data, size_t len);

/* The bytes a host sends for a whole update in chunks, in memory of its own. */
uint8_t *rig_stream(const uint8_t *image, size_t image_len, size_t chunk, size_t *len);

/* Begin, write and end with a fresh host; fails the test unless the new image boots after it. */
void rig_fresh_update(struct rig *rig);

/* Asserts what every row asserts: old or new boots, the running slot is as it was, a fresh attempt
 * succeeds. */
void rig_assert_sound(struct rig *rig);

/* xorshift: the next number of a seed. */
uint32_t rig_random(uint32_t *seed);

#endif
