/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OTTERD_DOWNLOAD_H
#define OTTERD_DOWNLOAD_H

#include "request.h"

/* Answers with the file of this name: whole, a range of it, or 304. */
void download(struct request *request, const char *name);
#endif
