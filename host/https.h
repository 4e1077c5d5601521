/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients of an update server share: the roots they trust and the credentials they show.
 * Nothing of it ever comes from the command line, where other users of the machine could read it.
 */
#ifndef OTTER_HOST_HTTPS_H
#define OTTER_HOST_HTTPS_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

struct otter_https {
    char *roots; /* PEM; NULL: the roots of the system */
    size_t roots_len;
    char *login;     /* "NAME:PASSWORD", or NULL */
    char error[320]; /* one sentence, when something could not be read */
};

/* Reads the certificates of cacert[0..count), all of which are trusted, and no others; none given:
 * those of the system. The credentials are the first line of login_file, or with NULL what
 * OTTER_LOGIN holds (NAME:PASSWORD), or US_AUTH_USERNAME and US_AUTH_PASSWORD, or none.
 * False: error says why; nothing is held. */
bool otter_https_open(struct otter_https *https, const char *const cacert[], size_t count,
                      const char *login_file);
void otter_https_close(struct otter_https *https);

/* Sets up one request: https only, TLS 1.2 at least, chain and host name checked, no redirect
 * followed; with the credentials when authorize. */
void otter_https_apply(const struct otter_https *https, CURL *easy, bool authorize);

#endif
