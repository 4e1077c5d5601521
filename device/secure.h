/* SPDX-License-Identifier: Apache-2.0 */
/* What the virtual device demands of images: --require-signature. */
#ifndef OTTER_DEVICE_SECURE_H
#define OTTER_DEVICE_SECURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "otter/signature.h"

#define DEVICE_TRUST_MAX 3u

struct device;

/* Set up once from the options. */
struct device_secure {
    uint8_t trusted[DEVICE_TRUST_MAX * OTTER_SHA256_SIZE];
    struct otter_signed_slots slots;
};

/* Reads the keys that the options name. On failure the log has said why. */
bool device_secure_start(struct device *device);

/* The slots for the update session: those given, behind what is demanded of images. */
struct otter_slots device_secure_slots(struct device *device, struct otter_slots slots);

#endif
