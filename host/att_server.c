/* SPDX-License-Identifier: Apache-2.0 */
#include "host/att_server.h"

#include <string.h>

#include "base/cursor.h"

enum kind { SERVICE, DECLARATION, VALUE, CCCD };

#define NO_CCCD OTTER_ATT_CCCDS_MAX

static otter_err add(struct otter_att_db *db, struct otter_att_attribute attribute)
{
    if (db->count == OTTER_ATT_ATTRIBUTES_MAX) {
        return OTTER_ERR_BOUNDS;
    }
    db->attributes[db->count++] = attribute;
    return OTTER_OK;
}

static otter_err add_characteristic(struct otter_att_db *db, const struct otter_gatt_mount *mount,
                                    const struct otter_gatt_char *chr)
{
    struct otter_att_attribute attribute = {
        .kind = DECLARATION, .cccd = NO_CCCD, .mount = mount, .chr = chr};
    bool has_cccd = (chr->props & (OTTER_GATT_NOTIFY | OTTER_GATT_INDICATE)) != 0;

    otter_err err = add(db, attribute);
    if (has_cccd) {
        if (db->cccds == OTTER_ATT_CCCDS_MAX) {
            return OTTER_ERR_BOUNDS;
        }
        attribute.cccd = db->cccds++;
    }
    attribute.kind = VALUE;
    if (err == OTTER_OK) {
        err = add(db, attribute);
    }
    if (err == OTTER_OK && has_cccd) {
        attribute.kind = CCCD;
        err = add(db, attribute);
    }
    return err;
}

otter_err otter_att_db_build(struct otter_att_db *db, const struct otter_gatt_mount *mounts,
                             size_t count)
{
    *db = (struct otter_att_db){0};
    for (size_t i = 0; i < count; i++) {
        const struct otter_gatt_service *table = mounts[i].table;
        uint16_t at = db->count;
        otter_err err = add(db, (struct otter_att_attribute){
                                    .kind = SERVICE, .cccd = NO_CCCD, .mount = &mounts[i]});

        for (size_t k = 0; err == OTTER_OK && k < table->count; k++) {
            err = add_characteristic(db, &mounts[i], &table->chars[k]);
        }
        if (err != OTTER_OK) {
            return err;
        }
        db->attributes[at].end = db->count;
    }
    return OTTER_OK;
}

void otter_att_server_init(struct otter_att_server *server, const struct otter_att_db *db,
                           const struct otter_att_server_ops *ops, void *ctx, uint16_t conn,
                           uint16_t max_mtu)
{
    *server = (struct otter_att_server){.db = db,
                                        .ops = ops,
                                        .ctx = ctx,
                                        .conn = conn,
                                        .max_mtu = max_mtu,
                                        .mtu = OTTER_GATT_MTU_MIN};
}

static void send(struct otter_att_server *server, const struct otter_att_pdu *pdu)
{
    uint8_t out[OTTER_GATT_MTU_MAX];
    size_t len = otter_att_encode(pdu, out, server->mtu);

    if (len > 0) {
        server->ops->send(server->ctx, out, len);
    }
}

static void refuse(struct otter_att_server *server, uint8_t request, uint16_t handle,
                   enum otter_att error)
{
    send(server, &(struct otter_att_pdu){.opcode = OTTER_ATT_ERROR_RSP,
                                         .request = request,
                                         .handle = handle,
                                         .error = (uint8_t)error});
}

static const struct otter_att_attribute *at(const struct otter_att_server *server, uint16_t handle)
{
    return handle >= 1 && handle <= server->db->count ? &server->db->attributes[handle - 1] : NULL;
}

static struct otter_gatt_uuid type_of(const struct otter_att_attribute *a)
{
    switch (a->kind) {
    case SERVICE:
        return otter_att_uuid16(OTTER_ATT_PRIMARY_SERVICE);
    case DECLARATION:
        return otter_att_uuid16(OTTER_ATT_CHARACTERISTIC);
    case CCCD:
        return otter_att_uuid16(OTTER_ATT_CCCD);
    default:
        return a->chr->uuid;
    }
}

/* The whole value of an attribute into buf (OTTER_GATT_VALUE_MAX bytes). */
static enum otter_att read_attribute(struct otter_att_server *server, uint16_t handle, uint8_t *buf,
                                     size_t *len)
{
    const struct otter_att_attribute *a = at(server, handle);
    struct otter_writer w = otter_writer_on(buf, OTTER_GATT_VALUE_MAX);

    switch (a->kind) {
    case SERVICE:
        otter_write_bytes(&w, a->mount->table->uuid.bytes, a->mount->table->uuid.size);
        break;
    case DECLARATION:
        otter_write_u8(&w, a->chr->props);
        otter_write_u16(&w, (uint16_t)(handle + 1));
        otter_write_bytes(&w, a->chr->uuid.bytes, a->chr->uuid.size);
        break;
    case CCCD:
        otter_write_u16(&w, server->cccd[a->cccd]);
        break;
    default:
        if ((a->chr->props & OTTER_GATT_READ) == 0) {
            return OTTER_ATT_READ_NOT_PERMITTED;
        }
        *len = a->mount->ops->read(a->mount->service, a->chr->id, buf, OTTER_GATT_VALUE_MAX);
        return OTTER_ATT_OK;
    }
    *len = OTTER_GATT_VALUE_MAX - w.left;
    return OTTER_ATT_OK;
}

static void mtu_request(struct otter_att_server *server, const struct otter_att_pdu *pdu)
{
    uint16_t mtu = pdu->mtu < server->max_mtu ? pdu->mtu : server->max_mtu;

    send(server, &(struct otter_att_pdu){.opcode = OTTER_ATT_MTU_RSP, .mtu = server->max_mtu});
    server->mtu = mtu > OTTER_GATT_MTU_MIN ? mtu : OTTER_GATT_MTU_MIN;
}

/* A list of items of one size, as far as they fit into the MTU. */
struct list {
    uint8_t items[OTTER_GATT_MTU_MAX];
    struct otter_writer w;
    size_t item; /* bytes of an item; 0: none yet */
};

/* overhead: bytes of the response before its list. */
static struct list *list_start(struct list *list, const struct otter_att_server *server,
                               size_t overhead)
{
    list->w = otter_writer_on(list->items, server->mtu - overhead);
    list->item = 0;
    return list;
}

/* False: it does not fit, the list is done. */
static bool list_add(struct list *list, uint16_t handle, const void *data, size_t len)
{
    if (list->item == 0) {
        /* One item may be cut to the MTU, and its size is told in one byte. */
        size_t most = list->w.left < 255 ? list->w.left : 255;
        len = len + 2 > most ? most - 2 : len;
        list->item = len + 2;
    }
    if (len + 2 != list->item || list->w.left < list->item) {
        return false;
    }
    otter_write_u16(&list->w, handle);
    otter_write_bytes(&list->w, data, len);
    return true;
}

static void list_answer(struct otter_att_server *server, const struct otter_att_pdu *request,
                        const struct list *list, uint8_t opcode, uint8_t format)
{
    size_t len = (size_t)(list->w.next - list->items);

    if (len == 0) {
        refuse(server, request->opcode, request->handle, OTTER_ATT_ATTRIBUTE_NOT_FOUND);
        return;
    }
    send(server, &(struct otter_att_pdu){
                     .opcode = opcode, .format = format, .value = list->items, .len = len});
}

static void find_information(struct otter_att_server *server, const struct otter_att_pdu *pdu)
{
    struct list list;

    list_start(&list, server, 2);
    for (uint16_t h = pdu->handle; h <= pdu->end && h <= server->db->count; h++) {
        struct otter_gatt_uuid type = type_of(at(server, h));

        if (!list_add(&list, h, type.bytes, type.size)) {
            break;
        }
    }
    list_answer(server, pdu, &list, OTTER_ATT_FIND_INFO_RSP, list.item == 4 ? 1 : 2);
}

static void find_by_type_value(struct otter_att_server *server, const struct otter_att_pdu *pdu)
{
    struct otter_gatt_uuid primary = otter_att_uuid16(OTTER_ATT_PRIMARY_SERVICE);
    struct otter_gatt_uuid wanted = {.size =
                                         pdu->len == 2 || pdu->len == 16 ? (uint8_t)pdu->len : 0};
    struct list list;

    memcpy(wanted.bytes, pdu->value, wanted.size);
    list_start(&list, server, 1);
    for (uint16_t h = pdu->handle; h <= pdu->end && h <= server->db->count; h++) {
        const struct otter_att_attribute *a = at(server, h);
        uint8_t end[2] = {(uint8_t)a->end, (uint8_t)(a->end >> 8)};

        if (wanted.size != 0 && otter_gatt_uuid_equal(&pdu->uuid, &primary) && a->kind == SERVICE &&
            otter_gatt_uuid_equal(&a->mount->table->uuid, &wanted) && !list_add(&list, h, end, 2)) {
            break;
        }
    }
    list_answer(server, pdu, &list, OTTER_ATT_FIND_BY_TYPE_VALUE_RSP, 0);
}

static void read_by_type(struct otter_att_server *server, const struct otter_att_pdu *pdu)
{
    uint8_t value[OTTER_GATT_VALUE_MAX];
    struct list list;

    list_start(&list, server, 2);
    for (uint16_t h = pdu->handle; h <= pdu->end && h <= server->db->count; h++) {
        struct otter_gatt_uuid type = type_of(at(server, h));
        size_t len = 0;

        if (!otter_gatt_uuid_equal(&type, &pdu->uuid)) {
            continue;
        }
        enum otter_att error = read_attribute(server, h, value, &len);
        if (error != OTTER_ATT_OK && list.item == 0) {
            refuse(server, pdu->opcode, h, error);
            return;
        }
        if (error != OTTER_ATT_OK || !list_add(&list, h, value, len)) {
            break;
        }
    }
    list_answer(server, pdu, &list, OTTER_ATT_READ_BY_TYPE_RSP, (uint8_t)list.item);
}

static void read_by_group(struct otter_att_server *server, const struct otter_att_pdu *pdu)
{
    struct otter_gatt_uuid primary = otter_att_uuid16(OTTER_ATT_PRIMARY_SERVICE);
    struct list list;

    if (!otter_gatt_uuid_equal(&pdu->uuid, &primary)) {
        refuse(server, pdu->opcode, pdu->handle, OTTER_ATT_UNSUPPORTED_GROUP);
        return;
    }
    list_start(&list, server, 2);
    for (uint16_t h = pdu->handle; h <= pdu->end && h <= server->db->count; h++) {
        const struct otter_att_attribute *a = at(server, h);
        uint8_t item[18] = {(uint8_t)a->end, (uint8_t)(a->end >> 8)};

        if (a->kind != SERVICE) {
            continue;
        }
        memcpy(item + 2, a->mount->table->uuid.bytes, a->mount->table->uuid.size);
        if (!list_add(&list, h, item, 2u + a->mount->table->uuid.size)) {
            break;
        }
    }
    list_answer(server, pdu, &list, OTTER_ATT_READ_BY_GROUP_RSP, (uint8_t)list.item);
}

static void read_value(struct otter_att_server *server, const struct otter_att_pdu *pdu)
{
    uint8_t value[OTTER_GATT_VALUE_MAX];
    size_t len = 0;
    enum otter_att error = OTTER_ATT_INVALID_HANDLE;

    if (at(server, pdu->handle) != NULL) {
        error = read_attribute(server, pdu->handle, value, &len);
    }
    if (error == OTTER_ATT_OK && pdu->offset > len) {
        error = OTTER_ATT_INVALID_OFFSET;
    }
    if (error != OTTER_ATT_OK) {
        refuse(server, pdu->opcode, pdu->handle, error);
        return;
    }
    len -= pdu->offset;
    send(server, &(struct otter_att_pdu){.opcode = (uint8_t)(pdu->opcode + 1),
                                         .value = value + pdu->offset,
                                         .len = len < server->mtu - 1u ? len : server->mtu - 1u});
}

static enum otter_att write_cccd(struct otter_att_server *server,
                                 const struct otter_att_attribute *a,
                                 const struct otter_att_pdu *pdu)
{
    if (pdu->len != 2) {
        return OTTER_ATT_INVALID_LENGTH;
    }
    uint16_t value = (uint16_t)(pdu->value[0] | pdu->value[1] << 8);
    server->cccd[a->cccd] = value & (OTTER_GATT_CCCD_NOTIFY | OTTER_GATT_CCCD_INDICATE);
    return OTTER_ATT_OK;
}

static enum otter_att write_attribute(struct otter_att_server *server,
                                      const struct otter_att_pdu *pdu)
{
    const struct otter_att_attribute *a = at(server, pdu->handle);
    bool with_response = pdu->opcode == OTTER_ATT_WRITE_REQ;

    if (a == NULL) {
        return OTTER_ATT_INVALID_HANDLE;
    }
    if (a->kind == CCCD) {
        return write_cccd(server, a, pdu);
    }
    uint8_t needed = with_response ? OTTER_GATT_WRITE : OTTER_GATT_WRITE_COMMAND;
    if (a->kind != VALUE || (a->chr->props & needed) == 0) {
        return OTTER_ATT_WRITE_NOT_PERMITTED;
    }
    if (pdu->len > OTTER_GATT_WRITE_MAX) {
        return OTTER_ATT_INVALID_LENGTH;
    }
    return a->mount->ops->write(a->mount->service, server->conn, a->chr->id, pdu->value, pdu->len);
}

static otter_err write_value(struct otter_att_server *server, const struct otter_att_pdu *pdu)
{
    enum otter_att answer = write_attribute(server, pdu);

    if (answer == OTTER_ATT_HOLD) {
        return OTTER_ERR_AGAIN;
    }
    if (pdu->opcode != OTTER_ATT_WRITE_REQ) {
        return OTTER_OK; /* a command's error has nowhere to go */
    }
    if (answer != OTTER_ATT_OK) {
        refuse(server, pdu->opcode, pdu->handle, answer);
    } else {
        send(server, &(struct otter_att_pdu){.opcode = OTTER_ATT_WRITE_RSP});
    }
    return OTTER_OK;
}

static const struct request {
    uint8_t opcode;
    bool range; /* handle..end is checked first */
    void (*answer)(struct otter_att_server *server, const struct otter_att_pdu *pdu);
} requests[] = {
    {OTTER_ATT_MTU_REQ, false, mtu_request},
    {OTTER_ATT_FIND_INFO_REQ, true, find_information},
    {OTTER_ATT_FIND_BY_TYPE_VALUE_REQ, true, find_by_type_value},
    {OTTER_ATT_READ_BY_TYPE_REQ, true, read_by_type},
    {OTTER_ATT_READ_BY_GROUP_REQ, true, read_by_group},
    {OTTER_ATT_READ_REQ, false, read_value},
    {OTTER_ATT_READ_BLOB_REQ, false, read_value},
};

/* What is only ever sent by a server: no answer exists, the client is confused. */
static bool from_server(uint8_t opcode)
{
    switch (opcode) {
    case OTTER_ATT_NOTIFICATION:
    case OTTER_ATT_INDICATION:
        return true;
    default:
        return opcode <= OTTER_ATT_EXECUTE_WRITE_RSP && (opcode & 1) != 0;
    }
}

otter_err otter_att_server_feed(struct otter_att_server *server, const uint8_t *data, size_t len)
{
    struct otter_att_pdu pdu;
    otter_err err = otter_att_decode(&pdu, data, len);

    if (err == OTTER_ERR_EMPTY || from_server(pdu.opcode)) {
        return OTTER_OK;
    }
    if (err == OTTER_OK && pdu.opcode == OTTER_ATT_CONFIRMATION) {
        if (server->indicating) {
            server->indicating = false;
            if (server->ops->confirmed != NULL) {
                server->ops->confirmed(server->ctx);
            }
        }
        return OTTER_OK;
    }
    bool command = (pdu.opcode & OTTER_ATT_COMMAND_FLAG) != 0;
    if (err == OTTER_ERR_LENGTH || len > server->mtu) {
        if (!command) {
            refuse(server, pdu.opcode, 0, OTTER_ATT_INVALID_PDU);
        }
        return OTTER_OK;
    }
    if (pdu.opcode == OTTER_ATT_WRITE_REQ || pdu.opcode == OTTER_ATT_WRITE_CMD) {
        return write_value(server, &pdu);
    }
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        if (requests[i].opcode != pdu.opcode) {
            continue;
        }
        if (requests[i].range && (pdu.handle == 0 || pdu.handle > pdu.end)) {
            refuse(server, pdu.opcode, pdu.handle, OTTER_ATT_INVALID_HANDLE);
        } else {
            requests[i].answer(server, &pdu);
        }
        return OTTER_OK;
    }
    /* Prepared writes among them: values here are never longer than one PDU. */
    if (!command) {
        refuse(server, pdu.opcode, 0, OTTER_ATT_REQUEST_NOT_SUPPORTED);
    }
    return OTTER_OK;
}

/* The value attribute's handle of a characteristic that has a CCCD, or 0. By its UUID: a service
 * may be mounted with a table that differs from its own in properties. */
static uint16_t notifying_handle(const struct otter_att_server *server,
                                 const struct otter_gatt_char *chr)
{
    for (uint16_t h = 1; h <= server->db->count; h++) {
        const struct otter_att_attribute *a = at(server, h);

        if (a->kind == VALUE && a->cccd != NO_CCCD &&
            otter_gatt_uuid_equal(&a->chr->uuid, &chr->uuid)) {
            return h;
        }
    }
    return 0;
}

otter_err otter_att_server_notify(struct otter_att_server *server,
                                  const struct otter_gatt_char *chr, const uint8_t *data,
                                  size_t len)
{
    uint16_t handle = notifying_handle(server, chr);

    if (handle == 0) {
        return OTTER_ERR_ARG;
    }
    uint16_t cccd = server->cccd[at(server, handle)->cccd];
    bool indicate = (cccd & OTTER_GATT_CCCD_NOTIFY) == 0 && !server->always_notify;
    if (cccd == OTTER_GATT_CCCD_NONE && !server->always_notify) {
        return OTTER_OK;
    }
    if (indicate && server->indicating) {
        return OTTER_ERR_AGAIN;
    }
    server->indicating = server->indicating || indicate;
    send(server,
         &(struct otter_att_pdu){.opcode = indicate ? OTTER_ATT_INDICATION : OTTER_ATT_NOTIFICATION,
                                 .handle = handle,
                                 .value = data,
                                 .len = len < server->mtu - 3u ? len : server->mtu - 3u});
    return OTTER_OK;
}
