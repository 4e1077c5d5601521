/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a GATT link through bluetoothd share: ble_connect.c, ble_link.c, ble_write.c.
 */
#ifndef OTTER_HOST_BLE_PARTS_H
#define OTTER_HOST_BLE_PARTS_H

#include "host/ble_find.h"
#include "host/ble_link.h"

#define OTTER_BLE_ANSWER_MS 30000u /* for a device, as ATT has it */

/* Fills adapter and device of link, after a search when bluetoothd does not know the device. */
OTTER_CHECKED otter_err otter_ble_find(struct otter_ble_link *link,
                                       const struct otter_ble_address *address,
                                       uint32_t timeout_ms);

/* Connects and waits until its services are known; fills name. */
OTTER_CHECKED otter_err otter_ble_connect(struct otter_ble_link *link, uint32_t timeout_ms);

/* write() of a link. */
otter_err otter_ble_write(void *link, size_t index, bool request, const uint8_t *data, size_t len);

/* The connection is of no use any more; the first reason counts. */
void otter_ble_lose(struct otter_ble_link *link, const char *why);

/* Before each wait: what can go on now that a descriptor is empty. */
void otter_ble_write_step(struct otter_ble_link *link);

/* A call about a characteristic with an a{sv}, in which nothing is; NULL: no memory. */
sd_bus_message *otter_ble_char_call(struct otter_ble_link *link, size_t index, const char *member);

/* The descriptor in an answer of AcquireWrite or AcquireNotify, the caller's; -1: there is none. */
int otter_ble_take_fd(sd_bus_message *answer, uint16_t *mtu);

/* Closes it, if it is open. */
void otter_ble_drop_fd(int *fd);

#endif
