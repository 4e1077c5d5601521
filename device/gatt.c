/* SPDX-License-Identifier: Apache-2.0 */
#include "device/gatt.h"

#include <string.h>

#include "base/crc.h"
#include "host/att.h"

/* ---- Generic Access and Device Information ------------------------------------------------------
 */

enum { NAME, APPEARANCE };
enum { MANUFACTURER, MODEL, SERIAL, FIRMWARE, HARDWARE, SOFTWARE };

#define UUID16(n)                                                                                  \
    {                                                                                              \
        .size = 2, .bytes = {(n)&0xFF, (n) >> 8 }                                                  \
    }
#define READABLE(n, number)                                                                        \
    {                                                                                              \
        .uuid = UUID16(n), .props = OTTER_GATT_READ, .id = (number)                                \
    }

static const struct otter_gatt_char access_chars[] = {
    READABLE(0x2A00, NAME),
    READABLE(0x2A01, APPEARANCE),
};
static const struct otter_gatt_service access_service = {
    .uuid = UUID16(0x1800), .chars = access_chars, .count = 2};

/* The last one is left out for devices that do not say what they run. */
static const struct otter_gatt_char info_chars[] = {
    READABLE(0x2A29, MANUFACTURER), READABLE(0x2A24, MODEL),    READABLE(0x2A25, SERIAL),
    READABLE(0x2A26, FIRMWARE),     READABLE(0x2A27, HARDWARE), READABLE(0x2A28, SOFTWARE),
};
static const struct otter_gatt_service info_service = {
    .uuid = UUID16(0x180A), .chars = info_chars, .count = 6};
static const struct otter_gatt_service info_service_old = {
    .uuid = UUID16(0x180A), .chars = info_chars, .count = 5};

/* A GATT value: the text without its NUL. */
static size_t put(uint8_t *out, size_t cap, const char *text)
{
    size_t len = strnlen(text, cap);

    memcpy(out, text, len);
    return len;
}

static const char *name_of(const struct device *device)
{
    return device->options->name != NULL ? device->options->name : "otter-device";
}

static size_t read_access(void *service, uint8_t id, uint8_t *out, size_t cap)
{
    if (id == NAME) {
        return put(out, cap, name_of(service));
    }
    memset(out, 0, 2); /* appearance: unknown */
    return 2;
}

static size_t read_info(void *service, uint8_t id, uint8_t *out, size_t cap)
{
    const struct device *device = service;
    char chip[16];

    switch (id) {
    case MANUFACTURER:
        return put(out, cap, "Otter");
    case MODEL:
        return put(out, cap, device_chip_name(device->chip_id, chip));
    case SERIAL:
        return put(out, cap, name_of(device));
    case FIRMWARE:
        return put(out, cap, device->boot.facts.version);
    case HARDWARE:
        return put(out, cap, "virtual");
    default:
        return otter_identity_write(&device->identity, out, cap);
    }
}

static enum otter_att refuse_write(void *service, uint16_t conn, uint8_t id, const uint8_t *data,
                                   size_t len)
{
    (void)service;
    (void)conn;
    (void)id;
    (void)data;
    (void)len;
    return OTTER_ATT_WRITE_NOT_PERMITTED;
}

static const struct otter_gatt_service_ops access_ops = {.write = refuse_write,
                                                         .read = read_access};
static const struct otter_gatt_service_ops info_ops = {.write = refuse_write, .read = read_info};

/* ---- what old devices do otherwise (PROTOCOLS: 1.1, 1.4)
 * ----------------------------------------- */

static unsigned u16_at(const uint8_t *data)
{
    return data[0] | (unsigned)data[1] << 8;
}

/* Answers as an old device words them. An ACK is 20 bytes, its last two the CRC of the others in
 * the convention of the client, which the answer itself shows. */
static void age_answer(struct device_gatt *gatt, uint8_t id, uint8_t *data)
{
    unsigned legacy = gatt->device->options->legacy;
    uint16_t init = u16_at(data + 18) == otter_crc16(OTTER_CRC16_XMODEM, data, 18)
                        ? OTTER_CRC16_XMODEM
                        : OTTER_CRC16_CCITT;

    if (id == OTTER_ESPBLE_RECV_FW && u16_at(data + 2) == 0) {
        gatt->leave_early = (legacy & LEGACY_EARLY_RESTART) != 0 && gatt->sectors > 0 &&
                            u16_at(data) + 1u == gatt->sectors;
        if ((legacy & LEGACY_ZERO_ACK) != 0) {
            data[4] = data[5] = 0;
        }
    }
    if (id == OTTER_ESPBLE_COMMAND_CHAR && (legacy & LEGACY_NO_WINDOW) != 0) {
        data[6] = 0;
    }
    uint16_t crc = otter_crc16(init, data, 18);
    data[18] = (uint8_t)crc;
    data[19] = (uint8_t)(crc >> 8);
}

static otter_err gatt_send(void *ctx, uint16_t conn, const struct otter_gatt_char *chr,
                           const uint8_t *data, size_t len)
{
    struct device_gatt *gatt = ctx;
    uint8_t aged[OTTER_ESPBLE_COMMAND];

    bool answer = chr >= otter_espble_service.chars &&
                  chr < otter_espble_service.chars + OTTER_ESPBLE_CHARS &&
                  (chr->id == OTTER_ESPBLE_RECV_FW || chr->id == OTTER_ESPBLE_COMMAND_CHAR);
    if (answer && len == sizeof(aged) && gatt->device->options->legacy != 0) {
        memcpy(aged, data, len);
        age_answer(gatt, chr->id, aged);
        data = aged;
    }
    return gatt->carrier.send(gatt->carrier.ctx, conn, chr, data, len);
}

/* Listens in on START for the length, then hands the write on. */
static enum otter_att espble_write(void *service, uint16_t conn, uint8_t id, const uint8_t *data,
                                   size_t len)
{
    struct device_gatt *gatt = service;
    struct otter_gatt_mount mount = otter_espble_device_mount(&gatt->espble);

    if (gatt->left_early) {
        return OTTER_ATT_OK; /* it is on its way down and listens no more */
    }
    if (id == OTTER_ESPBLE_COMMAND_CHAR && len == OTTER_ESPBLE_COMMAND && u16_at(data) == 1) {
        uint32_t length = u16_at(data + 2) | (uint32_t)u16_at(data + 4) << 16;

        gatt->sectors = (uint16_t)((length + OTTER_ESPBLE_SECTOR - 1) / OTTER_ESPBLE_SECTOR);
    }
    return mount.ops->write(mount.service, conn, id, data, len);
}

static size_t espble_read(void *service, uint8_t id, uint8_t *out, size_t cap)
{
    struct otter_gatt_mount mount =
        otter_espble_device_mount(&((struct device_gatt *)service)->espble);

    return mount.ops->read(mount.service, id, out, cap);
}

static void espble_disconnected(void *service, uint16_t conn)
{
    struct otter_gatt_mount mount =
        otter_espble_device_mount(&((struct device_gatt *)service)->espble);

    mount.ops->disconnected(mount.service, conn);
}

static uint32_t espble_poll(void *service, uint32_t now_ms)
{
    struct device_gatt *gatt = service;
    struct otter_gatt_mount mount = otter_espble_device_mount(&gatt->espble);
    uint32_t next = mount.ops->poll(mount.service, now_ms);

    if (gatt->leave_early) {
        /* What a lost link after the last sector does: the image is checked and selected. */
        gatt->leave_early = false;
        gatt->left_early = true;
        mount.ops->disconnected(mount.service, gatt->espble.owner);
        return 0;
    }
    return next;
}

static const struct otter_gatt_service_ops espble_ops = {.write = espble_write,
                                                         .read = espble_read,
                                                         .disconnected = espble_disconnected,
                                                         .poll = espble_poll};

static void make_espble_table(struct device_gatt *gatt)
{
    for (size_t i = 0; i < OTTER_ESPBLE_CHARS; i++) {
        gatt->espble_chars[i] = otter_espble_service.chars[i];
        if ((gatt->device->options->legacy & LEGACY_INDICATE_ONLY) != 0) {
            gatt->espble_chars[i].props =
                (i == OTTER_ESPBLE_PROGRESS ? OTTER_GATT_READ : OTTER_GATT_WRITE) |
                OTTER_GATT_INDICATE;
        }
    }
    gatt->espble_table = (struct otter_gatt_service){.uuid = otter_espble_service.uuid,
                                                     .chars = gatt->espble_chars,
                                                     .count = OTTER_ESPBLE_CHARS};
}

/* ---- all together
 * -------------------------------------------------------------------------------- */

static void mount(struct device_gatt *gatt, struct otter_gatt_mount mounted)
{
    gatt->mounts[gatt->count++] = mounted;
}

static void mount_info(struct device_gatt *gatt)
{
    unsigned legacy = gatt->device->options->legacy;

    mount(gatt, (struct otter_gatt_mount){&access_service, &access_ops, gatt->device});
    if ((legacy & LEGACY_NO_DEVICE_INFO) == 0) {
        bool old = (legacy & LEGACY_NO_IDENTITY) != 0;

        mount(gatt, (struct otter_gatt_mount){old ? &info_service_old : &info_service, &info_ops,
                                              gatt->device});
    }
}

static otter_err mount_espble(struct device_gatt *gatt, struct otter_gatt_server server,
                              struct otter_gatt_app app)
{
    const struct device_options *options = gatt->device->options;

    otter_err err = otter_espble_device_init(
        &gatt->espble, &(struct otter_espble_device_config){
                           .sink = device_sink(gatt->device, &gatt->espble_handle),
                           .server = server,
                           .app = app,
                           .sectors = gatt->sector_buf,
                           .window = gatt->window,
                           .restart_ms = options->restart_ms,
                       });
    make_espble_table(gatt);
    mount(gatt, (struct otter_gatt_mount){&gatt->espble_table, &espble_ops, gatt});
    return err;
}

static otter_err mount_gattota(struct device_gatt *gatt, struct otter_gatt_server server,
                               struct otter_gatt_app app)
{
    const struct device_options *options = gatt->device->options;

    otter_err err = otter_gattota_device_init(
        &gatt->gattota, &(struct otter_gattota_device_config){
                            .sink = device_sink(gatt->device, &gatt->gattota_handle),
                            .server = server,
                            .app = app,
                            .buf = gatt->packet_buf,
                            .buf_size = sizeof(gatt->packet_buf),
                            .field_uuid = (options->legacy & LEGACY_FIELD_UUID) != 0,
                            .restart_ms = options->restart_ms,
                        });
    mount(gatt, otter_gattota_device_mount(&gatt->gattota));
    return err;
}

static void gatt_restart(void *ctx)
{
    device_restart(((struct device_gatt *)ctx)->device);
}

/* CUSTOMER: the one thing this device understands there. It holds for one update. */
static void take_customer(void *ctx, uint16_t conn, const uint8_t *data, size_t len)
{
    struct device_gatt *gatt = ctx;

    if (otter_identity_asks_older(data, len) && gatt->device->update.state == OTTER_UPDATE_IDLE) {
        gatt->asked = conn;
        gatt->device->asked_by = gatt;
    }
}

bool device_gatt_asked(const struct device_gatt *gatt, const void *owner)
{
    return (owner == &gatt->espble_handle.session && gatt->espble.owner == gatt->asked) ||
           (owner == &gatt->gattota_handle.session && gatt->gattota.owner == gatt->asked);
}

otter_err device_gatt_init(struct device_gatt *gatt, struct device *device, uint8_t window,
                           struct otter_gatt_server carrier)
{
    struct otter_gatt_server server = {.send = gatt_send, .ctx = gatt};
    struct otter_gatt_app app = {.restart = gatt_restart, .customer = take_customer, .ctx = gatt};
    otter_err err = OTTER_OK;

    gatt->device = device;
    gatt->carrier = carrier;
    gatt->window = device->options->window != 0 ? device->options->window : window;
    gatt->count = 0;
    gatt->sectors = 0;
    gatt->leave_early = false;
    gatt->left_early = false;
    mount_info(gatt);
    if (device->options->espble) {
        err = mount_espble(gatt, server, app);
    }
    if (err == OTTER_OK && device->options->gattota) {
        err = mount_gattota(gatt, server, app);
    }
    return err;
}

uint32_t device_gatt_poll(struct device_gatt *gatt, uint32_t now_ms)
{
    uint32_t next = OTTER_GATT_NEVER;

    for (size_t i = 0; i < gatt->count; i++) {
        const struct otter_gatt_mount *m = &gatt->mounts[i];
        uint32_t wanted = m->ops->poll != NULL ? m->ops->poll(m->service, now_ms) : next;

        next = wanted < next ? wanted : next;
    }
    return next;
}

void device_gatt_disconnected(struct device_gatt *gatt, uint16_t conn)
{
    bool forgets = gatt->device->asked_by == gatt && gatt->asked == conn;

    for (size_t i = 0; i < gatt->count; i++) {
        const struct otter_gatt_mount *m = &gatt->mounts[i];

        if (m->ops->disconnected != NULL) {
            m->ops->disconnected(m->service, conn);
        }
    }
    if (forgets) {
        gatt->device->asked_by = NULL;
    }
}
