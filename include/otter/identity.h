/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device says of the image it runs, as one line of text: the value of the Software Revision
 * String (0x2A28) in its Device Information service. With it an updater knows after the restart
 * whether its image runs and is confirmed, whatever the version texts say.
 *
 *   otter/1 confirmed signed encrypted ask-older buffered 0123456789abcdef weather-station
 *
 *   confirmed, pending or rolled-back   the state of the running image
 *   signed                              takes nothing but signed images
 *   encrypted, decrypts                 takes nothing but encrypted images; takes these, too
 *   ask-older, no-older                 older versions only when it is asked; none
 *   buffered                            loses no write command, also when 128 wait in it
 *   0123456789abcdef                    first 8 bytes of the image's SHA-256 (the appended)
 *   the rest of the line                its project name
 *
 * The words between the state and the digest are there only when they say something.
 *
 * A host asks for an older version by writing OTTER_IDENTITY_ASK_OLDER to CUSTOMER (0x8023), before
 * it begins the update, on the same connection. The device decides.
 */
#ifndef OTTER_IDENTITY_H
#define OTTER_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "otter/err.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OTTER_IDENTITY_IMAGE 8u  /* bytes of the digest */
#define OTTER_IDENTITY_SIZE 112u /* bytes of text that always suffice */
#define OTTER_IDENTITY_BUFFERED 128u
#define OTTER_IDENTITY_ASK_OLDER "otter/1 ask-older"

enum otter_identity_state {
    OTTER_IDENTITY_CONFIRMED,   /* the image is there to stay */
    OTTER_IDENTITY_PENDING,     /* first boot of a new image, its self-test is not over */
    OTTER_IDENTITY_ROLLED_BACK, /* confirmed; the update tried last was given up */
};

/* Images whose version text is before the running one's. */
enum otter_identity_older {
    OTTER_IDENTITY_OLDER_YES,     /* are taken like others, or the device does not say */
    OTTER_IDENTITY_OLDER_ASK,     /* are taken from a host that asks for it */
    OTTER_IDENTITY_OLDER_REFUSED, /* are not taken */
};

struct otter_identity {
    enum otter_identity_state state;
    bool wants_signature;  /* takes nothing but signed images */
    bool wants_encryption; /* takes nothing but encrypted images */
    bool decrypts;         /* takes encrypted images beside plain ones */
    enum otter_identity_older older;
    bool
        buffered; /* loses no write command, also when OTTER_IDENTITY_BUFFERED of them wait in it */
    uint8_t image[OTTER_IDENTITY_IMAGE];
    char project[33];
};

/* Writes the text, without a NUL, and returns its length: 0 when it does not fit into size. */
size_t otter_identity_write(const struct otter_identity *identity, uint8_t *text, size_t size);

/* True: what a host wrote to CUSTOMER asks for an older version. */
bool otter_identity_asks_older(const uint8_t *data, size_t len);

/* False: the text is something else, as on devices that know nothing of this. */
bool otter_identity_read(struct otter_identity *identity, const uint8_t *text, size_t len);

#ifdef __cplusplus
}
#endif
#endif
