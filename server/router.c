/* SPDX-License-Identifier: Apache-2.0 */
#include "router.h"

#include <stdio.h>
#include <string.h>

#include "api.h"

/* In the order of docs/server.md. openapi.yaml is held against this table by a test. */
static const struct route routes[] = {
    /* the first server's API */
    {HTTP_GET, "/devices", ROLE_ADMIN, BODY_NONE, seed_devices, NULL},
    {HTTP_GET, "/devices/{}", ROLE_DEVICE, BODY_NONE, seed_poll, NULL},
    {HTTP_PUT, "/devices/{}", ROLE_ADMIN, BODY_SMALL, seed_assign, NULL},
    {HTTP_DELETE, "/devices/{}", ROLE_ADMIN, BODY_NONE, seed_remove, NULL},
    {HTTP_GET, "/files/{}", ROLE_DEVICE, BODY_NONE, seed_download, NULL},
    {HTTP_PUT, "/files/{}", ROLE_ADMIN, BODY_FILE, seed_upload, seed_upload_begin},
    /* and the paths it answers with 400, once the credentials are right */
    {HTTP_GET, "/devices/*", ROLE_DEVICE, BODY_NONE, seed_bad_path, NULL},
    {HTTP_PUT, "/devices/*", ROLE_DEVICE, BODY_SMALL, seed_bad_path, seed_bad_path},
    {HTTP_DELETE, "/devices/*", ROLE_DEVICE, BODY_NONE, seed_bad_path, NULL},
    {HTTP_PUT, "/devices", ROLE_DEVICE, BODY_SMALL, seed_bad_path, seed_bad_path},
    {HTTP_DELETE, "/devices", ROLE_DEVICE, BODY_NONE, seed_bad_path, NULL},
    {HTTP_GET, "/files", ROLE_DEVICE, BODY_NONE, seed_bad_path, NULL},
    {HTTP_PUT, "/files", ROLE_DEVICE, BODY_FILE, seed_bad_path, seed_bad_path},
    {HTTP_GET, "/files/*", ROLE_DEVICE, BODY_NONE, seed_bad_path, NULL},
    {HTTP_PUT, "/files/*", ROLE_DEVICE, BODY_FILE, seed_bad_path, seed_bad_path},
    /* our own tools */
    {HTTP_GET, "/api/v1/status", ROLE_ADMIN, BODY_NONE, v1_status, NULL},
    {HTTP_GET, "/api/v1/images", ROLE_ADMIN, BODY_NONE, v1_images, NULL},
    {HTTP_GET, "/api/v1/images/{}", ROLE_ADMIN, BODY_NONE, v1_image, NULL},
    {HTTP_PUT, "/api/v1/images/{}", ROLE_ADMIN, BODY_FILE, v1_image_put, v1_image_put_begin},
    {HTTP_DELETE, "/api/v1/images/{}", ROLE_ADMIN, BODY_NONE, v1_image_remove, NULL},
    {HTTP_GET, "/api/v1/devices", ROLE_ADMIN, BODY_NONE, v1_devices, NULL},
    {HTTP_GET, "/api/v1/devices/{}", ROLE_ADMIN, BODY_NONE, v1_device, NULL},
    {HTTP_DELETE, "/api/v1/devices/{}", ROLE_ADMIN, BODY_NONE, v1_device_remove, NULL},
    {HTTP_PUT, "/api/v1/devices/{}/assignment", ROLE_ADMIN, BODY_SMALL, v1_assign, NULL},
    {HTTP_DELETE, "/api/v1/devices/{}/assignment", ROLE_ADMIN, BODY_NONE, v1_unassign, NULL},
    {HTTP_POST, "/api/v1/devices/{}/report", ROLE_DEVICE, BODY_SMALL, v1_report, NULL},
    {HTTP_POST, "/api/v1/assign-all", ROLE_ADMIN, BODY_SMALL, v1_assign_all, NULL},
    /* those who watch the server */
    {HTTP_GET, "/healthz", ROLE_NONE, BODY_NONE, api_health, NULL},
    {HTTP_GET, "/metrics", ROLE_ADMIN, BODY_NONE, api_metrics, NULL},
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
