/* SPDX-License-Identifier: Apache-2.0 */
/* att:PATH: devices on this machine, over Unix sockets. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/att_link.h"
#include "host/gatt_update.h"
#include "host/schemes.h"

#define SCAN_MS 2000u /* for one socket to say what it is */

static void att_update(const char *address, struct otter_firmware *firmware,
                       const struct otter_target_options *options,
                       const struct otter_target_observer *observer,
                       struct otter_target_result *result)
{
    struct otter_gatt_update *update = calloc(1, sizeof(*update));
    struct otter_att_link *att = calloc(1, sizeof(*att));

    *result = (struct otter_target_result){0};
    if (update == NULL || att == NULL) {
        otter_target_end(result, OTTER_TARGET_FAILED, OTTER_ERR_ARG, "out of memory");
    } else {
        struct otter_gatt_handlers handlers = otter_gatt_update_handlers(update);
        struct otter_gatt_link link =
            otter_att_link_init(att, &handlers, observer != NULL ? observer->cancel : NULL);

        otter_gatt_update_run(update, link, address, firmware, options, observer, result);
    }
    free(update);
    free(att);
}

static otter_err identify_within(const char *address, uint32_t timeout_ms,
                                 const volatile sig_atomic_t *cancel,
                                 struct otter_target_device *device, char *message, size_t size)
{
    struct otter_gatt_handlers none = {0};
    struct otter_att_link *att = calloc(1, sizeof(*att));

    if (att == NULL) {
        snprintf(message, size, "out of memory");
        return OTTER_ERR_ARG;
    }
    struct otter_gatt_link link = otter_att_link_init(att, &none, cancel);
    otter_err err = otter_gatt_identify_at(link, address, timeout_ms, device, message, size);
    free(att);
    return err;
}

static otter_err att_identify(const char *address, const struct otter_target_options *options,
                              struct otter_target_device *device, char *message, size_t size)
{
    (void)options;
    return identify_within(address, OTTER_ATT_TIMEOUT_MS, NULL, device, message, size);
}

/* Where sockets are looked for. */
static bool scan_folder(const struct otter_target_options *options, char *folder, size_t size,
                        char *message, size_t message_size)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");

    if (options->scan_folder != NULL) {
        snprintf(folder, size, "%s", options->scan_folder);
    } else if (runtime != NULL && *runtime == '/') {
        snprintf(folder, size, "%s/otter", runtime);
    } else {
        snprintf(message, message_size,
                 "XDG_RUNTIME_DIR is not set: name the folder where the sockets are");
        return false;
    }
    return true;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static otter_err att_scan(const struct otter_target_options *options,
                          const struct otter_target_observer *observer, otter_target_found found,
                          void *ctx, char *message, size_t size)
{
    char folder[512], uri[1024], why[256];
    struct dirent **entries;

    if (!scan_folder(options, folder, sizeof(folder), message, size)) {
        return OTTER_ERR_UNSUPPORTED; /* this session has no such folder */
    }
    int count = scandir(folder, &entries, is_visible, alphasort);
    if (count < 0) {
        /* The usual folder appears with the first device. */
        if (errno == ENOENT && options->scan_folder == NULL) {
            return OTTER_OK;
        }
        snprintf(message, size, "%s: %s", folder, strerror(errno));
        return OTTER_ERR_ARG;
    }
    bool go_on = true;
    for (int i = 0; i < count; i++) {
        struct otter_target_device device;
        struct stat st;

        snprintf(uri, sizeof(uri), "att:%s/%s", folder, entries[i]->d_name);
        free(entries[i]);
        if (go_on && !otter_target_cancelled(observer) && stat(uri + 4, &st) == 0 &&
            S_ISSOCK(st.st_mode) &&
            identify_within(uri + 4, SCAN_MS, observer != NULL ? observer->cancel : NULL, &device,
                            why, sizeof(why)) == OTTER_OK) {
            go_on = found(ctx, uri, &device);
        }
    }
    free(entries);
    return OTTER_OK;
}

const struct otter_target_scheme otter_target_att = {
    .name = "att",
    .example = "att:/run/user/1000/otter/kitchen",
    .help = "a virtual device on this machine, over a Unix socket",
    .scan = att_scan,
    .update = att_update,
    .identify = att_identify,
};
