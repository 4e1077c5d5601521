/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers that the table of routes names. */
#ifndef OTTERD_API_H
#define OTTERD_API_H

struct request;

/* api_seed.c: the first server's API */
void seed_bad_path(struct request *request);
void seed_poll(struct request *request);
void seed_devices(struct request *request);
void seed_assign(struct request *request);
void seed_remove(struct request *request);
void seed_download(struct request *request);
void seed_upload_begin(struct request *request);
void seed_upload(struct request *request);

/* api_images.c and api_devices.c: JSON for our own tools */
void v1_status(struct request *request);
void v1_images(struct request *request);
void v1_image(struct request *request);
void v1_image_put_begin(struct request *request);
void v1_image_put(struct request *request);
void v1_image_remove(struct request *request);
void v1_devices(struct request *request);
void v1_device(struct request *request);
void v1_device_remove(struct request *request);
void v1_assign(struct request *request);
void v1_assign_all(struct request *request);
void v1_unassign(struct request *request);
void v1_report(struct request *request);

/* api_misc.c: for those who watch the server */
void api_health(struct request *request);
void api_metrics(struct request *request);
#endif
