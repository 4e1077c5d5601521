/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both BLE protocols into the update session, on simulated flash, with the bootloader model: after
 * whatever happened to the link or the flash, exactly the old or the new image boots, the slot
 * that ran was not touched, and a fresh attempt succeeds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pair/clients.h"
#include "powerloss/world.h"

static const struct geometry geometry = {.erase_unit = 4096, .write_unit = 16, .image_size = 9000};
static const struct shape shape = {.factory = false, .ota_slots = 2};

static struct gallery gallery;
static struct world world;
static struct pair w;
static struct otter_update_transport transport = {&world.update};

static int setup(void **state)
{
    return gallery_build(&gallery, &geometry) && world_new(&world) ? 0 : -1;
}

static int teardown(void **state)
{
    world_free(&world);
    gallery_free(&gallery);
    return 0;
}

static void ok(bool held)
{
    if (!held) {
        fprintf(stderr, "%s\n", world.why);
    }
    assert_true(held);
}

static void fresh_device(void)
{
    ok(world_start(&world, &gallery, &geometry, &shape, true));
    ok(world_power_on(&world));
}

/* A client for image number i of the gallery. */
static void offer(enum pair_protocol protocol, int i, uint16_t mtu)
{
    const struct image *image = &gallery.images[i];

    pair_init(&w, protocol, 9, 1);
    free(w.image);
    w.len = image->len;
    w.image = malloc(w.len);
    assert_non_null(w.image);
    memcpy(w.image, image->bytes, w.len);
    w.espble_host_config.source.length = w.len;
    w.espble_host_config.gatt.mtu = mtu;
    w.gattota_host_config.source.length = w.len;
    w.gattota_host_config.gatt.mtu = mtu;
    w.espble_config.sink = otter_update_sink(&transport);
    w.gattota_config.sink = otter_update_sink(&transport);
    assert_int_equal(world_expect(&world, image), OTTER_OK);
    pair_boot(&w);
}

/* Power goes off and on, and what must hold then holds. */
static void judge(enum pair_protocol protocol, uint16_t mtu, const struct otter_gatt_status *status)
{
    struct otter_gatt_status was = *status;

    pair_free(&w);
    ok(world_power_on(&world));
    if (was.result != OTTER_OK) {
        ok(world_must_run(&world, &gallery.images[0]));
    } else if (was.answered) {
        ok(world_must_run(&world, &gallery.images[1]));
    }
    if (world_is_pending(&world)) {
        assert_int_equal(otter_boot_confirm(world_slots(&world)), OTTER_OK);
    }
    offer(protocol, 2, mtu);
    pair_connect_host(&w);
    pair_update(&w);
    assert_int_equal(pair_status(&w)->result, OTTER_OK);
    pair_free(&w);
    ok(world_power_on(&world));
    ok(world_must_run(&world, &gallery.images[2]));
    assert_true(world_is_pending(&world));
}

static unsigned updates_and_cuts(enum pair_protocol protocol, uint16_t mtu)
{
    unsigned cuts = 0;

    for (uint32_t cut = 1;; cut++, cuts++) {
        fresh_device();
        offer(protocol, 1, mtu);
        w.sim.faults.cut_after = cut;
        pair_connect_host(&w);
        pair_update(&w);
        bool whole = w.sim.carried < cut;
        judge(protocol, mtu, pair_status(&w));
        if (whole) {
            return cuts;
        }
    }
}

static void B07_link_lost_after_every_packet(void **state)
{
    unsigned cuts = 0;

    cuts += updates_and_cuts(PAIR_ESPBLE, 247);
    cuts += updates_and_cuts(PAIR_GATTOTA, 247);
    cuts += updates_and_cuts(PAIR_ESPBLE, 23);
    cuts += updates_and_cuts(PAIR_GATTOTA, 23);
    printf("%u places to lose the link at\n", cuts);
    assert_in_range(cuts, 1000, 10000);
}

static void B16_flash_fails_at_every_operation(void **state)
{
    static const enum otter_nor_fault faults[] = {OTTER_NOR_FAIL_ONCE, OTTER_NOR_FAIL_ON,
                                                  OTTER_NOR_SILENT};

    for (int protocol = PAIR_ESPBLE; protocol <= PAIR_GATTOTA; protocol++) {
        for (size_t f = 0; f < sizeof faults / sizeof faults[0]; f++) {
            bool reached = true;
            for (uint32_t at = 0; reached; at += at < 12 ? 1 : 3) {
                fresh_device();
                offer((enum pair_protocol)protocol, 1, 247);
                world.nor.fault = faults[f];
                world.nor.fault_at = world.nor.operations + at;
                pair_connect_host(&w);
                pair_update(&w);
                reached = world.nor.operations > world.nor.fault_at;
                world.nor.fault = OTTER_NOR_NO_FAULT;
                /* gattota tries once more as a whole, in case the link was at fault */
                if (reached && (faults[f] == OTTER_NOR_FAIL_ON ||
                                (faults[f] == OTTER_NOR_FAIL_ONCE && protocol == PAIR_ESPBLE))) {
                    assert_int_equal(pair_status(&w)->result, OTTER_ERR_REFUSED);
                }
                judge((enum pair_protocol)protocol, 247, pair_status(&w));
            }
        }
    }
}

static void B17_clients_in_the_field(void **state)
{
    static const struct client *const clients[] = {&client_android, &client_ios, &client_python};

    for (size_t i = 0; i < sizeof clients / sizeof clients[0]; i++) {
        fresh_device();
        offer(PAIR_ESPBLE, 1, 247);
        client_connect(&w, clients[i]);
        assert_true(client_update(&w, clients[i]));
        pair_run(&w, 5000);
        assert_int_equal(w.restarts, 1);
        pair_free(&w);
        ok(world_power_on(&world));
        ok(world_must_run(&world, &gallery.images[1]));
    }
}

/* Two ways in: while one updates the other is refused, and the first is undisturbed. */
static void B09_the_other_protocol_is_busy(void **state)
{
    struct otter_update_transport other = {&world.update};
    struct otter_sink sink = otter_update_sink(&other);

    fresh_device();
    offer(PAIR_ESPBLE, 1, 247);
    pair_connect_host(&w);
    while (world.update.state == OTTER_UPDATE_IDLE) {
        pair_run(&w, 1);
    }
    assert_int_equal(world.update.state, OTTER_UPDATE_RECEIVING);
    assert_int_equal(sink.ops->begin(sink.ctx, 9000), OTTER_ERR_BUSY);
    sink.ops->abort(sink.ctx);
    pair_update(&w);
    assert_int_equal(pair_status(&w)->result, OTTER_OK);
    judge(PAIR_ESPBLE, 247, pair_status(&w));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(B07_link_lost_after_every_packet, setup, teardown),
        cmocka_unit_test_setup_teardown(B16_flash_fails_at_every_operation, setup, teardown),
        cmocka_unit_test_setup_teardown(B17_clients_in_the_field, setup, teardown),
        cmocka_unit_test_setup_teardown(B09_the_other_protocol_is_busy, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
