/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image parser. Input: u32 limit, u32 seed of the chunk sizes, then the image.
 *
 * Holds: how the bytes are cut into pieces changes nothing; the verdict stays; an accepted image
 * lies inside the bytes and the limit, with its segments in order; one byte less and it is
 * truncated, one byte more and it is the same image.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "otter/image.h"

#define HEADERS (OTTER_IMAGE_HEADER_SIZE + OTTER_IMAGE_SEGMENT_HEADER_SIZE)

struct run {
    struct otter_image image;
    struct fuzz_hash hash;
    otter_err verdict;
};

/* Feeds data in pieces of 1 .. 2^k bytes, k from the seed; seed 0: in one piece. */
static void parse(struct run *run, uint32_t limit, uint32_t seed, const uint8_t *data, size_t len)
{
    uint32_t most = seed == 0 ? UINT32_MAX : 1u << fuzz_next(&seed) % 12;

    (void)!otter_image_begin(&run->image, fuzz_hash_on(&run->hash), limit);
    while (len > 0) {
        uint32_t n = most == UINT32_MAX ? (uint32_t)len : 1 + fuzz_next(&seed) % most;
        n = n < len ? n : (uint32_t)len;
        otter_err err = otter_image_feed(&run->image, data, n);
        data += n;
        len -= n;

        /* A header may reach past the limit before the length in it is looked at. */
        FUZZ_HOLDS(run->image.pos <= (uint64_t)limit + HEADERS || err != OTTER_OK);
        if (err != OTTER_OK) {
            FUZZ_HOLDS(otter_image_feed(&run->image, data, len) == err);
            FUZZ_HOLDS(otter_image_end(&run->image) == err);
        }
    }
    run->verdict = otter_image_end(&run->image);
}

static void check_accepted(const struct otter_image *im, uint32_t limit, size_t len)
{
    const struct otter_image_facts *f = &im->facts;
    uint32_t end = OTTER_IMAGE_HEADER_SIZE;

    FUZZ_HOLDS(otter_image_header_known(im) && otter_image_desc_known(im) && otter_image_done(im));
    FUZZ_HOLDS(f->size <= len && f->size <= limit);
    FUZZ_HOLDS(f->segment_count >= 1 && f->segment_count <= OTTER_IMAGE_SEGMENTS_MAX);
    for (unsigned i = 0; i < f->segment_count; i++) {
        FUZZ_HOLDS(f->segments[i].offset == end + OTTER_IMAGE_SEGMENT_HEADER_SIZE);
        FUZZ_HOLDS(f->segments[i].length % 4 == 0);
        end = f->segments[i].offset + f->segments[i].length;
    }
    end += 16 - end % 16;
    FUZZ_HOLDS(f->size == end + (f->has_digest ? OTTER_SHA256_SIZE : 0));
    FUZZ_HOLDS(strlen(f->version) < sizeof f->version && strlen(f->project) < sizeof f->project);
    FUZZ_HOLDS(strlen(f->time) < sizeof f->time && strlen(f->date) < sizeof f->date);
    FUZZ_HOLDS(strlen(f->idf_version) < sizeof f->idf_version);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run whole, pieces, shorter;
    struct otter_reader r = otter_reader_on(data, size);
    uint32_t limit = otter_read_u32(&r);
    uint32_t seed = otter_read_u32(&r);

    if (otter_reader_ok(&r) != OTTER_OK) {
        return 0;
    }
    parse(&whole, limit, 0, r.next, r.left);
    parse(&pieces, limit, seed | 1, r.next, r.left);
    FUZZ_HOLDS(pieces.verdict == whole.verdict);
    FUZZ_HOLDS(memcmp(&pieces.image.facts, &whole.image.facts, sizeof whole.image.facts) == 0);
    if (whole.verdict != OTTER_OK) {
        return 0;
    }

    uint32_t image_size = whole.image.facts.size;
    check_accepted(&whole.image, limit, r.left);
    parse(&shorter, limit, seed | 1, r.next, image_size - 1);
    FUZZ_HOLDS(shorter.verdict == OTTER_ERR_TRUNCATED);
    parse(&shorter, image_size, 0, r.next, image_size);
    FUZZ_HOLDS(shorter.verdict == OTTER_OK);
    FUZZ_HOLDS(memcmp(&shorter.image.facts, &whole.image.facts, sizeof whole.image.facts) == 0);
    parse(&shorter, image_size - 1, 0, r.next, image_size);
    FUZZ_HOLDS(shorter.verdict == OTTER_ERR_TOO_LARGE);
    return 0;
}
