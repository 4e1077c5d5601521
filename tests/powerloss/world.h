/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small device for tests of power loss: simulated flash, the bootloader model, and firmware
 * that can update, confirm and roll back. It knows what may boot at every instant, and says so
 * when something else does.
 */
#ifndef OTTER_TESTS_WORLD_H
#define OTTER_TESTS_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "host/sha256.h"
#include "otter/update.h"
#include "port/flash/flash_slots.h"
#include "port/sim/bootloader.h"
#include "port/sim/nor.h"

#define WORLD_FLASH_MAX 0x14000u
#define WORLD_BUF 4096u
#define WORLD_IMAGES 6
#define WORLD_CHIP 9u /* ESP32-S3 */

/* A flash chip and how large the images are on it, all in bytes. */
struct geometry {
    uint32_t erase_unit;
    uint32_t write_unit;
    uint32_t image_size; /* of the first image; the others differ a little */
    uint32_t chunk;      /* how the firmware comes; 0: all at once */
};

/* A partition table, as far as it matters here. */
struct shape {
    bool factory;
    uint8_t ota_slots;
};

struct image {
    uint8_t *bytes;
    uint32_t len; /* bytes */
    uint8_t digest[OTTER_SHA256_SIZE];
};

/* The images of one geometry. */
struct gallery {
    struct image images[WORLD_IMAGES];
};

struct world {
    uint8_t bytes[WORLD_FLASH_MAX];  /* the flash */
    uint8_t before[WORLD_FLASH_MAX]; /* as it was when the update began */
    struct otter_nor nor;
    const struct gallery *gallery;
    struct geometry geometry;
    struct otter_layout layout;
    bool rollback;
    const struct otter_policy *policy; /* of updates; may be NULL */
    void (*on_event)(void *ctx, const struct otter_update_event *event); /* may be NULL */

    /* What may boot: the image that ran when the update began, or the one it brings. */
    const struct image *old;
    const struct image *new;
    int target; /* slot the update writes to: the only one that may change */

    const struct image *running;
    struct otter_boot_report report; /* of the last power-on */
    bool in_bootloader;              /* whose operation the flash sees */
    bool untried;                    /* new has not had its first boot: it must be on trial then */
    bool given_up;                   /* new must not run again */
    bool strict;                     /* no cut so far excuses a breach of these two */
    struct otter_flash_slots slots;
    struct otter_update update;
    struct otter_sha256 hashes[3]; /* bootloader, session, slots */
    uint8_t bufs[3][WORLD_BUF];

    char why[200]; /* after anything returned false */
};

/* Builds and frees the images. They live as long as any world that uses them. */
bool gallery_build(struct gallery *gallery, const struct geometry *geometry);
void gallery_free(struct gallery *gallery);

/* Hash contexts; the rest of a world is set by world_start or world_copy. */
bool world_new(struct world *w);
void world_free(struct world *w);

/* A device fresh from the factory: image 0 in its first slot, otadata blank, not powered on. */
bool world_start(struct world *w, const struct gallery *gallery, const struct geometry *geometry,
                 const struct shape *shape, bool rollback);

/* Makes w the same device as from, without faults or hooks. from's state is not looked at beyond
 * its flash and what may boot. */
void world_copy(struct world *w, const struct world *from);

/*
 * Each step returns false and sets why when the device did what it must not: booted another image
 * than old or new, or touched a slot other than the target, or broke a rule of the flash.
 */
bool world_power_on(struct world *w);
/* Powers on where any image of the gallery may boot; old and new are that image from then on. */
bool world_power_on_any(struct world *w);
bool world_must_run(struct world *w, const struct image *image);

/* Readies the session for an update that comes some other way, and sets old, new and target. */
otter_err world_expect(struct world *w, const struct image *image);

/* A whole update; sets old, new and target. The error is the session's. */
otter_err world_update(struct world *w, const struct image *image);
/* The same without announcing a length, and given up after `bytes` bytes. */
otter_err world_update_part(struct world *w, const struct image *image, uint32_t bytes);

/* The slot functions of the running image. */
struct otter_slots world_slots(struct world *w);
bool world_is_pending(struct world *w);

/* Confirms what runs if it is pending; updates to an image that was not involved; powers on: it
 * must run; confirms it. The end of every test. */
bool world_fresh_attempt(struct world *w);

/* Powers on and makes a fresh attempt: what recovers from a cut. */
bool world_recover(struct world *w);

/* Sets why and returns false. */
bool world_fail(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
#endif
