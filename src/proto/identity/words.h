/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OTTER_PROTO_IDENTITY_WORDS_H
#define OTTER_PROTO_IDENTITY_WORDS_H

#include "otter/identity.h"

#define IDENTITY_PREFIX "otter/1 "
#define IDENTITY_SIGNED "signed "
#define IDENTITY_ENCRYPTED "encrypted "
#define IDENTITY_DECRYPTS "decrypts "
#define IDENTITY_ASK_OLDER "ask-older "
#define IDENTITY_NO_OLDER "no-older "
#define IDENTITY_BUFFERED "buffered "

/* A state as it stands in the text, with the space after it. */
static inline const char *identity_state_word(enum otter_identity_state state)
{
    switch (state) {
    case OTTER_IDENTITY_CONFIRMED:
        return "confirmed ";
    case OTTER_IDENTITY_PENDING:
        return "pending ";
    case OTTER_IDENTITY_ROLLED_BACK:
        return "rolled-back ";
    }
    return "";
}

#endif
