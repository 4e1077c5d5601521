/* SPDX-License-Identifier: Apache-2.0 */
#include "host/schemes.h"

static void att_update(const char *address, struct otter_firmware *firmware,
                       const struct otter_target_options *options,
                       const struct otter_target_observer *observer,
                       struct otter_target_result *result)
{
    (void)address;
    (void)firmware;
    (void)options;
    (void)observer;
    otter_target_end(result, OTTER_TARGET_FAILED, OTTER_ERR_UNSUPPORTED, "not there yet");
}

const struct otter_target_scheme otter_target_att = {
    .name = "att",
    .example = "att:/run/user/1000/otter/kitchen",
    .help = "a virtual device on this machine, over a Unix socket",
    .update = att_update,
};
