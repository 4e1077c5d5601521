/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ble-pump ADDRESS BYTES: what bluetoothd carries when nobody does more than write.
 *
 * A plain loop writes gattota's data characteristic through AcquireWrite's descriptor; no update
 * was asked for, so the device throws away what it gets. The time ends when a read behind the last
 * packet is answered: until then the descriptor has only taken it. Prints one JSON object.
 */
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "host/att.h"
#include "host/ble_parts.h"
#include "otter/gattota.h"

#define OPEN_MS 60000u

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t index_of(struct otter_gatt_link link, const struct otter_gatt_uuid *uuid)
{
    const struct otter_gatt_found *found;
    size_t count = link.ops->found(link.link, &found);
    size_t i = 0;

    while (i < count && !otter_gatt_uuid_equal(&found[i].uuid, uuid)) {
        i++;
    }
    if (i == count) {
        fprintf(stderr, "ble-pump: the device has not what is needed\n");
        exit(1);
    }
    return i;
}

static int acquire(struct otter_ble_link *ble, size_t index, uint16_t *mtu)
{
    sd_bus_message *answer = NULL;
    int fd = -1;

    if (otter_ble_bus_call(&ble->bus, otter_ble_char_call(ble, index, "AcquireWrite"),
                           OTTER_BLE_ANSWER_MS, &answer) == OTTER_OK) {
        fd = otter_ble_take_fd(answer, mtu);
    }
    sd_bus_message_unref(answer);
    if (fd < 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0) {
        fprintf(stderr, "ble-pump: AcquireWrite: %s\n", ble->bus.why);
        exit(1);
    }
    return fd;
}

static void pump(struct otter_gatt_link link, struct otter_ble_link *ble, size_t bytes)
{
    const struct otter_gatt_uuid version = otter_att_uuid16(0x2A28);
    size_t data = index_of(link, &otter_gattota_service.chars[OTTER_GATTOTA_DATA].uuid);
    size_t behind = index_of(link, &version);
    uint8_t packet[OTTER_GATT_VALUE_MAX];
    size_t len;
    uint16_t mtu;
    int waiting = 0;

    int fd = acquire(ble, data, &mtu);
    size_t size = link.ops->mtu(link.link) - 3u; /* as an update's packets */
    memset(packet, 0xA5, sizeof(packet));
    double begun = now();
    for (size_t sent = 0; sent < bytes; sent += size) {
        if (write(fd, packet, size) != (ssize_t)size) {
            perror("ble-pump: write");
            exit(1);
        }
    }
    /* The read must not overtake what waits in the descriptor. */
    while (ioctl(fd, SIOCOUTQ, &waiting) == 0 && waiting > 0) {
        usleep(100);
    }
    if (link.ops->read(link.link, behind, packet, sizeof(packet), &len) != OTTER_OK) {
        fprintf(stderr, "ble-pump: no answer behind the packets\n");
        exit(1);
    }
    printf("{\"bytes\": %zu, \"packet\": %zu, \"seconds\": %.4f}\n", bytes, size, now() - begun);
    close(fd);
}

int main(int argc, char **argv)
{
    static struct otter_ble_link ble;
    const struct otter_gatt_handlers none = {0};

    if (argc != 3) {
        fprintf(stderr, "usage: ble-pump ADDRESS BYTES\n");
        return 2;
    }
    struct otter_gatt_link link = otter_ble_link_init(&ble, &none, NULL, NULL);
    if (link.ops->open(link.link, argv[1], OTTER_GATT_MTU_MAX, OPEN_MS) != OTTER_OK) {
        fprintf(stderr, "ble-pump: %s\n", link.message);
        return 1;
    }
    pump(link, &ble, strtoul(argv[2], NULL, 10));
    link.ops->close(link.link);
    return 0;
}
