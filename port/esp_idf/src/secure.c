/* SPDX-License-Identifier: Apache-2.0 */
/* What menuconfig demands of images, and where the device's private key is. */
#include <stdlib.h>
#include <string.h>

#include <esp_log.h>
#include <freertos/FreeRTOS.h>
#include <freertos/semphr.h>
#include <freertos/task.h>
#include <sdkconfig.h>
#if CONFIG_OTTER_KEY_NVS
#include <nvs.h>
#endif
#if CONFIG_OTTER_KEY_HMAC
#include <esp_hmac.h>
#endif

#include "crypto.h"
#include "internal.h"

static const char TAG[] = "otter";

/* ---- signatures ------------------------------------------------------------------------------ */

#ifdef CONFIG_OTTER_SIGNATURES

_Static_assert(CONFIG_OTTER_BUFFER_SIZE >= OTTER_SIGNATURE_BLOCK_SIZE,
               "OTTER_BUFFER_SIZE is 1280 at least where images are signed");

esp_err_t otter_idf_demand_signature(const struct otter_idf_config *config, struct otter_hash hash,
                                     uint8_t *buf, size_t buf_size, struct otter_slots *slots)
{
    static struct otter_signed_slots signed_slots;
    const struct otter_signed_config want = {
        .slots = *slots,
        .hash = hash,
        .port = otter_idf_signatures(),
        .trusted = (const uint8_t *)config->trusted,
        .trusted_count = config->trusted_count,
        .buf = buf,
        .buf_size = buf_size,
    };

    if (otter_signed_slots_init(&signed_slots, &want) != OTTER_OK) {
        ESP_LOGE(TAG, "signatures are demanded: otter_idf_config needs the trusted digests");
        return ESP_ERR_INVALID_ARG;
    }
    *slots = otter_signed_slots_table(&signed_slots);
    return ESP_OK;
}

#endif

/* ---- the private key ------------------------------------------------------------------------- */

#ifdef CONFIG_OTTER_ENCRYPTION

#if CONFIG_OTTER_KEY_HMAC

static otter_err hmac(void *unused, const uint8_t *data, size_t len, uint8_t out[32])
{
    return otter_idf_err(
        esp_hmac_calculate((hmac_key_id_t)CONFIG_OTTER_KEY_HMAC_BLOCK, data, len, out),
        OTTER_ERR_CRYPTO, "HMAC by the eFuse key");
}

static otter_err read_key(const struct otter_idf_config *config, struct otter_idf_private_key *key)
{
    uint8_t number[32];
    otter_err err = otter_idf_number_from_hmac(hmac, NULL, number);

    if (err == OTTER_OK) {
        err = otter_idf_key_from_number(number, key);
    }
    otter_idf_wipe(number, sizeof(number));
    return err;
}

#elif CONFIG_OTTER_KEY_NVS

#define BLOB_MAX 4096u

static otter_err read_blob(nvs_handle_t nvs, struct otter_idf_private_key *key)
{
    size_t len = 0;
    esp_err_t err = nvs_get_blob(nvs, "image_key", NULL, &len);

    if (err != ESP_OK || len == 0 || len > BLOB_MAX) {
        return otter_idf_err(err != ESP_OK ? err : ESP_ERR_INVALID_SIZE, OTTER_ERR_CRYPTO,
                             "image_key in NVS");
    }
    uint8_t *file = calloc(1, len + 1); /* and the NUL of a PEM file that came without */
    if (file == NULL) {
        return OTTER_ERR_CRYPTO;
    }
    otter_err said = otter_idf_err(nvs_get_blob(nvs, "image_key", file, &len), OTTER_ERR_CRYPTO,
                                   "image_key in NVS");
    if (said == OTTER_OK) {
        bool text = file[0] == '-' && file[len - 1] != 0;
        said = otter_idf_key_from_file(file, len + text, key);
    }
    otter_idf_wipe(file, len);
    free(file);
    return said;
}

static otter_err read_key(const struct otter_idf_config *config, struct otter_idf_private_key *key)
{
    nvs_handle_t nvs;
    esp_err_t err = nvs_open("otter", NVS_READONLY, &nvs);

    if (err != ESP_OK) {
        return otter_idf_err(err, OTTER_ERR_CRYPTO, "namespace otter in NVS");
    }
    otter_err said = read_blob(nvs, key);
    nvs_close(nvs);
    return said;
}

#else

static otter_err read_key(const struct otter_idf_config *config, struct otter_idf_private_key *key)
{
    return config->key != NULL ? otter_idf_key_from_file(config->key, config->key_size, key)
                               : OTTER_ERR_CRYPTO;
}

#endif

/* Reading a key file takes 4 KB of stack, more than ESP-IDF's main task has by default, so it gets
 * a task of its own for the moment. */
struct reading {
    const struct otter_idf_config *config;
    struct otter_idf_private_key key;
    otter_err err;
    SemaphoreHandle_t done;
};

static void read_in_task(void *arg)
{
    struct reading *r = arg;

    r->err = read_key(r->config, &r->key);
    xSemaphoreGive(r->done); /* r is gone from here on */
    vTaskDelete(NULL);
}

static esp_err_t read_apart(struct reading *r)
{
    static StaticSemaphore_t memory;

    r->done = xSemaphoreCreateBinaryStatic(&memory);
    if (xTaskCreate(read_in_task, "otter_key", CONFIG_OTTER_TASK_STACK, r,
                    CONFIG_OTTER_TASK_PRIORITY, NULL) != pdPASS) {
        ESP_LOGE(TAG, "no memory for the task that reads the private key");
        return ESP_ERR_NO_MEM;
    }
    xSemaphoreTake(r->done, portMAX_DELAY);
    return ESP_OK;
}

esp_err_t otter_idf_open_cipher(const struct otter_idf_config *config,
                                struct otter_encrypted *encrypted)
{
    static struct otter_idf_cipher cipher;
    struct reading r = {.config = config};
    esp_err_t err = read_apart(&r);

    if (err != ESP_OK) {
        return err;
    }
    if (r.err != OTTER_OK) {
        ESP_LOGE(TAG, "no private key for encrypted images: RSA-3072 or P-256, without a password");
        return ESP_ERR_INVALID_ARG;
    }
    otter_encrypted_init(encrypted, otter_idf_cipher_on(&cipher, r.key));
    encrypted->plain_too = !OTTER_ENCRYPTED_ONLY;
    return ESP_OK;
}

#endif
