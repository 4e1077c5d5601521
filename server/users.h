/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what: a file of "name:role:hash" lines, hashes by crypt(3), new ones with yescrypt.
 * The users of the environment (the first server's way) are hashed at the start and kept beside.
 */
#ifndef OTTERD_USERS_H
#define OTTERD_USERS_H

#include <stdbool.h>
#include <stdint.h>

#include "router.h"

struct users;
struct options;

/* NULL, and a sentence in error, when the file cannot be used or there is no user at all. */
struct users *users_open(const struct options *options, char *error, size_t error_size);
void users_close(struct users *users);

/* Reads the file again; on failure the old users stay. */
bool users_reload(struct users *users, char *error, size_t error_size);

/* Changes whenever users_reload() did: what was remembered under another number is void. */
uint64_t users_generation(struct users *users);

/* The role these credentials have, ROLE_NONE when they are wrong. Takes some 10 to 100 ms, the
 * same for a name that does not exist. Any thread. */
enum role users_check(struct users *users, const char *name, const char *password);

/* Sets the password of name in a file, or removes the name (role ROLE_NONE). */
bool users_write(const char *file, const char *name, enum role role, const char *password,
                 char *error, size_t error_size);
bool users_role(const char *word, enum role *role);
#endif
