/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "host/signing.h"
#include "key_file.h"
#include "output.h"

enum { TYPE, HMAC_FILE, PUBLIC, OUTPUT };

static const struct option_spec generate_options[] = {
    [TYPE] = {"type", 0, "rsa3072|ecdsa256", "kind of key (rsa3072)"},
    [HMAC_FILE] = {"from-hmac", 0, "FILE", "the key of a device with these 32 bytes in its eFuses"},
    [PUBLIC] = {"public", 0, "FILE", "write the public key too"},
    [OUTPUT] = {"output", 'o', "FILE", "where to write the private key"},
    {NULL, 0, NULL, NULL},
};

/* A key that is gone does not come back. */
static int refuse_existing(struct call *call, const char *path)
{
    if (path && strcmp(path, "-") != 0 && access(path, F_OK) == 0) {
        return fail(call, EXIT_FAILED, "%s is there already; a key is never replaced", safe(path));
    }
    return EXIT_OK;
}

static int write_pem(struct call *call, const EVP_PKEY *key, bool private_too, const char *path)
{
    size_t len = 0;
    char *pem = otter_key_pem(key, private_too, &len);
    if (!pem) {
        return fail(call, EXIT_FAILED, "%s", otter_err_text(OTTER_ERR_CRYPTO));
    }
    mode_t mask = umask(private_too ? 077 : 022); /* a private key is for its owner alone */
    int code = output_write(call, path, (const uint8_t *)pem, len);
    umask(mask);
    OPENSSL_clear_free(pem, len);
    return code;
}

/* The key's digest, shown and into the JSON. */
static int report_digest(struct call *call, const EVP_PKEY *key, const char *path)
{
    uint8_t digest[OTTER_SHA256_SIZE];
    if (otter_key_digest(key, digest) != OTTER_OK) {
        return fail(call, EXIT_FAILED, "%s", otter_err_text(OTTER_ERR_CRYPTO));
    }
    if (call->json) {
        json_object_set_new(call->json, "file", json_text(path));
        json_object_set_new(call->json, "type", json_string(key_file_kind(key)));
        json_object_set_new(call->json, "digest", json_string(digest_text(digest)));
    } else {
        printf("%s\n", digest_text(digest));
    }
    return EXIT_OK;
}

/* A new key, or the one that belongs to an HMAC key. */
static int make_key(struct call *call, bool rsa, EVP_PKEY **key)
{
    const char *path = call->option[HMAC_FILE];
    uint8_t *secret = NULL;
    size_t len = 0;
    if (!path) {
        *key = otter_key_make(rsa);
        return *key ? EXIT_OK : fail(call, EXIT_FAILED, "%s", otter_err_text(OTTER_ERR_CRYPTO));
    }
    int code = input_read(call, path, 4096, "an HMAC key", &secret, &len);
    if (code != EXIT_OK) {
        return code;
    }
    *key = len == OTTER_HMAC_KEY_SIZE ? otter_key_from_hmac(secret) : NULL;
    OPENSSL_cleanse(secret, len);
    free(secret);
    return *key ? EXIT_OK
                : fail(call, EXIT_FAILED, "%s: not %u bytes that make a key", safe(path),
                       OTTER_HMAC_KEY_SIZE);
}

static int run_generate(struct call *call)
{
    const char *type = call->option[TYPE] ? call->option[TYPE] : "rsa3072";
    const char *path = call->option[OUTPUT] ? call->option[OUTPUT] : call->args[0];
    bool rsa = strcmp(type, "rsa3072") == 0;
    if (!rsa && strcmp(type, "ecdsa256") != 0) {
        return fail(call, EXIT_USAGE, "--type is rsa3072 or ecdsa256, not \"%s\"", safe(type));
    }
    if (!path || (call->option[OUTPUT] && call->arg_count)) {
        return fail(call, EXIT_USAGE, "name one file to write: -o FILE");
    }
    if (call->option[HMAC_FILE] && call->option[TYPE] && rsa) {
        return fail(call, EXIT_USAGE, "--from-hmac makes a key of type ecdsa256");
    }
    const char *public = call->option[PUBLIC];
    EVP_PKEY *key = NULL;
    int code = refuse_existing(call, path);
    code = code ? code : refuse_existing(call, public);
    code = code ? code : make_key(call, rsa, &key);
    if (code == EXIT_OK) {
        code = write_pem(call, key, true, path);
    }
    if (code == EXIT_OK && public) { /* once more: it may be the same file */
        code = refuse_existing(call, public);
        code = code ? code : write_pem(call, key, false, public);
    }
    if (code == EXIT_OK && strcmp(path, "-") != 0) {
        code = report_digest(call, key, path);
    }
    EVP_PKEY_free(key);
    return code;
}

const struct command command_key_generate = {
    .name = "key generate",
    .args = "-o FILE",
    .brief = "make a key for signing or encrypting images",
    .about =
        "Makes a new private key and writes it as PEM, readable by its owner alone. A file that\n"
        "is there is never replaced. Prints the key's digest, by which a device trusts it.\n"
        "Keep the private key of signatures where no device and no server is; a device keeps\n"
        "the private key of encryption. With --from-hmac FILE: the P-256 key that a chip derives\n"
        "from the HMAC key in its eFuses, as Espressif's tools make it from the same 32 bytes.\n",
    .schema = "otter.key/1",
    .options = generate_options,
    .args_min = 0,
    .args_max = 1,
    .run = run_generate,
};

enum { DIGEST_OUTPUT };

static const struct option_spec digest_options[] = {
    [DIGEST_OUTPUT] = {"output", 'o', "FILE", "write the 32 bytes to FILE, as espsecure does"},
    {NULL, 0, NULL, NULL},
};

static int run_digest(struct call *call)
{
    EVP_PKEY *key = NULL;
    uint8_t digest[OTTER_SHA256_SIZE];
    const char *output = call->option[DIGEST_OUTPUT];
    int code = key_file_read(call, call->args[0], false, &key);
    if (code == EXIT_OK && output) {
        code = otter_key_digest(key, digest) == OTTER_OK
                   ? output_write(call, output, digest, sizeof digest)
                   : fail(call, EXIT_FAILED, "%s", otter_err_text(OTTER_ERR_CRYPTO));
    }
    if (code == EXIT_OK && (!output || call->json)) {
        code = report_digest(call, key, call->args[0]);
    }
    EVP_PKEY_free(key);
    return code;
}

const struct command command_key_digest = {
    .name = "key digest",
    .args = "FILE",
    .brief = "show the digest by which a device trusts a key",
    .about = "Prints the SHA-256 of a signing key as devices and Espressif's tools know it: the\n"
             "value that is given to a device that demands signatures. FILE is a private or a\n"
             "public key as PEM, RSA-3072 or P-256.\n",
    .schema = "otter.key/1",
    .options = digest_options,
    .args_min = 1,
    .args_max = 1,
    .run = run_digest,
};
