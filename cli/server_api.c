/* SPDX-License-Identifier: Apache-2.0 */
#include "server_api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "output.h"

#define BODY_MAX (16u * 1024u * 1024u) /* bytes of an answer */
#define CONNECT_MS 15000L
#define SILENCE_S 60L

int server_api_open(struct server_api *api, struct call *call)
{
    const char *cacert = call->option[SERVER_CACERT];

    *api = (struct server_api){.call = call, .url = call->option[SERVER_URL]};
    api->url = api->url != NULL ? api->url : getenv("OTTER_SERVER");
    cacert = cacert != NULL ? cacert : getenv("OTTER_CACERT");
    if (api->url == NULL) {
        return fail(call, EXIT_USAGE,
                    "which server? Give --url https://NAME:PORT, or set OTTER_SERVER");
    }
    if (strncasecmp(api->url, "https://", 8) != 0 || api->url[8] == '\0' ||
        strpbrk(api->url, "@?# ") != NULL) {
        return fail(call, EXIT_USAGE, "\"%s\" is no address of a server: https://NAME:PORT",
                    safe(api->url));
    }
    api->url_len = strlen(api->url);
    api->url_len -= api->url[api->url_len - 1] == '/' ? 1 : 0;
    if (!otter_https_open(&api->https, &cacert, cacert != NULL ? 1 : 0,
                          call->option[SERVER_LOGIN])) {
        return fail(call, EXIT_FAILED, "%s", safe(api->https.error));
    }
    api->easy = curl_easy_init();
    if (api->easy == NULL) {
        server_api_close(api);
        return fail(call, EXIT_FAILED, "out of memory");
    }
    return EXIT_OK;
}

void server_api_close(struct server_api *api)
{
    curl_easy_cleanup(api->easy);
    otter_https_close(&api->https);
    json_decref(api->answer);
    free(api->body);
}

char *server_api_path(const struct server_api *api, const char *pattern, const char *text)
{
    char *escaped = curl_easy_escape(api->easy, text, 0);
    const char *mark = strchr(pattern, '%');
    char *path = NULL;

    if (escaped == NULL ||
        asprintf(&path, "%.*s%s%s", (int)(mark - pattern), pattern, escaped, mark + 1) < 0) {
        path = NULL;
    }
    curl_free(escaped);
    return path;
}

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
    struct server_api *api = ctx;
    size_t len = size * count;

    if (len > BODY_MAX - api->len) {
        return CURL_WRITEFUNC_ERROR;
    }
    if (api->len + len >= api->room) {
        size_t room = 2 * (api->len + len) + 1;
        char *body = realloc(api->body, room);

        if (body == NULL) {
            return CURL_WRITEFUNC_ERROR;
        }
        api->body = body;
        api->room = room;
    }
    memcpy(api->body + api->len, data, len);
    api->len += len;
    api->body[api->len] = '\0';
    return len;
}

int server_api_prepare(struct server_api *api, struct server_request request)
{
    char *url = NULL;

    if (request.path == NULL ||
        asprintf(&url, "%.*s%s", (int)api->url_len, api->url, request.path) < 0) {
        free(request.path);
        return fail(api->call, EXIT_FAILED, "out of memory");
    }
    curl_easy_reset(api->easy);
    otter_https_apply(&api->https, api->easy, true);
    curl_easy_setopt(api->easy, CURLOPT_URL, url);
    curl_easy_setopt(api->easy, CURLOPT_CUSTOMREQUEST, request.method);
    curl_easy_setopt(api->easy, CURLOPT_USERAGENT, "otter");
    curl_easy_setopt(api->easy, CURLOPT_ERRORBUFFER, api->error);
    curl_easy_setopt(api->easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(api->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(api->easy, CURLOPT_LOW_SPEED_TIME, SILENCE_S);
    curl_easy_setopt(api->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(api->easy, CURLOPT_WRITEDATA, api);
    free(url);
    free(request.path);
    json_decref(api->answer);
    api->answer = NULL;
    api->len = 0;
    api->error[0] = '\0';
    return EXIT_OK;
}

/* No answer. */
static int no_answer(struct server_api *api, CURLcode code)
{
    const char *why = api->error[0] != '\0' ? api->error : curl_easy_strerror(code);

    if (code == CURLE_PEER_FAILED_VERIFICATION) {
        return fail(api->call, EXIT_LINK,
                    "the server's certificate is not trusted (%s): --cacert names the CA that "
                    "signed it",
                    why);
    }
    if (code == CURLE_SSL_CACERT_BADFILE) {
        return fail(api->call, EXIT_LINK,
                    "this machine has no CA certificates to trust a server by: --cacert names the "
                    "server's, or install the package ca-certificates");
    }
    return fail(api->call, EXIT_LINK, "%.*s: %s: is it running there?", (int)api->url_len, api->url,
                why);
}

static int refused(struct server_api *api)
{
    const char *text = json_string_value(json_object_get(api->answer, "error"));
    const char *login = api->https.login != NULL ? "these credentials"
                                                 : "a request without credentials: see --login";

    if (api->status == api->unsaid) {
        return EXIT_REFUSED;
    }
    switch (api->status) {
    case 401:
        return fail(api->call, EXIT_REFUSED, "the server refuses %s", login);
    case 403:
        return fail(api->call, EXIT_REFUSED,
                    "the server does not allow this to %s: an administrator's are needed", login);
    case 422:
        return fail(api->call, EXIT_INVALID, "%s", text != NULL ? text : "not an image");
    default:
        break;
    }
    if (text != NULL) {
        return fail(api->call, api->status >= 500 ? EXIT_FAILED : EXIT_REFUSED,
                    "the server says: %s", text);
    }
    return fail(api->call, EXIT_FAILED, "the server answers %ld: is %.*s an otterd?", api->status,
                (int)api->url_len, api->url);
}

static int no_sense(struct server_api *api)
{
    return fail(api->call, EXIT_FAILED, "the answer makes no sense: is %.*s an otterd?",
                (int)api->url_len, api->url);
}

int server_api_judge(struct server_api *api, CURLcode code)
{
    curl_easy_getinfo(api->easy, CURLINFO_RESPONSE_CODE, &api->status);
    api->answer = api->len > 0 ? json_loadb(api->body, api->len, 0, NULL) : NULL;
    /* A refusal in the middle of an upload is an answer, although the rest could not be sent. */
    if (code != CURLE_OK && api->status < 400) {
        return no_answer(api, code);
    }
    bool good = api->status >= 200 && api->status < 300;
    if (good && api->len > 0 && api->answer == NULL) {
        return no_sense(api);
    }
    return good ? EXIT_OK : refused(api);
}

int server_api_ask(struct server_api *api, struct server_request request)
{
    char *body = request.send != NULL ? json_dumps(request.send, JSON_COMPACT) : NULL;
    bool lost = request.send != NULL && body == NULL;

    json_decref(request.send);
    int code = server_api_prepare(api, request);
    if (code == EXIT_OK && lost) {
        code = fail(api->call, EXIT_FAILED, "names and versions are UTF-8 text");
    }
    if (code == EXIT_OK) {
        struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");

        if (body != NULL) {
            curl_easy_setopt(api->easy, CURLOPT_POSTFIELDS, body);
            curl_easy_setopt(api->easy, CURLOPT_HTTPHEADER, headers);
        }
        code = server_api_judge(api, curl_easy_perform(api->easy));
        curl_slist_free_all(headers);
    }
    free(body);
    return code;
}

json_t *server_api_list(struct server_api *api, const char *path, const char *member, int *code)
{
    json_t *all = json_array();
    json_t *last = json_string("");
    char *page = strdup(path);

    for (;;) {
        *code = server_api_ask(api, (struct server_request){.method = "GET", .path = page});
        if (*code != EXIT_OK) {
            break;
        }
        json_t *mark = json_object_get(api->answer, "next");
        const char *next = json_string_value(mark);
        json_array_extend(all, json_object_get(api->answer, member));
        if (next == NULL) {
            json_decref(last);
            return all;
        }
        if (strcmp(next, json_string_value(last)) <= 0) { /* this would go on for ever */
            *code = no_sense(api);
            break;
        }
        json_decref(last);
        last = json_incref(mark);
        char *query = server_api_path(api, "?after=%", next);
        if (query == NULL || asprintf(&page, "%s%s", path, query) < 0) {
            page = NULL;
        }
        free(query);
    }
    json_decref(last);
    json_decref(all);
    return NULL;
}

const char *server_text(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));

    return text != NULL ? safe(text) : "";
}

const char *server_time(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    struct tm tm = {0};
    char shown[32];

    if (text == NULL || strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) == NULL) {
        return "";
    }
    time_t at = timegm(&tm);
    strftime(shown, sizeof(shown), "%Y-%m-%d %H:%M:%S", localtime_r(&at, &tm));
    return safe(shown);
}
