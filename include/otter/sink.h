/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a transport puts firmware: the small set of calls that protocols and the update session
 * share. A protocol knows nothing else of the session; the session knows nothing of protocols.
 * A filter (decryption, say) is a sink in front of a sink.
 */
#ifndef OTTER_SINK_H
#define OTTER_SINK_H

#include <stddef.h>
#include <stdint.h>

#include "otter/err.h"

#define OTTER_LENGTH_UNKNOWN UINT32_MAX

struct otter_sink_ops {
    /* Starts afresh, also over an unfinished update of the same transport. length in bytes, or
     * OTTER_LENGTH_UNKNOWN. OTTER_ERR_BUSY when another transport is updating. */
    otter_err (*begin)(void *ctx, uint32_t length);

    /* Takes the next bytes: *used of them, possibly none or not all, as one bounded step of flash
     * work; call again with the rest. On an error the update is over. */
    otter_err (*write)(void *ctx, const uint8_t *data, size_t len, size_t *used);

    /* Verifies and selects, a step a call: OTTER_ERR_AGAIN until it is done. */
    otter_err (*finish)(void *ctx);

    /* Ends an unfinished update; harmless at any other time. */
    void (*abort)(void *ctx);

    /* Directly after begin: takes the next bytes from what an earlier update, cut off by a
     * restart, has left, at most len of them: *got, 0 when so few cannot be taken. What they are
     * worth, finish() tells. NULL: cannot do that. */
    otter_err (*take_up)(void *ctx, uint32_t len, uint32_t *got);
};

struct otter_sink {
    const struct otter_sink_ops *ops;
    void *ctx;
};

#endif
