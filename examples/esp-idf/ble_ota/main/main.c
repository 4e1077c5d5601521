/* SPDX-License-Identifier: Apache-2.0 */
/* A NimBLE application that can be updated over Bluetooth LE, by both services. */
#include "esp_log.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "host/ble_hs.h"
#include "host/util/util.h"
#include "nimble/nimble_port.h"
#include "nimble/nimble_port_freertos.h"
#include "nvs_flash.h"
#include "services/gap/ble_svc_gap.h"
#include "services/gatt/ble_svc_gatt.h"

#include "otter_idf.h"
#include "otter_idf_ble.h"

#define SELF_TEST_MS 5000

static const char TAG[] = "app";
static const char NAME[] = "otter";

static uint8_t own_addr_type;
static volatile bool advertised;

static void advertise(void);

/* A central that has forgotten us pairs again: else the bond that is kept here shuts it out.
 * Without bonds this never happens. */
static int pair_again(uint16_t conn)
{
    struct ble_gap_conn_desc desc;

    if (ble_gap_conn_find(conn, &desc) != 0 ||
        ble_store_util_delete_peer(&desc.peer_id_addr) != 0) {
        return BLE_GAP_REPEAT_PAIRING_IGNORE;
    }
    return BLE_GAP_REPEAT_PAIRING_RETRY;
}

/* The application's own events: Otter needs none of them. */
static int on_gap_event(struct ble_gap_event *event, void *arg)
{
    switch (event->type) {
    case BLE_GAP_EVENT_CONNECT:
        if (event->connect.status != 0) {
            advertise();
        }
        break;
    case BLE_GAP_EVENT_DISCONNECT:
    case BLE_GAP_EVENT_ADV_COMPLETE:
        advertise();
        break;
    case BLE_GAP_EVENT_REPEAT_PAIRING:
        return pair_again(event->repeat_pairing.conn_handle);
    default:
        break;
    }
    return 0;
}

static void advertise(void)
{
    const struct ble_gap_adv_params params = {
        .conn_mode = BLE_GAP_CONN_MODE_UND,
        .disc_mode = BLE_GAP_DISC_MODE_GEN,
    };
    struct ble_hs_adv_fields fields = {
        .flags = BLE_HS_ADV_F_DISC_GEN | BLE_HS_ADV_F_BREDR_UNSUP,
        .name = (const uint8_t *)NAME,
        .name_len = sizeof(NAME) - 1,
        .name_is_complete = 1,
    };
    struct ble_hs_adv_fields response = {0};

    otter_idf_ble_adv_fields(&fields, &response);
    int rc = ble_gap_adv_set_fields(&fields);
    if (rc == 0) {
        rc = ble_gap_adv_rsp_set_fields(&response);
    }
    if (rc == 0) {
        rc = ble_gap_adv_start(own_addr_type, NULL, BLE_HS_FOREVER, &params, on_gap_event, NULL);
    }
    if (rc != 0 && rc != BLE_HS_EALREADY) {
        ESP_LOGE(TAG, "advertising: %d", rc);
        return;
    }
    advertised = true;
}

static void on_sync(void)
{
    int rc = ble_hs_util_ensure_addr(0);

    if (rc == 0) {
        rc = ble_hs_id_infer_auto(0, &own_addr_type);
    }
    if (rc != 0) {
        ESP_LOGE(TAG, "no address: %d", rc);
        return;
    }
    advertise();
}

static void host_task(void *unused)
{
    nimble_port_run(); /* until nimble_port_stop() */
    nimble_port_freertos_deinit();
}

static void start_nvs(void)
{
    esp_err_t err = nvs_flash_init();

    if (err == ESP_ERR_NVS_NO_FREE_PAGES || err == ESP_ERR_NVS_NEW_VERSION_FOUND) {
        ESP_ERROR_CHECK(nvs_flash_erase());
        err = nvs_flash_init();
    }
    ESP_ERROR_CHECK(err);
}

/* What shows that this image works. A real application looks at its sensors, its storage ... The
 * stack starts in its own task, so there is something to wait for. */
static bool self_test(void)
{
    for (int tries = 0; tries < SELF_TEST_MS / 100 && !advertised; tries++) {
        vTaskDelay(pdMS_TO_TICKS(100));
    }
    return advertised;
}

void app_main(void)
{
    struct otter_idf_report report;

    start_nvs();
    ESP_ERROR_CHECK(otter_idf_start(NULL));
    ESP_ERROR_CHECK(otter_idf_report(&report));
    ESP_LOGI(TAG, "%s %s in %s%s", report.project, report.version, report.slot,
             report.pending ? ", first boot" : "");
    if (report.rejected[0] != '\0') {
        ESP_LOGW(TAG, "the image in %s was given up", report.rejected);
    }

    ESP_ERROR_CHECK(nimble_port_init());
    ble_svc_gap_init();
    ble_svc_gatt_init();
    ESP_ERROR_CHECK(otter_idf_ble_start(NULL));
    otter_idf_ble_security(BLE_HS_IO_NO_INPUT_OUTPUT);
    ble_hs_cfg.sync_cb = on_sync;
    if (ble_svc_gap_device_name_set(NAME) != 0) {
        ESP_LOGE(TAG, "the name is too long");
    }
    nimble_port_freertos_init(host_task);

    otter_idf_health_check(self_test());
}
