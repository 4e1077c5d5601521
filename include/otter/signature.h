/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signed images: Secure Boot v2 signature blocks, and slots that select nothing unsigned.
 *
 *   0                    image's end       next multiple of 4096              + 4096
 *   +---------------------+-----------------+---------+---------+---------+------+
 *   | image with SHA-256  | padding         | block 0 | block 1 | block 2 | 0xFF |
 *   +---------------------+-----------------+---------+---------+---------+------+
 *    \________ covered by each signature __/ \__ the signature sector __________/
 *
 * A block has 1216 bytes, numbers are little-endian; an unused one is all 0xFF:
 *
 *   RSA-3072-PSS, version 2                     ECDSA P-256, version 3
 *   0     E7, 02, 2 reserved                    0     E7, 03, 00 (SHA-256), 1 reserved
 *   4     SHA-256 of what is covered            4     the same
 *   36    modulus 384                           36    curve 2 (P-256)
 *   420   exponent 4                            37    public point: x 32, y 32
 *   424   R^2 mod n 384                         101   signature: r 32, s 32
 *   808   -1/n mod 2^32, 4                      165   zeros
 *   812   signature 384
 *   1196  CRC-32 of bytes 0..1195, then 16 zeros
 *
 * A key is known by its digest: the SHA-256 of bytes 36..811 (RSA) or 36..100 (ECDSA), the same
 * that Espressif's tools print and burn. Source: ESP-IDF, "Secure Boot v2", and espsecure.
 */
#ifndef OTTER_SIGNATURE_H
#define OTTER_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "otter/err.h"
#include "otter/hash.h"
#include "otter/slots.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OTTER_SIGNATURE_SECTOR 4096u /* bytes, and the image is padded to a multiple of it */
#define OTTER_SIGNATURE_BLOCK_SIZE 1216u
#define OTTER_SIGNATURE_BLOCKS 3u
#define OTTER_SIGNATURE_MAGIC 0xE7u
#define OTTER_RSA_SIZE 384u  /* modulus and signature */
#define OTTER_POINT_SIZE 64u /* of P-256: x, y; and a signature: r, s */

/*
 * Public-key operations through the port, with numbers as the block has them: little-endian.
 * OTTER_OK: the signature is this key's over this digest; OTTER_ERR_SIGNATURE: it is not;
 * OTTER_ERR_CRYPTO: it could not be found out.
 */
struct otter_signature_ops {
    /* PSS with SHA-256, MGF1-SHA-256 and 32 bytes of salt. */
    otter_err (*rsa)(void *ctx, const uint8_t modulus[OTTER_RSA_SIZE], uint32_t exponent,
                     const uint8_t signature[OTTER_RSA_SIZE],
                     const uint8_t digest[OTTER_SHA256_SIZE]);
    otter_err (*ecdsa)(void *ctx, const uint8_t point[OTTER_POINT_SIZE],
                       const uint8_t signature[OTTER_POINT_SIZE],
                       const uint8_t digest[OTTER_SHA256_SIZE]);
};

struct otter_signature_port {
    const struct otter_signature_ops *ops;
    void *ctx;
};

enum otter_signature_kind {
    OTTER_SIGNATURE_NONE,  /* an unused place: all 0xFF */
    OTTER_SIGNATURE_OTHER, /* well-formed, of a kind that is not checked here */
    OTTER_SIGNATURE_RSA,
    OTTER_SIGNATURE_ECDSA,
};

/* Where the parts of a block lie; points into the bytes it was read from. */
struct otter_signature_block {
    enum otter_signature_kind kind;
    const uint8_t *digest; /* of what is covered */
    const uint8_t *key;    /* what the key's digest covers */
    size_t key_size;
    const uint8_t *signature;
};

/* Reads one block. OTTER_ERR_SIGNATURE_FORMAT: damaged, or there are bytes that no check covers. */
OTTER_CHECKED otter_err otter_signature_block_read(struct otter_signature_block *block,
                                                   const uint8_t raw[OTTER_SIGNATURE_BLOCK_SIZE]);

/* Computes the digest by which the block's key is known. */
OTTER_CHECKED otter_err otter_signature_key_digest(const struct otter_signature_block *block,
                                                   struct otter_hash hash,
                                                   uint8_t digest[OTTER_SHA256_SIZE]);

/* Checks a block of kind RSA or ECDSA against the digest of what it should cover. */
OTTER_CHECKED otter_err otter_signature_block_check(const struct otter_signature_block *block,
                                                    struct otter_signature_port port,
                                                    const uint8_t digest[OTTER_SHA256_SIZE]);

/* Where the signature sector of an image of size bytes begins; 0 when there is no room for it
 * within limit bytes. */
uint32_t otter_signature_place(uint32_t size, uint32_t limit);

struct otter_signed_config {
    struct otter_slots slots; /* the slots behind */
    struct otter_hash hash;   /* may be the session's: it is not in use while this is */
    struct otter_signature_port port;
    const uint8_t *trusted; /* digests of the keys that are trusted, OTTER_SHA256_SIZE bytes each */
    size_t trusted_count;   /* 1 at least */
    uint8_t *buf;           /* may be the session's */
    size_t buf_size;        /* bytes, OTTER_SIGNATURE_BLOCK_SIZE at least */
};

/*
 * Slots in front of slots: a device that demands a signature gives these to its session.
 *
 * After the session has read the slot back, verify() reads it once more, a buffer a call: every
 * byte before the signature sector goes into the digest. A block of a trusted key must be there and
 * hold; a block of a trusted key that does not hold, a damaged sector, and bytes that were written
 * behind the sector are refused (OTTER_ERR_UNSIGNED, _SIGNATURE, _SIGNATURE_KEY,
 * _SIGNATURE_FORMAT, OTTER_ERR_TRAILING). select() takes only the image that was verified: the
 * SHA-256 at its end, which the signature covers, must be the digest that is selected.
 */
struct otter_signed_slots {
    struct otter_signed_config config;
    uint32_t slot_size;
    uint32_t written; /* bytes from the slot's start that were written in this update */
    uint32_t checked; /* bytes that verify() has been through */
    bool trusted;     /* a block of a trusted key holds */
    bool foreign;     /* a block of another key was seen */
    bool blank;       /* an unused place was seen: only such may follow */
    bool verified;
    uint8_t covered[OTTER_SHA256_SIZE]; /* digest of what is covered */
    uint8_t image[OTTER_SHA256_SIZE];   /* the SHA-256 at the image's end */
};

/* Prepares s; config is copied. OTTER_ERR_ARG for what is missing or too small. */
OTTER_CHECKED otter_err otter_signed_slots_init(struct otter_signed_slots *s,
                                                const struct otter_signed_config *config);
struct otter_slots otter_signed_slots_table(struct otter_signed_slots *s);

#ifdef __cplusplus
}
#endif
#endif
