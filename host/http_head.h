/* SPDX-License-Identifier: Apache-2.0 */
/* What the head of an HTTP answer says of a file: enough to know it again when a download goes on.
 */
#ifndef OTTER_HOST_HTTP_HEAD_H
#define OTTER_HOST_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#define OTTER_HTTP_LINE 256 /* longer fields are as if they were not there */

struct otter_http_head {
    char etag[OTTER_HTTP_LINE];
    char modified[OTTER_HTTP_LINE];
    char range[OTTER_HTTP_LINE]; /* Content-Range */
    char phrase[64];             /* "404 Not Found" */
};

/* Takes in a line; a status line begins anew, as after a redirect. */
void otter_http_head_line(struct otter_http_head *head, const char *line, size_t len);

/* Whether both speak of the same file, as far as they say. What a 206 leaves out is as it was. */
bool otter_http_head_agrees(const struct otter_http_head *first, const struct otter_http_head *now);

#endif
