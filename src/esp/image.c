/* SPDX-License-Identifier: Apache-2.0 */
/* The layout is drawn in include/otter/image.h. */
#include "otter/image.h"

#include <string.h>

#include "base/cursor.h"

/* The parts of an image, in the order they come. SEGMENT and DATA repeat. */
enum part { PART_HEADER, PART_SEGMENT, PART_DATA, PART_PADDING, PART_DIGEST, PART_DONE };

#define MMU_PAGE_LOG2_MIN 13u
#define MMU_PAGE_LOG2_DEFAULT 16u

static void enter(struct otter_image *im, enum part part, uint32_t len)
{
    im->part = (uint8_t)part;
    im->left = len;
    im->raw_len = 0;
}

otter_err otter_image_begin(struct otter_image *im, struct otter_hash hash, uint32_t limit)
{
    memset(im, 0, sizeof *im);
    im->hash = hash;
    im->limit = limit;
    im->checksum = OTTER_IMAGE_CHECKSUM_SEED;
    enter(im, PART_HEADER, OTTER_IMAGE_HEADER_SIZE);
    im->verdict = hash.ops->start(hash.ctx);
    return im->verdict;
}

bool otter_image_header_known(const struct otter_image *im)
{
    return im->part != PART_HEADER;
}

bool otter_image_desc_known(const struct otter_image *im)
{
    return im->desc_known;
}

bool otter_image_done(const struct otter_image *im)
{
    return im->part == PART_DONE;
}

static bool in_range(uint32_t address, uint32_t first, uint32_t last)
{
    return address >= first && address <= last;
}

/* A segment that is mapped from flash lies at the same place in its page there as in memory. The
 * page size stands in the description, so segment 0 is looked at when that is known. */
static otter_err check_mapping(const struct otter_image *im, const struct otter_image_segment *seg)
{
    const struct otter_chip *chip = otter_chip_find(im->facts.chip_id);
    uint32_t log2 = im->facts.mmu_page_log2;

    if (chip == NULL || seg->length == 0 ||
        (!in_range(seg->address, chip->irom_first, chip->irom_last) &&
         !in_range(seg->address, chip->drom_first, chip->drom_last))) {
        return OTTER_OK;
    }
    if (log2 < MMU_PAGE_LOG2_MIN || log2 > MMU_PAGE_LOG2_DEFAULT) {
        log2 = MMU_PAGE_LOG2_DEFAULT;
    }
    uint32_t in_page = (1u << log2) - 1;
    return ((seg->address ^ seg->offset) & in_page) == 0 ? OTTER_OK : OTTER_ERR_IMAGE_MAPPING;
}

static otter_err end_header(struct otter_image *im)
{
    struct otter_image_facts *f = &im->facts;
    struct otter_reader r = otter_reader_on(im->raw, OTTER_IMAGE_HEADER_SIZE);

    if (otter_read_u8(&r) != OTTER_IMAGE_MAGIC) {
        return OTTER_ERR_IMAGE_MAGIC;
    }
    f->segment_count = otter_read_u8(&r);
    f->spi_mode = otter_read_u8(&r);
    f->spi_speed_size = otter_read_u8(&r);
    f->entry = otter_read_u32(&r);
    otter_read_skip(&r, 4); /* wp pin, drive settings */
    f->chip_id = otter_read_u16(&r);
    otter_read_skip(&r, 1); /* min_rev: replaced by min_rev_full */
    f->min_rev_full = otter_read_u16(&r);
    f->max_rev_full = otter_read_u16(&r);
    otter_read_skip(&r, 4);
    f->has_digest = otter_read_u8(&r) != 0;
    if (f->segment_count == 0 || f->segment_count > OTTER_IMAGE_SEGMENTS_MAX) {
        return OTTER_ERR_IMAGE_HEADER;
    }
    enter(im, PART_SEGMENT, OTTER_IMAGE_SEGMENT_HEADER_SIZE);
    return OTTER_OK;
}

static otter_err end_segment_header(struct otter_image *im)
{
    struct otter_image_segment *seg = &im->facts.segments[im->segment];
    struct otter_reader r = otter_reader_on(im->raw, OTTER_IMAGE_SEGMENT_HEADER_SIZE);

    seg->address = otter_read_u32(&r);
    seg->length = otter_read_u32(&r);
    seg->offset = im->pos;
    if (seg->length % 4 != 0 || seg->length >= OTTER_IMAGE_SEGMENT_LIMIT) {
        return OTTER_ERR_IMAGE_SEGMENT;
    }
    if (im->pos > im->limit || seg->length > im->limit - im->pos) {
        return OTTER_ERR_TOO_LARGE;
    }
    enter(im, PART_DATA, seg->length);
    return im->segment > 0 ? check_mapping(im, seg) : OTTER_OK;
}

static void copy_text(char *out, struct otter_reader *r, size_t len)
{
    otter_read_bytes(r, out, len);
    out[len] = '\0';
}

/* raw holds the first bytes of segment 0: all of a description, or fewer when it is shorter. */
static otter_err end_description(struct otter_image *im)
{
    struct otter_image_facts *f = &im->facts;
    struct otter_reader r = otter_reader_on(im->raw, im->raw_len);

    im->desc_known = true;
    if (im->raw_len == OTTER_IMAGE_DESC_SIZE && otter_read_u32(&r) == OTTER_IMAGE_DESC_MAGIC) {
        f->has_desc = true;
        f->secure_version = otter_read_u32(&r);
        otter_read_skip(&r, 8);
        copy_text(f->version, &r, 32);
        copy_text(f->project, &r, 32);
        copy_text(f->time, &r, 16);
        copy_text(f->date, &r, 16);
        copy_text(f->idf_version, &r, 32);
        otter_read_bytes(&r, f->elf_sha256, sizeof f->elf_sha256);
        f->min_efuse_rev_full = otter_read_u16(&r);
        f->max_efuse_rev_full = otter_read_u16(&r);
        f->mmu_page_log2 = otter_read_u8(&r);
    }
    return check_mapping(im, &f->segments[0]);
}

static otter_err end_data(struct otter_image *im)
{
    otter_err err = im->desc_known ? OTTER_OK : end_description(im);

    if (++im->segment < im->facts.segment_count) {
        enter(im, PART_SEGMENT, OTTER_IMAGE_SEGMENT_HEADER_SIZE);
        return err;
    }
    enter(im, PART_PADDING, 16 - im->pos % 16);
    im->facts.size = im->pos + im->left + (im->facts.has_digest ? OTTER_SHA256_SIZE : 0);
    return err == OTTER_OK && im->facts.size > im->limit ? OTTER_ERR_TOO_LARGE : err;
}

/* Leaves the part that is complete for the next one. */
static otter_err end_part(struct otter_image *im)
{
    struct otter_image_facts *f = &im->facts;

    switch ((enum part)im->part) {
    case PART_HEADER:
        return end_header(im);
    case PART_SEGMENT:
        return end_segment_header(im);
    case PART_DATA:
        return end_data(im);
    case PART_PADDING: /* its last byte, the checksum, was folded in: a match leaves 0 */
        if (im->checksum != 0) {
            return OTTER_ERR_IMAGE_CHECKSUM;
        }
        enter(im, PART_DIGEST, f->has_digest ? OTTER_SHA256_SIZE : 0);
        return f->has_digest ? im->hash.ops->finish(im->hash.ctx, f->digest) : OTTER_OK;
    case PART_DIGEST:
        if (f->has_digest && memcmp(f->digest, im->raw, OTTER_SHA256_SIZE) != 0) {
            return OTTER_ERR_IMAGE_DIGEST;
        }
        im->part = PART_DONE;
        return OTTER_OK;
    case PART_DONE:
        break;
    }
    return OTTER_OK;
}

/* The xor of all bytes, a word at a time where they lie on words. */
static uint8_t fold(const uint8_t *data, size_t len)
{
    uint32_t sum = 0;

    for (; len > 0 && (uintptr_t)data % 4 != 0; len--) {
        sum ^= *data++;
    }
    for (; len >= 4; len -= 4, data += 4) {
        uint32_t word;
        memcpy(&word, __builtin_assume_aligned(data, 4), 4);
        sum ^= word;
    }
    for (; len > 0; len--) {
        sum ^= *data++;
    }
    return (uint8_t)(sum ^ sum >> 8 ^ sum >> 16 ^ sum >> 24);
}

/* len bytes, all of the current part. */
static otter_err take(struct otter_image *im, const uint8_t *data, uint32_t len)
{
    bool in_data = im->part == PART_DATA;
    bool gather = in_data ? !im->desc_known : im->part != PART_PADDING;
    otter_err err = OTTER_OK;

    if (in_data) {
        im->checksum ^= fold(data, len);
    } else if (im->part == PART_PADDING && len == im->left) {
        im->checksum ^= data[len - 1];
    }
    if (gather) {
        uint32_t room = OTTER_IMAGE_DESC_SIZE - im->raw_len;
        uint32_t n = len < room ? len : room;
        memcpy(im->raw + im->raw_len, data, n);
        im->raw_len = (uint16_t)(im->raw_len + n);
    }
    if (im->part != PART_DIGEST) {
        err = im->hash.ops->update(im->hash.ctx, data, len);
    }
    im->pos += len;
    im->left -= len;
    if (err == OTTER_OK && in_data && gather && im->raw_len == OTTER_IMAGE_DESC_SIZE) {
        err = end_description(im);
    }
    return err;
}

otter_err otter_image_feed(struct otter_image *im, const uint8_t *data, size_t len)
{
    while (im->verdict == OTTER_OK && len > 0 && im->part != PART_DONE) {
        uint32_t n = len < im->left ? (uint32_t)len : im->left;

        im->verdict = take(im, data, n);
        data += n;
        len -= n;
        while (im->verdict == OTTER_OK && im->left == 0 && im->part != PART_DONE) {
            im->verdict = end_part(im);
        }
    }
    return im->verdict;
}

otter_err otter_image_end(const struct otter_image *im)
{
    if (im->verdict != OTTER_OK) {
        return im->verdict;
    }
    return im->part == PART_DONE ? OTTER_OK : OTTER_ERR_TRUNCATED;
}
