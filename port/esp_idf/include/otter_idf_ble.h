/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Updates over Bluetooth LE, on NimBLE. The application owns the stack: it initialises it,
 * advertises, and handles its own GAP events. Otter adds its services to it:
 *
 *     otter_idf_start(NULL);
 *     nimble_port_init();
 *     ble_svc_gap_init();
 *     ble_svc_gatt_init();
 *     otter_idf_ble_start(NULL);        between the stack's initialisation and its start
 *     nimble_port_freertos_init(host_task);
 *
 * Which services there are, and which security they ask for, is set in menuconfig.
 */
#ifndef OTTER_IDF_BLE_H
#define OTTER_IDF_BLE_H

#include <stddef.h>
#include <stdint.h>

#include <esp_err.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ble_gatt_svc_def;
struct ble_hs_adv_fields;

struct otter_idf_ble_config {
    /* A client wrote to CUSTOMER (0x8023): data for the application. Called in Otter's task. May be
     * NULL. */
    void (*customer)(void *ctx, uint16_t conn_handle, const uint8_t *data, size_t len);
    void *ctx;
};

/* Adds the services and starts the task that works for them. config may be NULL. */
esp_err_t otter_idf_ble_start(const struct otter_idf_ble_config *config);

/* For an application that adds all its services itself: sets up everything but them, and returns
 * the table for ble_gatts_count_cfg() and ble_gatts_add_svcs(). */
esp_err_t otter_idf_ble_prepare(const struct otter_idf_ble_config *config,
                                const struct ble_gatt_svc_def **services);

/* Fills in the service UUIDs that updaters look for: 0x8018 into the advertisement, the long one
 * into the scan response. Either may be NULL. */
void otter_idf_ble_adv_fields(struct ble_hs_adv_fields *advertisement,
                              struct ble_hs_adv_fields *scan_response);

/* Sends data to a client that subscribed to CUSTOMER, from the task that customer() is called in.
 * ESP_ERR_NO_MEM: no room now, try again later. */
esp_err_t otter_idf_ble_customer_send(uint16_t conn_handle, const uint8_t *data, size_t len);

/* Sets up ble_hs_cfg for the security level of menuconfig: bonding, MITM protection, LE Secure
 * Connections; and NimBLE's store of bonds, where the application has set up none. io_cap is
 * BLE_HS_IO_*. For applications that do not set it up themselves. Before the host task. */
void otter_idf_ble_security(uint8_t io_cap);

#ifdef __cplusplus
}
#endif
#endif
