/* SPDX-License-Identifier: Apache-2.0 */
#include "device/device.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/transport.h"
#include "host/clock.h"
#include "otter/gatt.h"

#define SCRATCH 4096u  /* bytes */
#define TELL_MS 10000u /* --once waits so long for an update server to be told */

enum { EXIT_FAILED = 1, EXIT_FLASH_INVALID = 3, EXIT_ROLLED_BACK = 6 };

/* ---- telling ----------------------------------------------------------------------------------
 */

__attribute__((format(printf, 3, 0))) static void say(FILE *f, const struct device *device,
                                                      const char *format, va_list ap)
{
    if (device->options->name != NULL) {
        fprintf(f, "%s: ", device->options->name);
    }
    vfprintf(f, format, ap);
    fputc('\n', f);
}

void device_log(const struct device *device, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    say(stdout, device, format, ap);
    va_end(ap);
    fflush(stdout);
}

void device_error(const struct device *device, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    say(stderr, device, format, ap);
    va_end(ap);
}

const char *device_chip_name(uint16_t chip_id, char buf[16])
{
    const struct otter_chip *chip = otter_chip_find(chip_id);

    if (chip != NULL) {
        snprintf(buf, 16, "%s", chip->name);
    } else {
        snprintf(buf, 16, "chip %u", chip_id);
    }
    return buf;
}

const char *device_plain(char *text)
{
    for (char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7F) {
            *c = '?';
        }
    }
    return text;
}

static void leave(struct device *device, int code)
{
    device->done = true;
    device->exit_code = code;
}

/* ---- power on -----------------------------------------------------------------------------------
 */

static bool read_layout(struct device *device)
{
    struct otter_partition rows[OTTER_TABLE_ROWS_MAX];
    struct otter_partition_table table = {.rows = rows, .capacity = OTTER_TABLE_ROWS_MAX};
    uint8_t raw[OTTER_TABLE_SIZE];

    otter_err err =
        device->flash.ops->read(device->flash.ctx, OTTER_TABLE_OFFSET, raw, sizeof(raw));
    if (err == OTTER_OK) {
        err = otter_partition_parse(&table, raw, sizeof(raw), device->flash.size, otter_md5);
    }
    if (err != OTTER_OK) {
        device_error(device, "%s: %s", device->options->flash_path, otter_err_text(err));
        leave(device, EXIT_FLASH_INVALID);
        return false;
    }
    otter_layout_from_table(&device->layout, &table);
    return true;
}

static bool run_bootloader(struct device *device)
{
    struct otter_bootloader bootloader = {
        .flash = device->flash,
        .layout = device->layout,
        .hash = otter_sha256_hash(&device->sha[0]),
        .chip_id = device->chip_id,
        .rollback = true,
        .buf = device->scratch,
        .buf_size = SCRATCH,
    };
    otter_err err = otter_bootloader_run(&bootloader, &device->boot);
    if (err == OTTER_OK && device->boot.booted != OTTER_SLOT_NONE) {
        return true;
    }
    device_error(device, "%s: %s", device->options->flash_path,
                 err != OTTER_OK ? otter_err_text(err) : "no slot holds an image that boots");
    leave(device, EXIT_FLASH_INVALID);
    return false;
}

/* True when the image in the slot that does not run was given up. */
static bool other_was_given_up(struct device *device)
{
    struct otter_otadata data;

    if (device->layout.otadata.size == 0 ||
        otter_layout_read_otadata(&device->layout, &device->flash, &data) != OTTER_OK) {
        return false;
    }
    for (int i = 0; i < 2; i++) {
        if (data.copy[i].seq != OTTER_OTADATA_SEQ_NONE &&
            (data.copy[i].state == OTTER_OTADATA_INVALID ||
             data.copy[i].state == OTTER_OTADATA_ABORTED)) {
            return true;
        }
    }
    return false;
}

static enum otter_identity_older older_rule(const struct device_options *options)
{
    if (options->older_if_asked) {
        return OTTER_IDENTITY_OLDER_ASK;
    }
    return options->not_older ? OTTER_IDENTITY_OLDER_REFUSED : OTTER_IDENTITY_OLDER_YES;
}

static void find_identity(struct device *device, bool pending)
{
    struct otter_identity *identity = &device->identity;

    *identity = (struct otter_identity){.state = OTTER_IDENTITY_CONFIRMED,
                                        .wants_signature = device->options->require_signature,
                                        .wants_encryption = device->options->require_encryption,
                                        .decrypts = device->options->key != NULL,
                                        .older = older_rule(device->options),
                                        .buffered = true};
    if (pending) {
        identity->state = OTTER_IDENTITY_PENDING;
    } else if (other_was_given_up(device)) {
        identity->state = OTTER_IDENTITY_ROLLED_BACK;
    }
    memcpy(identity->image, device->boot.facts.digest, sizeof(identity->image));
    memcpy(identity->project, device->boot.facts.project, sizeof(identity->project));
}

static void tell_boot(struct device *device, bool pending)
{
    struct otter_image_facts facts = device->boot.facts;
    char chip[16];

    if (device->boot.aborted[0] || device->boot.aborted[1]) {
        device_log(device, "boot: the new image had not confirmed itself: rolled back");
    }
    device_log(device, "boot: %s, %s %s on %s%s", otter_slot_name(device->boot.booted),
               device_plain(facts.project), device_plain(facts.version),
               device_chip_name(device->chip_id, chip), pending ? ", first boot" : "");
}

static void offer(struct device *device)
{
    for (struct transport *t = device->transports; t != NULL; t = t->next) {
        if (!t->type->up(t->self)) {
            leave(device, EXIT_FAILED);
            return;
        }
    }
    device->offered = true;
    if (device->options->ready_fd >= 0 && write(device->options->ready_fd, "ready\n", 6) != 6) {
        device_error(device, "nobody reads --ready-fd");
    }
}

static void withdraw(struct device *device)
{
    otter_update_abort(&device->update);
    for (struct transport *t = device->transports; t != NULL && device->offered; t = t->next) {
        t->type->down(t->self);
    }
    device->offered = false;
}

static bool owes(const struct device *device)
{
    for (const struct transport *t = device->transports; t != NULL; t = t->next) {
        if (t->type->owes != NULL && t->type->owes(t->self)) {
            return true;
        }
    }
    return false;
}

/* The end of --once, when those have been told who are to be. */
static void leave_once(struct device *device, int code)
{
    if (!owes(device)) {
        leave(device, code);
        return;
    }
    device->leaving = true;
    device->leave_at = otter_clock_ms() + TELL_MS;
    device->exit_code = code;
    withdraw(device);
    offer(device);
}

static void power_on(struct device *device)
{
    enum otter_boot_state state;

    device->testing = false;
    device->restart = false;
    if (!read_layout(device) || !run_bootloader(device)) {
        return;
    }
    if (device->chip_id == OTTER_CHIP_ANY) {
        device->chip_id = device->boot.facts.chip_id;
    }
    device->slots = (struct otter_flash_slots){
        .flash = device->flash,
        .layout = device->layout,
        .hash = otter_sha256_hash(&device->sha[1]),
        .running = device->boot.booted,
        .rollback = true,
        .buf = device->scratch,
        .buf_size = SCRATCH,
    };
    otter_flash_slots_init(&device->slots);
    if (!device_open_session(device)) {
        leave(device, EXIT_FAILED);
        return;
    }
    otter_err err = otter_boot_state(otter_flash_slots_table(&device->slots), &state);
    bool pending = err == OTTER_OK && state == OTTER_BOOT_PENDING;
    find_identity(device, pending);
    tell_boot(device, pending);

    if (device->updated && !pending && device->options->once) {
        leave_once(device, EXIT_ROLLED_BACK); /* an update was taken, and this is not its image */
        return;
    }
    device->testing = pending;
    device->self_test_at = otter_clock_ms() + device->options->self_test_ms;
    if (pending && device->options->self_test == SELF_TEST_HANG) {
        device_log(device, "self-test: hangs");
        device->self_test_at = otter_clock_ms() + device->options->watchdog_ms;
        return;
    }
    if (!pending || device->options->self_test_ms > 0) {
        offer(device);
    }
}

/* ---- the self-test of a new image ---------------------------------------------------------------
 */

static void verdict(struct device *device, bool pass)
{
    bool restart = false;
    otter_err err = otter_boot_verdict(otter_flash_slots_table(&device->slots), pass, &restart);

    if (err != OTTER_OK) {
        device_error(device, "self-test: the verdict cannot be recorded: %s", otter_err_text(err));
        leave(device, EXIT_FAILED);
        return;
    }
    if (restart) {
        device_log(device, "self-test: failed, rolling back");
        device->restart = true;
        return;
    }
    device->identity.state = OTTER_IDENTITY_CONFIRMED;
    device_log(device, "self-test: passed, %s confirmed", device_plain(device->boot.facts.version));
    if (device->options->once && device->updated) {
        leave_once(device, 0);
    } else if (!device->offered) {
        offer(device);
    }
}

static void end_self_test(struct device *device)
{
    device->testing = false;
    switch (device->options->self_test) {
    case SELF_TEST_PASS:
        verdict(device, true);
        break;
    case SELF_TEST_FAIL:
        verdict(device, false);
        break;
    case SELF_TEST_CRASH:
        device_log(device, "self-test: crashed");
        device->restart = true;
        break;
    case SELF_TEST_HANG:
        device_log(device, "self-test: watchdog reset");
        device->restart = true;
        break;
    }
}

uint32_t device_tick(struct device *device, uint32_t now_ms)
{
    if (device->leaving) {
        int32_t left = (int32_t)(device->leave_at - now_ms);
        device->done = left <= 0 || !owes(device);
        return device->done ? 0 : (uint32_t)left;
    }
    if (!device->testing) {
        return OTTER_GATT_NEVER;
    }
    int32_t left = (int32_t)(device->self_test_at - now_ms);
    if (left > 0) {
        return (uint32_t)left;
    }
    end_self_test(device);
    return 0;
}

/* ---- start, restart, stop -----------------------------------------------------------------------
 */

void device_restart(void *ctx)
{
    struct device *device = ctx;

    if (!device->restart) {
        device->updated = true;
        device->reported = false;
        device->restart = true;
        device_log(device, "update: restarting");
    }
}

void device_reboot(struct device *device)
{
    withdraw(device);
    power_on(device);
}

static bool open_flash(struct device *device)
{
    const struct device_options *options = device->options;

    if (options->create && access(options->flash_path, F_OK) != 0) {
        const char *why = "";

        if (!device_create_flash(options, &why)) {
            device_error(device, "%s cannot be created: %s", options->flash_path, why);
            leave(device, EXIT_FAILED);
            return false;
        }
        device_log(device, "created %s: 4 MB, %s %s in ota_0", options->flash_path,
                   options->project, options->version);
    }
    enum otter_file_status status = otter_flash_file_open(&device->file, options->flash_path, true);
    if (status != OTTER_FILE_OK) {
        device_error(device, "%s", device->file.error);
        leave(device, (int)status);
        return false;
    }
    return true;
}

bool device_open(struct device *device, const struct device_options *options)
{
    device->options = options;
    device->chip_id = options->chip_id;
    device->scratch = malloc(SCRATCH);
    bool ready = device->scratch != NULL;
    for (size_t i = 0; ready && i < sizeof(device->sha) / sizeof(device->sha[0]); i++) {
        ready = otter_sha256_new(&device->sha[i]) == OTTER_OK;
    }
    if (!ready) {
        device_error(device, "out of memory");
        leave(device, EXIT_FAILED);
        return false;
    }
    if (!device_secure_start(device)) {
        leave(device, EXIT_FAILED);
        return false;
    }
    if (!open_flash(device)) {
        return false;
    }
    device->fast = otter_flash_file_flash(&device->file);
    device->flash = options->slow_flash ? device_slow_flash(&device->fast) : device->fast;
    return true;
}

bool device_start(struct device *device)
{
    power_on(device);
    return !device->done;
}

void device_stop(struct device *device)
{
    withdraw(device);
    device_secure_stop(device);
    otter_flash_file_close(&device->file);
    for (size_t i = 0; i < sizeof(device->sha) / sizeof(device->sha[0]); i++) {
        otter_sha256_free(&device->sha[i]);
    }
    free(device->scratch);
}
