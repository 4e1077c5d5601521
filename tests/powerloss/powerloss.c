/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power lost everywhere: FAULTS.md F01 to F04.
 *
 * A scenario (a layout, a history, then an update with what follows it) is played once. Before
 * each flash operation takes place, its flash is copied once for every way the power can go there:
 * before the operation, after each byte of it, any subset of an otadata entry's words, each bit
 * alone, random subsets. Each copy is powered on and must recover: boot exactly the old or the new
 * image with every other slot untouched, the new one on trial, then take a fresh update. The
 * recovery of a copy can be cut the same way, which is a double cut. Nothing is run twice to get to
 * a point, so a point costs what its recovery costs.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/powerloss/world.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ENTRY_WORDS 8u
#define DEPTH_MAX 2
#define PRINTED_MAX 20u

static const struct geometry geometries[] = {
    /* erase unit, write unit, image, chunk */
    {64, 4, 336, 0},       /* small: for double cuts */
    {64, 16, 336, 0},      /* the same, with an otadata entry in one program */
    {256, 1, 700, 48},     /* the smallest write unit, odd chunks */
    {256, 4, 1000, 0},     /* several sectors */
    {512, 16, 1300, 100},  /* flash encryption: 16 bytes at a time */
    {512, 32, 1300, 0},    /* as large as an otadata entry */
    {1024, 8, 2000, 1000}, /* */
    {4096, 4, 5000, 0},    /* the real thing */
    {4096, 32, 5000, 1024},
};

static const struct shape shapes[] = {
    /* factory, ota slots */
    {true, 2},
    {false, 2},
    {false, 3},
    {true, 4},
};

/* What happened before. */
enum history {
    FRESH,       /* nothing: otadata is blank */
    UPDATED,     /* one update, confirmed */
    UPDATED_OFT, /* three */
    REJECTED,    /* one update that gave itself up: its image is still there, whole */
    CRASHED,     /* one that never confirmed: the same */
    FELL_BACK,   /* two updates, then the running image was damaged */
    EXHAUSTED,   /* otadata has no seq left */
    HISTORY_COUNT
};

/* What the power is cut during. */
enum play {
    CONFIRM,   /* an update that confirms */
    ROLL_BACK, /* one that gives itself up */
    CRASH,     /* one that never confirms */
    GIVE_UP,   /* one that is aborted half way */
    PLAY_COUNT
};

struct scenario {
    unsigned geometry;
    unsigned shape;
    unsigned history;
    unsigned play;
    unsigned rollback; /* bootloader and application have it enabled */
};

/* One way the power goes, and at which operation. */
struct cut {
    uint32_t operation;
    struct otter_nor_tear tear;
};

/* What of the work to do, how deep, how fine. */
struct effort {
    int depth;            /* cuts in a row */
    uint32_t random;      /* random tears of each operation */
    uint32_t random_deep; /* the same, of the second cut */
};

struct totals {
    uint64_t points;
    uint64_t failures;
};

static struct {
    struct world *worlds; /* one for each depth, and one for the last recovery */
    struct scenario scenario;
    struct effort effort;
    struct cut cuts[DEPTH_MAX];
    unsigned worker, workers;
    uint64_t first_cuts; /* counted to share out the work */
    uint32_t seed;
    uint32_t tear_seed;
    struct totals *totals; /* this worker's */
    bool only;             /* --case: nothing but `wanted` */
    struct cut wanted[DEPTH_MAX];
    int wanted_count;
} run;

/* ---- every way one operation can be torn ------------------------------------------------- */

struct tears {
    const struct otter_nor_op *op;
    const uint8_t *bytes; /* the flash before it */
    bool entry;           /* touches an otadata entry */
    uint32_t random;
    uint32_t words; /* mask of the entry's words that it changes */
    enum { BYTES, WORDS, BITS, RANDOM, DONE } stage;
    uint32_t next;
};

/* The bits of byte i that the operation changes. */
static uint8_t change(const struct tears *t, uint32_t i)
{
    const uint8_t old = t->bytes[t->op->address + i];
    const uint8_t done = t->op->kind == OTTER_NOR_ERASE ? 0xFF : (uint8_t)(old & t->op->data[i]);

    return old ^ done;
}

static struct tears tears_of(const struct world *w, const struct otter_nor_op *op, uint32_t random)
{
    const uint32_t unit = w->geometry.erase_unit;
    struct tears t = {.op = op, .bytes = w->bytes, .random = random, .stage = BYTES};

    t.entry = op->address < 2 * unit && op->address % unit < OTTER_OTADATA_ENTRY_SIZE;
    for (uint32_t i = 0; t.entry && i < op->len && i < 4 * ENTRY_WORDS; i++) {
        if (change(&t, i) != 0) {
            t.words |= 1u << (i / 4);
        }
    }
    return t;
}

/* The next tear that gives a flash of its own, in no other order than fewest changes first. */
static bool next_tear(struct tears *t, struct otter_nor_tear *tear)
{
    static const uint8_t shares[] = {3, 24, 64, 128, 192, 232, 250};
    const uint32_t i = t->next++;

    switch (t->stage) {
    case BYTES:
        if (i < t->op->len) {
            if (i != 0 && change(t, i - 1) == 0) {
                return next_tear(t, tear);
            }
            *tear = (struct otter_nor_tear){OTTER_TEAR_BYTES, i, 0};
            return true;
        }
        break;
    case WORDS:
        if (t->entry && i < 1u << ENTRY_WORDS) {
            if (i == 0 || i == t->words || (i & ~t->words) != 0) {
                return next_tear(t, tear);
            }
            *tear = (struct otter_nor_tear){OTTER_TEAR_WORDS, i, 0};
            return true;
        }
        break;
    case BITS:
        if (t->entry && i < t->op->len * 8 && i < ENTRY_WORDS * 32) {
            if (((change(t, i / 8) >> (i % 8)) & 1) == 0) {
                return next_tear(t, tear);
            }
            *tear = (struct otter_nor_tear){OTTER_TEAR_BIT, i, 0};
            return true;
        }
        break;
    case RANDOM:
        if (i < t->random) {
            *tear = (struct otter_nor_tear){OTTER_TEAR_RANDOM, run.seed + run.tear_seed++,
                                            shares[i % COUNT(shares)]};
            return true;
        }
        break;
    case DONE:
        return false;
    }
    t->stage++;
    t->next = 0;
    return next_tear(t, tear);
}

/* ---- cutting ----------------------------------------------------------------------------- */

static const char tear_letters[] = "bwor";

static void print_failure(int depth, const char *why)
{
    const struct scenario *s = &run.scenario;
    char cuts[120] = "";
    size_t at = 0;

    if (run.totals->failures++ >= PRINTED_MAX) {
        return;
    }
    for (int i = 0; i < depth; i++) {
        const struct cut *c = &run.cuts[i];
        at += (size_t)snprintf(cuts + at, sizeof(cuts) - at, ":%" PRIu32 "%c%" PRIu32 ",%u",
                               c->operation, tear_letters[c->tear.kind], c->tear.value,
                               c->tear.share);
    }
    printf("FAILED powerloss --case %u.%u.%u.%u.%u%s   # %s\n", s->geometry, s->shape, s->history,
           s->play, s->rollback, cuts, why);
    fflush(stdout);
}

static bool same_cut(const struct cut *a, const struct cut *b)
{
    return a->operation == b->operation && a->tear.kind == b->tear.kind &&
           a->tear.value == b->tear.value && a->tear.share == b->tear.share;
}

static void cut_here(struct world *w, int depth, const struct otter_nor_op *op);

static void before_operation(void *ctx, const struct otter_nor *nor, const struct otter_nor_op *op)
{
    struct world *w = ctx;
    const int depth = (int)(w - run.worlds);

    run.cuts[depth].operation = nor->operations;
    cut_here(w, depth, op);
}

/*
 * Can this tear separate an otadata entry's state from its crc? Not if bytes land in order, and
 * not if the crc is an operation of its own; the bootloader writes an entry in one.
 */
static bool orderly(const struct world *w, const struct otter_nor_tear *tear)
{
    return tear->kind == OTTER_TEAR_BYTES || (w->geometry.write_unit <= 4 && !w->in_bootloader);
}

/* Powers a torn copy on and lets it recover. */
static void try_cut(struct world *w, int depth, const struct otter_nor_op *op)
{
    struct world *copy = w + 1;

    run.totals->points++;
    world_copy(copy, w);
    otter_nor_tear(copy->bytes, op, &run.cuts[depth].tear);
    if (!orderly(w, &run.cuts[depth].tear)) {
        copy->strict = false;
    }
    if (depth + 1 < run.effort.depth) {
        copy->nor.before = before_operation;
        copy->nor.before_ctx = copy;
    }
    if (!world_recover(copy)) {
        print_failure(depth + 1, copy->why);
    }
}

static void cut_here(struct world *w, int depth, const struct otter_nor_op *op)
{
    struct cut *cut = &run.cuts[depth];

    if (run.only) {
        const struct cut *wanted = &run.wanted[depth];
        cut->tear = wanted->tear;
        if (depth < run.wanted_count && same_cut(cut, wanted)) {
            try_cut(w, depth, op);
        }
        return;
    }
    struct tears tears = tears_of(w, op, depth == 0 ? run.effort.random : run.effort.random_deep);
    while (next_tear(&tears, &cut->tear)) {
        if (depth != 0 || run.first_cuts++ % run.workers == run.worker) {
            try_cut(w, depth, op);
        }
    }
}

/* ---- scenarios --------------------------------------------------------------------------- */

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

static bool play(struct world *w, unsigned which)
{
    const struct image *old = w->running;
    const struct image *new = image(w, 3);

    switch (which) {
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

/* Giving up and never confirming mean nothing to a bootloader without rollback. */
static bool possible(const struct scenario *s)
{
    return s->rollback || (s->history != REJECTED && s->history != CRASHED &&
                           s->play != ROLL_BACK && s->play != CRASH);
}

static void run_scenario(const struct scenario *s, const struct effort *effort)
{
    const struct geometry *geometry = &geometries[s->geometry];
    struct world *w = run.worlds;
    struct gallery gallery;

    run.scenario = *s;
    run.effort = *effort;
    if (!gallery_build(&gallery, geometry)) {
        print_failure(0, "the images cannot be built");
        return;
    }
    bool good = world_start(w, &gallery, geometry, &shapes[s->shape], s->rollback != 0) &&
                live_through(w, s->history);
    if (good) {
        w->nor.operations = 0;
        w->nor.before = before_operation;
        w->nor.before_ctx = w;
        good = play(w, s->play);
    }
    if (!good) {
        print_failure(0, w->why);
    }
    w->nor.before = NULL;
    gallery_free(&gallery);
}

/* ---- the whole of it --------------------------------------------------------------------- */

static void single_cuts(uint32_t random)
{
    const struct effort effort = {.depth = 1, .random = random};
    struct scenario s;

    for (s.geometry = 0; s.geometry < COUNT(geometries); s.geometry++) {
        for (s.shape = 0; s.shape < COUNT(shapes); s.shape++) {
            for (s.history = 0; s.history < HISTORY_COUNT; s.history++) {
                for (s.play = 0; s.play < PLAY_COUNT; s.play++) {
                    for (s.rollback = 0; s.rollback < 2; s.rollback++) {
                        if (possible(&s)) {
                            run_scenario(&s, &effort);
                        }
                    }
                }
            }
        }
    }
}

static void double_cuts(uint32_t random)
{
    static const struct scenario scenarios[] = {
        {0, 0, FRESH, CONFIRM, 1},     {0, 1, FRESH, CONFIRM, 1},    {0, 0, REJECTED, CONFIRM, 1},
        {0, 1, UPDATED, ROLL_BACK, 1}, {1, 1, REJECTED, CONFIRM, 1}, {0, 1, FELL_BACK, CONFIRM, 1},
    };
    const struct effort effort = {.depth = 2, .random = random, .random_deep = random / 8};

    for (size_t i = 0; i < COUNT(scenarios); i++) {
        run_scenario(&scenarios[i], &effort);
    }
}

static bool parse_cut(const char **text, struct cut *cut)
{
    char letter;
    unsigned share;
    int used = 0;

    if (sscanf(*text, ":%" SCNu32 "%c%" SCNu32 ",%u%n", &cut->operation, &letter, &cut->tear.value,
               &share, &used) != 4) {
        return false;
    }
    const char *kind = strchr(tear_letters, letter);
    if (kind == NULL || letter == '\0' || share > 255) {
        return false;
    }
    cut->tear.kind = (enum otter_nor_tear_kind)(kind - tear_letters);
    cut->tear.share = (uint8_t)share;
    *text += used;
    return true;
}

static bool parse_case(const char *text, struct scenario *s)
{
    int used = 0;

    if (sscanf(text, "%u.%u.%u.%u.%u%n", &s->geometry, &s->shape, &s->history, &s->play,
               &s->rollback, &used) != 5 ||
        s->geometry >= COUNT(geometries) || s->shape >= COUNT(shapes)) {
        return false;
    }
    for (text += used; *text != '\0'; run.wanted_count++) {
        if (run.wanted_count == DEPTH_MAX || !parse_cut(&text, &run.wanted[run.wanted_count])) {
            return false;
        }
    }
    run.only = run.wanted_count != 0;
    return true;
}

static bool work(unsigned worker, uint32_t random, const struct scenario *only)
{
    run.worker = worker;
    run.worlds = calloc(DEPTH_MAX + 1, sizeof(*run.worlds));
    if (run.worlds == NULL) {
        return false;
    }
    for (int i = 0; i <= DEPTH_MAX; i++) {
        if (!world_new(&run.worlds[i])) {
            return false;
        }
    }
    if (only != NULL && run.wanted_count == 0) {
        run_scenario(only, &(struct effort){.depth = 1, .random = random});
    } else if (only != NULL) {
        run_scenario(only, &(struct effort){.depth = run.wanted_count});
    }
    if (only == NULL) {
        single_cuts(random);
        double_cuts(random);
    }
    for (int i = 0; i <= DEPTH_MAX; i++) {
        world_free(&run.worlds[i]);
    }
    free(run.worlds);
    return true;
}

/* Runs the workers as processes, so that one that crashes is seen as a failure and no more. */
static void fork_workers(struct totals *totals, uint32_t random, const struct scenario *only)
{
    for (unsigned i = 0; i < run.workers; i++) {
        fflush(stdout);
        const pid_t pid = fork();
        if (pid == 0) {
            run.totals = &totals[i];
            const bool good = work(i, random, only);
            fflush(stdout);
            _exit(good ? 0 : 1);
        }
        if (pid < 0) {
            totals[i].failures++;
        }
    }
    int status;
    for (unsigned i = 0; wait(&status) > 0; i++) {
        if (status != 0) {
            printf("FAILED a worker ended with status 0x%x\n", (unsigned)status);
            totals[0].failures++;
        }
    }
}

static int usage(void)
{
    fprintf(stderr, "usage: powerloss [--workers N] [--random N] [--seed N] [--case CASE]\n"
                    "  --random N  random tears of each operation (default 12)\n"
                    "  --case CASE repeats one case, as a failure prints it; without its cuts,\n"
                    "              every single cut of its scenario\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"workers", required_argument, NULL, 'w'},
                                            {"random", required_argument, NULL, 'r'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"case", required_argument, NULL, 'c'},
                                            {NULL, 0, NULL, 0}};
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct scenario scenario = {0};
    const struct scenario *only = NULL;
    uint32_t random = 12;
    struct timespec start, end;

    if (getrandom(&run.seed, sizeof(run.seed), 0) != (ssize_t)sizeof(run.seed)) {
        run.seed = 1;
    }
    run.workers = cores < 1 ? 1 : cores > 64 ? 64 : (unsigned)cores;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'w') {
            run.workers = (unsigned)strtoul(optarg, NULL, 10);
        } else if (option == 'r') {
            random = (uint32_t)strtoul(optarg, NULL, 10);
        } else if (option == 's') {
            run.seed = (uint32_t)strtoul(optarg, NULL, 10);
        } else if (option == 'c' && parse_case(optarg, &scenario)) {
            only = &scenario;
        } else {
            return usage();
        }
    }
    if (optind != argc || run.workers == 0) {
        return usage();
    }

    struct totals *totals = mmap(NULL, run.workers * sizeof(*totals), PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (totals == MAP_FAILED) {
        return 1;
    }
    printf("powerloss: %u workers, seed %" PRIu32 "\n", run.workers, run.seed);
    clock_gettime(CLOCK_MONOTONIC, &start);
    fork_workers(totals, random, only);
    clock_gettime(CLOCK_MONOTONIC, &end);

    struct totals all = {0};
    for (unsigned i = 0; i < run.workers; i++) {
        all.points += totals[i].points;
        all.failures += totals[i].failures;
    }
    const double seconds =
        (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    printf("powerloss: %" PRIu64 " cut points, %.0f per second, %" PRIu64 " failures\n", all.points,
           (double)all.points / (seconds > 0 ? seconds : 1), all.failures);
    return all.failures == 0 ? 0 : 1;
}
