/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "files.h"
#include "flash_view.h"
#include "host/partition_csv.h"
#include "image_report.h"
#include "otter/update.h"
#include "output.h"

enum { PARTITIONS, LAYOUT, SIZE, IMAGE, BOOTLOADER, OUTPUT };

static const struct option_spec options[] = {
    [PARTITIONS] = {"partitions", 'p', "FILE", "table: CSV as for ESP-IDF, or binary"},
    [LAYOUT] = {"layout", 'l', "two-ota|no-factory", "built-in table (two-ota)"},
    [SIZE] = {"size", 0, "BYTES", "size of the flash (4M, or what the table needs)"},
    [IMAGE] = {"image", 'i', "FILE", "image to put into factory, or else ota_0"},
    [BOOTLOADER] = {"bootloader", 0, "FILE", "second-stage bootloader, put where its chip has it"},
    [OUTPUT] = {"output", 'o', "FILE", "where to write the flash"},
    {NULL, 0, NULL, NULL},
};

/* A flash being put together. */
struct build {
    struct call *call;
    uint8_t *flash; /* size bytes, owned */
    uint32_t size;
    struct otter_partition rows[OTTER_TABLE_ROWS_MAX];
    struct otter_partition_table table;
    const char *table_name; /* for messages */
    uint16_t chip_id;
    int slot; /* the image is in */
    struct image_scan image;
};

static int read_csv(struct build *b, const char *name, const char *text, size_t len)
{
    struct otter_csv_error error;
    otter_err err = otter_partition_csv_read(text, len, &b->table, &error);
    if (err && error.line) {
        return fail(b->call, EXIT_INVALID, "%s, line %u: %s", name, error.line, error.text);
    }
    return err ? fail(b->call, EXIT_INVALID, "%s: %s", name, error.text) : EXIT_OK;
}

static int read_binary(struct build *b, const char *name, const uint8_t *data, size_t len)
{
    otter_err err = otter_partition_parse(&b->table, data, len, 0, otter_md5);
    return err ? fail(b->call, EXIT_INVALID, "%s is not a valid partition table: %s", name,
                      table_fault(&b->table, err, 0))
               : EXIT_OK;
}

static int read_table_file(struct build *b, const char *path)
{
    uint8_t *data = NULL;
    size_t len;
    int code = input_read(b->call, path, 1 << 16, "a partition table", &data, &len);
    if (code == EXIT_OK) {
        bool binary = len >= 2 && data[0] == 0xAA && data[1] == 0x50;
        code =
            binary ? read_binary(b, path, data, len) : read_csv(b, path, (const char *)data, len);
    }
    free(data);
    return code;
}

static int read_table(struct build *b)
{
    const char *path = b->call->option[PARTITIONS];
    b->table = (struct otter_partition_table){.rows = b->rows, .capacity = OTTER_TABLE_ROWS_MAX};
    b->table_name = path ? path : b->call->option[LAYOUT] ? b->call->option[LAYOUT] : "two-ota";
    if (path) {
        return read_table_file(b, path);
    }
    const char *text = otter_partition_layout(b->table_name);
    return text ? read_csv(b, b->table_name, text, strlen(text))
                : fail(b->call, EXIT_USAGE, "the layouts are two-ota and no-factory, not \"%s\"",
                       b->table_name);
}

/* Without --size, the usual 4 MB, or what holds the table. */
static void choose_size(struct build *b)
{
    for (b->size = 4u << 20; b->size < OTTER_FLASH_FILE_MAX; b->size *= 2) {
        bool fits = true;
        for (uint16_t i = 0; i < b->table.count; i++) {
            fits = fits && (uint64_t)b->rows[i].offset + b->rows[i].size <= b->size;
        }
        if (fits) {
            return;
        }
    }
}

static int put_table(struct build *b)
{
    otter_err err =
        otter_partition_build(&b->table, b->size, otter_md5, b->flash + OTTER_TABLE_OFFSET);
    return err ? fail(b->call, EXIT_INVALID, "%s: %s", b->table_name,
                      table_fault(&b->table, err, b->size))
               : EXIT_OK;
}

/* Reads and checks an image file; *data is the caller's. */
static int read_image(struct build *b, const char *path, uint8_t **data, size_t *len)
{
    int code = input_read(b->call, path, IMAGE_FILE_MAX, "an ESP32 image", data, len);
    code = code ? code : image_scan_bytes(b->call, *data, *len, &b->image);
    if (code == EXIT_OK && b->image.err) {
        return fail(b->call, EXIT_INVALID, "%s", image_fault(path, &b->image));
    }
    uint16_t id = b->image.image.facts.chip_id;
    if (code == EXIT_OK && b->chip_id != OTTER_CHIP_ANY && b->chip_id != id) {
        return fail(b->call, EXIT_INVALID, "%s is for %s, but the bootloader is for %s", path,
                    chip_text(id), chip_text(b->chip_id));
    }
    return code;
}

static int put_bootloader(struct build *b)
{
    const char *path = b->call->option[BOOTLOADER];
    uint8_t *data = NULL;
    size_t len;
    int code = path ? read_image(b, path, &data, &len) : EXIT_OK;
    if (path && code == EXIT_OK) {
        b->chip_id = b->image.image.facts.chip_id;
        uint32_t place = bootloader_place(b->chip_id);
        if (len > OTTER_TABLE_OFFSET - place) {
            code = fail(b->call, EXIT_INVALID, "%s does not fit below the table at 0x%x: %s", path,
                        OTTER_TABLE_OFFSET, "is it an application?");
        } else {
            memcpy(b->flash + place, data, len);
        }
    }
    free(data);
    return code;
}

static int put_image(struct build *b)
{
    const char *path = b->call->option[IMAGE];
    struct otter_layout layout;
    uint8_t *data = NULL;
    size_t len;
    b->slot = OTTER_SLOT_NONE;
    if (!path) {
        return EXIT_OK;
    }
    int code = read_image(b, path, &data, &len);
    otter_layout_from_table(&layout, &b->table);
    int slot = layout.factory.size ? OTTER_SLOT_FACTORY : 0;
    struct otter_region region = otter_layout_slot(&layout, slot);
    if (code == EXIT_OK && region.size == 0) {
        code = fail(b->call, EXIT_INVALID,
                    "the table has neither a factory nor an ota_0 partition "
                    "for the image");
    } else if (code == EXIT_OK && len > region.size) {
        code = fail(b->call, EXIT_INVALID,
                    "%s has %s bytes and the partition %s only %s: use a table with larger slots",
                    path, number_text(len), otter_slot_name(slot), number_text(region.size));
    } else if (code == EXIT_OK) {
        memcpy(b->flash + region.offset, data, len);
        b->slot = slot;
    }
    free(data);
    return code;
}

static void report(const struct build *b, const char *path)
{
    bool image = b->slot != OTTER_SLOT_NONE;
    const struct otter_image_facts *f = &b->image.image.facts;
    if (b->call->json) {
        json_object_set_new(b->call->json, "size", json_integer(b->size));
        json_object_set_new(b->call->json, "slot",
                            image ? json_string(otter_slot_name(b->slot)) : json_null());
    } else if (image) {
        printf("%s: %s flash, %s has %s for %s\n", safe(path), size_text(b->size),
               otter_slot_name(b->slot), version_text(f), chip_text(f->chip_id));
    } else {
        printf("%s: %s flash, all slots are empty\n", safe(path), size_text(b->size));
    }
}

/* The new file takes the place of the old one: a device that runs on that would go on with a file
 * that has no name any more. */
static int refuse_used(struct call *call, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool used = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;

    if (fd >= 0) {
        close(fd);
    }
    return used ? fail(call, EXIT_FAILED, "%s is in use by another program", safe(path)) : EXIT_OK;
}

static int build_and_write(struct build *b, const char *path)
{
    int code = read_table(b);
    if (code) {
        return code;
    }
    if (b->size == 0) {
        choose_size(b);
    }
    b->flash = malloc(b->size);
    if (!b->flash) {
        return fail(b->call, EXIT_FAILED, "out of memory");
    }
    memset(b->flash, 0xFF, b->size);
    code = put_table(b);
    code = code ? code : put_bootloader(b);
    code = code ? code : put_image(b);
    code = code ? code : refuse_used(b->call, path);
    code = code ? code : output_write(b->call, path, b->flash, b->size);
    if (code == EXIT_OK) {
        report(b, path);
    }
    free(b->flash);
    return code;
}

static int run(struct call *call)
{
    const char *path = call->option[OUTPUT] ? call->option[OUTPUT] : call->args[0];
    unsigned long size = 0;
    if (!path || (call->option[OUTPUT] && call->arg_count) || strcmp(path, "-") == 0) {
        return fail(call, EXIT_USAGE, "name one file to write: -o FILE");
    }
    if (call->option[PARTITIONS] && call->option[LAYOUT]) {
        return fail(call, EXIT_USAGE, "--partitions and --layout both name a table: use one");
    }
    if (!option_number(call, SIZE, OTTER_FLASH_FILE_MAX, &size)) {
        return EXIT_USAGE;
    }
    if (call->option[SIZE] && (size < OTTER_FLASH_FILE_MIN || size % OTTER_APP_ALIGNMENT)) {
        return fail(call, EXIT_USAGE, "the size of a flash is a multiple of 64K, such as 4M");
    }
    if (call->json) {
        json_object_set_new(call->json, "file", json_text(path));
    }
    struct build b = {.call = call, .size = (uint32_t)size, .chip_id = OTTER_CHIP_ANY};
    return build_and_write(&b, path);
}

const struct command command_flash_create = {
    .name = "flash create",
    .args = "-o FILE",
    .brief = "make a fresh flash with a table and an image",
    .about =
        "Makes a flash image file as a board has it after the first flashing: partition table\n"
        "at 0x8000, an image, everything else erased. It can be updated and booted here, or\n"
        "written to a board. FILE is replaced only when the new one is whole.\n",
    .schema = "otter.flash/1",
    .options = options,
    .args_min = 0,
    .args_max = 1,
    .run = run,
};
