/* SPDX-License-Identifier: Apache-2.0 */
/* What can be told of the Bluetooth link without bluetoothd: addresses, UUIDs, sentences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above it */
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "host/ble_find.h"

static void uuids_are_read_and_written(void **state)
{
    static const char *const wrong[] = {"",
                                        "180a",
                                        "0000180a-0000-1000-8000-00805f9b34f",
                                        "0000180a-0000-1000-8000-00805f9b34fb0",
                                        "0000180ax0000-1000-8000-00805f9b34fb",
                                        "0000180g-0000-1000-8000-00805f9b34fb"};
    static const char field[] = "d6f1d96d-594c-4c53-b1c6-144a1dfde6d8";
    const struct otter_gatt_uuid info = {.size = 2, .bytes = {0x0A, 0x18}};
    struct otter_gatt_uuid uuid;
    char text[37];

    otter_ble_uuid_format(&info, text);
    assert_string_equal(text, "0000180a-0000-1000-8000-00805f9b34fb");
    assert_int_equal(otter_ble_uuid_parse(&uuid, text), OTTER_OK);
    assert_true(otter_gatt_uuid_equal(&uuid, &info));

    assert_int_equal(otter_ble_uuid_parse(&uuid, field), OTTER_OK);
    assert_int_equal(uuid.bytes[0], 0xD8);
    assert_int_equal(uuid.bytes[5], 0x14);
    assert_int_equal(uuid.bytes[15], 0xD6);
    otter_ble_uuid_format(&uuid, text);
    assert_string_equal(text, field);

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(otter_ble_uuid_parse(&uuid, wrong[i]), OTTER_ERR_ARG);
    }
}

static void addresses(void **state)
{
    struct otter_ble_address a;

    assert_int_equal(otter_ble_address_parse(&a, "24:6F:28:12:34:56"), OTTER_OK);
    assert_string_equal(a.adapter, "");
    assert_string_equal(a.device, "24:6F:28:12:34:56");
    assert_int_equal(otter_ble_address_parse(&a, "hci1/kitchen lamp"), OTTER_OK);
    assert_string_equal(a.adapter, "hci1");
    assert_string_equal(a.device, "kitchen lamp");
    assert_int_equal(otter_ble_address_parse(&a, ""), OTTER_ERR_ARG);
    assert_int_equal(otter_ble_address_parse(&a, "hci1/"), OTTER_ERR_ARG);
    assert_int_equal(otter_ble_address_parse(&a, "/x"), OTTER_ERR_ARG);
    assert_int_equal(otter_ble_address_parse(&a, "averyveryverylongadapter/x"), OTTER_ERR_ARG);
    char name[80];
    memset(name, 'n', sizeof(name) - 1);
    name[79] = '\0';
    assert_int_equal(otter_ble_address_parse(&a, name), OTTER_ERR_ARG);
}

static void adapters_and_devices(void **state)
{
    struct otter_ble_object objects[] = {
        {.kind = OTTER_BLE_IS_ADAPTER, .path = "/org/bluez/hci0"},
        {.kind = OTTER_BLE_IS_ADAPTER, .path = "/org/bluez/hci1", .powered = true},
        {.kind = OTTER_BLE_IS_DEVICE,
         .path = "/org/bluez/hci1/dev_1",
         .address = "AA:BB:CC:DD:EE:FF",
         .name = "lamp",
         .near = true},
        {.kind = OTTER_BLE_IS_DEVICE,
         .path = "/org/bluez/hci1/dev_3",
         .address = "00:00:00:00:00:03",
         .name = "lamp"},
        {.kind = OTTER_BLE_IS_DEVICE, .path = "/org/bluez/hci10/dev_2", .name = "other"},
    };
    struct otter_ble_tree tree = {objects, 5}, none = {0};
    struct otter_ble_bus bus = {0};
    bool several;

    assert_ptr_equal(otter_ble_adapter(&bus, &tree, ""), &objects[1]);
    assert_null(otter_ble_adapter(&bus, &tree, "hci0"));
    assert_non_null(strstr(bus.why, "hci0 is off: turn it on"));
    assert_null(otter_ble_adapter(&bus, &tree, "hci7"));
    assert_string_equal(bus.why, "there is no Bluetooth adapter hci7");
    assert_null(otter_ble_adapter(&bus, &none, ""));
    assert_string_equal(bus.why, "this machine has no Bluetooth adapter");

#define DEVICE(text) otter_ble_device(&bus, &tree, "/org/bluez/hci1", (text), &several)
    assert_ptr_equal(DEVICE("aa:bb:cc:dd:ee:ff"), &objects[2]);
    assert_ptr_equal(DEVICE("00:00:00:00:00:03"), &objects[3]);
    assert_ptr_equal(DEVICE("lamp"), &objects[2]); /* the one in reach */
    assert_false(several);
    assert_null(DEVICE("other"));
    objects[3].near = true;
    assert_null(DEVICE("lamp"));
    assert_true(several);
    assert_non_null(strstr(bus.why, "ble:AA:BB:CC:DD:EE:FF, ble:00:00:00:00:00:03"));
#undef DEVICE
}

static void failures_in_words(void **state)
{
    static const struct {
        const char *name, *text;
        otter_err err;
        const char *part; /* of the sentence */
    } rows[] = {
        {"org.freedesktop.DBus.Error.ServiceUnknown", "x", OTTER_ERR_UNSUPPORTED, "not running"},
        {"org.freedesktop.DBus.Error.AccessDenied", "x", OTTER_ERR_POLICY, "usermod"},
        {"org.bluez.Error.NotReady", "x", OTTER_ERR_STATE, "is off"},
        {"org.bluez.Error.NotPermitted", "Not paired", OTTER_ERR_REFUSED, "asks for pairing"},
        {"org.bluez.Error.NotPermitted", "Write acquired", OTTER_ERR_BUSY, "another program"},
        {"org.bluez.Error.AuthenticationFailed", "x", OTTER_ERR_REFUSED, "pairing was refused"},
        {"org.bluez.Error.Failed", "Not connected", OTTER_ERR_LINK, "connection is lost"},
        {"org.bluez.Error.Failed", "le-connection-abort-by-local", OTTER_ERR_LINK, "out of range"},
        {"org.example.Unheard", "of", OTTER_ERR_LINK, "of"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct otter_ble_bus bus = {0};
        sd_bus_error e = SD_BUS_ERROR_MAKE_CONST(rows[i].name, rows[i].text);

        assert_int_equal(otter_ble_bus_fail(&bus, &e, 0), rows[i].err);
        assert_non_null(strstr(bus.why, rows[i].part));
        assert_int_equal(bus.not_paired, strcmp(rows[i].text, "Not paired") == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uuids_are_read_and_written),
        cmocka_unit_test(addresses),
        cmocka_unit_test(adapters_and_devices),
        cmocka_unit_test(failures_in_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
