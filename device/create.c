/* SPDX-License-Identifier: Apache-2.0 */
/* A new device's flash: 4 MB, two slots of 1.5 MB, an image in the first. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/device.h"
#include "host/image_build.h"
#include "host/partition_csv.h"

#define FLASH_SIZE (4u * 1024u * 1024u)
#define IMAGE_SIZE (256u * 1024u)

/* Table and image into flash, which is all 0xFF. */
static otter_err fill(const struct device_options *options, uint8_t *flash)
{
    struct otter_partition rows[OTTER_TABLE_ROWS_MAX];
    struct otter_partition_table table = {.rows = rows, .capacity = OTTER_TABLE_ROWS_MAX};
    struct otter_csv_error where;
    const char *csv = otter_partition_layout("no-factory");

    otter_err err = otter_partition_csv_read(csv, strlen(csv), &table, &where);
    if (err == OTTER_OK) {
        err = otter_partition_build(&table, FLASH_SIZE, otter_md5, flash + OTTER_TABLE_OFFSET);
    }
    if (err != OTTER_OK) {
        return err;
    }
    struct otter_image_spec spec = {
        .chip_id = options->chip_id != OTTER_CHIP_ANY ? options->chip_id : 0 /* ESP32 */,
        .project = options->project,
        .version = options->version,
        .size = IMAGE_SIZE,
    };
    uint8_t *image = NULL;
    size_t len = 0;
    err = otter_image_build(&spec, &image, &len);
    if (err == OTTER_OK) {
        const struct otter_partition *slot =
            otter_partition_find(&table, OTTER_PART_TYPE_APP, OTTER_PART_APP_OTA_0);

        memcpy(flash + slot->offset, image, len);
    }
    free(image);
    return err;
}

/* Appears whole or not at all: two devices may be started on one name. */
static bool write_file(const char *path, const uint8_t *data, size_t len)
{
    char copy[4096];

    if (snprintf(copy, sizeof(copy), "%s.%ld", path, (long)getpid()) >= (int)sizeof(copy)) {
        errno = ENAMETOOLONG;
        return false;
    }
    int fd = open(copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        return false;
    }
    bool good = write(fd, data, len) == (ssize_t)len && fsync(fd) == 0;
    good = close(fd) == 0 && good && link(copy, path) == 0;
    int saved = errno;
    unlink(copy);
    errno = saved;
    return good;
}

bool device_create_flash(const struct device_options *options, const char **why)
{
    uint8_t *flash = malloc(FLASH_SIZE);

    if (flash == NULL) {
        *why = strerror(errno);
        return false;
    }
    memset(flash, 0xFF, FLASH_SIZE);
    otter_err err = fill(options, flash);
    bool good = err == OTTER_OK;
    if (!good) {
        *why = otter_err_text(err);
    } else if (!write_file(options->flash_path, flash, FLASH_SIZE)) {
        *why = strerror(errno);
        good = false;
    }
    free(flash);
    return good;
}
