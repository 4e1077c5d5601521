/* SPDX-License-Identifier: Apache-2.0 */
#include "router.h"

#include <stdio.h>
#include <string.h>

#include "api.h"

/* In the order of docs/server.md. openapi.yaml is held against this table by a test. */
static const struct route routes[] = {
    {HTTP_GET, "/healthz", ROLE_NONE, BODY_NONE, api_health, NULL},
};

const char *http_method_name(enum http_method method)
{
    static const char *const names[HTTP_METHODS] = {
        [HTTP_GET] = "GET",   [HTTP_HEAD] = "HEAD",     [HTTP_PUT] = "PUT",
        [HTTP_POST] = "POST", [HTTP_DELETE] = "DELETE",
    };
    return names[method];
}

static bool matches(const char *pattern, const struct http_path *path)
{
    size_t segment = 0;
    while (*pattern == '/') {
        const char *word = pattern + 1;
        size_t len = strcspn(word, "/");
        if (segment == path->count) {
            return len == 0;
        }
        if (len == 1 && *word == '*') {
            return true;
        }
        const char *is = path->segment[segment++];
        bool any = len == 2 && memcmp(word, "{}", 2) == 0;
        if (!any && (strlen(is) != len || memcmp(is, word, len) != 0)) {
            return false;
        }
        pattern = word + len;
    }
    return segment == path->count;
}

const struct route *router_find(enum http_method method, const struct http_path *path,
                                char allow[64])
{
    allow[0] = 0;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        const struct route *route = &routes[i];
        if (!matches(route->pattern, path)) {
            continue;
        }
        if (route->method == method || (route->method == HTTP_GET && method == HTTP_HEAD)) {
            return route;
        }
        const char *name = http_method_name(route->method);
        if (strstr(allow, name) == NULL) {
            strcat(strcat(allow, allow[0] != 0 ? ", " : ""), name);
            strcat(allow, route->method == HTTP_GET ? ", HEAD" : "");
        }
    }
    return NULL;
}

void router_print(void)
{
    static const char *const roles[] = {"none", "device", "admin"};
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        printf("%-6s %-32s %s\n", http_method_name(routes[i].method), routes[i].pattern,
               roles[routes[i].role]);
    }
}
