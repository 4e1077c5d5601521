/* SPDX-License-Identifier: Apache-2.0 */
/* port/esp_idf/src/slots.c: what it asks of ESP-IDF, and when. A letter for each call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "internal.h"

#define MEGABYTE 0x100000u

static const esp_partition_t factory = {
    .subtype = ESP_PARTITION_SUBTYPE_APP_FACTORY, .size = MEGABYTE, .erase_size = 4096};
static const esp_partition_t ota[2] = {
    {.subtype = ESP_PARTITION_SUBTYPE_APP_OTA_0, .size = MEGABYTE, .erase_size = 4096},
    {.subtype = ESP_PARTITION_SUBTYPE_APP_OTA_1, .size = MEGABYTE, .erase_size = 4096},
};
static const esp_partition_t test_app = {
    .subtype = ESP_PARTITION_SUBTYPE_APP_TEST, .size = MEGABYTE, .erase_size = 4096};

static struct {
    const esp_partition_t *running, *boot, *next;
    esp_ota_img_states_t state;
    esp_err_t begin;
    char calls[64];
} idf;

static esp_err_t note(char call, esp_err_t err)
{
    size_t len = strlen(idf.calls);

    assert_true(len + 1 < sizeof idf.calls);
    idf.calls[len] = call;
    return err;
}

const char *esp_err_to_name(esp_err_t err)
{
    return "";
}

esp_err_t esp_partition_erase_range(const esp_partition_t *p, size_t offset, size_t size)
{
    assert_ptr_equal(p, idf.next);
    assert_int_equal(size, p->erase_size);
    return note('e', ESP_OK);
}

esp_err_t esp_partition_write(const esp_partition_t *p, size_t to, const void *from, size_t size)
{
    return note('w', ESP_OK);
}

esp_err_t esp_partition_read(const esp_partition_t *p, size_t from, void *to, size_t size)
{
    return note('r', ESP_OK);
}

esp_err_t esp_partition_get_sha256(const esp_partition_t *p, uint8_t *digest)
{
    memset(digest, 0, OTTER_SHA256_SIZE);
    return note('h', ESP_OK);
}

const esp_partition_t *esp_ota_get_running_partition(void)
{
    return idf.running;
}

const esp_partition_t *esp_ota_get_boot_partition(void)
{
    return idf.boot;
}

const esp_partition_t *esp_ota_get_next_update_partition(const esp_partition_t *from)
{
    return idf.next;
}

esp_err_t esp_ota_get_state_partition(const esp_partition_t *p, esp_ota_img_states_t *state)
{
    assert_ptr_equal(p, idf.running);
    *state = idf.state;
    return p->subtype >= ESP_PARTITION_SUBTYPE_APP_OTA_0 && p != &test_app ? ESP_OK
                                                                           : ESP_ERR_NOT_SUPPORTED;
}

esp_err_t esp_ota_begin(const esp_partition_t *p, size_t size, esp_ota_handle_t *handle)
{
    assert_ptr_equal(p, idf.next);
    assert_int_equal(size, OTA_WITH_SEQUENTIAL_WRITES);
    *handle = 7;
    return note('B', idf.begin);
}

esp_err_t esp_ota_abort(esp_ota_handle_t handle)
{
    assert_int_equal(handle, 7);
    return note('A', ESP_OK);
}

esp_err_t esp_ota_set_boot_partition(const esp_partition_t *p)
{
    idf.boot = p;
    return note(p == idf.running ? 'S' : 's', ESP_OK);
}

esp_err_t esp_ota_mark_app_valid_cancel_rollback(void)
{
    return note('V', ESP_OK);
}

esp_err_t esp_ota_mark_app_invalid_rollback(void)
{
    return note('I', ESP_OK);
}

bool esp_ota_check_rollback_is_possible(void)
{
    return true;
}

void vTaskDelay(uint32_t ticks) {}

void otter_idf_before_restart(void) {}

/* ---- the cases ------------------------------------------------------------------------------ */

static struct otter_idf_slots state;
static struct otter_slots slots;

static int setup(void **unused)
{
    memset(&idf, 0, sizeof idf);
    idf.running = idf.boot = &ota[0];
    idf.next = &ota[1];
    state = (struct otter_idf_slots){0};
    slots = otter_idf_slots_table(&state);
    return 0;
}

static otter_err open_slot(void)
{
    struct otter_slot_info info;

    return slots.ops->open(slots.ctx, 1000, &info);
}

static void an_update_from_begin_to_end(void **unused)
{
    const uint8_t digest[OTTER_SHA256_SIZE] = {0};
    const uint8_t data[4] = {0};

    assert_int_equal(open_slot(), OTTER_OK);
    assert_int_equal(slots.ops->erase(slots.ctx, 0), OTTER_OK);
    assert_int_equal(slots.ops->write(slots.ctx, 0, data, sizeof data), OTTER_OK);
    assert_int_equal(slots.ops->erase(slots.ctx, 4096), OTTER_OK);
    assert_int_equal(slots.ops->select(slots.ctx, digest), OTTER_OK);
    slots.ops->close(slots.ctx);
    assert_string_equal(idf.calls, "BewehsA");
}

/* otadata is as it was, with its record of an image that was given up. */
static void one_that_is_refused_before_it_writes_changes_nothing(void **unused)
{
    assert_int_equal(open_slot(), OTTER_OK);
    slots.ops->close(slots.ctx);
    assert_string_equal(idf.calls, "");
}

static void none_begins_while_the_running_image_is_on_trial(void **unused)
{
    idf.state = ESP_OTA_IMG_PENDING_VERIFY;
    assert_int_equal(open_slot(), OTTER_ERR_PENDING);
    assert_string_equal(idf.calls, "");
}

static void what_ESP_IDF_refuses_is_not_erased(void **unused)
{
    idf.begin = ESP_ERR_OTA_PARTITION_CONFLICT;
    assert_int_equal(open_slot(), OTTER_OK);
    assert_int_equal(slots.ops->erase(slots.ctx, 0), OTTER_ERR_NO_SLOT);
    slots.ops->close(slots.ctx);
    assert_string_equal(idf.calls, "B");
}

/* The bootloader passed over the slot that otadata selects: it must not boot half written, nor
 * whole and not yet verified. */
static void a_slot_that_is_selected_is_written_to_only_when_it_is_no_longer(void **unused)
{
    idf.boot = &ota[1];
    assert_int_equal(open_slot(), OTTER_OK);
    assert_int_equal(slots.ops->erase(slots.ctx, 0), OTTER_OK);
    assert_string_equal(idf.calls, "SVBe");
}

static void the_factory_image_is_selected_by_an_empty_otadata(void **unused)
{
    idf.running = &factory;
    idf.boot = &ota[1];
    assert_int_equal(open_slot(), OTTER_OK);
    assert_int_equal(slots.ops->erase(slots.ctx, 0), OTTER_OK);
    assert_string_equal(idf.calls, "SBe");
}

static void the_test_app_cannot_be_selected(void **unused)
{
    idf.running = &test_app;
    idf.boot = &ota[1];
    assert_int_equal(open_slot(), OTTER_OK);
    assert_int_equal(slots.ops->erase(slots.ctx, 0), OTTER_OK);
    assert_string_equal(idf.calls, "Be");
}

/* An application that has chosen the factory image for its next start keeps its choice. */
static void what_else_is_selected_stays_so(void **unused)
{
    idf.boot = &factory;
    assert_int_equal(open_slot(), OTTER_OK);
    assert_int_equal(slots.ops->erase(slots.ctx, 0), OTTER_OK);
    assert_string_equal(idf.calls, "Be");
}

static void there_is_no_slot_but_the_running_one(void **unused)
{
    idf.next = idf.running;
    assert_int_equal(open_slot(), OTTER_ERR_NO_SLOT);
    idf.next = NULL;
    assert_int_equal(open_slot(), OTTER_ERR_NO_SLOT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_update_from_begin_to_end, setup),
        cmocka_unit_test_setup(one_that_is_refused_before_it_writes_changes_nothing, setup),
        cmocka_unit_test_setup(none_begins_while_the_running_image_is_on_trial, setup),
        cmocka_unit_test_setup(what_ESP_IDF_refuses_is_not_erased, setup),
        cmocka_unit_test_setup(a_slot_that_is_selected_is_written_to_only_when_it_is_no_longer,
                               setup),
        cmocka_unit_test_setup(the_factory_image_is_selected_by_an_empty_otadata, setup),
        cmocka_unit_test_setup(the_test_app_cannot_be_selected, setup),
        cmocka_unit_test_setup(what_else_is_selected_stays_so, setup),
        cmocka_unit_test_setup(there_is_no_slot_but_the_running_one, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
