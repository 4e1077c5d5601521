/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docs/protocols/espble.md and gattota.md show the state tables that the code runs by, drawn from
 * the same lists. `test_ble_tables print` prints them, to be put into the pages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/espble/device_table.h"
#include "proto/espble/host_table.h"
#include "proto/gattota/device_table.h"
#include "proto/gattota/host_table.h"

#define NAME(name, text) "| " #name " | " text " |\n"
#define DEVICE_ROW(state, event, action, next, failed, text)                                       \
    "| " #state " | " #event " | " text " | " #next " | " #failed " |\n"
#define HOST_ROW(state, event, action, next, text)                                                 \
    "| " #state " | " #event " | " text " | " #next " |\n"
#define STATES(list) "| state | |\n|---|---|\n" list(NAME)
#define EVENTS(list) "| event | |\n|---|---|\n" list(NAME)
#define DEVICE_ROWS(list)                                                                          \
    "| state | event | what is done | then | on an error |\n|---|---|---|---|---|\n" list(         \
        DEVICE_ROW)
#define HOST_ROWS(list)                                                                            \
    "| state | event | what is done | then |\n|---|---|---|---|\n" list(HOST_ROW)

static const struct table {
    const char *page;
    const char *text;
} tables[] = {
    {"espble", STATES(ESPBLE_DEVICE_STATES)},      {"espble", EVENTS(ESPBLE_DEVICE_EVENTS)},
    {"espble", DEVICE_ROWS(ESPBLE_DEVICE_ROWS)},   {"espble", STATES(ESPBLE_HOST_STATES)},
    {"espble", EVENTS(ESPBLE_HOST_EVENTS)},        {"espble", HOST_ROWS(ESPBLE_HOST_ROWS)},
    {"gattota", STATES(GATTOTA_DEVICE_STATES)},    {"gattota", EVENTS(GATTOTA_DEVICE_EVENTS)},
    {"gattota", DEVICE_ROWS(GATTOTA_DEVICE_ROWS)}, {"gattota", STATES(GATTOTA_HOST_STATES)},
    {"gattota", EVENTS(GATTOTA_HOST_EVENTS)},      {"gattota", HOST_ROWS(GATTOTA_HOST_ROWS)},
};
#define TABLES (sizeof tables / sizeof tables[0])

/* The page of a protocol; tests run in the build folder. */
static char *read_page(const char *name)
{
    static char text[65536];
    char path[64];

    snprintf(path, sizeof path, "../docs/protocols/%s.md", name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    return text;
}

static void the_pages_show_the_tables_of_the_code(void **state)
{
    for (size_t i = 0; i < TABLES; i++) {
        if (strstr(read_page(tables[i].page), tables[i].text) == NULL) {
            fprintf(stderr, "docs/protocols/%s.md should have:\n%s", tables[i].page,
                    tables[i].text);
            fail();
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pages_show_the_tables_of_the_code),
    };

    if (argc > 1) {
        for (size_t i = 0; i < TABLES; i++) {
            printf("%s\n%s\n", tables[i].page, tables[i].text);
        }
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
