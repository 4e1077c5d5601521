/* SPDX-License-Identifier: Apache-2.0 */
/* As much of ESP-IDF as slots.c calls, for test_idf_slots.c, which is behind it. */
#ifndef TESTS_UNIT_IDF_H
#define TESTS_UNIT_IDF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int esp_err_t;
#define ESP_OK 0
enum {
    ESP_FAIL = -1,
    ESP_ERR_NOT_FOUND = 1,
    ESP_ERR_NOT_SUPPORTED,
    ESP_ERR_OTA_PARTITION_CONFLICT,
    ESP_ERR_OTA_SELECT_INFO_INVALID,
    ESP_ERR_OTA_VALIDATE_FAILED,
    ESP_ERR_OTA_SMALL_SEC_VER,
    ESP_ERR_OTA_ROLLBACK_FAILED,
    ESP_ERR_OTA_ROLLBACK_INVALID_STATE,
};
const char *esp_err_to_name(esp_err_t err);

#define ESP_LOGE(tag, ...) ((void)(tag))

#define ESP_IDF_VERSION_VAL(major, minor, patch) ((major) << 16 | (minor) << 8 | (patch))
#define ESP_IDF_VERSION ESP_IDF_VERSION_VAL(5, 5, 0)

typedef enum { ESP_RST_UNKNOWN } esp_reset_reason_t;
#define ESP_EVENT_DECLARE_BASE(id) extern const char *const id

typedef enum {
    ESP_PARTITION_SUBTYPE_APP_FACTORY = 0x00,
    ESP_PARTITION_SUBTYPE_APP_OTA_0 = 0x10,
    ESP_PARTITION_SUBTYPE_APP_OTA_1 = 0x11,
    ESP_PARTITION_SUBTYPE_APP_TEST = 0x20,
} esp_partition_subtype_t;
typedef struct {
    esp_partition_subtype_t subtype;
    uint32_t size;
    uint32_t erase_size;
    char label[17];
    bool encrypted;
} esp_partition_t;
esp_err_t esp_partition_erase_range(const esp_partition_t *p, size_t offset, size_t size);
esp_err_t esp_partition_write(const esp_partition_t *p, size_t to, const void *from, size_t size);
esp_err_t esp_partition_read(const esp_partition_t *p, size_t from, void *to, size_t size);
esp_err_t esp_partition_get_sha256(const esp_partition_t *p, uint8_t *digest);

typedef uint32_t esp_ota_handle_t;
typedef enum { ESP_OTA_IMG_VALID, ESP_OTA_IMG_PENDING_VERIFY } esp_ota_img_states_t;
#define OTA_WITH_SEQUENTIAL_WRITES 0xFFFFFFFEu
const esp_partition_t *esp_ota_get_running_partition(void);
const esp_partition_t *esp_ota_get_boot_partition(void);
const esp_partition_t *esp_ota_get_next_update_partition(const esp_partition_t *from);
esp_err_t esp_ota_get_state_partition(const esp_partition_t *p, esp_ota_img_states_t *state);
esp_err_t esp_ota_begin(const esp_partition_t *p, size_t size, esp_ota_handle_t *handle);
esp_err_t esp_ota_abort(esp_ota_handle_t handle);
esp_err_t esp_ota_set_boot_partition(const esp_partition_t *p);
esp_err_t esp_ota_mark_app_valid_cancel_rollback(void);
esp_err_t esp_ota_mark_app_invalid_rollback(void);
bool esp_ota_check_rollback_is_possible(void);

void vTaskDelay(uint32_t ticks);

#endif
