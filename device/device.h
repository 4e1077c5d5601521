/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual ESP32: a flash image file, the bootloader model, one update session, and the
 * transports through which updates come (device/transport.h). One thread, one loop.
 *
 *   power on --> bootloader --> self-test, when the image is new --> services offered
 *      ^             |                  | fail, crash, hang               |
 *      +-------------+------------------+------------- update taken ------+
 */
#ifndef OTTER_DEVICE_DEVICE_H
#define OTTER_DEVICE_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "device/secure.h"
#include "host/sha256.h"
#include "otter/identity.h"
#include "otter/update.h"
#include "port/flash/flash_slots.h"
#include "port/linux/flash_file.h"
#include "port/sim/bootloader.h"

#define DEVICE_ROOTS_MAX 8u

struct transport;
struct device_gatt;

enum self_test { SELF_TEST_PASS, SELF_TEST_FAIL, SELF_TEST_CRASH, SELF_TEST_HANG };

/* Ways in which devices in the field differ from ours: --legacy. */
enum legacy {
    LEGACY_INDICATE_ONLY = 1,   /* espble: WRITE and INDICATE only, and notifies all the same */
    LEGACY_ZERO_ACK = 2,        /* espble: success ACKs carry 0 as the next sector */
    LEGACY_NO_WINDOW = 4,       /* espble: the START ACK carries no window */
    LEGACY_EARLY_RESTART = 8,   /* espble: restarts at the last byte, before STOP */
    LEGACY_FIELD_UUID = 16,     /* gattota: the service UUID of devices in the field */
    LEGACY_NO_IDENTITY = 32,    /* no software revision: does not say what it runs */
    LEGACY_NO_DEVICE_INFO = 64, /* no Device Information at all */
};

struct device_options {
    const char *name;
    const char *flash_path;
    bool create;         /* make flash_path when it is not there */
    const char *project; /* of the image that create puts in */
    const char *version;
    uint16_t chip_id; /* OTTER_CHIP_ANY: that of the image which boots first */
    enum self_test self_test;
    uint32_t self_test_ms; /* how long a self-test takes */
    uint32_t watchdog_ms;  /* when a self-test that hangs is reset */
    uint32_t restart_ms;   /* from the last answer to the restart; 0: the protocol's */
    uint32_t silence_ms;   /* hosted: an update is given up after this without a request */
    bool once;             /* end after one update and its verdict */
    int ready_fd;          /* a line is written here each time services are offered; -1: no */
    bool slow_flash;       /* erases and programs take the time they take on a board */
    uint32_t link_rate;    /* bytes a second that a GATT link carries; 0: no limit */
    uint16_t mtu;          /* ATT MTU offered */
    uint8_t window;        /* espble sectors in flight; 0: the link's default */
    bool not_older;        /* refuse versions below the running one */
    bool older_if_asked;   /* the same, but for a host that asks */
    bool require_signature;
    bool require_encryption;
    const char *key;                     /* file of the private key for encrypted images */
    const char *trust[DEVICE_TRUST_MAX]; /* files of keys whose signatures count */
    size_t trust_count;
    bool espble, gattota; /* services offered */
    bool pairing;         /* ble: writing needs an encrypted link */
    unsigned legacy;      /* enum legacy, or-ed */

    const char *device_id;                /* fuota; NULL: the name */
    const char *cacert[DEVICE_ROOTS_MAX]; /* fuota: roots that are trusted; none: the system's */
    size_t cacert_count;
    const char *login;   /* fuota: file with credentials; NULL: from the environment */
    uint32_t poll_ms;    /* fuota: from one check to the next */
    uint32_t backoff_ms; /* fuota: after a failure; 0: the protocol's */
};

struct device {
    const struct device_options *options;
    struct transport *transports; /* a list, see transport.h */

    struct otter_flash_file file;
    struct otter_flash fast;    /* the file itself */
    struct otter_flash flash;   /* what everything uses: the same, slowed down when asked for */
    struct otter_sha256 sha[3]; /* bootloader; select(); session */
    uint8_t *scratch;           /* for reading flash, SCRATCH bytes */

    /* from here on: since power on */
    struct otter_layout layout;
    struct otter_boot_report boot;
    struct otter_flash_slots slots;
    struct device_secure secure;
    struct otter_policy policy;
    struct otter_update update;
    uint8_t update_buf[4096];
    struct otter_identity identity;
    const struct device_gatt *asked_by; /* for an older version; NULL: nobody did */
    uint16_t chip_id;
    uint32_t self_test_at; /* when its verdict is due */
    bool testing;          /* a self-test is running */
    bool offered;          /* transports are up */
    bool restart;          /* asked for: the loop does it */
    uint32_t told;         /* of the update's progress, in the log: a quarter, or a step */

    bool updated;  /* an update was taken since the program started */
    bool reported; /* what became of it was told to the update server */
    bool leaving;  /* leave it once that is told, or at leave_at */
    uint32_t leave_at;
    bool done; /* leave the loop */
    int exit_code;
};

/* Opens, or creates, the flash, and keeps others from it. On failure the log has said why and
 * exit_code is set; so too below. */
bool device_open(struct device *device, const struct device_options *options);
/* Takes the first power on. */
bool device_start(struct device *device);
void device_stop(struct device *device);

/* Power on again: links are closed, the bootloader runs. */
void device_reboot(struct device *device);

/* For transports: the update was taken and the client told: restart when this call returned to
 * the loop. Works as struct otter_gatt_app.restart. */
void device_restart(void *device);

/* The time passes: the self-test and its watchdog. Returns in how many ms to call again. */
uint32_t device_tick(struct device *device, uint32_t now_ms);

/* A line for whoever watches. */
__attribute__((format(printf, 2, 3))) void device_log(const struct device *device,
                                                      const char *format, ...);
__attribute__((format(printf, 2, 3))) void device_error(const struct device *device,
                                                        const char *format, ...);

/* "ESP32-C3", or "chip 77" in buf. */
const char *device_chip_name(uint16_t chip_id, char buf[16]);

/* Text from an image, made fit for the terminal where it stands. */
const char *device_plain(char *text);

/* device/session.c: sets up the update session of what was booted. False: the log says why. */
bool device_open_session(struct device *device);

/* device/create.c: a 4 MB flash with two slots and an image in the first. */
bool device_create_flash(const struct device_options *options, const char **why);

/* device/pace.c: the same flash, but as slow as a real one. */
struct otter_flash device_slow_flash(struct otter_flash *fast);

#endif
