/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates for `otterd init`: a CA of one's own and a server certificate signed by it. */
#ifndef OTTERD_CERTS_H
#define OTTERD_CERTS_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>

/* ECDSA on P-256: small certificates and fast handshakes, on an ESP32 too. NULL on failure. */
EVP_PKEY *cert_new_key(void);

/*
 * A certificate for key named common_name, good for days. issuer NULL: a CA, signed by itself. Else
 * a server certificate for the alternative names in alt ("DNS:a,IP:1.2.3.4"), signed by issuer.
 */
X509 *cert_new(EVP_PKEY *key, const char *common_name, const char *alt, int days, X509 *issuer,
               EVP_PKEY *issuer_key);

bool cert_write(const char *path, X509 *cert, X509 *next);
bool cert_write_key(const char *path, EVP_PKEY *key);
X509 *cert_read(const char *path);
/* Number i of the certificate's alternative names, as text; false when there are no more. A name
 * that is neither a host's nor an address is an empty text. */
bool cert_alt_name(X509 *cert, int i, char *name, size_t size);
EVP_PKEY *cert_read_key(const char *path);
#endif
