/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS for the listeners: TLS 1.2 and newer, a certificate that can be renewed while the server
 * runs, and stateless session tickets whose keys outlive the certificate and change every half
 * day (the last key is still understood for another half).
 */
#ifndef OTTERD_TLS_H
#define OTTERD_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>

struct tls;

/* Reads certificate chain and key (PEM files). NULL, with a sentence in error, when they cannot
 * be used. The caller frees with tls_close(). */
struct tls *tls_open(const char *cert, const char *key, char *error, size_t error_size);
void tls_close(struct tls *tls);

/* A server side for one connection, or NULL. Any thread. */
SSL *tls_accept(struct tls *tls);

/* Reads the files again. On failure the old certificate stays and error says why. */
bool tls_reload(struct tls *tls, char *error, size_t error_size);

/* True when a file has changed since it was last read. */
bool tls_changed(struct tls *tls);

/* When the certificate ends, as seconds from now; negative when it has. */
int64_t tls_seconds_left(struct tls *tls);
#endif
