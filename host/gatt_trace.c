/* SPDX-License-Identifier: Apache-2.0 */
#include "host/gatt_trace.h"

#include <stdio.h>

#include "otter/espble.h"
#include "otter/gattota.h"
#include "proto/espble/wire.h"

static void command_text(const struct espble_frame *frame, char *text, size_t size)
{
    uint32_t value = frame->word[1] | (uint32_t)frame->word[2] << 16;

    switch (frame->word[0]) {
    case ESPBLE_START:
        snprintf(text, size, "START, %u bytes", value);
        break;
    case ESPBLE_STOP:
        snprintf(text, size, "STOP");
        break;
    case ESPBLE_ACK:
        snprintf(text, size, "ACK of %s: %s%s%.0u",
                 frame->word[1] == ESPBLE_START  ? "START"
                 : frame->word[1] == ESPBLE_STOP ? "STOP"
                                                 : "a command",
                 frame->word[2] == ESPBLE_ACCEPT ? "accepted" : "rejected",
                 frame->word[3] != 0 ? ", window " : "", frame->word[3]);
        break;
    default:
        snprintf(text, size, "unknown command %u", frame->word[0]);
        break;
    }
}

static void espble_text(uint8_t id, bool out, const uint8_t *data, size_t len, char *text,
                        size_t size)
{
    static const char *const statuses[] = {"ok", "CRC error", "index error", "length error"};
    struct espble_frame frame;
    struct espble_packet packet;

    if (id == OTTER_ESPBLE_PROGRESS && len == 2) {
        snprintf(text, size, "%u.%02u %%", data[0], data[1]);
    } else if (id == OTTER_ESPBLE_RECV_FW && out &&
               otter_espble_packet(&packet, data, len) == OTTER_OK) {
        if (packet.seq == ESPBLE_LAST_PACKET) {
            snprintf(text, size, "sector %u, last packet, crc %04x", (unsigned)packet.sector,
                     packet.crc);
        } else {
            snprintf(text, size, "sector %u, packet %u", (unsigned)packet.sector,
                     (unsigned)packet.seq);
        }
    } else if (otter_espble_open(&frame, data, len) != OTTER_OK) {
        snprintf(text, size, "not a valid packet");
    } else if (id == OTTER_ESPBLE_COMMAND_CHAR) {
        command_text(&frame, text, size);
    } else {
        snprintf(text, size, "ACK of sector %u: %s, next %u", frame.word[0],
                 frame.word[1] < 4 ? statuses[frame.word[1]] : "unknown status", frame.word[2]);
    }
}

static void gattota_text(uint8_t id, const uint8_t *data, size_t len, char *text, size_t size)
{
    static const char *const values[] = {"NOP",  "REQUEST",  "REQUEST_ACK", "REQUEST_NAK",
                                         "DONE", "DONE_ACK", "DONE_NAK"};

    if (id == OTTER_GATTOTA_CONTROL && len == 1 && data[0] < 7) {
        snprintf(text, size, "%s", values[data[0]]);
    } else if (id == OTTER_GATTOTA_DATA && len == 2) {
        snprintf(text, size, "packet size %u", data[0] | data[1] << 8);
    } else {
        snprintf(text, size, "firmware");
    }
}

void otter_gatt_trace(const struct otter_gatt_service *service, bool out, uint8_t id, bool request,
                      const uint8_t *data, size_t len, char *line, size_t size)
{
    static const char *const espble_names[] = {"RECV_FW", "PROGRESS_BAR", "COMMAND", "CUSTOMER"};
    static const char *const gattota_names[] = {"control", "data"};
    bool espble = service == &otter_espble_service;
    char text[96] = "";

    if (espble && id != OTTER_ESPBLE_CUSTOMER) {
        espble_text(id, out, data, len, text, sizeof(text));
    } else if (!espble) {
        gattota_text(id, data, len, text, sizeof(text));
    }
    snprintf(line, size, "%s %-12s %3zu bytes  %s%s", out ? "->" : "<-",
             espble ? espble_names[id & 3] : gattota_names[id & 1], len, text,
             out && request ? " (with response)" : "");
}
