/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ATT, the Attribute Protocol: its PDUs. Source: Bluetooth Core Specification, Vol 3, Part F.
 *
 *   0        1
 *   +--------+------------------------------+
 *   | opcode | parameters, per opcode       |   little-endian; at most ATT MTU bytes in all
 *   +--------+------------------------------+
 *    bit 6: command, never answered
 *
 * One table in att.c says which parameters an opcode has; it drives both directions.
 */
#ifndef OTTER_HOST_ATT_H
#define OTTER_HOST_ATT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "otter/err.h"
#include "otter/gatt.h"

#define OTTER_ATT_COMMAND_FLAG 0x40u
#define OTTER_ATT_TIMEOUT_MS 30000u /* of a transaction, Part F 3.3.3 */

enum otter_att_opcode {
    OTTER_ATT_ERROR_RSP = 0x01,
    OTTER_ATT_MTU_REQ = 0x02,
    OTTER_ATT_MTU_RSP = 0x03,
    OTTER_ATT_FIND_INFO_REQ = 0x04,
    OTTER_ATT_FIND_INFO_RSP = 0x05,
    OTTER_ATT_FIND_BY_TYPE_VALUE_REQ = 0x06,
    OTTER_ATT_FIND_BY_TYPE_VALUE_RSP = 0x07,
    OTTER_ATT_READ_BY_TYPE_REQ = 0x08,
    OTTER_ATT_READ_BY_TYPE_RSP = 0x09,
    OTTER_ATT_READ_REQ = 0x0A,
    OTTER_ATT_READ_RSP = 0x0B,
    OTTER_ATT_READ_BLOB_REQ = 0x0C,
    OTTER_ATT_READ_BLOB_RSP = 0x0D,
    OTTER_ATT_READ_BY_GROUP_REQ = 0x10,
    OTTER_ATT_READ_BY_GROUP_RSP = 0x11,
    OTTER_ATT_WRITE_REQ = 0x12,
    OTTER_ATT_WRITE_RSP = 0x13,
    OTTER_ATT_PREPARE_WRITE_REQ = 0x16,
    OTTER_ATT_PREPARE_WRITE_RSP = 0x17,
    OTTER_ATT_EXECUTE_WRITE_REQ = 0x18,
    OTTER_ATT_EXECUTE_WRITE_RSP = 0x19,
    OTTER_ATT_NOTIFICATION = 0x1B,
    OTTER_ATT_INDICATION = 0x1D,
    OTTER_ATT_CONFIRMATION = 0x1E,
    OTTER_ATT_WRITE_CMD = 0x52,
    OTTER_ATT_SIGNED_WRITE_CMD = 0xD2,
};

/* Types of declarations and descriptors (Vol 3, Part G, 3). */
#define OTTER_ATT_PRIMARY_SERVICE 0x2800u
#define OTTER_ATT_CHARACTERISTIC 0x2803u
#define OTTER_ATT_CCCD 0x2902u

struct otter_gatt_uuid otter_att_uuid16(uint16_t value);

/* One PDU taken apart. Which fields count depends on the opcode; value points into the PDU. */
struct otter_att_pdu {
    uint8_t opcode;
    uint8_t request; /* ERROR_RSP: the opcode it answers */
    uint8_t error;   /* ERROR_RSP: enum otter_att */
    uint8_t format;  /* FIND_INFO_RSP: 1 or 2; READ_BY_TYPE/GROUP_RSP: bytes of an item */
    uint16_t handle; /* or the first of a range */
    uint16_t end;    /* the last of a range */
    uint16_t offset;
    uint16_t mtu;
    struct otter_gatt_uuid uuid; /* of a type */
    const uint8_t *value;        /* what is left, by opcode: a value or a list of items */
    size_t len;
};

/* OTTER_ERR_UNSUPPORTED for an opcode that is not in the table (pdu->opcode is set),
 * OTTER_ERR_LENGTH for parameters that do not fit it, OTTER_ERR_EMPTY for no bytes at all. */
OTTER_CHECKED otter_err otter_att_decode(struct otter_att_pdu *pdu, const uint8_t *data,
                                         size_t len);

/* Bytes written to out, or 0 when they do not fit into room or the opcode is unknown. */
size_t otter_att_encode(const struct otter_att_pdu *pdu, uint8_t *out, size_t room);

/* The usual name of an error. */
const char *otter_att_error_text(uint8_t error);

#endif
