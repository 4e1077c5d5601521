/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The update server is told how an update ended. A device that restarts into another image knows
 * of no update: it remembers in NVS which image it told of last, and which was given up, and tells
 * when there is another.
 */
#include <stdio.h>
#include <string.h>

#include <esp_log.h>
#include <nvs.h>
#include <sdkconfig.h>

#include "fuota.h"
#include "internal.h"

#ifdef CONFIG_OTTER_FUOTA_REPORT

#define TIMEOUT_MS 15000u
#define TRIES 4u /* in a row that brought no answer: the server knows of no reports */
#define URL_SIZE (2 * OTTER_FUOTA_URL_MAX)

static const char TAG[] = "otter_report";

struct told {
    uint8_t image[OTTER_SHA256_SIZE];
    uint8_t given_up[OTTER_SHA256_SIZE]; /* zeros: none */
};

static struct {
    nvs_handle_t nvs;
    struct told told;
    bool known; /* told is what NVS has */
    uint8_t tries;
    char url[URL_SIZE];
} reports;

static void save(const struct told *told)
{
    esp_err_t err = nvs_set_blob(reports.nvs, "told", told, sizeof(*told));

    if (err == ESP_OK) {
        err = nvs_commit(reports.nvs);
    }
    if (err != ESP_OK) {
        ESP_LOGW(TAG, "not saved, and told again after a restart: %s", esp_err_to_name(err));
    }
    reports.told = *told;
    reports.known = true;
    reports.tries = 0;
}

/* False: there is nothing to compare with. A device that was never asked has no update behind it.
 */
static bool look_up(const struct told *now)
{
    size_t size = sizeof(reports.told);
    esp_err_t err = reports.nvs != 0 ? ESP_OK : nvs_open("otter", NVS_READWRITE, &reports.nvs);

    if (reports.known || err != ESP_OK) {
        return reports.known;
    }
    err = nvs_get_blob(reports.nvs, "told", &reports.told, &size);
    reports.known = err == ESP_OK && size == sizeof(reports.told);
    if (!reports.known) {
        save(now);
    }
    return reports.known;
}

static void put_hex(char text[65], const uint8_t digest[OTTER_SHA256_SIZE])
{
    for (unsigned i = 0; i < OTTER_SHA256_SIZE; i++) {
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    }
}

/* The HTTP status, 0 without an answer. */
static int post(const struct otter_idf_fuota_config *config, const char *body)
{
    bool login = config->username[0] != '\0';
    esp_http_client_handle_t client =
        otter_idf_fuota_client(config, reports.url, login, TIMEOUT_MS, NULL);
    int status = 0;

    if (client == NULL) {
        return 0;
    }
    esp_err_t err = esp_http_client_set_method(client, HTTP_METHOD_POST);
    if (err == ESP_OK) {
        err = esp_http_client_set_header(client, "Content-Type", "application/json");
    }
    if (err == ESP_OK) {
        err = esp_http_client_set_post_field(client, body, (int)strlen(body));
    }
    if (err == ESP_OK) {
        err = esp_http_client_perform(client);
    }
    if (err == ESP_OK) {
        status = esp_http_client_get_status_code(client);
    }
    err = esp_http_client_cleanup(client);
    if (err != ESP_OK) {
        ESP_LOGW(TAG, "cleanup: %s", esp_err_to_name(err));
    }
    return status;
}

void otter_idf_fuota_tell(const struct otter_idf_fuota_config *config, otter_err failed, char *buf,
                          size_t size)
{
    struct otter_idf_report boot;
    struct otter_fuota_report report = {.result = "failed", .detail = otter_err_text(failed)};
    struct told now = {0};
    char running[65];

    if (otter_idf_report(&boot) != ESP_OK || boot.pending) {
        return;
    }
    memcpy(now.image, boot.image, sizeof(now.image));
    if (boot.rejected[0] != '\0') {
        memcpy(now.given_up, boot.given_up, sizeof(now.given_up));
    }
    if (!look_up(&now)) {
        return;
    }
    bool rolled_back = boot.rejected[0] != '\0' &&
                       memcmp(reports.told.given_up, now.given_up, sizeof(now.given_up)) != 0;
    bool updated = memcmp(reports.told.image, now.image, sizeof(now.image)) != 0;
    if (rolled_back) {
        report.result = "rolled-back";
        report.detail = "the new image did not confirm itself";
    } else if (updated) {
        report.result = "updated";
        report.detail = "confirmed";
    } else if (failed == OTTER_OK) {
        return;
    }
    put_hex(running, boot.image);
    report.version = boot.version;
    report.running = running;
    if (otter_fuota_report_url(reports.url, sizeof(reports.url), config->server,
                               config->device_id) != OTTER_OK ||
        otter_fuota_report_body(buf, size, &report) != OTTER_OK) {
        return;
    }
    int status = post(config, buf);
    ESP_LOGI(TAG, "%s: HTTP %d", report.result, status);
    bool later = status == 0 || status == 429 || status >= 500;
    if ((rolled_back || updated) && (!later || ++reports.tries >= TRIES)) {
        save(&now);
    }
}

#else

void otter_idf_fuota_tell(const struct otter_idf_fuota_config *config, otter_err failed, char *buf,
                          size_t size)
{
}

#endif
