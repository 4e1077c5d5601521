/* SPDX-License-Identifier: Apache-2.0 */
/* A device that a Linux host updates over a serial line: `otter update hosted:/dev/ttyUSB0 FILE`.
 */
#include "esp_log.h"

#include "otter_idf.h"
#include "otter_idf_hosted.h"

static const char TAG[] = "app";

void app_main(void)
{
    struct otter_idf_report report;

    ESP_ERROR_CHECK(esp_event_loop_create_default());
    ESP_ERROR_CHECK(otter_idf_start(NULL));
    ESP_ERROR_CHECK(otter_idf_report(&report));
    ESP_LOGI(TAG, "%s %s in %s", report.project, report.version, report.slot);
    ESP_ERROR_CHECK(otter_idf_hosted_start(NULL));

    otter_idf_health_check(true);
}
