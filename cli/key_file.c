/* SPDX-License-Identifier: Apache-2.0 */
#include "key_file.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#include "files.h"
#include "host/signing.h"
#include "output.h"

#define KEY_FILE_MAX (64u << 10) /* bytes */

int key_file_read(struct call *call, const char *path, bool private_needed, EVP_PKEY **key)
{
    uint8_t *pem = NULL;
    size_t len = 0;
    bool is_private, is_rsa;
    int code = input_read(call, path, KEY_FILE_MAX, "a key", &pem, &len);
    if (code) {
        return code;
    }
    *key = otter_key_read(pem, len, &is_private);
    OPENSSL_cleanse(pem, len);
    free(pem);
    if (!*key) {
        return fail(call, EXIT_FAILED, "%s is not a key in PEM format", file_name(path));
    }
    if (!otter_key_fits(*key, &is_rsa)) {
        code = fail(call, EXIT_FAILED, "%s is a key of another kind: RSA-3072 or P-256 is needed",
                    file_name(path));
    } else if (private_needed && !is_private) {
        code = fail(call, EXIT_FAILED, "%s is a public key; the private one is needed",
                    file_name(path));
    }
    if (code) {
        EVP_PKEY_free(*key);
        *key = NULL;
    }
    return code;
}

const char *key_file_kind(const EVP_PKEY *key)
{
    bool is_rsa;
    (void)otter_key_fits(key, &is_rsa);
    return is_rsa ? "RSA-3072" : "P-256";
}
