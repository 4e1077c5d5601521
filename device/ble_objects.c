/* SPDX-License-Identifier: Apache-2.0 */
/* --ble: the objects by which bluetoothd knows the services and the advertisement. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "device/ble.h"

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

static int char_notify_acquired(sd_bus *bus, const char *path, const char *interface,
                                const char *property, sd_bus_message *m, void *ctx,
                                sd_bus_error *error)
{
    return sd_bus_message_append(m, "b", ((struct ble_char *)ctx)->notify_fd >= 0);
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
    SD_BUS_PROPERTY("NotifyAcquired", "b", char_notify_acquired, 0, 0),
    SD_BUS_METHOD("ReadValue", "a{sv}", "ay", ble_on_read, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("WriteValue", "aya{sv}", "", ble_on_write, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("AcquireNotify", "a{sv}", "hq", ble_on_acquire_notify,
                  SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Confirm", "", "", ble_on_confirm, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

static int adv_type(sd_bus *bus, const char *path, const char *interface, const char *property,
                    sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    return sd_bus_message_append(m, "s", "peripheral");
}

/* A scanner may leave out those that do not ask to be found. */
static int adv_discoverable(sd_bus *bus, const char *path, const char *interface,
                            const char *property, sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    return sd_bus_message_append(m, "b", true);
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
    SD_BUS_PROPERTY("Discoverable", "b", adv_discoverable, 0, SD_BUS_VTABLE_PROPERTY_CONST),
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
        if (ble->char_count == BLE_CHARS_MAX) {
            return -ENOBUFS;
        }
        struct ble_char *c = &ble->chars[ble->char_count++];

        *c = (struct ble_char){.ble = ble,
                               .mount = service->mount,
                               .chr = &table->chars[i],
                               .service = service->path,
                               .notify_fd = -1};
        snprintf(c->path, sizeof(c->path), BLE_ROOT "/s%zu/c%zu", number, i);
        r = sd_bus_add_object_vtable(ble->bus.bus, NULL, c->path, OTTER_BLE_CHAR, char_table, c);
    }
    return r;
}

/* Everything mounted but Generic Access, which is bluetoothd's own. */
int ble_objects_add(struct ble *ble)
{
    const struct otter_gatt_uuid access = {.size = 2, .bytes = {0x00, 0x18}};
    int r = sd_bus_add_object_manager(ble->bus.bus, NULL, BLE_ROOT);

    ble->service_count = 0;
    ble->char_count = 0;
    for (size_t i = 0; r >= 0 && i < ble->gatt.count; i++) {
        const struct otter_gatt_mount *mount = &ble->gatt.mounts[i];

        if (otter_gatt_uuid_equal(&mount->table->uuid, &access)) {
            continue;
        }
        struct ble_service *s = &ble->services[ble->service_count];
        *s = (struct ble_service){.ble = ble, .mount = mount};
        snprintf(s->path, sizeof(s->path), BLE_ROOT "/s%zu", ble->service_count++);
        r = sd_bus_add_object_vtable(ble->bus.bus, NULL, s->path, "org.bluez.GattService1",
                                     service_table, s);
        if (r >= 0) {
            r = add_chars(ble, s);
        }
    }
    if (r >= 0) {
        r = sd_bus_add_object_vtable(ble->bus.bus, NULL, BLE_ADVERTISEMENT,
                                     "org.bluez.LEAdvertisement1", adv_table, ble);
    }
    return r;
}
