/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of tags in sets of eight, and entries one after another in the order they came. A set
 * fills one line of the processor's cache, so that an answer is found with one look at the tags and
 * one at its entry:
 *
 *     tag    upper bits of the hash of the id, 44 | line at which the entry begins, plus one, 20
 *     entry  numbers | texts one after another, each with its NUL; the first is the id
 */
#include "poll_cache.h"

#include <stdlib.h>
#include <string.h>

#define LINE 64u
#define WAYS (LINE / sizeof(uint64_t))
#define SETS 32768u
#define TAGS_SIZE (SETS * LINE)
#define FEW 256u /* entries: so many sets are cleared one by one */
#define AT_BITS 20
#define AT_MASK (((uint64_t)1 << AT_BITS) - 1)

_Static_assert(POLL_CACHE_ROOM / LINE < AT_MASK, "every entry has a number");
_Static_assert(SETS <= UINT16_MAX + 1, "every set has a number");

struct entry {
    int64_t last_seen;
    bool assigned;
    bool has_file;
    bool is_image;
    char texts[];
};

struct poll_cache {
    uint64_t *tags; /* 0: free */
    char *room;
    size_t used;
    size_t count;       /* entries */
    uint16_t sets[FEW]; /* that the first of them are in */
};

#define TEXT(name) offsetof(struct store_poll, name)
static const size_t texts[] = {TEXT(id),      TEXT(from),    TEXT(file),  TEXT(version),
                               TEXT(running), TEXT(address), TEXT(digest)};
#define TEXTS (sizeof texts / sizeof texts[0])

struct poll_cache *poll_cache_new(void)
{
    struct poll_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL) {
        return NULL;
    }
    cache->tags = aligned_alloc(LINE, TAGS_SIZE);
    cache->room = aligned_alloc(LINE, POLL_CACHE_ROOM);
    if (cache->tags == NULL || cache->room == NULL) {
        poll_cache_free(cache);
        return NULL;
    }
    memset(cache->tags, 0, TAGS_SIZE);
    return cache;
}

void poll_cache_free(struct poll_cache *cache)
{
    if (cache != NULL) {
        free(cache->tags);
        free(cache->room);
        free(cache);
    }
}

void poll_cache_clear(struct poll_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    /* While an update is rolled out every report clears it, and few have asked in between: wiping
     * all tags would then cost more than the searches that were spared. */
    if (cache->count > FEW) {
        memset(cache->tags, 0, TAGS_SIZE);
    } else {
        for (size_t i = 0; i < cache->count; i++) {
            memset(cache->tags + cache->sets[i] * WAYS, 0, LINE);
        }
    }
    cache->used = 0;
    cache->count = 0;
}

/* FNV-1a */
static uint64_t hash_of(const char *id)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (; *id != 0; id++) {
        hash = (hash ^ (uint8_t)*id) * 0x100000001B3u;
    }
    return hash;
}

static uint64_t *set_of(const struct poll_cache *cache, uint64_t hash)
{
    return cache->tags + hash % SETS * WAYS;
}

static struct entry *find(const struct poll_cache *cache, const char *id)
{
    uint64_t hash = hash_of(id);
    const uint64_t *set = set_of(cache, hash);
    for (size_t way = 0; way < WAYS && set[way] != 0; way++) {
        if ((set[way] ^ hash) >> AT_BITS == 0) {
            struct entry *entry = (struct entry *)(cache->room + ((set[way] & AT_MASK) - 1) * LINE);
            if (strcmp(entry->texts, id) == 0) {
                return entry;
            }
        }
    }
    return NULL;
}

bool poll_cache_get(const struct poll_cache *cache, const char *id, struct store_poll *out)
{
    const struct entry *entry = cache != NULL ? find(cache, id) : NULL;
    if (entry == NULL) {
        return false;
    }
    const char *text = entry->texts;
    for (size_t i = 0; i < TEXTS; i++) {
        size_t size = strlen(text) + 1;
        memcpy((char *)out + texts[i], text, size);
        text += size;
    }
    out->last_seen = entry->last_seen;
    out->assigned = entry->assigned;
    out->has_file = entry->has_file;
    out->is_image = entry->is_image;
    return true;
}

void poll_cache_put(struct poll_cache *cache, const struct store_poll *poll)
{
    if (cache == NULL || find(cache, poll->id) != NULL) {
        return;
    }
    uint64_t hash = hash_of(poll->id);
    uint64_t *set = set_of(cache, hash);
    size_t sizes[TEXTS];
    size_t size = sizeof(struct entry);
    size_t way = 0;
    while (way < WAYS && set[way] != 0) {
        way++;
    }
    for (size_t i = 0; i < TEXTS; i++) {
        sizes[i] = strlen((const char *)poll + texts[i]) + 1;
        size += sizes[i];
    }
    if (way == WAYS || size > POLL_CACHE_ROOM - cache->used) {
        return;
    }
    struct entry *entry = (struct entry *)(cache->room + cache->used);
    char *text = entry->texts;
    for (size_t i = 0; i < TEXTS; i++) {
        memcpy(text, (const char *)poll + texts[i], sizes[i]);
        text += sizes[i];
    }
    entry->last_seen = poll->last_seen;
    entry->assigned = poll->assigned;
    entry->has_file = poll->has_file;
    entry->is_image = poll->is_image;
    set[way] = (hash & ~AT_MASK) | (cache->used / LINE + 1);
    if (cache->count < FEW) {
        cache->sets[cache->count] = (uint16_t)(hash % SETS);
    }
    cache->count++;
    cache->used += (size + LINE - 1) / LINE * LINE;
}

void poll_cache_seen(struct poll_cache *cache, const char *id, int64_t at)
{
    struct entry *entry = cache != NULL ? find(cache, id) : NULL;
    if (entry != NULL) {
        entry->last_seen = at;
    }
}
