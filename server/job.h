/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that may take long (a password's hash, a change that waits for the disk) is done on a lane,
 * a thread with a queue, so that the event loops never wait. What comes back is handed to the
 * worker the work came from.
 */
#ifndef OTTERD_JOB_H
#define OTTERD_JOB_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct lane;

struct job {
    struct job *next;
    struct job_home *home;
    void (*run)(struct job *job, struct lane *lane); /* on the lane */
    void (*done)(struct job *job);                   /* on the home's thread; owns the job again */
};

/* Where finished jobs wait: one a worker. */
struct job_home {
    pthread_mutex_t lock;
    struct job *first;
    struct job **last;
    int wake;       /* eventfd, readable when something has come back */
    size_t pending; /* posted and not yet taken back; the home's thread only */
};

bool job_home_open(struct job_home *home); /* false: errno says why */
void job_home_close(struct job_home *home);

/* Runs done() of all that has come back. Returns how many. */
size_t job_home_collect(struct job_home *home);

struct lane {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct job *first;
    struct job **last;
    bool stopping;
    bool started;
    void *ctx; /* the lane's own things, such as its store session */
};

bool lane_start(struct lane *lane, void *ctx);
/* Works off what is queued, then ends the thread. */
void lane_stop(struct lane *lane);
/* Hands job over. Its run, done and home are set. */
void lane_post(struct lane *lane, struct job *job);
#endif
