/* SPDX-License-Identifier: Apache-2.0 */
/* Builds valid ESP32 application images, for tests and demonstrations. */
#ifndef OTTER_HOST_IMAGE_BUILD_H
#define OTTER_HOST_IMAGE_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "otter/err.h"

struct otter_image_spec {
    uint16_t chip_id;
    uint16_t min_rev_full;
    uint16_t max_rev_full;
    const char *project; /* at most 32 characters */
    const char *version; /* at most 32 characters */
    uint32_t secure_version;
    uint32_t size; /* of the whole image, bytes; rounded up to what the format can have; 0: small */
    uint32_t seed; /* of the filling: same seed, same image */
    uint8_t segments; /* 1..16; 0: a usual number for the size */
    bool no_digest;   /* leave the SHA-256 out */
};

/* Builds the image into a buffer of its own, *out, that the caller frees with free().
 * Errors: OTTER_ERR_ARG, OTTER_ERR_TOO_LARGE (above 16 MiB), OTTER_ERR_HASH. */
OTTER_CHECKED otter_err otter_image_build(const struct otter_image_spec *spec, uint8_t **out,
                                          size_t *len);
#endif
