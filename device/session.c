/* SPDX-License-Identifier: Apache-2.0 */
/* The update session of a device: what it takes, and what it says on the way. */
#include "device/device.h"
#include "device/gatt.h"

#define TOLD_STEP (64u * 1024u) /* bytes between two lines of progress, without a length */

static void tell_progress(struct device *device, const struct otter_update_event *event)
{
    if (event->total == OTTER_LENGTH_UNKNOWN || event->total == 0) {
        uint32_t step = event->done / TOLD_STEP;

        if (step > device->told) {
            device_log(device, "update: %u KiB", step * TOLD_STEP / 1024);
        }
        device->told = step;
        return;
    }
    uint32_t quarter = (uint32_t)((uint64_t)event->done * 4u / event->total);
    if (quarter > device->told && quarter < 4) {
        device_log(device, "update: %u %%", quarter * 25u);
    }
    device->told = quarter;
}

static bool takes_both(const struct device_options *options)
{
    return options->key != NULL && !options->require_encryption;
}

static void on_update(void *ctx, const struct otter_update_event *event)
{
    struct device *device = ctx;
    struct otter_image_facts facts;
    char chip[16];

    switch (event->kind) {
    case OTTER_EVENT_BEGIN:
        device->told = 0;
        device->identity.state = OTTER_IDENTITY_CONFIRMED; /* an earlier rollback is history */
        if (event->total == OTTER_LENGTH_UNKNOWN) {
            device_log(device, "update: begins, length not announced");
        } else {
            device_log(device, "update: begins, %u bytes", event->total);
        }
        break;
    case OTTER_EVENT_IMAGE:
        facts = *event->facts;
        device_log(device, "update: image is %s %s for %s", device_plain(facts.project),
                   device_plain(facts.version), device_chip_name(facts.chip_id, chip));
        break;
    case OTTER_EVENT_PROGRESS:
        tell_progress(device, event);
        break;
    case OTTER_EVENT_CHECKING:
        break;
    case OTTER_EVENT_SELECTED:
        device->asked_by = NULL;
        device_log(device, "update: whole and verified, boots next");
        break;
    case OTTER_EVENT_ABORTED:
        if (event->err == OTTER_OK && event->done == 0 && takes_both(device->options)) {
            break; /* it begins anew: the image is an encrypted one */
        }
        device->asked_by = NULL;
        device_log(device, "update: ended, %s; nothing changes",
                   event->err == OTTER_OK ? "given up by the sender" : otter_err_text(event->err));
        break;
    }
}

/* The host only asks: the device must be one that lets itself be asked. */
static bool take_older(void *ctx)
{
    const struct device *device = ctx;
    bool asked = device->options->older_if_asked && device->asked_by != NULL &&
                 device_gatt_asked(device->asked_by, device->update.owner);

    if (asked) {
        device_log(device, "update: of an older version, as asked");
    }
    return asked;
}

bool device_open_session(struct device *device)
{
    const struct device_options *options = device->options;

    device->policy = (struct otter_policy){
        .chip_id = device->chip_id,
        .project = device->boot.facts.has_desc ? device->boot.facts.project : NULL,
        .running_version = device->boot.facts.version,
        .version_rule = options->not_older || options->older_if_asked ? OTTER_VERSION_NOT_OLDER
                                                                      : OTTER_VERSION_ANY,
        .take_older = take_older,
        .check_ctx = device,
        .secure_version = device->boot.facts.secure_version,
        .chip_rev_full = device->boot.facts.min_rev_full,
    };
    struct otter_update_config config = {
        .slots = device_secure_slots(device, otter_flash_slots_table(&device->slots)),
        .hash = otter_sha256_hash(&device->sha[2]),
        .policy = &device->policy,
        .buf = device->update_buf,
        .buf_size = sizeof(device->update_buf),
        .on_event = on_update,
        .event_ctx = device,
    };
    otter_err err = otter_update_init(&device->update, &config);
    if (err != OTTER_OK) {
        device_error(device, "the update session cannot be set up: %s", otter_err_text(err));
    }
    return err == OTTER_OK;
}
