/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Wi-Fi station in blocking calls: scan, connect, disconnect, each with a status. For
 * applications that have no Wi-Fi code of their own; the FUOTA client works with any connection.
 *
 *     otter_idf_wifi_init();
 *     if (otter_idf_wifi_connect("ssid", "password") == OTTER_WIFI_OK) { ... }
 *
 * One task at a time calls these, except disconnect, which may end another task's connect.
 */
#ifndef OTTER_IDF_WIFI_H
#define OTTER_IDF_WIFI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <esp_err.h>

#include "otter/wifi.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Makes what is missing: the network interface layer, the default event loop, a station interface,
 * the driver. NVS must be initialised. */
esp_err_t otter_idf_wifi_init(void);

/* Disconnects and gives back everything that init made. */
esp_err_t otter_idf_wifi_deinit(void);

/* Looks for one access point. OTTER_WIFI_OK, and *seen says whether it is there and how strong. */
struct otter_idf_wifi_seen {
    bool there;
    int8_t rssi; /* dBm */
    uint8_t channel;
};
enum otter_wifi_status otter_idf_wifi_scan(const char *ssid, struct otter_idf_wifi_seen *seen);

/* Returns when there is an address, or there will be none. An empty password or NULL: an open
 * network. After that the connection comes back by itself when it is lost, until disconnect. */
enum otter_wifi_status otter_idf_wifi_connect(const char *ssid, const char *password);
enum otter_wifi_status otter_idf_wifi_disconnect(void);

#ifdef __cplusplus
}
#endif
#endif
