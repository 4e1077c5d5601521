/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "files.h"
#include "image_report.h"
#include "output.h"

static int run_info(struct call *call)
{
    struct image_scan scan;
    const char *path = call->args[0];
    int code = image_judge_file(call, path, &scan);
    if (code == EXIT_OK && !call->json) {
        print_styled(stdout, STYLE_STRONG, "%s", file_name(path));
        printf(": ");
        print_styled(stdout, STYLE_GOOD, "valid image\n");
        image_print(&scan);
    }
    return code;
}

const struct command command_image_info = {
    .name = "image info",
    .args = "FILE",
    .brief = "show what is in an image",
    .about =
        "Shows what is in an ESP32 image: chip, project, version, segments, SHA-256. The image\n"
        "is verified whole; one that is not valid is an error (exit code 3).\n"
        "FILE is an application or second-stage bootloader image, - for standard input.\n",
    .schema = "otter.image/1",
    .args_min = 1,
    .args_max = 1,
    .run = run_info,
};
