/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file on its way in: written to a temporary file, hashed and looked into as it comes; once whole
 * it is synced, moved to its place and given its name on the store's lane. Until then, and when
 * anything fails, the name stands for what it stood for before.
 */
#ifndef OTTERD_UPLOAD_H
#define OTTERD_UPLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blobs.h"
#include "store.h"

struct request;
struct upload;

/* Begins the upload of a request, under this name. Answers the request when it cannot. */
void upload_begin(struct request *request, const char *name);

/* Takes bytes. False when the request has been answered instead. */
bool upload_data(struct request *request, const uint8_t *data, size_t len);

/* All of it is here: stores it, then calls answer, unless something failed and was answered.
 * replaced: the name was there before. */
void upload_finish(struct request *request,
                   void (*answer)(struct request *request, const struct store_file *file,
                                  bool replaced));

/* Gives up: nothing of it stays. */
void upload_abort(struct upload *upload);

/* --- without a request, for files that are there already ------------------------------------- */

/* Reads fd to its end: size, hash and what the image says. file->name is the caller's. */
bool upload_inspect(int fd, struct store_file *file);

/* Gives a kept content its name, and removes the content the name had. */
enum store_result upload_name(struct blobs *blobs, const struct store_ops *ops, struct store *store,
                              const struct store_file *file, bool *replaced);
#endif
