/* SPDX-License-Identifier: Apache-2.0 */
/* scan() of the scheme "ble": see host/target.h. */
#ifndef OTTER_HOST_BLE_SCAN_H
#define OTTER_HOST_BLE_SCAN_H

#include "host/target.h"

otter_err otter_ble_scan(const struct otter_target_options *options,
                         const struct otter_target_observer *observer, otter_target_found found,
                         void *ctx, char *message, size_t size);

#endif
