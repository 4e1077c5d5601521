/* SPDX-License-Identifier: Apache-2.0 */
#include "upload.h"

#include "request.h"

bool upload_data(struct request *request, const uint8_t *data, size_t len)
{
    (void)data;
    (void)len;
    reply_error(request, 501, "not yet");
    return false;
}

void upload_abort(struct upload *upload)
{
    (void)upload;
}
