/* SPDX-License-Identifier: Apache-2.0 */
#include "device/secure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/device.h"
#include "host/signing.h"

#define PEM_MAX 65536u

static EVP_PKEY *read_key(struct device *device, const char *path, bool *is_private)
{
    static uint8_t pem[PEM_MAX];
    FILE *file = fopen(path, "re");
    bool is_rsa;

    if (file == NULL) {
        device_error(device, "%s: %s", path, strerror(errno));
        return NULL;
    }
    size_t len = fread(pem, 1, sizeof(pem), file);
    fclose(file);
    EVP_PKEY *key = otter_key_read(pem, len, is_private);
    OPENSSL_cleanse(pem, len);
    if (key == NULL || !otter_key_fits(key, &is_rsa)) {
        device_error(device, "%s: not an RSA-3072 or P-256 key in PEM format", path);
        EVP_PKEY_free(key);
        return NULL;
    }
    return key;
}

static bool trust_keys(struct device *device)
{
    const struct device_options *options = device->options;
    struct device_secure *secure = &device->secure;

    for (size_t i = 0; i < options->trust_count; i++) {
        bool is_private;
        EVP_PKEY *key = read_key(device, options->trust[i], &is_private);

        if (key == NULL) {
            return false;
        }
        otter_err err = otter_key_digest(key, secure->trusted + i * OTTER_SHA256_SIZE);
        EVP_PKEY_free(key);
        if (err != OTTER_OK) {
            device_error(device, "%s: %s", options->trust[i], otter_err_text(err));
            return false;
        }
    }
    return true;
}

static void tell_refused(void *ctx, otter_err err)
{
    device_log(ctx, "update: refused, %s", otter_err_text(err));
}

static bool take_private_key(struct device *device, const char *path)
{
    struct device_secure *secure = &device->secure;
    bool is_private;
    EVP_PKEY *key = read_key(device, path, &is_private);

    if (key == NULL) {
        return false;
    }
    if (!is_private) {
        device_error(device, "%s: a public key; the device needs its private one", path);
        EVP_PKEY_free(key);
        return false;
    }
    if (otter_decryptor_new(&secure->decryptor, key) != OTTER_OK) {
        device_error(device, "out of memory");
        return false;
    }
    otter_encrypted_init(&secure->encrypted, otter_decryptor_cipher(&secure->decryptor));
    secure->encrypted.plain_too = !device->options->require_encryption;
    secure->encrypted.refused = tell_refused;
    secure->encrypted.refused_ctx = device;
    return true;
}

bool device_secure_start(struct device *device)
{
    const char *key = device->options->key;

    return trust_keys(device) && (key == NULL || take_private_key(device, key));
}

void device_secure_stop(struct device *device)
{
    otter_decryptor_free(&device->secure.decryptor);
}

struct otter_sink device_sink(struct device *device, struct device_way *way)
{
    way->session.update = &device->update;
    way->encrypted.encrypted = &device->secure.encrypted;
    way->encrypted.next = otter_update_sink(&way->session);
    return device->options->key != NULL ? otter_encrypted_sink(&way->encrypted)
                                        : way->encrypted.next;
}

struct otter_slots device_secure_slots(struct device *device, struct otter_slots slots)
{
    struct device_secure *secure = &device->secure;
    const struct otter_signed_config config = {
        .slots = slots,
        .hash = otter_sha256_hash(&device->sha[2]),
        .port = otter_openssl_signatures(),
        .trusted = secure->trusted,
        .trusted_count = device->options->trust_count,
        .buf = device->update_buf,
        .buf_size = sizeof(device->update_buf),
    };

    if (!device->options->require_signature) {
        return slots;
    }
    if (otter_signed_slots_init(&secure->slots, &config) != OTTER_OK) {
        return (struct otter_slots){0}; /* the session refuses to be set up */
    }
    return otter_signed_slots_table(&secure->slots);
}
