/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <langinfo.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "output.h"

/* Seconds between two drawings of the bar, and between two lines of a log. */
#define REDRAW 0.1
#define LOG_GAP 1.0

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void draw_bar(int width, double part)
{
    bool utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    int full = (int)(part * width);
    for (int i = 0; i < width; i++) {
        enum style style = i < full ? STYLE_GOOD : STYLE_FAINT;
        const char *cell = utf8 ? "━" : i < full ? "#" : ".";
        print_styled(stderr, style, "%s", cell);
    }
}

static void time_text(char out[24], double seconds)
{
    unsigned s = seconds < 0 ? 0 : seconds > 359999 ? 359999 : (unsigned)(seconds + 0.5);
    if (s < 60) {
        snprintf(out, 24, "%u s", s);
    } else if (s < 3600) {
        snprintf(out, 24, "%u:%02u min", s / 60, s % 60);
    } else {
        snprintf(out, 24, "%u:%02u h", s / 3600, s / 60 % 60);
    }
}

static void draw(struct progress *p, double time, bool end)
{
    double spent = time - p->start;
    double speed = spent > 0 ? (double)p->done / spent : 0; /* bytes a second */
    double part = p->total ? (double)p->done / (double)p->total : 0;
    char left[24] = "";
    if (end && spent < 10) {
        snprintf(left, sizeof left, "%.1f s", spent);
    } else if (end) {
        time_text(left, spent);
    } else if (p->total && speed > 0 && spent > 0.5) {
        time_text(left, (double)(p->total - p->done) / speed);
    }
    char tail[96];
    char much[32]; /* of a total that nobody knows there is no part */
    snprintf(much, sizeof much, "%d%%", (int)(part * 100));
    snprintf(tail, sizeof tail, " %4s  %9s/s  %s%s", p->total ? much : size_text(p->done),
             size_text((uint64_t)speed), left, *left && !end ? " left" : "");
    int bar = terminal_columns(stderr) - 12 - 36;
    fprintf(stderr, "\r%-12s", p->label);
    if (p->total && bar >= 8) {
        draw_bar(bar > 40 ? 40 : bar, part);
    }
    fprintf(stderr, "%s\033[K", tail);
    fflush(stderr);
    p->drawn = time;
    p->open = true;
}

void progress_start(struct progress *p, const char *label, uint64_t total, bool quiet)
{
    *p = (struct progress){.label = label, .total = total, .quiet = quiet};
    p->terminal = isatty(STDERR_FILENO);
    p->start = now();
    p->drawn = p->terminal ? 0 : p->start;
}

void progress_step(struct progress *p, uint64_t done)
{
    p->done = p->total && done > p->total ? p->total : done;
    if (p->quiet) {
        return;
    }
    if (p->terminal) {
        double time = now();
        if (time - p->drawn >= REDRAW) {
            draw(p, time, false);
        }
    } else if (p->total) {
        int quarter = (int)(p->done * 4 / p->total);
        double time = now();
        if (quarter > p->quarter && time - p->drawn >= LOG_GAP) {
            p->quarter = quarter;
            p->drawn = time;
            fprintf(stderr, "%s: %d%% of %s\n", p->label, quarter * 25, bytes_text(p->total));
        }
    }
}

void progress_end(struct progress *p)
{
    if (p->label && !p->quiet && p->terminal) {
        draw(p, now(), true);
        fputc('\n', stderr);
    }
    p->label = NULL;
    p->open = false;
}
