/* SPDX-License-Identifier: Apache-2.0 */
/* --ble: values that centrals read and write, and those that are sent to them. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/ble.h"

/* ---- reads and writes ---------------------------------------------------------------------------
 */

/* Of the a{sv} that comes with every call. */
struct options {
    const char *central;
    uint16_t offset, mtu;
};

static int read_options(sd_bus_message *m, struct options *o)
{
    const char *name;
    int error = sd_bus_message_enter_container(m, 'a', "{sv}");

    while (error >= 0 && (error = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
        error = sd_bus_message_read(m, "s", &name);
        if (error >= 0) {
            error = strcmp(name, "device") == 0   ? sd_bus_message_read(m, "v", "o", &o->central)
                    : strcmp(name, "offset") == 0 ? sd_bus_message_read(m, "v", "q", &o->offset)
                    : strcmp(name, "mtu") == 0    ? sd_bus_message_read(m, "v", "q", &o->mtu)
                                                  : sd_bus_message_skip(m, "v");
        }
        if (error >= 0) {
            error = sd_bus_message_exit_container(m);
        }
    }
    return error;
}

int ble_on_read(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    struct ble_char *c = ctx;
    struct options o = {.central = ""};
    uint8_t value[OTTER_GATT_VALUE_MAX];
    sd_bus_message *reply = NULL;

    int r = read_options(m, &o);
    if (r < 0) {
        return r;
    }
    ble_remember(c->ble, o.central);
    size_t len = c->mount->ops->read(c->mount->service, c->chr->id, value, sizeof(value));
    if (o.offset > len) {
        return sd_bus_error_set(error, "org.bluez.Error.InvalidOffset", NULL);
    }
    r = sd_bus_message_new_method_return(m, &reply);
    if (r >= 0) {
        r = sd_bus_message_append_array(reply, 'y', value + o.offset, len - o.offset);
    }
    if (r >= 0) {
        r = sd_bus_send(NULL, reply, NULL);
    }
    sd_bus_message_unref(reply);
    return r < 0 ? r : 1;
}

/* How bluetoothd is told which ATT error to answer. */
static int refuse(sd_bus_message *m, enum otter_att att)
{
    static const struct {
        enum otter_att att;
        const char *name;
    } names[] = {
        {OTTER_ATT_WRITE_NOT_PERMITTED, "org.bluez.Error.NotPermitted"},
        {OTTER_ATT_REQUEST_NOT_SUPPORTED, "org.bluez.Error.NotSupported"},
        {OTTER_ATT_INVALID_LENGTH, "org.bluez.Error.InvalidValueLength"},
        {OTTER_ATT_INVALID_OFFSET, "org.bluez.Error.InvalidOffset"},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].att == att) {
            return sd_bus_reply_method_errorf(m, names[i].name, "refused");
        }
    }
    return sd_bus_reply_method_errorf(m, "org.bluez.Error.Failed", "0x80");
}

/* False when the service has no room now. */
static bool take_write(struct ble *ble, sd_bus_message *m, const struct ble_char *c)
{
    const void *data;
    size_t len;
    struct options o = {.central = ""};

    if (sd_bus_message_rewind(m, true) < 0 || sd_bus_message_read_array(m, 'y', &data, &len) < 0 ||
        read_options(m, &o) < 0 || o.offset != 0) {
        (void)refuse(m, OTTER_ATT_INVALID_OFFSET);
        return true;
    }
    ble_remember(ble, o.central);
    if (!ble_serve(ble, o.central)) {
        (void)sd_bus_reply_method_errorf(m, "org.bluez.Error.InProgress", "somebody else updates");
        return true;
    }
    enum otter_att att = c->mount->ops->write(c->mount->service, ble->conn, c->chr->id, data, len);
    if (att == OTTER_ATT_HOLD) {
        return false;
    }
    (void)(att == OTTER_ATT_OK ? sd_bus_reply_method_return(m, "") : refuse(m, att));
    return true;
}

int ble_on_write(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    struct ble_char *c = ctx;

    (void)error;
    if (!take_write(c->ble, m, c)) {
        c->ble->held = sd_bus_message_ref(m);
    }
    return 1;
}

static struct ble_char *char_at(struct ble *ble, const char *path)
{
    for (size_t i = 0; i < ble->char_count; i++) {
        if (strcmp(ble->chars[i].path, path) == 0) {
            return &ble->chars[i];
        }
    }
    return NULL;
}

bool ble_write_held(struct ble *ble)
{
    const struct ble_char *c = char_at(ble, sd_bus_message_get_path(ble->held));

    if (c != NULL && !take_write(ble, ble->held, c)) {
        return false;
    }
    ble->held = sd_bus_message_unref(ble->held);
    return true;
}

/* ---- notifications ------------------------------------------------------------------------------
 */

static void drop_fd(struct ble_char *c)
{
    if (c->notify_fd >= 0) {
        close(c->notify_fd);
        c->notify_fd = -1;
    }
}

void ble_release(struct ble *ble)
{
    for (size_t i = 0; i < ble->char_count; i++) {
        drop_fd(&ble->chars[i]);
    }
}

/* bluetoothd has not closed it. */
static bool is_open(const struct ble_char *c)
{
    struct pollfd end = {.fd = c->notify_fd};

    return c->notify_fd >= 0 && poll(&end, 1, 0) == 0;
}

/*
 * What is sent goes through a descriptor, past the bus, or by a signal. bluetoothd up to 5.68 has
 * one descriptor for all centrals, later ones one for each; it closes it with the connection, and
 * does not ask again when a bonded central comes back. A signal reaches whoever is subscribed.
 */
int ble_on_acquire_notify(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    struct ble_char *c = ctx;
    struct options o = {.central = "", .mtu = OTTER_GATT_MTU_MIN};
    int ends[2];

    int r = read_options(m, &o);
    if (r < 0) {
        return r;
    }
    c->subscribed = true;
    if (is_open(c) ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
        return sd_bus_error_set(error, "org.bluez.Error.Failed", "by signals");
    }
    drop_fd(c);
    c->notify_fd = ends[0];
    snprintf(c->notify_to, sizeof(c->notify_to), "%s", o.central);
    r = sd_bus_reply_method_return(m, "hq", ends[1], o.mtu);
    close(ends[1]); /* the answer has a copy */
    return r;
}

/* An indication was confirmed; nobody waits for it. */
int ble_on_confirm(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    (void)ctx;
    (void)error;
    return sd_bus_reply_method_return(m, "");
}

static otter_err send_signal(struct ble *ble, const char *path, const uint8_t *data, size_t len)
{
    sd_bus_message *m = NULL;
    int r = sd_bus_message_new_signal(ble->bus.bus, &m, path, OTTER_BLE_PROPERTIES,
                                      "PropertiesChanged");

    if (r >= 0 && (r = sd_bus_message_append(m, "s", OTTER_BLE_CHAR)) >= 0 &&
        (r = sd_bus_message_open_container(m, 'a', "{sv}")) >= 0 &&
        (r = sd_bus_message_open_container(m, 'e', "sv")) >= 0 &&
        (r = sd_bus_message_append(m, "s", "Value")) >= 0 &&
        (r = sd_bus_message_open_container(m, 'v', "ay")) >= 0 &&
        (r = sd_bus_message_append_array(m, 'y', data, len)) >= 0 &&
        (r = sd_bus_message_close_container(m)) >= 0 &&
        (r = sd_bus_message_close_container(m)) >= 0 &&
        (r = sd_bus_message_close_container(m)) >= 0 &&
        (r = sd_bus_message_append(m, "as", 0)) >= 0) {
        r = sd_bus_send(ble->bus.bus, m, NULL);
    }
    sd_bus_message_unref(m);
    return r < 0 ? OTTER_ERR_LINK : OTTER_OK;
}

/* To the central that is served. */
static otter_err send_value(struct ble *ble, struct ble_char *c, const uint8_t *data, size_t len)
{
    if (c->notify_fd >= 0 && strcmp(c->notify_to, ble->owner) == 0) {
        if (send(c->notify_fd, data, len, MSG_NOSIGNAL) == (ssize_t)len) {
            return OTTER_OK;
        }
        if (errno == EAGAIN || errno == ENOBUFS) {
            ble->full = true;
            return OTTER_ERR_AGAIN;
        }
        drop_fd(c);
    }
    return send_signal(ble, c->path, data, len);
}

otter_err ble_send(void *ctx, uint16_t conn, const struct otter_gatt_char *chr, const uint8_t *data,
                   size_t len)
{
    struct ble *ble = ctx;

    if (conn != ble->conn || ble->owner[0] == '\0') {
        return OTTER_OK; /* it is gone */
    }
    for (size_t i = 0; i < ble->char_count; i++) {
        struct ble_char *c = &ble->chars[i];

        /* Services may send by the table of the protocol where an old device's is mounted. */
        if (otter_gatt_uuid_equal(&c->chr->uuid, &chr->uuid) && c->subscribed) {
            return send_value(ble, c, data, len);
        }
    }
    return OTTER_OK;
}
