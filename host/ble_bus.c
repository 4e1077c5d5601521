/* SPDX-License-Identifier: Apache-2.0 */
#include "host/ble_bus.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "host/clock.h"

/* A signal that arrives just before poll() does not end it: the caller looks this often. */
#define WAKE_MS 200u
#define AGENT "/otter/agent"

/* ---- what goes wrong, in words ------------------------------------------------------------------
 */

#define DBUS "org.freedesktop.DBus.Error."
#define BLUEZ "org.bluez.Error."

#define NO_DAEMON                                                                                  \
    "the Bluetooth service (bluetoothd) is not running: sudo systemctl start bluetooth (without "  \
    "an "                                                                                          \
    "adapter it does not start; if it is not there: sudo apt install bluez)"
#define NOT_ALLOWED                                                                                \
    "this user may not use Bluetooth: sudo usermod -aG bluetooth $USER, then log in again"
#define REFUSED_PAIRING                                                                            \
    "pairing was refused; where a code is asked for, pair by hand: bluetoothctl pair ADDRESS"
#define NOT_REACHED "no connection: the device is off, out of range, or connected to somebody else"

/* The first row that fits. */
static const struct {
    const char *name;
    const char *text; /* a part of the message; NULL: any */
    otter_err err;
    const char *sentence; /* NULL: what bluetoothd says */
} failures[] = {
    {DBUS "ServiceUnknown", NULL, OTTER_ERR_UNSUPPORTED, NO_DAEMON},
    {DBUS "NameHasNoOwner", NULL, OTTER_ERR_UNSUPPORTED, NO_DAEMON},
    {DBUS "Spawn.", NULL, OTTER_ERR_UNSUPPORTED, NO_DAEMON},
    {"org.freedesktop.systemd1.", NULL, OTTER_ERR_UNSUPPORTED, NO_DAEMON},
    {DBUS "AccessDenied", NULL, OTTER_ERR_POLICY, NOT_ALLOWED},
    {DBUS "NoReply", NULL, OTTER_ERR_TIMEOUT, "no answer in time"},
    {DBUS "Timeout", NULL, OTTER_ERR_TIMEOUT, "no answer in time"},
    {DBUS "Disconnected", NULL, OTTER_ERR_LINK, "the system bus has ended"},
    {DBUS "UnknownObject", NULL, OTTER_ERR_LINK, "the device is gone"},
    {DBUS "UnknownMethod", NULL, OTTER_ERR_LINK, "the device is gone"},
    {BLUEZ "NotReady", NULL, OTTER_ERR_STATE,
     "the Bluetooth adapter is off: bluetoothctl power on"},
    {BLUEZ "NotPermitted", "paired", OTTER_ERR_REFUSED, "the device asks for pairing"},
    {BLUEZ "NotPermitted", "acquired", OTTER_ERR_BUSY,
     "another program on this machine uses the device"},
    {BLUEZ "NotPermitted", NULL, OTTER_ERR_REFUSED, NULL},
    {BLUEZ "NotAuthorized", NULL, OTTER_ERR_REFUSED, "the device does not allow it"},
    {BLUEZ "NotSupported", NULL, OTTER_ERR_UNSUPPORTED, "the device does not offer this"},
    {BLUEZ "Authentication", NULL, OTTER_ERR_REFUSED, REFUSED_PAIRING},
    {BLUEZ "NotConnected", NULL, OTTER_ERR_LINK, "the connection is lost"},
    {BLUEZ "Failed", "Not connected", OTTER_ERR_LINK, "the connection is lost"},
    {BLUEZ "Failed", "ATT error", OTTER_ERR_REFUSED, NULL},
    {BLUEZ "Failed", "le-connection-", OTTER_ERR_LINK, NOT_REACHED},
    {BLUEZ "Failed", "br-connection-", OTTER_ERR_LINK, NOT_REACHED},
    {BLUEZ "ConnectionAttemptFailed", NULL, OTTER_ERR_LINK, NOT_REACHED},
    {BLUEZ "DoesNotExist", NULL, OTTER_ERR_LINK, "the device is gone"},
    {BLUEZ "InvalidArguments", NULL, OTTER_ERR_REFUSED, NULL},
    {BLUEZ "InProgress", NULL, OTTER_ERR_BUSY, "bluetoothd is busy with this device"},
    {BLUEZ, NULL, OTTER_ERR_LINK, NULL},
};

static otter_err fail_by_number(struct otter_ble_bus *bus, int error)
{
    if (error == -ETIMEDOUT) {
        snprintf(bus->why, sizeof(bus->why), "no answer in time");
        return OTTER_ERR_TIMEOUT;
    }
    snprintf(bus->why, sizeof(bus->why), "D-Bus: %s", strerror(-error));
    return OTTER_ERR_LINK;
}

otter_err otter_ble_bus_fail(struct otter_ble_bus *bus, const sd_bus_error *e, int error)
{
    const char *text = e != NULL && e->message != NULL ? e->message : "";

    bus->not_paired = false;
    if (e == NULL || e->name == NULL) {
        return fail_by_number(bus, error);
    }
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        if (strncmp(e->name, failures[i].name, strlen(failures[i].name)) == 0 &&
            (failures[i].text == NULL || strstr(text, failures[i].text) != NULL)) {
            const char *sentence = failures[i].sentence;

            bus->not_paired = failures[i].text != NULL && strcmp(failures[i].text, "paired") == 0;
            snprintf(bus->why, sizeof(bus->why), "%s", sentence != NULL ? sentence : text);
            return failures[i].err;
        }
    }
    snprintf(bus->why, sizeof(bus->why), "%s", *text != '\0' ? text : e->name);
    return OTTER_ERR_LINK;
}

/* ---- the bus ------------------------------------------------------------------------------------
 */

static int on_signal(sd_bus_message *message, void *ctx, sd_bus_error *error)
{
    struct otter_ble_bus *bus = ctx;

    (void)error;
    bus->changed = true;
    if (bus->heard != NULL) {
        bus->heard(bus->ctx, message);
    }
    return 0;
}

static int on_owner(sd_bus_message *message, void *ctx, sd_bus_error *error)
{
    struct otter_ble_bus *bus = ctx;
    const char *name, *before, *after;

    (void)error;
    if (sd_bus_message_read(message, "sss", &name, &before, &after) >= 0 && *before != '\0') {
        bus->gone = true; /* a new one knows nothing of what the old one did for us */
        bus->changed = true;
    }
    return 0;
}

otter_err otter_ble_bus_open(struct otter_ble_bus *bus)
{
    otter_ble_bus_close(bus);
    bus->gone = false;
    bus->changed = true;
    int error = sd_bus_open_system(&bus->bus);
    if (error < 0) {
        snprintf(bus->why, sizeof(bus->why),
                 "there is no D-Bus system bus (%s), through which Bluetooth is used",
                 strerror(-error));
        return OTTER_ERR_UNSUPPORTED;
    }
    error =
        sd_bus_match_signal(bus->bus, NULL, OTTER_BLE_SERVICE, NULL, NULL, NULL, on_signal, bus);
    if (error >= 0) {
        error = sd_bus_add_match(bus->bus, NULL,
                                 "type='signal',sender='org.freedesktop.DBus',"
                                 "member='NameOwnerChanged',arg0='" OTTER_BLE_SERVICE "'",
                                 on_owner, bus);
    }
    if (error < 0) {
        otter_ble_bus_close(bus);
        return fail_by_number(bus, error);
    }
    return OTTER_OK;
}

void otter_ble_bus_close(struct otter_ble_bus *bus)
{
    bus->bus = sd_bus_flush_close_unref(bus->bus);
}

/* Handles all that has come in; *busy when there was something. */
static otter_err handle(struct otter_ble_bus *bus, bool *busy)
{
    int more;

    *busy = false;
    while ((more = sd_bus_process(bus->bus, NULL)) > 0) {
        *busy = true;
    }
    if (more < 0 || bus->gone) {
        bus->gone = true;
        snprintf(bus->why, sizeof(bus->why), "the Bluetooth service (bluetoothd) has ended");
        return OTTER_ERR_LINK;
    }
    return OTTER_OK;
}

/* In how many ms sd-bus itself wants to be called. */
static uint32_t own_timeout(struct otter_ble_bus *bus)
{
    uint64_t at = UINT64_MAX;
    struct timespec now;

    if (sd_bus_get_timeout(bus->bus, &at) < 0 || at == UINT64_MAX) {
        return UINT32_MAX;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t us = (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
    return at <= us ? 0 : (uint32_t)((at - us) / 1000u + 1u);
}

otter_err otter_ble_bus_wait(struct otter_ble_bus *bus, struct pollfd *more, size_t count,
                             uint32_t timeout_ms)
{
    struct pollfd fds[1 + OTTER_BLE_MORE_FDS];
    bool busy;

    if (bus->bus == NULL || bus->gone) {
        return OTTER_ERR_LINK;
    }
    otter_err err = handle(bus, &busy); /* what sd-bus has read already wakes no poll() */
    if (err != OTTER_OK) {
        return err;
    }
    uint32_t own = own_timeout(bus);
    timeout_ms = busy ? 0 : timeout_ms < WAKE_MS ? timeout_ms : WAKE_MS;
    timeout_ms = own < timeout_ms ? own : timeout_ms;
    fds[0] = (struct pollfd){.fd = sd_bus_get_fd(bus->bus),
                             .events = (short)sd_bus_get_events(bus->bus)};
    for (size_t i = 0; i < count; i++) {
        fds[1 + i] = more[i];
    }
    if (poll(fds, 1 + count, (int)timeout_ms) < 0 && errno != EINTR) {
        return OTTER_ERR_LINK;
    }
    for (size_t i = 0; i < count; i++) {
        more[i].revents = fds[1 + i].revents;
    }
    return handle(bus, &busy);
}

/* ---- calls --------------------------------------------------------------------------------------
 */

static int on_reply(sd_bus_message *message, void *ctx, sd_bus_error *error)
{
    (void)error;
    *(sd_bus_message **)ctx = sd_bus_message_ref(message);
    return 0;
}

static otter_err wait_for(struct otter_ble_bus *bus, sd_bus_message **answer)
{
    while (*answer == NULL) {
        if (bus->cancel != NULL && *bus->cancel != 0) {
            snprintf(bus->why, sizeof(bus->why), "%s", otter_err_text(OTTER_ERR_CANCELLED));
            return OTTER_ERR_CANCELLED;
        }
        otter_err err = otter_ble_bus_wait(bus, NULL, 0, UINT32_MAX);
        if (err != OTTER_OK && *answer == NULL) {
            return err;
        }
    }
    return OTTER_OK;
}

otter_err otter_ble_bus_call(struct otter_ble_bus *bus, sd_bus_message *message,
                             uint32_t timeout_ms, sd_bus_message **reply)
{
    sd_bus_slot *slot = NULL;
    sd_bus_message *answer = NULL;

    if (message == NULL) {
        return fail_by_number(bus, -ENOMEM);
    }
    int error = sd_bus_call_async(bus->bus, &slot, message, on_reply, &answer,
                                  (uint64_t)timeout_ms * 1000u);
    sd_bus_message_unref(message);
    if (error < 0) {
        return fail_by_number(bus, error);
    }
    otter_err err = wait_for(bus, &answer);
    sd_bus_slot_unref(slot); /* a late answer is for nobody */
    if (err == OTTER_OK && sd_bus_message_is_method_error(answer, NULL)) {
        err = otter_ble_bus_fail(bus, sd_bus_message_get_error(answer), 0);
    }
    if (err == OTTER_OK && reply != NULL) {
        *reply = answer;
    } else {
        sd_bus_message_unref(answer);
    }
    return err;
}

sd_bus_message *otter_ble_bus_message(struct otter_ble_bus *bus, const char *path,
                                      const char *interface, const char *member)
{
    sd_bus_message *message = NULL;

    if (sd_bus_message_new_method_call(bus->bus, &message, OTTER_BLE_SERVICE, path, interface,
                                       member) < 0) {
        return NULL;
    }
    return message;
}

otter_err otter_ble_bus_do(struct otter_ble_bus *bus, const char *path, const char *interface,
                           const char *member, uint32_t timeout_ms)
{
    return otter_ble_bus_call(bus, otter_ble_bus_message(bus, path, interface, member), timeout_ms,
                              NULL);
}

/* ---- pairing ------------------------------------------------------------------------------------
 */

static int agree(sd_bus_message *message, void *ctx, sd_bus_error *error)
{
    (void)ctx;
    (void)error;
    return sd_bus_reply_method_return(message, "");
}

/* Without a keyboard and a display only these can come. */
static const sd_bus_vtable agent_table[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Release", "", "", agree, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Cancel", "", "", agree, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("RequestAuthorization", "o", "", agree, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("AuthorizeService", "os", "", agree, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

otter_err otter_ble_bus_agent(struct otter_ble_bus *bus, bool default_one)
{
    int error =
        sd_bus_add_object_vtable(bus->bus, NULL, AGENT, "org.bluez.Agent1", agent_table, NULL);
    if (error < 0) {
        return fail_by_number(bus, error);
    }
    sd_bus_message *message =
        otter_ble_bus_message(bus, "/org/bluez", "org.bluez.AgentManager1", "RegisterAgent");
    if (message != NULL) {
        (void)sd_bus_message_append(message, "os", AGENT, "NoInputNoOutput");
    }
    otter_err err = otter_ble_bus_call(bus, message, 5000, NULL);
    if (err == OTTER_OK && default_one) {
        message = otter_ble_bus_message(bus, "/org/bluez", "org.bluez.AgentManager1",
                                        "RequestDefaultAgent");
        if (message != NULL) {
            (void)sd_bus_message_append(message, "o", AGENT);
        }
        err = otter_ble_bus_call(bus, message, 5000, NULL);
    }
    return err;
}
