/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wait, look for the access point, connect, ask the server, update, restart; for ever. For a device
 * that comes by its access point from time to time: a vehicle, say. One that is always connected
 * calls otter_idf_fuota_start() once instead of all this.
 */
#include "esp_log.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "nvs_flash.h"
#include "sdkconfig.h"

#include "otter_idf.h"
#include "otter_idf_fuota.h"
#include "otter_idf_wifi.h"

#define WAIT_MS (CONFIG_OTTER_FUOTA_POLL_S * 1000u)

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

static void on_progress(void *arg, esp_event_base_t base, int32_t id, void *data)
{
    const struct otter_idf_progress *progress = data;

    if (id == OTTER_IDF_EVENT_PROGRESS) {
        ESP_LOGI(TAG, "%u of %u bytes", (unsigned)progress->done, (unsigned)progress->total);
    }
}

static bool access_point_in_reach(void)
{
    struct otter_idf_wifi_seen seen;
    enum otter_wifi_status status = otter_idf_wifi_scan(CONFIG_EXAMPLE_SSID, &seen);

    if (status != OTTER_WIFI_OK) {
        ESP_LOGE(TAG, "scan: status %d", (int)status);
        return false;
    }
    return seen.there;
}

/* Returns in how many ms to try again; does not return after an update. */
static uint32_t update(void)
{
    const struct otter_idf_fuota_config config = {.ca = ca_cert}; /* the rest is in menuconfig */
    uint32_t wait = 0;

    switch (otter_idf_fuota_update(&config, &wait)) {
    case OTTER_FUOTA_UPDATED:
        ESP_LOGI(TAG, "updated, restart");
        if (otter_idf_wifi_disconnect() != OTTER_WIFI_OK) {
            ESP_LOGW(TAG, "still connected");
        }
        esp_restart();
    case OTTER_FUOTA_NO_UPDATE:
        ESP_LOGI(TAG, "no update available");
        break;
    case OTTER_FUOTA_PARAMETER_ERROR:
        ESP_LOGE(TAG, "the server does not know this device, or its user");
        break;
    case OTTER_FUOTA_CONNECTION_ERROR:
        ESP_LOGW(TAG, "the server is not there");
        break;
    default:
        ESP_LOGE(TAG, "the update failed");
        break;
    }
    return wait;
}

static uint32_t connect_and_update(void)
{
    enum otter_wifi_status status =
        otter_idf_wifi_connect(CONFIG_EXAMPLE_SSID, CONFIG_EXAMPLE_PASSWORD);

    if (status != OTTER_WIFI_OK) {
        ESP_LOGW(TAG, "not connected: status %d", (int)status);
        return 0;
    }
    uint32_t wait = update();
    status = otter_idf_wifi_disconnect();
    if (status != OTTER_WIFI_OK) {
        ESP_LOGW(TAG, "disconnect: status %d", (int)status);
    }
    return wait;
}

void app_main(void)
{
    struct otter_idf_report report;

    start_nvs();
    ESP_ERROR_CHECK(otter_idf_start(NULL));
    ESP_ERROR_CHECK(otter_idf_report(&report));
    ESP_LOGI(TAG, "===== %s %s =====", report.project, report.version);
    ESP_ERROR_CHECK(otter_idf_wifi_init());
    ESP_ERROR_CHECK(esp_event_handler_register(OTTER_EVENT, ESP_EVENT_ANY_ID, on_progress, NULL));

    /* The application's part of the check; the server's answer is the other (CONFIRM_PATH). */
    otter_idf_health_check(true);

    for (;;) {
        uint32_t wait = WAIT_MS;
        vTaskDelay(pdMS_TO_TICKS(5000));
        if (access_point_in_reach()) {
            uint32_t asked = connect_and_update();
            wait = asked > wait ? asked : wait; /* a server under load asks for more */
        }
        vTaskDelay(pdMS_TO_TICKS(wait));
    }
}
