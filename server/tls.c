/* SPDX-License-Identifier: Apache-2.0 */
#include "tls.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define TICKET_KEY_SECONDS (12 * 3600)

struct ticket_key {
    unsigned char name[16];
    unsigned char aes[32];
    unsigned char mac[32];
    time_t made; /* CLOCK_BOOTTIME, seconds; 0: no key */
};

struct file_stamp {
    struct timespec changed;
    ino_t inode;
    off_t size;
};

struct tls {
    char *cert;
    char *key;
    struct file_stamp stamps[2];
    pthread_mutex_t lock; /* guards what follows */
    SSL_CTX *ctx;
    struct ticket_key tickets[2]; /* [0] makes new tickets */
};

static int tls_index = -1; /* where a context keeps its struct tls; set once, before threads */

static time_t clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec + 1;
}

static bool new_ticket_key(struct ticket_key *key)
{
    key->made = clock_seconds();
    return RAND_bytes(key->name, sizeof key->name) == 1 &&
           RAND_bytes(key->aes, sizeof key->aes) == 1 && RAND_bytes(key->mac, sizeof key->mac) == 1;
}

/* Copies the key to use: for a new ticket [0], renewed when old; else the one that is named.
 * Returns 0 when there is none, 1, or 2 when the ticket should be renewed. */
static int pick_ticket_key(struct tls *tls, const unsigned char *name, struct ticket_key *out)
{
    int result = 0;
    pthread_mutex_lock(&tls->lock);
    if (clock_seconds() - tls->tickets[0].made > TICKET_KEY_SECONDS) {
        struct ticket_key fresh;
        if (new_ticket_key(&fresh)) {
            tls->tickets[1] = tls->tickets[0];
            tls->tickets[0] = fresh;
        }
    }
    for (int i = 0; i < 2 && result == 0; i++) {
        struct ticket_key *key = &tls->tickets[i];
        if (key->made != 0 && (name == NULL || memcmp(name, key->name, sizeof key->name) == 0) &&
            clock_seconds() - key->made <= 2 * TICKET_KEY_SECONDS) {
            *out = *key;
            result = i + 1;
        }
    }
    pthread_mutex_unlock(&tls->lock);
    return result;
}

static int ticket_callback(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                           EVP_MAC_CTX *mac, int encrypt)
{
    struct tls *tls = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), tls_index);
    struct ticket_key key;
    int found = pick_ticket_key(tls, encrypt ? NULL : name, &key);
    if (found == 0) {
        return 0;
    }
    if (encrypt) {
        memcpy(name, key.name, sizeof key.name);
        if (RAND_bytes(iv, EVP_CIPHER_iv_length(EVP_aes_256_cbc())) != 1) {
            return -1;
        }
    }
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac, sizeof key.mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    int good = EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.aes, iv, encrypt) == 1 &&
               EVP_MAC_CTX_set_params(mac, params) == 1;
    OPENSSL_cleanse(&key, sizeof key);
    if (!encrypt && SSL_version(ssl) >= TLS1_3_VERSION) {
        found = 2; /* a ticket is for one use: the client gets another */
    }
    return good ? found : -1;
}

static void stamp_file(const char *path, struct file_stamp *stamp)
{
    struct stat st;
    memset(stamp, 0, sizeof *stamp);
    if (stat(path, &st) == 0) {
        *stamp = (struct file_stamp){st.st_mtim, st.st_ino, st.st_size};
    }
}

static void describe(char *error, size_t size, const char *what, const char *path)
{
    unsigned long code = ERR_get_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    snprintf(error, size, "%s %s: %s", what, path, reason != NULL ? reason : "not usable");
    ERR_clear_error();
}

static SSL_CTX *make_context(struct tls *tls, char *error, size_t size)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (ctx == NULL || SSL_CTX_set_ex_data(ctx, tls_index, tls) != 1) {
        snprintf(error, size, "out of memory");
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"otterd", 6);
    SSL_CTX_set_timeout(ctx, TICKET_KEY_SECONDS);
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_callback);
    if (SSL_CTX_use_certificate_chain_file(ctx, tls->cert) != 1) {
        describe(error, size, "certificate", tls->cert);
    } else if (SSL_CTX_use_PrivateKey_file(ctx, tls->key, SSL_FILETYPE_PEM) != 1) {
        describe(error, size, "key", tls->key);
    } else if (SSL_CTX_check_private_key(ctx) != 1) {
        describe(error, size, "the key does not belong to the certificate: key", tls->key);
    } else {
        return ctx;
    }
    SSL_CTX_free(ctx);
    return NULL;
}

bool tls_reload(struct tls *tls, char *error, size_t error_size)
{
    /* Stamped before reading: a change in between is found at the next look. */
    stamp_file(tls->cert, &tls->stamps[0]);
    stamp_file(tls->key, &tls->stamps[1]);
    SSL_CTX *fresh = make_context(tls, error, error_size);
    if (fresh == NULL) {
        return false;
    }
    pthread_mutex_lock(&tls->lock);
    SSL_CTX *old = tls->ctx;
    tls->ctx = fresh;
    pthread_mutex_unlock(&tls->lock);
    SSL_CTX_free(old); /* lives on in the connections that use it */
    return true;
}

bool tls_changed(struct tls *tls)
{
    struct file_stamp now[2];
    stamp_file(tls->cert, &now[0]);
    stamp_file(tls->key, &now[1]);
    return memcmp(now, tls->stamps, sizeof now) != 0;
}

struct tls *tls_open(const char *cert, const char *key, char *error, size_t error_size)
{
    struct tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL) {
        return NULL;
    }
    if (tls_index < 0) {
        tls_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    }
    pthread_mutex_init(&tls->lock, NULL);
    tls->cert = strdup(cert);
    tls->key = strdup(key);
    if (tls->cert == NULL || tls->key == NULL || !new_ticket_key(&tls->tickets[0]) ||
        !tls_reload(tls, error, error_size)) {
        tls_close(tls);
        return NULL;
    }
    return tls;
}

void tls_close(struct tls *tls)
{
    if (tls == NULL) {
        return;
    }
    SSL_CTX_free(tls->ctx);
    pthread_mutex_destroy(&tls->lock);
    free(tls->cert);
    free(tls->key);
    OPENSSL_cleanse(tls->tickets, sizeof tls->tickets);
    free(tls);
}

SSL *tls_accept(struct tls *tls)
{
    pthread_mutex_lock(&tls->lock);
    SSL *ssl = SSL_new(tls->ctx);
    pthread_mutex_unlock(&tls->lock);
    return ssl;
}

int64_t tls_seconds_left(struct tls *tls)
{
    int days = 0;
    int seconds = 0;
    pthread_mutex_lock(&tls->lock);
    const ASN1_TIME *end = X509_get0_notAfter(SSL_CTX_get0_certificate(tls->ctx));
    int good = ASN1_TIME_diff(&days, &seconds, NULL, end);
    pthread_mutex_unlock(&tls->lock);
    return good ? (int64_t)days * 86400 + seconds : 0;
}
