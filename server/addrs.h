/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of client addresses, for all threads: open connections, to cap them, and failed
 * attempts to log in, to slow them down. An IPv6 client is its /64 network: whoever has one
 * address of it has them all.
 */
#ifndef OTTERD_ADDRS_H
#define OTTERD_ADDRS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDRS_BUCKETS 4096u
#define ADDR_TEXT_MAX 46u

/* Failed attempts an address has at once, and after how long it gets one back. */
#define ADDRS_ATTEMPTS 10
#define ADDRS_REFILL_MS 2000u

struct addr_key {
    uint8_t bytes[16];
};

struct addr_entry; /* in addrs.c */

struct addrs {
    pthread_mutex_t lock;
    struct addr_entry *buckets[ADDRS_BUCKETS];
    uint64_t secret; /* mixed into the hash: clients do not choose buckets */
    uint32_t total;  /* open connections */
    uint32_t max_total;
    uint32_t max_each;
    uint32_t punished; /* entries with fewer than all attempts */
};

void addrs_init(struct addrs *addrs, uint32_t max_total, uint32_t max_each);
void addrs_free(struct addrs *addrs);

struct addr_key addr_key_of(const struct sockaddr *address);
void addr_text(const struct sockaddr *address, char text[ADDR_TEXT_MAX]);

/* Counts one more connection; false, and not counted, when there are too many. */
bool addrs_enter(struct addrs *addrs, struct addr_key key);
void addrs_leave(struct addrs *addrs, struct addr_key key);

/* Open connections. */
uint32_t addrs_total(struct addrs *addrs);

/* Milliseconds until this address may try to log in again; 0: now. */
uint32_t addrs_wait_ms(struct addrs *addrs, struct addr_key key, uint64_t now_ms);

/* An attempt is spent before the password is looked at, so that many at once do not slip
 * through, and given back when it was right. */
void addrs_spend(struct addrs *addrs, struct addr_key key, uint64_t now_ms);
void addrs_refund(struct addrs *addrs, struct addr_key key);

/* Forgets what is no longer needed. Called every second or so. */
void addrs_sweep(struct addrs *addrs, uint64_t now_ms);
#endif
