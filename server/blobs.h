/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contents of files, by their SHA-256, beside the database:
 *
 *   DATA/blobs/<sha256>    whole contents, never changed once they are there
 *   DATA/tmp/...           what is being received; emptied at the start
 *
 * A content is synced and renamed into its place before any name points to it, and removed after
 * the last name has gone.
 */
#ifndef OTTERD_BLOBS_H
#define OTTERD_BLOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "store.h"

struct blobs {
    int data; /* descriptors of the folders */
    int blobs;
    int tmp;
};

#define BLOB_TEMP_MAX 32u

/* Opens the folders, and makes those that are missing. */
bool blobs_open(struct blobs *blobs, const char *data, char *error, size_t error_size);
/* Removes what was being received when the last process ended. */
void blobs_clear(struct blobs *blobs);
/* Whether there is any content. */
bool blobs_any(struct blobs *blobs);
void blobs_close(struct blobs *blobs);

/* A new file to receive into; its name goes to temp. -1 and errno on failure. */
int blob_create(struct blobs *blobs, char temp[BLOB_TEMP_MAX]);
void blob_discard(struct blobs *blobs, const char *temp);

/* Syncs fd and moves it to its place. */
enum store_result blob_keep(struct blobs *blobs, int fd, const char *temp, const char *sha256);

/* A descriptor to read from, or -1 and errno. */
int blob_read(struct blobs *blobs, const char *sha256);
void blob_remove(struct blobs *blobs, const char *sha256);

/* Removes contents that no name stands for: left by a crash between two steps. */
void blobs_sweep(struct blobs *blobs, const struct store_ops *ops, struct store *store);

/* What errno says about the disk. */
enum store_result blob_error(int error);
#endif
