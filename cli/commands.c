/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

extern const struct command command_image_info;
extern const struct command command_image_verify;
extern const struct command command_image_create;
extern const struct command command_image_sign;
extern const struct command command_image_encrypt;
extern const struct command command_image_decrypt;
extern const struct command command_key_generate;
extern const struct command command_key_digest;
extern const struct command command_flash_create;
extern const struct command command_flash_info;
extern const struct command command_flash_boot;
extern const struct command command_flash_confirm;
extern const struct command command_flash_update;
extern const struct command command_flash_extract;
extern const struct command command_doctor;
extern const struct command command_scan;
extern const struct command command_update;
extern const struct command command_hosted_version;
extern const struct command command_hosted_begin;
extern const struct command command_hosted_write;
extern const struct command command_hosted_end;
extern const struct command command_server_upload;
extern const struct command command_server_list;
extern const struct command command_server_remove;
extern const struct command command_server_devices;
extern const struct command command_server_assign;
extern const struct command command_server_unassign;
extern const struct command command_server_watch;
extern const struct command command_fleet;

/* In the order of the overview, a row a command. Commands of one group stand together. */
/* clang-format off */
const struct command *const commands[] = {
    &command_doctor,
    &command_scan,
    &command_update,
    &command_image_info,
    &command_image_verify,
    &command_image_create,
    &command_image_sign,
    &command_image_encrypt,
    &command_image_decrypt,
    &command_key_generate,
    &command_key_digest,
    &command_flash_create,
    &command_flash_info,
    &command_flash_update,
    &command_flash_boot,
    &command_flash_confirm,
    &command_flash_extract,
    &command_hosted_version,
    &command_hosted_begin,
    &command_hosted_write,
    &command_hosted_end,
    &command_server_upload,
    &command_server_list,
    &command_server_remove,
    &command_server_assign,
    &command_server_unassign,
    &command_server_devices,
    &command_server_watch,
    &command_fleet,
    NULL,
};
/* clang-format on */
