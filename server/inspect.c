/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect.h"

#include <stdio.h>
#include <string.h>

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

bool inspection_feed(struct inspection *inspection, const uint8_t *data, size_t len)
{
    struct otter_hash whole = otter_sha256_hash(&inspection->whole);
    inspection->size += len;
    if (inspection->verdict == OTTER_OK) {
        inspection->verdict = otter_image_feed(&inspection->image, data, len);
    }
    return whole.ops->update(whole.ctx, data, len) == OTTER_OK;
}

const char *inspection_complaint(const struct inspection *inspection)
{
    otter_err verdict = inspection->verdict;
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
    file->is_image = inspection_complaint(inspection) == NULL;
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

void inspection_free(struct inspection *inspection)
{
    otter_sha256_free(&inspection->whole);
    otter_sha256_free(&inspection->part);
}
