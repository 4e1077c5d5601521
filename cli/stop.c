/* SPDX-License-Identifier: Apache-2.0 */
#include "stop.h"

static volatile sig_atomic_t stops;

static void ask_to_stop(int number)
{
    stops = stops + 1;
    if (stops >= 2) {
        signal(number, SIG_DFL);
    }
}

const volatile sig_atomic_t *stop_watch(void)
{
    struct sigaction action = {.sa_handler = ask_to_stop}; /* no SA_RESTART: waits shall end */

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    return &stops;
}

void stop_unwatch(void)
{
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    stops = 0;
}
