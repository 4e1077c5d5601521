/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The update session: one at a time, whatever transport the firmware comes by.
 *
 *      begin          write ...            finish ...
 *   IDLE ----> RECEIVING ----> RECEIVING ---------> CHECKING ----> SELECTED (restart to run it)
 *     ^            |                                    |
 *     +------------+---- abort, or any error -----------+
 *
 * write() checks the image as it passes (chip, project, version at the first bytes), erases just
 * ahead of the data and never more than one erase unit a call. finish() reads the slot back,
 * compares it with what was received, and only then selects it. Nothing here blocks longer than
 * one erase unit and one program step, or one read of the caller's buffer.
 */
#ifndef OTTER_UPDATE_H
#define OTTER_UPDATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "otter/err.h"
#include "otter/hash.h"
#include "otter/image.h"
#include "otter/sink.h"
#include "otter/slots.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes a sender may add after the image's own end: a signature sector with its padding, and the
 * stale chunk that some senders append. More is refused with OTTER_ERR_TRAILING. */
#define OTTER_UPDATE_TRAILING_MAX 16384u

#define OTTER_CHIP_ANY 0xFFFFu

enum otter_version_rule {
    OTTER_VERSION_ANY = 0,   /* a version text does not identify an image: the default */
    OTTER_VERSION_NOT_OLDER, /* equal or newer than running_version */
    OTTER_VERSION_NEWER,
};

/* What this device accepts. Strings and the struct belong to the caller and outlive the session. */
struct otter_policy {
    uint16_t chip_id;        /* OTTER_CHIP_ANY: not checked */
    uint16_t chip_rev_full;  /* major * 100 + minor; checked when chip_id is */
    uint32_t secure_version; /* the image's must not be below */
    const char *project;     /* NULL: any */
    const char *running_version;
    enum otter_version_rule version_rule;
    /* Another order of version texts than otter_version_compare()'s: negative, 0 or positive as a
     * is older than b, the same or newer. May be NULL. */
    int (*version_order)(const char *a, const char *b);
    /* Asked about an image that version_rule would refuse: true takes it (the host has asked for
     * it, say, and may). secure_version holds all the same. May be NULL. */
    bool (*take_older)(void *ctx);
    /* The application's own word, asked once, when the description is known (facts up to it are
     * filled). Anything but OTTER_OK ends the update with that error. May be NULL. */
    otter_err (*check)(void *ctx, const struct otter_image_facts *facts);
    void *check_ctx; /* of both functions */
};

enum otter_update_event_kind {
    OTTER_EVENT_BEGIN,    /* length may be OTTER_LENGTH_UNKNOWN */
    OTTER_EVENT_IMAGE,    /* header and description are known and accepted */
    OTTER_EVENT_PROGRESS, /* some bytes were written */
    OTTER_EVENT_CHECKING, /* some bytes were read back */
    OTTER_EVENT_SELECTED, /* it boots next */
    OTTER_EVENT_ABORTED,  /* err says why; OTTER_OK: abort() was called */
};

struct otter_update_event {
    enum otter_update_event_kind kind;
    otter_err err;
    uint32_t done;                         /* bytes received, or read back while CHECKING */
    uint32_t total;                        /* bytes, or OTTER_LENGTH_UNKNOWN */
    const struct otter_image_facts *facts; /* NULL before OTTER_EVENT_IMAGE */
};

struct otter_update_config {
    struct otter_slots slots;
    struct otter_hash hash;
    const struct otter_policy *policy; /* NULL: any image that verifies */
    uint8_t *buf;                      /* gathers small writes, holds what is read back */
    size_t buf_size; /* bytes, a multiple of OTTER_WRITE_UNIT_MAX; 512..4096 is sensible */
    void (*on_event)(void *ctx, const struct otter_update_event *event); /* may be NULL */
    void *event_ctx;
};

enum otter_update_state {
    OTTER_UPDATE_IDLE,
    OTTER_UPDATE_RECEIVING,
    OTTER_UPDATE_CHECKING,
    OTTER_UPDATE_SELECTED,
};

/* One session. Callers may read state. */
struct otter_update {
    struct otter_update_config config;
    struct otter_slot_info slot;
    struct otter_image image;          /* what passes by; while CHECKING, what is read back */
    const void *owner;                 /* the transport that began it */
    uint32_t length;                   /* announced, or OTTER_LENGTH_UNKNOWN */
    uint32_t received;                 /* bytes taken from the sender */
    uint32_t written;                  /* bytes programmed */
    uint32_t erased;                   /* bytes erased from the slot's start */
    uint32_t checked;                  /* bytes read back */
    uint32_t staged;                   /* bytes waiting in buf */
    uint32_t image_size;               /* bytes; known while CHECKING */
    uint8_t digest[OTTER_SHA256_SIZE]; /* of the image as received */
    uint8_t state;
};

/* Prepares a session; config is copied. Returns OTTER_ERR_ARG for a missing function or a buffer
 * that is too small or of a wrong multiple. */
OTTER_CHECKED otter_err otter_update_init(struct otter_update *u,
                                          const struct otter_update_config *config);

/*
 * Begins an update of length bytes, or OTTER_LENGTH_UNKNOWN. OTTER_ERR_EMPTY, OTTER_ERR_TOO_LARGE
 * and what slots.open says leave everything as it was; OTTER_ERR_STATE when one is running,
 * OTTER_ERR_RESTART when one was selected and waits for the restart.
 */
OTTER_CHECKED otter_err otter_update_begin(struct otter_update *u, uint32_t length);

/*
 * Takes the next bytes: *used of the len given, as one step of flash work; call again with the
 * rest. Any error ends the update (the slot is not selected) and the session is IDLE again.
 */
OTTER_CHECKED otter_err otter_update_write(struct otter_update *u, const uint8_t *data, size_t len,
                                           size_t *used);

/* All of data, as many steps as it takes: for callers that may block. */
OTTER_CHECKED otter_err otter_update_write_all(struct otter_update *u, const uint8_t *data,
                                               size_t len);

/*
 * Instead of a write, as long as nothing was written since begin: takes the next erase unit from
 * the slot as it is, as if its bytes had been written now. For a download that goes on after a
 * restart; the caller remembers how many bytes it had written. *got is 0 when len is less than an
 * erase unit. An error ends the update, as with write.
 */
OTTER_CHECKED otter_err otter_update_take_up(struct otter_update *u, uint32_t len, uint32_t *got);

/*
 * Verifies and selects, a step a call: OTTER_ERR_AGAIN until OTTER_OK. Any other error ends the
 * update. Called before the image is whole it returns OTTER_ERR_TRUNCATED and ends it too.
 */
OTTER_CHECKED otter_err otter_update_finish(struct otter_update *u);

/* Ends a running update; harmless at any other time. */
void otter_update_abort(struct otter_update *u);

/*
 * A transport's handle on the session: its sink. Only the handle that began the update may
 * continue it; the others get OTTER_ERR_BUSY until it is over.
 */
struct otter_update_transport {
    struct otter_update *update;
};
struct otter_sink otter_update_sink(struct otter_update_transport *transport);

/* Boot state of the running image. OTTER_ERR_NOT_PENDING when there is nothing to decide. */
OTTER_CHECKED otter_err otter_boot_state(struct otter_slots slots, enum otter_boot_state *state);
OTTER_CHECKED otter_err otter_boot_confirm(struct otter_slots slots);
OTTER_CHECKED otter_err otter_boot_roll_back(struct otter_slots slots); /* then restart */

/*
 * The verdict of the application's self-test on the first boot of a new image: confirms on pass;
 * rolls back on fail and sets *restart. Does nothing when nothing is pending.
 */
OTTER_CHECKED otter_err otter_boot_verdict(struct otter_slots slots, bool pass, bool *restart);

/* Compares version texts as people read them: a leading 'v' is skipped, runs of digits compare as
 * numbers, and "1.2.0-rc1" is before "1.2.0". Negative, 0 or positive. */
int otter_version_compare(const char *a, const char *b);

#ifdef __cplusplus
}
#endif
#endif
