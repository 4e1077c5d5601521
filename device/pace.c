/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flash that takes its time: a program step and an erase last as long as on the W25Q32 and its
 * like that sit on ESP32 modules, and nothing else runs meanwhile, as on a single core.
 */
#include <errno.h>
#include <time.h>

#include "device/device.h"

#define ERASE_US 45000u /* of one 4 KB sector */
#define PAGE_SIZE 256u  /* bytes */
#define PAGE_US 700u    /* to program one page */

static void spend(uint32_t us)
{
    struct timespec left = {.tv_sec = us / 1000000u, .tv_nsec = us % 1000000u * 1000u};

    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

static otter_err slow_read(void *ctx, uint32_t address, uint8_t *buf, uint32_t len)
{
    const struct otter_flash *fast = ctx;

    return fast->ops->read(fast->ctx, address, buf, len);
}

static otter_err slow_program(void *ctx, uint32_t address, const uint8_t *data, uint32_t len)
{
    const struct otter_flash *fast = ctx;

    spend((len + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_US);
    return fast->ops->program(fast->ctx, address, data, len);
}

static otter_err slow_erase(void *ctx, uint32_t address)
{
    const struct otter_flash *fast = ctx;

    spend(ERASE_US);
    return fast->ops->erase(fast->ctx, address);
}

static otter_err slow_sync(void *ctx)
{
    const struct otter_flash *fast = ctx;

    return fast->ops->sync != NULL ? fast->ops->sync(fast->ctx) : OTTER_OK;
}

struct otter_flash device_slow_flash(struct otter_flash *fast)
{
    static const struct otter_flash_ops ops = {
        .read = slow_read, .program = slow_program, .erase = slow_erase, .sync = slow_sync};
    struct otter_flash slow = *fast;

    slow.ops = &ops;
    slow.ctx = fast;
    return slow;
}
