/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GATT OTA: what is on the wire.
 *
 *   control, written by the client and notified by the device: one byte, see enum below
 *
 *   data, before REQUEST          0        2
 *                                 +--------+
 *                                 |  size  |   of the packets that follow; a hint
 *                                 +--------+
 *   data, after REQUEST_ACK       firmware, as many bytes as the value has
 */
#ifndef OTTER_PROTO_GATTOTA_WIRE_H
#define OTTER_PROTO_GATTOTA_WIRE_H

#include "otter/gattota.h"

#define GATTOTA_SIZE_LEN 2u /* bytes of the announced size */

enum gattota_control {
    GATTOTA_NOP = 0,
    GATTOTA_REQUEST = 1,
    GATTOTA_REQUEST_ACK = 2,
    GATTOTA_REQUEST_NAK = 3,
    GATTOTA_DONE = 4,
    GATTOTA_DONE_ACK = 5,
    GATTOTA_DONE_NAK = 6,
};

#endif
