/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OTTER_HOST_CLOCK_H
#define OTTER_HOST_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds of a clock that runs steadily; wraps after 49 days, so compare differences. */
static inline uint32_t otter_clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u);
}

#endif
