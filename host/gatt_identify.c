/* SPDX-License-Identifier: Apache-2.0 */
/* What a device says of itself: Generic Access, Device Information, and the services it offers. */
#include <stdio.h>
#include <string.h>

#include "host/att.h"
#include "host/gatt_update.h"
#include "otter/identity.h"

static int find(struct otter_gatt_link link, uint16_t service, uint16_t uuid)
{
    const struct otter_gatt_found *found;
    size_t count = link.ops->found(link.link, &found);
    struct otter_gatt_uuid wanted_service = otter_att_uuid16(service);
    struct otter_gatt_uuid wanted = otter_att_uuid16(uuid);

    for (size_t i = 0; i < count; i++) {
        if (otter_gatt_uuid_equal(&found[i].service, &wanted_service) &&
            otter_gatt_uuid_equal(&found[i].uuid, &wanted) &&
            (found[i].props & OTTER_GATT_READ) != 0) {
            return (int)i;
        }
    }
    return -1;
}

/* A text characteristic; empty when the device has none or does not give it out. */
static otter_err read_text(struct otter_gatt_link link, uint16_t service, uint16_t uuid, char *text,
                           size_t size)
{
    int index = find(link, service, uuid);
    size_t len = 0;

    text[0] = '\0';
    if (index < 0) {
        return OTTER_OK;
    }
    otter_err err = link.ops->read(link.link, (size_t)index, (uint8_t *)text, size - 1, &len);
    text[err == OTTER_OK ? len : 0] = '\0';
    return err == OTTER_ERR_REFUSED ? OTTER_OK : err;
}

static void take_identity(struct otter_target_device *device, const char *text)
{
    struct otter_identity identity;

    if (!otter_identity_read(&identity, (const uint8_t *)text, strlen(text))) {
        return;
    }
    snprintf(device->project, sizeof(device->project), "%s", identity.project);
    for (size_t i = 0; i < OTTER_IDENTITY_IMAGE; i++) {
        snprintf(device->image + 2 * i, 3, "%02x", identity.image[i]);
    }
    device->wants_signature = identity.wants_signature;
    device->wants_encryption = identity.wants_encryption;
    device->decrypts = identity.decrypts;
    device->buffered = identity.buffered;
    device->refuses_older = identity.older != OTTER_IDENTITY_OLDER_YES;
    device->asks_older = identity.older == OTTER_IDENTITY_OLDER_ASK;
    switch (identity.state) {
    case OTTER_IDENTITY_CONFIRMED:
        device->state = OTTER_TARGET_STATE_CONFIRMED;
        break;
    case OTTER_IDENTITY_PENDING:
        device->state = OTTER_TARGET_STATE_PENDING;
        break;
    case OTTER_IDENTITY_ROLLED_BACK:
        device->state = OTTER_TARGET_STATE_ROLLED_BACK;
        break;
    }
}

static void find_protocols(struct otter_gatt_link link, struct otter_target_device *device)
{
    const struct otter_gatt_found *found;
    size_t count = link.ops->found(link.link, &found);
    int index[OTTER_ESPBLE_CHARS];
    bool espble = otter_espble_recognise(found, count, index);
    bool gattota = otter_gattota_recognise(found, count, index);

    snprintf(device->protocols, sizeof(device->protocols), "%s%s%s", espble ? "espble" : "",
             espble && gattota ? " " : "", gattota ? "gattota" : "");
}

otter_err otter_gatt_identify(struct otter_gatt_link link, struct otter_target_device *device)
{
    char software[128];

    *device = (struct otter_target_device){0};
    find_protocols(link, device);
    otter_err err = read_text(link, 0x1800, 0x2A00, device->name, sizeof(device->name));
    if (err == OTTER_OK) {
        err = read_text(link, 0x180A, 0x2A24, device->chip, sizeof(device->chip));
    }
    if (err == OTTER_OK) {
        err = read_text(link, 0x180A, 0x2A26, device->version, sizeof(device->version));
    }
    if (err == OTTER_OK) {
        err = read_text(link, 0x180A, 0x2A28, software, sizeof(software));
    }
    if (err == OTTER_OK) {
        take_identity(device, software);
    }
    return err;
}

otter_err otter_gatt_identify_at(struct otter_gatt_link link, const char *address,
                                 uint32_t timeout_ms, struct otter_target_device *device,
                                 char *message, size_t size)
{
    otter_err err = link.ops->open(link.link, address, OTTER_GATT_MTU_MAX, timeout_ms);
    if (err == OTTER_OK) {
        err = otter_gatt_identify(link, device);
        snprintf(message, size, "%s: %s", address, otter_err_text(err));
    } else {
        snprintf(message, size, "%s", link.message);
    }
    link.ops->close(link.link);
    return err;
}
