/* SPDX-License-Identifier: Apache-2.0 */
#include "auth.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conn.h"
#include "log.h"
#include "users.h"
#include "work.h"

#define CREDENTIALS_MAX 384u /* "name:password", bytes */

static uint8_t auth_key[32]; /* set once, before there are threads */

bool auth_init(void)
{
    return RAND_bytes(auth_key, sizeof auth_key) == 1;
}

/* The first server's paths answer 403 whatever is wrong with the credentials. */
static void refuse(struct request *request)
{
    const char *first = request->path.segment[0];
    if (strcmp(first, "devices") == 0 || strcmp(first, "files") == 0) {
        reply_error(request, 403, "no valid credentials");
        return;
    }
    reply_field(request, "WWW-Authenticate", "Basic realm=\"otterd\", charset=\"UTF-8\"");
    reply_error(request, 401, "no valid credentials");
}

/* Decodes "Basic ..." into "name:password", NUL-terminated. */
static bool decode(struct http_text field, char out[CREDENTIALS_MAX + 4])
{
    unsigned char block[CREDENTIALS_MAX / 3 * 4 + 1];
    if (field.at == NULL || field.len < 7 || strncasecmp(field.at, "Basic ", 6) != 0) {
        return false;
    }
    size_t len = field.len - 6;
    if (len % 4 != 0 || len >= sizeof block) {
        return false;
    }
    memcpy(block, field.at + 6, len);
    int got = EVP_DecodeBlock((unsigned char *)out, block, (int)len);
    OPENSSL_cleanse(block, sizeof block);
    if (got < 0) {
        return false;
    }
    for (size_t i = len; got > 0 && i > len - 2 && field.at[6 + i - 1] == '='; i--) {
        got--;
    }
    out[got] = 0;
    char *colon = strchr(out, ':');
    /* A NUL inside would hide the rest from crypt(3). */
    return strlen(out) == (size_t)got && colon != NULL && colon > out &&
           (size_t)(colon - out) <= USER_NAME_MAX;
}

/* A context that stays keyed: fetching and keying one for each request would cost more than the
 * rest of it. */
EVP_MAC_CTX *auth_mac_new(void)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *mac = hmac != NULL ? EVP_MAC_CTX_new(hmac) : NULL;
    EVP_MAC_free(hmac);
    if (mac != NULL && EVP_MAC_init(mac, auth_key, sizeof auth_key, params) != 1) {
        EVP_MAC_CTX_free(mac);
        return NULL;
    }
    return mac;
}

static bool make_mac(EVP_MAC_CTX *mac, const char *credentials, uint8_t out[LOGIN_MAC_SIZE])
{
    size_t len = 0;
    return EVP_MAC_init(mac, NULL, 0, NULL) == 1 &&
           EVP_MAC_update(mac, (const unsigned char *)credentials, strlen(credentials)) == 1 &&
           EVP_MAC_final(mac, out, &len, LOGIN_MAC_SIZE) == 1;
}

static bool is_login(const struct login *login, const uint8_t mac[LOGIN_MAC_SIZE],
                     uint64_t generation)
{
    return login->role != ROLE_NONE && login->generation == generation &&
           CRYPTO_memcmp(login->mac, mac, LOGIN_MAC_SIZE) == 0;
}

static struct login *place_of(struct worker *worker, const uint8_t mac[LOGIN_MAC_SIZE])
{
    return &worker->logins[(mac[0] | mac[1] << 8) & (LOGINS_MAX - 1)];
}

static void welcome(struct request *request, const struct login *login)
{
    request->conn->login = *login;
    memcpy(request->user, login->user, sizeof request->user);
    request_admit(request, (enum role)login->role);
}

/* --- the slow way ---------------------------------------------------------------------------- */

struct check {
    struct work work;
    struct check *next; /* of the worker's that are under way */
    struct check **place;
    struct users *users;
    struct login login;
    struct addr_key addr;
    struct addrs *addrs;
    bool spent; /* an attempt of the address */
    char credentials[CREDENTIALS_MAX + 4];
};

#define VERDICTS_MAX 16u

/* The lane's last verdicts, wrong ones too: a fleet that comes at once with the same credentials is
 * one hash. */
struct verdicts {
    struct login last[VERDICTS_MAX];
    size_t next;
};

struct verdicts *auth_verdicts_new(void)
{
    return calloc(1, sizeof(struct verdicts));
}

void auth_verdicts_free(struct verdicts *verdicts)
{
    if (verdicts != NULL) {
        OPENSSL_cleanse(verdicts, sizeof *verdicts);
        free(verdicts);
    }
}

static void decide(struct check *check, struct verdicts *verdicts)
{
    struct login *login = &check->login;
    login->generation = users_generation(check->users); /* never 0 */
    for (size_t i = 0; i < VERDICTS_MAX; i++) {
        const struct login *last = &verdicts->last[i];
        if (last->generation == login->generation &&
            CRYPTO_memcmp(last->mac, login->mac, LOGIN_MAC_SIZE) == 0) {
            login->role = last->role;
            return;
        }
    }
    char *colon = strchr(check->credentials, ':');
    *colon = 0;
    login->role = (uint8_t)users_check(check->users, check->credentials, colon + 1);
    verdicts->last[verdicts->next++ % VERDICTS_MAX] = *login;
}

static void check_run(struct work *work, struct lane *lane)
{
    struct check *check = (struct check *)work;
    decide(check, lane->ctx);
    if (check->login.role != ROLE_NONE && check->spent) {
        addrs_refund(check->addrs, check->addr);
    }
}

static void check_done(struct work *work)
{
    struct check *check = (struct check *)work;
    struct request *request = work->request;
    if (check->login.role != ROLE_NONE) {
        *place_of(request->worker, check->login.mac) = check->login;
        welcome(request, &check->login);
        return;
    }
    struct log_line line;
    log_begin(&line, LOG_LEVEL_WARNING, "login");
    log_text(&line, "address", request->conn->address);
    log_text(&line, "user", check->login.user);
    log_text(&line, "result", "refused");
    log_end(&line);
    metrics_add(&request->worker->metrics, METRIC_BAD_LOGINS, 1);
    refuse(request);
}

static void check_free(struct work *work)
{
    struct check *check = (struct check *)work;
    *check->place = check->next;
    if (check->next != NULL) {
        check->next->place = check->place;
    }
    OPENSSL_cleanse(check->credentials, sizeof check->credentials);
    free(check);
}

/* Whether the same credentials from the same address are being checked already. Then this is not
 * another attempt: there is nothing more to be learned from it. */
static bool under_way(const struct check *check, const uint8_t mac[LOGIN_MAC_SIZE],
                      struct addr_key addr)
{
    while (check != NULL && (memcmp(&check->addr, &addr, sizeof addr) != 0 ||
                             CRYPTO_memcmp(check->login.mac, mac, LOGIN_MAC_SIZE) != 0)) {
        check = check->next;
    }
    return check != NULL;
}

static void check_slowly(struct request *request, const char *credentials,
                         const uint8_t mac[LOGIN_MAC_SIZE])
{
    struct server *server = request->server;
    struct check *check = calloc(1, sizeof *check);
    if (check == NULL) {
        reply_error(request, 503, "out of memory");
        return;
    }
    check->work.run = check_run;
    check->work.done = check_done;
    check->work.free = check_free;
    check->users = server->users;
    check->addrs = &server->addrs;
    check->addr = request->conn->addr;
    memcpy(check->login.mac, mac, LOGIN_MAC_SIZE);
    memcpy(check->login.user, credentials, strcspn(credentials, ":"));
    strcpy(check->credentials, credentials);
    check->spent = !under_way(request->worker->checks, mac, check->addr);
    if (check->spent) {
        addrs_spend(&server->addrs, check->addr, request->worker->now_ms);
    }
    check->next = request->worker->checks;
    check->place = &request->worker->checks;
    if (check->next != NULL) {
        check->next->place = &check->next;
    }
    request->worker->checks = check;
    work_post(request, &server->auth_lane, &check->work);
}

/* --- the way in ------------------------------------------------------------------------------ */

static void slow_down(struct request *request, uint32_t wait_ms)
{
    char seconds[16];
    snprintf(seconds, sizeof seconds, "%u", wait_ms / 1000 + 1);
    metrics_add(&request->worker->metrics, METRIC_SLOWED, 1);
    reply_field(request, "Retry-After", seconds);
    reply_error(request, 429, "too many wrong attempts from this address");
}

void auth_check(struct request *request)
{
    struct worker *worker = request->worker;
    struct conn *conn = request->conn;
    char credentials[CREDENTIALS_MAX + 4];
    uint8_t mac[LOGIN_MAC_SIZE];
    if (!decode(request->head.authorization, credentials) ||
        !make_mac(worker->mac, credentials, mac)) {
        refuse(request);
        return;
    }
    uint64_t generation = users_generation(request->server->users);
    if (is_login(&conn->login, mac, generation)) {
        welcome(request, &conn->login);
    } else {
        uint32_t wait_ms = addrs_wait_ms(&request->server->addrs, conn->addr, worker->now_ms);
        const struct login *known = place_of(worker, mac);
        if (wait_ms > 0) {
            slow_down(request, wait_ms);
        } else if (is_login(known, mac, generation)) {
            welcome(request, known);
        } else {
            check_slowly(request, credentials, mac);
        }
    }
    OPENSSL_cleanse(credentials, sizeof credentials);
}
