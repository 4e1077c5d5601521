/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Updates over Bluetooth LE. Writes go from the stack's task through a bounded queue to a task of
 * our own, which runs both protocols; so no flash work is done in a callback of the stack.
 */
#include "otter_idf_ble.h"

#include <string.h>

#include <esp_log.h>
#include <freertos/FreeRTOS.h>
#include <freertos/semphr.h>
#include <freertos/task.h>
#include <host/ble_hs.h>
#include <sdkconfig.h>

#include "otter/espble.h"
#include "otter/gattota.h"
#include "otter/identity.h"

#include "ble.h"
#include "internal.h"

#define CONGESTED_MS 10u /* the stack does not say when it has buffers again */

static const char TAG[] = "otter_ble";

static struct {
    struct otter_idf_ble_config config;
    struct otter_idf_transport transport[BLE_MOUNTS];
    struct otter_gatt_mount mount[BLE_MOUNTS];
    uint8_t number[BLE_MOUNTS]; /* 0, 1: the context of send() */
    uint8_t count;
    bool fast[BLE_MOUNTS];          /* the link of its owner was asked to be fast */
    uint16_t fast_conn[BLE_MOUNTS]; /* that link */
    struct otter_gatt_queue queue;
    SemaphoreHandle_t lock;  /* of the queue */
    SemaphoreHandle_t space; /* given when there is room in the queue again */
    TaskHandle_t worker;
    bool congested;
#if OTTER_BLE_ESPBLE
    struct otter_espble_device espble;
    uint8_t sectors[CONFIG_OTTER_BLE_WINDOW * OTTER_ESPBLE_SECTOR];
#endif
#if OTTER_BLE_GATTOTA
    struct otter_gattota_device gattota;
    uint8_t packets[CONFIG_OTTER_BLE_GATTOTA_BUFFER];
#endif
    uint32_t ring[CONFIG_OTTER_BLE_QUEUE / sizeof(uint32_t)];
} ble;

/* ---- between the stack's task and ours ------------------------------------------------------- */

static void lock(void *unused)
{
    xSemaphoreTake(ble.lock, portMAX_DELAY);
}

static void unlock(void *unused)
{
    xSemaphoreGive(ble.lock);
}

static void wake(void)
{
    if (ble.worker != NULL) {
        xTaskNotifyGive(ble.worker);
    }
}

/* Waits for room, which holds the stack up: that is the back-pressure for a client that sends
 * without regard for the window. */
static uint8_t *reserve(size_t len)
{
    uint8_t *room = otter_gatt_queue_reserve(&ble.queue, len);
    TickType_t start = xTaskGetTickCount();
    TickType_t most = otter_idf_ticks(CONFIG_OTTER_BLE_WAIT_MS);

    while (room == NULL && xTaskGetTickCount() - start < most) {
        (void)xSemaphoreTake(ble.space, otter_idf_ticks(CONGESTED_MS));
        room = otter_gatt_queue_reserve(&ble.queue, len);
    }
    return room;
}

int otter_idf_ble_take(uint16_t conn, const struct ble_place *place, const struct os_mbuf *om)
{
    uint16_t len = OS_MBUF_PKTLEN(om);
    uint16_t copied = 0;

    if (len > OTTER_GATT_WRITE_MAX) {
        return BLE_ATT_ERR_INVALID_ATTR_VALUE_LEN;
    }
    uint8_t *room = reserve(len);
    if (room == NULL) {
        return BLE_ATT_ERR_INSUFFICIENT_RES;
    }
    /* All mbufs of the chain. */
    if (ble_hs_mbuf_to_flat(om, room, len, &copied) != 0 || copied != len) {
        return BLE_ATT_ERR_UNLIKELY;
    }
    otter_gatt_queue_commit(&ble.queue, conn, place->mount, place->id, len);
    wake();
    return 0;
}

int otter_idf_ble_give(const struct ble_place *place, struct os_mbuf *om)
{
    uint8_t value[OTTER_GATT_QUEUE_VALUE];
    size_t len = otter_gatt_queue_read(&ble.queue, place->mount, place->id, value, sizeof(value));

    return os_mbuf_append(om, value, (uint16_t)len) == 0 ? 0 : BLE_ATT_ERR_INSUFFICIENT_RES;
}

/* ---- the worker ------------------------------------------------------------------------------ */

static otter_err send(void *ctx, uint16_t conn, const struct otter_gatt_char *chr,
                      const uint8_t *data, size_t len)
{
    const uint8_t *mount = ctx;
    otter_err err = otter_idf_ble_link_send(conn, otter_idf_ble_place(*mount, chr->id), data, len);

    ble.congested |= err == OTTER_ERR_AGAIN;
    return err;
}

/* Whose update it is, for the protocol of this mount. */
static uint16_t owner_of(uint8_t mount)
{
#if OTTER_BLE_ESPBLE
    if (ble.mount[mount].service == &ble.espble) {
        return ble.espble.owner;
    }
#endif
#if OTTER_BLE_GATTOTA
    if (ble.mount[mount].service == &ble.gattota) {
        return ble.gattota.owner;
    }
#endif
    return BLE_HS_CONN_HANDLE_NONE;
}

/* A link is fast for the length of an update. */
static void set_speeds(void)
{
    for (uint8_t i = 0; i < ble.count; i++) {
        bool running = ble.transport[i].running;
        if (running != ble.fast[i]) {
            ble.fast[i] = running;
            ble.fast_conn[i] = running ? owner_of(i) : ble.fast_conn[i];
            otter_idf_ble_link_fast(ble.fast_conn[i], running);
            if (!running) {
                otter_idf_ble_link_ask(ble.fast_conn[i], false); /* it held for that update */
            }
        }
    }
}

static void work(void *unused)
{
    for (;;) {
        bool taken;
        ble.congested = false;
        uint32_t wait = otter_gatt_queue_run(&ble.queue, otter_idf_now_ms(), &taken);
        if (taken) {
            xSemaphoreGive(ble.space);
        }
        set_speeds();
        if (otter_idf_ble_link_seen()) {
            otter_idf_health_path();
        }
        if (ble.congested && wait > CONGESTED_MS) {
            wait = CONGESTED_MS;
        }
        if (wait > 0) {
            (void)ulTaskNotifyTake(pdTRUE, otter_idf_ticks(wait));
        }
    }
}

/* ---- start ---------------------------------------------------------------------------------- */

static bool asked(const struct otter_idf_transport *transport)
{
    return otter_idf_ble_link_asked(owner_of((uint8_t)(transport - ble.transport)));
}

/* What the application does not see: the one thing that Otter itself understands. */
static void customer(void *ctx, uint16_t conn, const uint8_t *data, size_t len)
{
    if (OTTER_OLDER == OTTER_IDENTITY_OLDER_ASK && otter_identity_asks_older(data, len)) {
        otter_idf_ble_link_ask(conn, true);
        return;
    }
    if (ble.config.customer != NULL) {
        ble.config.customer(ble.config.ctx, conn, data, len);
    }
}

static const struct otter_gatt_app app = {.restart = otter_idf_restart, .customer = customer};

static struct otter_gatt_server server(uint8_t mount)
{
    ble.number[mount] = mount;
    return (struct otter_gatt_server){.send = send, .ctx = &ble.number[mount]};
}

static esp_err_t mount_espble(void)
{
#if OTTER_BLE_ESPBLE
    struct otter_espble_device_config config = {
        .server = server(ble.count),
        .app = app,
        .sectors = ble.sectors,
        .window = CONFIG_OTTER_BLE_WINDOW,
    };
    ble.transport[ble.count].asked = asked;
    esp_err_t err = otter_idf_transport_sink(&ble.transport[ble.count], &config.sink);

    if (err != ESP_OK) {
        return err;
    }
    if (otter_espble_device_init(&ble.espble, &config) != OTTER_OK) {
        return ESP_ERR_INVALID_ARG;
    }
    ble.mount[ble.count++] = otter_espble_device_mount(&ble.espble);
#endif
    return ESP_OK;
}

static esp_err_t mount_gattota(void)
{
#if OTTER_BLE_GATTOTA
    struct otter_gattota_device_config config = {
        .server = server(ble.count),
        .app = app,
        .buf = ble.packets,
        .buf_size = sizeof(ble.packets),
        .field_uuid = OTTER_BLE_GATTOTA_FIELD_UUID,
    };
    ble.transport[ble.count].asked = asked;
    esp_err_t err = otter_idf_transport_sink(&ble.transport[ble.count], &config.sink);

    if (err != ESP_OK) {
        return err;
    }
    if (otter_gattota_device_init(&ble.gattota, &config) != OTTER_OK) {
        return ESP_ERR_INVALID_ARG;
    }
    ble.mount[ble.count++] = otter_gattota_device_mount(&ble.gattota);
#endif
    return ESP_OK;
}

static esp_err_t start_worker(void)
{
    const struct otter_gatt_queue_config queue = {
        .mounts = ble.mount,
        .count = ble.count,
        .buf = (uint8_t *)ble.ring,
        .buf_size = sizeof(ble.ring),
        .lock = lock,
        .unlock = unlock,
    };

    ble.lock = xSemaphoreCreateMutex();
    ble.space = xSemaphoreCreateBinary();
    if (ble.lock == NULL || ble.space == NULL) {
        return ESP_ERR_NO_MEM;
    }
    if (otter_gatt_queue_init(&ble.queue, &queue) != OTTER_OK) {
        return ESP_ERR_INVALID_ARG;
    }
    int rc = otter_idf_ble_link_start(&ble.queue, wake);
    if (rc != 0) {
        ESP_LOGE(TAG, "GAP listener: %d", rc);
        return ESP_FAIL;
    }
    BaseType_t made = xTaskCreate(work, "otter_ble", CONFIG_OTTER_TASK_STACK, NULL,
                                  CONFIG_OTTER_TASK_PRIORITY, &ble.worker);
    return made == pdPASS ? ESP_OK : ESP_ERR_NO_MEM;
}

esp_err_t otter_idf_ble_prepare(const struct otter_idf_ble_config *config,
                                const struct ble_gatt_svc_def **services)
{
    if (ble.count != 0) {
        return ESP_ERR_INVALID_STATE;
    }
    ble.config = config != NULL ? *config : (struct otter_idf_ble_config){0};
    esp_err_t err = mount_espble();
    if (err == ESP_OK) {
        err = mount_gattota();
    }
    if (err == ESP_OK) {
        *services = otter_idf_ble_table(ble.mount, ble.count);
        err = start_worker();
    }
    return err;
}

esp_err_t otter_idf_ble_start(const struct otter_idf_ble_config *config)
{
    const struct ble_gatt_svc_def *services = NULL;
    esp_err_t err = otter_idf_ble_prepare(config, &services);

    if (err != ESP_OK) {
        return err;
    }
    int rc = ble_gatts_count_cfg(services);
    if (rc == 0) {
        rc = ble_gatts_add_svcs(services);
    }
    if (rc != 0) {
        ESP_LOGE(TAG, "services: %d", rc);
    }
    return rc == 0 ? ESP_OK : rc == BLE_HS_ENOMEM ? ESP_ERR_NO_MEM : ESP_FAIL;
}

esp_err_t otter_idf_ble_customer_send(uint16_t conn_handle, const uint8_t *data, size_t len)
{
#if OTTER_BLE_ESPBLE
    switch (otter_espble_device_customer(&ble.espble, conn_handle, data, len)) {
    case OTTER_OK:
        return ESP_OK;
    case OTTER_ERR_AGAIN:
        return ESP_ERR_NO_MEM;
    default:
        return ESP_FAIL;
    }
#else
    return ESP_ERR_NOT_SUPPORTED;
#endif
}

/* ---- helpers for the application's own code ------------------------------------------------- */

void otter_idf_ble_adv_fields(struct ble_hs_adv_fields *advertisement,
                              struct ble_hs_adv_fields *scan_response)
{
#if OTTER_BLE_ESPBLE
    static const ble_uuid16_t short_uuid = BLE_UUID16_INIT(0x8018);

    if (advertisement != NULL) {
        advertisement->uuids16 = &short_uuid;
        advertisement->num_uuids16 = 1;
        advertisement->uuids16_is_complete = 0; /* the application may have more */
    }
#endif
#if OTTER_BLE_GATTOTA
    static ble_uuid128_t long_uuid;

    if (scan_response != NULL) {
        const struct otter_gatt_service *service =
            OTTER_BLE_GATTOTA_FIELD_UUID ? &otter_gattota_service_field : &otter_gattota_service;
        long_uuid.u.type = BLE_UUID_TYPE_128;
        memcpy(long_uuid.value, service->uuid.bytes, sizeof(long_uuid.value));
        scan_response->uuids128 = &long_uuid;
        scan_response->num_uuids128 = 1;
        scan_response->uuids128_is_complete = 0;
    }
#endif
}

#if OTTER_BLE_BOND

/* NimBLE has it, and leaves it to applications to declare it. */
void ble_store_config_init(void);

/* NimBLE begins without a place for bonds: what a central pairs for is then forgotten when the link
 * is, and a bonded one cannot even subscribe, as its CCCDs are kept with the bond. */
static void keep_bonds(void)
{
    if (ble_hs_cfg.store_write_cb == NULL) {
        ble_store_config_init();
    }
    if (ble_hs_cfg.store_status_cb == NULL) {
        ble_hs_cfg.store_status_cb = ble_store_util_status_rr; /* full: the oldest one goes */
    }
}

#else

static void keep_bonds(void) {}

#endif

void otter_idf_ble_security(uint8_t io_cap)
{
    if (OTTER_BLE_MITM && io_cap == BLE_HS_IO_NO_INPUT_OUTPUT) {
        ESP_LOGE(TAG, "no central can authenticate itself without a passkey to show or to enter");
    }
    keep_bonds();
    ble_hs_cfg.sm_io_cap = io_cap;
    ble_hs_cfg.sm_sc = 1;
    ble_hs_cfg.sm_bonding = OTTER_BLE_BOND;
    ble_hs_cfg.sm_mitm = OTTER_BLE_MITM;
    ble_hs_cfg.sm_our_key_dist = BLE_SM_PAIR_KEY_DIST_ENC | BLE_SM_PAIR_KEY_DIST_ID;
    ble_hs_cfg.sm_their_key_dist = BLE_SM_PAIR_KEY_DIST_ENC | BLE_SM_PAIR_KEY_DIST_ID;
}
