/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OTTER_HOST_GATT_TRACE_H
#define OTTER_HOST_GATT_TRACE_H

#include "otter/gatt.h"

/* One packet of espble or gattota in words, for --verbose. out: from us to the device; id: of the
 * characteristic in service. */
void otter_gatt_trace(const struct otter_gatt_service *service, bool out, uint8_t id, bool request,
                      const uint8_t *data, size_t len, char *line, size_t size);

#endif
