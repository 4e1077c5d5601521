/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a host's sending half takes firmware from: the counterpart of otter/sink.h.
 */
#ifndef OTTER_SOURCE_H
#define OTTER_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "otter/err.h"

/* read() copies len bytes from offset into buf; it is never asked beyond length, and may be asked
 * for the same bytes again. Any error ends the update with that error. */
struct otter_source {
    otter_err (*read)(void *ctx, uint32_t offset, uint8_t *buf, size_t len);
    void *ctx;
    uint32_t length; /* bytes */
};

#endif
