/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/powerloss/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/image_build.h"

bool world_fail(struct world *w, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(w->why, sizeof(w->why), format, args);
    va_end(args);
    return false;
}

bool gallery_build(struct gallery *gallery, const struct geometry *geometry)
{
    /* Shorter and longer than the first, so that remains of one show behind another. */
    static const int longer[WORLD_IMAGES] = {0, 32, -16, 48, 16, 64};

    memset(gallery, 0, sizeof(*gallery));
    for (uint32_t i = 0; i < WORLD_IMAGES; i++) {
        struct image *image = &gallery->images[i];
        const struct otter_image_spec spec = {
            .chip_id = WORLD_CHIP,
            .project = "powerloss",
            .version = "1.0.0",
            .size = (uint32_t)((int)geometry->image_size + longer[i]),
            .seed = i + 1,
            .segments = geometry->image_size < 1024 ? 1 : 3,
        };
        size_t len;
        if (otter_image_build(&spec, &image->bytes, &len) != OTTER_OK) {
            return false;
        }
        image->len = (uint32_t)len;
        memcpy(image->digest, image->bytes + len - OTTER_SHA256_SIZE, OTTER_SHA256_SIZE);
    }
    return true;
}

void gallery_free(struct gallery *gallery)
{
    for (int i = 0; i < WORLD_IMAGES; i++) {
        free(gallery->images[i].bytes);
    }
    memset(gallery, 0, sizeof(*gallery));
}

bool world_new(struct world *w)
{
    memset(w, 0, sizeof(*w));
    for (int i = 0; i < 3; i++) {
        if (otter_sha256_new(&w->hashes[i]) != OTTER_OK) {
            return false;
        }
    }
    return true;
}

void world_free(struct world *w)
{
    for (int i = 0; i < 3; i++) {
        otter_sha256_free(&w->hashes[i]);
    }
}

static uint32_t round_up(uint32_t n, uint32_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/* otadata, then the slots, close together: a smaller flash is copied faster. */
static uint32_t place(struct otter_layout *layout, const struct geometry *geometry,
                      const struct shape *shape)
{
    const uint32_t unit = geometry->erase_unit;
    const uint32_t slot = round_up(geometry->image_size + 64, unit);
    uint32_t at = 0;

    memset(layout, 0, sizeof(*layout));
    layout->otadata = (struct otter_region){at, 2 * unit};
    layout->otadata_stride = unit;
    at += 2 * unit;
    if (shape->factory) {
        layout->factory = (struct otter_region){at, slot};
        at += slot;
    }
    layout->ota_slots = shape->ota_slots;
    for (uint8_t i = 0; i < shape->ota_slots; i++) {
        layout->ota[i] = (struct otter_region){at, slot};
        at += slot;
    }
    return at;
}

static void connect(struct world *w, uint32_t size)
{
    memset(&w->nor, 0, sizeof(w->nor));
    w->nor.bytes = w->bytes;
    w->nor.size = size;
    w->nor.erase_unit = w->geometry.erase_unit;
    w->nor.write_unit = w->geometry.write_unit;
    w->running = NULL;
    w->why[0] = '\0';
}

bool world_start(struct world *w, const struct gallery *gallery, const struct geometry *geometry,
                 const struct shape *shape, bool rollback)
{
    const struct image *first = &gallery->images[0];

    w->gallery = gallery;
    w->geometry = *geometry;
    w->rollback = rollback;
    const uint32_t size = place(&w->layout, geometry, shape);
    if (size > WORLD_FLASH_MAX) {
        return world_fail(w, "the flash of this geometry is too large");
    }
    connect(w, size);
    memset(w->bytes, 0xFF, size);
    w->target = OTTER_SLOT_NONE;
    w->old = w->new = first;
    w->untried = w->given_up = false;
    w->strict = true;
    const struct otter_region home = otter_layout_slot(&w->layout, shape->factory ? -1 : 0);
    memcpy(w->bytes + home.offset, first->bytes, first->len);
    memcpy(w->before, w->bytes, size);
    return true;
}

void world_copy(struct world *w, const struct world *from)
{
    w->gallery = from->gallery;
    w->geometry = from->geometry;
    w->layout = from->layout;
    w->rollback = from->rollback;
    w->old = from->old;
    w->new = from->new;
    w->target = from->target;
    w->untried = from->untried;
    w->given_up = from->given_up;
    w->strict = from->strict;
    connect(w, from->nor.size);
    memcpy(w->bytes, from->bytes, w->nor.size);
    memcpy(w->before, from->before, w->nor.size);
}

static bool only_target_changed(struct world *w)
{
    for (int slot = OTTER_SLOT_FACTORY; slot < w->layout.ota_slots; slot++) {
        const struct otter_region r = otter_layout_slot(&w->layout, slot);
        if (slot == w->target || r.size == 0) {
            continue;
        }
        if (memcmp(w->bytes + r.offset, w->before + r.offset, r.size) != 0) {
            return world_fail(w, "%s changed, though the update goes to %s", otter_slot_name(slot),
                              otter_slot_name(w->target));
        }
    }
    return true;
}

static bool same(const struct otter_image_facts *facts, const struct image *image)
{
    return facts->size == image->len &&
           memcmp(facts->digest, image->digest, sizeof(facts->digest)) == 0;
}

static int image_number(const struct world *w, const struct image *image)
{
    return (int)(image - w->gallery->images);
}

static void start_firmware(struct world *w)
{
    w->slots = (struct otter_flash_slots){
        .flash = otter_nor_flash(&w->nor),
        .layout = w->layout,
        .hash = otter_sha256_hash(&w->hashes[2]),
        .running = w->report.booted,
        .rollback = w->rollback,
        .buf = w->bufs[2],
        .buf_size = WORLD_BUF,
    };
    otter_flash_slots_init(&w->slots);
}

static bool run_bootloader(struct world *w)
{
    const struct otter_bootloader bl = {
        .flash = otter_nor_flash(&w->nor),
        .layout = w->layout,
        .hash = otter_sha256_hash(&w->hashes[0]),
        .chip_id = WORLD_CHIP,
        .rollback = w->rollback,
        .buf = w->bufs[0],
        .buf_size = WORLD_BUF,
    };

    w->running = NULL;
    w->in_bootloader = true;
    const otter_err err = otter_bootloader_run(&bl, &w->report);
    w->in_bootloader = false;
    if (err != OTTER_OK) {
        return world_fail(w, "bootloader: %s", otter_err_text(err));
    }
    if (w->report.booted == OTTER_SLOT_NONE) {
        return world_fail(w, "nothing boots");
    }
    if (w->nor.violations != 0) {
        return world_fail(w, "%s", w->nor.violation);
    }
    start_firmware(w);
    return only_target_changed(w);
}

bool world_power_on(struct world *w)
{
    if (!run_bootloader(w)) {
        return false;
    }
    if (same(&w->report.facts, w->old)) {
        w->running = w->old;
    } else if (same(&w->report.facts, w->new)) {
        w->running = w->new;
    } else {
        return world_fail(w, "%s boots an image that is neither old (%d) nor new (%d)",
                          otter_slot_name(w->report.booted), image_number(w, w->old),
                          image_number(w, w->new));
    }
    if (w->running != w->new) {
        return true;
    }
    if (w->given_up && w->strict) {
        return world_fail(w, "the image that was given up boots again");
    }
    if (!w->untried) {
        return true;
    }
    w->untried = false;
    if (w->rollback && w->strict && !world_is_pending(w)) {
        return world_fail(w, "the new image boots without having to confirm");
    }
    return true;
}

bool world_power_on_any(struct world *w)
{
    if (!run_bootloader(w)) {
        return false;
    }
    for (int i = 0; i < WORLD_IMAGES && w->running == NULL; i++) {
        if (same(&w->report.facts, &w->gallery->images[i])) {
            w->running = &w->gallery->images[i];
        }
    }
    w->old = w->new = w->running;
    return w->running != NULL || world_fail(w, "an unknown image boots");
}

bool world_must_run(struct world *w, const struct image *image)
{
    if (w->running != image) {
        return world_fail(w, "image %d should run, not %d", image_number(w, image),
                          w->running != NULL ? image_number(w, w->running) : -1);
    }
    return true;
}

struct otter_slots world_slots(struct world *w)
{
    return otter_flash_slots_table(&w->slots);
}

bool world_is_pending(struct world *w)
{
    enum otter_boot_state state;

    return otter_boot_state(world_slots(w), &state) == OTTER_OK && state == OTTER_BOOT_PENDING;
}

otter_err world_expect(struct world *w, const struct image *image)
{
    const struct otter_update_config config = {
        .slots = world_slots(w),
        .hash = otter_sha256_hash(&w->hashes[1]),
        .policy = w->policy,
        .on_event = w->on_event,
        .buf = w->bufs[1],
        .buf_size = 64,
    };

    w->old = w->running;
    w->new = image;
    w->untried = true;
    w->given_up = false;
    w->target = otter_flash_slots_next(&w->slots);
    memcpy(w->before, w->bytes, w->nor.size);
    return otter_update_init(&w->update, &config);
}

static otter_err begin(struct world *w, const struct image *image, uint32_t length)
{
    const otter_err err = world_expect(w, image);

    return err != OTTER_OK ? err : otter_update_begin(&w->update, length);
}

static otter_err feed(struct world *w, const struct image *image, uint32_t bytes)
{
    const uint32_t chunk = w->geometry.chunk != 0 ? w->geometry.chunk : bytes;
    otter_err err = OTTER_OK;

    for (uint32_t at = 0; at < bytes && err == OTTER_OK; at += chunk) {
        const uint32_t n = bytes - at < chunk ? bytes - at : chunk;
        err = otter_update_write_all(&w->update, image->bytes + at, n);
    }
    return err;
}

otter_err world_update(struct world *w, const struct image *image)
{
    otter_err err = begin(w, image, image->len);

    if (err == OTTER_OK) {
        err = feed(w, image, image->len);
    }
    if (err == OTTER_OK) {
        do {
            err = otter_update_finish(&w->update);
        } while (err == OTTER_ERR_AGAIN);
    }
    return err;
}

otter_err world_update_part(struct world *w, const struct image *image, uint32_t bytes)
{
    otter_err err = begin(w, image, OTTER_LENGTH_UNKNOWN);

    if (err == OTTER_OK) {
        err = feed(w, image, bytes);
    }
    otter_update_abort(&w->update);
    return err;
}

static const struct image *uninvolved(const struct world *w)
{
    const struct image *image = w->gallery->images + 1;

    while (image == w->old || image == w->new) {
        image++;
    }
    return image;
}

static bool confirm_if_pending(struct world *w)
{
    if (!world_is_pending(w)) {
        return true;
    }
    const otter_err err = otter_boot_confirm(world_slots(w));
    if (err != OTTER_OK) {
        return world_fail(w, "confirm: %s", otter_err_text(err));
    }
    return !world_is_pending(w) || world_fail(w, "still pending after confirm");
}

bool world_fresh_attempt(struct world *w)
{
    const struct image *next = uninvolved(w);

    if (!confirm_if_pending(w)) {
        return false;
    }
    const otter_err err = world_update(w, next);
    if (err != OTTER_OK) {
        return world_fail(w, "the fresh attempt failed: %s", otter_err_text(err));
    }
    if (!world_power_on(w) || !world_must_run(w, next)) {
        return false;
    }
    if (w->rollback && !world_is_pending(w)) {
        return world_fail(w, "the fresh image is not pending");
    }
    return confirm_if_pending(w);
}

bool world_recover(struct world *w)
{
    return world_power_on(w) && world_fresh_attempt(w);
}
