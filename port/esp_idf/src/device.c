/* SPDX-License-Identifier: Apache-2.0 */
/* The device's one update session behind a lock, its events, and the health of a new image. */
#include <string.h>

#include <esp_app_desc.h>
#include <esp_chip_info.h>
#include <esp_log.h>
#include <esp_timer.h>
#include <freertos/FreeRTOS.h>
#include <freertos/semphr.h>
#include <freertos/task.h>
#include <sdkconfig.h>
#if CONFIG_BOOTLOADER_APP_ANTI_ROLLBACK
#include <esp_efuse.h>
#endif

#include "otter/health.h"

#include "internal.h"

#define PROGRESS_STEP 16384u /* bytes, without a length */
#define REST_MS 1000u        /* of work, then the idle task has its turn */

static const char TAG[] = "otter";

_Static_assert(CONFIG_OTTER_BUFFER_SIZE % OTTER_WRITE_UNIT_MAX == 0,
               "OTTER_BUFFER_SIZE is a multiple of 64");

ESP_EVENT_DEFINE_BASE(OTTER_EVENT);

/* One device, one session. */
static struct {
    SemaphoreHandle_t lock; /* over update and health */
    StaticSemaphore_t lock_memory;
    struct otter_idf_config config;
    struct otter_idf_slots slots;
    struct otter_idf_hash hash;
    struct otter_policy policy;
    struct otter_update update;
#ifdef CONFIG_OTTER_ENCRYPTION
    struct otter_encrypted encrypted;
#endif
    struct otter_health health;
    esp_timer_handle_t timer;        /* of health */
    uint32_t reported;               /* bytes at the last progress event */
    uint32_t rested_ms;              /* when the idle task last had its turn */
    const esp_partition_t *rejected; /* holds an image that was given up, or NULL */
    uint8_t rejected_elf[32];        /* that image, by its ELF file and as a whole */
    uint8_t rejected_image[OTTER_SHA256_SIZE];
    uint8_t image[OTTER_SHA256_SIZE]; /* digest of the running image */
    uint8_t buf[CONFIG_OTTER_BUFFER_SIZE];
} device;

/* ---- time, locks, events, restart ------------------------------------------------------------ */

uint32_t otter_idf_now_ms(void)
{
    return (uint32_t)(esp_timer_get_time() / 1000);
}

uint32_t otter_idf_ticks(uint32_t ms)
{
    uint64_t ticks = ((uint64_t)ms * configTICK_RATE_HZ + 999) / 1000;

    return ms == UINT32_MAX || ticks >= portMAX_DELAY ? portMAX_DELAY : (uint32_t)ticks;
}

static void lock(void)
{
    xSemaphoreTake(device.lock, portMAX_DELAY);
}

static void unlock(void)
{
    xSemaphoreGive(device.lock);
}

void otter_idf_post(enum otter_idf_event_id id, const void *data, size_t size)
{
    /* Without an event loop, or with a full one, an update goes on all the same. */
    esp_err_t err = esp_event_post(OTTER_EVENT, (int32_t)id, data, size, 0);

    if (err != ESP_OK && err != ESP_ERR_INVALID_STATE) {
        ESP_LOGD(TAG, "event %d is lost: %s", (int)id, esp_err_to_name(err));
    }
}

void otter_idf_before_restart(void)
{
    if (device.config.before_restart != NULL) {
        device.config.before_restart(device.config.ctx);
    }
}

void otter_idf_restart(void *unused)
{
    otter_idf_before_restart();
    ESP_LOGI(TAG, "restart");
    esp_restart();
}

static bool worth_reporting(const struct otter_update_event *event)
{
    uint32_t step = event->total == OTTER_LENGTH_UNKNOWN ? PROGRESS_STEP : event->total / 100;

    if (event->kind != OTTER_EVENT_PROGRESS && event->kind != OTTER_EVENT_CHECKING) {
        device.reported = 0;
        return true;
    }
    if (event->done < device.reported) {
        device.reported = 0; /* reading back begins at the start */
    }
    if (event->done - device.reported < step) {
        return false;
    }
    device.reported = event->done;
    return true;
}

static void on_update_event(void *ctx, const struct otter_update_event *event)
{
    static const enum otter_idf_event_id ids[] = {
        [OTTER_EVENT_BEGIN] = OTTER_IDF_EVENT_BEGIN,
        [OTTER_EVENT_IMAGE] = OTTER_IDF_EVENT_PROGRESS,
        [OTTER_EVENT_PROGRESS] = OTTER_IDF_EVENT_PROGRESS,
        [OTTER_EVENT_CHECKING] = OTTER_IDF_EVENT_CHECKING,
        [OTTER_EVENT_SELECTED] = OTTER_IDF_EVENT_SELECTED,
        [OTTER_EVENT_ABORTED] = OTTER_IDF_EVENT_ABORTED,
    };
    struct otter_idf_progress progress = {
        .done = event->done, .total = event->total, .err = event->err};

    if (event->kind == OTTER_EVENT_IMAGE) {
        ESP_LOGI(TAG, "receiving %s %s", event->facts->project, event->facts->version);
    } else if (event->kind == OTTER_EVENT_SELECTED) {
        ESP_LOGI(TAG, "verified and selected, %" PRIu32 " bytes", event->done);
    } else if (event->kind == OTTER_EVENT_ABORTED) {
        ESP_LOGW(TAG, "update ended at %" PRIu32 " bytes: error %d", event->done, (int)event->err);
    }
    if (worth_reporting(event)) {
        otter_idf_post(ids[event->kind], &progress, sizeof(progress));
    }
}

/* ---- what is accepted ------------------------------------------------------------------------ */

static otter_err accept(void *ctx, const struct otter_image_facts *facts)
{
    const struct otter_idf_transport *from = device.update.owner;

    /* Else a server that goes on offering it would send us round in circles. */
    if (OTTER_REFUSE_ROLLED_BACK && from != NULL && from->automatic && device.rejected != NULL &&
        memcmp(facts->elf_sha256, device.rejected_elf, sizeof(device.rejected_elf)) == 0) {
        ESP_LOGW(TAG, "this image was rolled back before");
        return OTTER_ERR_POLICY;
    }
    return device.config.accept != NULL ? device.config.accept(device.config.ctx, facts) : OTTER_OK;
}

static bool take_older(void *ctx)
{
    const struct otter_idf_transport *from = device.update.owner;

    return from != NULL && from->asked != NULL && from->asked(from);
}

static void note_rejected(void)
{
    const esp_partition_t *partition = esp_ota_get_last_invalid_partition();
    esp_app_desc_t desc;

    if (partition != NULL && esp_ota_get_partition_description(partition, &desc) == ESP_OK &&
        esp_partition_get_sha256(partition, device.rejected_image) == ESP_OK) {
        device.rejected = partition;
        memcpy(device.rejected_elf, desc.app_elf_sha256, sizeof(device.rejected_elf));
    }
}

static void set_policy(void)
{
    const esp_app_desc_t *running = esp_app_get_description();
    esp_chip_info_t chip;

    esp_chip_info(&chip);
    device.policy = (struct otter_policy){
        .chip_id = CONFIG_IDF_FIRMWARE_CHIP_ID,
        .chip_rev_full = chip.revision,
        .project = OTTER_CHECK_PROJECT ? running->project_name : NULL,
        .secure_version = running->secure_version,
        .running_version = running->version,
        .version_rule = (enum otter_version_rule)CONFIG_OTTER_VERSION_RULE,
        .version_order = device.config.version_order,
        .take_older = take_older,
        .check = accept,
    };
#if CONFIG_BOOTLOADER_APP_ANTI_ROLLBACK
    uint32_t burned = esp_efuse_read_secure_version();
    if (burned > device.policy.secure_version) {
        device.policy.secure_version = burned;
    }
#endif
}

/* ---- health ---------------------------------------------------------------------------------- */

/* Looks what became of the running image; under the lock. True: restart. */
static bool look_at_health(uint8_t before)
{
    uint32_t wait;
    enum otter_health_state now = otter_health_poll(&device.health, otter_idf_now_ms(), &wait);

    if (now == OTTER_HEALTH_WAITING && wait != OTTER_HEALTH_NEVER) {
        (void)esp_timer_stop(device.timer); /* not running: fine */
        esp_err_t err = esp_timer_start_once(device.timer, (uint64_t)wait * 1000);
        if (err != ESP_OK) {
            ESP_LOGE(TAG, "deadline: %s", esp_err_to_name(err));
        }
    }
    if (now == before) {
        return false;
    }
    if (now == OTTER_HEALTH_CONFIRMED) {
        ESP_LOGI(TAG, "this image is confirmed");
        otter_idf_post(OTTER_IDF_EVENT_CONFIRMED, NULL, 0);
    } else if (now == OTTER_HEALTH_STUCK) {
        ESP_LOGE(TAG, "this image cannot be rolled back: error %d", (int)device.health.err);
    }
    return now == OTTER_HEALTH_REFUSED;
}

static void health(enum otter_health_state (*what)(struct otter_health *h))
{
    if (device.lock == NULL) {
        return;
    }
    lock();
    uint8_t before = device.health.state;
    if (what != NULL) {
        (void)what(&device.health);
    }
    bool restart = look_at_health(before);
    unlock();
    if (restart) {
        ESP_LOGW(TAG, "this image is rolled back");
        otter_idf_post(OTTER_IDF_EVENT_REFUSED, NULL, 0);
        otter_idf_restart(NULL);
    }
}

static enum otter_health_state check_passed(struct otter_health *h)
{
    return otter_health_check(h, true);
}

static enum otter_health_state check_failed(struct otter_health *h)
{
    return otter_health_check(h, false);
}

void otter_idf_health_check(bool pass)
{
    health(pass ? check_passed : check_failed);
}

void otter_idf_health_path(void)
{
    health(otter_health_path);
}

static void look(void *unused)
{
    health(NULL);
    vTaskDelete(NULL);
}

/* Rolling back verifies the other image, which is too much for the timers' task. */
static void on_timer(void *unused)
{
    if (xTaskCreate(look, "otter_health", CONFIG_OTTER_TASK_STACK, NULL, CONFIG_OTTER_TASK_PRIORITY,
                    NULL) != pdPASS) {
        ESP_LOGE(TAG, "no memory to look at the deadline");
        otter_idf_restart(NULL); /* unconfirmed: the bootloader goes back */
    }
}

static esp_err_t start_health(void)
{
    const esp_timer_create_args_t timer = {.callback = on_timer, .name = "otter_health"};
    const struct otter_health_config config = {
        .slots = otter_idf_slots_table(&device.slots),
        .need_check = OTTER_CONFIRM_CHECK,
        .need_path = OTTER_CONFIRM_PATH,
        .deadline_ms = CONFIG_OTTER_CONFIRM_DEADLINE_S * 1000u,
    };
    esp_err_t err = esp_timer_create(&timer, &device.timer);

    if (err != ESP_OK) {
        return err;
    }
    if (otter_health_init(&device.health, &config) != OTTER_OK) {
        return ESP_ERR_INVALID_ARG;
    }
    otter_err said = otter_health_start(&device.health, otter_idf_now_ms());
    if (said != OTTER_OK) {
        ESP_LOGE(TAG, "the boot state cannot be read or written: error %d", (int)said);
    }
    if (device.health.state == OTTER_HEALTH_WAITING) {
        ESP_LOGI(TAG, "first boot of this image: it has to show that it works");
    }
    health(NULL);
    return ESP_OK;
}

/* ---- the session ----------------------------------------------------------------------------- */

static otter_err begin(void *ctx, uint32_t length)
{
    struct otter_idf_transport *t = ctx;

    lock();
    otter_err err = t->inner.ops->begin(t->inner.ctx, length);
    unlock();
    t->running = err == OTTER_OK;
    return err;
}

static otter_err write(void *ctx, const uint8_t *data, size_t len, size_t *used)
{
    struct otter_idf_transport *t = ctx;

    lock();
    otter_err err = t->inner.ops->write(t->inner.ctx, data, len, used);
    unlock();
    t->running = err == OTTER_OK;
    return err;
}

static otter_err finish(void *ctx)
{
    struct otter_idf_transport *t = ctx;

    lock();
    otter_err err = t->inner.ops->finish(t->inner.ctx);
    uint32_t now = otter_idf_now_ms();
    bool rest = err == OTTER_ERR_AGAIN && now - device.rested_ms >= REST_MS;
    if (rest) {
        device.rested_ms = now;
    }
    unlock();
    if (rest) {
        vTaskDelay(1); /* a large slot is read for seconds on end; the task watchdog gives 5 */
    }
    t->running = err == OTTER_ERR_AGAIN;
    return err;
}

static void abort_update(void *ctx)
{
    struct otter_idf_transport *t = ctx;

    lock();
    t->inner.ops->abort(t->inner.ctx);
    unlock();
    t->running = false;
}

static otter_err take_up(void *ctx, uint32_t len, uint32_t *got)
{
    struct otter_idf_transport *t = ctx;

    lock();
    otter_err err = t->inner.ops->take_up(t->inner.ctx, len, got);
    unlock();
    t->running = err == OTTER_OK;
    return err;
}

esp_err_t otter_idf_transport_sink(struct otter_idf_transport *transport, struct otter_sink *sink)
{
    static const struct otter_sink_ops ops = {begin, write, finish, abort_update, take_up};

    if (device.lock == NULL) {
        return ESP_ERR_INVALID_STATE;
    }
    transport->session.update = &device.update;
    transport->inner = otter_update_sink(&transport->session);
    *sink = (struct otter_sink){.ops = &ops, .ctx = transport};
#ifdef CONFIG_OTTER_ENCRYPTION
    /* The cipher's state does not outlive a restart, so nothing is taken up after one. */
    static const struct otter_sink_ops decrypting = {begin, write, finish, abort_update, NULL};

    transport->encrypted.encrypted = &device.encrypted;
    transport->encrypted.next = transport->inner;
    transport->inner = otter_encrypted_sink(&transport->encrypted);
    sink->ops = &decrypting;
#endif
    return ESP_OK;
}

/* What menuconfig wants images to be. */
static esp_err_t demand(struct otter_slots *slots, struct otter_hash hash)
{
    esp_err_t err = ESP_OK;

#ifdef CONFIG_OTTER_SIGNATURES
    err = otter_idf_demand_signature(&device.config, hash, device.buf, sizeof(device.buf), slots);
#endif
#ifdef CONFIG_OTTER_ENCRYPTION
    if (err == ESP_OK) {
        err = otter_idf_open_cipher(&device.config, &device.encrypted);
    }
#endif
    return err;
}

esp_err_t otter_idf_start(const struct otter_idf_config *config)
{
    if (device.lock != NULL) {
        return ESP_ERR_INVALID_STATE;
    }
    if (psa_crypto_init() != PSA_SUCCESS) {
        return ESP_FAIL;
    }
    device.config = config != NULL ? *config : (struct otter_idf_config){0};
    esp_err_t err = esp_partition_get_sha256(esp_ota_get_running_partition(), device.image);
    if (err != ESP_OK) {
        return err;
    }
    set_policy();
    note_rejected();
    struct otter_slots slots = otter_idf_slots_table(&device.slots);
    struct otter_hash hash = otter_idf_hash_on(&device.hash);
    err = demand(&slots, hash);
    if (err != ESP_OK) {
        return err;
    }
    const struct otter_update_config session = {
        .slots = slots,
        .hash = hash,
        .policy = &device.policy,
        .buf = device.buf,
        .buf_size = sizeof(device.buf),
        .on_event = on_update_event,
    };
    if (otter_update_init(&device.update, &session) != OTTER_OK) {
        return ESP_ERR_INVALID_ARG;
    }
    device.lock = xSemaphoreCreateMutexStatic(&device.lock_memory);
    err = start_health();
    if (err != ESP_OK) {
        device.lock = NULL;
    }
    return err;
}

esp_err_t otter_idf_report(struct otter_idf_report *report)
{
    const esp_app_desc_t *running = esp_app_get_description();
    const esp_partition_t *slot = esp_ota_get_running_partition();
    enum otter_boot_state state;

    if (slot == NULL ||
        otter_boot_state(otter_idf_slots_table(&device.slots), &state) != OTTER_OK) {
        return ESP_FAIL;
    }
    *report = (struct otter_idf_report){.pending = state == OTTER_BOOT_PENDING,
                                        .reset_reason = esp_reset_reason()};
    strlcpy(report->project, running->project_name, sizeof(report->project));
    strlcpy(report->version, running->version, sizeof(report->version));
    strlcpy(report->slot, slot->label, sizeof(report->slot));
    if (device.rejected != NULL) {
        strlcpy(report->rejected, device.rejected->label, sizeof(report->rejected));
        memcpy(report->given_up, device.rejected_image, sizeof(report->given_up));
    }
    memcpy(report->image, device.image, sizeof(report->image));
    return ESP_OK;
}
