/* SPDX-License-Identifier: Apache-2.0 */
#include "host/http_head.h"

#include <string.h>
#include <strings.h>

/* Copies the value of "Name: value\r\n" when the line has that name. */
static void field(const char *line, size_t len, const char *name, char out[OTTER_HTTP_LINE])
{
    size_t n = strlen(name);

    if (len <= n || strncasecmp(line, name, n) != 0 || line[n] != ':') {
        return;
    }
    line += n + 1;
    len -= n + 1;
    while (len > 0 && (*line == ' ' || *line == '\t')) {
        line++;
        len--;
    }
    while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == '\n' || line[len - 1] == ' ')) {
        len--;
    }
    if (len < OTTER_HTTP_LINE) {
        memcpy(out, line, len);
        out[len] = '\0';
    }
}

void otter_http_head_line(struct otter_http_head *head, const char *line, size_t len)
{
    if (len > 5 && strncmp(line, "HTTP/", 5) == 0) {
        const char *space = memchr(line, ' ', len);

        *head = (struct otter_http_head){0};
        if (space != NULL) {
            size_t n = len - (size_t)(space + 1 - line);

            n = n < sizeof(head->phrase) ? n : sizeof(head->phrase) - 1;
            for (size_t i = 0; i < n && space[1 + i] >= ' ' && space[1 + i] < 0x7F; i++) {
                head->phrase[i] = space[1 + i];
            }
        }
        return;
    }
    field(line, len, "ETag", head->etag);
    field(line, len, "Last-Modified", head->modified);
    field(line, len, "Content-Range", head->range);
}

static bool agree(const char *first, const char *now)
{
    return now[0] == '\0' || strcmp(first, now) == 0;
}

bool otter_http_head_agrees(const struct otter_http_head *first, const struct otter_http_head *now)
{
    return agree(first->etag, now->etag) && agree(first->modified, now->modified);
}
