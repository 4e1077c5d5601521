/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots on ESP-IDF. The slot is erased sector by sector, written and read through esp_partition_*;
 * esp_ota_set_boot_partition() verifies the image, signature included, and selects it. Before the
 * first sector is erased otadata is prepared; until then an update that is refused changes nothing.
 */
#include <string.h>

#include <esp_idf_version.h>
#include <esp_log.h>
#include <freertos/FreeRTOS.h>
#include <freertos/task.h>
#include <sdkconfig.h>

#include "internal.h"

static const char TAG[] = "otter";

otter_err otter_idf_err(esp_err_t err, otter_err other, const char *what)
{
    if (err == ESP_OK) {
        return OTTER_OK;
    }
    ESP_LOGE(TAG, "%s: %s", what, esp_err_to_name(err));
    switch (err) {
    case ESP_ERR_OTA_ROLLBACK_INVALID_STATE:
        return OTTER_ERR_PENDING;
    case ESP_ERR_OTA_ROLLBACK_FAILED:
        return OTTER_ERR_NO_FALLBACK;
    case ESP_ERR_OTA_VALIDATE_FAILED:
        return OTTER_ERR_FLASH_DIFFERS; /* what arrived had been verified before it was written */
    case ESP_ERR_OTA_SMALL_SEC_VER:
        return OTTER_ERR_IMAGE_SECURE_VERSION;
    case ESP_ERR_OTA_SELECT_INFO_INVALID:
    case ESP_ERR_NOT_FOUND:
        return OTTER_ERR_NO_OTADATA;
    case ESP_ERR_OTA_PARTITION_CONFLICT:
        return OTTER_ERR_NO_SLOT;
    default:
        return other;
    }
}

static otter_err slots_state(void *ctx, enum otter_boot_state *state)
{
    esp_ota_img_states_t now;
    esp_err_t err = esp_ota_get_state_partition(esp_ota_get_running_partition(), &now);

    *state = OTTER_BOOT_CONFIRMED;
    if (err == ESP_ERR_NOT_SUPPORTED || err == ESP_ERR_NOT_FOUND) {
        return OTTER_OK; /* factory, or a slot that no update put there */
    }
    if (err == ESP_OK && now == ESP_OTA_IMG_PENDING_VERIFY) {
        *state = OTTER_BOOT_PENDING;
    }
    return otter_idf_err(err, OTTER_ERR_FLASH_READ, "boot state");
}

static otter_err slots_open(void *ctx, uint32_t length, struct otter_slot_info *info)
{
    struct otter_idf_slots *s = ctx;
    const esp_partition_t *next = esp_ota_get_next_update_partition(NULL);
    enum otter_boot_state state;

    if (next == NULL || next == esp_ota_get_running_partition()) {
        return OTTER_ERR_NO_SLOT;
    }
    if (length != OTTER_LENGTH_UNKNOWN && length > next->size) {
        return OTTER_ERR_TOO_LARGE;
    }
    otter_err err = slots_state(s, &state);
    if (err != OTTER_OK || state == OTTER_BOOT_PENDING) {
        return err != OTTER_OK ? err : OTTER_ERR_PENDING;
    }
    s->target = next;
    s->begun = false;
    info->size = next->size;
    info->erase_unit = next->erase_size;
    info->write_unit = next->encrypted ? 16 : 4;
    return OTTER_OK;
}

/* The bootloader may have passed over a broken image that otadata still selects. What is written
 * there now must not boot before it is selected. */
static otter_err select_running(const struct otter_idf_slots *s)
{
    const esp_partition_t *running = esp_ota_get_running_partition();

    if (esp_ota_get_boot_partition() != s->target ||
        running->subtype == ESP_PARTITION_SUBTYPE_APP_TEST) {
        return OTTER_OK; /* otadata cannot select the test app */
    }
    esp_err_t err = esp_ota_set_boot_partition(running);
    if (err == ESP_OK && running->subtype != ESP_PARTITION_SUBTYPE_APP_FACTORY) {
        err = esp_ota_mark_app_valid_cancel_rollback(); /* not on trial again */
    }
    return otter_idf_err(err, OTTER_ERR_FLASH_WRITE, "select the running image");
}

/* esp_ota_begin() refuses what must not be written to; since ESP-IDF 5.5 it also drops the copy of
 * otadata that selects this slot, and with it the record of an image there that was given up. */
static otter_err begin(struct otter_idf_slots *s)
{
    otter_err err = select_running(s);

    if (err != OTTER_OK) {
        return err;
    }
    esp_err_t said = esp_ota_begin(s->target, OTA_WITH_SEQUENTIAL_WRITES, &s->handle);
    s->begun = said == ESP_OK;
    return otter_idf_err(said, OTTER_ERR_FLASH_ERASE, "begin");
}

static otter_err slots_erase(void *ctx, uint32_t offset)
{
    struct otter_idf_slots *s = ctx;
    otter_err err = s->begun ? OTTER_OK : begin(s);

    return err != OTTER_OK
               ? err
               : otter_idf_err(esp_partition_erase_range(s->target, offset, s->target->erase_size),
                               OTTER_ERR_FLASH_ERASE, "erase");
}

static otter_err slots_write(void *ctx, uint32_t offset, const uint8_t *data, uint32_t len)
{
    const struct otter_idf_slots *s = ctx;
    esp_err_t err = esp_partition_write(s->target, offset, data, len);

    return otter_idf_err(err, OTTER_ERR_FLASH_WRITE, "write");
}

static otter_err slots_read(void *ctx, uint32_t offset, uint8_t *buf, uint32_t len)
{
    const struct otter_idf_slots *s = ctx;
    esp_err_t err = esp_partition_read(s->target, offset, buf, len);

    return otter_idf_err(err, OTTER_ERR_FLASH_READ, "read");
}

static otter_err slots_select(void *ctx, const uint8_t digest[OTTER_SHA256_SIZE])
{
    const struct otter_idf_slots *s = ctx;
    uint8_t there[OTTER_SHA256_SIZE];
    esp_err_t err = esp_partition_get_sha256(s->target, there);

    if (err != ESP_OK) {
        return otter_idf_err(err, OTTER_ERR_FLASH_DIFFERS, "digest");
    }
    if (memcmp(there, digest, sizeof(there)) != 0) {
        return OTTER_ERR_FLASH_DIFFERS;
    }
    vTaskDelay(1); /* the idle task's turn, for the task watchdog: next it is read once more */
    err = esp_ota_set_boot_partition(s->target);
    return otter_idf_err(err, OTTER_ERR_FLASH_WRITE, "select");
}

/* Frees the handle; esp_ota_end() would verify a third time. */
static void slots_close(void *ctx)
{
    struct otter_idf_slots *s = ctx;

    if (s->begun) {
        (void)otter_idf_err(esp_ota_abort(s->handle), OTTER_ERR_STATE, "close");
    }
    s->begun = false;
    s->target = NULL;
}

static otter_err give_up_image(void)
{
    if (!esp_ota_check_rollback_is_possible()) {
        return OTTER_ERR_NO_FALLBACK;
    }
#if ESP_IDF_VERSION >= ESP_IDF_VERSION_VAL(5, 5, 0)
    return otter_idf_err(esp_ota_mark_app_invalid_rollback(), OTTER_ERR_FLASH_WRITE, "roll back");
#else
    /* Restarts by itself when it succeeds. */
    otter_idf_before_restart();
    esp_err_t err = esp_ota_mark_app_invalid_rollback_and_reboot();
    return otter_idf_err(err, OTTER_ERR_FLASH_WRITE, "roll back");
#endif
}

static otter_err slots_mark(void *ctx, bool valid)
{
    if (!valid) {
        return give_up_image();
    }
    esp_err_t err = esp_ota_mark_app_valid_cancel_rollback();
    return otter_idf_err(err, OTTER_ERR_FLASH_WRITE, "confirm");
}

struct otter_slots otter_idf_slots_table(struct otter_idf_slots *slots)
{
    static const struct otter_slot_ops ops = {
        .open = slots_open,
        .erase = slots_erase,
        .write = slots_write,
        .read = slots_read,
        .select = slots_select,
        .close = slots_close,
        .state = slots_state,
        .mark = slots_mark,
    };

    return (struct otter_slots){.ops = &ops, .ctx = slots};
}
