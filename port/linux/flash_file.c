/* SPDX-License-Identifier: Apache-2.0 */
#include "port/linux/flash_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "otter/partition.h" /* OTTER_SECTOR_SIZE */

#define WRITE_UNIT 4u /* a word */

__attribute__((format(printf, 2, 3))) static void explain(struct otter_flash_file *file,
                                                          const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(file->error, sizeof(file->error), format, args);
    va_end(args);
}

/* Moves all of len bytes, whatever the kernel does at a time. */
static bool transfer(struct otter_flash_file *file, bool out, uint32_t address, void *buf,
                     uint32_t len)
{
    uint8_t *at = buf;

    while (len > 0) {
        const ssize_t n = out ? pwrite(file->fd, at, len, (off_t)address)
                              : pread(file->fd, at, len, (off_t)address);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            explain(file, "cannot %s the flash image at 0x%x: %s", out ? "write" : "read", address,
                    n < 0 ? strerror(errno) : "it became shorter");
            return false;
        }
        at += n;
        address += (uint32_t)n;
        len -= (uint32_t)n;
    }
    return true;
}

static bool inside(struct otter_flash_file *file, uint32_t address, uint32_t len)
{
    if (len <= file->size && address <= file->size - len) {
        return true;
    }
    explain(file, "0x%x is outside the flash image", address);
    return false;
}

static otter_err file_read(void *ctx, uint32_t address, uint8_t *buf, uint32_t len)
{
    struct otter_flash_file *file = ctx;

    if (!inside(file, address, len) || !transfer(file, false, address, buf, len)) {
        return OTTER_ERR_FLASH_READ;
    }
    return OTTER_OK;
}

/* Where data has a bit that is cleared in the flash already, or len. */
static uint32_t not_erased(const uint8_t *old, const uint8_t *data, uint32_t len)
{
    for (uint32_t at = 0; at < len; at += WRITE_UNIT) {
        uint32_t there, wanted;

        memcpy(&there, old + at, sizeof(there));
        memcpy(&wanted, data + at, sizeof(wanted));
        if ((there & wanted) != wanted) {
            return at;
        }
    }
    return len;
}

/* Refuses what the chip would get wrong, so that a result can be written back to the board. */
static otter_err file_program(void *ctx, uint32_t address, const uint8_t *data, uint32_t len)
{
    struct otter_flash_file *file = ctx;
    uint8_t block[OTTER_SECTOR_SIZE];

    if (!inside(file, address, len)) {
        return OTTER_ERR_FLASH_WRITE;
    }
    if ((address | len) & (WRITE_UNIT - 1u)) {
        explain(file, "a write at 0x%x is not aligned to %u bytes", address, WRITE_UNIT);
        return OTTER_ERR_FLASH_WRITE;
    }
    while (len > 0) {
        const uint32_t n = len < sizeof(block) ? len : (uint32_t)sizeof(block);
        if (!transfer(file, false, address, block, n)) {
            return OTTER_ERR_FLASH_WRITE;
        }
        const uint32_t good = not_erased(block, data, n);
        if (good < n) {
            explain(file, "the place written at 0x%x was not erased", address + good);
            return OTTER_ERR_FLASH_WRITE;
        }
        memcpy(block, data, n);
        if (!transfer(file, true, address, block, n)) {
            return OTTER_ERR_FLASH_WRITE;
        }
        address += n;
        data += n;
        len -= n;
    }
    return OTTER_OK;
}

static otter_err file_erase(void *ctx, uint32_t address)
{
    struct otter_flash_file *file = ctx;
    uint8_t blank[OTTER_SECTOR_SIZE];

    if (!inside(file, address, OTTER_SECTOR_SIZE)) {
        return OTTER_ERR_FLASH_ERASE;
    }
    if (address & (OTTER_SECTOR_SIZE - 1u)) {
        explain(file, "an erase at 0x%x is not aligned to a sector", address);
        return OTTER_ERR_FLASH_ERASE;
    }
    memset(blank, 0xFF, sizeof(blank));
    return transfer(file, true, address, blank, sizeof(blank)) ? OTTER_OK : OTTER_ERR_FLASH_ERASE;
}

static otter_err file_sync(void *ctx)
{
    struct otter_flash_file *file = ctx;

    if (!file->writable || fdatasync(file->fd) == 0) {
        return OTTER_OK;
    }
    explain(file, "cannot make the flash image durable: %s", strerror(errno));
    return OTTER_ERR_FLASH_WRITE;
}

static enum otter_file_status check_size(struct otter_flash_file *file, const char *path,
                                         long long size)
{
    if (size < (long long)OTTER_FLASH_FILE_MIN || size > (long long)OTTER_FLASH_FILE_MAX) {
        explain(file, "%s is %lld bytes: a flash image has 64 KiB to 128 MiB", path, size);
        return OTTER_FILE_INVALID;
    }
    if (size % (long long)OTTER_SECTOR_SIZE != 0) {
        explain(file, "%s is %lld bytes, not whole sectors of 4096: it is cut short", path, size);
        return OTTER_FILE_INVALID;
    }
    file->size = (uint32_t)size;
    return OTTER_FILE_OK;
}

static enum otter_file_status check_and_lock(struct otter_flash_file *file, const char *path)
{
    struct stat st;

    if (fstat(file->fd, &st) != 0) {
        explain(file, "cannot look at %s: %s", path, strerror(errno));
        return OTTER_FILE_FAILED;
    }
    if (!S_ISREG(st.st_mode)) {
        explain(file,
                S_ISDIR(st.st_mode) ? "%s is a directory, not a flash image"
                                    : "%s is not a regular file",
                path);
        return OTTER_FILE_INVALID;
    }
    if (flock(file->fd, (file->writable ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) {
        explain(file, errno == EWOULDBLOCK ? "%s is in use by another program" : "cannot lock %s",
                path);
        return OTTER_FILE_FAILED;
    }
    return check_size(file, path, (long long)st.st_size);
}

enum otter_file_status otter_flash_file_open(struct otter_flash_file *file, const char *path,
                                             bool writable)
{
    memset(file, 0, sizeof(*file));
    file->writable = writable;
    /* O_NONBLOCK: a pipe must be refused, not waited for. */
    file->fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file->fd < 0) {
        const bool directory = errno == EISDIR;
        if (directory) {
            explain(file, "%s is a directory, not a flash image", path);
        } else {
            explain(file, "cannot open %s: %s", path, strerror(errno));
        }
        return directory ? OTTER_FILE_INVALID : OTTER_FILE_FAILED;
    }
    const enum otter_file_status status = check_and_lock(file, path);
    if (status != OTTER_FILE_OK) {
        otter_flash_file_close(file);
    }
    return status;
}

void otter_flash_file_close(struct otter_flash_file *file)
{
    if (file->fd >= 0) {
        (void)close(file->fd);
    }
    file->fd = -1;
}

struct otter_flash otter_flash_file_flash(struct otter_flash_file *file)
{
    static const struct otter_flash_ops ops = {
        .read = file_read, .program = file_program, .erase = file_erase, .sync = file_sync};

    return (struct otter_flash){.ops = &ops,
                                .ctx = file,
                                .size = file->size,
                                .erase_unit = OTTER_SECTOR_SIZE,
                                .write_unit = WRITE_UNIT};
}
