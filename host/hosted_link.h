/* SPDX-License-Identifier: Apache-2.0 */
/* Byte streams to a device: a character device, a serial line, a pseudo-terminal, a Unix socket. */
#ifndef OTTER_HOST_HOSTED_LINK_H
#define OTTER_HOST_HOSTED_LINK_H

#include <stdbool.h>
#include <stddef.h>

#include "otter/err.h"

/*
 * Opens an address: a path, "?baud=N" after it for a serial line, or "unix:" before it for a
 * socket. A serial line is set raw, 8 bits, no parity. *fd is non-blocking and the caller's to
 * close. OTTER_ERR_ARG or OTTER_ERR_LINK with a sentence in error.
 */
OTTER_CHECKED otter_err otter_hosted_link_open(const char *address, int *fd, char *error,
                                               size_t size);

/* True when the address is well formed; the sentence is set otherwise. */
bool otter_hosted_link_check(const char *address, char *error, size_t size);

#endif
