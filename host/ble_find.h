/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing an adapter and finding devices. */
#ifndef OTTER_HOST_BLE_FIND_H
#define OTTER_HOST_BLE_FIND_H

#include "host/ble_tree.h"

/* "AA:BB:CC:DD:EE:FF", "NAME", either after "hci1/". */
struct otter_ble_address {
    char adapter[16]; /* "hci1"; empty: the first that is on */
    char device[64];  /* address or name */
};

OTTER_CHECKED otter_err otter_ble_address_parse(struct otter_ble_address *address,
                                                const char *text);

/* The adapter to use, which is on; NULL with a sentence in bus->why. */
const struct otter_ble_object *
otter_ble_adapter(struct otter_ble_bus *bus, const struct otter_ble_tree *tree, const char *name);

/* A device of that adapter by address, or by name when it is in reach; or NULL. *several: more than
 * one in reach has this name; bus->why says so. */
const struct otter_ble_object *otter_ble_device(struct otter_ble_bus *bus,
                                                const struct otter_ble_tree *tree,
                                                const char *adapter_path, const char *device,
                                                bool *several);

/* Searches until seen() says that it is enough, or for timeout_ms (OTTER_ERR_TIMEOUT). seen() is
 * asked with what bluetoothd knows each time that this changes. */
OTTER_CHECKED otter_err otter_ble_search(struct otter_ble_bus *bus, const char *adapter_path,
                                         uint32_t timeout_ms,
                                         bool (*seen)(void *ctx, const struct otter_ble_tree *tree),
                                         void *ctx);

/* Has bluetoothd forget a device: its services, and its pairing. */
OTTER_CHECKED otter_err otter_ble_remove(struct otter_ble_bus *bus, const char *adapter_path,
                                         const char *device_path);

#endif
