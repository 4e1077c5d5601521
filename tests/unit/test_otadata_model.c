/* SPDX-License-Identifier: Apache-2.0 */
/*
 * src/esp/otadata.c against a second model of the same rules, written to be obvious and slow: it
 * tries every seq one after the other and computes the crc bit by bit. Where the values of a field
 * can be listed, every pair of copies is tried; beyond that, random ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "otter/otadata.h"

/* ---- the naive model --------------------------------------------------------------------- */

/* CRC-32 of the four bytes of seq, least significant first, register preset to 0 and inverted at
 * the end, which is zlib's crc32(0xFFFFFFFF, ...). */
static uint32_t naive_crc(uint32_t seq)
{
    uint32_t reg = 0;

    for (int bit = 0; bit < 32; bit++) {
        const uint32_t in = (seq >> bit) & 1;
        const uint32_t out = reg & 1;
        reg >>= 1;
        if (in != out) {
            reg ^= 0xEDB88320u;
        }
    }
    return ~reg;
}

static bool naive_counts(const struct otter_otadata_entry *e)
{
    if (e->seq == 0xFFFFFFFFu) {
        return false;
    }
    if (e->state == 3 || e->state == 4) {
        return false;
    }
    return e->crc == naive_crc(e->seq);
}

static int naive_active(const struct otter_otadata *d)
{
    const bool zero = naive_counts(&d->copy[0]);
    const bool one = naive_counts(&d->copy[1]);

    if (!zero && !one) {
        return -1;
    }
    if (!zero) {
        return 1;
    }
    if (!one) {
        return 0;
    }
    return d->copy[1].seq > d->copy[0].seq ? 1 : 0;
}

static unsigned naive_slot(uint32_t seq, unsigned slots)
{
    return (seq - 1u) % slots;
}

/* The first seq from the active one on that selects the slot; 0 when there is none. */
static uint32_t naive_next_seq(uint32_t current, unsigned slot, unsigned slots)
{
    for (uint32_t seq = current; seq != 0xFFFFFFFFu; seq++) {
        if (naive_slot(seq, slots) == slot && (seq != 0 || current == 0)) {
            return seq;
        }
    }
    return 0xFFFFFFFFu;
}

/* ---- held against each other ------------------------------------------------------------- */

static uint64_t compared;

static void compare(const struct otter_otadata *d, unsigned slot, unsigned slots, uint32_t state)
{
    struct otter_otadata_plan plan;
    const int active = naive_active(d);

    compared++;
    assert_int_equal(otter_otadata_active(d), active);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(otter_otadata_entry_valid(&d->copy[i]), naive_counts(&d->copy[i]));
    }

    const otter_err err = otter_otadata_plan_select(d, (uint8_t)slot, (uint8_t)slots, state, &plan);
    if (active < 0) {
        assert_int_equal(err, OTTER_OK);
        assert_int_equal(plan.copy, 0);
        assert_int_equal(plan.entry.seq, slot + 1);
    } else {
        const uint32_t current = d->copy[active].seq;
        const uint32_t seq = naive_next_seq(current, slot, slots);
        assert_int_equal(otter_otadata_slot(current, (uint8_t)slots), naive_slot(current, slots));
        if (seq == 0xFFFFFFFFu) {
            assert_int_equal(err, OTTER_ERR_SEQ_EXHAUSTED);
        } else {
            assert_int_equal(err, OTTER_OK);
            assert_int_equal(plan.entry.seq, seq);
            assert_int_equal(plan.copy, seq == current ? active : 1 - active);
        }
    }
    if (err == OTTER_OK) {
        struct otter_otadata after = *d;
        assert_int_equal(plan.entry.state, state);
        assert_int_equal(plan.entry.crc, naive_crc(plan.entry.seq));
        /* What it is for: carried out, it selects the slot. */
        after.copy[plan.copy] = plan.entry;
        assert_int_equal(naive_active(&after), plan.copy);
        assert_int_equal(naive_slot(plan.entry.seq, slots), slot);
    }

    for (int valid = 0; valid < 2; valid++) {
        const otter_err marked = otter_otadata_plan_mark(d, valid != 0, &plan);
        assert_int_equal(marked, active < 0 ? OTTER_ERR_NO_OTADATA : OTTER_OK);
        if (marked != OTTER_OK) {
            continue;
        }
        struct otter_otadata_entry want = d->copy[active];
        want.state = valid ? 2 : 3;
        assert_int_equal(plan.copy, active);
        assert_memory_equal(&plan.entry, &want, sizeof(want));
    }
}

static struct otter_otadata_entry entry(uint32_t seq, uint32_t state, uint32_t crc_error)
{
    struct otter_otadata_entry e = {.seq = seq, .state = state, .crc = naive_crc(seq) ^ crc_error};

    memset(e.label, 0xFF, sizeof(e.label));
    return e;
}

/* ---- the tests --------------------------------------------------------------------------- */

static void golden_vectors(void **state)
{
    static const uint32_t vectors[][2] = {
        {1, 0x4743989A}, {2, 0x55F63774}, {3, 0xED4A5011}, {4, 0x709D68A8}};

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        assert_int_equal(otter_otadata_crc(vectors[i][0]), vectors[i][1]);
        assert_int_equal(naive_crc(vectors[i][0]), vectors[i][1]);
    }
    /* Why a cleared seq in an erased entry is no way to void it: see port/flash/layout.c. */
    assert_int_equal(otter_otadata_crc(0), 0xFFFFFFFFu);
}

static void encode_and_decode_are_inverse(void **state)
{
    uint8_t raw[OTTER_OTADATA_ENTRY_SIZE];
    uint8_t again[OTTER_OTADATA_ENTRY_SIZE];
    struct otter_otadata_entry e;

    for (unsigned i = 0; i < sizeof(raw); i++) {
        raw[i] = (uint8_t)(i * 7 + 1);
    }
    otter_otadata_decode(&e, raw);
    assert_int_equal(e.seq, 0x160F0801u);
    assert_int_equal(e.state, 0xBEB7B0A9u);
    assert_int_equal(e.crc, 0xDAD3CCC5u);
    assert_memory_equal(e.label, raw + 4, sizeof(e.label));
    otter_otadata_encode(&e, again);
    assert_memory_equal(raw, again, sizeof(raw));
}

/* Every pair of entries from lists of seqs, states and crcs, every slot, 1 to 16 slots. */
static void every_pair(void **state)
{
    static const uint32_t seqs[] = {0,  1,           2,           3,           7,          16,
                                    17, 0x80000000u, 0xFFFFFFF0u, 0xFFFFFFFEu, 0xFFFFFFFFu};
    static const uint32_t states[] = {0, 1, 2, 3, 4, 5, 0xFFFFFFFFu};
    static const uint32_t crc_errors[] = {0, 1, 0xFFFFFFFFu};
    struct otter_otadata_entry all[11 * 7 * 3];
    size_t n = 0;

    for (size_t q = 0; q < 11; q++) {
        for (size_t t = 0; t < 7; t++) {
            for (size_t c = 0; c < 3; c++) {
                all[n++] = entry(seqs[q], states[t], crc_errors[c]);
            }
        }
    }
    for (size_t a = 0; a < n; a++) {
        for (size_t b = 0; b < n; b++) {
            const struct otter_otadata d = {{all[a], all[b]}};
            const unsigned slots = 1 + (unsigned)(a + 3 * b) % 16;
            for (unsigned slot = 0; slot < slots; slot++) {
                compare(&d, slot, slots, slot % 2 ? OTTER_OTADATA_UNDEFINED : OTTER_OTADATA_NEW);
            }
        }
    }
}

static uint64_t random_state;

static uint32_t next_random(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 32);
}

static struct otter_otadata_entry random_entry(uint32_t near)
{
    static const uint32_t states[] = {0, 1, 2, 3, 4, 0xFFFFFFFFu};
    const uint32_t how = next_random() % 8;
    const uint32_t seq = how < 5 ? near + next_random() % 40 - 20 : next_random();
    const uint32_t tag = next_random() % 7 == 0 ? next_random() : states[next_random() % 6];

    return entry(seq, tag, next_random() % 6 == 0 ? 1u << next_random() % 32 : 0);
}

static void random_pairs(void **state)
{
    const char *repeat = getenv("OTTER_SEED");
    const uint64_t seed = repeat != NULL ? strtoull(repeat, NULL, 10) : (uint64_t)time(NULL);

    random_state = seed;
    print_message("to repeat: OTTER_SEED=%llu test_otadata_model\n", (unsigned long long)seed);
    for (int i = 0; i < 300000; i++) {
        const uint32_t near = next_random() % 3 == 0 ? 0xFFFFFFFFu : next_random() % 100;
        const struct otter_otadata d = {{random_entry(near), random_entry(near)}};
        const unsigned slots = 1 + next_random() % 16;
        compare(&d, next_random() % slots, slots, OTTER_OTADATA_NEW);
    }
    print_message("compared %llu decisions in all\n", (unsigned long long)compared);
}

/* Update after update, each confirmed, refused or left pending: seq only grows, the image that
 * was running is never the one that is written to, and what was refused does not come back. */
static void life_of_a_device(void **state)
{
    for (unsigned slots = 2; slots <= 16; slots++) {
        struct otter_otadata d;
        struct otter_otadata_plan plan;
        memset(&d, 0xFF, sizeof(d));
        uint32_t highest = 0;
        int running = -1;

        for (int step = 0; step < 2000; step++) {
            const unsigned target = running < 0 ? 0 : ((unsigned)running + 1) % slots;
            assert_int_equal(otter_otadata_plan_select(&d, (uint8_t)target, (uint8_t)slots,
                                                       OTTER_OTADATA_NEW, &plan),
                             OTTER_OK);
            assert_int_not_equal(plan.copy, otter_otadata_active(&d));
            d.copy[plan.copy] = plan.entry;
            assert_int_equal(otter_otadata_active(&d), plan.copy);

            d.copy[plan.copy].state = OTTER_OTADATA_PENDING_VERIFY;
            const bool good = (step * 7 + slots) % 3 != 0;
            assert_int_equal(otter_otadata_plan_mark(&d, good, &plan), OTTER_OK);
            d.copy[plan.copy] = plan.entry;
            if (good) {
                assert_true(plan.entry.seq > highest);
                highest = plan.entry.seq;
                running = (int)target;
            }
            const int active = otter_otadata_active(&d);
            assert_int_equal(
                active < 0 ? -1 : otter_otadata_slot(d.copy[active].seq, (uint8_t)slots), running);
        }
    }
}

static void arguments_are_checked(void **state)
{
    struct otter_otadata d;
    struct otter_otadata_plan plan;

    memset(&d, 0xFF, sizeof(d));
    assert_int_equal(otter_otadata_plan_select(&d, 2, 2, OTTER_OTADATA_NEW, &plan), OTTER_ERR_ARG);
    assert_int_equal(otter_otadata_plan_select(&d, 0, 0, OTTER_OTADATA_NEW, &plan), OTTER_ERR_ARG);
    assert_int_equal(otter_otadata_plan_select(&d, 0, 17, OTTER_OTADATA_NEW, &plan), OTTER_ERR_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_vectors),   cmocka_unit_test(encode_and_decode_are_inverse),
        cmocka_unit_test(every_pair),       cmocka_unit_test(random_pairs),
        cmocka_unit_test(life_of_a_device), cmocka_unit_test(arguments_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
