/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ESP32 application image: a streaming parser and verifier.
 *
 * Bytes go in, in pieces of any size down to one; facts come out as soon as they are known, and a
 * verdict at the image's own end. Bytes after that end are not looked at (senders pad); missing
 * ones are an error. Source of the format: ESP-IDF, "App Image Format" and esp_image_format.h.
 *
 *   0        24                                   end of segments
 *   +--------+-----------+------+- - -+-----------+---------+----+----------+
 *   | header | seg 0 hdr | data |     | data      | padding | ck | SHA-256  |
 *   +--------+-----------+------+- - -+-----------+---------+----+----------+
 *             8 bytes     ^ app description: the first 256 bytes of segment 0
 *
 *   padding puts ck, the checksum, on the last byte of a 16-byte line;
 *   SHA-256 is there when header byte 23 is 1, and covers everything before it.
 */
#ifndef OTTER_IMAGE_H
#define OTTER_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "otter/err.h"
#include "otter/hash.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OTTER_IMAGE_MAGIC 0xE9u
#define OTTER_IMAGE_HEADER_SIZE 24u
#define OTTER_IMAGE_SEGMENT_HEADER_SIZE 8u
#define OTTER_IMAGE_SEGMENTS_MAX 16u
#define OTTER_IMAGE_DESC_OFFSET 32u
#define OTTER_IMAGE_DESC_SIZE 256u
#define OTTER_IMAGE_DESC_MAGIC 0xABCD5432u
#define OTTER_IMAGE_CHECKSUM_SEED 0xEFu
#define OTTER_IMAGE_SEGMENT_LIMIT 0x1000000u /* a segment is smaller than this, in bytes */

struct otter_image_segment {
    uint32_t address; /* load address */
    uint32_t offset;  /* of the data, from the image's start, bytes */
    uint32_t length;  /* bytes, a multiple of 4 */
};

/* Strings are NUL-terminated here whatever the image holds, and otherwise as the image has them:
 * they come from outside, so escape them before they reach a terminal. */
struct otter_image_facts {
    /* known once otter_image_header_known() */
    uint32_t entry;
    uint16_t chip_id;      /* see otter_chip_find() */
    uint16_t min_rev_full; /* major * 100 + minor */
    uint16_t max_rev_full; /* major * 100 + minor; 0 and 65535: no limit */
    uint8_t spi_mode;
    uint8_t spi_speed_size;
    uint8_t segment_count;
    bool has_digest; /* header byte 23: a SHA-256 follows the checksum */

    /* known once otter_image_desc_known() */
    bool has_desc;         /* false: segment 0 does not begin with an app description */
    uint8_t mmu_page_log2; /* 0: the chip's default */
    uint16_t min_efuse_rev_full;
    uint16_t max_efuse_rev_full;
    uint32_t secure_version;
    char version[33];
    char project[33];
    char time[17];
    char date[17];
    char idf_version[33];
    uint8_t elf_sha256[OTTER_SHA256_SIZE];

    /* filled as segments begin; whole once otter_image_done() */
    struct otter_image_segment segments[OTTER_IMAGE_SEGMENTS_MAX];

    /* known once otter_image_done() */
    uint32_t size;                     /* of the image with its digest, bytes */
    uint8_t digest[OTTER_SHA256_SIZE]; /* computed over the image, and equal to the appended one
                                          when has_digest; all zero otherwise */
};

/* Parser state. Callers read facts only. */
struct otter_image {
    struct otter_image_facts facts;
    struct otter_hash hash;
    uint32_t limit;   /* the image may not be larger than this, bytes */
    uint32_t pos;     /* bytes taken so far, up to the image's end */
    uint32_t left;    /* bytes of the current part still to come */
    uint8_t part;     /* enum part in image.c */
    uint8_t segment;  /* index of the current segment */
    uint8_t checksum; /* running */
    bool desc_known;
    uint16_t raw_len;                   /* bytes gathered in raw */
    otter_err verdict;                  /* sticky */
    uint8_t raw[OTTER_IMAGE_DESC_SIZE]; /* part being gathered: header, description, digest */
};

/*
 * Starts a new image. limit is the most the image may take, in bytes (the slot's size, or the
 * length that was announced); an image that says it is larger is refused as soon as it says so.
 * Returns OTTER_ERR_HASH when the hash cannot start.
 */
OTTER_CHECKED otter_err otter_image_begin(struct otter_image *im, struct otter_hash hash,
                                          uint32_t limit);

/*
 * Takes the next bytes, any number. The first error is final and returned from then on:
 * OTTER_ERR_IMAGE_MAGIC, _HEADER, _SEGMENT, _MAPPING, _CHECKSUM, _DIGEST, OTTER_ERR_TOO_LARGE or
 * OTTER_ERR_HASH. Bytes after the image's end are accepted and ignored.
 */
OTTER_CHECKED otter_err otter_image_feed(struct otter_image *im, const uint8_t *data, size_t len);

/* The verdict when no more bytes come: OTTER_OK, the first error, or OTTER_ERR_TRUNCATED.
 * An image without an appended digest is OTTER_OK here; whoever needs one looks at has_digest. */
OTTER_CHECKED otter_err otter_image_end(const struct otter_image *im);

bool otter_image_header_known(const struct otter_image *im);
bool otter_image_desc_known(const struct otter_image *im);
bool otter_image_done(const struct otter_image *im);

/* What Otter knows of a chip: names as Espressif's tools print them, and the address ranges that
 * are mapped from flash, where a segment's file offset must agree with its address. */
struct otter_chip {
    uint16_t id;         /* header bytes 12..13 */
    uint32_t irom_first; /* first address, inclusive */
    uint32_t irom_last;  /* last address, inclusive */
    uint32_t drom_first;
    uint32_t drom_last;
    char name[12]; /* "ESP32-C61" */
};

/* The chip with this id, or NULL. */
const struct otter_chip *otter_chip_find(uint16_t id);

/* The i-th known chip, or NULL past the last: for lists and for finding one by name. */
const struct otter_chip *otter_chip_at(size_t i);

#ifdef __cplusplus
}
#endif
#endif
