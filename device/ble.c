/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --ble ADAPTER: the GATT services over a real Bluetooth adapter, through bluetoothd (org.bluez).
 *
 * bluetoothd owns the connections; it names the central with every read and write. It sends a
 * notification to every central that subscribed, and answers a write request itself where the
 * characteristic takes write commands, too. Therefore one central at a time is served, the others
 * are refused (ATT error 0xFE), and only the characteristics that take firmware offer write
 * commands. The one that is served is the first to write, until it leaves or is silent for too
 * long.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/ble.h"
#include "device/transport.h"
#include "host/clock.h"

#define CALL_MS 10000u
#define SILENCE_MS 60000u /* default: a central that is silent keeps others away */
#define STEP_MESSAGES 16u /* before the other transports have their turn */
/* espble sectors in flight: bluetoothd holds each answer for 10 ms when the central takes several
 * in one PDU, as another bluetoothd does. */
#define WINDOW 16u
#define FULL_MS 2u /* a notification that found no room is tried again */

extern const struct transport_type ble_transport;

/* ---- centrals -----------------------------------------------------------------------------------
 */

void ble_remember(struct ble *ble, const char *path)
{
    size_t i = 0;

    if (strcmp(ble->owner, path) == 0) {
        ble->heard_at = otter_clock_ms();
    }

    while (i < BLE_CENTRALS_MAX && ble->centrals[i][0] != '\0') {
        if (strcmp(ble->centrals[i++], path) == 0) {
            return;
        }
    }
    if (i < BLE_CENTRALS_MAX) {
        snprintf(ble->centrals[i], sizeof(ble->centrals[i]), "%s", path);
    }
}

bool ble_serve(struct ble *ble, const char *path)
{
    if (strcmp(ble->leaving, path) == 0) {
        return false;
    }
    if (ble->owner[0] == '\0') {
        snprintf(ble->owner, sizeof(ble->owner), "%s", path);
        ble->conn++;
        ble->heard_at = otter_clock_ms();
        device_log(ble->device, "ble: client %u connected", ble->conn);
    }
    return strcmp(ble->owner, path) == 0;
}

static void lose_owner(struct ble *ble)
{
    if (ble->owner[0] == '\0') {
        return;
    }
    ble->owner[0] = '\0';
    ble->held = sd_bus_message_unref(ble->held);
    device_gatt_disconnected(&ble->gatt, ble->conn);
}

static void forget_central(struct ble *ble, const char *path)
{
    if (strcmp(ble->owner, path) == 0) {
        device_log(ble->device, "ble: client %u gone", ble->conn);
        lose_owner(ble);
    }
    if (strcmp(ble->leaving, path) == 0) {
        ble->leaving[0] = '\0';
    }
    for (size_t i = 0; i < BLE_CENTRALS_MAX; i++) {
        if (strcmp(ble->centrals[i], path) == 0) {
            memmove(ble->centrals[i], ble->centrals[i + 1],
                    (BLE_CENTRALS_MAX - 1 - i) * sizeof(ble->centrals[0]));
            ble->centrals[BLE_CENTRALS_MAX - 1][0] = '\0';
            return;
        }
    }
}

/* Ends its connection; nobody waits for the answer. */
static void send_away(struct ble *ble, const char *central)
{
    sd_bus_message *m = otter_ble_bus_message(&ble->bus, central, OTTER_BLE_DEVICE, "Disconnect");

    if (m != NULL && sd_bus_message_set_expect_reply(m, false) >= 0) {
        (void)sd_bus_send(ble->bus.bus, m, NULL);
    }
    sd_bus_message_unref(m);
}

/* A central that has written once and stays silent keeps all others away. Returns in how many ms
 * to look again. */
static uint32_t bound_silence(struct ble *ble)
{
    uint32_t set = ble->device->options->silence_ms;
    uint32_t limit = set != 0 ? set : SILENCE_MS;
    uint32_t silent = otter_clock_ms() - ble->heard_at;

    if (ble->owner[0] == '\0' || ble->held != NULL) {
        return OTTER_GATT_NEVER;
    }
    if (silent < limit) {
        return limit - silent;
    }
    device_log(ble->device, "ble: client %u is silent and sent away", ble->conn);
    send_away(ble, ble->owner);
    memcpy(ble->leaving, ble->owner,
           sizeof(ble->leaving)); /* bluetoothd takes two seconds for it */
    lose_owner(ble);
    return OTTER_GATT_NEVER;
}

/* Looks for the one signal that matters: a central has disconnected. */
static void on_signal(void *ctx, sd_bus_message *m)
{
    struct ble *ble = ctx;
    const char *path = sd_bus_message_get_path(m);
    const char *interface, *name;
    int connected;

    if (path == NULL ||
        sd_bus_message_is_signal(m, OTTER_BLE_PROPERTIES, "PropertiesChanged") <= 0 ||
        sd_bus_message_read(m, "s", &interface) < 0 || strcmp(interface, OTTER_BLE_DEVICE) != 0 ||
        sd_bus_message_enter_container(m, 'a', "{sv}") < 0) {
        return;
    }
    while (sd_bus_message_enter_container(m, 'e', "sv") > 0 &&
           sd_bus_message_read(m, "s", &name) >= 0) {
        if (strcmp(name, "Connected") == 0) {
            if (sd_bus_message_read(m, "v", "b", &connected) >= 0 && !connected) {
                forget_central(ble, path);
            }
            return;
        }
        if (sd_bus_message_skip(m, "v") < 0 || sd_bus_message_exit_container(m) < 0) {
            return;
        }
    }
}
static otter_err register_at(struct ble *ble, const char *manager, const char *member,
                             const char *path)
{
    sd_bus_message *m = otter_ble_bus_message(&ble->bus, ble->adapter, manager, member);

    if (m != NULL && sd_bus_message_append(m, "oa{sv}", path, 0) < 0) {
        m = sd_bus_message_unref(m);
    }
    return otter_ble_bus_call(&ble->bus, m, CALL_MS, NULL);
}

static otter_err find_adapter(struct ble *ble)
{
    struct otter_ble_tree tree;
    otter_err err = otter_ble_tree_load(&tree, &ble->bus);

    if (err == OTTER_OK) {
        const struct otter_ble_object *adapter = otter_ble_adapter(&ble->bus, &tree, ble->wanted);

        err = adapter != NULL ? OTTER_OK : OTTER_ERR_STATE;
        snprintf(ble->adapter, sizeof(ble->adapter), "%s", adapter != NULL ? adapter->path : "");
    }
    otter_ble_tree_free(&tree);
    return err;
}

/* ---- the transport ------------------------------------------------------------------------------
 */

static void *create(struct device *device, const char *argument)
{
    struct ble *ble = calloc(1, sizeof(*ble));

    if (ble == NULL) {
        device_error(device, "out of memory");
        return NULL;
    }
    ble->device = device;
    ble->wanted = strcmp(argument, "any") == 0 ? "" : argument;
    ble->pairing = device->options->pairing;
    ble->bus.heard = on_signal;
    ble->bus.ctx = ble;
    return ble;
}

static void down(void *transport)
{
    struct ble *ble = transport;

    lose_owner(ble);
    for (size_t i = 0; i < BLE_CENTRALS_MAX && ble->centrals[i][0] != '\0'; i++) {
        if (ble->bus.bus != NULL && !ble->bus.gone) {
            /* A central that has left meanwhile is not an error. */
            (void)!otter_ble_bus_do(&ble->bus, ble->centrals[i], OTTER_BLE_DEVICE, "Disconnect",
                                    CALL_MS);
        }
    }
    memset(ble->centrals, 0, sizeof(ble->centrals));
    ble->leaving[0] = '\0';
    ble->held = sd_bus_message_unref(ble->held);
    ble_release(ble);
    otter_ble_bus_close(&ble->bus); /* bluetoothd takes everything of ours away */
}

static bool up(void *transport)
{
    struct ble *ble = transport;
    struct otter_gatt_server carrier = {.send = ble_send, .ctx = ble};
    otter_err err = device_gatt_init(&ble->gatt, ble->device, WINDOW, carrier);

    if (err != OTTER_OK) {
        device_error(ble->device, "ble: the services cannot be set up: %s", otter_err_text(err));
        return false;
    }
    err = otter_ble_bus_open(&ble->bus);
    if (err == OTTER_OK) {
        int error = ble_objects_add(ble);

        err = error < 0 ? otter_ble_bus_fail(&ble->bus, NULL, error) : OTTER_OK;
    }
    if (err == OTTER_OK) {
        err = find_adapter(ble);
    }
    if (err == OTTER_OK && ble->pairing) {
        err = otter_ble_bus_agent(&ble->bus, true);
    }
    if (err == OTTER_OK) {
        err = register_at(ble, "org.bluez.GattManager1", "RegisterApplication", BLE_ROOT);
    }
    if (err == OTTER_OK) {
        err = register_at(ble, "org.bluez.LEAdvertisingManager1", "RegisterAdvertisement",
                          BLE_ADVERTISEMENT);
    }
    if (err != OTTER_OK) {
        device_error(ble->device, "ble: %s", ble->bus.why);
        otter_ble_bus_close(&ble->bus);
        return false;
    }
    device_log(ble->device, "ready: ble:%s", strrchr(ble->adapter, '/') + 1);
    return true;
}

static size_t fds(void *transport, struct pollfd *list, size_t max)
{
    struct ble *ble = transport;

    if (max == 0) {
        return 0;
    }
    int events = ble->bus.gone || ble->held != NULL ? 0 : sd_bus_get_events(ble->bus.bus);
    list[0] = (struct pollfd){.fd = events > 0 ? sd_bus_get_fd(ble->bus.bus) : -1,
                              .events = (short)events};
    return 1;
}

/* What bluetoothd has said, until the service asks to wait. True: there may be more. */
static bool take_messages(struct ble *ble, uint32_t now_ms)
{
    for (unsigned n = 0; n < STEP_MESSAGES && !ble->device->restart; n++) {
        if (ble->held != NULL) {
            if (!ble_write_held(ble)) {
                return false;
            }
        } else {
            int more = sd_bus_process(ble->bus.bus, NULL);

            if (more < 0) {
                ble->bus.gone = true;
            }
            if (more <= 0) {
                return false;
            }
        }
        (void)device_gatt_poll(&ble->gatt, now_ms);
    }
    return true;
}

static uint32_t run(void *transport, const struct pollfd *list, size_t count, uint32_t now_ms)
{
    struct ble *ble = transport;

    (void)list;
    (void)count;
    bool more = take_messages(ble, now_ms);
    uint32_t silence = bound_silence(ble);
    uint32_t next = device_gatt_poll(&ble->gatt, now_ms);
    next = silence < next ? silence : next;
    next = ble->full && next > FULL_MS ? FULL_MS : next;
    ble->full = false;
    if (ble->bus.gone) {
        device_error(ble->device, "ble: the Bluetooth service (bluetoothd) has ended");
        ble->device->exit_code = 1;
        ble->device->done = true;
    }
    return more ? 0 : next;
}

static void destroy(void *transport)
{
    free(transport);
}

const struct transport_type ble_transport = {
    .option = "ble",
    .argument = "ADAPTER",
    .help = "GATT services over Bluetooth: hci0, or any",
    .create = create,
    .up = up,
    .fds = fds,
    .run = run,
    .down = down,
    .destroy = destroy,
};
