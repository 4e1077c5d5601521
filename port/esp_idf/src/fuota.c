/* SPDX-License-Identifier: Apache-2.0 */
/* The FUOTA client of src/proto/fuota over esp_http_client: one request at a time, blocking. */
#include "otter_idf_fuota.h"

#include <string.h>

#include <esp_log.h>
#include <esp_mac.h>
#include <esp_random.h>
#include <esp_tls.h>
#include <freertos/FreeRTOS.h>
#include <freertos/semphr.h>
#include <freertos/task.h>
#include <sdkconfig.h>
#ifdef CONFIG_MBEDTLS_CERTIFICATE_BUNDLE
#include <esp_crt_bundle.h>
#endif
#ifdef CONFIG_OTTER_FUOTA_RESUME
#include <nvs.h>
#define OTTER_FUOTA_RESUME 1
#else
#define OTTER_FUOTA_RESUME 0
#endif

#include "fuota.h"
#include "internal.h"

#define STOP_LOOK_MS 500u /* a task that waits looks this often whether it is to stop */

static const char TAG[] = "otter_fuota";

static struct {
    struct otter_idf_fuota_config config;
    struct otter_idf_transport transport;
    struct otter_fuota machine;
    char device_id[13];
    struct otter_idf_report report; /* of this boot: the machine keeps its version */
    char running[65];               /* digest of the running image, as hexadecimal digits */
    char given_up[65];              /* likewise, of one that was rolled back, or "" */
#if OTTER_FUOTA_RESUME
    nvs_handle_t nvs;
    struct otter_fuota_kept kept;
#endif
    TaskHandle_t task;
    SemaphoreHandle_t stopped; /* given when the task is gone */
    bool busy;                 /* the machine is in use */
    volatile bool stop;
    bool untrusted;   /* the certificate was refused */
    bool answered;    /* a check is over that the server answered: it can be told things */
    otter_err failed; /* what refused the image of that check, or OTTER_OK */
    uint32_t wait_ms;
    char buf[CONFIG_OTTER_FUOTA_BUFFER];
} fuota;

/* ---- one request ---------------------------------------------------------------------------- */

/* The certificate's faults are all that tells "not trusted" from "not reached". */
static void look_at_tls(const esp_http_client_event_t *event)
{
    int flags = 0;
    int tls = 0;

    if (event->data != NULL &&
        esp_tls_get_and_clear_last_error(event->data, &tls, &flags) != ESP_OK && flags != 0) {
        ESP_LOGE(TAG, "the server's certificate is not trusted: 0x%x", (unsigned)flags);
        fuota.untrusted = true;
    }
}

/* esp_http_client_read() returns when its buffer is full or nothing comes, which a server that
 * sends a byte a second can put off for long. A timeout of next to nothing ends it. */
static void look_at_clock(esp_http_client_handle_t client)
{
    uint32_t wait;
    enum otter_fuota_do what = otter_fuota_poll(&fuota.machine, otter_idf_now_ms(), &wait);

    if (what == OTTER_FUOTA_STOP || fuota.stop) {
        (void)esp_http_client_set_timeout_ms(client, 1); /* fails for no client only */
    }
}

static esp_err_t on_http(esp_http_client_event_t *event)
{
    switch (event->event_id) {
    case HTTP_EVENT_ON_HEADER:
        otter_fuota_header(&fuota.machine, event->header_key, event->header_value);
        look_at_clock(event->client);
        break;
    case HTTP_EVENT_ON_DATA:
        look_at_clock(event->client);
        break;
    case HTTP_EVENT_ERROR:
    case HTTP_EVENT_DISCONNECTED:
        look_at_tls(event);
        break;
    default:
        break;
    }
    return ESP_OK;
}

esp_http_client_handle_t otter_idf_fuota_client(const struct otter_idf_fuota_config *c,
                                                const char *url, bool login, uint32_t timeout_ms,
                                                http_event_handle_cb on_event)
{
    esp_http_client_config_t config = {
        .url = url,
        .username = login ? c->username : NULL,
        .password = login ? c->password : NULL,
        .auth_type = login ? HTTP_AUTH_TYPE_BASIC : HTTP_AUTH_TYPE_NONE,
        .cert_pem = c->ca,
        .timeout_ms = (int)timeout_ms,
        .disable_auto_redirect = true,
        .max_authorization_retries = -1,
        .event_handler = on_event,
        .buffer_size = CONFIG_OTTER_FUOTA_BUFFER,
        .buffer_size_tx = 1024, /* a URL of 512 bytes, and the headers */
        .transport_type = HTTP_TRANSPORT_OVER_SSL,
    };

#ifdef CONFIG_MBEDTLS_CERTIFICATE_BUNDLE
    if (c->ca == NULL) {
        config.crt_bundle_attach = esp_crt_bundle_attach;
    }
#endif
    return esp_http_client_init(&config);
}

static esp_err_t send_request(esp_http_client_handle_t client,
                              const struct otter_fuota_request *request)
{
    esp_err_t err = ESP_OK;

    if (request->range[0] != '\0') {
        err = esp_http_client_set_header(client, "Range", request->range);
    }
    if (err == ESP_OK && request->authorize) {
        err = esp_http_client_set_header(client, "Otter-Running", fuota.running);
    }
    if (err == ESP_OK && request->if_range[0] != '\0') {
        err = esp_http_client_set_header(client, "If-Range", request->if_range);
    }
    return err == ESP_OK ? esp_http_client_open(client, 0) : err;
}

static otter_err read_body(esp_http_client_handle_t client)
{
    for (;;) {
        int len = esp_http_client_read(client, fuota.buf, sizeof(fuota.buf));
        if (fuota.stop) {
            return OTTER_ERR_CANCELLED;
        }
        if (len <= 0) {
            bool whole = len == 0 && esp_http_client_is_complete_data_received(client);
            return whole                         ? OTTER_OK
                   : len == -ESP_ERR_HTTP_EAGAIN ? OTTER_ERR_TIMEOUT
                                                 : OTTER_ERR_LINK;
        }
        otter_err err = otter_fuota_body(&fuota.machine, (const uint8_t *)fuota.buf, (size_t)len,
                                         otter_idf_now_ms());
        if (err != OTTER_OK) {
            return err;
        }
    }
}

static otter_err take_answer(esp_http_client_handle_t client)
{
    if (esp_http_client_fetch_headers(client) < 0) {
        return OTTER_ERR_LINK;
    }
    int status = esp_http_client_get_status_code(client);
    if (status < 100 || status > 999) {
        return OTTER_ERR_PROTOCOL;
    }
    otter_err err = otter_fuota_head(&fuota.machine, (uint16_t)status, otter_idf_now_ms());
    return err == OTTER_OK ? read_body(client) : err;
}

static otter_err exchange(void)
{
    const struct otter_fuota_request *request = &fuota.machine.request;
    bool login = request->authorize && fuota.config.username[0] != '\0';
    esp_http_client_handle_t client =
        otter_idf_fuota_client(&fuota.config, request->url, login, request->timeout_ms, on_http);

    if (client == NULL) {
        return OTTER_ERR_LINK;
    }
    fuota.untrusted = false;
    esp_err_t sent = send_request(client, request);
    otter_err err = sent == ESP_OK ? take_answer(client) : OTTER_ERR_LINK;
    if (sent != ESP_OK) {
        ESP_LOGW(TAG, "no answer: %s", esp_err_to_name(sent));
    }
    esp_err_t cleaned = esp_http_client_cleanup(client);
    if (cleaned != ESP_OK) {
        ESP_LOGW(TAG, "cleanup: %s", esp_err_to_name(cleaned));
    }
    return fuota.untrusted ? OTTER_ERR_REFUSED : err;
}

/* ---- the machine ---------------------------------------------------------------------------- */

/* Of the image, not of the moment. */
static bool is_of_image(otter_err err)
{
    return err != OTTER_ERR_BUSY && err != OTTER_ERR_STATE && err != OTTER_ERR_PENDING &&
           err != OTTER_ERR_RESTART;
}

static void on_event(void *ctx, const struct otter_fuota_event *event)
{
    const struct otter_idf_fuota_news news = {
        .kind = event->kind,
        .result = event->result,
        .err = event->err,
        .status = event->status,
        .wait_ms = event->wait_ms,
    };

    if (event->kind == OTTER_FUOTA_EVENT_OVER) {
        ESP_LOGI(TAG, "result %d, error %d, HTTP %u", (int)event->result, (int)event->err,
                 event->status);
        fuota.wait_ms = event->wait_ms;
        bool refused = event->result == OTTER_FUOTA_SYSTEM_ERROR;
        fuota.answered = refused || event->result == OTTER_FUOTA_NO_UPDATE;
        fuota.failed = refused && is_of_image(event->err) ? event->err : OTTER_OK;
    }
    /* Either way the server has answered: the next update can come. */
    if (event->kind == OTTER_FUOTA_EVENT_OFFER || event->result == OTTER_FUOTA_NO_UPDATE) {
        otter_idf_health_path();
    }
    otter_idf_post(OTTER_IDF_EVENT_FUOTA, &news, sizeof(news));
}

/* Fills what the caller left out. */
static esp_err_t complete_config(const struct otter_idf_fuota_config *config)
{
    struct otter_idf_fuota_config *c = &fuota.config;
    uint8_t mac[6];

    *c = *config;
    c->server = c->server != NULL ? c->server : CONFIG_OTTER_FUOTA_SERVER;
    c->username = c->username != NULL ? c->username : CONFIG_OTTER_FUOTA_USERNAME;
    c->password = c->password != NULL ? c->password : CONFIG_OTTER_FUOTA_PASSWORD;
    c->device_id = c->device_id != NULL ? c->device_id : CONFIG_OTTER_FUOTA_DEVICE_ID;
    c->poll_s = c->poll_s != 0 ? c->poll_s : CONFIG_OTTER_FUOTA_POLL_S;
#ifndef CONFIG_MBEDTLS_CERTIFICATE_BUNDLE
    if (c->ca == NULL) {
        ESP_LOGE(TAG, "no certificate to trust");
        return ESP_ERR_INVALID_ARG;
    }
#endif
    if (c->device_id[0] == '\0') {
        esp_err_t err = esp_efuse_mac_get_default(mac);
        if (err != ESP_OK) {
            return err;
        }
        snprintf(fuota.device_id, sizeof(fuota.device_id), "%02x%02x%02x%02x%02x%02x", mac[0],
                 mac[1], mac[2], mac[3], mac[4], mac[5]);
        c->device_id = fuota.device_id;
    }
    return ESP_OK;
}

static void put_hex(char text[65], const uint8_t digest[OTTER_SHA256_SIZE])
{
    for (unsigned i = 0; i < OTTER_SHA256_SIZE; i++) {
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    }
}

#if OTTER_FUOTA_RESUME

/* What is kept across a restart is in NVS. Where that fails, downloads start over. */
static void keep(void *unused)
{
    esp_err_t err = nvs_set_blob(fuota.nvs, "kept", &fuota.kept, sizeof(fuota.kept));

    if (err == ESP_OK) {
        err = nvs_commit(fuota.nvs);
    }
    if (err != ESP_OK) {
        ESP_LOGW(TAG, "the download's place is not saved: %s", esp_err_to_name(err));
    }
}

static void remember(struct otter_fuota_config *machine)
{
    size_t size = sizeof(fuota.kept);
    esp_err_t err = fuota.nvs != 0 ? ESP_OK : nvs_open("otter", NVS_READWRITE, &fuota.nvs);

    if (err != ESP_OK) {
        ESP_LOGW(TAG, "downloads start over after a restart: %s", esp_err_to_name(err));
        return;
    }
    err = nvs_get_blob(fuota.nvs, "kept", &fuota.kept, &size);
    fuota.kept.etag[OTTER_FUOTA_ETAG_MAX] = '\0';
    fuota.kept.file[OTTER_FUOTA_FILE_MAX] = '\0';
    if (err != ESP_OK || size != sizeof(fuota.kept)) {
        memset(&fuota.kept, 0, sizeof(fuota.kept)); /* nothing, or of another version */
    }
    machine->kept = &fuota.kept;
    machine->keep = keep;
}

#else

static void remember(struct otter_fuota_config *machine) {}

#endif

static esp_err_t prepare(const struct otter_idf_fuota_config *config, bool periodic)
{
    struct otter_fuota_config machine = {
        .backoff_max_ms = CONFIG_OTTER_FUOTA_BACKOFF_MAX_S * 1000u,
        .seed = esp_random(),
        .on_event = on_event,
    };
    esp_err_t err = complete_config(config);

    if (err == ESP_OK) {
        err = otter_idf_report(&fuota.report);
    }
    if (err == ESP_OK) {
        fuota.transport.automatic = true;
        err = otter_idf_transport_sink(&fuota.transport, &machine.sink);
    }
    if (err != ESP_OK) {
        return err;
    }
    machine.server = fuota.config.server;
    machine.device_id = fuota.config.device_id;
    machine.version = fuota.report.version;
    put_hex(fuota.running, fuota.report.image);
    if (OTTER_REFUSE_ROLLED_BACK && fuota.report.rejected[0] != '\0') {
        put_hex(fuota.given_up, fuota.report.given_up);
        machine.given_up = fuota.given_up;
    }
    remember(&machine);
    machine.poll_ms = periodic ? fuota.config.poll_s * 1000u : OTTER_FUOTA_NEVER;
    otter_err refused = otter_fuota_init(&fuota.machine, &machine, otter_idf_now_ms());
    if (refused != OTTER_OK) {
        ESP_LOGE(TAG, "server, device id or version cannot be used: error %d", (int)refused);
    }
    return refused == OTTER_OK ? ESP_OK : ESP_ERR_INVALID_ARG;
}

/* One step. Returns in how many ms there is the next; *restart: a new image is selected. */
static uint32_t step(bool *restart)
{
    uint32_t wait = 0;

    if (fuota.answered) {
        fuota.answered = false;
        otter_idf_fuota_tell(&fuota.config, fuota.failed, fuota.buf, sizeof(fuota.buf));
    }
    switch (otter_fuota_poll(&fuota.machine, otter_idf_now_ms(), &wait)) {
    case OTTER_FUOTA_ASK: {
        otter_err err = exchange();
        otter_fuota_end(&fuota.machine, err, otter_idf_now_ms());
        return 0;
    }
    case OTTER_FUOTA_RESTART:
        *restart = true;
        return 0;
    default:
        return wait;
    }
}

/* ---- the task ------------------------------------------------------------------------------- */

static void work(void *unused)
{
    bool restart = false;

    while (!fuota.stop && !restart) {
        uint32_t wait = step(&restart);
        if (wait > 0) {
            (void)ulTaskNotifyTake(pdTRUE,
                                   otter_idf_ticks(wait < STOP_LOOK_MS ? wait : STOP_LOOK_MS));
        }
    }
    if (restart) {
        otter_idf_restart(NULL);
    }
    otter_fuota_cancel(&fuota.machine, otter_idf_now_ms());
    xSemaphoreGive(fuota.stopped);
    vTaskDelete(NULL);
}

esp_err_t otter_idf_fuota_start(const struct otter_idf_fuota_config *config)
{
    if (fuota.busy) {
        return ESP_ERR_INVALID_STATE;
    }
    esp_err_t err = prepare(config, true);
    if (err != ESP_OK) {
        return err;
    }
    if (fuota.stopped == NULL) {
        fuota.stopped = xSemaphoreCreateBinary();
    }
    if (fuota.stopped == NULL) {
        return ESP_ERR_NO_MEM;
    }
    fuota.stop = false;
    fuota.busy = true;
    if (xTaskCreate(work, "otter_fuota", CONFIG_OTTER_FUOTA_STACK, NULL, CONFIG_OTTER_TASK_PRIORITY,
                    &fuota.task) != pdPASS) {
        fuota.busy = false;
        return ESP_ERR_NO_MEM;
    }
    return ESP_OK;
}

esp_err_t otter_idf_fuota_check(void)
{
    if (!fuota.busy || fuota.task == NULL) {
        return ESP_ERR_INVALID_STATE;
    }
    otter_fuota_check(&fuota.machine); /* one flag */
    xTaskNotifyGive(fuota.task);
    return ESP_OK;
}

esp_err_t otter_idf_fuota_stop(void)
{
    if (!fuota.busy || fuota.task == NULL) {
        return ESP_ERR_INVALID_STATE;
    }
    fuota.stop = true;
    xTaskNotifyGive(fuota.task);
    xSemaphoreTake(fuota.stopped, portMAX_DELAY); /* its reads have their time limits */
    fuota.task = NULL;
    fuota.busy = false;
    return ESP_OK;
}

enum otter_fuota_result otter_idf_fuota_update(const struct otter_idf_fuota_config *config,
                                               uint32_t *wait_ms)
{
    bool restart = false;

    if (fuota.busy) {
        return OTTER_FUOTA_SYSTEM_ERROR;
    }
    if (prepare(config, false) != ESP_OK) {
        return OTTER_FUOTA_PARAMETER_ERROR;
    }
    fuota.stop = false;
    fuota.busy = true;
    fuota.wait_ms = 0;
    otter_fuota_check(&fuota.machine);
    for (uint32_t wait = 0; wait != OTTER_FUOTA_NEVER && !restart;) {
        wait = step(&restart);
        if (wait != OTTER_FUOTA_NEVER && wait > 0) {
            vTaskDelay(otter_idf_ticks(wait));
        }
    }
    fuota.busy = false;
    if (wait_ms != NULL) {
        *wait_ms = fuota.wait_ms;
    }
    return (enum otter_fuota_result)fuota.machine.result;
}
