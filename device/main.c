/* SPDX-License-Identifier: Apache-2.0 */
/* otter-device: a virtual ESP32, in one loop. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "device/device.h"
#include "device/options.h"
#include "device/transport.h"
#include "host/clock.h"
#include "otter/gatt.h"

#define FDS_MAX 64u

static bool create_transports(struct device *device,
                              const char *const arguments[DEVICE_TRANSPORTS_MAX],
                              struct transport list[DEVICE_TRANSPORTS_MAX])
{
    const struct transport_type *type;
    size_t count = 0;

    for (size_t i = 0; (type = transport_type_at(i)) != NULL && i < DEVICE_TRANSPORTS_MAX; i++) {
        if (arguments[i] == NULL) {
            continue;
        }
        struct transport *t = &list[count++];

        t->type = type;
        t->self = type->create(device, arguments[i]);
        if (t->self == NULL) {
            return false;
        }
        t->next = device->transports;
        device->transports = t;
    }
    return true;
}

/* SIGINT and SIGTERM as a descriptor: they end the loop between two steps, never inside one. */
static int signal_descriptor(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Each transport with its own events; returns in how many ms one of them wants to be called. */
static uint32_t run_transports(struct device *device, const struct pollfd *fds,
                               const size_t *counts)
{
    uint32_t next = OTTER_GATT_NEVER;
    uint32_t now = otter_clock_ms();
    size_t i = 0;

    for (struct transport *t = device->transports; t != NULL; t = t->next, i++) {
        uint32_t wanted = t->type->run(t->self, fds, counts[i], now);

        fds += counts[i];
        next = wanted < next ? wanted : next;
    }
    return next;
}

static void loop(struct device *device, int signals)
{
    uint32_t next = 0;

    while (!device->done) {
        struct pollfd fds[FDS_MAX] = {{.fd = signals, .events = POLLIN}};
        size_t counts[DEVICE_TRANSPORTS_MAX] = {0};
        size_t count = 1, i = 0;

        for (struct transport *t = device->transports; t != NULL && device->offered;
             t = t->next, i++) {
            counts[i] = t->type->fds(t->self, fds + count, FDS_MAX - count);
            count += counts[i];
        }
        if (poll(fds, count, next > INT32_MAX ? -1 : (int)next) < 0 && errno != EINTR) {
            device_error(device, "poll: %s", strerror(errno));
            device->exit_code = 1;
            return;
        }
        if ((fds[0].revents & POLLIN) != 0) {
            device_log(device, "stopped");
            return;
        }
        next = device->offered ? run_transports(device, fds + 1, counts) : OTTER_GATT_NEVER;
        uint32_t wanted = device_tick(device, otter_clock_ms());
        next = wanted < next ? wanted : next;
        if (device->restart) {
            device_reboot(device);
            next = 0;
        }
    }
}

int main(int argc, char **argv)
{
    static struct device device;
    struct transport list[DEVICE_TRANSPORTS_MAX] = {0};
    const char *arguments[DEVICE_TRANSPORTS_MAX] = {0};
    struct device_options options;

    device_options_read(&options, arguments, argc, argv);
    int signals = signal_descriptor();
    device.options = &options;
    /* The flash first: a second device on it gives way before it takes a line from the first. */
    bool open = device_open(&device, &options);
    if (open && !create_transports(&device, arguments, list)) {
        device.exit_code = 1;
    } else if (open && device_start(&device)) {
        loop(&device, signals);
    }
    device_stop(&device);
    for (struct transport *t = device.transports; t != NULL; t = t->next) {
        t->type->destroy(t->self);
    }
    return device.exit_code;
}
