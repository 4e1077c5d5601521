/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ESP-Hosted control path, device half: a host on a byte stream (SPI, SDIO or a serial line)
 * sends begin, write and end; the firmware goes to a sink.
 *
 * Bytes in with _input(), bytes out with _output(), work and timers with _poll(). No function
 * blocks longer than one step of the sink, and none calls another part of the application except
 * the sink and restart(). Source of the protocol: ESP-Hosted, "Serial APIs", and
 * docs/protocols/hosted.md.
 *
 *   for (;;) {
 *       wait until bytes came, room to send came, or `wait` milliseconds passed;
 *       used = otter_hosted_device_input(&device, bytes, len, now);    (keep the rest for later)
 *       len = otter_hosted_device_output(&device, &reply); send some; otter_hosted_device_sent();
 *       wait = otter_hosted_device_poll(&device, now);
 *   }
 */
#ifndef OTTER_HOSTED_H
#define OTTER_HOSTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "otter/err.h"
#include "otter/sink.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OTTER_HOSTED_CHUNK_MAX 4000u /* bytes of firmware in one write */
#define OTTER_HOSTED_DATA_MAX                                                                      \
    4096u                           /* bytes of a message with a whole chunk, with room to spare   \
                                     */
#define OTTER_HOSTED_HEAD_SIZE 14u  /* bytes of a frame before its message */
#define OTTER_HOSTED_NAME_MAX 64u   /* bytes of a firmware name, without the NUL */
#define OTTER_HOSTED_REPLY_MAX 160u /* bytes of the longest response with its frame */

#define OTTER_HOSTED_RESTART_MS 5000u
#define OTTER_HOSTED_SILENCE_MS 120000u
#define OTTER_HOSTED_GAP_MS 2000u /* a frame that stops for longer in its middle is dropped */

#define OTTER_HOSTED_NEVER UINT32_MAX

/* What get-version answers. name belongs to the caller and outlives the device. */
struct otter_hosted_version {
    const char *name;
    uint32_t major1;
    uint32_t major2;
    uint32_t minor;
    uint32_t rev_patch1;
    uint32_t rev_patch2;
};

/* Finds frames in a stream. Callers of the device half need not look inside. */
struct otter_hosted_decoder {
    uint8_t *buf;     /* the message is gathered here */
    uint16_t room;    /* bytes of buf */
    uint16_t len;     /* the message's length, as the frame says */
    uint16_t got;     /* bytes of it in buf */
    uint8_t matched;  /* bytes of the frame's head seen so far */
    uint8_t status;   /* enum otter_hosted_frame in wire.h */
    bool events;      /* the frame came by the endpoint for events */
    uint32_t skipped; /* bytes that belonged to no frame */
};

struct otter_hosted_config {
    struct otter_sink sink;
    uint8_t *buf;    /* for one message; a chunk goes from here to the sink without a copy */
    size_t buf_size; /* bytes, OTTER_HOSTED_DATA_MAX at least and 65535 at most */
    struct otter_hosted_version version;
    uint32_t restart_ms;        /* from the end of an update to restart(); 0: at once */
    uint32_t silence_ms;        /* an update is given up after this without a request */
    void (*restart)(void *ctx); /* a new image was selected: restart now. Called once */
    void *restart_ctx;
};

/* One host connection. The caller owns it and may read state. */
struct otter_hosted_device {
    struct otter_hosted_config config;
    struct otter_hosted_decoder decoder;
    const uint8_t *chunk; /* of the write in hand, inside config.buf */
    size_t chunk_left;
    uint32_t since; /* ms: of the last request that counts against silence, or of the selection */
    uint32_t frame_at; /* ms: when bytes of an unfinished frame last came */
    uint32_t req_resp_type;
    int32_t uid;
    uint16_t msg_id; /* of the request in hand */
    uint8_t state;   /* enum otter_hosted_device_state */
    uint8_t reply_len;
    uint8_t reply_sent;
    uint8_t reply[OTTER_HOSTED_REPLY_MAX];
};

enum otter_hosted_device_state {
    OTTER_HOSTED_IDLE,
    OTTER_HOSTED_RECEIVING,  /* an update runs; waiting for a request */
    OTTER_HOSTED_WRITING,    /* a chunk goes to the sink, step by step */
    OTTER_HOSTED_CHECKING,   /* the sink verifies, step by step */
    OTTER_HOSTED_RESTARTING, /* selected and answered; the restart is near */
    OTTER_HOSTED_RESTARTED,  /* restart() was called */
};

/* config is copied. OTTER_ERR_ARG: no buffer or one of the wrong size, no restart function, or a
 * name that is too long. */
OTTER_CHECKED otter_err otter_hosted_device_init(struct otter_hosted_device *d,
                                                 const struct otter_hosted_config *config);

/* Tells the host that the device has started (event 301), as ESP-Hosted's devices do. Call it when
 * the line is up; nothing is sent while a request is worked on or its answer waits. */
void otter_hosted_device_hello(struct otter_hosted_device *d);

/*
 * Takes bytes from the host and returns how many; the others must be given again later. None are
 * taken while a request is being worked on or its answer waits to be sent, so a host that does
 * not read cannot make memory grow.
 */
size_t otter_hosted_device_input(struct otter_hosted_device *d, const uint8_t *data, size_t len,
                                 uint32_t now_ms);

/* Does one step of work. Returns the milliseconds after which it wants to be called again if no
 * bytes come: 0 when there is more work, OTTER_HOSTED_NEVER when only bytes can change anything. */
uint32_t otter_hosted_device_poll(struct otter_hosted_device *d, uint32_t now_ms);

/* The bytes to send to the host, *data, and their number; 0: none. */
size_t otter_hosted_device_output(const struct otter_hosted_device *d, const uint8_t **data);

/* len of them were sent. */
void otter_hosted_device_sent(struct otter_hosted_device *d, size_t len);

/* The line was closed: half a frame and an answer nobody will read are dropped. A running update
 * goes on until silence ends it, since a host may open the line anew for each request. */
void otter_hosted_device_link_lost(struct otter_hosted_device *d);

#ifdef __cplusplus
}
#endif
#endif
