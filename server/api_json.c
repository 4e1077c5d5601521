/* SPDX-License-Identifier: Apache-2.0 */
#include "api_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

json_t *json_text(const char *text)
{
    json_t *json = json_string(text);
    return json != NULL ? json : json_string("?");
}

json_t *json_time(int64_t seconds)
{
    char text[32];
    struct tm utc;
    time_t at = (time_t)seconds;
    if (seconds == 0 || gmtime_r(&at, &utc) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) {
        return json_null();
    }
    return json_string(text);
}

bool json_page(struct request *request, size_t *limit, char *after, size_t after_size)
{
    char number[8] = "";
    int limits = http_query_find(request->path.query, "limit", number, sizeof number);
    int afters = http_query_find(request->path.query, "after", after, after_size);
    long value = limits == 1 ? strtol(number, NULL, 10) : (long)JSON_PAGE_MAX;
    if (limits < 0 || limits > 1 || afters < 0 || afters > 1 || value < 1 ||
        value > (long)JSON_PAGE_MAX) {
        reply_error(request, 400, "limit is 1 to 1000, after is the last id of the page before");
        return false;
    }
    if (afters == 0) {
        after[0] = 0;
    }
    *limit = (size_t)value;
    return true;
}

static bool is_member(const char *name, const char *const members[])
{
    for (size_t i = 0; members[i] != NULL; i++) {
        if (strcmp(members[i], name) == 0) {
            return true;
        }
    }
    return false;
}

json_t *json_body(struct request *request, const char *const members[])
{
    size_t len = request->small != NULL ? evbuffer_get_length(request->small) : 0;
    const char *text = len > 0 ? (const char *)evbuffer_pullup(request->small, -1) : "";
    json_t *object = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    const char *name;
    json_t *value;
    bool good = json_is_object(object);
    if (good) {
        json_object_foreach(object, name, value)
        {
            good = good && json_is_string(value) && is_member(name, members);
        }
    }
    if (good) {
        return object;
    }
    char error[256] = "the body is a JSON object with these texts:";
    for (size_t i = 0; members[i] != NULL; i++) {
        size_t used = strlen(error);
        snprintf(error + used, sizeof error - used, " %s", members[i]);
    }
    json_decref(object);
    reply_error(request, 400, error);
    return NULL;
}

const char *json_member(const json_t *object, const char *name, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : otherwise;
}
