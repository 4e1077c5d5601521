/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A progress bar on stderr: per cent, speed, time left. On a terminal one line that is redrawn; in
 * a log a line at each quarter, if it takes long enough for that.
 */
#ifndef OTTER_CLI_PROGRESS_H
#define OTTER_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *label; /* "Writing" */
    uint64_t total;    /* bytes; 0: not known */
    uint64_t done;
    double start; /* seconds */
    double drawn; /* when a line was last drawn, seconds */
    int quarter;  /* last one reported in a log */
    bool terminal;
    bool quiet;
    bool open; /* a line is on the terminal and not ended */
};

/* quiet: shows nothing (with --json). */
void progress_start(struct progress *p, const char *label, uint64_t total, bool quiet);
void progress_step(struct progress *p, uint64_t done);

/* Ends the line, as a whole bar or where it stopped. Harmless when there is none. */
void progress_end(struct progress *p);

#endif
