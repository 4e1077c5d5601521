/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wi-Fi: the driver's events go into the state machine of src/net, its commands to the driver. A
 * call that blocks waits for `changed`, which is given whenever the machine has moved.
 */
#include "otter_idf_wifi.h"

#include <string.h>

#include <esp_log.h>
#include <esp_netif.h>
#include <esp_timer.h>
#include <esp_wifi.h>
#include <freertos/FreeRTOS.h>
#include <freertos/semphr.h>
#include <sdkconfig.h>

#include "internal.h"

static const char TAG[] = "otter_wifi";

static struct {
    SemaphoreHandle_t lock;    /* over the machine */
    SemaphoreHandle_t changed; /* given when the machine has moved */
    esp_timer_handle_t timer;  /* when the machine wants to be polled */
    esp_netif_t *netif;
    esp_event_handler_instance_t on_wifi;
    esp_event_handler_instance_t on_ip;
    struct otter_wifi machine;
    uint32_t requests; /* so that a connect notices that a disconnect came after it */
    bool driver;       /* esp_wifi_init() was done here */
    bool started;
} wifi;

static void lock(void)
{
    xSemaphoreTake(wifi.lock, portMAX_DELAY);
}

static void unlock(void)
{
    xSemaphoreGive(wifi.lock);
}

/* ---- the machine's commands, under the lock ------------------------------------------------- */

static otter_err join(void *unused)
{
    esp_err_t err = esp_wifi_connect();

    if (err != ESP_OK) {
        ESP_LOGE(TAG, "connect: %s", esp_err_to_name(err));
    }
    return err == ESP_OK ? OTTER_OK : OTTER_ERR_LINK;
}

static otter_err leave(void *unused)
{
    esp_err_t err = esp_wifi_disconnect();

    if (err != ESP_OK) {
        ESP_LOGE(TAG, "disconnect: %s", esp_err_to_name(err));
    }
    return err == ESP_OK ? OTTER_OK : OTTER_ERR_LINK;
}

static void report(void *unused, enum otter_wifi_state state)
{
    otter_idf_post(OTTER_IDF_EVENT_WIFI, &state, sizeof(state));
}

/* Does what is due, sets the timer, and wakes whoever waits. Under the lock. */
static void attend(void)
{
    uint32_t wait = otter_wifi_poll(&wifi.machine, otter_idf_now_ms());

    (void)esp_timer_stop(wifi.timer); /* not running: fine */
    if (wait != OTTER_WIFI_NEVER) {
        esp_err_t err = esp_timer_start_once(wifi.timer, (uint64_t)wait * 1000);
        if (err != ESP_OK) {
            ESP_LOGE(TAG, "timer: %s", esp_err_to_name(err));
        }
    }
    xSemaphoreGive(wifi.changed);
}

static void on_timer(void *unused)
{
    lock();
    attend();
    unlock();
}

/* ---- the driver's events -------------------------------------------------------------------- */

static void happened(enum otter_wifi_event event)
{
    lock();
    otter_wifi_event(&wifi.machine, event, otter_idf_now_ms());
    attend();
    unlock();
}

static void on_wifi(void *arg, esp_event_base_t base, int32_t id, void *data)
{
    const wifi_event_sta_disconnected_t *why = data;

    if (id == WIFI_EVENT_STA_CONNECTED) {
        happened(OTTER_WIFI_JOINED);
    } else if (id == WIFI_EVENT_STA_DISCONNECTED) {
        ESP_LOGI(TAG, "left, reason %u", why->reason);
        happened(OTTER_WIFI_LEFT);
    }
}

static void on_ip(void *arg, esp_event_base_t base, int32_t id, void *data)
{
    if (id == IP_EVENT_STA_GOT_IP) {
        happened(OTTER_WIFI_ADDRESS);
    } else if (id == IP_EVENT_STA_LOST_IP) {
        happened(OTTER_WIFI_ADDRESS_LOST);
    }
}

/* ---- init and deinit ------------------------------------------------------------------------ */

/* Others may have made it before us. */
static esp_err_t made(esp_err_t err)
{
    return err == ESP_ERR_INVALID_STATE ? ESP_OK : err;
}

static esp_err_t init_machine(void)
{
    const esp_timer_create_args_t timer = {.callback = on_timer, .name = "otter_wifi"};
    const struct otter_wifi_config config = {
        .join = join,
        .leave = leave,
        .changed = report,
        .address_ms = CONFIG_OTTER_WIFI_ADDRESS_MS,
        .tries = CONFIG_OTTER_WIFI_TRIES,
        .stay = true,
    };

    if (otter_wifi_init(&wifi.machine, &config) != OTTER_OK) {
        return ESP_ERR_INVALID_ARG;
    }
    wifi.lock = xSemaphoreCreateMutex();
    wifi.changed = xSemaphoreCreateBinary();
    if (wifi.lock == NULL || wifi.changed == NULL) {
        return ESP_ERR_NO_MEM;
    }
    return esp_timer_create(&timer, &wifi.timer);
}

static esp_err_t init_driver(void)
{
    const wifi_init_config_t config = WIFI_INIT_CONFIG_DEFAULT();
    esp_err_t err = made(esp_netif_init());

    if (err == ESP_OK) {
        err = made(esp_event_loop_create_default());
    }
    if (err != ESP_OK) {
        return err;
    }
    wifi.netif = esp_netif_create_default_wifi_sta();
    if (wifi.netif == NULL) {
        return ESP_ERR_NO_MEM;
    }
    err = esp_wifi_init(&config);
    wifi.driver = err == ESP_OK;
    return err;
}

static esp_err_t init_events(void)
{
    esp_err_t err = esp_event_handler_instance_register(WIFI_EVENT, ESP_EVENT_ANY_ID, on_wifi, NULL,
                                                        &wifi.on_wifi);

    if (err == ESP_OK) {
        err = esp_event_handler_instance_register(IP_EVENT, ESP_EVENT_ANY_ID, on_ip, NULL,
                                                  &wifi.on_ip);
    }
    return err;
}

static esp_err_t start_driver(void)
{
    esp_err_t err = esp_wifi_set_storage(WIFI_STORAGE_RAM);

    if (err == ESP_OK) {
        err = esp_wifi_set_mode(WIFI_MODE_STA);
    }
    if (err == ESP_OK) {
        err = esp_wifi_start();
    }
    wifi.started = err == ESP_OK;
    return err;
}

/* The first error stays; what is left is given back all the same. */
static void undo(esp_err_t *first, esp_err_t err, const char *what)
{
    if (err != ESP_OK) {
        ESP_LOGE(TAG, "%s: %s", what, esp_err_to_name(err));
        *first = *first == ESP_OK ? err : *first;
    }
}

/* Gives back whatever there is. */
static esp_err_t release(void)
{
    esp_err_t first = ESP_OK;

    if (wifi.on_wifi != NULL) {
        undo(&first,
             esp_event_handler_instance_unregister(WIFI_EVENT, ESP_EVENT_ANY_ID, wifi.on_wifi),
             "unregister");
    }
    if (wifi.on_ip != NULL) {
        undo(&first, esp_event_handler_instance_unregister(IP_EVENT, ESP_EVENT_ANY_ID, wifi.on_ip),
             "unregister");
    }
    if (wifi.timer != NULL) {
        (void)esp_timer_stop(wifi.timer); /* not running: fine */
        undo(&first, esp_timer_delete(wifi.timer), "timer");
    }
    if (wifi.started) {
        undo(&first, esp_wifi_stop(), "stop");
    }
    if (wifi.driver) {
        undo(&first, esp_wifi_deinit(), "deinit");
    }
    if (wifi.netif != NULL) {
        esp_netif_destroy_default_wifi(wifi.netif);
    }
    if (wifi.changed != NULL) {
        vSemaphoreDelete(wifi.changed);
    }
    if (wifi.lock != NULL) {
        vSemaphoreDelete(wifi.lock);
    }
    memset(&wifi, 0, sizeof(wifi));
    return first;
}

esp_err_t otter_idf_wifi_init(void)
{
    if (wifi.lock != NULL) {
        return ESP_ERR_INVALID_STATE;
    }
    esp_err_t err = init_machine();

    if (err == ESP_OK) {
        err = init_driver();
    }
    if (err == ESP_OK) {
        err = init_events();
    }
    if (err == ESP_OK) {
        err = start_driver();
    }
    if (err != ESP_OK) {
        ESP_LOGE(TAG, "init: %s", esp_err_to_name(err));
        (void)release(); /* what went wrong first is what counts */
    }
    return err;
}

esp_err_t otter_idf_wifi_deinit(void)
{
    if (wifi.lock == NULL) {
        return ESP_ERR_INVALID_STATE;
    }
    (void)otter_idf_wifi_disconnect(); /* not connected: fine; late: the driver is stopped next */
    return release();
}

/* ---- blocking calls ------------------------------------------------------------------------- */

enum otter_wifi_status otter_idf_wifi_scan(const char *ssid, struct otter_idf_wifi_seen *seen)
{
    uint8_t name[33];
    wifi_scan_config_t scan = {.ssid = name, .show_hidden = true};
    wifi_ap_record_t record;
    uint16_t count = 1; /* the strongest comes first */

    if (wifi.lock == NULL || ssid == NULL || seen == NULL || ssid[0] == '\0' ||
        strlen(ssid) >= sizeof(name)) {
        return OTTER_WIFI_BAD_PARAMETER;
    }
    strlcpy((char *)name, ssid, sizeof(name));
    esp_err_t err = esp_wifi_scan_start(&scan, true);
    if (err == ESP_OK) {
        /* Frees the whole list, also what does not fit. */
        err = esp_wifi_scan_get_ap_records(&count, &record);
    }
    if (err != ESP_OK) {
        ESP_LOGE(TAG, "scan: %s", esp_err_to_name(err));
        (void)esp_wifi_clear_ap_list();
        return OTTER_WIFI_SYSTEM_ERROR;
    }
    *seen = (struct otter_idf_wifi_seen){.there = count > 0};
    if (count > 0) {
        seen->rssi = record.rssi;
        seen->channel = record.primary;
    }
    return OTTER_WIFI_OK;
}

static enum otter_wifi_status set_network(const char *ssid, const char *password)
{
    wifi_config_t config = {0};
    size_t ssid_len = ssid != NULL ? strlen(ssid) : 0;
    size_t password_len = password != NULL ? strlen(password) : 0;

    if (ssid_len == 0 || ssid_len > sizeof(config.sta.ssid) ||
        password_len > sizeof(config.sta.password)) {
        return OTTER_WIFI_BAD_PARAMETER;
    }
    /* Both fields may be filled to their end, without a NUL. */
    memcpy(config.sta.ssid, ssid, ssid_len);
    if (password_len > 0) {
        memcpy(config.sta.password, password, password_len);
        config.sta.threshold.authmode = WIFI_AUTH_WPA2_PSK;
    }
    config.sta.pmf_cfg.capable = true;
    config.sta.sae_pwe_h2e = WPA3_SAE_PWE_BOTH;
    esp_err_t err = esp_wifi_set_config(WIFI_IF_STA, &config);
    if (err != ESP_OK) {
        ESP_LOGE(TAG, "config: %s", esp_err_to_name(err));
    }
    return err == ESP_OK                                                ? OTTER_WIFI_OK
           : err == ESP_ERR_WIFI_PASSWORD || err == ESP_ERR_INVALID_ARG ? OTTER_WIFI_BAD_PARAMETER
                                                                        : OTTER_WIFI_SYSTEM_ERROR;
}

/* Waits for the answer to the request numbered so. Called and left under the lock. */
static enum otter_wifi_status wait_for(uint32_t request)
{
    while (wifi.requests == request && wifi.machine.answer == OTTER_WIFI_PENDING) {
        unlock();
        xSemaphoreTake(wifi.changed, portMAX_DELAY); /* the machine's timers bound it */
        lock();
    }
    if (wifi.requests != request) {
        xSemaphoreGive(wifi.changed); /* for the one that came after us */
        return OTTER_WIFI_DISCONNECTED;
    }
    return (enum otter_wifi_status)wifi.machine.answer;
}

static enum otter_wifi_status ask(enum otter_wifi_status (*what)(struct otter_wifi *w,
                                                                 uint32_t now_ms))
{
    lock();
    enum otter_wifi_status status = what(&wifi.machine, otter_idf_now_ms());
    if (status != OTTER_WIFI_ALREADY) {
        wifi.requests++;
    }
    attend();
    if (status == OTTER_WIFI_PENDING) {
        status = wait_for(wifi.requests);
    }
    unlock();
    return status;
}

enum otter_wifi_status otter_idf_wifi_connect(const char *ssid, const char *password)
{
    if (wifi.lock == NULL) {
        return OTTER_WIFI_BAD_PARAMETER;
    }
    lock();
    bool off = wifi.machine.state == OTTER_WIFI_OFF;
    enum otter_wifi_status status = off ? set_network(ssid, password) : OTTER_WIFI_ALREADY;
    unlock();
    return status == OTTER_WIFI_OK ? ask(otter_wifi_connect) : status;
}

enum otter_wifi_status otter_idf_wifi_disconnect(void)
{
    return wifi.lock == NULL ? OTTER_WIFI_BAD_PARAMETER : ask(otter_wifi_disconnect);
}
