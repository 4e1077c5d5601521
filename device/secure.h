/* SPDX-License-Identifier: Apache-2.0 */
/* What the virtual device demands of images: --require-signature, --require-encryption. */
#ifndef OTTER_DEVICE_SECURE_H
#define OTTER_DEVICE_SECURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/encryption.h"
#include "otter/encrypted.h"
#include "otter/signature.h"
#include "otter/update.h"

#define DEVICE_TRUST_MAX 3u

struct device;

/* Set up once from the options. */
struct device_secure {
    uint8_t trusted[DEVICE_TRUST_MAX * OTTER_SHA256_SIZE];
    struct otter_signed_slots slots;
    struct otter_decryptor decryptor;
    struct otter_encrypted encrypted;
};

/* A transport's way to the update session. */
struct device_way {
    struct otter_update_transport session;
    struct otter_encrypted_transport encrypted;
};

/* Reads the keys that the options name. On failure the log has said why. */
bool device_secure_start(struct device *device);

/* The slots for the update session: those given, behind what is demanded of images. */
struct otter_slots device_secure_slots(struct device *device, struct otter_slots slots);

/* The sink for a transport, behind what is demanded of images. */
struct otter_sink device_sink(struct device *device, struct device_way *way);

void device_secure_stop(struct device *device);

#endif
