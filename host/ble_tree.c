/* SPDX-License-Identifier: Apache-2.0 */
#include "host/ble_tree.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "otter/espble.h"
#include "otter/gattota.h"

#define CALL_MS 25000u

/* ---- UUIDs --------------------------------------------------------------------------------------
 */

otter_err otter_ble_uuid_parse(struct otter_gatt_uuid *uuid, const char *text)
{
    size_t digits = 0;

    *uuid = (struct otter_gatt_uuid){.size = 16};
    for (size_t i = 0; text[i] != '\0'; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (i >= 36 || (dash ? text[i] != '-' : !isxdigit((unsigned char)text[i]))) {
            return OTTER_ERR_ARG;
        }
        if (!dash) {
            char digit[2] = {text[i], '\0'};
            unsigned value = (unsigned)strtoul(digit, NULL, 16);

            /* The text begins with the byte that comes last on the air. */
            uuid->bytes[15 - digits / 2] |= (uint8_t)(digits % 2 == 0 ? value << 4 : value);
            digits++;
        }
    }
    return digits == 32 ? OTTER_OK : OTTER_ERR_ARG;
}

void otter_ble_uuid_format(const struct otter_gatt_uuid *uuid, char text[37])
{
    static const uint8_t base[16] = {0xFB, 0x34, 0x9B, 0x5F, 0x80, 0, 0, 0x80, 0, 0x10};
    uint8_t b[16];

    memcpy(b, uuid->size == 16 ? uuid->bytes : base, sizeof(b));
    if (uuid->size == 2) {
        b[12] = uuid->bytes[0];
        b[13] = uuid->bytes[1];
    }
    snprintf(text, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             b[15], b[14], b[13], b[12], b[11], b[10], b[9], b[8], b[7], b[6], b[5], b[4], b[3],
             b[2], b[1], b[0]);
}

/* ---- properties ---------------------------------------------------------------------------------
 */

static int take_text(sd_bus_message *m, char *text, size_t size)
{
    const char *value;
    int error = sd_bus_message_read(m, "v", "s", &value);

    if (error >= 0) {
        snprintf(text, size, "%s", value);
    }
    return error;
}

static int take_bool(sd_bus_message *m, bool *flag)
{
    int value = 0;
    int error = sd_bus_message_read(m, "v", "b", &value);

    *flag = value != 0;
    return error;
}

static void take_flag(struct otter_ble_object *o, const char *flag)
{
    static const struct {
        const char *name;
        uint8_t prop;
    } names[] = {
        {"read", OTTER_GATT_READ},         {"write-without-response", OTTER_GATT_WRITE_COMMAND},
        {"write", OTTER_GATT_WRITE},       {"notify", OTTER_GATT_NOTIFY},
        {"indicate", OTTER_GATT_INDICATE},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i].name, flag) == 0) {
            o->props |= names[i].prop;
        }
    }
}

/* Some devices of the field advertise only a service of another purpose (PROTOCOLS: 1.1). */
static void take_advertised(struct otter_ble_object *o, const char *text)
{
    struct otter_gatt_uuid uuid, field = otter_gattota_service.uuid;
    const struct otter_gatt_uuid alert = {.size = 2, .bytes = {0x11, 0x18}};

    if (otter_ble_uuid_parse(&uuid, text) != OTTER_OK) {
        return;
    }
    field.bytes[5] =
        0x14; /* d6f1d96d-594c-4c53-b1c6-144a1dfde6d8, as devices in the field have it */
    o->espble |= otter_gatt_uuid_equal(&uuid, &otter_espble_service.uuid) ||
                 otter_gatt_uuid_equal(&uuid, &alert);
    o->gattota |= otter_gatt_uuid_equal(&uuid, &otter_gattota_service.uuid) ||
                  otter_gatt_uuid_equal(&uuid, &field);
}

static void take_role(struct otter_ble_object *o, const char *role)
{
    o->central |= strcmp(role, "central") == 0;
    o->peripheral |= strcmp(role, "peripheral") == 0;
}

static int take_list(sd_bus_message *m, struct otter_ble_object *o,
                     void (*take)(struct otter_ble_object *o, const char *text))
{
    const char *text;
    int error = sd_bus_message_enter_container(m, 'v', "as");

    if (error >= 0) {
        error = sd_bus_message_enter_container(m, 'a', "s");
    }
    while (error >= 0 && (error = sd_bus_message_read(m, "s", &text)) > 0) {
        take(o, text);
    }
    if (error >= 0) {
        error = sd_bus_message_exit_container(m);
    }
    return error < 0 ? error : sd_bus_message_exit_container(m);
}

static int take_uuid(sd_bus_message *m, struct otter_ble_object *o)
{
    char text[40] = "";
    int error = take_text(m, text, sizeof(text));

    if (otter_ble_uuid_parse(&o->uuid, text) != OTTER_OK) {
        o->uuid = (struct otter_gatt_uuid){0};
    }
    return error;
}

static int take_rssi(sd_bus_message *m, struct otter_ble_object *o)
{
    o->near = true;
    return sd_bus_message_read(m, "v", "n", &o->rssi);
}

static int take_acquired(sd_bus_message *m, bool *can)
{
    *can = true; /* the property is there only where it can be */
    return sd_bus_message_skip(m, "v");
}

static int take_property(sd_bus_message *m, struct otter_ble_object *o, const char *name)
{
#define IS(n) (strcmp(name, (n)) == 0)
    if (IS("Address")) {
        return take_text(m, o->address, sizeof(o->address));
    }
    if (IS("Name")) {
        return take_text(m, o->name, sizeof(o->name));
    }
    if (IS("Powered")) {
        return take_bool(m, &o->powered);
    }
    if (IS("Roles")) {
        o->central = false;
        o->peripheral = false;
        return take_list(m, o, take_role);
    }
    if (IS("Connected")) {
        return take_bool(m, &o->connected);
    }
    if (IS("ServicesResolved")) {
        return take_bool(m, &o->resolved);
    }
    if (IS("Paired")) {
        return take_bool(m, &o->paired);
    }
    if (IS("RSSI")) {
        return take_rssi(m, o);
    }
    if (IS("UUIDs") && o->kind == OTTER_BLE_IS_DEVICE) {
        return take_list(m, o, take_advertised);
    }
    if (IS("UUID")) {
        return take_uuid(m, o);
    }
    if (IS("Flags") && o->kind == OTTER_BLE_IS_CHAR) {
        return take_list(m, o, take_flag);
    }
    if (IS("MTU")) {
        return sd_bus_message_read(m, "v", "q", &o->mtu);
    }
    if (IS("WriteAcquired")) {
        return take_acquired(m, &o->can_acquire_write);
    }
    if (IS("NotifyAcquired")) {
        return take_acquired(m, &o->can_acquire_notify);
    }
#undef IS
    return sd_bus_message_skip(m, "v");
}

/* a{sv} */
static int take_properties(sd_bus_message *m, struct otter_ble_object *o)
{
    const char *name;
    int error = sd_bus_message_enter_container(m, 'a', "{sv}");

    while (error >= 0 && (error = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
        error = sd_bus_message_read(m, "s", &name);
        if (error >= 0) {
            error = take_property(m, o, name);
        }
        if (error >= 0) {
            error = sd_bus_message_exit_container(m);
        }
    }
    return error < 0 ? error : sd_bus_message_exit_container(m);
}

/* ---- objects ------------------------------------------------------------------------------------
 */

static struct otter_ble_object *add(struct otter_ble_tree *tree, const char *path,
                                    const char *interface)
{
    static const char *const interfaces[] = {
        [OTTER_BLE_IS_ADAPTER] = OTTER_BLE_ADAPTER,
        [OTTER_BLE_IS_DEVICE] = OTTER_BLE_DEVICE,
        [OTTER_BLE_IS_SERVICE] = "org.bluez.GattService1",
        [OTTER_BLE_IS_CHAR] = OTTER_BLE_CHAR,
    };
    size_t kind = 0;

    while (kind < sizeof(interfaces) / sizeof(interfaces[0]) &&
           strcmp(interfaces[kind], interface) != 0) {
        kind++;
    }
    if (kind == sizeof(interfaces) / sizeof(interfaces[0]) || strlen(path) >= OTTER_BLE_PATH) {
        return NULL;
    }
    struct otter_ble_object *objects =
        realloc(tree->objects, (tree->count + 1) * sizeof(*tree->objects));
    if (objects == NULL) {
        return NULL;
    }
    tree->objects = objects;
    struct otter_ble_object *o = &objects[tree->count++];
    *o = (struct otter_ble_object){
        .kind = (enum otter_ble_kind)kind, .central = true, .peripheral = true};
    snprintf(o->path, sizeof(o->path), "%s", path);
    return o;
}

/* a{sa{sv}} */
static int take_interfaces(sd_bus_message *m, struct otter_ble_tree *tree, const char *path)
{
    const char *interface;
    int error = sd_bus_message_enter_container(m, 'a', "{sa{sv}}");

    while (error >= 0 && (error = sd_bus_message_enter_container(m, 'e', "sa{sv}")) > 0) {
        error = sd_bus_message_read(m, "s", &interface);
        if (error >= 0) {
            struct otter_ble_object *o = add(tree, path, interface);

            error = o != NULL ? take_properties(m, o) : sd_bus_message_skip(m, "a{sv}");
        }
        if (error >= 0) {
            error = sd_bus_message_exit_container(m);
        }
    }
    return error < 0 ? error : sd_bus_message_exit_container(m);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct otter_ble_object *)a)->path,
                  ((const struct otter_ble_object *)b)->path);
}

/* a{oa{sa{sv}}} */
static int take_objects(sd_bus_message *m, struct otter_ble_tree *tree)
{
    const char *path;
    int error = sd_bus_message_enter_container(m, 'a', "{oa{sa{sv}}}");

    while (error >= 0 && (error = sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}")) > 0) {
        error = sd_bus_message_read(m, "o", &path);
        if (error >= 0) {
            error = take_interfaces(m, tree, path);
        }
        if (error >= 0) {
            error = sd_bus_message_exit_container(m);
        }
    }
    return error;
}

otter_err otter_ble_tree_load(struct otter_ble_tree *tree, struct otter_ble_bus *bus)
{
    sd_bus_message *reply = NULL;

    *tree = (struct otter_ble_tree){0};
    otter_err err = otter_ble_bus_call(
        bus,
        otter_ble_bus_message(bus, "/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"),
        CALL_MS, &reply);
    if (err == OTTER_OK) {
        int error = take_objects(reply, tree);

        err = error < 0 ? otter_ble_bus_fail(bus, NULL, error) : OTTER_OK;
    }
    sd_bus_message_unref(reply);
    if (tree->count > 0) {
        qsort(tree->objects, tree->count, sizeof(*tree->objects), by_path);
    }
    return err;
}

void otter_ble_tree_free(struct otter_ble_tree *tree)
{
    free(tree->objects);
    *tree = (struct otter_ble_tree){0};
}

bool otter_ble_inside(const char *inner, const char *outer)
{
    size_t len = strlen(outer);

    return strncmp(inner, outer, len) == 0 && inner[len] == '/';
}
