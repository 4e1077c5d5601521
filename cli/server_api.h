/* SPDX-License-Identifier: Apache-2.0 */
/* The API of an update server (otterd's /api/v1) as the commands of `otter server` use it. */
#ifndef OTTER_CLI_SERVER_API_H
#define OTTER_CLI_SERVER_API_H

#include <curl/curl.h>

#include "cli.h"
#include "host/https.h"

/* The first options of every command of the group: where the server is, and who asks. */
enum { SERVER_URL, SERVER_CACERT, SERVER_LOGIN, SERVER_OPTIONS };
/* clang-format off */
#define SERVER_OPTION_ROWS                                                                         \
    [SERVER_URL] = {"url", 'u', "URL", "the server, https://NAME:PORT ($OTTER_SERVER)"},           \
    [SERVER_CACERT] = {"cacert", 0, "FILE", "trust the roots in FILE, no others ($OTTER_CACERT)"}, \
    [SERVER_LOGIN] = {"login", 0, "FILE", "credentials, NAME:PASSWORD ($OTTER_LOGIN holds them)"}
/* clang-format on */

#define SERVER_HELP                                                                                \
    "The address comes from --url or $OTTER_SERVER; the credentials from the file that --login\n"  \
    "names, or from $OTTER_LOGIN as NAME:PASSWORD: never from the command line, which others\n"    \
    "can read. Exit code 3: not an image, 4: refused by the server, 5: no connection.\n"

/* A connection, kept for several requests. */
struct server_api {
    struct call *call;
    const char *url;
    size_t url_len; /* without a slash at the end */
    struct otter_https https;
    CURL *easy;
    char error[CURL_ERROR_SIZE];
    char *body; /* of the last answer, terminated */
    size_t len, room;
    long status;
    long unsaid;    /* a status that the command reports itself */
    json_t *answer; /* the same as JSON; NULL: it is none */
};

/* A request. path is escaped, see server_api_path(). */
struct server_request {
    const char *method;
    char *path;   /* freed by server_api_ask(); NULL: out of memory */
    json_t *send; /* freed by it too; NULL: nothing */
};

/* Reads the options. An exit code; what it reports was said. To be closed when it is EXIT_OK. */
int server_api_open(struct server_api *api, struct call *call);
void server_api_close(struct server_api *api);

/* "/api/v1/images/NAME" with each of the texts escaped and put where a % stands. */
__attribute__((nonnull)) char *server_api_path(const struct server_api *api, const char *pattern,
                                               const char *text);

/* Sends a request; EXIT_OK when the server says 2xx, and api->answer is what it said. Else what
 * went wrong has been said. */
int server_api_ask(struct server_api *api, struct server_request request);

/* The two halves of that, for uploads: curl set up for a path; what came of it. */
int server_api_prepare(struct server_api *api, struct server_request request);
int server_api_judge(struct server_api *api, CURLcode code);

/* Every row of a list that comes in pages: path "/api/v1/images", member "images". NULL: said. */
json_t *server_api_list(struct server_api *api, const char *path, const char *member, int *code);

/* A text of an object, "" when there is none, made safe to show. */
const char *server_text(const json_t *object, const char *member);
/* "2026-01-02T03:04:05Z" as "2026-01-02 03:04:05", in the time of this place; "" for none. */
const char *server_time(const json_t *object, const char *member);

#endif
