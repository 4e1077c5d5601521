/* SPDX-License-Identifier: Apache-2.0 */
/* Key files of the tool's commands: PEM, RSA-3072 or P-256. */
#ifndef OTTER_CLI_KEY_FILE_H
#define OTTER_CLI_KEY_FILE_H

#include <openssl/evp.h>

#include "cli.h"

/* Reads a key. private_needed: a public one is refused. Returns an exit code; the key is freed with
 * EVP_PKEY_free(). */
int key_file_read(struct call *call, const char *path, bool private_needed, EVP_PKEY **key);

/* "RSA-3072" or "P-256". */
const char *key_file_kind(const EVP_PKEY *key);

#endif
