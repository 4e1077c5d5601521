/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout is that of Espressif's tools: segment 0 is read-only data mapped from flash and
 * begins with the app description, one segment is code mapped from flash, the others are loaded
 * to RAM. A mapped segment's address agrees with its place in the file modulo 64 KiB.
 */
#include "host/image_build.h"

#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "host/sha256.h"
#include "otter/image.h"

enum {
    LINE = 16,              /* the checksum is the last byte of a line */
    PADDING = 4,            /* with the checksum: the segments end this far before a line does */
    PAGE = 0x10000,         /* MMU page */
    IMAGE_MAX = 16 << 20,   /* the largest image this builds */
    RAM_PART_MAX = 0x10000, /* of one segment that is loaded to RAM */
    SEGMENT_MIN = 4,        /* all in bytes */
};

/* Where data RAM begins, for segments that are loaded. */
static const struct {
    uint16_t chip_id;
    uint32_t address;
} ram[] = {
    {0, 0x3FFB0000},  {2, 0x3FFB0000},  {5, 0x3FC80000},  {9, 0x3FC88000},  {12, 0x3FCA0000},
    {13, 0x40800000}, {16, 0x40800000}, {18, 0x4FF00000}, {20, 0x40800000}, {23, 0x40800000},
};

struct plan {
    const struct otter_image_spec *spec;
    uint8_t segments;
    uint32_t size;                              /* of the whole image, bytes */
    uint32_t length[OTTER_IMAGE_SEGMENTS_MAX];  /* bytes */
    uint32_t address[OTTER_IMAGE_SEGMENTS_MAX]; /* load addresses */
};

static uint32_t ram_address(uint16_t chip_id)
{
    for (size_t i = 0; i < sizeof ram / sizeof *ram; i++) {
        if (ram[i].chip_id == chip_id) {
            return ram[i].address;
        }
    }
    return 0x40000000;
}

/* The segment that is code mapped from flash; segment 0 is data mapped from flash. */
static uint8_t code_segment(const struct plan *p)
{
    return p->segments > 2 ? 2 : (uint8_t)(p->segments - 1);
}

/* xorshift32: the same filling on every machine. */
static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Shares the bytes that are left after all headers among the segments. */
static void plan_lengths(struct plan *p, uint32_t room)
{
    uint8_t code = code_segment(p);
    uint32_t spare = room - OTTER_IMAGE_DESC_SIZE - (p->segments - 1u) * SEGMENT_MIN;
    for (uint8_t i = 0; i < p->segments; i++) {
        p->length[i] = i == 0 ? OTTER_IMAGE_DESC_SIZE : SEGMENT_MIN;
    }
    uint32_t data = spare / 4 & ~3u;
    p->length[0] += data;
    spare -= data;
    for (uint8_t i = 1; i < p->segments; i++) {
        uint32_t share = spare / (2u * p->segments) & ~3u;
        share = share < RAM_PART_MAX ? share : RAM_PART_MAX;
        if (i != code) {
            p->length[i] += share;
            spare -= share;
        }
    }
    p->length[code] += spare;
}

static uint32_t mapped_address(uint32_t first, uint32_t last, uint32_t offset)
{
    uint32_t pages = (last - first + 1) / PAGE;
    uint32_t page = pages ? offset / PAGE % pages : 0;
    return (first + PAGE - 1) / PAGE * PAGE + page * PAGE + offset % PAGE;
}

static void plan_addresses(struct plan *p)
{
    const struct otter_chip *chip = otter_chip_find(p->spec->chip_id);
    uint32_t ram_next = ram_address(p->spec->chip_id);
    uint32_t offset = OTTER_IMAGE_HEADER_SIZE;
    for (uint8_t i = 0; i < p->segments; i++) {
        offset += OTTER_IMAGE_SEGMENT_HEADER_SIZE;
        if (chip && i == 0) {
            p->address[i] = mapped_address(chip->drom_first, chip->drom_last, offset);
        } else if (chip && i == code_segment(p)) {
            p->address[i] = mapped_address(chip->irom_first, chip->irom_last, offset);
        } else {
            p->address[i] = ram_next;
            ram_next += p->length[i];
        }
        offset += p->length[i];
    }
}

static otter_err plan_image(struct plan *p, const struct otter_image_spec *spec)
{
    *p = (struct plan){.spec = spec};
    if (!spec->project || !spec->version || strlen(spec->project) > 32 ||
        strlen(spec->version) > 32 || spec->segments > OTTER_IMAGE_SEGMENTS_MAX) {
        return OTTER_ERR_ARG;
    }
    if (spec->size > IMAGE_MAX) {
        return OTTER_ERR_TOO_LARGE;
    }
    p->segments = spec->segments ? spec->segments : spec->size < PAGE ? 3 : 5;

    uint32_t heads = OTTER_IMAGE_HEADER_SIZE + p->segments * OTTER_IMAGE_SEGMENT_HEADER_SIZE;
    uint32_t tail = spec->no_digest ? 0 : OTTER_SHA256_SIZE;
    uint32_t least = heads + OTTER_IMAGE_DESC_SIZE + (p->segments - 1u) * SEGMENT_MIN;
    least = (least + PADDING + LINE - 1) / LINE * LINE + tail;
    p->size = (spec->size + LINE - 1) / LINE * LINE;
    if (p->size < least) {
        p->size = least;
    }
    plan_lengths(p, p->size - tail - PADDING - heads);
    plan_addresses(p);
    return OTTER_OK;
}

static void write_text(struct otter_writer *w, const char *text, size_t field)
{
    size_t len = strlen(text);
    otter_write_bytes(w, text, len);
    otter_write_fill(w, 0, field - len);
}

/* Flash size in the header's upper nibble: 2 is 4 MB, each step doubles. Room for two images. */
static uint8_t flash_size_code(uint32_t size)
{
    return size <= 2u << 20 ? 0x20 : size <= 4u << 20 ? 0x30 : 0x40;
}

static void write_header(struct otter_writer *w, const struct plan *p)
{
    const struct otter_image_spec *spec = p->spec;
    otter_write_u8(w, OTTER_IMAGE_MAGIC);
    otter_write_u8(w, p->segments);
    otter_write_u8(w, 2); /* DIO */
    otter_write_u8(w, flash_size_code(p->size));
    otter_write_u32(w, p->address[code_segment(p)]); /* entry */
    otter_write_u8(w, 0xEE);                         /* write-protect pin: none */
    otter_write_fill(w, 0, 3);                       /* pin drive strengths */
    otter_write_u16(w, spec->chip_id);
    otter_write_u8(w, (uint8_t)(spec->min_rev_full / 100));
    otter_write_u16(w, spec->min_rev_full);
    otter_write_u16(w, spec->max_rev_full);
    otter_write_fill(w, 0, 4);
    otter_write_u8(w, spec->no_digest ? 0 : 1);
}

static void write_description(struct otter_writer *w, const struct plan *p, uint32_t *random)
{
    otter_write_u32(w, OTTER_IMAGE_DESC_MAGIC);
    otter_write_u32(w, p->spec->secure_version);
    otter_write_fill(w, 0, 8);
    write_text(w, p->spec->version, 32);
    write_text(w, p->spec->project, 32);
    write_text(w, "00:00:00", 16); /* fixed: the same request gives the same image */
    write_text(w, "Jan  1 2025", 16);
    write_text(w, "otter", 32);
    for (int i = 0; i < 8; i++) {
        otter_write_u32(w, next_random(random)); /* SHA-256 of an ELF file there is none of */
    }
    otter_write_u16(w, 0);
    otter_write_u16(w, UINT16_MAX); /* any eFuse block revision */
    otter_write_u8(w, 16);          /* log2 of PAGE */
    otter_write_fill(w, 0, 75);
}

/* Writes everything up to the checksum's line and returns the checksum. */
static uint8_t write_body(struct otter_writer *w, const struct plan *p)
{
    uint32_t random = p->spec->seed * 2654435761u + 1;
    random = random ? random : 1;
    uint8_t checksum = OTTER_IMAGE_CHECKSUM_SEED;
    write_header(w, p);
    for (uint8_t i = 0; i < p->segments; i++) {
        otter_write_u32(w, p->address[i]);
        otter_write_u32(w, p->length[i]);
        const uint8_t *data = w->next;
        uint32_t left = p->length[i];
        if (i == 0) {
            write_description(w, p, &random);
            left -= OTTER_IMAGE_DESC_SIZE;
        }
        for (; left > 0; left -= 4) {
            otter_write_u32(w, next_random(&random));
        }
        for (; data < w->next; data++) {
            checksum ^= *data;
        }
    }
    return checksum;
}

static otter_err append_digest(struct otter_writer *w, const uint8_t *image, size_t len)
{
    uint8_t digest[OTTER_SHA256_SIZE];
    if (EVP_Digest(image, len, digest, NULL, EVP_sha256(), NULL) != 1) {
        return OTTER_ERR_HASH;
    }
    otter_write_bytes(w, digest, sizeof digest);
    return OTTER_OK;
}

otter_err otter_image_build(const struct otter_image_spec *spec, uint8_t **out, size_t *len)
{
    struct plan p;
    otter_err err = plan_image(&p, spec);
    if (err) {
        return err;
    }
    uint8_t *image = malloc(p.size);
    if (!image) {
        return OTTER_ERR_ARG;
    }
    struct otter_writer w = otter_writer_on(image, p.size);
    uint8_t checksum = write_body(&w, &p);
    size_t tail = spec->no_digest ? 0 : OTTER_SHA256_SIZE;
    otter_write_fill(&w, 0, PADDING - 1);
    otter_write_u8(&w, checksum);
    if (!spec->no_digest) {
        err = append_digest(&w, image, p.size - tail);
    }
    err = err ? err : otter_writer_ok(&w);
    if (err) {
        free(image);
        return err;
    }
    *out = image;
    *len = p.size;
    return OTTER_OK;
}
