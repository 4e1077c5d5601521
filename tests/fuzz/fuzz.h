/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz targets share. A target is one LLVMFuzzerTestOneInput() in fuzz_NAME.c. */
#ifndef OTTER_TESTS_FUZZ_H
#define OTTER_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "otter/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold for every input; when it does not, the run stops here. */
#define FUZZ_HOLDS(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fuzz_broken(__FILE__, __LINE__, #condition);                                           \
        }                                                                                          \
    } while (0)
_Noreturn void fuzz_broken(const char *file, int line, const char *condition);

/* A stand-in for SHA-256 and MD5 (32-bit FNV-1a, repeated): a fuzzer can find its way past it, and
 * make_seeds.py can compute it. */
struct fuzz_hash {
    uint32_t state;
};
struct otter_hash fuzz_hash_on(struct fuzz_hash *hash);
otter_err fuzz_md5(const uint8_t *data, size_t len, uint8_t digest[16]);

/* A small generator of numbers for decisions that an input seeds. */
uint32_t fuzz_next(uint32_t *state);

#endif
