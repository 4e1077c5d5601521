/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "host/signing.h"
#include "image_report.h"
#include "key_file.h"
#include "output.h"

enum { KEY, APPEND, OUTPUT };

static const struct option_spec options[] = {
    [KEY] = {"key", 'k', "FILE", "private key, RSA-3072 or P-256"},
    [APPEND] = {"append", 0, NULL, "keep the signatures that are there (three at most)"},
    [OUTPUT] = {"output", 'o', "FILE", "where to write it (default: over the image)"},
    {NULL, 0, NULL, NULL},
};

/* The file with its signature sector. */
struct signing {
    uint8_t *data;
    uint32_t sector; /* where it begins */
    unsigned count;  /* of blocks in it */
};

/* Lays the image out with a signature sector behind it, and keeps the blocks that are there when
 * that is asked for. */
static int lay_out(struct call *call, const char *path, const uint8_t *file, size_t len,
                   uint32_t size, struct signing *s)
{
    s->sector = otter_signature_place(size, UINT32_MAX);
    bool is_signed = len == s->sector + OTTER_SIGNATURE_SECTOR;
    if (len > s->sector && !is_signed) {
        return fail(call, EXIT_INVALID,
                    "%s has bytes behind the image that a signature would not "
                    "cover; cut them off first",
                    file_name(path));
    }
    s->data = malloc(s->sector + OTTER_SIGNATURE_SECTOR);
    if (!s->data) {
        return fail(call, EXIT_FAILED, "out of memory");
    }
    size_t kept = len < s->sector ? len : s->sector;
    memcpy(s->data, file, kept);
    memset(s->data + kept, 0xFF, s->sector + OTTER_SIGNATURE_SECTOR - kept);
    while (is_signed && call->option[APPEND] && s->count < OTTER_SIGNATURE_BLOCKS) {
        uint32_t at = s->sector + s->count * OTTER_SIGNATURE_BLOCK_SIZE;
        struct otter_signature_block block;
        if (otter_signature_block_read(&block, file + at) != OTTER_OK) {
            return fail(call, EXIT_INVALID, "%s: %s", file_name(path),
                        otter_err_text(OTTER_ERR_SIGNATURE_FORMAT));
        }
        if (block.kind == OTTER_SIGNATURE_NONE) {
            break;
        }
        memcpy(s->data + at, file + at, OTTER_SIGNATURE_BLOCK_SIZE);
        s->count++;
    }
    return s->count < OTTER_SIGNATURE_BLOCKS
               ? EXIT_OK
               : fail(call, EXIT_INVALID, "%s has three signatures already", file_name(path));
}

static int add_signature(struct call *call, EVP_PKEY *key, struct signing *s)
{
    uint8_t digest[OTTER_SHA256_SIZE];
    uint8_t *block = s->data + s->sector + s->count * OTTER_SIGNATURE_BLOCK_SIZE;
    if (EVP_Digest(s->data, s->sector, digest, NULL, EVP_sha256(), NULL) != 1 ||
        otter_signature_block_make(key, digest, block) != OTTER_OK) {
        return fail(call, EXIT_FAILED, "%s", otter_err_text(OTTER_ERR_CRYPTO));
    }
    s->count++;
    return EXIT_OK;
}

static void report(struct call *call, const char *path, const EVP_PKEY *key,
                   const struct signing *s)
{
    uint8_t digest[OTTER_SHA256_SIZE];
    if (otter_key_digest(key, digest) != OTTER_OK) {
        return;
    }
    if (call->json) {
        json_object_set_new(call->json, "file", json_text(path));
        json_object_set_new(call->json, "key", json_string(digest_text(digest)));
        json_object_set_new(call->json, "signatures", json_integer((json_int_t)s->count));
    } else if (strcmp(path, "-") != 0) {
        printf("%s: signed, key %s\n", safe(path), digest_text(digest));
    }
}

static int sign_file(struct call *call, EVP_PKEY *key, const char *path, const char *output)
{
    uint8_t *file = NULL;
    size_t len = 0;
    struct image_scan scan;
    struct signing s = {0};
    int code = input_read(call, path, IMAGE_FILE_MAX, "an ESP32 image", &file, &len);
    code = code ? code : image_scan_bytes(call, file, len, &scan);
    if (code == EXIT_OK && scan.err) {
        code = fail(call, EXIT_INVALID, "%s", image_fault(path, &scan));
    }
    code = code ? code : lay_out(call, path, file, len, scan.image.facts.size, &s);
    code = code ? code : add_signature(call, key, &s);
    code = code ? code : output_write(call, output, s.data, s.sector + OTTER_SIGNATURE_SECTOR);
    if (code == EXIT_OK) {
        report(call, output, key, &s);
    }
    free(s.data);
    free(file);
    return code;
}

static int run_sign(struct call *call)
{
    const char *path = call->args[0];
    const char *output = call->option[OUTPUT] ? call->option[OUTPUT] : path;
    EVP_PKEY *key = NULL;
    if (!call->option[KEY]) {
        return fail(call, EXIT_USAGE, "--key FILE is needed: \"otter key generate\" makes one");
    }
    if (call->json && strcmp(output, "-") == 0) {
        return fail(call, EXIT_USAGE, "--json and -o - both need standard output");
    }
    int code = key_file_read(call, call->option[KEY], true, &key);
    code = code ? code : sign_file(call, key, path, output);
    EVP_PKEY_free(key);
    return code;
}

const struct command command_image_sign = {
    .name = "image sign",
    .args = "--key FILE IMAGE",
    .brief = "sign an image (Secure Boot v2)",
    .about =
        "Checks the image, pads it to a multiple of 4096 bytes and puts a Secure Boot v2\n"
        "signature behind it, as espsecure does. With --append up to three keys sign one image,\n"
        "so that devices can be moved from one key to another. IMAGE is - for standard input.\n",
    .schema = "otter.signature/1",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .run = run_sign,
};
