/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An encrypted image on its way to a session. Input: u32 length announced, u8 flags (1: ECIES,
 * 2: the tag holds, 4: plain images are taken too, 8: the slot has 1000 bytes), u32 seed of the
 * pieces, then the file. The cipher is an exclusive or.
 *
 * Holds: what is behind gets no more than the header says, every byte decrypted once and in order;
 * it is finished only when all came and the tag held; the cipher is ended as often as the update
 * is. A plain image reaches it byte for byte, one encrypted never undecrypted.
 */
#include "fuzz.h"

#include <string.h>

#include "base/cursor.h"
#include "otter/encrypted.h"

#define SLOT 1000u

struct behind {
    const uint8_t *file;
    size_t len;
    uint32_t announced, got, seed;
    bool begun, tag_holds, tag_asked, finished, plain, small;
    unsigned started, ended;
};

static otter_err next_begin(void *ctx, uint32_t length)
{
    struct behind *b = ctx;

    if (b->small && length != OTTER_LENGTH_UNKNOWN && length > SLOT) {
        return OTTER_ERR_TOO_LARGE;
    }
    FUZZ_HOLDS(b->got == 0);
    b->begun = true;
    b->announced = length;
    return OTTER_OK;
}

static otter_err next_write(void *ctx, const uint8_t *data, size_t len, size_t *used)
{
    struct behind *b = ctx;

    *used = fuzz_next(&b->seed) % (len + 1);
    for (size_t i = 0; i < *used; i++) {
        size_t at = (b->plain ? 0 : OTTER_ENCRYPTED_HEADER) + b->got++;
        FUZZ_HOLDS(at < b->len && data[i] == (uint8_t)(b->file[at] ^ (b->plain ? 0 : 0x5A)));
    }
    return OTTER_OK;
}

static otter_err next_finish(void *ctx)
{
    struct behind *b = ctx;

    FUZZ_HOLDS(b->plain || (b->tag_asked && b->tag_holds));
    b->finished = true;
    return OTTER_OK;
}

static void next_abort(void *ctx) {}

static otter_err cipher_start(void *ctx, const uint8_t key_block[OTTER_ENCRYPTED_KEY_BLOCK],
                              const uint8_t iv[OTTER_ENCRYPTED_IV])
{
    ((struct behind *)ctx)->started++;
    return OTTER_OK;
}

static otter_err cipher_update(void *ctx, const uint8_t *in, size_t len, uint8_t *out)
{
    for (size_t i = 0; i < len; i++) {
        out[i] = in[i] ^ 0x5A;
    }
    return OTTER_OK;
}

static otter_err cipher_finish(void *ctx, const uint8_t tag[OTTER_ENCRYPTED_TAG])
{
    struct behind *b = ctx;

    b->tag_asked = true;
    return b->tag_holds ? OTTER_OK : OTTER_ERR_ENCRYPTED_TAG;
}

static void cipher_end(void *ctx)
{
    ((struct behind *)ctx)->ended++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct otter_sink_ops ops = {
        .begin = next_begin, .write = next_write, .finish = next_finish, .abort = next_abort};
    static const struct otter_cipher_ops cipher = {cipher_start, cipher_update, cipher_finish,
                                                   cipher_end};
    static struct otter_encrypted e;
    struct otter_reader r = otter_reader_on(data, size);
    uint32_t length = otter_read_u32(&r);
    uint8_t flags = otter_read_u8(&r);
    uint32_t seed = otter_read_u32(&r);
    struct behind b = {.tag_holds = (flags & 2) != 0, .small = (flags & 8) != 0, .seed = seed | 1};

    if (otter_reader_ok(&r) != OTTER_OK) {
        return 0;
    }
    b.file = r.next;
    b.len = r.left;
    otter_encrypted_init(&e, (struct otter_cipher){&cipher, &b, (flags & 1) != 0});
    e.plain_too = (flags & 4) != 0;
    b.plain = e.plain_too && (b.len < 4 || memcmp(b.file, "\xCF\xB6\x88\x07", 4) != 0);
    struct otter_encrypted_transport transport = {&e, {&ops, &b}};
    struct otter_sink sink = otter_encrypted_sink(&transport);
    otter_err err = sink.ops->begin(sink.ctx, length);
    FUZZ_HOLDS(b.begun == (err == OTTER_OK));
    while (err == OTTER_OK && r.left > 0) {
        size_t n = 1 + fuzz_next(&seed) % 700, used = 0;

        n = n < r.left ? n : r.left;
        err = sink.ops->write(sink.ctx, r.next, n, &used);
        FUZZ_HOLDS(used <= n);
        otter_read_skip(&r, used);
    }
    while (err == OTTER_OK && (err = sink.ops->finish(sink.ctx)) == OTTER_ERR_AGAIN) {
        err = OTTER_OK;
        if (b.finished) {
            break;
        }
    }
    FUZZ_HOLDS(b.finished == (err == OTTER_OK && b.begun));
    FUZZ_HOLDS(!b.finished || b.announced == OTTER_LENGTH_UNKNOWN ||
               b.announced == (b.plain ? length : b.got));
    FUZZ_HOLDS(e.owner == NULL && (b.ended == 1) == b.begun);
    return 0;
}
