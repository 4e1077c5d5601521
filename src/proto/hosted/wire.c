/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/hosted/wire.h"

#include <pb_decode.h>
#include <pb_encode.h>
#include <string.h>

#include "base/cursor.h"
#include "proto/hosted/hosted.pb.h"

/* The head of a frame up to the length. Endpoints differ in four bytes. No byte but the first is
 * 01, so a head that breaks off can only begin anew at the byte that broke it. */
#define MATCH_SIZE 12u
#define ENDPOINT_DIFFERS 7u
static const uint8_t head_requests[MATCH_SIZE] = {1,   8,   0,   'c', 't', 'r',
                                                  'l', 'R', 'e', 's', 'p', 2};
static const uint8_t head_events[MATCH_SIZE] = {1, 8, 0, 'c', 't', 'r', 'l', 'E', 'v', 'n', 't', 2};

void otter_hosted_decoder_init(struct otter_hosted_decoder *dec, uint8_t *buf, size_t room)
{
    *dec = (struct otter_hosted_decoder){.buf = buf, .room = (uint16_t)room};
}

void otter_hosted_decoder_next(struct otter_hosted_decoder *dec)
{
    dec->matched = 0;
    dec->len = 0;
    dec->got = 0;
    dec->status = OTTER_HOSTED_FRAME_NONE;
}

bool otter_hosted_decoder_inside(const struct otter_hosted_decoder *dec)
{
    return dec->matched > 0 && dec->status == OTTER_HOSTED_FRAME_NONE;
}

/* One byte of a frame's head. */
static void head_byte(struct otter_hosted_decoder *dec, uint8_t byte)
{
    if (dec->matched == MATCH_SIZE) {
        dec->len = byte;
        dec->matched++;
        return;
    }
    if (dec->matched == MATCH_SIZE + 1u) {
        uint8_t low = (uint8_t)dec->len;

        dec->len = (uint16_t)(low | byte << 8);
        dec->matched++;
        if (dec->len == 0) { /* no message is empty, so this is no frame */
            dec->skipped += MATCH_SIZE + 2u;
            otter_hosted_decoder_next(dec);
        }
        return;
    }
    if (dec->matched == ENDPOINT_DIFFERS) {
        dec->events = byte == head_events[ENDPOINT_DIFFERS];
    }
    const uint8_t *head =
        dec->events && dec->matched >= ENDPOINT_DIFFERS ? head_events : head_requests;
    if (byte == head[dec->matched]) {
        dec->matched++;
        return;
    }
    dec->skipped += dec->matched;
    dec->matched = byte == head[0];
    dec->skipped += dec->matched == 0;
}

size_t otter_hosted_decoder_feed(struct otter_hosted_decoder *dec, const uint8_t *data, size_t len)
{
    size_t used = 0;

    while (used < len && dec->status == OTTER_HOSTED_FRAME_NONE) {
        if (dec->matched < OTTER_HOSTED_HEAD_SIZE) {
            head_byte(dec, data[used++]);
            continue;
        }
        bool too_long = dec->len > dec->room;
        size_t want = (too_long ? OTTER_HOSTED_PREFIX : dec->len) - (size_t)dec->got;
        size_t n = len - used < want ? len - used : want;

        memcpy(dec->buf + dec->got, data + used, n);
        dec->got = (uint16_t)(dec->got + n);
        used += n;
        if (n == want) {
            dec->status = too_long ? OTTER_HOSTED_FRAME_TOO_LONG : OTTER_HOSTED_FRAME_WHOLE;
        }
    }
    return used;
}

/* nanopb reads from here: a place in the message that every level of nesting shares, so that a
 * field of bytes can be taken as a view instead of a copy. */
struct place {
    const uint8_t *next;
};

static bool place_read(pb_istream_t *stream, pb_byte_t *buf, size_t count)
{
    struct place *place = stream->state;

    if (buf != NULL) {
        memcpy(buf, place->next, count);
    }
    place->next += count;
    return true;
}

/* The one field of bytes or text a payload has; *arg is the message. */
static bool view_decode(pb_istream_t *stream, const pb_field_t *field, void **arg)
{
    struct otter_hosted_message *m = *arg;
    struct place *place = stream->state;

    if (stream->callback != place_read) {
        return false; /* a number where bytes belong: nanopb shows a copy on its stack */
    }
    m->data = place->next;
    m->data_len = stream->bytes_left;
    place->next += stream->bytes_left;
    stream->bytes_left = 0;
    return true;
}

/* Called at the start of a payload, which is all zero so far. */
static bool payload_decode(pb_istream_t *stream, const pb_field_t *field, void **arg)
{
    pb_callback_t view = {.funcs.decode = view_decode, .arg = *arg};

    if (field->tag == otter_pb_Control_req_ota_write_tag) {
        ((otter_pb_WriteRequest *)field->pData)->ota_data = view;
    } else if (field->tag == otter_pb_Control_resp_fw_version_tag) {
        ((otter_pb_VersionResult *)field->pData)->name = view;
    }
    return true;
}

otter_err otter_hosted_decode(struct otter_hosted_message *m, const uint8_t *data, size_t len)
{
    otter_pb_Control pb = {.cb_payload = {.funcs.decode = payload_decode, .arg = m}};
    struct place place = {data};
    pb_istream_t stream = {.callback = place_read, .state = &place, .bytes_left = len};

    *m = (struct otter_hosted_message){0};
    bool whole = pb_decode_ex(&stream, otter_pb_Control_fields, &pb, PB_DECODE_NOINIT);

    m->type = pb.msg_type <= UINT8_MAX ? (uint8_t)pb.msg_type : 0;
    m->id = pb.msg_id <= UINT16_MAX ? (uint16_t)pb.msg_id : 0;
    m->uid = pb.uid;
    m->req_resp_type = pb.req_resp_type;
    m->has_payload = whole && pb.which_payload != 0 && pb.which_payload == m->id;
    if (!m->has_payload) {
        m->data = NULL;
        m->data_len = 0;
    } else if (m->id == otter_pb_Control_resp_fw_version_tag) {
        const otter_pb_VersionResult *v = &pb.payload.resp_fw_version;

        m->resp = v->resp;
        memcpy(m->version,
               (uint32_t[]){v->major1, v->major2, v->minor, v->rev_patch1, v->rev_patch2},
               sizeof(m->version));
    } else if (m->id >= otter_pb_Control_resp_ota_begin_tag) {
        m->resp = pb.payload.resp_ota_begin.resp; /* the others have the same form */
    }
    return whole ? OTTER_OK : OTTER_ERR_PROTOCOL;
}

/* Called twice by nanopb: for the length, then for the bytes. */
static bool view_encode(pb_ostream_t *stream, const pb_field_t *field, void *const *arg)
{
    const struct otter_hosted_message *m = *arg;

    return m->data_len == 0 || (pb_encode_tag_for_field(stream, field) &&
                                pb_encode_string(stream, m->data, m->data_len));
}

static void fill_payload(otter_pb_Control *pb, const struct otter_hosted_message *m)
{
    pb_callback_t view = {.funcs.encode = view_encode, .arg = (void *)(uintptr_t)m};

    switch (m->id) {
    case otter_pb_Control_req_ota_write_tag:
        pb->payload.req_ota_write.ota_data = view;
        break;
    case otter_pb_Control_resp_fw_version_tag:
        pb->payload.resp_fw_version = (otter_pb_VersionResult){
            .resp = m->resp,
            .name = view,
            .major1 = m->version[0],
            .major2 = m->version[1],
            .minor = m->version[2],
            .rev_patch1 = m->version[3],
            .rev_patch2 = m->version[4],
        };
        break;
    default: /* requests without content, and responses that are a result alone */
        pb->payload.resp_ota_begin.resp = m->resp;
        break;
    }
}

otter_err otter_hosted_encode(const struct otter_hosted_message *m, uint8_t *frame, size_t size,
                              size_t *used)
{
    otter_pb_Control pb = {
        .msg_type = m->type,
        .msg_id = m->id,
        .uid = m->uid,
        .req_resp_type = m->req_resp_type,
        .which_payload = m->has_payload ? m->id : 0,
    };
    struct otter_writer head = otter_writer_on(frame, size);

    if (size < OTTER_HOSTED_HEAD_SIZE) {
        return OTTER_ERR_BOUNDS;
    }
    if (m->has_payload) {
        fill_payload(&pb, m);
    }
    pb_ostream_t stream =
        pb_ostream_from_buffer(frame + OTTER_HOSTED_HEAD_SIZE, size - OTTER_HOSTED_HEAD_SIZE);
    if (!pb_encode(&stream, otter_pb_Control_fields, &pb) || stream.bytes_written > UINT16_MAX) {
        return OTTER_ERR_BOUNDS;
    }
    otter_write_bytes(&head, m->type == OTTER_HOSTED_EVENT ? head_events : head_requests,
                      MATCH_SIZE);
    otter_write_u16(&head, (uint16_t)stream.bytes_written);
    *used = OTTER_HOSTED_HEAD_SIZE + stream.bytes_written;
    return otter_writer_ok(&head);
}
