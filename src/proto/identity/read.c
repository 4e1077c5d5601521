/* SPDX-License-Identifier: Apache-2.0 */
#include "otter/identity.h"

#include <string.h>

#include "base/cursor.h"
#include "proto/identity/words.h"

#define PROJECT_MAX (sizeof(((struct otter_identity *)0)->project) - 1)

/* Moves past the text when it comes next. */
static bool skip_text(struct otter_reader *r, const char *text)
{
    size_t len = strlen(text);

    if (len > r->left || memcmp(r->next, text, len) != 0) {
        return false;
    }
    otter_read_skip(r, len);
    return true;
}

static int digit_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_state(struct otter_identity *identity, struct otter_reader *r)
{
    static const enum otter_identity_state states[] = {
        OTTER_IDENTITY_CONFIRMED, OTTER_IDENTITY_PENDING, OTTER_IDENTITY_ROLLED_BACK};

    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (skip_text(r, identity_state_word(states[i]))) {
            identity->state = states[i];
            return true;
        }
    }
    return false;
}

bool otter_identity_read(struct otter_identity *identity, const uint8_t *text, size_t len)
{
    struct otter_reader r = otter_reader_on(text, len);

    *identity = (struct otter_identity){0};
    if (!skip_text(&r, IDENTITY_PREFIX) || !read_state(identity, &r)) {
        return false;
    }
    identity->wants_signature = skip_text(&r, IDENTITY_SIGNED);
    identity->wants_encryption = skip_text(&r, IDENTITY_ENCRYPTED);
    identity->decrypts = !identity->wants_encryption && skip_text(&r, IDENTITY_DECRYPTS);
    if (skip_text(&r, IDENTITY_ASK_OLDER)) {
        identity->older = OTTER_IDENTITY_OLDER_ASK;
    } else if (skip_text(&r, IDENTITY_NO_OLDER)) {
        identity->older = OTTER_IDENTITY_OLDER_REFUSED;
    }
    identity->buffered = skip_text(&r, IDENTITY_BUFFERED);
    for (size_t i = 0; i < OTTER_IDENTITY_IMAGE; i++) {
        int high = digit_value(otter_read_u8(&r));
        int low = digit_value(otter_read_u8(&r));

        if (high < 0 || low < 0) {
            return false;
        }
        identity->image[i] = (uint8_t)(high * 16 + low);
    }
    if (otter_read_u8(&r) != ' ' || otter_reader_ok(&r) != OTTER_OK || r.left > PROJECT_MAX) {
        return false;
    }
    otter_read_bytes(&r, identity->project, r.left);
    return true;
}
