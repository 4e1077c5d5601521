/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OTTERD_ADOPT_H
#define OTTERD_ADOPT_H

#include "blobs.h"
#include "store.h"

/* The first server kept update files in the data folder itself, beside devices.db. Takes each into
 * the store under its name; on any failure it stays where it is, for the next start. */
void adopt_files(struct blobs *blobs, const struct store_ops *ops, struct store *store);
#endif
