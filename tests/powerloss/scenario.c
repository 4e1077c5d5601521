/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/powerloss/scenario.h"

#include <string.h>

const struct geometry geometries[GEOMETRY_COUNT] = {
    /* erase unit, write unit, image, chunk */
    {64, 4, 336, 0},       /* small: for double cuts */
    {64, 16, 336, 0},      /* the same, with an otadata entry in one program */
    {256, 1, 700, 48},     /* the smallest write unit, odd chunks */
    {256, 4, 1000, 0},     /* several sectors */
    {512, 16, 1300, 100},  /* flash encryption: 16 bytes at a time */
    {512, 32, 1300, 0},    /* as large as an otadata entry */
    {1024, 8, 2000, 1000}, /* too large a write unit to spoil a crc */
    {4096, 4, 5000, 0},    /* the real thing */
    {4096, 32, 5000, 1024},
};

const struct shape shapes[SHAPE_COUNT] = {
    /* factory, ota slots */
    {true, 2},
    {false, 2},
    {false, 3},
    {true, 4},
};

static const struct image *image(const struct world *w, int i)
{
    return &w->gallery->images[i];
}

static bool update_to(struct world *w, int i)
{
    const otter_err err = world_update(w, image(w, i));

    if (err != OTTER_OK) {
        return world_fail(w, "update to image %d: %s", i, otter_err_text(err));
    }
    return world_power_on(w) && world_must_run(w, image(w, i));
}

static bool confirm(struct world *w)
{
    const otter_err err = w->rollback ? otter_boot_confirm(world_slots(w)) : OTTER_OK;

    return err == OTTER_OK || world_fail(w, "confirm: %s", otter_err_text(err));
}

static bool roll_back(struct world *w)
{
    w->given_up = true;
    const otter_err err = otter_boot_roll_back(world_slots(w));

    return err == OTTER_OK || world_fail(w, "roll back: %s", otter_err_text(err));
}

/* The running image loses a bit, and the bootloader goes back to the one before. */
static bool damage_running(struct world *w)
{
    const struct otter_region r = otter_layout_slot(&w->layout, w->slots.running);

    w->bytes[r.offset + r.size / 3] ^= 1;
    w->target = w->slots.running;
    return world_power_on(w);
}

static void write_entry(struct world *w, int copy, uint32_t seq)
{
    struct otter_otadata_entry entry = {
        .seq = seq, .state = OTTER_OTADATA_VALID, .crc = otter_otadata_crc(seq)};
    uint8_t *at = w->bytes + (uint32_t)copy * w->layout.otadata_stride;

    memset(entry.label, 0xFF, sizeof(entry.label));
    memset(at, 0xFF, w->layout.otadata_stride);
    otter_otadata_encode(&entry, at);
}

/* As after billions of updates: the running slot by the last seq there is. */
static bool exhaust(struct world *w)
{
    uint32_t seq = OTTER_OTADATA_SEQ_NONE - 1;

    while (otter_otadata_slot(seq, w->layout.ota_slots) != w->slots.running) {
        seq--;
    }
    write_entry(w, 0, seq - 1);
    write_entry(w, 1, seq);
    return world_power_on(w);
}

static bool live_through(struct world *w, unsigned history)
{
    if (!world_power_on(w)) {
        return false;
    }
    switch (history) {
    case FRESH:
        return true;
    case UPDATED:
        return update_to(w, 1) && confirm(w);
    case UPDATED_OFT:
        return update_to(w, 1) && confirm(w) && update_to(w, 2) && confirm(w) && update_to(w, 1) &&
               confirm(w);
    case REJECTED:
        return update_to(w, 1) && roll_back(w) && world_power_on(w);
    case CRASHED:
        return update_to(w, 1) && world_power_on(w);
    case FELL_BACK:
        return update_to(w, 1) && confirm(w) && update_to(w, 2) && confirm(w) && damage_running(w);
    case EXHAUSTED:
        return update_to(w, 1) && confirm(w) && exhaust(w);
    default:
        return world_fail(w, "no such history");
    }
}

bool scenario_play(struct world *w, const struct scenario *s)
{
    const struct image *old = w->running;
    const struct image *new = image(w, 3);

    switch (s->play) {
    case CONFIRM:
        return update_to(w, 3) && confirm(w) && world_power_on(w) && world_must_run(w, new) &&
               (!world_is_pending(w) || world_fail(w, "pending after confirm"));
    case ROLL_BACK:
        return update_to(w, 3) && roll_back(w) && world_power_on(w) && world_must_run(w, old);
    case CRASH:
        return update_to(w, 3) && world_power_on(w) && world_must_run(w, old);
    case GIVE_UP:
        return world_update_part(w, new, new->len / 2) == OTTER_OK && world_power_on(w) &&
               world_must_run(w, old);
    default:
        return world_fail(w, "no such play");
    }
}

bool scenario_possible(const struct scenario *s)
{
    return s->rollback || (s->history != REJECTED && s->history != CRASHED &&
                           s->play != ROLL_BACK && s->play != CRASH);
}

bool scenario_start(struct world *w, const struct scenario *s, const struct gallery *gallery)
{
    return world_start(w, gallery, &geometries[s->geometry], &shapes[s->shape], s->rollback != 0) &&
           live_through(w, s->history);
}
