/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Targets: devices a host can update, named by URIs: "att:/run/otter/kitchen",
 * "hosted:/dev/esps0", "ble:AA:BB:CC:DD:EE:FF".
 *
 * A scheme is one row: its name, how to look for devices, and how to update one. A new link is a
 * new row in host/target.c and a file of its own; the tool knows only this header.
 */
#ifndef OTTER_HOST_TARGET_H
#define OTTER_HOST_TARGET_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/firmware.h"
#include "otter/err.h"
#include "otter/image.h"

/* How an update ended. The values are the exit codes of `otter update`. */
enum otter_target_outcome {
    OTTER_TARGET_UPDATED = 0,     /* sent and taken; and back, if that was to be waited for */
    OTTER_TARGET_FAILED = 1,      /* on this side: cancelled, no memory */
    OTTER_TARGET_BAD_ADDRESS = 2, /* the text after the scheme makes no sense */
    OTTER_TARGET_BAD_IMAGE = 3,   /* not a whole, valid image */
    OTTER_TARGET_REFUSED = 4,     /* the device refused it, or says that it is not for it */
    OTTER_TARGET_LINK_FAILED = 5, /* not found, link lost, no answer */
    OTTER_TARGET_NOT_BACK = 6,    /* did not come back after the update, or rolled back */
};

/* What the running image says of its own state. */
enum otter_target_state {
    OTTER_TARGET_STATE_UNKNOWN = 0, /* the device does not say: not one of ours */
    OTTER_TARGET_STATE_CONFIRMED,
    OTTER_TARGET_STATE_PENDING,
    OTTER_TARGET_STATE_ROLLED_BACK, /* the last update was given up, this is the image before it */
};

/* What a device says of itself. Empty text: it does not say. From outside: escape it before it
 * reaches a terminal. */
struct otter_target_device {
    char name[64];
    char protocols[64]; /* what it was recognised to speak: "espble gattota" */
    char chip[32];      /* "ESP32-C3" */
    char project[33];
    char version[64]; /* firmware revision */
    char image[17];   /* first 8 bytes of the running image's SHA-256, hexadecimal */
    enum otter_target_state state;
    bool wants_signature;  /* it says that it takes nothing but signed images */
    bool wants_encryption; /* the same of encrypted ones */
    bool decrypts;         /* it takes encrypted images beside plain ones */
    bool refuses_older;    /* it takes no version before the one it runs */
    bool asks_older;       /* but for a host that asks */
    bool buffered; /* it loses no packets that are sent without response, also when many wait */
    int16_t rssi;  /* dBm, as heard in a search; 0: not known */
};

enum otter_target_phase {
    OTTER_TARGET_CONNECTING,
    OTTER_TARGET_STARTING, /* the device was told of the update and prepares */
    OTTER_TARGET_SENDING,
    OTTER_TARGET_FINISHING,  /* the device has all of it and verifies */
    OTTER_TARGET_RESTARTING, /* taken; waiting for the device to come back */
    OTTER_TARGET_CONFIRMING, /* back; waiting for its verdict on the new image */
};

/* Zero is the default everywhere. A link ignores what does not concern it. */
struct otter_target_options {
    bool no_wait;            /* return when the device has taken the image */
    bool force;              /* send although chip or project differ from the device's */
    bool allow_downgrade;    /* ask the device to take an older version; it decides */
    bool response;           /* every packet as a write with response */
    bool crc_ccitt;          /* espble: CRC16 start value 0xFFFF */
    uint16_t packet_size;    /* bytes of one write at most; 0: what the link allows */
    uint16_t mtu;            /* ATT MTU to ask for; 0: 517 */
    uint16_t window;         /* espble: sectors in flight at most; 0: what the device allows */
    uint16_t retries;        /* times a sector or request is sent again; 0: the default */
    bool no_retries;         /* nothing is sent again */
    const char *protocol;    /* "espble", "gattota"; NULL: the better of what the device offers */
    uint32_t timeout_ms;     /* for an answer of the device; 0: the protocol's own */
    uint32_t wait_ms;        /* for coming back and confirming; 0: 60 s */
    uint32_t begin_ms;       /* hosted: for begin, which may erase; 0: 60 s */
    const char *adapter;     /* ble: "hci1"; NULL: the first that is on */
    bool forget;             /* ble: what the system remembers of the device is not used */
    bool calls;              /* ble: a call for each packet, no descriptors */
    bool probe;              /* ble, scan: connect to what was heard, and look at it */
    bool all;                /* ble, scan: also devices that advertise no update service */
    uint32_t scan_ms;        /* ble, scan: for how long; 0: 5 s */
    const char *cacert;      /* for https sources */
    const char *scan_folder; /* att: where sockets are; NULL: $XDG_RUNTIME_DIR/otter */
};

/* What the caller hears while it waits. Every function may be NULL. */
struct otter_target_observer {
    void (*phase)(void *ctx, enum otter_target_phase phase);
    void (*device)(void *ctx, const struct otter_target_device *device); /* before sending */
    /* done and total in bytes; total may be OTTER_LENGTH_UNKNOWN */
    void (*progress)(void *ctx, uint32_t done, uint32_t total);
    void (*detail)(void *ctx, const char *line); /* decoded packets, for --verbose */
    void *ctx;
    /* How often the user asked to stop: 1 ends the update cleanly, 2 at once. A link looks at it
     * whenever a wait ends, a signal (EINTR) among the causes. May be NULL. */
    const volatile sig_atomic_t *cancel;
};

struct otter_target_result {
    enum otter_target_outcome outcome;
    otter_err err;                     /* OTTER_OK when outcome is OTTER_TARGET_UPDATED */
    char message[320];                 /* one sentence for people, also on success */
    struct otter_target_device before; /* as found */
    struct otter_target_device after;  /* as it came back; empty when not waited for */
    bool came_back;
    uint32_t sent;       /* bytes of firmware, each counted once */
    uint32_t resent;     /* bytes sent again */
    uint32_t send_ms;    /* from when the device agreed until it had all of it */
    uint32_t verify_ms;  /* from then to its answer */
    uint32_t elapsed_ms; /* all in all */
};

/* One device found, or one told before of which more is known now. uri is the whole URI. Return
 * false to end the search. */
typedef bool (*otter_target_found)(void *ctx, const char *uri,
                                   const struct otter_target_device *device);

struct otter_target_scheme {
    const char *name;    /* "att" */
    const char *example; /* "att:/run/otter/kitchen" */
    const char *help;    /* one line */

    /* Looks for devices and tells of each. NULL: cannot be searched. On an
     * error a sentence is in message, of size bytes; OTTER_ERR_UNSUPPORTED: this machine has no
     * such link. */
    otter_err (*scan)(const struct otter_target_options *options,
                      const struct otter_target_observer *observer, otter_target_found found,
                      void *ctx, char *message, size_t size);

    /* A whole update of the device at address (the URI after "name:"): check, send, wait. Blocks.
     * Fills all of result, on failure too. */
    void (*update)(const char *address, struct otter_firmware *firmware,
                   const struct otter_target_options *options,
                   const struct otter_target_observer *observer,
                   struct otter_target_result *result);

    /* What the device says of itself, or NULL when a link has no such question. */
    otter_err (*identify)(const char *address, const struct otter_target_options *options,
                          struct otter_target_device *device, char *message, size_t size);
};

/* The i-th scheme, or NULL past the last. */
const struct otter_target_scheme *otter_target_scheme_at(size_t i);

/* The scheme of a URI, with *address set to what follows the colon; NULL when there is none. */
const struct otter_target_scheme *otter_target_find(const char *uri, const char **address);

/* For schemes: true for an encrypted image. What is in it, only its device can tell. */
bool otter_target_is_encrypted(const uint8_t *data, size_t len);

/*
 * For schemes: the whole image before it is sent. Checks it to its end, with its SHA-256, and
 * against what the device says of itself (unless device is NULL or options->force is set). Fills
 * facts; of an encrypted image they stay zero, its size too. Sets outcome, err and message in
 * result and returns false when it must not be sent.
 */
bool otter_target_check_image(const uint8_t *data, size_t len, const char *name,
                              const struct otter_target_device *device,
                              const struct otter_target_options *options,
                              struct otter_image_facts *facts, struct otter_target_result *result);

/* For schemes: ends with this outcome and a sentence (printf format). */
__attribute__((format(printf, 4, 5))) void otter_target_end(struct otter_target_result *result,
                                                            enum otter_target_outcome outcome,
                                                            otter_err err, const char *format, ...);

/* For schemes: true when the user has asked to stop. NULL observer: never. */
bool otter_target_cancelled(const struct otter_target_observer *observer);

#endif
