/* SPDX-License-Identifier: Apache-2.0 */
/* Encrypted images over links that lose, repeat and swap packets: sectors are sent again, and the
 * cipher gets every byte once and in order; every third device takes plain images, too. OTTER_SEED
 * runs one seed alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "host/encryption.h"
#include "host/signing.h"
#include "pair/pair.h"

#define SEEDS 300u
#define LENGTH 30000u

static struct pair w;

/* One update; false when an accepted image is not the one that was encrypted. */
static bool holds(struct otter_decryptor *d, enum pair_protocol protocol, uint32_t seed,
                  unsigned *taken)
{
    struct otter_encrypted encrypted;
    struct otter_encrypted_transport transport = {.encrypted = &encrypted};
    uint8_t *plain = slot_image(LENGTH, seed);
    uint8_t *file = NULL;

    assert_int_equal(otter_image_encrypt(d->key, plain, LENGTH, &file), OTTER_OK);
    pair_init(&w, protocol, 9, seed);
    free(w.image);
    w.image = file;
    w.len = LENGTH + OTTER_ENCRYPTED_HEADER;
    w.espble_host_config.source.length = w.len;
    w.gattota_host_config.source.length = w.len;
    otter_encrypted_init(&encrypted, otter_decryptor_cipher(d));
    encrypted.plain_too = seed % 3 == 0;
    transport.next = slot_sink(&w.slot);
    w.espble_config.sink = w.gattota_config.sink = otter_encrypted_sink(&transport);
    w.espble_host_config.gatt.mtu = w.gattota_host_config.gatt.mtu = 247;
    w.slot.step = 16 + seed * 37 % 2000;
    w.sim.faults = (struct otter_sim_faults){.drop = (uint16_t)(seed % 20),
                                             .duplicate = (uint16_t)(seed % 7),
                                             .swap = (uint16_t)(seed % 5)};
    pair_boot(&w);
    pair_connect_host(&w);
    pair_update(&w);
    const struct otter_gatt_status *status = pair_status(&w);
    bool new = slot_holds(&w.slot, plain, LENGTH);
    bool right = new || w.slot.boots == SLOT_BOOTS_OLD;
    if (status->result == OTTER_OK && status->answered) {
        right = new;
    }
    *taken += new;
    pair_free(&w);
    free(plain);
    return right;
}

static void encrypted_images_over_a_lossy_link(enum pair_protocol protocol)
{
    const char *alone = getenv("OTTER_SEED");
    uint32_t first = alone != NULL ? (uint32_t)strtoul(alone, NULL, 10) : 0;
    uint32_t end = alone != NULL ? first + 1 : SEEDS;
    unsigned taken = 0;
    struct otter_decryptor d;

    assert_int_equal(otter_decryptor_new(&d, otter_key_make(false)), OTTER_OK);
    for (uint32_t seed = first; seed < end; seed++) {
        if (!holds(&d, protocol, seed, &taken)) {
            fail_msg("repeat with OTTER_SEED=%u", seed);
        }
    }
    otter_decryptor_free(&d);
    printf("%u of %u taken\n", taken, end - first);
    assert_true(alone != NULL || taken > SEEDS / 4);
}

static void espble_sectors_sent_again(void **state)
{
    encrypted_images_over_a_lossy_link(PAIR_ESPBLE);
}

static void gattota_packets_lost(void **state)
{
    encrypted_images_over_a_lossy_link(PAIR_GATTOTA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(espble_sectors_sent_again),
        cmocka_unit_test(gattota_packets_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
