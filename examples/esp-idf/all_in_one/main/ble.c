/* SPDX-License-Identifier: Apache-2.0 */
/* Bluetooth of the all-in-one example: the same as in ble_ota, without the name. */
#include "esp_log.h"
#include "host/ble_hs.h"
#include "host/util/util.h"
#include "nimble/nimble_port.h"
#include "nimble/nimble_port_freertos.h"
#include "services/gap/ble_svc_gap.h"
#include "services/gatt/ble_svc_gatt.h"

#include "app.h"
#include "otter_idf_ble.h"

static const char TAG[] = "app";
static uint8_t own_addr_type;

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

static int on_gap_event(struct ble_gap_event *event, void *arg)
{
    bool free_again = event->type == BLE_GAP_EVENT_DISCONNECT ||
                      event->type == BLE_GAP_EVENT_ADV_COMPLETE ||
                      (event->type == BLE_GAP_EVENT_CONNECT && event->connect.status != 0);

    if (free_again) {
        advertise();
    }
    return event->type == BLE_GAP_EVENT_REPEAT_PAIRING
               ? pair_again(event->repeat_pairing.conn_handle)
               : 0;
}

static void advertise(void)
{
    const struct ble_gap_adv_params params = {
        .conn_mode = BLE_GAP_CONN_MODE_UND,
        .disc_mode = BLE_GAP_DISC_MODE_GEN,
    };
    struct ble_hs_adv_fields fields = {.flags = BLE_HS_ADV_F_DISC_GEN | BLE_HS_ADV_F_BREDR_UNSUP};
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
    }
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
    nimble_port_run();
    nimble_port_freertos_deinit();
}

esp_err_t app_start_ble(void)
{
    esp_err_t err = nimble_port_init();

    if (err != ESP_OK) {
        return err;
    }
    ble_svc_gap_init();
    ble_svc_gatt_init();
    err = otter_idf_ble_start(NULL);
    if (err != ESP_OK) {
        return err;
    }
    otter_idf_ble_security(BLE_HS_IO_NO_INPUT_OUTPUT);
    ble_hs_cfg.sync_cb = on_sync;
    nimble_port_freertos_init(host_task);
    return ESP_OK;
}
