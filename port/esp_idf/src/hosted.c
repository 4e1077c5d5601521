/* SPDX-License-Identifier: Apache-2.0 */
/* ESP-Hosted's control path on a UART. */
#include "otter_idf_hosted.h"

#include <stdlib.h>
#include <string.h>

#include <driver/uart.h>
#include <esp_app_desc.h>
#include <esp_log.h>
#include <freertos/FreeRTOS.h>
#include <freertos/task.h>
#include <sdkconfig.h>

#include "internal.h"

#define PORT ((uart_port_t)CONFIG_OTTER_HOSTED_UART)
#define FLOW_THRESHOLD 100 /* bytes in the receive FIFO that close the line, of 128 */

static const char TAG[] = "otter_hosted";

static struct {
    struct otter_idf_transport transport;
    struct otter_hosted_device device;
    uint8_t message[OTTER_HOSTED_DATA_MAX];
    uint8_t input[256];
    size_t first, last; /* bytes of input that the device has not taken */
    bool started;
} hosted;

/* Waits for bytes for at most `wait` ms, when there are none left of the last time. */
static void receive(uint32_t wait)
{
    if (hosted.first < hosted.last) {
        return;
    }
    hosted.first = hosted.last = 0;
    int len = uart_read_bytes(PORT, hosted.input, 1, otter_idf_ticks(wait));
    if (len > 0) {
        size_t there = 0;
        esp_err_t err = uart_get_buffered_data_len(PORT, &there);
        if (err != ESP_OK) {
            ESP_LOGE(TAG, "read: %s", esp_err_to_name(err));
        }
        size_t room = sizeof(hosted.input) - 1;
        int more = uart_read_bytes(PORT, hosted.input + 1, there < room ? there : room, 0);
        len += more > 0 ? more : 0;
    }
    if (len < 0) {
        ESP_LOGE(TAG, "read failed");
        vTaskDelay(otter_idf_ticks(100));
        return;
    }
    hosted.last = (size_t)len;
}

/* The driver's buffer has room for every answer there can be. */
static void answer(void)
{
    const uint8_t *data;
    size_t len = otter_hosted_device_output(&hosted.device, &data);

    if (len > 0) {
        int sent = uart_write_bytes(PORT, data, len);
        if (sent < 0) {
            ESP_LOGE(TAG, "write failed");
            sent = (int)len; /* the host asks again */
        }
        otter_hosted_device_sent(&hosted.device, (size_t)sent);
    }
}

static void work(void *unused)
{
    for (uint32_t wait = 0;;) {
        receive(wait);
        uint32_t now = otter_idf_now_ms();
        if (hosted.first < hosted.last) {
            hosted.first += otter_hosted_device_input(&hosted.device, hosted.input + hosted.first,
                                                      hosted.last - hosted.first, now);
        }
        wait = otter_hosted_device_poll(&hosted.device, now);
        answer();
    }
}

static esp_err_t start_uart(void)
{
    const uart_config_t config = {
        .baud_rate = CONFIG_OTTER_HOSTED_BAUD,
        .data_bits = UART_DATA_8_BITS,
        .parity = UART_PARITY_DISABLE,
        .stop_bits = UART_STOP_BITS_1,
        .flow_ctrl = CONFIG_OTTER_HOSTED_RTS_PIN >= 0 && CONFIG_OTTER_HOSTED_CTS_PIN >= 0
                         ? UART_HW_FLOWCTRL_CTS_RTS
                         : UART_HW_FLOWCTRL_DISABLE,
        .rx_flow_ctrl_thresh = FLOW_THRESHOLD,
        .source_clk = UART_SCLK_DEFAULT,
    };
    esp_err_t err = uart_driver_install(PORT, CONFIG_OTTER_HOSTED_RX_BUFFER, 512, 0, NULL, 0);

    if (err == ESP_OK) {
        err = uart_param_config(PORT, &config);
    }
    if (err == ESP_OK) {
        err = uart_set_pin(PORT, CONFIG_OTTER_HOSTED_TX_PIN, CONFIG_OTTER_HOSTED_RX_PIN,
                           CONFIG_OTTER_HOSTED_RTS_PIN, CONFIG_OTTER_HOSTED_CTS_PIN);
    }
    return err;
}

/* "v1.2.3-4-gabcdef" as numbers; what is not there is 0. */
static struct otter_hosted_version own_version(void)
{
    const esp_app_desc_t *app = esp_app_get_description();
    struct otter_hosted_version version = {.name = app->project_name};
    uint32_t *part[] = {&version.major1, &version.minor, &version.rev_patch1};
    const char *at = app->version + (app->version[0] == 'v' ? 1 : 0);

    for (int i = 0; i < 3; i++) {
        char *end;
        *part[i] = (uint32_t)strtoul(at, &end, 10);
        if (end == at || *end != '.') {
            break;
        }
        at = end + 1;
    }
    return version;
}

esp_err_t otter_idf_hosted_start(const struct otter_hosted_version *version)
{
    struct otter_hosted_config config = {
        .buf = hosted.message,
        .buf_size = sizeof(hosted.message),
        .version = version != NULL ? *version : own_version(),
        .restart_ms = OTTER_HOSTED_RESTART_MS,
        .silence_ms = OTTER_HOSTED_SILENCE_MS,
        .restart = otter_idf_restart,
    };

    if (hosted.started) {
        return ESP_ERR_INVALID_STATE;
    }
    esp_err_t err = otter_idf_transport_sink(&hosted.transport, &config.sink);
    if (err != ESP_OK) {
        return err;
    }
    if (otter_hosted_device_init(&hosted.device, &config) != OTTER_OK) {
        return ESP_ERR_INVALID_ARG;
    }
    err = start_uart();
    if (err != ESP_OK) {
        ESP_LOGE(TAG, "UART %d: %s", (int)PORT, esp_err_to_name(err));
        return err;
    }
    hosted.started = xTaskCreate(work, "otter_hosted", CONFIG_OTTER_TASK_STACK, NULL,
                                 CONFIG_OTTER_TASK_PRIORITY, NULL) == pdPASS;
    return hosted.started ? ESP_OK : ESP_ERR_NO_MEM;
}
