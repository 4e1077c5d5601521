/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encrypted images: the format of Espressif's esp_encrypted_img, decrypted as a stream. A sink in
 * front of a sink: only bytes that a transport has accepted come here, so a sector that is sent
 * again does not disturb the cipher.
 *
 *   0     4           388   404    408    424       512
 *   +-----+-----------+-----+------+------+---------+- - - - - - -+
 *   | mag | key block | IV  | size | tag  | zeros   | ciphertext  |    size: of the ciphertext, u32
 *   +-----+-----------+-----+------+------+---------+- - - - - - -+
 *
 *   magic CF B6 88 07; AES-256-GCM, IV and tag of 16 bytes, nothing but the ciphertext
 *   authenticated. Key block, 384 bytes, by the kind of key that the device has:
 *     RSA-3072     the AES key encrypted with PKCS #1 v1.5
 *     ECIES P-256  point of the sender: x 32, y 32, big-endian; salt 32; 288 zeros. The AES key is
 *                  HKDF-SHA-256 of the ECDH secret with that salt and info "_esp_enc_img_ecc"
 *
 * The format keeps an image secret and finds damage. It does not say who made the image: anybody
 * can encrypt for a public key. That is what signatures are for.
 */
#ifndef OTTER_ENCRYPTED_H
#define OTTER_ENCRYPTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "otter/err.h"
#include "otter/sink.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OTTER_ENCRYPTED_MAGIC 0x0788B6CFu
#define OTTER_ENCRYPTED_HEADER 512u    /* bytes */
#define OTTER_ENCRYPTED_KEY_BLOCK 384u /* bytes */
#define OTTER_ENCRYPTED_IV 16u
#define OTTER_ENCRYPTED_TAG 16u
#define OTTER_ENCRYPTED_BLOCK 16u           /* bytes, of AES */
#define OTTER_ENCRYPTED_TRAILING_MAX 16384u /* bytes that may follow, as senders pad */

/* The port's cryptography, with the device's private key. */
struct otter_cipher_ops {
    /*
     * Opens the key block and starts AES-256-GCM. A key block that does not open must not show: the
     * cipher is then started with a random key, and the image fails as one does that was encrypted
     * for another key. Otherwise the device would tell a stranger, try by try, what the AES key of
     * a recorded image is (Bleichenbacher's attack). OTTER_ERR_CRYPTO: it cannot be started at all.
     */
    otter_err (*start)(void *ctx, const uint8_t key_block[OTTER_ENCRYPTED_KEY_BLOCK],
                       const uint8_t iv[OTTER_ENCRYPTED_IV]);
    /* Decrypts len bytes to out, which is elsewhere: whole blocks, but for the last time. (The
     * engines of ESP32 chips begin each piece with a new block of the key stream.) */
    otter_err (*update)(void *ctx, const uint8_t *in, size_t len, uint8_t *out);
    /* All was decrypted: OTTER_ERR_ENCRYPTED_TAG when the tag, compared in constant time, is not
     * that of the bytes. */
    otter_err (*finish)(void *ctx, const uint8_t tag[OTTER_ENCRYPTED_TAG]);
    /* Forgets the AES key; at any time after start. */
    void (*end)(void *ctx);
};

struct otter_cipher {
    const struct otter_cipher_ops *ops;
    void *ctx;
    bool ecies; /* the device's key is P-256; else it is RSA-3072 */
};

/* One for a device. 640 bytes; the session behind needs nothing more than without it. */
struct otter_encrypted {
    struct otter_cipher cipher;
    /* Told why an update ended, which the session behind does not know; set after init, or NULL. */
    void (*refused)(void *ctx, otter_err err);
    void *refused_ctx;
    bool plain_too;    /* set after init: images that are not encrypted pass through as they are */
    const void *owner; /* the transport whose update this is */
    uint32_t length;   /* announced, of what the session gets; or OTTER_LENGTH_UNKNOWN */
    uint32_t file;     /* with plain_too: announced, of all that comes */
    uint32_t left;     /* bytes of ciphertext still to come */
    uint32_t trailing; /* bytes that came behind */
    uint32_t start;    /* of what waits in buf */
    uint32_t waiting;  /* bytes in buf: of the header, then decrypted and not yet passed on */
    uint8_t state;
    uint8_t held; /* bytes in block: ciphertext that is not a whole one yet */
    uint8_t block[OTTER_ENCRYPTED_BLOCK];
    uint8_t tag[OTTER_ENCRYPTED_TAG];
    uint8_t buf[OTTER_ENCRYPTED_HEADER];
};

/* A transport's way through: next is the sink that the transport would have had without. */
struct otter_encrypted_transport {
    struct otter_encrypted *encrypted;
    struct otter_sink next;
};

void otter_encrypted_init(struct otter_encrypted *e, struct otter_cipher cipher);

/*
 * The sink for a transport. Without plain_too it takes nothing but encrypted images; what is not
 * one ends with
 * OTTER_ERR_UNENCRYPTED or OTTER_ERR_ENCRYPTED_HEADER at the first bytes, one for another key with
 * OTTER_ERR_ENCRYPTED_KEY at the first decrypted ones. finish() asks for the tag before the session
 * is asked to finish, so nothing is selected without it (OTTER_ERR_ENCRYPTED_TAG).
 *
 * With plain_too the first four bytes decide: the magic, and the image is decrypted; anything else
 * goes to the session, which takes it or not. The session behind is begun with the length announced
 * and, once the image is seen to be encrypted, again with what that leaves without the header.
 */
struct otter_sink otter_encrypted_sink(struct otter_encrypted_transport *transport);

#ifdef __cplusplus
}
#endif
#endif
