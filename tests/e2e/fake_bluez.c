/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stand-in for bluetoothd, where the real one cannot be had or does not fail on demand: adapter,
 * discovery and connection of org.bluez as far as Otter uses them. Its devices are those of
 * otter-device --att. Every call is a line on standard output.
 */
#include "fake_bluez.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADAPTER "/org/bluez/hci0"

struct fake fake = {.powered = "on"};

int fake_call(sd_bus_message *m)
{
    const char *member = sd_bus_message_get_member(m);
    size_t len = strlen(member);

    printf("%s %s\n", member, sd_bus_message_get_path(m));
    for (size_t i = 0; i < fake.fail_count; i++) { /* Member=error.Name=text */
        if (strncmp(fake.fails[i], member, len) == 0 && fake.fails[i][len] == '=') {
            char name[128];
            const char *text = strchr(fake.fails[i] + len + 1, '=');

            snprintf(name, sizeof(name), "%.*s", (int)(text - fake.fails[i] - len - 1),
                     fake.fails[i] + len + 1);
            return sd_bus_reply_method_errorf(m, name, "%s", text + 1);
        }
    }
    return 0;
}

static int done(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    int failed = fake_call(m);

    return failed != 0 ? failed : sd_bus_reply_method_return(m, "");
}

/* ---- devices --------------------------------------------------------------------------------- */

static int device_text(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    const struct fake_device *d = ctx;

    return sd_bus_message_append(m, "s", strcmp(property, "Address") == 0 ? d->address : d->name);
}

static int device_flag(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    const struct fake_device *d = ctx;

    return sd_bus_message_append(m, "b",
                                 strcmp(property, "Paired") == 0 ? d->paired : d->connected);
}

static int device_rssi(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    return sd_bus_message_append(m, "n",
                                 (int)(-40 - 10 * ((struct fake_device *)ctx - fake.devices)));
}

static int device_uuids(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    const struct fake_device *d = ctx;
    int r = sd_bus_message_open_container(m, 'a', "s");

    if (r >= 0 && d->espble) {
        r = sd_bus_message_append(m, "s", "00008018-0000-1000-8000-00805f9b34fb");
    }
    if (r >= 0 && d->gattota) {
        r = sd_bus_message_append(m, "s", "d6f1d96d-594c-4c53-b1c6-244a1dfde6d8");
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static void tell_connected(struct fake_device *d)
{
    sd_bus_emit_properties_changed(fake.bus, d->path, "org.bluez.Device1", "Connected",
                                   "ServicesResolved", NULL);
}

static void disconnect(struct fake_device *d)
{
    if (d->connected) {
        fake_gatt_close();
        d->connected = false;
        fake.peer = NULL;
        tell_connected(d);
    }
}

static int on_connect(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    struct fake_device *d = ctx;
    int failed = fake_call(m);

    if (failed != 0) {
        return failed;
    }
    if (!d->connected) {
        if (fake.peer != NULL || !fake_gatt_open(d)) {
            return sd_bus_reply_method_errorf(m, "org.bluez.Error.Failed",
                                              "le-connection-abort-by-local");
        }
        d->connected = true;
        fake.peer = d;
        tell_connected(d);
    }
    return sd_bus_reply_method_return(m, "");
}

static int on_disconnect(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    int failed = fake_call(m);

    disconnect(ctx);
    return failed != 0 ? failed : sd_bus_reply_method_return(m, "");
}

static int on_pair(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    int failed = fake_call(m);

    if (failed != 0) {
        return failed;
    }
    ((struct fake_device *)ctx)->paired = true;
    return sd_bus_reply_method_return(m, "");
}

static const sd_bus_vtable device_table[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Address", "s", device_text, 0, 0),
    SD_BUS_PROPERTY("Name", "s", device_text, 0, 0),
    SD_BUS_PROPERTY("RSSI", "n", device_rssi, 0, 0),
    SD_BUS_PROPERTY("UUIDs", "as", device_uuids, 0, 0),
    SD_BUS_PROPERTY("Paired", "b", device_flag, 0, 0),
    SD_BUS_PROPERTY("Connected", "b", device_flag, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("ServicesResolved", "b", device_flag, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_METHOD("Connect", "", "", on_connect, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Disconnect", "", "", on_disconnect, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Pair", "", "", on_pair, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

/* ---- the adapter ----------------------------------------------------------------------------- */

static int adapter_address(sd_bus *bus, const char *path, const char *interface,
                           const char *property, sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    return sd_bus_message_append(m, "s", "00:00:00:00:00:01");
}

static int adapter_powered(sd_bus *bus, const char *path, const char *interface,
                           const char *property, sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    return sd_bus_message_append(m, "b", strcmp(fake.powered, "on") == 0);
}

static int adapter_roles(sd_bus *bus, const char *path, const char *interface, const char *property,
                         sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    return fake.no_le ? sd_bus_message_append(m, "as", 0)
                      : sd_bus_message_append(m, "as", 2, "central", "peripheral");
}

static int on_filter(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    int failed = fake_call(m);
    const char *key;

    fake.pattern = false;
    if (failed != 0 || (failed = sd_bus_message_enter_container(m, 'a', "{sv}")) < 0) {
        return failed;
    }
    while ((failed = sd_bus_message_enter_container(m, 'e', "sv")) > 0 &&
           (failed = sd_bus_message_read(m, "s", &key)) > 0 &&
           (failed = sd_bus_message_skip(m, "v")) >= 0 &&
           (failed = sd_bus_message_exit_container(m)) >= 0) {
        fake.pattern = fake.pattern || strcmp(key, "Pattern") == 0;
    }
    if (failed < 0) {
        return failed;
    }
    return fake.old && fake.pattern
               ? sd_bus_reply_method_errorf(m, "org.bluez.Error.InvalidArguments", "Pattern?")
               : sd_bus_reply_method_return(m, "");
}

static int on_start_discovery(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    static sd_bus_slot *slots[DEVICES_MAX];
    int failed = fake_call(m);

    for (size_t i = 0; failed == 0 && i < fake.device_count; i++) {
        struct fake_device *d = &fake.devices[i];

        if (!d->heard && (!d->shy || fake.pattern)) {
            d->heard = true;
            sd_bus_slot_unref(slots[i]);
            sd_bus_add_object_vtable(fake.bus, &slots[i], d->path, "org.bluez.Device1",
                                     device_table, d);
            sd_bus_emit_interfaces_added(fake.bus, d->path, "org.bluez.Device1", NULL);
        }
    }
    return failed != 0 ? failed : sd_bus_reply_method_return(m, "");
}

static int on_remove(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
    const char *path;
    int failed = fake_call(m);

    if (failed == 0 && sd_bus_message_read(m, "o", &path) >= 0) {
        printf("removed %s\n", path);
        for (size_t i = 0; i < fake.device_count; i++) {
            if (strcmp(fake.devices[i].path, path) == 0) {
                disconnect(&fake.devices[i]);
            }
        }
    }
    return failed != 0 ? failed : sd_bus_reply_method_return(m, "");
}

static const sd_bus_vtable adapter_table[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Address", "s", adapter_address, 0, 0),
    SD_BUS_PROPERTY("Powered", "b", adapter_powered, 0, 0),
    SD_BUS_PROPERTY("Roles", "as", adapter_roles, 0, 0),
    SD_BUS_METHOD("SetDiscoveryFilter", "a{sv}", "", on_filter, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("StartDiscovery", "", "", on_start_discovery, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("StopDiscovery", "", "", done, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("RemoveDevice", "o", "", on_remove, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

static const sd_bus_vtable agents_table[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("RegisterAgent", "os", "", done, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

/* ---- the program ----------------------------------------------------------------------------- */

/* "AA:BB:CC:DD:EE:FF,NAME,SOCKET,espble+gattota+shy" */
static void add_device(char *text)
{
    struct fake_device *d = &fake.devices[fake.device_count++];

    d->address = strsep(&text, ",");
    d->name = strsep(&text, ",");
    d->socket = strsep(&text, ",");
    d->espble = strstr(text, "espble") != NULL;
    d->gattota = strstr(text, "gattota") != NULL;
    d->shy = strstr(text, "shy") != NULL;
    snprintf(d->path, sizeof(d->path), ADAPTER "/dev_%.17s", d->address);
    for (char *c = strrchr(d->path, '_'); *c != '\0'; c++) {
        *c = *c == ':' ? '_' : *c;
    }
}

static void read_options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (strcmp(argv[i], "--no-le") == 0) {
            fake.no_le = true;
        } else if (strcmp(argv[i], "--old") == 0) {
            fake.old = true;
        } else if (strcmp(argv[i], "--calls") == 0) {
            fake.calls = true;
        } else if (strcmp(argv[i], "--pairing") == 0) {
            fake.pairing = true;
        } else if (strcmp(argv[i], "--write-pairing") == 0) {
            fake.write_pairing = true;
        } else if (value != NULL && strcmp(argv[i], "--adapter") == 0) {
            fake.powered = argv[++i];
        } else if (value != NULL && strcmp(argv[i], "--device") == 0) {
            add_device(argv[++i]);
        } else if (value != NULL && strcmp(argv[i], "--fail") == 0) {
            fake.fails[fake.fail_count++] = argv[++i];
        } else {
            fprintf(stderr, "fake_bluez: %s?\n", argv[i]);
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    read_options(argc, argv);
    if (sd_bus_open_system(&fake.bus) < 0 || sd_bus_add_object_manager(fake.bus, NULL, "/") < 0 ||
        sd_bus_add_object_vtable(fake.bus, NULL, "/org/bluez", "org.bluez.AgentManager1",
                                 agents_table, NULL) < 0 ||
        (strcmp(fake.powered, "none") != 0 &&
         sd_bus_add_object_vtable(fake.bus, NULL, ADAPTER, "org.bluez.Adapter1", adapter_table,
                                  NULL) < 0) ||
        sd_bus_request_name(fake.bus, "org.bluez", 0) < 0) {
        perror("fake_bluez");
        return 1;
    }
    puts("ready");
    for (;;) {
        int more;

        while ((more = sd_bus_process(fake.bus, NULL)) > 0) {
        }
        if (more < 0) {
            return 0; /* the bus has ended */
        }
        if (fake.peer == NULL) {
            sd_bus_wait(fake.bus, UINT64_MAX);
        } else if (!fake_gatt_step()) {
            disconnect(fake.peer);
        }
    }
}
