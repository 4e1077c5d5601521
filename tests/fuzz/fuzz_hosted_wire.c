/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ESP-Hosted frames and messages. Input: u16 room for a message, u32 seed of the chunk sizes, then
 * a stream.
 *
 * Holds: how the stream is cut changes nothing; every byte belongs to a frame or is skipped; a
 * message and its data lie inside the frame; what was decoded whole survives encoding.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "proto/hosted/wire.h"

/* What a stream comes to: frames by status, and a hash over all that was seen. */
struct seen {
    uint32_t whole, too_long;
    uint32_t hash;
};

static void mix(struct seen *seen, const void *data, size_t len)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < len; i++) {
        seen->hash = (seen->hash ^ bytes[i]) * 0x01000193u;
    }
}

static void check_message(const uint8_t *data, size_t len)
{
    static uint8_t frame[OTTER_HOSTED_HEAD_SIZE + 65535u];
    struct otter_hosted_message in, out;
    size_t used;

    otter_err err = otter_hosted_decode(&in, data, len);
    FUZZ_HOLDS(err == OTTER_OK || !in.has_payload);
    FUZZ_HOLDS(in.data_len == 0 || (in.data >= data && in.data + in.data_len <= data + len));
    if (err != OTTER_OK || !in.has_payload ||
        otter_hosted_encode(&in, frame, sizeof(frame), &used) != OTTER_OK) {
        return;
    }
    FUZZ_HOLDS(otter_hosted_decode(&out, frame + OTTER_HOSTED_HEAD_SIZE,
                                   used - OTTER_HOSTED_HEAD_SIZE) == OTTER_OK);
    FUZZ_HOLDS(out.type == in.type && out.id == in.id && out.uid == in.uid);
    FUZZ_HOLDS(out.resp == in.resp && out.req_resp_type == in.req_resp_type && out.has_payload);
    FUZZ_HOLDS(memcmp(out.version, in.version, sizeof(in.version)) == 0);
    FUZZ_HOLDS(out.data_len == in.data_len);
    FUZZ_HOLDS(in.data_len == 0 || memcmp(out.data, in.data, in.data_len) == 0);
}

/* seed 0: in one piece. */
static struct seen decode(const uint8_t *data, size_t len, uint16_t room, uint32_t seed)
{
    struct otter_hosted_decoder dec;
    struct seen seen = {0};
    uint8_t *buf = malloc(room);
    size_t taken = 0;

    otter_hosted_decoder_init(&dec, buf, room);
    while (len > 0) {
        size_t n = seed == 0 ? len : 1 + fuzz_next(&seed) % 40;

        n = n < len ? n : len;
        size_t used = otter_hosted_decoder_feed(&dec, data, n);
        FUZZ_HOLDS(used > 0 && used <= n);
        data += used;
        len -= used;
        if (dec.status != OTTER_HOSTED_FRAME_NONE) {
            uint8_t *copy = malloc(dec.got); /* of this size, so that a read past it is seen */

            FUZZ_HOLDS(dec.got <= room && dec.got <= dec.len && dec.got > 0);
            FUZZ_HOLDS(otter_hosted_decoder_feed(&dec, data, len) == 0);
            seen.whole += dec.status == OTTER_HOSTED_FRAME_WHOLE;
            seen.too_long += dec.status == OTTER_HOSTED_FRAME_TOO_LONG;
            mix(&seen, &dec.events, 1);
            mix(&seen, buf, dec.got);
            memcpy(copy, buf, dec.got);
            check_message(copy, dec.got);
            free(copy);
            taken += OTTER_HOSTED_HEAD_SIZE + dec.got;
            otter_hosted_decoder_next(&dec);
        }
    }
    mix(&seen, &dec.skipped, sizeof(dec.skipped));
    mix(&seen, &taken, sizeof(taken));
    free(buf);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct otter_reader r = otter_reader_on(data, size);
    uint16_t room = otter_read_u16(&r);
    uint32_t seed = otter_read_u32(&r) | 1u;

    if (otter_reader_ok(&r) != OTTER_OK || room < OTTER_HOSTED_PREFIX) {
        return 0;
    }
    struct seen whole = decode(r.next, r.left, room, 0);
    struct seen pieces = decode(r.next, r.left, room, seed);
    FUZZ_HOLDS(memcmp(&whole, &pieces, sizeof(whole)) == 0);
    return 0;
}
