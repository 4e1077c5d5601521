/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ESP-Hosted control path for host programs: update the firmware of an ESP32 that is this
 * machine's network adapter, or one at the end of a serial line.
 *
 *   struct otter_hosted_client *c = otter_hosted_client_new();
 *   if (otter_hosted_client_open(c, "/dev/esps0") != OTTER_OK ||
 *       otter_hosted_client_begin(c) != OTTER_OK ||
 *       otter_hosted_client_write(c, image, len) != OTTER_OK ||     as often as there are bytes
 *       otter_hosted_client_end(c) != OTTER_OK) {
 *       fprintf(stderr, "%s\n", otter_hosted_client_error(c));
 *   }
 *   otter_hosted_client_free(c);
 *
 * Every call blocks until the device has answered or the time for it is over. A client belongs to
 * one thread at a time. Part of the host library (link with -lotter).
 */
#ifndef OTTER_HOSTED_CLIENT_H
#define OTTER_HOSTED_CLIENT_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "otter/err.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OTTER_HOSTED_BEGIN_MS 60000u   /* begin may erase the whole slot */
#define OTTER_HOSTED_REQUEST_MS 30000u /* the others */

/* One device on one line. */
struct otter_hosted_client;

/* What a device says of its firmware. */
struct otter_hosted_client_version {
    char name[65];       /* from outside: escape it before it reaches a terminal */
    uint32_t numbers[5]; /* major1, major2, minor, rev_patch1, rev_patch2 */
};

/* A client without a line; NULL: no memory. Ended with otter_hosted_client_free(NULL is fine). */
struct otter_hosted_client *otter_hosted_client_new(void);
void otter_hosted_client_free(struct otter_hosted_client *client);

/*
 * Opens "/dev/esps0", a serial line "/dev/ttyUSB0?baud=921600" (115200 when it is not said), a
 * pseudo-terminal, or "unix:/path". Returns OTTER_ERR_ARG for an address that makes no sense and
 * OTTER_ERR_LINK when it cannot be opened.
 */
OTTER_CHECKED otter_err otter_hosted_client_open(struct otter_hosted_client *client,
                                                 const char *address);

/* The same with a descriptor of the caller's, who still closes it. It is made non-blocking. */
OTTER_CHECKED otter_err otter_hosted_client_open_fd(struct otter_hosted_client *client, int fd);

/* Closes the line; harmless when none is open. The device keeps an unfinished update for a while.
 */
void otter_hosted_client_close(struct otter_hosted_client *client);

/*
 * The requests. Errors: OTTER_ERR_REFUSED: the device says no, _resp() tells its code;
 * OTTER_ERR_TIMEOUT: not a byte came back; OTTER_ERR_PROTOCOL: something else came back;
 * OTTER_ERR_LINK: the line is gone or was never opened; OTTER_ERR_CANCELLED.
 *
 * begin chooses and prepares the slot, also over an unfinished update. write appends any number of
 * bytes (4000 a request). end verifies and selects; the device restarts 5 s later.
 */
OTTER_CHECKED otter_err otter_hosted_client_begin(struct otter_hosted_client *client);
OTTER_CHECKED otter_err otter_hosted_client_write(struct otter_hosted_client *client,
                                                  const void *data, size_t len);
OTTER_CHECKED otter_err otter_hosted_client_end(struct otter_hosted_client *client);
OTTER_CHECKED otter_err otter_hosted_client_version(struct otter_hosted_client *client,
                                                    struct otter_hosted_client_version *version);

/* What went wrong last, as one sentence without a full stop; "" when nothing did. */
const char *otter_hosted_client_error(const struct otter_hosted_client *client);

/* The device's code in the last refusal; 0 otherwise. Otter's devices send an otter_err. */
int32_t otter_hosted_client_resp(const struct otter_hosted_client *client);

/* Milliseconds to wait for begin and for the other answers; 0: the default. */
void otter_hosted_client_timeouts(struct otter_hosted_client *client, uint32_t begin_ms,
                                  uint32_t request_ms);

/* Events arrive while a request is awaited: id is the message's (301: the device started, 302: a
 * heartbeat), data the whole protobuf. NULL: they are passed over. */
void otter_hosted_client_on_event(struct otter_hosted_client *client,
                                  void (*on_event)(void *ctx, uint16_t id, const uint8_t *data,
                                                   size_t len),
                                  void *ctx);

/* A wait ends with OTTER_ERR_CANCELLED once *cancel is not 0. NULL: never. */
void otter_hosted_client_cancel_on(struct otter_hosted_client *client,
                                   const volatile sig_atomic_t *cancel);

#ifdef __cplusplus
}
#endif
#endif
