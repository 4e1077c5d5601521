/* SPDX-License-Identifier: Apache-2.0 */
#include "host/att_client.h"

#include <string.h>

#include "base/cursor.h"

enum step { IDLE, MTU, SERVICES, CHARACTERISTICS, DESCRIPTORS, READ, READ_MORE, WRITE };

#define ATTRIBUTE_NOT_LONG 0x0Bu

static void send(struct otter_att_client *client, const struct otter_att_pdu *pdu)
{
    uint8_t out[OTTER_GATT_MTU_MAX];
    size_t room = client->mtu < sizeof(out) ? client->mtu : sizeof(out);
    size_t len = otter_att_encode(pdu, out, room);

    if (len > 0) {
        client->ops->send(client->ctx, out, len);
    }
}

static void request(struct otter_att_client *client, enum step step,
                    const struct otter_att_pdu *pdu)
{
    client->step = (uint8_t)step;
    client->timed = false; /* poll() knows the time */
    send(client, pdu);
}

static void end(struct otter_att_client *client, otter_err err, uint8_t att)
{
    client->step = IDLE;
    client->profile = NULL;
    client->ops->done(client->ctx, err, att, client->value, client->len);
}

void otter_att_client_init(struct otter_att_client *client, const struct otter_att_client_ops *ops,
                           void *ctx)
{
    *client = (struct otter_att_client){.ops = ops, .ctx = ctx, .mtu = OTTER_GATT_MTU_MIN};
}

bool otter_att_client_busy(const struct otter_att_client *client)
{
    return client->step != IDLE;
}

/* ---- discovery: services, then the characteristics of each, then the CCCD of each ----------- */

static void ask_range(struct otter_att_client *client, enum step step, uint8_t opcode,
                      uint16_t start, uint16_t last, uint16_t type)
{
    client->handle = start;
    request(client, step,
            &(struct otter_att_pdu){
                .opcode = opcode, .handle = start, .end = last, .uuid = otter_att_uuid16(type)});
}

/* The next characteristic from client->index on that must have a CCCD and room for one. */
static void next_descriptor(struct otter_att_client *client)
{
    const struct otter_att_profile *p = client->profile;

    for (; client->index < p->count; client->index++) {
        const struct otter_att_place *place = &p->places[client->index];

        if ((p->found[client->index].props & (OTTER_GATT_NOTIFY | OTTER_GATT_INDICATE)) != 0 &&
            place->value < place->end) {
            ask_range(client, DESCRIPTORS, OTTER_ATT_FIND_INFO_REQ, (uint16_t)(place->value + 1),
                      place->end, 0);
            return;
        }
    }
    end(client, OTTER_OK, OTTER_ATT_OK);
}

/* Characteristics of the service client->index, from handle `start` on. */
static void next_characteristics(struct otter_att_client *client, uint32_t start)
{
    const struct otter_att_profile *p = client->profile;

    for (; client->index < p->service_count; client->index++) {
        const struct otter_att_range *service = &p->services[client->index];

        if (start == 0) {
            start = service->start;
        }
        if (start <= service->end && p->count < OTTER_ATT_FOUND_MAX) {
            ask_range(client, CHARACTERISTICS, OTTER_ATT_READ_BY_TYPE_REQ, (uint16_t)start,
                      service->end, OTTER_ATT_CHARACTERISTIC);
            return;
        }
        start = 0;
    }
    client->index = 0;
    next_descriptor(client);
}

static otter_err take_services(struct otter_att_client *client, const struct otter_att_pdu *pdu)
{
    struct otter_att_profile *p = client->profile;
    struct otter_reader r = otter_reader_on(pdu->value, pdu->len);
    uint32_t from = client->handle;

    if (pdu->format != 6 && pdu->format != 20) {
        return OTTER_ERR_PROTOCOL;
    }
    while (r.left >= pdu->format) {
        struct otter_att_range service = {.uuid.size = (uint8_t)(pdu->format - 4)};

        service.start = otter_read_u16(&r);
        service.end = otter_read_u16(&r);
        otter_read_bytes(&r, service.uuid.bytes, service.uuid.size);
        if (service.start < from || service.end < service.start) {
            return OTTER_ERR_PROTOCOL;
        }
        from = service.end + 1u;
        if (p->service_count < OTTER_ATT_SERVICES_MAX) {
            p->services[p->service_count++] = service;
        }
    }
    if (from == client->handle) {
        return OTTER_ERR_PROTOCOL; /* an empty list would be asked for without end */
    }
    if (from > UINT16_MAX || p->service_count == OTTER_ATT_SERVICES_MAX) {
        client->index = 0;
        next_characteristics(client, 0);
        return OTTER_OK;
    }
    ask_range(client, SERVICES, OTTER_ATT_READ_BY_GROUP_REQ, (uint16_t)from, UINT16_MAX,
              OTTER_ATT_PRIMARY_SERVICE);
    return OTTER_OK;
}

static otter_err take_characteristics(struct otter_att_client *client,
                                      const struct otter_att_pdu *pdu)
{
    struct otter_att_profile *p = client->profile;
    const struct otter_att_range *service = &p->services[client->index];
    struct otter_reader r = otter_reader_on(pdu->value, pdu->len);
    uint32_t from = client->handle;

    if (pdu->format != 7 && pdu->format != 21) {
        return OTTER_ERR_PROTOCOL;
    }
    while (r.left >= pdu->format) {
        struct otter_gatt_found found = {.service = service->uuid,
                                         .uuid.size = (uint8_t)(pdu->format - 5)};
        uint16_t declaration = otter_read_u16(&r);

        found.props = otter_read_u8(&r);
        uint16_t value = otter_read_u16(&r);
        otter_read_bytes(&r, found.uuid.bytes, found.uuid.size);
        if (declaration < from || value <= declaration || value > service->end) {
            return OTTER_ERR_PROTOCOL;
        }
        /* The one before ends where this one begins. */
        if (p->count > 0 && p->places[p->count - 1].value >= service->start) {
            p->places[p->count - 1].end = (uint16_t)(declaration - 1);
        }
        if (p->count < OTTER_ATT_FOUND_MAX) {
            p->places[p->count] = (struct otter_att_place){.value = value, .end = service->end};
            p->found[p->count++] = found;
        }
        from = value + 1u;
    }
    if (from == client->handle) {
        return OTTER_ERR_PROTOCOL;
    }
    next_characteristics(client, from);
    return OTTER_OK;
}

static otter_err take_descriptors(struct otter_att_client *client, const struct otter_att_pdu *pdu)
{
    struct otter_att_place *place = &client->profile->places[client->index];
    struct otter_gatt_uuid cccd = otter_att_uuid16(OTTER_ATT_CCCD);
    struct otter_reader r = otter_reader_on(pdu->value, pdu->len);
    uint8_t size = pdu->format == 1 ? 2 : 16;
    uint32_t from = client->handle;

    if (pdu->format != 1 && pdu->format != 2) {
        return OTTER_ERR_PROTOCOL;
    }
    while (r.left >= 2u + size) {
        uint16_t handle = otter_read_u16(&r);
        struct otter_gatt_uuid type = {.size = size};

        otter_read_bytes(&r, type.bytes, size);
        if (handle < from || handle > place->end) {
            return OTTER_ERR_PROTOCOL;
        }
        if (otter_gatt_uuid_equal(&type, &cccd)) {
            place->cccd = handle;
        }
        from = handle + 1u;
    }
    if (from == client->handle) {
        return OTTER_ERR_PROTOCOL;
    }
    if (place->cccd == 0 && from <= place->end) {
        ask_range(client, DESCRIPTORS, OTTER_ATT_FIND_INFO_REQ, (uint16_t)from, place->end, 0);
        return OTTER_OK;
    }
    client->index++;
    next_descriptor(client);
    return OTTER_OK;
}

/* "Attribute Not Found" is how each of the three lists ends. */
static bool list_ended(struct otter_att_client *client)
{
    switch (client->step) {
    case SERVICES:
        client->index = 0;
        next_characteristics(client, 0);
        return true;
    case CHARACTERISTICS:
        client->index++;
        next_characteristics(client, 0);
        return true;
    case DESCRIPTORS:
        client->index++;
        next_descriptor(client);
        return true;
    default:
        return false;
    }
}

/* ---- the other answers ----------------------------------------------------------------------- */

static otter_err take_mtu(struct otter_att_client *client, const struct otter_att_pdu *pdu)
{
    uint16_t mtu = pdu->mtu < client->wanted_mtu ? pdu->mtu : client->wanted_mtu;

    client->mtu = mtu > OTTER_GATT_MTU_MIN ? mtu : OTTER_GATT_MTU_MIN;
    end(client, OTTER_OK, OTTER_ATT_OK);
    return OTTER_OK;
}

static otter_err take_value(struct otter_att_client *client, const struct otter_att_pdu *pdu)
{
    size_t room = sizeof(client->value) - client->len;
    size_t len = pdu->len < room ? pdu->len : room;

    memcpy(client->value + client->len, pdu->value, len);
    client->len = (uint16_t)(client->len + len);
    if (pdu->len < client->mtu - 1u || client->len == sizeof(client->value)) {
        end(client, OTTER_OK, OTTER_ATT_OK);
        return OTTER_OK;
    }
    /* The answer was full: there may be more. */
    request(client, READ_MORE,
            &(struct otter_att_pdu){.opcode = OTTER_ATT_READ_BLOB_REQ,
                                    .handle = client->handle,
                                    .offset = client->len});
    return OTTER_OK;
}

static otter_err take_written(struct otter_att_client *client, const struct otter_att_pdu *pdu)
{
    (void)pdu;
    end(client, OTTER_OK, OTTER_ATT_OK);
    return OTTER_OK;
}

static const struct answer {
    uint8_t step;
    uint8_t request;
    otter_err (*take)(struct otter_att_client *client, const struct otter_att_pdu *pdu);
} answers[] = {
    {MTU, OTTER_ATT_MTU_REQ, take_mtu},
    {SERVICES, OTTER_ATT_READ_BY_GROUP_REQ, take_services},
    {CHARACTERISTICS, OTTER_ATT_READ_BY_TYPE_REQ, take_characteristics},
    {DESCRIPTORS, OTTER_ATT_FIND_INFO_REQ, take_descriptors},
    {READ, OTTER_ATT_READ_REQ, take_value},
    {READ_MORE, OTTER_ATT_READ_BLOB_REQ, take_value},
    {WRITE, OTTER_ATT_WRITE_REQ, take_written},
};

static void take_error(struct otter_att_client *client, const struct otter_att_pdu *pdu)
{
    if (pdu->error == OTTER_ATT_ATTRIBUTE_NOT_FOUND && list_ended(client)) {
        return;
    }
    bool whole = client->step == READ_MORE &&
                 (pdu->error == OTTER_ATT_INVALID_OFFSET || pdu->error == ATTRIBUTE_NOT_LONG);
    /* A device may know no MTU exchange: then the default holds. */
    bool no_mtu = client->step == MTU && pdu->error == OTTER_ATT_REQUEST_NOT_SUPPORTED;
    if (whole || no_mtu) {
        end(client, OTTER_OK, OTTER_ATT_OK);
    } else {
        end(client, OTTER_ERR_REFUSED, pdu->error);
    }
}

static void take_answer(struct otter_att_client *client, const struct otter_att_pdu *pdu,
                        otter_err decoded)
{
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        const struct answer *answer = &answers[i];

        if (answer->step != client->step) {
            continue;
        }
        if (decoded == OTTER_OK && pdu->opcode == OTTER_ATT_ERROR_RSP) {
            if (pdu->request == answer->request) {
                take_error(client, pdu);
            }
        } else if (pdu->opcode == answer->request + 1) {
            otter_err err = decoded == OTTER_OK ? answer->take(client, pdu) : OTTER_ERR_PROTOCOL;

            if (err != OTTER_OK) {
                end(client, err, OTTER_ATT_OK);
            }
        }
        return;
    }
}

void otter_att_client_feed(struct otter_att_client *client, const uint8_t *data, size_t len)
{
    struct otter_att_pdu pdu;
    otter_err err = otter_att_decode(&pdu, data, len);

    if (err == OTTER_ERR_EMPTY || client->dead) {
        return;
    }
    if (pdu.opcode == OTTER_ATT_NOTIFICATION || pdu.opcode == OTTER_ATT_INDICATION) {
        if (pdu.opcode == OTTER_ATT_INDICATION) {
            send(client, &(struct otter_att_pdu){.opcode = OTTER_ATT_CONFIRMATION});
        }
        if (err == OTTER_OK) {
            client->ops->received(client->ctx, pdu.handle, pdu.value, pdu.len);
        }
        return;
    }
    bool command = (pdu.opcode & OTTER_ATT_COMMAND_FLAG) != 0;
    if ((pdu.opcode & 1) == 0 && !command && pdu.opcode != OTTER_ATT_CONFIRMATION) {
        /* The device asks us something: there is no server here. */
        send(client, &(struct otter_att_pdu){.opcode = OTTER_ATT_ERROR_RSP,
                                             .request = pdu.opcode,
                                             .error = OTTER_ATT_REQUEST_NOT_SUPPORTED});
        return;
    }
    take_answer(client, &pdu, err);
}

void otter_att_client_lost(struct otter_att_client *client)
{
    client->dead = true;
    if (client->step != IDLE) {
        end(client, OTTER_ERR_LINK, OTTER_ATT_OK);
    }
}

uint32_t otter_att_client_poll(struct otter_att_client *client, uint32_t now_ms)
{
    if (client->step == IDLE) {
        return OTTER_GATT_NEVER;
    }
    if (!client->timed) {
        client->timed = true;
        client->deadline_ms = now_ms + OTTER_ATT_TIMEOUT_MS;
    }
    int32_t left = (int32_t)(client->deadline_ms - now_ms);
    if (left > 0) {
        return (uint32_t)left;
    }
    client->dead = true; /* Part F 3.3.3: no more requests on this bearer */
    end(client, OTTER_ERR_TIMEOUT, OTTER_ATT_OK);
    return OTTER_GATT_NEVER;
}

/* ---- requests -------------------------------------------------------------------------------- */

static otter_err ready(const struct otter_att_client *client)
{
    if (client->dead) {
        return OTTER_ERR_LINK;
    }
    return client->step == IDLE ? OTTER_OK : OTTER_ERR_BUSY;
}

otter_err otter_att_client_exchange_mtu(struct otter_att_client *client, uint16_t mtu)
{
    otter_err err = ready(client);

    if (err == OTTER_OK) {
        client->wanted_mtu = mtu;
        client->len = 0;
        request(client, MTU, &(struct otter_att_pdu){.opcode = OTTER_ATT_MTU_REQ, .mtu = mtu});
    }
    return err;
}

otter_err otter_att_client_discover(struct otter_att_client *client,
                                    struct otter_att_profile *profile)
{
    otter_err err = ready(client);

    if (err == OTTER_OK) {
        *profile = (struct otter_att_profile){0};
        client->profile = profile;
        client->len = 0;
        ask_range(client, SERVICES, OTTER_ATT_READ_BY_GROUP_REQ, 1, UINT16_MAX,
                  OTTER_ATT_PRIMARY_SERVICE);
    }
    return err;
}

otter_err otter_att_client_read(struct otter_att_client *client, uint16_t handle)
{
    otter_err err = ready(client);

    if (err == OTTER_OK) {
        client->handle = handle;
        client->len = 0;
        request(client, READ,
                &(struct otter_att_pdu){.opcode = OTTER_ATT_READ_REQ, .handle = handle});
    }
    return err;
}

otter_err otter_att_client_write(struct otter_att_client *client, uint16_t handle,
                                 const uint8_t *data, size_t len)
{
    otter_err err = ready(client);

    if (err == OTTER_OK && len > client->mtu - 3u) {
        err = OTTER_ERR_LENGTH;
    }
    if (err == OTTER_OK) {
        client->len = 0;
        request(client, WRITE,
                &(struct otter_att_pdu){
                    .opcode = OTTER_ATT_WRITE_REQ, .handle = handle, .value = data, .len = len});
    }
    return err;
}

otter_err otter_att_client_command(struct otter_att_client *client, uint16_t handle,
                                   const uint8_t *data, size_t len)
{
    if (client->dead) {
        return OTTER_ERR_LINK;
    }
    if (len > client->mtu - 3u) {
        return OTTER_ERR_LENGTH;
    }
    send(client, &(struct otter_att_pdu){
                     .opcode = OTTER_ATT_WRITE_CMD, .handle = handle, .value = data, .len = len});
    return OTTER_OK;
}
