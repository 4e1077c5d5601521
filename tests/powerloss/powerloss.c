/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power lost everywhere: F01 to F04.
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

#include "tests/powerloss/scenario.h"
#include "tests/powerloss/tears.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define DEPTH_MAX 2
#define PRINTED_MAX 20u

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
    uint64_t first_cuts;   /* counted to share out the work */
    uint32_t seed;         /* of the next random tear */
    struct totals *totals; /* this worker's */
    bool only;             /* --case: nothing but `wanted` */
    struct cut wanted[DEPTH_MAX];
    int wanted_count;
} run;

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
    struct tears tears =
        tears_of(w, op, depth == 0 ? run.effort.random : run.effort.random_deep, &run.seed);
    while (next_tear(&tears, &cut->tear)) {
        if (depth != 0 || run.first_cuts++ % run.workers == run.worker) {
            try_cut(w, depth, op);
        }
    }
}

/* ---- scenarios --------------------------------------------------------------------------- */

static void run_scenario(const struct scenario *s, const struct effort *effort)
{
    struct world *w = run.worlds;
    struct gallery gallery;

    run.scenario = *s;
    run.effort = *effort;
    if (!gallery_build(&gallery, &geometries[s->geometry])) {
        print_failure(0, "the images cannot be built");
        return;
    }
    bool good = scenario_start(w, s, &gallery);
    if (good) {
        w->nor.operations = 0;
        w->nor.before = before_operation;
        w->nor.before_ctx = w;
        good = scenario_play(w, s);
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

    for (s.geometry = 0; s.geometry < GEOMETRY_COUNT; s.geometry++) {
        for (s.shape = 0; s.shape < SHAPE_COUNT; s.shape++) {
            for (s.history = 0; s.history < HISTORY_COUNT; s.history++) {
                for (s.play = 0; s.play < PLAY_COUNT; s.play++) {
                    for (s.rollback = 0; s.rollback < 2; s.rollback++) {
                        if (scenario_possible(&s)) {
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
        s->geometry >= GEOMETRY_COUNT || s->shape >= SHAPE_COUNT) {
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
