/* SPDX-License-Identifier: Apache-2.0 */
/* A file on its way in. */
#ifndef OTTERD_UPLOAD_H
#define OTTERD_UPLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request;
struct upload;

/* Takes bytes. False when the request has been answered instead: the disk is full. */
bool upload_data(struct request *request, const uint8_t *data, size_t len);
/* Gives up: nothing of it stays. */
void upload_abort(struct upload *upload);
#endif
