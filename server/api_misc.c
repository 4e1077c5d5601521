/* SPDX-License-Identifier: Apache-2.0 */
/* For those who watch the server. */
#include "api.h"
#include "request.h"
#include "server.h"

void api_health(struct request *request)
{
    reply_bytes(request, 200, "text/plain; charset=utf-8", "ok\n", 3);
}
