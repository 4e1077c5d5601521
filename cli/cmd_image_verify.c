/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "files.h"
#include "image_report.h"
#include "output.h"

static int run_verify(struct call *call)
{
    struct image_scan scan;
    int code = image_judge_file(call, call->args[0], &scan);
    if (code == EXIT_OK && !call->json) {
        printf("%s: ", file_name(call->args[0]));
        print_styled(stdout, STYLE_GOOD, "ok");
        printf(", %s for %s, checksum and SHA-256 hold\n",
               scan.image.facts.has_desc ? version_text(&scan.image.facts) : "image",
               chip_text(scan.image.facts.chip_id));
    }
    return code;
}

const struct command command_image_verify = {
    .name = "image verify",
    .args = "FILE",
    .brief = "check that an image is whole",
    .about =
        "Checks an ESP32 image whole: header, segments, checksum and SHA-256, as a device does\n"
        "before it takes an update. An image without SHA-256 does not pass.\n"
        "FILE is an image, - for standard input. Exit code 0: valid, 3: not.\n",
    .schema = "otter.image/1",
    .args_min = 1,
    .args_max = 1,
    .run = run_verify,
};
