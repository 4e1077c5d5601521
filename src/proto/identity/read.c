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

/* Of the word that comes next, without the space behind it; 0: it is the digest, or no word. */
static size_t word_length(const struct otter_reader *r)
{
    size_t len = 0;
    bool hex = true;

    while (len < r->left && ((r->next[len] >= 'a' && r->next[len] <= 'z') || r->next[len] == '-')) {
        hex = hex && digit_value(r->next[len]) >= 0;
        len++;
    }
    bool digest = hex && len == 2 * OTTER_IDENTITY_IMAGE;
    return len < r->left && r->next[len] == ' ' && !digest ? len : 0;
}

/* In any order; words of later versions say nothing here. */
static void read_words(struct otter_identity *identity, struct otter_reader *r)
{
    for (size_t len; (len = word_length(r)) > 0;) {
        if (skip_text(r, IDENTITY_SIGNED)) {
            identity->wants_signature = true;
        } else if (skip_text(r, IDENTITY_ENCRYPTED)) {
            identity->wants_encryption = true;
        } else if (skip_text(r, IDENTITY_DECRYPTS)) {
            identity->decrypts = true;
        } else if (skip_text(r, IDENTITY_ASK_OLDER)) {
            identity->older = OTTER_IDENTITY_OLDER_ASK;
        } else if (skip_text(r, IDENTITY_NO_OLDER)) {
            identity->older = OTTER_IDENTITY_OLDER_REFUSED;
        } else if (skip_text(r, IDENTITY_BUFFERED)) {
            identity->buffered = true;
        } else {
            otter_read_skip(r, len + 1);
        }
    }
    identity->decrypts = identity->decrypts && !identity->wants_encryption;
}

bool otter_identity_read(struct otter_identity *identity, const uint8_t *text, size_t len)
{
    struct otter_reader r = otter_reader_on(text, len);

    *identity = (struct otter_identity){0};
    if (!skip_text(&r, IDENTITY_PREFIX) || !read_state(identity, &r)) {
        return false;
    }
    read_words(identity, &r);
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
