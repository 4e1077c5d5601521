/* SPDX-License-Identifier: Apache-2.0 */
/* What a file is: its SHA-256, and the ESP32 image in it, found as the bytes pass. Of an encrypted
 * image only the header can be read. */
#ifndef OTTERD_INSPECT_H
#define OTTERD_INSPECT_H

#include "host/sha256.h"
#include "otter/encrypted.h"
#include "otter/image.h"
#include "store.h"

struct inspection {
    struct otter_sha256 whole;
    struct otter_sha256 part; /* the image parser's */
    struct otter_image image;
    uint64_t size;
    uint8_t head[OTTER_ENCRYPTED_HEADER]; /* the first bytes */
    bool encrypted;                       /* so they say */
    otter_err verdict; /* of the image so far; the rest of the file is taken all the same */
};

bool inspection_begin(struct inspection *inspection);
/* False when the hash fails. */
bool inspection_feed(struct inspection *inspection, const uint8_t *data, size_t len);
/* Fills all but name and at. False when the hash fails. */
bool inspection_end(struct inspection *inspection, struct store_file *file);
void inspection_free(struct inspection *inspection);

/* Why the file is no image that may be offered: a sentence, or NULL when it is one. */
const char *inspection_complaint(const struct inspection *inspection);

/* "image", "encrypted" (an encrypted image) or "other". */
const char *inspection_format(const struct store_file *file);
#endif
