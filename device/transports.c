/* SPDX-License-Identifier: Apache-2.0 */
#include "device/transport.h"

extern const struct transport_type att_transport;    /* device/att.c */
extern const struct transport_type ble_transport;    /* device/ble.c */
extern const struct transport_type fuota_transport;  /* device/fuota.c */
extern const struct transport_type hosted_transport; /* device/hosted.c */

static const struct transport_type *const types[] = {
    &att_transport,
    &ble_transport,
    &hosted_transport,
    &fuota_transport,
};

const struct transport_type *transport_type_at(size_t i)
{
    return i < sizeof(types) / sizeof(types[0]) ? types[i] : NULL;
}
