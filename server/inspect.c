/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect.h"

#include <stdio.h>
#include <string.h>

#include "base/cursor.h"
#include "otter/update.h"
#include "text.h"

bool inspection_begin(struct inspection *inspection)
{
    *inspection = (struct inspection){.verdict = OTTER_OK};
    if (otter_sha256_new(&inspection->whole) != OTTER_OK ||
        otter_sha256_new(&inspection->part) != OTTER_OK) {
        inspection_free(inspection);
        return false;
    }
    struct otter_hash whole = otter_sha256_hash(&inspection->whole);
    inspection->verdict =
        otter_image_begin(&inspection->image, otter_sha256_hash(&inspection->part), UINT32_MAX);
    return inspection->verdict == OTTER_OK && whole.ops->start(whole.ctx) == OTTER_OK;
}

/* Whether the bytes that are here could be those of an encrypted image. */
static bool begins_encrypted(const struct inspection *inspection)
{
    static const uint8_t magic[] = {OTTER_ENCRYPTED_MAGIC & 0xFF, OTTER_ENCRYPTED_MAGIC >> 8 & 0xFF,
                                    OTTER_ENCRYPTED_MAGIC >> 16 & 0xFF,
                                    OTTER_ENCRYPTED_MAGIC >> 24};
    size_t len = inspection->size < sizeof magic ? (size_t)inspection->size : sizeof magic;
    return len > 0 && memcmp(inspection->head, magic, len) == 0;
}

/* Keeps the first bytes. */
static void keep_head(struct inspection *inspection, const uint8_t *data, size_t len)
{
    size_t have = sizeof inspection->head;
    if (inspection->size < have) {
        have = (size_t)inspection->size;
        size_t room = sizeof inspection->head - have;
        memcpy(inspection->head + have, data, len < room ? len : room);
    }
    inspection->size += len;
}

static otter_err encrypted_verdict(const struct inspection *inspection)
{
    struct otter_reader r = otter_reader_on(inspection->head, sizeof inspection->head);
    otter_read_skip(&r, 4 + OTTER_ENCRYPTED_KEY_BLOCK + OTTER_ENCRYPTED_IV);
    uint32_t size = otter_read_u32(&r);
    otter_read_skip(&r, OTTER_ENCRYPTED_TAG);
    bool zeros = true;
    while (r.left > 0) {
        zeros = otter_read_u8(&r) == 0 && zeros;
    }
    if (inspection->size < OTTER_ENCRYPTED_HEADER + (uint64_t)size) {
        return OTTER_ERR_TRUNCATED;
    }
    return size == 0 || !zeros                                          ? OTTER_ERR_ENCRYPTED_HEADER
           : inspection->size > OTTER_ENCRYPTED_HEADER + (uint64_t)size ? OTTER_ERR_TRAILING
                                                                        : OTTER_OK;
}

bool inspection_feed(struct inspection *inspection, const uint8_t *data, size_t len)
{
    struct otter_hash whole = otter_sha256_hash(&inspection->whole);
    bool until_now = inspection->encrypted;
    keep_head(inspection, data, len);
    inspection->encrypted = begins_encrypted(inspection);
    if (until_now && !inspection->encrypted) {
        inspection->verdict = OTTER_ERR_IMAGE_MAGIC; /* neither this nor that */
    } else if (inspection->verdict == OTTER_OK && !inspection->encrypted) {
        inspection->verdict = otter_image_feed(&inspection->image, data, len);
    }
    return whole.ops->update(whole.ctx, data, len) == OTTER_OK;
}

const char *inspection_complaint(const struct inspection *inspection)
{
    otter_err verdict = inspection->verdict;
    if (verdict == OTTER_OK && inspection->encrypted) {
        verdict = encrypted_verdict(inspection);
        return verdict == OTTER_OK ? NULL : otter_err_text(verdict);
    }
    if (verdict == OTTER_OK) {
        verdict = otter_image_end(&inspection->image);
    }
    if (verdict == OTTER_OK && !inspection->image.facts.has_digest) {
        verdict = OTTER_ERR_IMAGE_NO_DIGEST;
    }
    if (verdict == OTTER_OK &&
        inspection->size - inspection->image.facts.size > OTTER_UPDATE_TRAILING_MAX) {
        verdict = OTTER_ERR_TRAILING;
    }
    return verdict == OTTER_OK ? NULL : otter_err_text(verdict);
}

/* What a device says of itself may be anything: only plain text goes further. */
static void copy_text(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text_valid(text, size - 1) ? text : "?");
}

bool inspection_end(struct inspection *inspection, struct store_file *file)
{
    const struct otter_image_facts *facts = &inspection->image.facts;
    struct otter_hash whole = otter_sha256_hash(&inspection->whole);
    uint8_t digest[OTTER_SHA256_SIZE];
    if (whole.ops->finish(whole.ctx, digest) != OTTER_OK) {
        return false;
    }
    text_hex(digest, sizeof digest, file->sha256);
    file->size = inspection->size;
    bool good = inspection_complaint(inspection) == NULL;
    file->is_image = good && !inspection->encrypted;
    file->is_encrypted = good && inspection->encrypted;
    file->chip[0] = file->project[0] = file->version[0] = file->idf[0] = file->digest[0] = 0;
    file->secure_version = 0;
    if (file->is_image) {
        const struct otter_chip *chip = otter_chip_find(facts->chip_id);
        copy_text(file->chip, sizeof file->chip, chip != NULL ? chip->name : "unknown");
        copy_text(file->project, sizeof file->project, facts->project);
        copy_text(file->version, sizeof file->version, facts->version);
        copy_text(file->idf, sizeof file->idf, facts->idf_version);
        file->secure_version = facts->secure_version;
        text_hex(facts->digest, sizeof facts->digest, file->digest);
    }
    return true;
}

const char *inspection_format(const struct store_file *file)
{
    return file->is_image ? "image" : file->is_encrypted ? "encrypted" : "other";
}

void inspection_free(struct inspection *inspection)
{
    otter_sha256_free(&inspection->whole);
    otter_sha256_free(&inspection->part);
}
