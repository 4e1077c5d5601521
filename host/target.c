/* SPDX-License-Identifier: Apache-2.0 */
#include "host/target.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cursor.h"
#include "host/schemes.h"
#include "host/sha256.h"
#include "otter/encrypted.h"
#include "otter/image.h"
#include "otter/signature.h"
#include "otter/update.h"

static const struct otter_target_scheme *const schemes[] = {
    &otter_target_att,
    &otter_target_ble,
    &otter_target_hosted,
};

const struct otter_target_scheme *otter_target_scheme_at(size_t i)
{
    return i < sizeof(schemes) / sizeof(schemes[0]) ? schemes[i] : NULL;
}

const struct otter_target_scheme *otter_target_find(const char *uri, const char **address)
{
    const struct otter_target_scheme *scheme;

    for (size_t i = 0; (scheme = otter_target_scheme_at(i)) != NULL; i++) {
        size_t len = strlen(scheme->name);

        if (strncmp(uri, scheme->name, len) == 0 && uri[len] == ':') {
            *address = uri + len + 1;
            return scheme;
        }
    }
    return NULL;
}

void otter_target_end(struct otter_target_result *result, enum otter_target_outcome outcome,
                      otter_err err, const char *format, ...)
{
    va_list ap;

    result->outcome = outcome;
    result->err = err;
    va_start(ap, format);
    vsnprintf(result->message, sizeof(result->message), format, ap);
    va_end(ap);
}

bool otter_target_cancelled(const struct otter_target_observer *observer)
{
    return observer != NULL && observer->cancel != NULL && *observer->cancel != 0;
}

/* Chip names are compared as people write them: "ESP32-C3", "esp32c3". */
static bool same_chip(const char *a, const char *b)
{
    for (;;) {
        while (*a == '-' || *a == ' ') {
            a++;
        }
        while (*b == '-' || *b == ' ') {
            b++;
        }
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b)) {
            return false;
        }
        if (*a == '\0') {
            return true;
        }
        a++;
        b++;
    }
}

/* Only a name Otter knows can contradict: a foreign device may say anything as its model. */
static bool is_chip_name(const char *name)
{
    const struct otter_chip *chip;

    for (size_t i = 0; (chip = otter_chip_at(i)) != NULL; i++) {
        if (same_chip(chip->name, name)) {
            return true;
        }
    }
    return false;
}

static otter_err parse_image(const uint8_t *data, size_t len, struct otter_image *im)
{
    struct otter_sha256 sha;
    otter_err err = otter_sha256_new(&sha);

    if (err != OTTER_OK) {
        return err;
    }
    err = otter_image_begin(im, otter_sha256_hash(&sha), OTTER_FIRMWARE_MAX);
    if (err == OTTER_OK) {
        err = otter_image_feed(im, data, len);
    }
    if (err == OTTER_OK) {
        err = otter_image_end(im);
    }
    if (err == OTTER_OK && !im->facts.has_digest) {
        err = OTTER_ERR_IMAGE_NO_DIGEST;
    }
    otter_sha256_free(&sha);
    return err;
}

/* Whose signature it is, the device finds out. */
static bool is_signed(const uint8_t *data, size_t len, uint32_t image_size)
{
    uint32_t place = len <= UINT32_MAX ? otter_signature_place(image_size, (uint32_t)len) : 0;

    return place != 0 && data[place] == OTTER_SIGNATURE_MAGIC;
}

bool otter_target_is_encrypted(const uint8_t *data, size_t len)
{
    struct otter_reader r = otter_reader_on(data, len);
    uint32_t magic = otter_read_u32(&r);

    return otter_reader_ok(&r) == OTTER_OK && magic == OTTER_ENCRYPTED_MAGIC;
}

/* What can be said of an encrypted image without its key: that it is whole, and wanted. */
static bool check_encrypted(const uint8_t *data, size_t len, const char *name,
                            const struct otter_target_device *device,
                            const struct otter_target_options *options,
                            struct otter_target_result *result)
{
    struct otter_reader r = otter_reader_on(data, len);

    otter_read_skip(&r, 4 + OTTER_ENCRYPTED_KEY_BLOCK + OTTER_ENCRYPTED_IV);
    uint32_t size = otter_read_u32(&r);
    if (otter_reader_ok(&r) != OTTER_OK || len - OTTER_ENCRYPTED_HEADER != size) {
        otter_target_end(result, OTTER_TARGET_BAD_IMAGE, OTTER_ERR_TRUNCATED,
                         "%s is encrypted and not whole; nothing was sent", name);
        return false;
    }
    if (device != NULL && !options->force && device->state != OTTER_TARGET_STATE_UNKNOWN &&
        !device->wants_encryption && !device->decrypts) {
        otter_target_end(result, OTTER_TARGET_REFUSED, OTTER_ERR_UNSUPPORTED,
                         "%s is encrypted and the device takes plain images; nothing was sent",
                         name);
        return false;
    }
    return true;
}

/* A downgrade that the device would refuse, by its own word and the version it says it runs. */
static bool check_older(const struct otter_image_facts *facts, const char *name,
                        const struct otter_target_device *device,
                        const struct otter_target_options *options,
                        struct otter_target_result *result)
{
    if (!device->refuses_older || !facts->has_desc || device->version[0] == '\0' ||
        otter_version_compare(facts->version, device->version) >= 0 ||
        (device->asks_older && options->allow_downgrade)) {
        return true;
    }
    otter_target_end(result, OTTER_TARGET_REFUSED, OTTER_ERR_IMAGE_OLDER,
                     "%s is version %s, older than the %s that runs, %s; nothing was sent", name,
                     facts->version, device->version,
                     device->asks_older ? "which the device takes only when it is asked "
                                          "(--allow-downgrade asks it)"
                                        : "and the device takes no older one");
    return false;
}

bool otter_target_check_image(const uint8_t *data, size_t len, const char *name,
                              const struct otter_target_device *device,
                              const struct otter_target_options *options,
                              struct otter_image_facts *facts, struct otter_target_result *result)
{
    struct otter_image im;

    if (otter_target_is_encrypted(data, len)) {
        *facts = (struct otter_image_facts){0};
        return check_encrypted(data, len, name, device, options, result);
    }
    otter_err err = parse_image(data, len, &im);

    if (err != OTTER_OK) {
        otter_target_end(result, OTTER_TARGET_BAD_IMAGE, err, "%s: %s; nothing was sent", name,
                         otter_err_text(err));
        return false;
    }
    *facts = im.facts;
    if (device == NULL || options->force) {
        return true;
    }
    if (device->wants_encryption) {
        otter_target_end(result, OTTER_TARGET_REFUSED, OTTER_ERR_UNENCRYPTED,
                         "%s is not encrypted and the device takes encrypted images only; nothing "
                         "was sent (\"otter image encrypt\" encrypts it)",
                         name);
        return false;
    }
    if (device->wants_signature && !is_signed(data, len, im.facts.size)) {
        otter_target_end(result, OTTER_TARGET_REFUSED, OTTER_ERR_UNSIGNED,
                         "%s is not signed and the device takes signed images only; nothing was "
                         "sent (\"otter image sign\" signs it)",
                         name);
        return false;
    }
    const struct otter_chip *chip = otter_chip_find(im.facts.chip_id);
    if (chip != NULL && is_chip_name(device->chip) && !same_chip(chip->name, device->chip)) {
        otter_target_end(result, OTTER_TARGET_REFUSED, OTTER_ERR_IMAGE_CHIP,
                         "%s is for %s and the device is an %s; nothing was sent", name, chip->name,
                         device->chip);
        return false;
    }
    if (device->project[0] != '\0' && im.facts.has_desc &&
        strcmp(device->project, im.facts.project) != 0) {
        otter_target_end(result, OTTER_TARGET_REFUSED, OTTER_ERR_IMAGE_PROJECT,
                         "%s is project \"%s\" and the device runs \"%s\"; nothing was sent "
                         "(--force sends it all the same)",
                         name, im.facts.project, device->project);
        return false;
    }
    return check_older(&im.facts, name, device, options, result);
}
