/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device says of the image it runs, as one line of text: the value of the Software Revision
 * String (0x2A28) in its Device Information service. With it an updater knows after the restart
 * whether its image runs and is confirmed, whatever the version texts say.
 *
 *   otter/1 confirmed signed encrypted 0123456789abcdef weather-station
 *           |         |      |         |                project name, the rest of the line
 *           |         |      |         first 8 bytes of the image's SHA-256 (the one appended)
 *           |         |      only when it takes nothing but encrypted images
 *           |         only when it takes nothing but signed images
 *           confirmed | pending | rolled-back
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

#define OTTER_IDENTITY_IMAGE 8u /* bytes of the digest */
#define OTTER_IDENTITY_SIZE 96u /* bytes of text that always suffice */

enum otter_identity_state {
    OTTER_IDENTITY_CONFIRMED,   /* the image is there to stay */
    OTTER_IDENTITY_PENDING,     /* first boot of a new image, its self-test is not over */
    OTTER_IDENTITY_ROLLED_BACK, /* confirmed; the update tried last was given up */
};

struct otter_identity {
    enum otter_identity_state state;
    bool wants_signature;  /* takes nothing but signed images */
    bool wants_encryption; /* takes nothing but encrypted images */
    uint8_t image[OTTER_IDENTITY_IMAGE];
    char project[33];
};

/* Writes the text, without a NUL, and returns its length: 0 when it does not fit into size. */
size_t otter_identity_write(const struct otter_identity *identity, uint8_t *text, size_t size);

/* False: the text is something else, as on devices that know nothing of this. */
bool otter_identity_read(struct otter_identity *identity, const uint8_t *text, size_t len);

#ifdef __cplusplus
}
#endif
#endif
