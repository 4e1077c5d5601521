/* SPDX-License-Identifier: Apache-2.0 */
/* Is there a Bluetooth adapter, is it on, and may this user use it? */
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/ble_tree.h"
#include "host/doctor.h"

#define MTU_SINCE_MAJOR 5 /* bluetoothd 5.62 tells the MTU of a characteristic */
#define MTU_SINCE_MINOR 62

static void say(otter_doctor_tell tell, void *ctx, const char *name, enum otter_doctor_state state,
                const char *found, const char *advice)
{
    struct otter_doctor_check check = {.area = "bluetooth", .name = name};

    otter_doctor_say(&check, state, advice, "%s", found);
    tell(ctx, &check);
}

/* ---- what the kernel says -------------------------------------------------------------------- */

static size_t kernel_adapters(void)
{
    glob_t found = {0};

    (void)glob("/sys/class/bluetooth/hci*", 0, NULL, &found);
    size_t count = found.gl_pathc;
    globfree(&found);
    return count;
}

static bool read_line(const char *folder, const char *name, char *text, size_t size)
{
    char path[256];

    snprintf(path, sizeof(path), "%.200s/%s", folder, name);
    FILE *f = fopen(path, "re");
    bool ok = f != NULL && fgets(text, (int)size, f) != NULL;
    if (f != NULL) {
        fclose(f);
    }
    text[ok ? strcspn(text, "\n") : 0] = '\0';
    return ok;
}

/* Why an adapter is off, and how to turn it on. */
static const char *how_to_turn_on(const char *adapter)
{
    const char *advice = "bluetoothctl power on";
    char name[32], flag[8];
    glob_t found = {0};

    (void)glob("/sys/class/rfkill/rfkill*", 0, NULL, &found);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *folder = found.gl_pathv[i];

        if (!read_line(folder, "name", name, sizeof(name)) || strcmp(name, adapter) != 0) {
            continue;
        }
        if (read_line(folder, "hard", flag, sizeof(flag)) && flag[0] == '1') {
            advice = "a switch or a key of this machine keeps it off (airplane mode): use it";
        } else if (read_line(folder, "soft", flag, sizeof(flag)) && flag[0] == '1') {
            advice = "sudo rfkill unblock bluetooth, then: bluetoothctl power on";
        }
    }
    globfree(&found);
    return advice;
}

/* ---- the service ----------------------------------------------------------------------------- */

/* "5.66", as the package's own tool says it; empty when there is none. */
static void find_version(char *version, size_t size)
{
    FILE *f = popen("bluetoothctl --version 2>/dev/null", "re");
    char line[64] = "";

    version[0] = '\0';
    if (f == NULL) {
        return;
    }
    if (fgets(line, sizeof(line), f) != NULL) {
        const char *digits = strpbrk(line, "0123456789");

        snprintf(version, size, "%.*s", digits != NULL ? (int)strspn(digits, "0123456789.") : 0,
                 digits != NULL ? digits : "");
    }
    pclose(f);
}

static void check_version(otter_doctor_tell tell, void *ctx)
{
    char version[16];
    int major = 0, minor = 0;
    struct otter_doctor_check check = {.area = "bluetooth", .name = "version"};

    find_version(version, sizeof(version));
    if (sscanf(version, "%d.%d", &major, &minor) != 2) {
        otter_doctor_say(&check, OTTER_DOCTOR_OK, "",
                         "which BlueZ this is could not be found out (bluetoothctl --version)");
    } else if (major < MTU_SINCE_MAJOR || (major == MTU_SINCE_MAJOR && minor < MTU_SINCE_MINOR)) {
        otter_doctor_say(&check, OTTER_DOCTOR_WARNING, "update it to 5.62 or later",
                         "BlueZ %s does not tell the MTU: updates are slow", version);
    } else {
        otter_doctor_say(&check, OTTER_DOCTOR_OK, "", "BlueZ %s", version);
    }
    tell(ctx, &check);
}

/* False when there is nothing behind it that could be looked at. */
static bool check_service(otter_err err, const struct otter_ble_bus *bus, otter_doctor_tell tell,
                          void *ctx)
{
    char advice[320] = "";

    switch (err) {
    case OTTER_OK:
        say(tell, ctx, "service", OTTER_DOCTOR_OK, "bluetoothd answers", "");
        return true;
    case OTTER_ERR_POLICY:
        say(tell, ctx, "permission", OTTER_DOCTOR_BAD, "this user may not talk to bluetoothd",
            otter_doctor_join(advice, sizeof(advice), "bluetooth")
                ? "have the D-Bus policy allow it: <allow send_destination=\"org.bluez\"/> in "
                  "bluetooth.conf below /etc/dbus-1/system.d or /usr/share/dbus-1/system.d"
                : advice);
        return false;
    case OTTER_ERR_UNSUPPORTED:
        say(tell, ctx, "service", OTTER_DOCTOR_BAD,
            bus->bus == NULL ? bus->why : "bluetoothd is not running",
            bus->bus == NULL ? "sudo apt install dbus, and start it: sudo systemctl start dbus"
            : access("/usr/libexec/bluetooth/bluetoothd", F_OK) != 0 &&
                    access("/usr/lib/bluetooth/bluetoothd", F_OK) != 0
                ? "sudo apt install bluez, then: sudo systemctl start bluetooth"
            : kernel_adapters() == 0 ? "it starts by itself once there is an adapter"
                                     : "sudo systemctl enable --now bluetooth");
        return false;
    default:
        say(tell, ctx, "service", OTTER_DOCTOR_BAD, bus->why, "sudo systemctl restart bluetooth");
        return false;
    }
}

/* ---- adapters -------------------------------------------------------------------------------- */

static void check_adapter(const struct otter_ble_object *adapter, otter_doctor_tell tell, void *ctx)
{
    const char *name = strrchr(adapter->path, '/') + 1;
    struct otter_doctor_check check = {.area = "bluetooth", .name = "adapter"};

    if (!adapter->powered) {
        otter_doctor_say(&check, OTTER_DOCTOR_BAD, how_to_turn_on(name), "%s is off", name);
    } else if (!adapter->central) {
        otter_doctor_say(&check, OTTER_DOCTOR_BAD,
                         "use another adapter, or set ControllerMode = dual in "
                         "/etc/bluetooth/main.conf",
                         "%s has no Bluetooth Low Energy", name);
    } else if (!adapter->peripheral) {
        otter_doctor_say(
            &check, OTTER_DOCTOR_WARNING, "for otter-device --ble, use another adapter",
            "%s (%s) is on; it can update devices, but not play one", name, adapter->address);
    } else {
        otter_doctor_say(&check, OTTER_DOCTOR_OK, "", "%s (%s) is on", name, adapter->address);
    }
    tell(ctx, &check);
}

static void check_adapters(const struct otter_ble_tree *tree, otter_doctor_tell tell, void *ctx)
{
    size_t count = 0;

    for (size_t i = 0; i < tree->count; i++) {
        if (tree->objects[i].kind == OTTER_BLE_IS_ADAPTER) {
            check_adapter(&tree->objects[i], tell, ctx);
            count++;
        }
    }
    if (count == 0 && kernel_adapters() > 0) {
        say(tell, ctx, "adapter", OTTER_DOCTOR_BAD,
            "the kernel knows an adapter that bluetoothd does not",
            "journalctl -u bluetooth says why; then: sudo systemctl restart bluetooth");
    } else if (count == 0) {
        say(tell, ctx, "adapter", OTTER_DOCTOR_BAD, "this machine has no Bluetooth adapter",
            "plug one in; if it is there: dmesg | grep -i bluetooth says what it lacks (often its "
            "firmware)");
    }
}

void otter_doctor_bluetooth(otter_doctor_tell tell, void *ctx)
{
    struct otter_ble_bus bus = {0};
    struct otter_ble_tree tree = {0};

    otter_err err = otter_ble_bus_open(&bus);
    if (err == OTTER_OK) {
        err = otter_ble_tree_load(&tree, &bus);
    }
    if (check_service(err, &bus, tell, ctx)) {
        check_version(tell, ctx);
        check_adapters(&tree, tell, ctx);
    } else if (err == OTTER_ERR_UNSUPPORTED && kernel_adapters() == 0) {
        check_adapters(&tree, tell, ctx);
    }
    otter_ble_tree_free(&tree);
    otter_ble_bus_close(&bus);
}
