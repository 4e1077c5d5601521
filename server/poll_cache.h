/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers to polls as they were read from a store. A store that can tell cheaply whether any answer
 * has changed keeps one a session: a fleet that asks over and over is spared the database's search,
 * whose many small steps through memory cost more the more devices there are.
 *
 * Its memory is bounded: 2 MiB of tags from the start, and POLL_CACHE_ROOM, which comes as it is
 * used and holds 98,000 to 196,000 devices with texts of usual length. When it is full, or the set
 * of eight that a device falls into, no more is kept.
 *
 * NULL is a cache that keeps nothing.
 */
#ifndef OTTERD_POLL_CACHE_H
#define OTTERD_POLL_CACHE_H

#include "store.h"

#define POLL_CACHE_ROOM ((size_t)24 << 20) /* bytes, for 128 to 256 a device */

struct poll_cache;

struct poll_cache *poll_cache_new(void); /* NULL without memory */
void poll_cache_free(struct poll_cache *cache);

/* Forgets everything: when any answer may have changed. */
void poll_cache_clear(struct poll_cache *cache);

/* The answer for a device; false: it is not kept. */
bool poll_cache_get(const struct poll_cache *cache, const char *id, struct store_poll *out);
/* Keeps the answer for a device, if there is room. One that is kept already stays. */
void poll_cache_put(struct poll_cache *cache, const struct store_poll *poll);
/* The same answer, but last seen at another time. */
void poll_cache_seen(struct poll_cache *cache, const char *id, int64_t at);
#endif
