/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "host/signing.h"
#include "image_report.h"
#include "key_file.h"
#include "output.h"

enum { KEY };

static const struct option_spec options[] = {
    [KEY] = {"key", 'k', "FILE", "the image must be signed with this key (public or private)"},
    {NULL, 0, NULL, NULL},
};

/* What a device that trusts this key says of the file. */
static int check_signature(struct call *call, const EVP_PKEY *key, const char *path,
                           const uint8_t *file, size_t len, uint32_t size)
{
    uint8_t trusted[OTTER_SHA256_SIZE];
    otter_err err = otter_key_digest(key, trusted);
    err = err ? err : otter_signed_image_check(file, len, size, trusted, 1);
    if (call->json) {
        json_object_set_new(call->json, "signature_valid", json_boolean(err == OTTER_OK));
    }
    return err ? fail(call, EXIT_INVALID, "%s: %s", file_name(path), otter_err_text(err)) : EXIT_OK;
}

static int verify_signed(struct call *call, const char *path)
{
    EVP_PKEY *key = NULL;
    uint8_t *file = NULL;
    size_t len = 0;
    struct image_scan scan;
    int code = key_file_read(call, call->option[KEY], false, &key);
    code = code ? code : input_read(call, path, IMAGE_FILE_MAX, "an ESP32 image", &file, &len);
    code = code ? code : image_scan_bytes(call, file, len, &scan);
    code = code ? code : image_judge(call, path, &scan);
    code = code ? code : check_signature(call, key, path, file, len, scan.image.facts.size);
    if (code == EXIT_OK && !call->json) {
        printf("%s: ", file_name(path));
        print_styled(stdout, STYLE_GOOD, "ok");
        printf(", %s for %s, SHA-256 and signature hold\n", version_text(&scan.image.facts),
               chip_text(scan.image.facts.chip_id));
    }
    free(file);
    EVP_PKEY_free(key);
    return code;
}

static int run_verify(struct call *call)
{
    struct image_scan scan;
    if (call->option[KEY]) {
        return verify_signed(call, call->args[0]);
    }
    int code = image_judge_file(call, call->args[0], &scan);
    if (code == EXIT_OK && !call->json) {
        printf("%s: ", file_name(call->args[0]));
        print_styled(stdout, STYLE_GOOD, "ok");
        printf(", %s for %s, checksum and SHA-256 hold\n",
               scan.image.facts.has_desc ? version_text(&scan.image.facts) : "image",
               chip_text(scan.image.facts.chip_id));
    }
    return code;
}

const struct command command_image_verify = {
    .name = "image verify",
    .args = "FILE",
    .brief = "check that an image is whole, and its signature",
    .about =
        "Checks an ESP32 image whole: header, segments, checksum and SHA-256, as a device does\n"
        "before it takes an update. An image without SHA-256 does not pass. With --key also\n"
        "its Secure Boot v2 signature, as a device does that trusts this key and no other.\n"
        "FILE is an image, - for standard input. Exit code 0: valid, 3: not.\n",
    .schema = "otter.image/1",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .run = run_verify,
};
