/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of the device library: 0 is success, everything else is negative.
 *
 * One list for every layer, each with one plain sentence (otter_err_text). A caller that wants to
 * react tells the cases apart by value; a caller that only reports prints the sentence.
 */
#ifndef OTTER_ERR_H
#define OTTER_ERR_H

#ifdef __cplusplus
extern "C" {
#endif

/* The result must be looked at. Works with gcc and clang. */
#define OTTER_CHECKED __attribute__((warn_unused_result))

typedef enum otter_err {
    OTTER_OK = 0,

    /* Not a failure: the work is larger than one step, call the same function again. */
    OTTER_ERR_AGAIN = -1,

    /* Use of the library */
    OTTER_ERR_ARG = -2,
    OTTER_ERR_STATE = -3,
    OTTER_ERR_BUSY = -4,
    OTTER_ERR_BOUNDS = -5,
    OTTER_ERR_POLICY = -6,
    OTTER_ERR_HASH = -7,

    /* Slots and boot state */
    OTTER_ERR_NO_SLOT = -16,
    OTTER_ERR_NO_OTADATA = -17,
    OTTER_ERR_PENDING = -18,
    OTTER_ERR_NOT_PENDING = -19,
    OTTER_ERR_RESTART = -20,
    OTTER_ERR_SEQ_EXHAUSTED = -21,
    OTTER_ERR_NO_FALLBACK = -22,

    /* Flash */
    OTTER_ERR_FLASH_READ = -32,
    OTTER_ERR_FLASH_WRITE = -33,
    OTTER_ERR_FLASH_ERASE = -34,
    OTTER_ERR_FLASH_DIFFERS = -35,

    /* Length of what was announced or sent */
    OTTER_ERR_EMPTY = -48,
    OTTER_ERR_TOO_LARGE = -49,
    OTTER_ERR_TRUNCATED = -50,
    OTTER_ERR_TRAILING = -51,

    /* Application image */
    OTTER_ERR_IMAGE_MAGIC = -64,
    OTTER_ERR_IMAGE_HEADER = -65,
    OTTER_ERR_IMAGE_SEGMENT = -66,
    OTTER_ERR_IMAGE_MAPPING = -67,
    OTTER_ERR_IMAGE_CHECKSUM = -68,
    OTTER_ERR_IMAGE_DIGEST = -69,
    OTTER_ERR_IMAGE_NO_DIGEST = -70,
    OTTER_ERR_IMAGE_NO_DESC = -71,
    OTTER_ERR_IMAGE_CHIP = -72,
    OTTER_ERR_IMAGE_REVISION = -73,
    OTTER_ERR_IMAGE_PROJECT = -74,
    OTTER_ERR_IMAGE_OLDER = -75,
    OTTER_ERR_IMAGE_SECURE_VERSION = -76,

    /* Signed and encrypted images */
    OTTER_ERR_UNSIGNED = -80,
    OTTER_ERR_SIGNATURE = -81,
    OTTER_ERR_SIGNATURE_KEY = -82,
    OTTER_ERR_SIGNATURE_FORMAT = -83,
    OTTER_ERR_UNENCRYPTED = -84,
    OTTER_ERR_ENCRYPTED_HEADER = -85,
    OTTER_ERR_ENCRYPTED_KEY = -86,
    OTTER_ERR_ENCRYPTED_TAG = -87,
    OTTER_ERR_CRYPTO = -88,

    /* Partition table */
    OTTER_ERR_TABLE_EMPTY = -96,
    OTTER_ERR_TABLE_MAGIC = -97,
    OTTER_ERR_TABLE_ALIGN = -98,
    OTTER_ERR_TABLE_RANGE = -99,
    OTTER_ERR_TABLE_OVERLAP = -100,
    OTTER_ERR_TABLE_MD5 = -101,
    OTTER_ERR_TABLE_FULL = -102,
    OTTER_ERR_TABLE_LABEL = -103,
    OTTER_ERR_TABLE_SLOTS = -104,

    /* Transports */
    OTTER_ERR_LINK = -128,
    OTTER_ERR_TIMEOUT = -129,
    OTTER_ERR_REFUSED = -130,
    OTTER_ERR_PROTOCOL = -131,
    OTTER_ERR_CRC = -132,
    OTTER_ERR_SEQUENCE = -133,
    OTTER_ERR_LENGTH = -134,
    OTTER_ERR_UNSUPPORTED = -135,
    OTTER_ERR_RETRIES = -136,
    OTTER_ERR_CANCELLED = -137,
} otter_err;

/*
 * One sentence in plain English, without a full stop, for any value (unknown ones included).
 * The text is constant and never NULL. On a device it is linked only when it is called.
 */
const char *otter_err_text(otter_err err);

#ifdef __cplusplus
}
#endif
#endif
