/* SPDX-License-Identifier: Apache-2.0 */
#include "addrs.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct addr_entry {
    struct addr_entry *next;
    struct addr_key key;
    uint32_t open;     /* connections */
    uint32_t failures; /* attempts spent and not yet given back */
    uint64_t since_ms; /* when failures was last brought up to date */
};

void addrs_init(struct addrs *addrs, uint32_t max_total, uint32_t max_each)
{
    *addrs = (struct addrs){.max_total = max_total, .max_each = max_each};
    pthread_mutex_init(&addrs->lock, NULL);
    if (getrandom(&addrs->secret, sizeof addrs->secret, 0) < 0) {
        addrs->secret = (uint64_t)(uintptr_t)addrs;
    }
}

void addrs_free(struct addrs *addrs)
{
    for (size_t i = 0; i < ADDRS_BUCKETS; i++) {
        while (addrs->buckets[i] != NULL) {
            struct addr_entry *entry = addrs->buckets[i];
            addrs->buckets[i] = entry->next;
            free(entry);
        }
    }
    pthread_mutex_destroy(&addrs->lock);
}

struct addr_key addr_key_of(const struct sockaddr *address)
{
    struct addr_key key = {{0}};
    if (address->sa_family == AF_INET) {
        memcpy(key.bytes + 12, &((const struct sockaddr_in *)address)->sin_addr, 4);
        key.bytes[10] = key.bytes[11] = 0xFF;
    } else if (address->sa_family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)address)->sin6_addr;
        memcpy(key.bytes, six, IN6_IS_ADDR_V4MAPPED(six) ? 16 : 8);
    }
    return key;
}

void addr_text(const struct sockaddr *address, char text[ADDR_TEXT_MAX])
{
    text[0] = 0;
    if (address->sa_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, text, ADDR_TEXT_MAX);
    } else if (address->sa_family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)address)->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(six);
        inet_ntop(mapped ? AF_INET : AF_INET6, six->s6_addr + (mapped ? 12 : 0), text,
                  ADDR_TEXT_MAX);
    }
}

static struct addr_entry **find(struct addrs *addrs, struct addr_key key)
{
    uint64_t words[2];
    memcpy(words, key.bytes, sizeof words);
    uint64_t h = (words[0] ^ addrs->secret) * 0x9E3779B97F4A7C15u;
    h = (h ^ words[1] ^ h >> 29) * 0xBF58476D1CE4E5B9u;
    struct addr_entry **place = &addrs->buckets[(h >> 40) % ADDRS_BUCKETS];
    while (*place != NULL && memcmp(&(*place)->key, &key, sizeof key) != 0) {
        place = &(*place)->next;
    }
    return place;
}

static struct addr_entry *find_or_add(struct addrs *addrs, struct addr_key key)
{
    struct addr_entry **place = find(addrs, key);
    if (*place == NULL) {
        *place = calloc(1, sizeof **place);
        if (*place != NULL) {
            (*place)->key = key;
        }
    }
    return *place;
}

static void drop_if_unused(struct addr_entry **place)
{
    struct addr_entry *entry = *place;
    if (entry->open == 0 && entry->failures == 0) {
        *place = entry->next;
        free(entry);
    }
}

/* Gives attempts back for the time that has passed. */
static void refill(struct addrs *addrs, struct addr_entry *entry, uint64_t now_ms)
{
    /* Each worker has read the clock for itself: another may have been here a little later. */
    if (entry->failures == 0 || now_ms < entry->since_ms) {
        return;
    }
    uint64_t back = (now_ms - entry->since_ms) / ADDRS_REFILL_MS;
    entry->since_ms += back * ADDRS_REFILL_MS;
    entry->failures = back < entry->failures ? entry->failures - (uint32_t)back : 0;
    if (entry->failures == 0) {
        addrs->punished--;
    }
}

bool addrs_enter(struct addrs *addrs, struct addr_key key)
{
    pthread_mutex_lock(&addrs->lock);
    struct addr_entry *entry = NULL;
    if (addrs->total < addrs->max_total) {
        entry = find_or_add(addrs, key);
    }
    bool good = entry != NULL && entry->open < addrs->max_each;
    if (good) {
        entry->open++;
        addrs->total++;
    }
    pthread_mutex_unlock(&addrs->lock);
    return good;
}

void addrs_leave(struct addrs *addrs, struct addr_key key)
{
    pthread_mutex_lock(&addrs->lock);
    struct addr_entry **place = find(addrs, key);
    if (*place != NULL && (*place)->open > 0) {
        (*place)->open--;
        addrs->total--;
        drop_if_unused(place);
    }
    pthread_mutex_unlock(&addrs->lock);
}

uint32_t addrs_total(struct addrs *addrs)
{
    pthread_mutex_lock(&addrs->lock);
    uint32_t total = addrs->total;
    pthread_mutex_unlock(&addrs->lock);
    return total;
}

uint32_t addrs_wait_ms(struct addrs *addrs, struct addr_key key, uint64_t now_ms)
{
    uint32_t wait = 0;
    pthread_mutex_lock(&addrs->lock);
    if (addrs->punished > 0) {
        struct addr_entry **place = find(addrs, key);
        if (*place != NULL) {
            refill(addrs, *place, now_ms);
            if ((*place)->failures >= ADDRS_ATTEMPTS) {
                wait = (uint32_t)((*place)->since_ms + ADDRS_REFILL_MS - now_ms);
            }
        }
    }
    pthread_mutex_unlock(&addrs->lock);
    return wait;
}

void addrs_spend(struct addrs *addrs, struct addr_key key, uint64_t now_ms)
{
    pthread_mutex_lock(&addrs->lock);
    struct addr_entry *entry = find_or_add(addrs, key);
    if (entry != NULL) {
        refill(addrs, entry, now_ms);
        if (entry->failures == 0) {
            addrs->punished++;
            entry->since_ms = now_ms;
        }
        entry->failures++;
    }
    pthread_mutex_unlock(&addrs->lock);
}

void addrs_refund(struct addrs *addrs, struct addr_key key)
{
    pthread_mutex_lock(&addrs->lock);
    struct addr_entry **place = find(addrs, key);
    if (*place != NULL && (*place)->failures > 0) {
        (*place)->failures--;
        if ((*place)->failures == 0) {
            addrs->punished--;
            drop_if_unused(place);
        }
    }
    pthread_mutex_unlock(&addrs->lock);
}

void addrs_sweep(struct addrs *addrs, uint64_t now_ms)
{
    pthread_mutex_lock(&addrs->lock);
    for (size_t i = 0; i < ADDRS_BUCKETS && addrs->punished > 0; i++) {
        struct addr_entry **place = &addrs->buckets[i];
        while (*place != NULL) {
            struct addr_entry *entry = *place;
            refill(addrs, entry, now_ms);
            drop_if_unused(place);
            if (*place == entry) {
                place = &entry->next;
            }
        }
    }
    pthread_mutex_unlock(&addrs->lock);
}
