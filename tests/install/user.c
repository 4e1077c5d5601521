/* SPDX-License-Identifier: Apache-2.0 */
/* A program of someone else: built against the installed library by scripts/check-install. Builds
 * an image, takes it apart in pieces, and prints what it found. */
#include <stdio.h>
#include <stdlib.h>

#include "host/image_build.h"
#include "host/sha256.h"
#include "host/target.h"
#include "otter/image.h"

int main(void)
{
    struct otter_image_spec spec = {.chip_id = 5, .project = "user", .version = "2.3.4"};
    struct otter_sha256 sha;
    struct otter_image image;
    uint8_t *data;
    size_t len;

    if (otter_image_build(&spec, &data, &len) != OTTER_OK || otter_sha256_new(&sha) != OTTER_OK) {
        return 1;
    }
    otter_err err = otter_image_begin(&image, otter_sha256_hash(&sha), (uint32_t)len);
    for (size_t at = 0; at < len && err == OTTER_OK; at += 1000) {
        err = otter_image_feed(&image, data + at, len - at < 1000 ? len - at : 1000);
    }
    if (err == OTTER_OK) {
        err = otter_image_end(&image);
    }
    printf("%s %s: %s\n", image.facts.project, image.facts.version, otter_err_text(err));
    otter_sha256_free(&sha);
    free(data);
    return err == OTTER_OK && otter_target_scheme_at(0) != NULL ? 0 : 1;
}
