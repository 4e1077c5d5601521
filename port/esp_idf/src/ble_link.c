/* SPDX-License-Identifier: Apache-2.0 */
/* Connections: who subscribed to what, indications on their way, how fast a link should be. */
#include <string.h>

#include <esp_log.h>
#include <freertos/FreeRTOS.h>
#include <sdkconfig.h>

#include "ble.h"
#include "internal.h"

#define LINKS CONFIG_BT_NIMBLE_MAX_CONNECTIONS

/* In units of the specification. 15 to 30 ms is what phones grant, too. */
#define FAST_MIN 12     /* 1.25 ms */
#define FAST_MAX 24     /* 1.25 ms */
#define CALM_MIN 24     /* 1.25 ms */
#define CALM_MAX 40     /* 1.25 ms */
#define SUPERVISION 500 /* 10 ms */
#define DATA_OCTETS 251
#define DATA_TIME_US 2120

static const char TAG[] = "otter_ble";

struct link {
    bool used;
    bool indicating; /* one is not confirmed yet */
    uint16_t conn;
    uint8_t notify[BLE_MOUNTS]; /* a bit for each characteristic */
    uint8_t indicate[BLE_MOUNTS];
    bool asks; /* for an older version */
};

static struct {
    portMUX_TYPE lock; /* over links and seen: the stack's task and the worker */
    struct link link[LINKS];
    bool seen;
    struct otter_gatt_queue *queue;
    void (*wake)(void);
    struct ble_gap_event_listener listener;
} links = {.lock = portMUX_INITIALIZER_UNLOCKED};

/* The entry of a connection; a new one when there is none and `add`. Under the lock. */
static struct link *find(uint16_t conn, bool add)
{
    struct link *unused = NULL;

    for (int i = 0; i < LINKS; i++) {
        if (links.link[i].used && links.link[i].conn == conn) {
            return &links.link[i];
        }
        unused = links.link[i].used ? unused : &links.link[i];
    }
    if (!add || unused == NULL) {
        return NULL;
    }
    *unused = (struct link){.used = true, .conn = conn};
    return unused;
}

static void set_bit(uint8_t *bits, uint8_t bit, bool on)
{
    *bits = (uint8_t)(on ? *bits | 1u << bit : *bits & ~(1u << bit));
}

static void on_subscribe(uint16_t conn, uint16_t handle, bool notify, bool indicate)
{
    const struct ble_place *place = otter_idf_ble_find(handle);

    if (place == NULL) {
        return; /* a characteristic of the application */
    }
    taskENTER_CRITICAL(&links.lock);
    struct link *link = find(conn, true);
    if (link != NULL) {
        set_bit(&link->notify[place->mount], place->id, notify);
        set_bit(&link->indicate[place->mount], place->id, indicate);
    }
    taskEXIT_CRITICAL(&links.lock);
}

static void on_disconnect(uint16_t conn)
{
    taskENTER_CRITICAL(&links.lock);
    struct link *link = find(conn, false);
    if (link != NULL) {
        link->used = false;
    }
    taskEXIT_CRITICAL(&links.lock);
    otter_gatt_queue_gone(links.queue, conn);
}

void otter_idf_ble_link_ask(uint16_t conn, bool asks)
{
    taskENTER_CRITICAL(&links.lock);
    struct link *link = find(conn, false);
    if (link != NULL) {
        link->asks = asks;
    }
    taskEXIT_CRITICAL(&links.lock);
}

bool otter_idf_ble_link_asked(uint16_t conn)
{
    taskENTER_CRITICAL(&links.lock);
    const struct link *link = find(conn, false);
    bool asks = link != NULL && link->asks;
    taskEXIT_CRITICAL(&links.lock);
    return asks;
}

static void set_indicating(uint16_t conn, bool on)
{
    taskENTER_CRITICAL(&links.lock);
    struct link *link = find(conn, false);
    if (link != NULL) {
        link->indicating = on;
    }
    taskEXIT_CRITICAL(&links.lock);
}

/* Else this device is the central, of a sensor, say, which brings no update. */
static bool is_central(uint16_t peer)
{
    struct ble_gap_conn_desc desc;

    return ble_gap_conn_find(peer, &desc) == 0 && desc.role == BLE_GAP_ROLE_SLAVE;
}

/* Hears what the application's own GAP callback hears, for all connections. */
static int on_gap_event(struct ble_gap_event *event, void *arg)
{
    switch (event->type) {
    case BLE_GAP_EVENT_CONNECT:
        if (event->connect.status == 0 && is_central(event->connect.conn_handle)) {
            taskENTER_CRITICAL(&links.lock);
            links.seen = true;
            taskEXIT_CRITICAL(&links.lock);
        }
        break;
    case BLE_GAP_EVENT_DISCONNECT:
        on_disconnect(event->disconnect.conn.conn_handle);
        break;
    case BLE_GAP_EVENT_SUBSCRIBE:
        on_subscribe(event->subscribe.conn_handle, event->subscribe.attr_handle,
                     event->subscribe.cur_notify, event->subscribe.cur_indicate);
        break;
    case BLE_GAP_EVENT_NOTIFY_TX:
        /* 0: it was sent. For an indication the end comes later: confirmed, or given up. */
        if (event->notify_tx.indication && event->notify_tx.status != 0 &&
            otter_idf_ble_find(event->notify_tx.attr_handle) != NULL) {
            set_indicating(event->notify_tx.conn_handle, false);
        }
        break;
    default:
        return 0;
    }
    links.wake();
    return 0;
}

int otter_idf_ble_link_start(struct otter_gatt_queue *queue, void (*wake)(void))
{
    links.queue = queue;
    links.wake = wake;
    return ble_gap_event_listener_register(&links.listener, on_gap_event, NULL);
}

bool otter_idf_ble_link_seen(void)
{
    taskENTER_CRITICAL(&links.lock);
    bool seen = links.seen;
    links.seen = false;
    taskEXIT_CRITICAL(&links.lock);
    return seen;
}

int otter_idf_ble_link_refuses(uint16_t conn)
{
#if CONFIG_OTTER_BLE_SECURITY_BONDED
    struct ble_gap_conn_desc desc;
    int rc = ble_gap_conn_find(conn, &desc);

    if (rc != 0 || !desc.sec_state.bonded) {
        return BLE_ATT_ERR_INSUFFICIENT_AUTHEN;
    }
#endif
    return 0;
}

/* ---- sending --------------------------------------------------------------------------------- */

static otter_err err_of(int rc)
{
    switch (rc) {
    case 0:
        return OTTER_OK;
    case BLE_HS_ENOMEM:
    case BLE_HS_EBUSY:
        return OTTER_ERR_AGAIN;
    default:
        ESP_LOGD(TAG, "send: %d", rc);
        return OTTER_ERR_LINK;
    }
}

otter_err otter_idf_ble_link_send(uint16_t conn, const struct ble_place *place, const uint8_t *data,
                                  size_t len)
{
    taskENTER_CRITICAL(&links.lock);
    const struct link *link = find(conn, false);
    bool notify = link != NULL && (link->notify[place->mount] & 1u << place->id) != 0;
    bool indicate = link != NULL && (link->indicate[place->mount] & 1u << place->id) != 0;
    bool busy = link != NULL && link->indicating;
    taskEXIT_CRITICAL(&links.lock);

    if (!notify && !indicate) {
        return OTTER_OK; /* nobody asked for it */
    }
    if (!notify && busy) {
        return OTTER_ERR_AGAIN;
    }
    struct os_mbuf *om = ble_hs_mbuf_from_flat(data, (uint16_t)len);
    if (om == NULL) {
        return OTTER_ERR_AGAIN;
    }
    /* The stack takes om over, whatever it returns. */
    if (notify) {
        return err_of(ble_gatts_notify_custom(conn, place->handle, om));
    }
    set_indicating(conn, true);
    otter_err err = err_of(ble_gatts_indicate_custom(conn, place->handle, om));
    if (err != OTTER_OK) {
        set_indicating(conn, false);
    }
    return err;
}

/* ---- speed ----------------------------------------------------------------------------------- */

#if CONFIG_OTTER_BLE_FAST_LINK

/* Wishes: a central that refuses them gets its update all the same. */
static void wish(const char *what, int rc)
{
    if (rc != 0 && rc != BLE_HS_EALREADY) {
        ESP_LOGD(TAG, "%s: %d", what, rc);
    }
}

void otter_idf_ble_link_fast(uint16_t conn, bool fast)
{
    const struct ble_gap_upd_params params = {
        .itvl_min = fast ? FAST_MIN : CALM_MIN,
        .itvl_max = fast ? FAST_MAX : CALM_MAX,
        .latency = 0,
        .supervision_timeout = SUPERVISION,
    };

    if (fast) {
        wish("data length", ble_gap_set_data_len(conn, DATA_OCTETS, DATA_TIME_US));
#if CONFIG_BT_NIMBLE_50_FEATURE_SUPPORT
        wish("2M PHY",
             ble_gap_set_prefered_le_phy(conn, BLE_GAP_LE_PHY_2M_MASK, BLE_GAP_LE_PHY_2M_MASK, 0));
#endif
    }
    wish("interval", ble_gap_update_params(conn, &params));
}

#else

void otter_idf_ble_link_fast(uint16_t conn, bool fast) {}

#endif
