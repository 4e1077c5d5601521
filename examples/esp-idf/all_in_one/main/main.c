/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every way in at once: Bluetooth LE, an update server, a wired host. Whoever begins first has the
 * update; the others are told that the device is busy.
 */
#include "esp_log.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "nvs_flash.h"
#include "sdkconfig.h"

#include "app.h"
#include "otter_idf.h"
#include "otter_idf_fuota.h"
#include "otter_idf_hosted.h"
#include "otter_idf_wifi.h"

static const char TAG[] = "app";

extern const char ca_cert[] asm("_binary_ca_cert_pem_start");

static void start_nvs(void)
{
    esp_err_t err = nvs_flash_init();

    if (err == ESP_ERR_NVS_NO_FREE_PAGES || err == ESP_ERR_NVS_NEW_VERSION_FOUND) {
        ESP_ERROR_CHECK(nvs_flash_erase());
        err = nvs_flash_init();
    }
    ESP_ERROR_CHECK(err);
}

/* Ways in that fail leave the others open. */
static void start(const char *what, esp_err_t err)
{
    if (err != ESP_OK) {
        ESP_LOGE(TAG, "%s: %s", what, esp_err_to_name(err));
    }
}

/* From here on the connection comes back by itself, and the client checks from time to time. */
static esp_err_t start_fuota(void)
{
    static const struct otter_idf_fuota_config config = {.ca = ca_cert};
    enum otter_wifi_status status;

    while ((status = otter_idf_wifi_connect(CONFIG_EXAMPLE_SSID, CONFIG_EXAMPLE_PASSWORD)) !=
           OTTER_WIFI_OK) {
        ESP_LOGW(TAG, "Wi-Fi: status %d", (int)status);
        vTaskDelay(pdMS_TO_TICKS(30000));
    }
    return otter_idf_fuota_start(&config);
}

/* Only where menuconfig wants images signed or encrypted. */
static struct otter_idf_config keys(void)
{
    struct otter_idf_config config = {0};

#if CONFIG_OTTER_SIGNATURES
    extern const uint8_t trusted[][32] asm("_binary_trusted_bin_start");
    extern const uint8_t trusted_end[][32] asm("_binary_trusted_bin_end");
    config.trusted = trusted;
    config.trusted_count = (size_t)(trusted_end - trusted);
#endif
#if CONFIG_OTTER_KEY_APPLICATION
    extern const uint8_t key[] asm("_binary_device_pem_start");
    extern const uint8_t key_end[] asm("_binary_device_pem_end");
    config.key = key;
    config.key_size = (size_t)(key_end - key);
#endif
    return config;
}

void app_main(void)
{
    const struct otter_idf_config config = keys();
    struct otter_idf_report report;

    start_nvs();
    ESP_ERROR_CHECK(otter_idf_start(&config));
    ESP_ERROR_CHECK(otter_idf_report(&report));
    ESP_LOGI(TAG, "%s %s in %s", report.project, report.version, report.slot);

    start("Bluetooth", app_start_ble());
    start("serial line", otter_idf_hosted_start(NULL));
    start("Wi-Fi", otter_idf_wifi_init());
    otter_idf_health_check(true);
    start("update server", start_fuota());
}
