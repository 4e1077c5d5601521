/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "host/encryption.h"
#include "image_report.h"
#include "key_file.h"
#include "output.h"

enum { KEY, OUTPUT };

static const struct option_spec encrypt_options[] = {
    [KEY] = {"key", 'k', "FILE", "the device's key, public or private, RSA-3072 or P-256"},
    [OUTPUT] = {"output", 'o', "FILE", "where to write it, - for standard output"},
    {NULL, 0, NULL, NULL},
};

static const struct option_spec decrypt_options[] = {
    [KEY] = {"key", 'k', "FILE", "the device's private key, RSA-3072 or P-256"},
    [OUTPUT] = {"output", 'o', "FILE", "where to write it, - for standard output"},
    {NULL, 0, NULL, NULL},
};

/* What both commands begin with. */
static int read_both(struct call *call, bool private_needed, EVP_PKEY **key, uint8_t **file,
                     size_t *len)
{
    if (!call->option[KEY] || !call->option[OUTPUT]) {
        return fail(call, EXIT_USAGE, "--key FILE and -o FILE are needed");
    }
    if (call->json && strcmp(call->option[OUTPUT], "-") == 0) {
        return fail(call, EXIT_USAGE, "--json and -o - both need standard output");
    }
    int code = key_file_read(call, call->option[KEY], private_needed, key);
    return code ? code
                : input_read(call, call->args[0], IMAGE_FILE_MAX, "an ESP32 image", file, len);
}

static int end_with(struct call *call, int code, const uint8_t *out, size_t len)
{
    const char *path = call->option[OUTPUT];
    code = code ? code : output_write(call, path, out, len);
    if (code == EXIT_OK && call->json) {
        json_object_set_new(call->json, "file", json_text(path));
        json_object_set_new(call->json, "size", json_integer((json_int_t)len));
    } else if (code == EXIT_OK && strcmp(path, "-") != 0) {
        printf("%s: %s\n", safe(path), bytes_text(len));
    }
    return code;
}

static int run_encrypt(struct call *call)
{
    EVP_PKEY *key = NULL;
    uint8_t *file = NULL, *out = NULL;
    size_t len = 0;
    struct image_scan scan;
    int code = read_both(call, false, &key, &file, &len);
    code = code ? code : image_scan_bytes(call, file, len, &scan);
    if (code == EXIT_OK && scan.err) {
        code = fail(call, EXIT_INVALID, "%s", image_fault(call->args[0], &scan));
    }
    if (code == EXIT_OK && otter_image_encrypt(key, file, (uint32_t)len, &out) != OTTER_OK) {
        code = fail(call, EXIT_FAILED, "%s", otter_err_text(OTTER_ERR_CRYPTO));
    }
    code = end_with(call, code, out, len + OTTER_ENCRYPTED_HEADER);
    free(out);
    free(file);
    EVP_PKEY_free(key);
    return code;
}

const struct command command_image_encrypt = {
    .name = "image encrypt",
    .args = "--key FILE -o FILE IMAGE",
    .brief = "encrypt an image for a device",
    .about =
        "Checks the image and encrypts it for the device that has the private key, in the\n"
        "format of Espressif's esp_encrypted_img: AES-256-GCM, its key wrapped for an RSA-3072\n"
        "or a P-256 key. Sign an image before it is encrypted: encryption does not say who\n"
        "made it. IMAGE is - for standard input.\n",
    .schema = "otter.encrypted/1",
    .options = encrypt_options,
    .args_min = 1,
    .args_max = 1,
    .run = run_encrypt,
};

static int run_decrypt(struct call *call)
{
    EVP_PKEY *key = NULL;
    uint8_t *file = NULL, *out = NULL;
    size_t len = 0, out_len = 0;
    struct otter_decryptor decryptor = {0};
    int code = read_both(call, true, &key, &file, &len);
    otter_err err = code ? OTTER_OK : otter_decryptor_new(&decryptor, key);
    if (code == EXIT_OK && err == OTTER_OK) {
        err = otter_image_decrypt(&decryptor, file, len, &out, &out_len);
    }
    if (code == EXIT_OK && err != OTTER_OK) {
        code = fail(call, EXIT_INVALID, "%s: %s", file_name(call->args[0]), otter_err_text(err));
    }
    code = end_with(call, code, out, out_len);
    otter_decryptor_free(&decryptor);
    free(out);
    free(file);
    return code;
}

const struct command command_image_decrypt = {
    .name = "image decrypt",
    .args = "--key FILE -o FILE FILE",
    .brief = "decrypt an image with the device's private key",
    .about = "Decrypts what \"otter image encrypt\" or Espressif's esp_enc_img_gen made, as a\n"
             "device does. Nothing is written unless the tag at the end of it all is right.\n"
             "Exit code 3: damaged, or encrypted for another key.\n",
    .schema = "otter.encrypted/1",
    .options = decrypt_options,
    .args_min = 1,
    .args_max = 1,
    .run = run_decrypt,
};
