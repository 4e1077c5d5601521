/* SPDX-License-Identifier: Apache-2.0 */
#include "host/https.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOTS_MAX (1024u * 1024u) /* bytes of one file */
#define LOGIN_MAX 1024u

/* The whole file, terminated; NULL with errno. */
static char *read_file(const char *path, size_t max, size_t *len)
{
    FILE *f = fopen(path, "re");
    char *text = f != NULL ? malloc(max + 1) : NULL;

    if (text != NULL) {
        errno = 0;
        *len = fread(text, 1, max, f);
        if (ferror(f) != 0) {
            free(text);
            text = NULL;
        } else {
            text[*len] = '\0';
        }
    }
    if (f != NULL) {
        int why = errno;

        fclose(f);
        errno = why;
    }
    return text;
}

static bool has_certificate(const char *text, size_t len)
{
    BIO *bio = BIO_new_mem_buf(text, (int)len);
    X509 *x509 = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    bool has = x509 != NULL;

    X509_free(x509);
    BIO_free(bio);
    ERR_clear_error();
    return has;
}

static bool add_roots(struct otter_https *https, const char *path)
{
    size_t len = 0;
    char *text = read_file(path, ROOTS_MAX, &len);

    if (text == NULL || !has_certificate(text, len)) {
        snprintf(https->error, sizeof(https->error), "%.200s: %s", path,
                 text == NULL ? strerror(errno) : "there is no certificate in it (PEM is needed)");
        free(text);
        return false;
    }
    char *all = realloc(https->roots, https->roots_len + len + 1);
    if (all != NULL) {
        memcpy(all + https->roots_len, text, len);
        https->roots_len += len;
        all[https->roots_len++] = '\n';
        https->roots = all;
    } else {
        snprintf(https->error, sizeof(https->error), "out of memory");
    }
    free(text);
    return all != NULL;
}

static bool read_login(struct otter_https *https, const char *path)
{
    const char *from = getenv("OTTER_LOGIN");
    const char *name = getenv("US_AUTH_USERNAME"), *password = getenv("US_AUTH_PASSWORD");
    const char *where = path != NULL ? path : "OTTER_LOGIN";
    size_t len = 0;
    int n = 0;

    if (path != NULL) {
        https->login = read_file(path, LOGIN_MAX, &len);
        if (https->login == NULL) {
            snprintf(https->error, sizeof(https->error), "%.200s: %s", path, strerror(errno));
            return false;
        }
        https->login[strcspn(https->login, "\r\n")] = '\0';
    } else if (from != NULL) {
        https->login = strdup(from);
    } else if (name != NULL && password != NULL) {
        n = asprintf(&https->login, "%s:%s", name, password);
        where = "US_AUTH_USERNAME";
    } else {
        return true;
    }
    if (https->login == NULL || n < 0 || strchr(https->login, ':') == NULL) {
        snprintf(https->error, sizeof(https->error),
                 "%.200s: credentials are one line, NAME:PASSWORD", where);
        return false;
    }
    return true;
}

bool otter_https_open(struct otter_https *https, const char *const cacert[], size_t count,
                      const char *login_file)
{
    *https = (struct otter_https){0};
    bool good = read_login(https, login_file);
    for (size_t i = 0; i < count && good; i++) {
        good = add_roots(https, cacert[i]);
    }
    if (!good) {
        otter_https_close(https);
    }
    return good;
}

void otter_https_close(struct otter_https *https)
{
    if (https->login != NULL) {
        OPENSSL_cleanse(https->login, strlen(https->login));
    }
    free(https->login);
    free(https->roots);
    https->login = https->roots = NULL;
}

void otter_https_apply(const struct otter_https *https, CURL *easy, bool authorize)
{
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    if (https->roots != NULL) {
        struct curl_blob blob = {
            .data = https->roots, .len = https->roots_len, .flags = CURL_BLOB_NOCOPY};

        curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* these and no others */
    }
    if (authorize && https->login != NULL) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(easy, CURLOPT_USERPWD, https->login);
    }
}
