/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --ble ADAPTER: the GATT services over a real Bluetooth adapter, through bluetoothd (org.bluez).
 *
 * bluetoothd owns the connections; it names the central with every read and write. It sends a
 * notification to every central that subscribed, and answers a write request itself where the
 * characteristic takes write commands, too. Therefore one central at a time is served, the others
 * are refused, and only the characteristics that take firmware offer write commands.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/gatt.h"
#include "device/transport.h"
#include "host/ble_find.h"

#define ROOT "/otter/device"
#define ADVERTISEMENT "/otter/advertisement"
#define CHARS_MAX 32u
#define CENTRALS_MAX 8u
#define CALL_MS 10000u
#define STEP_MESSAGES 16u /* before the other transports have their turn */

struct ble;

struct ble_service {
    struct ble *ble;
    const struct otter_gatt_mount *mount;
    char path[48];
};

struct ble_char {
    struct ble *ble;
    const struct otter_gatt_mount *mount;
    const struct otter_gatt_char *chr;
    const char *service; /* its path */
    char path[64];
    bool notifying;
};

struct ble {
    struct device *device;
    const char *wanted; /* adapter */
    bool pairing;       /* is required */
    struct otter_ble_bus bus;
    char adapter[OTTER_BLE_PATH];
    struct device_gatt gatt;
    struct ble_service services[DEVICE_GATT_MOUNTS];
    struct ble_char chars[CHARS_MAX];
    size_t service_count, char_count;
    char centrals[CENTRALS_MAX][OTTER_BLE_PATH]; /* that read or wrote; to be sent away */
    char owner[OTTER_BLE_PATH];                  /* the one that is served; empty: none */
    uint16_t conn;                               /* its number, a new one each time */
    sd_bus_message *held;                        /* a write that the service had no room for */
};

extern const struct transport_type ble_transport;

/* ---- centrals -----------------------------------------------------------------------------------
 */

static void remember(struct ble *ble, const char *path)
{
    size_t i = 0;

    while (i < CENTRALS_MAX && ble->centrals[i][0] != '\0') {
        if (strcmp(ble->centrals[i++], path) == 0) {
            return;
        }
    }
    if (i < CENTRALS_MAX) {
        snprintf(ble->centrals[i], sizeof(ble->centrals[i]), "%s", path);
    }
}

/* True when this central is the one that is served: the first to write, until it leaves. */
static bool serve(struct ble *ble, const char *path)
{
    if (ble->owner[0] == '\0') {
        snprintf(ble->owner, sizeof(ble->owner), "%s", path);
        ble->conn++;
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
    for (size_t i = 0; i < CENTRALS_MAX; i++) {
        if (strcmp(ble->centrals[i], path) == 0) {
            memmove(ble->centrals[i], ble->centrals[i + 1],
                    (CENTRALS_MAX - 1 - i) * sizeof(ble->centrals[0]));
            ble->centrals[CENTRALS_MAX - 1][0] = '\0';
            return;
        }
    }
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

/* ---- reads and writes ---------------------------------------------------------------------------
 */

/* The a{sv} that comes with them: who, and from where on. */
static int read_options(sd_bus_message *m, const char **central, uint16_t *offset)
{
    const char *name;
    int error = sd_bus_message_enter_container(m, 'a', "{sv}");

    while (error >= 0 && (error = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
        error = sd_bus_message_read(m, "s", &name);
        if (error >= 0) {
            error = strcmp(name, "device") == 0   ? sd_bus_message_read(m, "v", "o", central)
                    : strcmp(name, "offset") == 0 ? sd_bus_message_read(m, "v", "q", offset)
                                                  : sd_bus_message_skip(m, "v");
        }
        if (error >= 0) {
            error = sd_bus_message_exit_container(m);
        }
    }
    return error;
}

static int on_read(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    struct ble_char *c = ctx;
    const char *central = "";
    uint16_t offset = 0;
    uint8_t value[OTTER_GATT_VALUE_MAX];
    sd_bus_message *reply = NULL;

    int r = read_options(m, &central, &offset);
    if (r < 0) {
        return r;
    }
    remember(c->ble, central);
    size_t len = c->mount->ops->read(c->mount->service, c->chr->id, value, sizeof(value));
    if (offset > len) {
        return sd_bus_error_set(error, "org.bluez.Error.InvalidOffset", NULL);
    }
    r = sd_bus_message_new_method_return(m, &reply);
    if (r >= 0) {
        r = sd_bus_message_append_array(reply, 'y', value + offset, len - offset);
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
    const char *central = "";
    uint16_t offset = 0;

    if (sd_bus_message_rewind(m, true) < 0 || sd_bus_message_read_array(m, 'y', &data, &len) < 0 ||
        read_options(m, &central, &offset) < 0 || offset != 0) {
        (void)refuse(m, OTTER_ATT_INVALID_OFFSET);
        return true;
    }
    remember(ble, central);
    if (!serve(ble, central)) {
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

static int on_write(sd_bus_message *m, void *ctx, sd_bus_error *error)
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

/* ---- notifications ------------------------------------------------------------------------------
 */

static int on_start_notify(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    (void)error;
    ((struct ble_char *)ctx)->notifying = true;
    return sd_bus_reply_method_return(m, "");
}

static int on_stop_notify(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    (void)error;
    ((struct ble_char *)ctx)->notifying = false;
    return sd_bus_reply_method_return(m, "");
}

/* An indication was confirmed; nobody waits for it. */
static int on_confirm(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    (void)ctx;
    (void)error;
    return sd_bus_reply_method_return(m, "");
}

static int emit_value(struct ble *ble, const char *path, const uint8_t *data, size_t len)
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
    return r;
}

static otter_err carrier_send(void *ctx, uint16_t conn, const struct otter_gatt_char *chr,
                              const uint8_t *data, size_t len)
{
    struct ble *ble = ctx;

    if (conn != ble->conn || ble->owner[0] == '\0') {
        return OTTER_OK; /* it is gone */
    }
    for (size_t i = 0; i < ble->char_count; i++) {
        struct ble_char *c = &ble->chars[i];

        /* Services may send by the table of the protocol where an old device's is mounted. */
        if (otter_gatt_uuid_equal(&c->chr->uuid, &chr->uuid) && c->notifying) {
            return emit_value(ble, c->path, data, len) < 0 ? OTTER_ERR_LINK : OTTER_OK;
        }
    }
    return OTTER_OK;
}

/* ---- what bluetoothd reads of us ----------------------------------------------------------------
 */

static int get_uuid(sd_bus_message *m, const struct otter_gatt_uuid *uuid)
{
    char text[37];

    otter_ble_uuid_format(uuid, text);
    return sd_bus_message_append(m, "s", text);
}

static int service_uuid(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    return get_uuid(m, &((struct ble_service *)ctx)->mount->table->uuid);
}

static int service_primary(sd_bus *bus, const char *path, const char *interface,
                           const char *property, sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    return sd_bus_message_append(m, "b", 1);
}

static int char_uuid(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    return get_uuid(m, &((struct ble_char *)ctx)->chr->uuid);
}

static int char_service(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    return sd_bus_message_append(m, "o", ((struct ble_char *)ctx)->service);
}

/* The characteristics of a service that take firmware. */
static bool takes_firmware(const struct ble_char *c)
{
    const struct otter_gatt_uuid *recv = &otter_espble_service.chars[OTTER_ESPBLE_RECV_FW].uuid;
    const struct otter_gatt_uuid *data = &otter_gattota_service.chars[OTTER_GATTOTA_DATA].uuid;

    return otter_gatt_uuid_equal(&c->chr->uuid, recv) || otter_gatt_uuid_equal(&c->chr->uuid, data);
}

static int char_flags(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    const struct ble_char *c = ctx;
    uint8_t props = c->chr->props;
    bool secret = c->ble->pairing && (props & (OTTER_GATT_WRITE | OTTER_GATT_WRITE_COMMAND)) != 0;
    const struct {
        const char *name;
        bool set;
    } flags[] = {
        {"read", (props & OTTER_GATT_READ) != 0},
        {"write", (props & OTTER_GATT_WRITE) != 0},
        {"write-without-response", (props & OTTER_GATT_WRITE_COMMAND) != 0 && takes_firmware(c)},
        {"notify", (props & OTTER_GATT_NOTIFY) != 0},
        {"indicate", (props & OTTER_GATT_INDICATE) != 0},
        {"encrypt-write", secret},
    };
    int r = sd_bus_message_open_container(m, 'a', "s");

    for (size_t i = 0; r >= 0 && i < sizeof(flags) / sizeof(flags[0]); i++) {
        r = flags[i].set ? sd_bus_message_append(m, "s", flags[i].name) : r;
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static const sd_bus_vtable service_table[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("UUID", "s", service_uuid, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Primary", "b", service_primary, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_VTABLE_END,
};

static const sd_bus_vtable char_table[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("UUID", "s", char_uuid, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Service", "o", char_service, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Flags", "as", char_flags, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_METHOD("ReadValue", "a{sv}", "ay", on_read, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("WriteValue", "aya{sv}", "", on_write, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("StartNotify", "", "", on_start_notify, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("StopNotify", "", "", on_stop_notify, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Confirm", "", "", on_confirm, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

static int adv_type(sd_bus *bus, const char *path, const char *interface, const char *property,
                    sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    return sd_bus_message_append(m, "s", "peripheral");
}

static int adv_name(sd_bus *bus, const char *path, const char *interface, const char *property,
                    sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    const char *name = ((struct ble *)ctx)->device->options->name;

    return sd_bus_message_append(m, "s", name != NULL ? name : "otter-device");
}

/* Device Information is common to half the world: it is not advertised. */
static int adv_uuids(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    const struct ble *ble = ctx;
    const struct otter_gatt_uuid info = {.size = 2, .bytes = {0x0A, 0x18}};
    int r = sd_bus_message_open_container(m, 'a', "s");

    for (size_t i = 0; r >= 0 && i < ble->service_count; i++) {
        const struct otter_gatt_uuid *uuid = &ble->services[i].mount->table->uuid;

        r = otter_gatt_uuid_equal(uuid, &info) ? r : get_uuid(m, uuid);
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static int on_release(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    const struct ble *ble = ctx;

    (void)error;
    device_error(ble->device, "ble: bluetoothd does not advertise the device any more");
    return sd_bus_reply_method_return(m, "");
}

static const sd_bus_vtable adv_table[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Type", "s", adv_type, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("ServiceUUIDs", "as", adv_uuids, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("LocalName", "s", adv_name, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_METHOD("Release", "", "", on_release, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

/* ---- the application ----------------------------------------------------------------------------
 */

static int add_chars(struct ble *ble, struct ble_service *service)
{
    const struct otter_gatt_service *table = service->mount->table;
    size_t number = (size_t)(service - ble->services);
    int r = 0;

    for (size_t i = 0; r >= 0 && i < table->count; i++) {
        if (ble->char_count == CHARS_MAX) {
            return -ENOBUFS;
        }
        struct ble_char *c = &ble->chars[ble->char_count++];

        *c = (struct ble_char){
            .ble = ble, .mount = service->mount, .chr = &table->chars[i], .service = service->path};
        snprintf(c->path, sizeof(c->path), ROOT "/s%zu/c%zu", number, i);
        r = sd_bus_add_object_vtable(ble->bus.bus, NULL, c->path, OTTER_BLE_CHAR, char_table, c);
    }
    return r;
}

/* Everything mounted but Generic Access, which is bluetoothd's own. */
static int add_objects(struct ble *ble)
{
    const struct otter_gatt_uuid access = {.size = 2, .bytes = {0x00, 0x18}};
    int r = sd_bus_add_object_manager(ble->bus.bus, NULL, ROOT);

    ble->service_count = 0;
    ble->char_count = 0;
    for (size_t i = 0; r >= 0 && i < ble->gatt.count; i++) {
        const struct otter_gatt_mount *mount = &ble->gatt.mounts[i];

        if (otter_gatt_uuid_equal(&mount->table->uuid, &access)) {
            continue;
        }
        struct ble_service *s = &ble->services[ble->service_count];
        *s = (struct ble_service){.ble = ble, .mount = mount};
        snprintf(s->path, sizeof(s->path), ROOT "/s%zu", ble->service_count++);
        r = sd_bus_add_object_vtable(ble->bus.bus, NULL, s->path, "org.bluez.GattService1",
                                     service_table, s);
        if (r >= 0) {
            r = add_chars(ble, s);
        }
    }
    if (r >= 0) {
        r = sd_bus_add_object_vtable(ble->bus.bus, NULL, ADVERTISEMENT,
                                     "org.bluez.LEAdvertisement1", adv_table, ble);
    }
    return r;
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
    for (size_t i = 0; i < CENTRALS_MAX && ble->centrals[i][0] != '\0'; i++) {
        if (ble->bus.bus != NULL && !ble->bus.gone) {
            /* A central that has left meanwhile is not an error. */
            (void)!otter_ble_bus_do(&ble->bus, ble->centrals[i], OTTER_BLE_DEVICE, "Disconnect",
                                    CALL_MS);
        }
    }
    memset(ble->centrals, 0, sizeof(ble->centrals));
    ble->held = sd_bus_message_unref(ble->held);
    otter_ble_bus_close(&ble->bus); /* bluetoothd takes everything of ours away */
}

static bool up(void *transport)
{
    struct ble *ble = transport;
    struct otter_gatt_server carrier = {.send = carrier_send, .ctx = ble};
    otter_err err = device_gatt_init(&ble->gatt, ble->device, carrier);

    if (err != OTTER_OK) {
        device_error(ble->device, "ble: the services cannot be set up: %s", otter_err_text(err));
        return false;
    }
    err = otter_ble_bus_open(&ble->bus);
    if (err == OTTER_OK) {
        int error = add_objects(ble);

        err = error < 0 ? otter_ble_bus_fail(&ble->bus, NULL, error) : OTTER_OK;
    }
    if (err == OTTER_OK) {
        err = find_adapter(ble);
    }
    if (err == OTTER_OK && ble->pairing) {
        err = otter_ble_bus_agent(&ble->bus, true);
    }
    if (err == OTTER_OK) {
        err = register_at(ble, "org.bluez.GattManager1", "RegisterApplication", ROOT);
    }
    if (err == OTTER_OK) {
        err = register_at(ble, "org.bluez.LEAdvertisingManager1", "RegisterAdvertisement",
                          ADVERTISEMENT);
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
            const struct ble_char *c = char_at(ble, sd_bus_message_get_path(ble->held));

            if (c != NULL && !take_write(ble, ble->held, c)) {
                return false;
            }
            ble->held = sd_bus_message_unref(ble->held);
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
    uint32_t next = device_gatt_poll(&ble->gatt, now_ms);
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
    .help = "offer the GATT services over Bluetooth: hci0, or any",
    .create = create,
    .up = up,
    .fds = fds,
    .run = run,
    .down = down,
    .destroy = destroy,
};
