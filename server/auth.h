/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials of a request: HTTP Basic. A password is hashed slowly, once, on a lane of its own;
 * that it was right is remembered as a keyed digest, compared in constant time. Wrong attempts are
 * slowed down by address: over its allowance an address gets 429 whatever it sends, so that the
 * memory of right ones does not answer guesses.
 */
#ifndef OTTERD_AUTH_H
#define OTTERD_AUTH_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>

#include "request.h"

#define LOGIN_MAC_SIZE 32u
#define LOGINS_MAX 512u /* remembered by a worker; a power of two */

struct login {
    uint8_t mac[LOGIN_MAC_SIZE]; /* of "name:password", under the process's own key */
    uint64_t generation;
    uint8_t role; /* enum role; ROLE_NONE: an empty place */
    char user[USER_NAME_MAX + 1];
};

struct verdicts;

/* Makes the process's key. False without randomness. */
bool auth_init(void);
/* What a worker computes digests with; NULL when there is none. After auth_init(). */
EVP_MAC_CTX *auth_mac_new(void);

/* What the lane that checks passwords has as its ctx. */
struct verdicts *auth_verdicts_new(void);
void auth_verdicts_free(struct verdicts *verdicts);

/* Goes on with request_admit(), at once or later, or answers. */
void auth_check(struct request *request);
#endif
