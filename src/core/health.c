/* SPDX-License-Identifier: Apache-2.0 */
#include "otter/health.h"

#include "base/fsm.h"
#include "otter/update.h"

#define AGAIN_MS 1000u

enum event { ON_PENDING, ON_GOOD, ON_BAD };

static otter_err confirm(void *machine, void *arg)
{
    const struct otter_health *h = machine;

    return otter_boot_confirm(h->config.slots);
}

static otter_err roll_back(void *machine, void *arg)
{
    const struct otter_health *h = machine;

    return otter_boot_roll_back(h->config.slots);
}

/* clang-format off */
static const struct otter_fsm_row rows[] = {
    /* state                event       next                    failed                action */
    {OTTER_HEALTH_IDLE,    ON_PENDING, OTTER_HEALTH_WAITING,   OTTER_HEALTH_WAITING, NULL},
    {OTTER_HEALTH_WAITING, ON_GOOD,    OTTER_HEALTH_CONFIRMED, OTTER_HEALTH_WAITING, confirm},
    {OTTER_HEALTH_WAITING, ON_BAD,     OTTER_HEALTH_REFUSED,   OTTER_HEALTH_STUCK,   roll_back},
};
/* clang-format on */

static const struct otter_fsm fsm = {rows, sizeof(rows) / sizeof(rows[0]), OTTER_ERR_STATE};

static enum otter_health_state run(struct otter_health *h, enum event event)
{
    otter_err err = otter_fsm_event(&fsm, &h->state, (uint8_t)event, h, NULL);

    if (err != OTTER_ERR_STATE) {
        h->err = err;
    }
    return (enum otter_health_state)h->state;
}

static bool good(const struct otter_health *h)
{
    return (h->checked || !h->config.need_check) && (h->reached || !h->config.need_path);
}

static enum otter_health_state decide(struct otter_health *h)
{
    return good(h) ? run(h, ON_GOOD) : (enum otter_health_state)h->state;
}

otter_err otter_health_init(struct otter_health *h, const struct otter_health_config *config)
{
    if (config->slots.ops == NULL) {
        return OTTER_ERR_ARG;
    }
    *h = (struct otter_health){.config = *config};
    return OTTER_OK;
}

otter_err otter_health_start(struct otter_health *h, uint32_t now_ms)
{
    enum otter_boot_state boot;
    otter_err err = otter_boot_state(h->config.slots, &boot);

    if (err != OTTER_OK || boot != OTTER_BOOT_PENDING) {
        return err;
    }
    h->start_ms = now_ms;
    run(h, ON_PENDING);
    decide(h);
    return h->err;
}

enum otter_health_state otter_health_check(struct otter_health *h, bool pass)
{
    if (!pass) {
        return run(h, ON_BAD);
    }
    h->checked = true;
    return decide(h);
}

enum otter_health_state otter_health_path(struct otter_health *h)
{
    h->reached = true;
    return decide(h);
}

enum otter_health_state otter_health_poll(struct otter_health *h, uint32_t now_ms,
                                          uint32_t *wait_ms)
{
    uint32_t spent = now_ms - h->start_ms;
    uint32_t deadline = h->config.deadline_ms;

    *wait_ms = OTTER_HEALTH_NEVER;
    if (h->state != OTTER_HEALTH_WAITING) {
        return (enum otter_health_state)h->state;
    }
    if (good(h) && decide(h) != OTTER_HEALTH_WAITING) {
        return (enum otter_health_state)h->state;
    }
    if (deadline != 0 && spent >= deadline) {
        return run(h, ON_BAD);
    }
    *wait_ms = deadline != 0 ? deadline - spent : OTTER_HEALTH_NEVER;
    if (good(h) && *wait_ms > AGAIN_MS) {
        *wait_ms = AGAIN_MS;
    }
    return OTTER_HEALTH_WAITING;
}
