/* SPDX-License-Identifier: Apache-2.0 */
#include "host/gatt_wait.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "host/clock.h"

#define WAIT_MS 60000u /* default for coming back and confirming */
#define OPEN_MS 10000u
#define AGAIN_MS 200u  /* between two questions, and at most between two tries to connect */
#define FIRST_MS 20u   /* between the first two tries */
#define LEAVE_MS 5000u /* a device whose link failed early may not have restarted yet */

enum answer { RUNS_NEW, RUNS_NEW_UNCONFIRMED, RUNS_OLD, AS_BEFORE, NOT_TOLD };

static void enter(struct otter_gatt_update *u, enum otter_target_phase phase)
{
    if (u->phase == phase) {
        return;
    }
    u->phase = phase;
    if (u->observer != NULL && u->observer->phase != NULL) {
        u->observer->phase(u->observer->ctx, phase);
    }
}

/* The digest tells images apart; a version text does not. */
static enum answer judge(const struct otter_gatt_update *u)
{
    const struct otter_target_device *after = &u->result->after;
    char image[17];

    if (after->state == OTTER_TARGET_STATE_UNKNOWN) {
        return NOT_TOLD;
    }
    for (size_t i = 0; i < 8; i++) {
        snprintf(image + 2 * i, 3, "%02x", u->facts.digest[i]);
    }
    if (u->facts.size == 0 && strcmp(u->result->before.image, after->image) != 0) {
        snprintf(image, sizeof(image), "%s", after->image); /* encrypted: another one than before */
    }
    if (strcmp(image, after->image) != 0 || after->state == OTTER_TARGET_STATE_ROLLED_BACK) {
        const struct otter_target_device *before = &u->result->before;
        bool same = strcmp(before->image, after->image) == 0 && before->state == after->state;

        return same ? AS_BEFORE : RUNS_OLD;
    }
    return after->state == OTTER_TARGET_STATE_PENDING ? RUNS_NEW_UNCONFIRMED : RUNS_NEW;
}

/* A device that says nothing of its image: tell what it does say. */
static void end_not_told(struct otter_gatt_update *u)
{
    const char *version = u->result->after.version;

    if (version[0] != '\0' && u->facts.size == 0) {
        otter_target_end(
            u->result, OTTER_TARGET_UPDATED, OTTER_OK,
            "the device took the encrypted image, is back and says it runs %s; whether "
            "that is the new one it does not say",
            version);
    } else if (version[0] == '\0') {
        otter_target_end(u->result, OTTER_TARGET_UPDATED, OTTER_OK,
                         "the device took the image and is back; it does not say what it runs");
    } else if (strcmp(version, u->facts.version) == 0) {
        otter_target_end(u->result, OTTER_TARGET_UPDATED, OTTER_OK,
                         "the device is back and says it runs %s; whether that is confirmed it "
                         "does not say",
                         version);
    } else {
        otter_target_end(u->result, OTTER_TARGET_UPDATED, OTTER_OK,
                         "the device took the image and is back, but says \"%s\" where the image "
                         "says \"%s\": it may have rolled back, or its text may be a fixed one",
                         version, u->facts.version);
    }
}

/* True when there is nothing left to wait for. late: no more is to be expected. */
static bool conclude(struct otter_gatt_update *u, bool late)
{
    const struct otter_target_device *after = &u->result->after;
    enum answer answer = judge(u);

    switch (answer == AS_BEFORE && late ? RUNS_OLD : answer) {
    case RUNS_NEW:
        otter_target_end(u->result, OTTER_TARGET_UPDATED, OTTER_OK, "%s is running and confirmed",
                         after->version[0] != '\0' ? after->version : "the new image");
        return true;
    case RUNS_OLD:
        otter_target_end(u->result, OTTER_TARGET_NOT_BACK, OTTER_ERR_REFUSED,
                         "the device rolled back: the new image did not start well, and %s runs "
                         "again",
                         after->version[0] != '\0' ? after->version : "the old one");
        return true;
    case NOT_TOLD:
        end_not_told(u);
        return true;
    case RUNS_NEW_UNCONFIRMED:
        enter(u, OTTER_TARGET_CONFIRMING);
        return false;
    case AS_BEFORE:
        break;
    }
    return false;
}

/* Sleeps, but not through a Ctrl-C. */
static void pause_ms(uint32_t ms)
{
    (void)poll(NULL, 0, (int)ms);
}

/* The answer has come over a link that the device is about to end. False: it did not. */
static bool restarted(struct otter_gatt_update *u, uint32_t start, uint32_t limit)
{
    bool lost = false;

    while (!lost && otter_clock_ms() - start < limit && !otter_target_cancelled(u->observer)) {
        lost = u->link.ops->wait(u->link.link, AGAIN_MS) != OTTER_OK;
    }
    u->link.ops->close(u->link.link);
    return lost;
}

/* Connected again: asks until it has judged its image. False: the link went, or time is over. */
static bool ask(struct otter_gatt_update *u, uint32_t start, uint32_t limit)
{
    uint32_t since = otter_clock_ms();

    while (!otter_target_cancelled(u->observer)) {
        if (otter_gatt_identify(u->link, &u->result->after) != OTTER_OK) {
            return false;
        }
        u->result->came_back = true;
        if (conclude(u, otter_clock_ms() - since >= LEAVE_MS)) {
            return true;
        }
        uint32_t asked = otter_clock_ms();
        while (otter_clock_ms() - asked < AGAIN_MS) {
            if (u->link.ops->wait(u->link.link, AGAIN_MS) != OTTER_OK) {
                return false;
            }
        }
        if (otter_clock_ms() - start >= limit) {
            return conclude(u, true);
        }
    }
    return false;
}

static void end_too_late(struct otter_gatt_update *u, bool gone, uint32_t limit)
{
    const char *what = !gone                  ? "the device took the image and did not restart"
                       : u->result->came_back ? "the device runs the new image, which did not "
                                                "confirm itself"
                                              : "the device took the image and did not come back";

    if (otter_target_cancelled(u->observer)) {
        otter_target_end(u->result, OTTER_TARGET_NOT_BACK, OTTER_ERR_CANCELLED,
                         "the device took the image; not waited for what became of it");
    } else {
        otter_target_end(u->result, OTTER_TARGET_NOT_BACK, OTTER_ERR_TIMEOUT, "%s within %u s",
                         what, limit / 1000);
    }
}

void otter_gatt_wait(struct otter_gatt_update *u, const char *address)
{
    uint32_t start = otter_clock_ms();
    uint32_t limit = u->options->wait_ms != 0 ? u->options->wait_ms : WAIT_MS;
    uint16_t mtu = u->options->mtu != 0 ? u->options->mtu : OTTER_GATT_MTU_MAX;

    enter(u, OTTER_TARGET_RESTARTING);
    u->updater.ops = NULL; /* what comes now is not for it */
    bool gone = restarted(u, start, limit);
    uint32_t pause = FIRST_MS;
    while (gone && otter_clock_ms() - start < limit && !otter_target_cancelled(u->observer)) {
        if (u->link.ops->open(u->link.link, address, mtu, OPEN_MS) == OTTER_OK) {
            bool over = ask(u, start, limit);

            u->link.ops->close(u->link.link);
            if (over) {
                return;
            }
        }
        pause_ms(pause);
        pause = pause * 2 < AGAIN_MS ? pause * 2 : AGAIN_MS;
    }
    end_too_late(u, gone, limit);
}
