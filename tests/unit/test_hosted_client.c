/* SPDX-License-Identifier: Apache-2.0 */
/* The ESP-Hosted client of the host library on lines of its own: a device in a thread at the other
 * end of a socket. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "otter/hosted.h"
#include "otter/hosted_client.h"

/* A device that takes everything, `mouthful` bytes at a time from the line. */
struct peer {
    int line;
    size_t mouthful;
    size_t received;
    uint32_t sum;
    struct otter_hosted_device device;
    uint8_t message[OTTER_HOSTED_DATA_MAX];
    pthread_t thread;
};

static otter_err sink_begin(void *ctx, uint32_t length)
{
    return OTTER_OK;
}

static otter_err sink_write(void *ctx, const uint8_t *data, size_t len, size_t *used)
{
    struct peer *peer = ctx;

    for (size_t i = 0; i < len; i++) {
        peer->sum = peer->sum * 31u + data[i];
    }
    peer->received += len;
    *used = len;
    return OTTER_OK;
}

static otter_err sink_finish(void *ctx)
{
    return OTTER_OK;
}

static void sink_abort(void *ctx) {}

static const struct otter_sink_ops sink_ops = {sink_begin, sink_write, sink_finish, sink_abort};

static void restart(void *ctx) {}

static void *serve(void *ctx)
{
    struct peer *peer = ctx;
    uint8_t in[4096];
    ssize_t n;

    while ((n = read(peer->line, in, peer->mouthful)) > 0) {
        for (size_t at = 0; at < (size_t)n;) {
            const uint8_t *reply;
            size_t len;

            at += otter_hosted_device_input(&peer->device, in + at, (size_t)n - at, 0);
            while (otter_hosted_device_poll(&peer->device, 0) == 0) {
            }
            while ((len = otter_hosted_device_output(&peer->device, &reply)) > 0) {
                if (write(peer->line, reply, 1) != 1) { /* a byte at a time, to split it */
                    return NULL;
                }
                otter_hosted_device_sent(&peer->device, 1);
            }
        }
    }
    return NULL;
}

/* A client and a device on a line that holds hardly more than half a request. */
static struct otter_hosted_client *start(struct peer *peer, size_t mouthful, int fds[2])
{
    const struct otter_hosted_config config = {
        .sink = {&sink_ops, peer},
        .buf = peer->message,
        .buf_size = sizeof(peer->message),
        .restart_ms = OTTER_HOSTED_RESTART_MS,
        .silence_ms = OTTER_HOSTED_SILENCE_MS,
        .restart = restart,
    };
    int least = 1;

    *peer = (struct peer){.mouthful = mouthful};
    assert_int_equal(otter_hosted_device_init(&peer->device, &config), OTTER_OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)), 0);
    peer->line = fds[1];
    struct otter_hosted_client *client = otter_hosted_client_new();
    assert_non_null(client);
    assert_int_equal(otter_hosted_client_open_fd(client, fds[0]), OTTER_OK);
    if (mouthful > 0) {
        assert_int_equal(pthread_create(&peer->thread, NULL, serve, peer), 0);
    }
    return client;
}

static void stop(struct peer *peer, struct otter_hosted_client *client, int fds[2])
{
    otter_hosted_client_free(client);
    close(fds[0]); /* the client leaves a descriptor of ours open */
    if (peer->mouthful > 0) {
        pthread_join(peer->thread, NULL);
    }
    close(fds[1]);
}

static void a_line_that_is_full_most_of_the_time(void **state)
{
    static uint8_t image[100001];
    struct otter_hosted_client_version version;
    struct peer peer;
    uint32_t sum = 0;
    int fds[2];

    for (size_t i = 0; i < sizeof(image); i++) {
        image[i] = (uint8_t)(i * 7 + i / 256);
        sum = sum * 31u + image[i];
    }
    struct otter_hosted_client *client = start(&peer, 100, fds);
    assert_int_equal(otter_hosted_client_begin(client), OTTER_OK);
    assert_int_equal(otter_hosted_client_write(client, image, sizeof(image)), OTTER_OK);
    assert_int_equal(otter_hosted_client_end(client), OTTER_OK);
    assert_int_equal(otter_hosted_client_version(client, &version), OTTER_OK);
    assert_string_equal(version.name, "");
    assert_int_equal(peer.received, sizeof(image));
    assert_int_equal(peer.sum, sum);
    stop(&peer, client, fds);
}

static void a_device_that_takes_nothing(void **state)
{
    static const uint8_t image[4000];
    struct peer peer;
    int fds[2];
    struct otter_hosted_client *client = start(&peer, 0, fds);

    otter_hosted_client_timeouts(client, 20, 20);
    assert_int_equal(otter_hosted_client_begin(client), OTTER_ERR_TIMEOUT);
    assert_int_equal(otter_hosted_client_write(client, image, sizeof(image)), OTTER_ERR_TIMEOUT);
    assert_non_null(strstr(otter_hosted_client_error(client), "not a byte came back"));
    stop(&peer, client, fds);
}

static void a_line_that_is_closed(void **state)
{
    struct peer peer;
    int fds[2];
    struct otter_hosted_client *client = start(&peer, 0, fds);

    shutdown(fds[1], SHUT_RDWR);
    assert_int_equal(otter_hosted_client_begin(client), OTTER_ERR_LINK);
    assert_non_null(strstr(otter_hosted_client_error(client), "line to the device is lost"));
    otter_hosted_client_close(client);
    assert_int_equal(otter_hosted_client_begin(client), OTTER_ERR_LINK);
    assert_non_null(strstr(otter_hosted_client_error(client), "no line"));
    stop(&peer, client, fds);
}

static void a_wait_that_is_cancelled(void **state)
{
    volatile sig_atomic_t cancel = 1;
    struct peer peer;
    int fds[2];
    struct otter_hosted_client *client = start(&peer, 0, fds);

    otter_hosted_client_cancel_on(client, &cancel);
    assert_int_equal(otter_hosted_client_begin(client), OTTER_ERR_CANCELLED);
    otter_hosted_client_cancel_on(client, NULL);
    stop(&peer, client, fds);
}

static void descriptors_and_addresses_that_cannot_be_used(void **state)
{
    struct otter_hosted_client *client = otter_hosted_client_new();

    assert_non_null(client);
    assert_int_equal(otter_hosted_client_open_fd(client, 9999), OTTER_ERR_LINK);
    assert_int_equal(otter_hosted_client_open(client, ""), OTTER_ERR_ARG);
    assert_int_equal(otter_hosted_client_open(client, "/dev/ttyUSB0?baud=12"), OTTER_ERR_ARG);
    assert_int_equal(otter_hosted_client_open(client, "/nowhere"), OTTER_ERR_LINK);
    assert_int_equal(otter_hosted_client_open(client, "unix:/nowhere"), OTTER_ERR_LINK);
    assert_true(strlen(otter_hosted_client_error(client)) > 0);
    otter_hosted_client_free(client);
    otter_hosted_client_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_that_is_full_most_of_the_time),
        cmocka_unit_test(a_device_that_takes_nothing),
        cmocka_unit_test(a_line_that_is_closed),
        cmocka_unit_test(a_wait_that_is_cancelled),
        cmocka_unit_test(descriptors_and_addresses_that_cannot_be_used),
    };

    return cmocka_run_group_tests_name("hosted client", tests, NULL, NULL);
}
