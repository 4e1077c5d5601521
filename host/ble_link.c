/* SPDX-License-Identifier: Apache-2.0 */
#include "host/ble_link.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/att.h"
#include "host/ble_find.h"
#include "host/clock.h"

#define ANSWER_MS 30000u /* of a device, as ATT has it */
#define PAIR_MS 30000u
#define LEAVE_MS 3000u
#define DRAIN_MS 1u     /* nothing tells when a descriptor has been read empty */
#define ACQUIRED_MAX 50 /* tries until bluetoothd has seen that a descriptor is closed */
#define TRY_MS 200u     /* between two tries to connect */
/* bluetoothd up to 5.66 at least refuses values longer than this as a server. */
#define MTU_MAX 512u

/* ---- what comes from the device -----------------------------------------------------------------
 */

static void hand_on(struct otter_ble_link *link, size_t index, const uint8_t *data, size_t len)
{
    if (link->handlers.received != NULL) {
        link->handlers.received(link->handlers.ctx, index, data, len);
    }
}

/* Opens the variant of one property of a PropertiesChanged signal, whose interface is read. */
static bool find_changed(sd_bus_message *m, const char *wanted)
{
    const char *name;

    if (sd_bus_message_enter_container(m, 'a', "{sv}") < 0) {
        return false;
    }
    while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
        if (sd_bus_message_read(m, "s", &name) < 0) {
            return false;
        }
        if (strcmp(name, wanted) == 0) {
            return true;
        }
        if (sd_bus_message_skip(m, "v") < 0 || sd_bus_message_exit_container(m) < 0) {
            return false;
        }
    }
    return false;
}

static void take_value(struct otter_ble_link *link, sd_bus_message *m, const char *path)
{
    const void *data;
    size_t len;

    for (size_t i = 0; i < link->count; i++) {
        /* What comes through a descriptor is told here, too, by some versions. */
        if (strcmp(link->chars[i].path, path) == 0 && link->chars[i].in < 0 &&
            find_changed(m, "Value") && sd_bus_message_enter_container(m, 'v', "ay") >= 0 &&
            sd_bus_message_read_array(m, 'y', &data, &len) >= 0) {
            hand_on(link, i, data, len);
            return;
        }
    }
}

static void on_signal(void *ctx, sd_bus_message *m)
{
    struct otter_ble_link *link = ctx;
    const char *path = sd_bus_message_get_path(m);
    const char *interface;
    int connected = 1;

    if (link->device[0] == '\0' || path == NULL ||
        sd_bus_message_is_signal(m, OTTER_BLE_PROPERTIES, "PropertiesChanged") <= 0 ||
        sd_bus_message_read(m, "s", &interface) < 0) {
        return;
    }
    if (strcmp(interface, OTTER_BLE_CHAR) == 0) {
        take_value(link, m, path);
    } else if (strcmp(interface, OTTER_BLE_DEVICE) == 0 && strcmp(path, link->device) == 0 &&
               find_changed(m, "Connected") && sd_bus_message_read(m, "v", "b", &connected) >= 0 &&
               connected == 0) {
        link->lost = true;
    }
}

/* ---- connecting ---------------------------------------------------------------------------------
 */

static void drop_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

static void forget(struct otter_ble_link *link)
{
    for (size_t i = 0; i < link->count; i++) {
        drop_fd(&link->chars[i].in);
        drop_fd(&link->chars[i].out);
    }
    link->slot = sd_bus_slot_unref(link->slot);
    link->asking = OTTER_BLE_IDLE;
    link->barrier = false;
    link->full = false;
    link->count = 0;
}

static void link_close(void *ctx)
{
    struct otter_ble_link *link = ctx;

    forget(link);
    if (link->bus.bus != NULL && link->ours && !link->bus.gone) {
        const volatile sig_atomic_t *cancel = link->bus.cancel;

        link->bus.cancel = NULL; /* who stopped does not want to stay connected */
        (void)!otter_ble_bus_do(&link->bus, link->device, OTTER_BLE_DEVICE, "Disconnect", LEAVE_MS);
        link->bus.cancel = cancel;
    }
    link->ours = false;
    link->device[0] = '\0';
    otter_ble_bus_close(&link->bus);
}

struct wanted {
    struct otter_ble_link *link;
    const char *device;
};

static bool keep_device(struct otter_ble_link *link, const struct otter_ble_object *device)
{
    if (device == NULL) {
        return false;
    }
    snprintf(link->device, sizeof(link->device), "%s", device->path);
    return true;
}

static bool seen(void *ctx, const struct otter_ble_tree *tree)
{
    const struct wanted *wanted = ctx;

    return keep_device(wanted->link, otter_ble_device(tree, wanted->link->adapter, wanted->device));
}

/* Fills adapter and device of link. */
static otter_err find(struct otter_ble_link *link, const struct otter_ble_address *address,
                      uint32_t timeout_ms)
{
    struct wanted wanted = {link, address->device};
    struct otter_ble_tree tree;

    otter_err err = otter_ble_tree_load(&tree, &link->bus);
    if (err == OTTER_OK) {
        const struct otter_ble_object *adapter =
            otter_ble_adapter(&link->bus, &tree, address->adapter);

        if (adapter == NULL) {
            err = OTTER_ERR_STATE;
        } else {
            snprintf(link->adapter, sizeof(link->adapter), "%s", adapter->path);
            keep_device(link, otter_ble_device(&tree, adapter->path, address->device));
        }
    }
    otter_ble_tree_free(&tree);
    if (err != OTTER_OK || link->device[0] != '\0') {
        return err;
    }
    err = otter_ble_search(&link->bus, link->adapter, timeout_ms, seen, &wanted);
    if (err == OTTER_ERR_TIMEOUT) {
        snprintf(link->bus.why, sizeof(link->bus.why),
                 "not heard: it is off, out of range, or connected to somebody else");
    }
    return err;
}

/* The state of our device; false when bluetoothd does not know it any more. */
static otter_err look_up(struct otter_ble_link *link, struct otter_ble_object *device)
{
    struct otter_ble_tree tree;
    otter_err err = otter_ble_tree_load(&tree, &link->bus);

    *device = (struct otter_ble_object){0};
    for (size_t i = 0; i < tree.count; i++) {
        if (strcmp(tree.objects[i].path, link->device) == 0) {
            *device = tree.objects[i];
        }
    }
    otter_ble_tree_free(&tree);
    if (err == OTTER_OK && device->path[0] == '\0') {
        snprintf(link->bus.why, sizeof(link->bus.why), "the device is gone");
        err = OTTER_ERR_LINK;
    }
    return err;
}

static otter_err wait_resolved(struct otter_ble_link *link, uint32_t begun, uint32_t timeout_ms)
{
    struct otter_ble_object device;

    for (;;) {
        link->bus.changed = false;
        otter_err err = look_up(link, &device);
        if (err != OTTER_OK || device.resolved) {
            snprintf(link->name, sizeof(link->name), "%s", device.name);
            return err;
        }
        while (!link->bus.changed) {
            uint32_t spent = otter_clock_ms() - begun;

            if (link->lost || !device.connected) {
                snprintf(link->bus.why, sizeof(link->bus.why), "the connection is lost");
                return OTTER_ERR_LINK;
            }
            if (spent >= timeout_ms) {
                snprintf(link->bus.why, sizeof(link->bus.why),
                         "connected, but it does not say what it offers");
                return OTTER_ERR_TIMEOUT;
            }
            if (link->bus.cancel != NULL && *link->bus.cancel != 0) {
                return OTTER_ERR_CANCELLED;
            }
            err = otter_ble_bus_wait(&link->bus, NULL, 0, timeout_ms - spent);
            if (err != OTTER_OK) {
                return err;
            }
        }
    }
}

/* A pause that bluetoothd can use. */
static otter_err rest(struct otter_ble_link *link, uint32_t ms)
{
    uint32_t begun = otter_clock_ms();

    while (otter_clock_ms() - begun < ms) {
        otter_err err = otter_ble_bus_wait(&link->bus, NULL, 0, ms - (otter_clock_ms() - begun));
        if (err != OTTER_OK) {
            return err;
        }
    }
    return OTTER_OK;
}

static otter_err connect_device(struct otter_ble_link *link, uint32_t timeout_ms)
{
    uint32_t begun = otter_clock_ms();
    struct otter_ble_object device;
    otter_err err = look_up(link, &device);

    while (err == OTTER_OK && !device.connected) {
        uint32_t spent = otter_clock_ms() - begun;

        if (spent >= timeout_ms) {
            return OTTER_ERR_TIMEOUT;
        }
        link->ours = true;
        err = otter_ble_bus_do(&link->bus, link->device, OTTER_BLE_DEVICE, "Connect",
                               timeout_ms - spent);
        if (err == OTTER_OK) {
            break;
        }
        if (err == OTTER_ERR_CANCELLED || err == OTTER_ERR_POLICY || err == OTTER_ERR_STATE ||
            err == OTTER_ERR_UNSUPPORTED || link->bus.gone) {
            return err;
        }
        /* A connection attempt fails for many passing reasons. */
        if (otter_clock_ms() - begun + TRY_MS >= timeout_ms) {
            return err;
        }
        err = rest(link, TRY_MS);
        if (err == OTTER_OK) {
            err = look_up(link, &device);
        }
    }
    link->lost = false;
    return err == OTTER_OK ? wait_resolved(link, begun, timeout_ms) : err;
}

/* ---- what the device offers ---------------------------------------------------------------------
 */

static void take_char(struct otter_ble_link *link, const struct otter_gatt_uuid *service,
                      const struct otter_ble_object *o)
{
    struct otter_ble_char *c = &link->chars[link->count];

    link->found[link->count++] =
        (struct otter_gatt_found){.service = *service, .uuid = o->uuid, .props = o->props};
    *c = (struct otter_ble_char){
        .out = -1,
        .in = -1,
        .may_acquire = o->can_acquire_write && (o->props & OTTER_GATT_WRITE_COMMAND) != 0,
        .may_listen = o->can_acquire_notify && (o->props & OTTER_GATT_NOTIFY) != 0,
    };
    snprintf(c->path, sizeof(c->path), "%s", o->path);
    if (o->mtu > link->mtu) {
        link->mtu = o->mtu;
    }
}

static otter_err look_around(struct otter_ble_link *link, uint16_t mtu)
{
    const struct otter_ble_object *service = NULL;
    struct otter_ble_tree tree;
    otter_err err = otter_ble_tree_load(&tree, &link->bus);

    link->mtu = OTTER_GATT_MTU_MIN;
    for (size_t i = 0; i < tree.count && link->count < OTTER_BLE_CHARS; i++) {
        const struct otter_ble_object *o = &tree.objects[i];

        if (!otter_ble_inside(o->path, link->device)) {
            continue;
        }
        if (o->kind == OTTER_BLE_IS_SERVICE) {
            service = o;
        } else if (o->kind == OTTER_BLE_IS_CHAR && service != NULL &&
                   otter_ble_inside(o->path, service->path)) {
            take_char(link, &service->uuid, o);
        }
    }
    otter_ble_tree_free(&tree);
    link->found[link->count] = (struct otter_gatt_found){.service = otter_att_uuid16(0x1800),
                                                         .uuid = otter_att_uuid16(0x2A00),
                                                         .props = OTTER_GATT_READ};
    /* bluetoothd asks for what its own configuration says: what is wanted here can only be less. */
    link->mtu = link->mtu < mtu ? link->mtu : mtu;
    link->mtu = link->mtu < MTU_MAX ? link->mtu : MTU_MAX;
    return err;
}

static otter_err link_open(void *ctx, const char *text, uint16_t mtu, uint32_t timeout_ms)
{
    struct otter_ble_link *link = ctx;
    struct otter_ble_address address;
    uint32_t begun = otter_clock_ms();

    link_close(link);
    link->lost = false;
    if (otter_ble_address_parse(&address, text) != OTTER_OK) {
        snprintf(link->message, sizeof(link->message),
                 "\"%.100s\" is neither an address nor a name", text);
        return OTTER_ERR_ARG;
    }
    otter_err err = otter_ble_bus_open(&link->bus);
    if (err == OTTER_OK) {
        err = find(link, &address, timeout_ms);
    }
    if (err == OTTER_OK) {
        /* Without an agent bluetoothd can pair only what asks for nothing. */
        (void)!otter_ble_bus_agent(&link->bus, false);
        uint32_t spent = otter_clock_ms() - begun;
        err = connect_device(link, spent < timeout_ms ? timeout_ms - spent : 0);
        if (err == OTTER_ERR_TIMEOUT && link->bus.why[0] == '\0') {
            snprintf(link->bus.why, sizeof(link->bus.why), "no connection in time");
        }
    }
    if (err == OTTER_OK) {
        err = look_around(link, mtu);
    }
    if (err != OTTER_OK) {
        snprintf(link->message, sizeof(link->message), "%.60s: %.250s", text, link->bus.why);
        link_close(link);
        return err == OTTER_ERR_ARG ? OTTER_ERR_LINK : err;
    }
    return OTTER_OK;
}

static size_t link_found(void *ctx, const struct otter_gatt_found **found)
{
    struct otter_ble_link *link = ctx;

    *found = link->found;
    return link->count + 1;
}

static uint16_t link_mtu(void *ctx)
{
    return ((struct otter_ble_link *)ctx)->mtu;
}

/* ---- reading and subscribing --------------------------------------------------------------------
 */

/* A call about a characteristic with an a{sv}, in which nothing is. */
static sd_bus_message *char_call(struct otter_ble_link *link, size_t index, const char *member)
{
    sd_bus_message *m =
        otter_ble_bus_message(&link->bus, link->chars[index].path, OTTER_BLE_CHAR, member);

    if (m != NULL && sd_bus_message_append(m, "a{sv}", 0) < 0) {
        return sd_bus_message_unref(m);
    }
    return m;
}

static otter_err pair(struct otter_ble_link *link)
{
    return otter_ble_bus_do(&link->bus, link->device, OTTER_BLE_DEVICE, "Pair", PAIR_MS);
}

static otter_err link_read(void *ctx, size_t index, uint8_t *value, size_t cap, size_t *len)
{
    struct otter_ble_link *link = ctx;
    sd_bus_message *reply = NULL;
    const void *data = link->name;
    size_t size = strlen(link->name);
    otter_err err = OTTER_OK;

    if (index < link->count) {
        err =
            otter_ble_bus_call(&link->bus, char_call(link, index, "ReadValue"), ANSWER_MS, &reply);
        if (err == OTTER_OK && sd_bus_message_read_array(reply, 'y', &data, &size) < 0) {
            err = OTTER_ERR_PROTOCOL;
        }
    }
    if (err == OTTER_OK) {
        *len = size < cap ? size : cap;
        memcpy(value, data, *len);
    }
    sd_bus_message_unref(reply);
    return err;
}

static otter_err listen_fd(struct otter_ble_link *link, size_t index)
{
    sd_bus_message *reply = NULL;
    int fd = -1;
    uint16_t mtu;
    otter_err err =
        otter_ble_bus_call(&link->bus, char_call(link, index, "AcquireNotify"), ANSWER_MS, &reply);

    if (err == OTTER_OK) {
        /* The message owns the descriptor. */
        if (sd_bus_message_read(reply, "hq", &fd, &mtu) < 0 ||
            (fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0) {
            err = OTTER_ERR_PROTOCOL;
        }
        link->chars[index].in = fd;
    }
    sd_bus_message_unref(reply);
    return err;
}

static otter_err link_subscribe(void *ctx, size_t index, uint16_t cccd)
{
    struct otter_ble_link *link = ctx;
    bool by_fd =
        index < link->count && link->chars[index].may_listen && cccd == OTTER_GATT_CCCD_NOTIFY;

    for (unsigned tries = 0;; tries++) {
        otter_err err = index >= link->count ? OTTER_ERR_UNSUPPORTED
                        : by_fd              ? listen_fd(link, index)
                                             : otter_ble_bus_do(&link->bus, link->chars[index].path,
                                                                OTTER_BLE_CHAR, "StartNotify", ANSWER_MS);
        if (err != OTTER_ERR_REFUSED || !link->bus.not_paired || tries > 0) {
            return err;
        }
        if ((err = pair(link)) != OTTER_OK) {
            return err;
        }
    }
}

/* ---- writing ------------------------------------------------------------------------------------
 */

/* True when bluetoothd has read all that was written. */
static bool drained(const struct otter_ble_link *link)
{
    for (size_t i = 0; i < link->count; i++) {
        int left = 0;

        if (link->chars[i].out >= 0 && ioctl(link->chars[i].out, SIOCOUTQ, &left) == 0 &&
            left > 0) {
            return false;
        }
    }
    return true;
}

static otter_err send_fd(struct otter_ble_link *link, struct otter_ble_char *c, const uint8_t *data,
                         size_t len)
{
    if (send(c->out, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len) {
        return OTTER_OK;
    }
    if (errno == EAGAIN || errno == ENOBUFS) {
        link->full = true;
        return OTTER_ERR_AGAIN;
    }
    link->lost = true;
    return OTTER_ERR_LINK;
}

static void answered(struct otter_ble_link *link, uint8_t att)
{
    if (link->handlers.written != NULL) {
        link->handlers.written(link->handlers.ctx, att);
    }
}

static otter_err call_write(struct otter_ble_link *link, bool request);

/* "Operation failed with ATT error: 0x0e", of those that have no name of their own. */
static uint8_t att_error(const sd_bus_error *e, bool not_paired)
{
    const char *hex = e->message != NULL ? strstr(e->message, "0x") : NULL;
    unsigned code = 0;

    if (hex != NULL && sscanf(hex, "0x%2x", &code) == 1 && code != 0) {
        return (uint8_t)code;
    }
    return not_paired ? OTTER_ATT_INSUFFICIENT_ENCRYPTION
           : strcmp(e->name, "org.bluez.Error.NotPermitted") == 0 ? OTTER_ATT_WRITE_NOT_PERMITTED
           : strcmp(e->name, "org.bluez.Error.InvalidArguments") == 0 ? OTTER_ATT_INVALID_LENGTH
                                                                      : OTTER_ATT_UNLIKELY;
}

/* A write request, a command or a barrier has been answered. */
static void take_answer(struct otter_ble_link *link, enum otter_ble_asking asked, sd_bus_message *m)
{
    if (!sd_bus_message_is_method_error(m, NULL)) {
        if (asked != OTTER_BLE_COMMAND) {
            answered(link, OTTER_ATT_OK);
        }
        return;
    }
    const sd_bus_error *e = sd_bus_message_get_error(m);
    otter_err err = otter_ble_bus_fail(&link->bus, e, 0);
    if (err == OTTER_ERR_BUSY && link->tries++ < ACQUIRED_MAX) {
        link->lost |= call_write(link, asked == OTTER_BLE_REQUEST) != OTTER_OK;
    } else if (err == OTTER_ERR_LINK || err == OTTER_ERR_TIMEOUT || err == OTTER_ERR_UNSUPPORTED) {
        link->lost = true;
    } else if (asked == OTTER_BLE_BARRIER) {
        answered(link, OTTER_ATT_OK); /* a refusal to be read is an answer as well */
    } else {
        answered(link, att_error(e, link->bus.not_paired));
    }
}

static void take_descriptor(struct otter_ble_link *link, sd_bus_message *m)
{
    struct otter_ble_char *c = &link->chars[link->index];
    int fd;
    uint16_t mtu;

    if (sd_bus_message_is_method_error(m, NULL) || sd_bus_message_read(m, "hq", &fd, &mtu) < 0 ||
        (fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0) {
        c->may_acquire = false;
        return;
    }
    c->out = fd;
}

static int on_answer(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    struct otter_ble_link *link = ctx;
    enum otter_ble_asking asked = link->asking;

    (void)error;
    link->asking = OTTER_BLE_IDLE;
    link->slot = sd_bus_slot_unref(link->slot);
    if (asked == OTTER_BLE_ACQUIRING) {
        take_descriptor(link, m);
    } else {
        take_answer(link, asked, m);
    }
    return 1;
}

/* Consumes m. */
static otter_err ask(struct otter_ble_link *link, enum otter_ble_asking asking, sd_bus_message *m)
{
    if (m == NULL || sd_bus_call_async(link->bus.bus, &link->slot, m, on_answer, link,
                                       (uint64_t)ANSWER_MS * 1000u) < 0) {
        sd_bus_message_unref(m);
        return OTTER_ERR_LINK;
    }
    sd_bus_message_unref(m);
    link->asking = asking;
    return OTTER_OK;
}

/* What is in value, by a call. */
static otter_err call_write(struct otter_ble_link *link, bool request)
{
    sd_bus_message *m = otter_ble_bus_message(&link->bus, link->chars[link->index].path,
                                              OTTER_BLE_CHAR, "WriteValue");

    if (m != NULL &&
        (sd_bus_message_append_array(m, 'y', link->value, link->len) < 0 ||
         sd_bus_message_append(m, "a{sv}", 1, "type", "s", request ? "request" : "command") < 0)) {
        m = sd_bus_message_unref(m);
    }
    return ask(link, request ? OTTER_BLE_REQUEST : OTTER_BLE_COMMAND, m);
}

static otter_err begin_write(struct otter_ble_link *link, size_t index, bool request,
                             const uint8_t *data, size_t len)
{
    if (len > sizeof(link->value)) {
        return OTTER_ERR_LENGTH;
    }
    memcpy(link->value, data, len);
    link->len = (uint16_t)len;
    link->index = index;
    link->tries = 0;
    return call_write(link, request);
}

/* A characteristic to read behind the commands: one of the same service, else any, else -1. */
static int barrier_char(const struct otter_ble_link *link)
{
    int any = -1;

    for (size_t i = 0; i < link->count; i++) {
        if ((link->found[i].props & OTTER_GATT_READ) == 0) {
            continue;
        }
        if (otter_gatt_uuid_equal(&link->found[i].service, &link->found[link->index].service)) {
            return (int)i;
        }
        any = (int)i;
    }
    return any;
}

/* A request among commands: behind them, and the answer to a read behind it is its answer. */
static otter_err write_barrier(struct otter_ble_link *link, size_t index, const uint8_t *data,
                               size_t len)
{
    struct otter_ble_char *c = &link->chars[index];
    otter_err err = send_fd(link, c, data, len);

    if (err == OTTER_OK) {
        c->commands = false;
        link->index = index;
        link->barrier = true;
    }
    return err;
}

static otter_err write_request(struct otter_ble_link *link, size_t index, const uint8_t *data,
                               size_t len)
{
    struct otter_ble_char *c = &link->chars[index];

    if (link->asking != OTTER_BLE_IDLE || link->barrier) {
        return OTTER_ERR_AGAIN;
    }
    if (c->out >= 0 && c->commands) {
        link->index = index;
        if (barrier_char(link) >= 0) {
            return write_barrier(link, index, data, len);
        }
    }
    if (!drained(link)) {
        link->full = true;
        return OTTER_ERR_AGAIN;
    }
    drop_fd(&c->out);
    return begin_write(link, index, true, data, len);
}

static otter_err write_command(struct otter_ble_link *link, size_t index, const uint8_t *data,
                               size_t len)
{
    struct otter_ble_char *c = &link->chars[index];

    if (c->out >= 0) {
        otter_err err = send_fd(link, c, data, len);

        c->commands |= err == OTTER_OK;
        return err;
    }
    if (link->asking != OTTER_BLE_IDLE || link->barrier) {
        return OTTER_ERR_AGAIN;
    }
    if (!c->may_acquire) {
        return begin_write(link, index, false, data, len);
    }
    link->index = index;
    otter_err err = ask(link, OTTER_BLE_ACQUIRING, char_call(link, index, "AcquireWrite"));
    return err == OTTER_OK ? OTTER_ERR_AGAIN : err;
}

static otter_err link_write(void *ctx, size_t index, bool request, const uint8_t *data, size_t len)
{
    struct otter_ble_link *link = ctx;

    if (link->lost || link->bus.gone || link->bus.bus == NULL) {
        return OTTER_ERR_LINK;
    }
    if (index >= link->count) {
        return OTTER_ERR_ARG;
    }
    return request ? write_request(link, index, data, len) : write_command(link, index, data, len);
}

/* ---- waiting ------------------------------------------------------------------------------------
 */

/* All that came through a descriptor. */
static void take_notifications(struct otter_ble_link *link, size_t index)
{
    uint8_t data[OTTER_GATT_MTU_MAX];
    ssize_t len;

    while (link->chars[index].in >= 0 &&
           (len = recv(link->chars[index].in, data, sizeof(data), MSG_DONTWAIT)) > 0) {
        hand_on(link, index, data, (size_t)len);
    }
}

static size_t gather(const struct otter_ble_link *link, struct pollfd *fds, size_t *owner)
{
    size_t n = 0;

    for (size_t i = 0; i < link->count; i++) {
        const struct otter_ble_char *c = &link->chars[i];

        if (c->in >= 0 && n < OTTER_BLE_MORE_FDS) {
            owner[n] = i;
            fds[n++] = (struct pollfd){.fd = c->in, .events = POLLIN};
        }
        if (c->out >= 0 && n < OTTER_BLE_MORE_FDS) {
            owner[n] = i;
            fds[n++] = (struct pollfd){.fd = c->out, .events = link->full ? POLLOUT : 0};
        }
    }
    return n;
}

static otter_err link_wait(void *ctx, uint32_t timeout_ms)
{
    struct otter_ble_link *link = ctx;
    struct pollfd fds[OTTER_BLE_MORE_FDS];
    size_t owner[OTTER_BLE_MORE_FDS];

    if (link->barrier && link->asking == OTTER_BLE_IDLE && drained(link)) {
        link->barrier = false;
        if (ask(link, OTTER_BLE_BARRIER,
                char_call(link, (size_t)barrier_char(link), "ReadValue")) != OTTER_OK) {
            link->lost = true;
        }
    }
    if (link->lost || link->bus.bus == NULL) {
        return OTTER_ERR_LINK;
    }
    if ((link->barrier || link->full) && timeout_ms > DRAIN_MS) {
        timeout_ms = DRAIN_MS;
    }
    size_t count = gather(link, fds, owner);
    otter_err err = otter_ble_bus_wait(&link->bus, fds, count, timeout_ms);
    link->full = false;
    for (size_t i = 0; i < count; i++) {
        if ((fds[i].revents & POLLIN) != 0) {
            take_notifications(link, owner[i]);
        }
        if ((fds[i].revents & (POLLHUP | POLLERR)) != 0) {
            link->lost = true;
        }
    }
    return err != OTTER_OK || link->lost ? OTTER_ERR_LINK : OTTER_OK;
}

static const struct otter_gatt_link_ops link_ops = {
    .open = link_open,
    .found = link_found,
    .mtu = link_mtu,
    .read = link_read,
    .subscribe = link_subscribe,
    .write = link_write,
    .wait = link_wait,
    .close = link_close,
};

struct otter_gatt_link otter_ble_link_init(struct otter_ble_link *link,
                                           const struct otter_gatt_handlers *handlers,
                                           const volatile sig_atomic_t *cancel)
{
    *link = (struct otter_ble_link){.bus = {.cancel = cancel, .heard = on_signal, .ctx = link},
                                    .handlers = *handlers};
    return (struct otter_gatt_link){.ops = &link_ops, .link = link, .message = link->message};
}
