/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OTTER_HOST_GATT_WAIT_H
#define OTTER_HOST_GATT_WAIT_H

#include "host/gatt_update.h"

/* After the device took the image: waits until it went, came back and judged its new image, and
 * ends with what is known (docs/protocols/identity.md). */
void otter_gatt_wait(struct otter_gatt_update *u, const char *address);

#endif
