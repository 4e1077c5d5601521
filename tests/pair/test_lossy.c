/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device against host over a link that drops, repeats, swaps, delays and cuts, thousands of times.
 * OTTER_SEEDS says how many seeds a protocol gets (10,000); OTTER_SEED runs that one alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pair/pair.h"

static struct pair world;

static uint32_t pick(uint32_t *state, uint32_t n)
{
    *state = (uint32_t)(*state * 1664525ull + 1013904223u);
    return (*state >> 8) % n;
}

/* Everything that can vary, from the seed alone. */
static void shape(struct pair *p, enum pair_protocol protocol, uint32_t seed)
{
    static const uint16_t mtus[] = {23, 185, 247, 498, 512, 517};
    uint32_t r = seed * 747796405u + 2891336453u;
    uint32_t len = 9 + pick(&r, pick(&r, 100) == 0 ? 200000 : 5 * 4096);
    uint32_t harm = pick(&r, 4); /* a quarter of the links lose nothing */

    pair_init(p, protocol, len, seed);
    p->sim.faults = (struct otter_sim_faults){
        .drop = harm > 0 ? (uint16_t)pick(&r, 24) : 0,
        .duplicate = harm > 1 ? (uint16_t)pick(&r, 40) : 0,
        .swap = harm > 1 ? (uint16_t)pick(&r, 40) : 0,
        .delay = (uint16_t)pick(&r, 60),
        .delay_us = pick(&r, 400000),
        .cut_after = pick(&r, 3) == 0 ? 1 + pick(&r, 2 * len / 100 + 20) : 0,
    };
    p->sim.latency_us = 1000 + pick(&r, 50000);
    p->sim.up_limit = 1 + pick(&r, 40);
    p->sim.down_limit = 1 + pick(&r, 6);
    p->slot.step = 16 + pick(&r, 4096);
    p->slot.write_us = pick(&r, 5000);
    p->slot.erase_us = pick(&r, 60000);
    uint16_t cccd = pick(&r, 3) == 0 ? OTTER_GATT_CCCD_INDICATE : OTTER_GATT_CCCD_NOTIFY;
    for (int i = 0; i < OTTER_ESPBLE_CHARS; i++) {
        p->sim.cccd[i] = cccd;
    }
    p->espble_config.window = (uint8_t)(1 + pick(&r, PAIR_WINDOW_MAX));
    p->gattota_config.buf_size = (uint16_t)(514 + pick(&r, 4096));

    struct otter_gatt_host_config host = p->espble_host_config.gatt;
    host.mtu = mtus[pick(&r, sizeof mtus / sizeof mtus[0])];
    host.requests = pick(&r, 5) == 0;
    host.window = (uint8_t)pick(&r, 9);
    p->espble_host_config.gatt = host;
    p->espble_host_config.padded = pick(&r, 4) == 0;
    p->espble_host_config.crc_init =
        pick(&r, 3) == 0 ? OTTER_ESPBLE_CRC_CCITT : OTTER_ESPBLE_CRC_XMODEM;
    p->gattota_host_config.gatt = host;
}

/* What must hold whatever happened; NULL, or what does not. */
static const char *judge(struct pair *p)
{
    const struct otter_gatt_status *status = pair_status(p);

    if (status->result == OTTER_OK && status->answered && !pair_new(p)) {
        return "accepted, but the new image does not run";
    }
    if (status->result != OTTER_OK && !pair_old(p)) {
        return "failed, but the old image does not run";
    }
    if (!pair_new(p) && !pair_old(p)) {
        return "neither image runs";
    }
    if (!pair_fresh_attempt(p)) {
        return "a fresh attempt does not succeed";
    }
    return NULL;
}

static void run_seeds(enum pair_protocol protocol, const char *name)
{
    const char *only = getenv("OTTER_SEED"), *count = getenv("OTTER_SEEDS");
    uint32_t first = only != NULL ? (uint32_t)strtoul(only, NULL, 10) : 1;
    uint32_t seeds = only != NULL ? 1 : count != NULL ? (uint32_t)strtoul(count, NULL, 10) : 10000;
    unsigned updated = 0, unanswered = 0, failed = 0, broken = 0, errors[160] = {0};

    for (uint32_t seed = first; seed - first < seeds; seed++) {
        shape(&world, protocol, seed);
        pair_boot(&world);
        pair_connect_host(&world);
        pair_update(&world);
        struct otter_gatt_status status = *pair_status(&world);
        updated += status.result == OTTER_OK && status.answered;
        unanswered += status.result == OTTER_OK && !status.answered;
        failed += status.result != OTTER_OK;
        errors[-status.result]++;
        const char *wrong = judge(&world);
        if (wrong != NULL) {
            broken++;
            fprintf(stderr, "%s: %s: repeat with OTTER_SEED=%u test_lossy\n", name, wrong,
                    (unsigned)seed);
        }
        pair_free(&world);
    }
    printf("%s: %u seeds: %u updated, %u went away with everything, %u failed clearly\n", name,
           (unsigned)seeds, updated, unanswered, failed);
    for (int i = 1; i < 160; i++) {
        if (errors[i] > 0) {
            printf("  %6u %s\n", errors[i], otter_err_text((otter_err)-i));
        }
    }
    assert_int_equal(broken, 0);
}

static void B01_B02_B03_B07_B12_espble(void **state)
{
    run_seeds(PAIR_ESPBLE, "espble");
}

static void B01_B02_B03_B07_gattota(void **state)
{
    run_seeds(PAIR_GATTOTA, "gattota");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(B01_B02_B03_B07_B12_espble),
        cmocka_unit_test(B01_B02_B03_B07_gattota),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
