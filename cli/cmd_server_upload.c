/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "output.h"
#include "progress.h"
#include "server_api.h"

enum { NAME = SERVER_OPTIONS };

static const struct option_spec options[] = {
    SERVER_OPTION_ROWS,
    [NAME] = {"name", 0, "NAME", "its name on the server (that of FILE)"},
    {NULL, 0, NULL, NULL},
};

static int on_progress(void *ctx, curl_off_t down_total, curl_off_t down, curl_off_t total,
                       curl_off_t sent)
{
    (void)down_total;
    (void)down;
    (void)total;
    progress_step(ctx, (uint64_t)sent);
    return 0;
}

/* read() of curl's own is fread(): a file that cannot be read on ends the upload. */
static size_t on_read(char *buf, size_t size, size_t count, void *ctx)
{
    size_t got = fread(buf, 1, size * count, ctx);

    return ferror((FILE *)ctx) != 0 ? CURL_READFUNC_ABORT : got;
}

static int say_uploaded(struct server_api *api)
{
    const json_t *image = json_object_get(api->answer, "image");
    json_int_t size = json_integer_value(json_object_get(api->answer, "size"));

    if (api->call->json != NULL) {
        json_object_update(api->call->json, api->answer);
        return EXIT_OK;
    }
    const char *name = server_text(api->answer, "name");
    printf("%s %s: %s", api->status == 201 ? "Uploaded" : "Replaced", name,
           bytes_text((uint64_t)size));
    if (json_is_object(image)) {
        printf(", %s %s for %s", server_text(image, "project"), server_text(image, "version"),
               server_text(image, "chip"));
    } else if (strcmp(server_text(api->answer, "format"), "encrypted") == 0) {
        printf(", an encrypted image");
    }
    printf(".\n");
    return EXIT_OK;
}

static int send_file(struct server_api *api, FILE *file, const char *name, uint64_t size)
{
    struct progress progress;
    struct server_request request = {
        .method = "PUT",
        .path = server_api_path(api, "/api/v1/images/%", name),
    };
    int code = server_api_prepare(api, request);

    if (code != EXIT_OK) {
        return code;
    }
    /* The server says whether it wants it at all before megabytes are on their way. */
    struct curl_slist *headers = curl_slist_append(NULL, "Expect: 100-continue");
    headers = curl_slist_append(headers, "Content-Type: application/octet-stream");
    progress_start(&progress, "Uploading", size, api->call->json != NULL);
    curl_easy_setopt(api->easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(api->easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(api->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)size);
    curl_easy_setopt(api->easy, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(api->easy, CURLOPT_READDATA, file);
    curl_easy_setopt(api->easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(api->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(api->easy, CURLOPT_XFERINFODATA, &progress);
    CURLcode sent = curl_easy_perform(api->easy);
    progress_end(&progress);
    code = server_api_judge(api, sent);
    curl_slist_free_all(headers);
    return code == EXIT_OK ? say_uploaded(api) : code;
}

static int run_upload(struct call *call)
{
    struct server_api api;
    struct stat st;
    const char *path = call->args[0];
    const char *slash = strrchr(path, '/');
    const char *name = call->option[NAME];
    FILE *file = fopen(path, "re");

    if (file == NULL || fstat(fileno(file), &st) != 0) {
        return fail(call, EXIT_FAILED, "%s: %s", safe(path), strerror(errno));
    }
    int code = EXIT_FAILED;
    if (!S_ISREG(st.st_mode)) {
        fail(call, code, "%s is not a file", safe(path));
    } else if ((code = server_api_open(&api, call)) == EXIT_OK) {
        name = name != NULL ? name : slash != NULL ? slash + 1 : path;
        code = send_file(&api, file, name, (uint64_t)st.st_size);
        server_api_close(&api);
    }
    fclose(file);
    return code;
}

const struct command command_server_upload = {
    .name = "server upload",
    .args = "FILE",
    .brief = "give an image to the update server",
    .about = "Sends FILE to the server, where devices can be assigned to it by its name. One that\n"
             "is there already under that name is replaced, whole: devices get the old or the "
             "new.\n" SERVER_HELP,
    .schema = "otter.server.upload/1",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .run = run_upload,
};
