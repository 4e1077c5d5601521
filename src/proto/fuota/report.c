/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device says of an update, in the form that otterd takes:
 *
 *   POST <server>/api/v1/devices/<id>/report   application/json
 *   {"result": "updated", "detail": "confirmed", "version": "1.1.0", "running": "<SHA-256>"}
 */
#include "proto/fuota/http.h"

otter_err otter_fuota_report_url(char *out, size_t size, const char *server, const char *device_id)
{
    struct otter_fuota_text t = otter_fuota_text_on(out, size);

    otter_fuota_put(&t, server);
    otter_fuota_put(&t, "/api/v1/devices/");
    otter_fuota_put_escaped(&t, device_id, "");
    otter_fuota_put(&t, "/report");
    return t.cut ? OTTER_ERR_LENGTH : OTTER_OK;
}

/* "name": "value"; what is not plain ASCII becomes '?'. */
static void put_member(struct otter_fuota_text *t, const char *before, const char *name,
                       const char *value)
{
    otter_fuota_put(t, before);
    otter_fuota_put(t, name);
    otter_fuota_put(t, "\": \"");
    for (; *value != '\0'; value++) {
        const char one[2] = {*value >= ' ' && *value <= '~' ? *value : '?', '\0'};

        otter_fuota_put(t, one[0] == '"' || one[0] == '\\' ? "\\" : "");
        otter_fuota_put(t, one);
    }
}

otter_err otter_fuota_report_body(char *out, size_t size, const struct otter_fuota_report *report)
{
    struct otter_fuota_text t = otter_fuota_text_on(out, size);

    put_member(&t, "{\"", "result", report->result);
    put_member(&t, "\", \"", "detail", report->detail);
    put_member(&t, "\", \"", "version", report->version);
    put_member(&t, "\", \"", "running", report->running);
    otter_fuota_put(&t, "\"}\n");
    return t.cut ? OTTER_ERR_LENGTH : OTTER_OK;
}
