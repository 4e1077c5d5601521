/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of the protocols as NimBLE wants them, and the Device Information service. */
#include <string.h>

#include <esp_chip_info.h>
#include <esp_log.h>
#include <esp_mac.h>
#include <sdkconfig.h>

#include "otter/identity.h"
#include "otter/image.h"

#include "ble.h"
#include "internal.h"

#define SERVICES (BLE_MOUNTS + 1) /* and Device Information */

/* The security levels of menuconfig. NimBLE leaves the CCCD open; what is notified through it is
 * of no use without the writes. */
#if CONFIG_OTTER_BLE_SECURITY_OPEN
#define NEED_TO_READ 0
#define NEED_TO_WRITE 0
#elif CONFIG_OTTER_BLE_SECURITY_ENCRYPTED
#define NEED_TO_READ BLE_GATT_CHR_F_READ_ENC
#define NEED_TO_WRITE BLE_GATT_CHR_F_WRITE_ENC
#else
#define NEED_TO_READ (BLE_GATT_CHR_F_READ_ENC | BLE_GATT_CHR_F_READ_AUTHEN)
#define NEED_TO_WRITE (BLE_GATT_CHR_F_WRITE_ENC | BLE_GATT_CHR_F_WRITE_AUTHEN)
#endif

static const char TAG[] = "otter_ble";

/* ---- Device Information ---------------------------------------------------------------------- */

static const ble_uuid16_t information = BLE_UUID16_INIT(0x180A);
static const ble_uuid16_t manufacturer = BLE_UUID16_INIT(0x2A29);
static const ble_uuid16_t model = BLE_UUID16_INIT(0x2A24);
static const ble_uuid16_t serial = BLE_UUID16_INIT(0x2A25);
static const ble_uuid16_t firmware = BLE_UUID16_INIT(0x2A26);
static const ble_uuid16_t hardware = BLE_UUID16_INIT(0x2A27);
static const ble_uuid16_t software = BLE_UUID16_INIT(0x2A28);

static int put_identity(struct os_mbuf *om, const struct otter_idf_report *report)
{
    uint8_t text[OTTER_IDENTITY_SIZE];
    struct otter_identity identity = {
        .state = report->pending               ? OTTER_IDENTITY_PENDING
                 : report->rejected[0] != '\0' ? OTTER_IDENTITY_ROLLED_BACK
                                               : OTTER_IDENTITY_CONFIRMED,
        .wants_signature = OTTER_SIGNATURES,
        .wants_encryption = OTTER_ENCRYPTED_ONLY,
        .decrypts = OTTER_ENCRYPTION,
        .older = OTTER_OLDER,
    };

    memcpy(identity.image, report->image, sizeof(identity.image));
    strlcpy(identity.project, report->project, sizeof(identity.project));
    size_t len = otter_identity_write(&identity, text, sizeof(text));
    return os_mbuf_append(om, text, (uint16_t)len);
}

static int put_serial(struct os_mbuf *om)
{
    uint8_t mac[6];
    char text[13];

    if (esp_efuse_mac_get_default(mac) != ESP_OK) {
        return BLE_HS_EUNKNOWN;
    }
    snprintf(text, sizeof(text), "%02X%02X%02X%02X%02X%02X", mac[0], mac[1], mac[2], mac[3], mac[4],
             mac[5]);
    return os_mbuf_append(om, text, (uint16_t)strlen(text));
}

static int put_hardware(struct os_mbuf *om)
{
    esp_chip_info_t chip;
    char text[16];

    esp_chip_info(&chip);
    snprintf(text, sizeof(text), "v%u.%u", chip.revision / 100u, chip.revision % 100u);
    return os_mbuf_append(om, text, (uint16_t)strlen(text));
}

static int on_information(uint16_t conn, uint16_t handle, struct ble_gatt_access_ctxt *ctxt,
                          void *arg)
{
    const struct otter_chip *chip = otter_chip_find(CONFIG_IDF_FIRMWARE_CHIP_ID);
    const char *text = CONFIG_OTTER_BLE_MANUFACTURER;
    struct otter_idf_report report;
    int rc;

    if (otter_idf_report(&report) != ESP_OK) {
        return BLE_ATT_ERR_UNLIKELY;
    }
    switch (ble_uuid_u16(ctxt->chr->uuid)) {
    case 0x2A28:
        rc = put_identity(ctxt->om, &report);
        break;
    case 0x2A25:
        rc = put_serial(ctxt->om);
        break;
    case 0x2A27:
        rc = put_hardware(ctxt->om);
        break;
    case 0x2A24:
        text = chip != NULL ? chip->name : CONFIG_IDF_TARGET;
        rc = os_mbuf_append(ctxt->om, text, (uint16_t)strlen(text));
        break;
    case 0x2A26:
        rc = os_mbuf_append(ctxt->om, report.version, (uint16_t)strlen(report.version));
        break;
    default:
        rc = os_mbuf_append(ctxt->om, text, (uint16_t)strlen(text));
        break;
    }
    return rc == 0 ? 0 : BLE_ATT_ERR_INSUFFICIENT_RES;
}

#define READABLE(of)                                                                               \
    {                                                                                              \
        .uuid = &(of).u, .access_cb = on_information, .flags = BLE_GATT_CHR_F_READ                 \
    }
static const struct ble_gatt_chr_def information_chars[] = {
    READABLE(manufacturer),
    READABLE(model),
    READABLE(serial),
    READABLE(firmware),
    READABLE(hardware),
    READABLE(software),
    {0},
};

/* ---- the services for updates ---------------------------------------------------------------- */

static struct {
    struct ble_gatt_svc_def service[SERVICES + 1];
    struct ble_gatt_chr_def chars[BLE_MOUNTS][OTTER_GATT_QUEUE_CHARS + 1];
    ble_uuid_any_t service_uuid[BLE_MOUNTS];
    ble_uuid_any_t uuid[BLE_MOUNTS][OTTER_GATT_QUEUE_CHARS];
    struct ble_place place[BLE_MOUNTS][OTTER_GATT_QUEUE_CHARS];
} table;

static int on_access(uint16_t conn, uint16_t handle, struct ble_gatt_access_ctxt *ctxt, void *arg)
{
    const struct ble_place *place = arg;
    int refused = otter_idf_ble_link_refuses(conn);

    if (refused != 0) {
        return refused;
    }
    switch (ctxt->op) {
    case BLE_GATT_ACCESS_OP_READ_CHR:
        return otter_idf_ble_give(place, ctxt->om);
    case BLE_GATT_ACCESS_OP_WRITE_CHR:
        return otter_idf_ble_take(conn, place, ctxt->om);
    default:
        return BLE_ATT_ERR_REQ_NOT_SUPPORTED;
    }
}

/* Our properties have the bits of the specification, and so have NimBLE's flags. */
_Static_assert(OTTER_GATT_READ == BLE_GATT_CHR_F_READ && OTTER_GATT_WRITE == BLE_GATT_CHR_F_WRITE &&
                   OTTER_GATT_WRITE_COMMAND == BLE_GATT_CHR_F_WRITE_NO_RSP &&
                   OTTER_GATT_NOTIFY == BLE_GATT_CHR_F_NOTIFY &&
                   OTTER_GATT_INDICATE == BLE_GATT_CHR_F_INDICATE,
               "the bits differ");
static ble_gatt_chr_flags flags_of(uint8_t props)
{
    ble_gatt_chr_flags flags = props;

    flags |= props & OTTER_GATT_READ ? NEED_TO_READ : 0;
    flags |= props & (OTTER_GATT_WRITE | OTTER_GATT_WRITE_COMMAND) ? NEED_TO_WRITE : 0;
    return flags;
}

static void set_uuid(ble_uuid_any_t *out, const struct otter_gatt_uuid *uuid)
{
    int rc = ble_uuid_init_from_buf(out, uuid->bytes, uuid->size);

    if (rc != 0) {
        ESP_LOGE(TAG, "UUID of %u bytes: %d", uuid->size, rc);
    }
}

static void translate(uint8_t mount, const struct otter_gatt_service *from)
{
    struct ble_gatt_svc_def *service = &table.service[mount];

    set_uuid(&table.service_uuid[mount], &from->uuid);
    service->type = BLE_GATT_SVC_TYPE_PRIMARY;
    service->uuid = &table.service_uuid[mount].u;
    service->characteristics = table.chars[mount];
    for (uint8_t i = 0; i < from->count && i < OTTER_GATT_QUEUE_CHARS; i++) {
        struct ble_place *place = &table.place[mount][i];
        place->mount = mount;
        place->id = from->chars[i].id;
        set_uuid(&table.uuid[mount][i], &from->chars[i].uuid);
        table.chars[mount][i] = (struct ble_gatt_chr_def){
            .uuid = &table.uuid[mount][i].u,
            .access_cb = on_access,
            .arg = place,
            .flags = flags_of(from->chars[i].props),
            .val_handle = &place->handle,
        };
    }
}

const struct ble_gatt_svc_def *otter_idf_ble_table(const struct otter_gatt_mount *mounts,
                                                   uint8_t count)
{
    for (uint8_t i = 0; i < count; i++) {
        translate(i, mounts[i].table);
    }
    if (OTTER_BLE_DIS) {
        table.service[count] = (struct ble_gatt_svc_def){
            .type = BLE_GATT_SVC_TYPE_PRIMARY,
            .uuid = &information.u,
            .characteristics = information_chars,
        };
    }
    return table.service; /* ends with zeros */
}

struct ble_place *otter_idf_ble_place(uint8_t mount, uint8_t id)
{
    return &table.place[mount][id]; /* ids are indices */
}

const struct ble_place *otter_idf_ble_find(uint16_t handle)
{
    for (int m = 0; m < BLE_MOUNTS; m++) {
        for (unsigned i = 0; i < OTTER_GATT_QUEUE_CHARS; i++) {
            if (handle != 0 && table.place[m][i].handle == handle) {
                return &table.place[m][i];
            }
        }
    }
    return NULL;
}
