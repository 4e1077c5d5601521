/* SPDX-License-Identifier: Apache-2.0 */
#include "host/att.h"

#include "base/cursor.h"

/* Parameters of an opcode, a letter each, in wire order:
 *   H handle   E end handle   O offset   M mtu   Q request opcode   X error   F format octet
 *   T 16-bit type   U type of 2 or 16 bytes, the rest   V value, the rest */
static const struct layout {
    uint8_t opcode;
    const char *fields;
} layouts[] = {
    {OTTER_ATT_ERROR_RSP, "QHX"},
    {OTTER_ATT_MTU_REQ, "M"},
    {OTTER_ATT_MTU_RSP, "M"},
    {OTTER_ATT_FIND_INFO_REQ, "HE"},
    {OTTER_ATT_FIND_INFO_RSP, "FV"},
    {OTTER_ATT_FIND_BY_TYPE_VALUE_REQ, "HETV"},
    {OTTER_ATT_FIND_BY_TYPE_VALUE_RSP, "V"},
    {OTTER_ATT_READ_BY_TYPE_REQ, "HEU"},
    {OTTER_ATT_READ_BY_TYPE_RSP, "FV"},
    {OTTER_ATT_READ_REQ, "H"},
    {OTTER_ATT_READ_RSP, "V"},
    {OTTER_ATT_READ_BLOB_REQ, "HO"},
    {OTTER_ATT_READ_BLOB_RSP, "V"},
    {OTTER_ATT_READ_BY_GROUP_REQ, "HEU"},
    {OTTER_ATT_READ_BY_GROUP_RSP, "FV"},
    {OTTER_ATT_WRITE_REQ, "HV"},
    {OTTER_ATT_WRITE_RSP, ""},
    {OTTER_ATT_PREPARE_WRITE_REQ, "HOV"},
    {OTTER_ATT_PREPARE_WRITE_RSP, "HOV"},
    {OTTER_ATT_EXECUTE_WRITE_REQ, "F"},
    {OTTER_ATT_EXECUTE_WRITE_RSP, ""},
    {OTTER_ATT_NOTIFICATION, "HV"},
    {OTTER_ATT_INDICATION, "HV"},
    {OTTER_ATT_CONFIRMATION, ""},
    {OTTER_ATT_WRITE_CMD, "HV"},
    {OTTER_ATT_SIGNED_WRITE_CMD, "HV"},
};

static const struct layout *find_layout(uint8_t opcode)
{
    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
        if (layouts[i].opcode == opcode) {
            return &layouts[i];
        }
    }
    return NULL;
}

static void decode_field(char field, struct otter_att_pdu *pdu, struct otter_reader *r)
{
    switch (field) {
    case 'H':
        pdu->handle = otter_read_u16(r);
        break;
    case 'E':
        pdu->end = otter_read_u16(r);
        break;
    case 'O':
        pdu->offset = otter_read_u16(r);
        break;
    case 'M':
        pdu->mtu = otter_read_u16(r);
        break;
    case 'Q':
        pdu->request = otter_read_u8(r);
        break;
    case 'X':
        pdu->error = otter_read_u8(r);
        break;
    case 'F':
        pdu->format = otter_read_u8(r);
        break;
    case 'T':
    case 'U':
        pdu->uuid.size = field == 'T' || r->left == 2 ? 2 : 16;
        otter_read_bytes(r, pdu->uuid.bytes, pdu->uuid.size);
        break;
    default: /* V */
        pdu->len = r->left;
        pdu->value = otter_read_view(r, r->left);
        break;
    }
}

otter_err otter_att_decode(struct otter_att_pdu *pdu, const uint8_t *data, size_t len)
{
    *pdu = (struct otter_att_pdu){0};
    if (len == 0) {
        return OTTER_ERR_EMPTY;
    }
    struct otter_reader r = otter_reader_on(data, len);
    pdu->opcode = otter_read_u8(&r);
    const struct layout *layout = find_layout(pdu->opcode);
    if (layout == NULL) {
        return OTTER_ERR_UNSUPPORTED;
    }
    for (const char *field = layout->fields; *field != '\0'; field++) {
        decode_field(*field, pdu, &r);
    }
    return otter_reader_ok(&r) == OTTER_OK && r.left == 0 ? OTTER_OK : OTTER_ERR_LENGTH;
}

static void encode_field(char field, const struct otter_att_pdu *pdu, struct otter_writer *w)
{
    switch (field) {
    case 'H':
        otter_write_u16(w, pdu->handle);
        break;
    case 'E':
        otter_write_u16(w, pdu->end);
        break;
    case 'O':
        otter_write_u16(w, pdu->offset);
        break;
    case 'M':
        otter_write_u16(w, pdu->mtu);
        break;
    case 'Q':
        otter_write_u8(w, pdu->request);
        break;
    case 'X':
        otter_write_u8(w, pdu->error);
        break;
    case 'F':
        otter_write_u8(w, pdu->format);
        break;
    case 'T':
    case 'U':
        otter_write_bytes(w, pdu->uuid.bytes, pdu->uuid.size);
        break;
    default: /* V */
        otter_write_bytes(w, pdu->value, pdu->len);
        break;
    }
}

size_t otter_att_encode(const struct otter_att_pdu *pdu, uint8_t *out, size_t room)
{
    const struct layout *layout = find_layout(pdu->opcode);

    if (layout == NULL) {
        return 0;
    }
    struct otter_writer w = otter_writer_on(out, room);
    otter_write_u8(&w, pdu->opcode);
    for (const char *field = layout->fields; *field != '\0'; field++) {
        encode_field(*field, pdu, &w);
    }
    return otter_writer_ok(&w) == OTTER_OK ? room - w.left : 0;
}

struct otter_gatt_uuid otter_att_uuid16(uint16_t value)
{
    return (struct otter_gatt_uuid){2, {(uint8_t)value, (uint8_t)(value >> 8)}};
}

const char *otter_att_error_text(uint8_t error)
{
    switch (error) {
    case OTTER_ATT_INVALID_HANDLE:
        return "Invalid Handle";
    case OTTER_ATT_READ_NOT_PERMITTED:
        return "Read Not Permitted";
    case OTTER_ATT_WRITE_NOT_PERMITTED:
        return "Write Not Permitted";
    case OTTER_ATT_INVALID_PDU:
        return "Invalid PDU";
    case OTTER_ATT_INSUFFICIENT_AUTHENTICATION:
        return "Insufficient Authentication";
    case OTTER_ATT_REQUEST_NOT_SUPPORTED:
        return "Request Not Supported";
    case OTTER_ATT_INVALID_OFFSET:
        return "Invalid Offset";
    case OTTER_ATT_ATTRIBUTE_NOT_FOUND:
        return "Attribute Not Found";
    case OTTER_ATT_INVALID_LENGTH:
        return "Invalid Attribute Value Length";
    case OTTER_ATT_UNLIKELY:
        return "Unlikely Error";
    case OTTER_ATT_INSUFFICIENT_ENCRYPTION:
        return "Insufficient Encryption";
    case OTTER_ATT_UNSUPPORTED_GROUP:
        return "Unsupported Group Type";
    case OTTER_ATT_VALUE_NOT_ALLOWED:
        return "Value Not Allowed";
    case OTTER_ATT_WRITE_REJECTED:
        return "Write Request Rejected";
    case OTTER_ATT_CCCD_IMPROPER:
        return "CCCD Improperly Configured";
    case OTTER_ATT_INSUFFICIENT_RESOURCES:
        return "Insufficient Resources";
    case OTTER_ATT_IN_PROGRESS:
        return "Procedure Already in Progress";
    default:
        return error >= 0x80 && error <= 0x9F ? "Application Error" : "Error";
    }
}
