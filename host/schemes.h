/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the scheme table in host/target.c: one a link, each in the file of its link. */
#ifndef OTTER_HOST_SCHEMES_H
#define OTTER_HOST_SCHEMES_H

#include "host/target.h"

extern const struct otter_target_scheme otter_target_att;    /* host/target_att.c */
extern const struct otter_target_scheme otter_target_ble;    /* host/target_ble.c */
extern const struct otter_target_scheme otter_target_hosted; /* host/target_hosted.c */

#endif
