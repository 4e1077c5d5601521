/* SPDX-License-Identifier: Apache-2.0 */
/* port/linux/flash_file: the chip's rules on a file, and one clear sentence for what is no flash.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "port/linux/flash_file.h"

static char folder[64];
static char path[96];

static int make_folder(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)snprintf(folder, sizeof(folder), "%.40s/otter-XXXXXX", tmp != NULL ? tmp : "/tmp");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    return rmdir(folder);
}

/* A flash of `size` bytes, all 0xFF up to the first 64 KiB. */
static void make_file(const char *name, off_t size)
{
    static uint8_t blank[0x10000];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    memset(blank, 0xFF, sizeof(blank));
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    const size_t n = size < (off_t)sizeof(blank) ? (size_t)size : sizeof(blank);
    assert_int_equal(fwrite(blank, 1, n, f), n);
    assert_int_equal(fflush(f), 0);
    assert_int_equal(ftruncate(fileno(f), size), 0);
    assert_int_equal(fclose(f), 0);
}

static void refused(enum otter_file_status status, const char *words)
{
    struct otter_flash_file file;

    assert_int_equal(otter_flash_file_open(&file, path, false), status);
    if (strstr(file.error, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", file.error, words);
    }
    assert_int_equal(file.fd, -1);
    otter_flash_file_close(&file);
}

static void what_is_no_flash_is_refused_with_a_sentence(void **state)
{
    make_file("short", 1000);
    refused(OTTER_FILE_INVALID, "is 1000 bytes: a flash image has 64 KiB to 128 MiB");
    unlink(path);
    make_file("cut", 0x20000 - 1);
    refused(OTTER_FILE_INVALID, "cut short");
    unlink(path);
    make_file("huge", (off_t)3 << 30);
    refused(OTTER_FILE_INVALID, "is 3221225472 bytes");
    unlink(path);
    refused(OTTER_FILE_FAILED, "No such file");

    (void)snprintf(path, sizeof(path), "%s", folder);
    refused(OTTER_FILE_INVALID, "is a directory");
    struct otter_flash_file file;
    assert_int_equal(otter_flash_file_open(&file, path, true), OTTER_FILE_INVALID);

    (void)snprintf(path, sizeof(path), "%s/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    refused(OTTER_FILE_INVALID, "not a regular file");
    unlink(path);
}

/* Root may read everything, so it is somebody else for a moment. */
static void unreadable_file_is_refused(void **state)
{
    const uid_t me = geteuid();

    make_file("locked", 0x10000);
    assert_int_equal(chmod(path, 0), 0);
    if (me == 0) {
        assert_int_equal(seteuid(65534), 0);
    }
    refused(OTTER_FILE_FAILED, "Permission denied");
    if (me == 0) {
        assert_int_equal(seteuid(me), 0);
    }
    unlink(path);
}

static void keeps_the_rules_of_the_chip(void **state)
{
    static const uint8_t data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct otter_flash_file file;
    uint8_t back[8];

    make_file("flash.bin", 0x20000);
    assert_int_equal(otter_flash_file_open(&file, path, true), OTTER_FILE_OK);
    const struct otter_flash flash = otter_flash_file_flash(&file);
    assert_int_equal(flash.size, 0x20000);
    assert_int_equal(flash.erase_unit, 4096);
    assert_int_equal(flash.write_unit, 4);

    assert_int_equal(flash.ops->program(flash.ctx, 0x1000, data, 8), OTTER_OK);
    assert_int_equal(flash.ops->sync(flash.ctx), OTTER_OK);
    assert_int_equal(flash.ops->read(flash.ctx, 0x1000, back, 8), OTTER_OK);
    assert_memory_equal(back, data, 8);

    /* Bits cannot be set again without an erase. */
    assert_int_equal(flash.ops->program(flash.ctx, 0x1004, data, 4), OTTER_ERR_FLASH_WRITE);
    assert_non_null(strstr(file.error, "was not erased"));
    assert_int_equal(flash.ops->program(flash.ctx, 0x1002, data, 4), OTTER_ERR_FLASH_WRITE);
    assert_int_equal(flash.ops->program(flash.ctx, 0x1FFFC, data, 8), OTTER_ERR_FLASH_WRITE);
    assert_int_equal(flash.ops->program(flash.ctx, 0x20000, data, 4), OTTER_ERR_FLASH_WRITE);
    assert_int_equal(flash.ops->erase(flash.ctx, 0x1004), OTTER_ERR_FLASH_ERASE);
    assert_int_equal(flash.ops->erase(flash.ctx, 0x20000), OTTER_ERR_FLASH_ERASE);
    assert_int_equal(flash.ops->read(flash.ctx, 0x1FFFE, back, 4), OTTER_ERR_FLASH_READ);

    assert_int_equal(flash.ops->erase(flash.ctx, 0x1000), OTTER_OK);
    assert_int_equal(flash.ops->program(flash.ctx, 0x1004, data, 4), OTTER_OK);
    otter_flash_file_close(&file);
    otter_flash_file_close(&file);
    unlink(path);
}

static void one_writer_or_many_readers(void **state)
{
    struct otter_flash_file first;
    struct otter_flash_file second;

    make_file("flash.bin", 0x10000);
    assert_int_equal(otter_flash_file_open(&first, path, false), OTTER_FILE_OK);
    assert_int_equal(otter_flash_file_open(&second, path, false), OTTER_FILE_OK);
    otter_flash_file_close(&second);
    assert_int_equal(otter_flash_file_open(&second, path, true), OTTER_FILE_FAILED);
    assert_non_null(strstr(second.error, "in use by another program"));
    otter_flash_file_close(&first);
    assert_int_equal(otter_flash_file_open(&first, path, true), OTTER_FILE_OK);
    assert_int_equal(otter_flash_file_open(&second, path, false), OTTER_FILE_FAILED);
    otter_flash_file_close(&first);
    unlink(path);
}

static void what_cannot_be_written_or_vanishes_is_an_error(void **state)
{
    static const uint8_t data[4] = {0};
    struct otter_flash_file file;
    uint8_t back[4];

    make_file("flash.bin", 0x10000);
    assert_int_equal(otter_flash_file_open(&file, path, false), OTTER_FILE_OK);
    const struct otter_flash flash = otter_flash_file_flash(&file);
    assert_int_equal(flash.ops->program(flash.ctx, 0, data, 4), OTTER_ERR_FLASH_WRITE);
    assert_int_equal(flash.ops->erase(flash.ctx, 0), OTTER_ERR_FLASH_ERASE);
    assert_int_equal(truncate(path, 0x8000), 0);
    assert_int_equal(flash.ops->read(flash.ctx, 0x9000, back, 4), OTTER_ERR_FLASH_READ);
    assert_non_null(strstr(file.error, "became shorter"));
    otter_flash_file_close(&file);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_flash_is_refused_with_a_sentence),
        cmocka_unit_test(unreadable_file_is_refused),
        cmocka_unit_test(keeps_the_rules_of_the_chip),
        cmocka_unit_test(one_writer_or_many_readers),
        cmocka_unit_test(what_cannot_be_written_or_vanishes_is_an_error),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
