/* SPDX-License-Identifier: Apache-2.0 */
/* What the JSON handlers share. */
#ifndef OTTERD_API_JSON_H
#define OTTERD_API_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "request.h"

#define JSON_PAGE_MAX 1000u

/* A string, also of text that is not UTF-8: "?". */
json_t *json_text(const char *text);
/* Seconds since 1970 as "2026-01-02T03:04:05Z"; null for 0. */
json_t *json_time(int64_t seconds);

/* ?limit= (1..JSON_PAGE_MAX) and ?after= of a list. False: answered 400. */
bool json_page(struct request *request, size_t *limit, char *after, size_t after_size);

/* The gathered body as an object with only these members (a NULL ends the list), each a string.
 * NULL: answered 400. */
json_t *json_body(struct request *request, const char *const members[]);

/* The string member of an object, or `otherwise`. */
const char *json_member(const json_t *object, const char *name, const char *otherwise);
#endif
