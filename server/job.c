/* SPDX-License-Identifier: Apache-2.0 */
#include "job.h"

#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool job_home_open(struct job_home *home)
{
    *home = (struct job_home){.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    home->last = &home->first;
    return home->wake >= 0 && pthread_mutex_init(&home->lock, NULL) == 0;
}

void job_home_close(struct job_home *home)
{
    close(home->wake);
    pthread_mutex_destroy(&home->lock);
}

static void come_home(struct job *job)
{
    struct job_home *home = job->home;
    uint64_t one = 1;
    job->next = NULL;
    pthread_mutex_lock(&home->lock);
    *home->last = job;
    home->last = &job->next;
    /* Inside the lock: the home may be closed as soon as its last job is in. A full counter is
     * readable all the same. */
    ssize_t written = write(home->wake, &one, sizeof one);
    (void)written;
    pthread_mutex_unlock(&home->lock);
}

size_t job_home_collect(struct job_home *home)
{
    uint64_t count;
    ssize_t got = read(home->wake, &count, sizeof count);
    (void)got;
    pthread_mutex_lock(&home->lock);
    struct job *job = home->first;
    home->first = NULL;
    home->last = &home->first;
    pthread_mutex_unlock(&home->lock);
    size_t collected = 0;
    while (job != NULL) {
        struct job *next = job->next;
        home->pending--;
        collected++;
        job->done(job);
        job = next;
    }
    return collected;
}

static void *lane_run(void *arg)
{
    struct lane *lane = arg;
    pthread_mutex_lock(&lane->lock);
    for (;;) {
        while (lane->first == NULL && !lane->stopping) {
            pthread_cond_wait(&lane->more, &lane->lock);
        }
        struct job *job = lane->first;
        if (job == NULL) {
            break;
        }
        lane->first = job->next;
        if (lane->first == NULL) {
            lane->last = &lane->first;
        }
        pthread_mutex_unlock(&lane->lock);
        job->run(job, lane);
        come_home(job);
        pthread_mutex_lock(&lane->lock);
    }
    pthread_mutex_unlock(&lane->lock);
    return NULL;
}

bool lane_start(struct lane *lane, void *ctx)
{
    *lane = (struct lane){.ctx = ctx};
    lane->last = &lane->first;
    pthread_mutex_init(&lane->lock, NULL);
    pthread_cond_init(&lane->more, NULL);
    lane->started = pthread_create(&lane->thread, NULL, lane_run, lane) == 0;
    return lane->started;
}

void lane_stop(struct lane *lane)
{
    if (!lane->started) {
        return;
    }
    pthread_mutex_lock(&lane->lock);
    lane->stopping = true;
    pthread_cond_signal(&lane->more);
    pthread_mutex_unlock(&lane->lock);
    pthread_join(lane->thread, NULL);
    pthread_cond_destroy(&lane->more);
    pthread_mutex_destroy(&lane->lock);
    lane->started = false;
}

void lane_post(struct lane *lane, struct job *job)
{
    job->next = NULL;
    job->home->pending++;
    pthread_mutex_lock(&lane->lock);
    *lane->last = job;
    lane->last = &job->next;
    pthread_cond_signal(&lane->more);
    pthread_mutex_unlock(&lane->lock);
}
