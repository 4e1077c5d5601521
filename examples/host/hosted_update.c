/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Updates an ESP32 from a file, over the ESP-Hosted control path.
 *
 *   cc hosted_update.c $(pkg-config --cflags --libs otter) -o hosted_update
 *   ./hosted_update /dev/esps0 firmware.bin
 */
#include <stdio.h>

#include <otter/hosted_client.h>

static int failed(struct otter_hosted_client *client, FILE *file)
{
    fprintf(stderr, "%s\n", otter_hosted_client_error(client));
    fclose(file);
    otter_hosted_client_free(client);
    return 1;
}

int main(int argc, char **argv)
{
    char chunk[16384];
    size_t len;

    if (argc != 3) {
        fprintf(stderr, "usage: hosted_update DEVICE FILE\n");
        return 2;
    }
    FILE *file = fopen(argv[2], "rb");
    struct otter_hosted_client *client = otter_hosted_client_new();
    if (file == NULL || client == NULL) {
        perror(argv[2]);
        return 1;
    }
    if (otter_hosted_client_open(client, argv[1]) != OTTER_OK ||
        otter_hosted_client_begin(client) != OTTER_OK) {
        return failed(client, file);
    }
    while ((len = fread(chunk, 1, sizeof(chunk), file)) > 0) {
        if (otter_hosted_client_write(client, chunk, len) != OTTER_OK) {
            return failed(client, file);
        }
    }
    if (ferror(file)) {
        perror(argv[2]); /* without an end the device keeps the firmware it has */
        return 1;
    }
    if (otter_hosted_client_end(client) != OTTER_OK) {
        return failed(client, file);
    }
    printf("The device took the update and restarts in 5 seconds.\n");
    fclose(file);
    otter_hosted_client_free(client);
    return 0;
}
