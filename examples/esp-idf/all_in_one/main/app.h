/* SPDX-License-Identifier: Apache-2.0 */
#ifndef APP_H
#define APP_H

#include "esp_err.h"

/* Starts NimBLE with Otter's services, and advertises. */
esp_err_t app_start_ble(void);

#endif
