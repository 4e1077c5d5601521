/* SPDX-License-Identifier: Apache-2.0 */
/* The fake bluetoothd's GATT client: characteristics of a device behind an ATT socket, by calls and
 * by descriptors, with bluetoothd's own refusals. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake_bluez.h"
#include "host/att.h"
#include "host/ble_tree.h"

#define STEP_MS 2u

static const struct otter_gatt_found *found_of(const struct fake_char *c)
{
    const struct otter_gatt_found *found;

    fake.link.ops->found(fake.link.link, &found);
    return &found[c->index];
}

/* ---- from the device ------------------------------------------------------------------------- */

static void on_received(void *ctx, size_t index, const uint8_t *data, size_t len)
{
    sd_bus_message *m = NULL;

    for (size_t i = 0; i < fake.count; i++) {
        struct fake_char *c = &fake.chars[i];

        if (c->index != index) {
            continue;
        }
        if (c->in >= 0) {
            (void)!send(c->in, data, len, MSG_NOSIGNAL);
        } else if (c->notifying &&
                   sd_bus_message_new_signal(fake.bus, &m, c->path, OTTER_BLE_PROPERTIES,
                                             "PropertiesChanged") >= 0 &&
                   sd_bus_message_append(m, "s", OTTER_BLE_CHAR) >= 0 &&
                   sd_bus_message_open_container(m, 'a', "{sv}") >= 0 &&
                   sd_bus_message_open_container(m, 'e', "sv") >= 0 &&
                   sd_bus_message_append(m, "s", "Value") >= 0 &&
                   sd_bus_message_open_container(m, 'v', "ay") >= 0 &&
                   sd_bus_message_append_array(m, 'y', data, len) >= 0 &&
                   sd_bus_message_close_container(m) >= 0 &&
                   sd_bus_message_close_container(m) >= 0 &&
                   sd_bus_message_close_container(m) >= 0 &&
                   sd_bus_message_append(m, "as", 0) >= 0) {
            sd_bus_send(fake.bus, m, NULL);
        }
        sd_bus_message_unref(m);
    }
}

static void on_written(void *ctx, uint8_t att)
{
    fake.waiting = false;
    fake.answer = att;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static int refuse(sd_bus_message *m, uint8_t att)
{
    return att == OTTER_ATT_WRITE_NOT_PERMITTED
               ? sd_bus_reply_method_errorf(m, "org.bluez.Error.NotPermitted",
                                            "Write not permitted")
               : sd_bus_reply_method_errorf(m, "org.bluez.Error.Failed",
                                            "Operation failed with ATT error: 0x%02x", att);
}

/* Not 0: it has been answered. */
static int begin(sd_bus_message *m)
{
    int failed = fake_call(m);

    if (failed == 0 && fake.peer == NULL) {
        return sd_bus_reply_method_errorf(m, "org.bluez.Error.Failed", "Not connected");
    }
    bool writes = strstr(sd_bus_message_get_member(m), "Write") != NULL;
    if (failed == 0 && (fake.pairing || (fake.write_pairing && writes)) && !fake.peer->paired) {
        return sd_bus_reply_method_errorf(m, "org.bluez.Error.NotPermitted", "Not paired");
    }
    return failed;
}

/* Until the link takes it, and a request is answered. False: the link is gone. */
static bool write_out(const struct fake_char *c, bool request, const void *data, size_t len)
{
    otter_err err;

    fake.waiting = request;
    fake.answer = OTTER_ATT_OK;
    while ((err = fake.link.ops->write(fake.link.link, c->index, request, data, len)) ==
           OTTER_ERR_AGAIN) {
        if (fake.link.ops->wait(fake.link.link, STEP_MS) != OTTER_OK) {
            return false;
        }
    }
    while (err == OTTER_OK && fake.waiting) {
        if (fake.link.ops->wait(fake.link.link, STEP_MS) != OTTER_OK) {
            return false;
        }
    }
    return err == OTTER_OK;
}

static int on_write(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    struct fake_char *c = ctx;
    const void *data;
    const char *name, *type = "request";
    size_t len;
    int answered = begin(m);

    if (answered != 0) {
        return answered;
    }
    if (c->out >= 0) {
        return sd_bus_reply_method_errorf(m, "org.bluez.Error.NotPermitted", "Write acquired");
    }
    int r = sd_bus_message_read_array(m, 'y', &data, &len);
    if (r >= 0) {
        r = sd_bus_message_read(m, "a{sv}", 1, &name, "s", &type);
    }
    if (r < 0) {
        return r;
    }
    printf("type %s\n", type);
    if (!write_out(c, strcmp(type, "request") == 0, data, len)) {
        return sd_bus_reply_method_errorf(m, "org.bluez.Error.Failed", "Not connected");
    }
    return fake.answer != OTTER_ATT_OK ? refuse(m, fake.answer) : sd_bus_reply_method_return(m, "");
}

static int on_read(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    const struct fake_char *c = ctx;
    uint8_t value[OTTER_GATT_VALUE_MAX];
    size_t len = 0;
    sd_bus_message *reply = NULL;
    int answered = fake_call(m);

    if (answered != 0) {
        return answered;
    }
    if (fake.peer == NULL ||
        fake.link.ops->read(fake.link.link, c->index, value, sizeof(value), &len) != OTTER_OK) {
        return sd_bus_reply_method_errorf(m, "org.bluez.Error.Failed", "Not connected");
    }
    int r = sd_bus_message_new_method_return(m, &reply);
    if (r >= 0) {
        r = sd_bus_message_append_array(reply, 'y', value, len);
    }
    if (r >= 0) {
        r = sd_bus_send(fake.bus, reply, NULL);
    }
    sd_bus_message_unref(reply);
    return r < 0 ? r : 1;
}

static bool subscribe(const struct fake_char *c)
{
    return fake.link.ops->subscribe(fake.link.link, c->index,
                                    otter_gatt_subscription(found_of(c)->props)) == OTTER_OK;
}

static int on_start_notify(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    struct fake_char *c = ctx;
    int answered = begin(m);

    if (answered != 0) {
        return answered;
    }
    c->notifying = subscribe(c);
    return c->notifying ? sd_bus_reply_method_return(m, "") : refuse(m, OTTER_ATT_UNLIKELY);
}

static int give_out(sd_bus_message *m, int *ours)
{
    int ends[2];

    if (*ours >= 0) {
        return sd_bus_reply_method_errorf(m, "org.bluez.Error.NotPermitted", "acquired");
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return -errno;
    }
    *ours = ends[0];
    int r = sd_bus_reply_method_return(m, "hq", ends[1], fake.link.ops->mtu(fake.link.link));
    close(ends[1]);
    return r;
}

static int on_acquire_write(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    int answered = begin(m);

    return answered != 0 ? answered : give_out(m, &((struct fake_char *)ctx)->out);
}

static int on_acquire_notify(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    struct fake_char *c = ctx;
    int answered = begin(m);

    if (answered == 0 && !subscribe(c)) {
        return refuse(m, OTTER_ATT_UNLIKELY);
    }
    return answered != 0 ? answered : give_out(m, &c->in);
}

/* ---- properties ------------------------------------------------------------------------------ */

static int char_uuid(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    char text[37];

    otter_ble_uuid_format(strcmp(interface, OTTER_BLE_CHAR) == 0 ? &found_of(ctx)->uuid
                                                                 : &found_of(ctx)->service,
                          text);
    return sd_bus_message_append(m, "s", text);
}

static int char_flags(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    static const struct {
        uint8_t prop;
        const char *name;
    } flags[] = {{OTTER_GATT_READ, "read"},
                 {OTTER_GATT_WRITE, "write"},
                 {OTTER_GATT_WRITE_COMMAND, "write-without-response"},
                 {OTTER_GATT_NOTIFY, "notify"},
                 {OTTER_GATT_INDICATE, "indicate"}};
    int r = sd_bus_message_open_container(m, 'a', "s");

    for (size_t i = 0; r >= 0 && i < sizeof(flags) / sizeof(flags[0]); i++) {
        if ((found_of(ctx)->props & flags[i].prop) != 0) {
            r = sd_bus_message_append(m, "s", flags[i].name);
        }
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static int char_mtu(sd_bus *bus, const char *path, const char *interface, const char *property,
                    sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    return sd_bus_message_append(m, "q", fake.link.ops->mtu(fake.link.link));
}

static int char_acquired(sd_bus *bus, const char *path, const char *interface, const char *property,
                         sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    return sd_bus_message_append(m, "b", 0);
}

static const sd_bus_vtable service_table[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("UUID", "s", char_uuid, 0, 0),
    SD_BUS_VTABLE_END,
};

#define COMMON                                                                                     \
    SD_BUS_PROPERTY("UUID", "s", char_uuid, 0, 0),                                                 \
        SD_BUS_PROPERTY("Flags", "as", char_flags, 0, 0),                                          \
        SD_BUS_METHOD("ReadValue", "a{sv}", "ay", on_read, SD_BUS_VTABLE_UNPRIVILEGED),            \
        SD_BUS_METHOD("WriteValue", "aya{sv}", "", on_write, SD_BUS_VTABLE_UNPRIVILEGED),          \
        SD_BUS_METHOD("StartNotify", "", "", on_start_notify, SD_BUS_VTABLE_UNPRIVILEGED)
#define DESCRIPTORS                                                                                \
    SD_BUS_PROPERTY("WriteAcquired", "b", char_acquired, 0, 0),                                    \
        SD_BUS_PROPERTY("NotifyAcquired", "b", char_acquired, 0, 0),                               \
        SD_BUS_METHOD("AcquireWrite", "a{sv}", "hq", on_acquire_write,                             \
                      SD_BUS_VTABLE_UNPRIVILEGED),                                                 \
        SD_BUS_METHOD("AcquireNotify", "a{sv}", "hq", on_acquire_notify,                           \
                      SD_BUS_VTABLE_UNPRIVILEGED)
#define MTU SD_BUS_PROPERTY("MTU", "q", char_mtu, 0, 0)

static const sd_bus_vtable char_table[] = {SD_BUS_VTABLE_START(0), COMMON, DESCRIPTORS, MTU,
                                           SD_BUS_VTABLE_END};
static const sd_bus_vtable old_table[] = {SD_BUS_VTABLE_START(0), COMMON, DESCRIPTORS,
                                          SD_BUS_VTABLE_END};
static const sd_bus_vtable calls_table[] = {SD_BUS_VTABLE_START(0), COMMON, MTU, SD_BUS_VTABLE_END};

/* ---- coming and going ------------------------------------------------------------------------ */

/* bluetoothd keeps Generic Access and Generic Attribute for itself. */
static bool is_hidden(const struct otter_gatt_found *f)
{
    struct otter_gatt_uuid access = otter_att_uuid16(0x1800), attribute = otter_att_uuid16(0x1801);

    return otter_gatt_uuid_equal(&f->service, &access) ||
           otter_gatt_uuid_equal(&f->service, &attribute);
}

static void show(struct fake_device *device)
{
    const struct otter_gatt_found *found;
    size_t count = fake.link.ops->found(fake.link.link, &found);

    for (size_t i = 0; i < count && fake.count < CHARS_MAX; i++) {
        struct fake_char *c = &fake.chars[fake.count];
        const struct fake_char *before = fake.count > 0 ? c - 1 : NULL;

        if (is_hidden(&found[i])) {
            continue;
        }
        *c = (struct fake_char){.index = i, .in = -1, .out = -1};
        if (before != NULL &&
            otter_gatt_uuid_equal(&found[before->index].service, &found[i].service)) {
            memcpy(c->service, before->service, sizeof(c->service));
        } else {
            snprintf(c->service, sizeof(c->service), "%.60s/service%04x", device->path,
                     (unsigned)i);
            sd_bus_add_object_vtable(fake.bus, &fake.services[fake.service_count++], c->service,
                                     "org.bluez.GattService1", service_table, c);
        }
        char service[sizeof(c->service)];
        memcpy(service, c->service, sizeof(service));
        snprintf(c->path, sizeof(c->path), "%s/char%04x", service, (unsigned)i);
        sd_bus_add_object_vtable(fake.bus, &c->slot, c->path, OTTER_BLE_CHAR,
                                 fake.calls ? calls_table
                                 : fake.old ? old_table
                                            : char_table,
                                 c);
        fake.count++;
    }
}

bool fake_gatt_open(struct fake_device *device)
{
    struct otter_gatt_handlers handlers = {.received = on_received, .written = on_written};

    fake.link = otter_att_link_init(&fake.att, &handlers, NULL);
    if (fake.link.ops->open(fake.link.link, device->socket, 517, 2000) != OTTER_OK) {
        return false;
    }
    show(device);
    return true;
}

static void drop(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

void fake_gatt_close(void)
{
    for (size_t i = 0; i < fake.count; i++) {
        drop(&fake.chars[i].in);
        drop(&fake.chars[i].out);
        sd_bus_slot_unref(fake.chars[i].slot);
    }
    while (fake.service_count > 0) {
        sd_bus_slot_unref(fake.services[--fake.service_count]);
    }
    fake.count = 0;
    fake.link.ops->close(fake.link.link);
}

bool fake_gatt_step(void)
{
    uint8_t data[OTTER_GATT_VALUE_MAX];
    bool busy = false;

    for (size_t i = 0; i < fake.count; i++) {
        struct fake_char *c = &fake.chars[i];
        ssize_t len;

        while (c->out >= 0 && (len = recv(c->out, data, sizeof(data), MSG_DONTWAIT)) >= 0) {
            busy = true;
            if (len == 0) {
                drop(&c->out); /* the program has closed its end */
            } else if (!write_out(c, false, data, (size_t)len)) {
                return false;
            }
        }
    }
    return fake.link.ops->wait(fake.link.link, busy ? 0 : STEP_MS) == OTTER_OK;
}
