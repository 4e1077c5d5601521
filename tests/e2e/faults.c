/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a program under test: faults that cannot be had from outside. The file named by
 * OTTER_FAULTS says which, and may change at any time:
 *
 *   byte 0   'f': fsync and fdatasync fail with EIO
 *   byte 1.. seconds added to the clock, as decimal text
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long faults(int *failing)
{
    char text[32] = "";
    const char *path = getenv("OTTER_FAULTS");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        ssize_t got = read(fd, text, sizeof text - 1);
        close(fd);
        text[got > 0 ? got : 0] = 0;
    }
    *failing = text[0] == 'f';
    return text[0] != 0 ? strtol(text + 1, NULL, 10) : 0;
}

static int sync_fd(long call, int fd)
{
    int failing;
    faults(&failing);
    if (failing) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(call, fd);
}

int fsync(int fd)
{
    return sync_fd(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return sync_fd(SYS_fdatasync, fd);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failing;
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME && result == 0) {
        now->tv_sec += faults(&failing);
    }
    return result;
}

time_t time(time_t *out)
{
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL) {
        *out = now.tv_sec;
    }
    return now.tv_sec;
}
