/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OTTER_PROTO_FUOTA_ANSWER_H
#define OTTER_PROTO_FUOTA_ANSWER_H

#include "otter/fuota.h"

/* Events of the machine. */
enum otter_fuota_happening {
    OTTER_FUOTA_ON_DUE,
    OTTER_FUOTA_ON_SENT,
    OTTER_FUOTA_ON_REDIRECT,
    OTTER_FUOTA_ON_NO_FILE,
    OTTER_FUOTA_ON_FILE,
    OTTER_FUOTA_ON_KEPT,
    OTTER_FUOTA_ON_CUT,
    OTTER_FUOTA_ON_WHOLE,
    OTTER_FUOTA_ON_FAILED,
    OTTER_FUOTA_ON_STEP,
};

/* The answer at hand, which is over, as one event. f->err says why it is not a good one. */
enum otter_fuota_happening otter_fuota_answer_event(struct otter_fuota *f);

/* True when the answer at hand takes too long. */
bool otter_fuota_late(struct otter_fuota *f, uint32_t now_ms);

/* Remembers how far the download is; forgets it. */
void otter_fuota_keep(struct otter_fuota *f);
void otter_fuota_forget(struct otter_fuota *f);

void otter_fuota_report(const struct otter_fuota *f, enum otter_fuota_event_kind kind,
                        otter_err err, uint32_t wait_ms);

#endif
