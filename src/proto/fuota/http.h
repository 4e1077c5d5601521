/* SPDX-License-Identifier: Apache-2.0 */
/* What FUOTA needs of HTTP: URLs with their escapes and redirects, and a few header fields. */
#ifndef OTTER_PROTO_FUOTA_HTTP_H
#define OTTER_PROTO_FUOTA_HTTP_H

#include "otter/fuota.h"

/* A terminated text being put together; `cut` once something did not fit. */
struct otter_fuota_text {
    char *next;
    size_t left; /* bytes, the NUL not counted */
    bool cut;
};

struct otter_fuota_text otter_fuota_text_on(char *out, size_t size);
void otter_fuota_put(struct otter_fuota_text *t, const char *s);
/* s with every byte escaped that is not unreserved, ':' or one of keep. */
void otter_fuota_put_escaped(struct otter_fuota_text *t, const char *s, const char *keep);
void otter_fuota_put_u32(struct otter_fuota_text *t, uint32_t n);

/* Bytes of "https://host:port" at the beginning of url, or 0 when it is nothing of that form. */
size_t otter_fuota_origin(const char *url);

/* Resolves the value of a Location header against url, in place. OTTER_ERR_PROTOCOL: it leads
 * away from https, or is of a form that no server needs. */
OTTER_CHECKED otter_err otter_fuota_redirect(char url[OTTER_FUOTA_URL_MAX + 1],
                                             const char *location);

/* A path that may be asked for: no empty name, no quotes, controls, "." or ".." in it. */
bool otter_fuota_file_good(const char *file);

/* Takes in one header field. Location is handled by the machine. */
void otter_fuota_read_header(struct otter_fuota_head *head, const char *name, const char *value);

/* True when name is lower, whatever its case. lower is given in small letters. */
bool otter_fuota_is_name(const char *name, const char *lower);

/* Milliseconds that Retry-After asks for, at most `most`; 0: it asks for nothing. */
uint32_t otter_fuota_retry_ms(const struct otter_fuota_head *head, uint32_t most);

#endif
