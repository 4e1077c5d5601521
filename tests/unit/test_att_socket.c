/* SPDX-License-Identifier: Apache-2.0 */
/* ATT over a socket: nothing is lost, what waits is bounded, and whoever hangs up is noticed. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/att_socket.h"

static void pair(struct otter_att_socket *a, struct otter_att_socket *b)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
    otter_att_socket_init(a, fds[0]);
    otter_att_socket_init(b, fds[1]);
}

static void one_packet_is_one_pdu(void **state)
{
    struct otter_att_socket a, b;
    uint8_t pdu[OTTER_GATT_MTU_MAX];
    size_t len;

    pair(&a, &b);
    assert_int_equal(otter_att_socket_receive(&b, pdu, &len), OTTER_ERR_AGAIN);
    otter_att_socket_send(&a, (const uint8_t *)"\x01\x02", 2);
    otter_att_socket_send(&a, (const uint8_t *)"\x03", 1);
    assert_true(otter_att_socket_room(&a));
    assert_int_equal(otter_att_socket_receive(&b, pdu, &len), OTTER_OK);
    assert_int_equal(len, 2);
    assert_int_equal(otter_att_socket_receive(&b, pdu, &len), OTTER_OK);
    assert_int_equal(len, 1);
    assert_int_equal(pdu[0], 3);
    otter_att_socket_close(&a);
    assert_int_equal(otter_att_socket_receive(&b, pdu, &len), OTTER_ERR_LINK);
    assert_true(b.broken);
    otter_att_socket_close(&b);
}

static void what_waits_keeps_its_order(void **state)
{
    struct otter_att_socket a, b;
    uint8_t pdu[OTTER_GATT_MTU_MAX] = {0};
    unsigned sent = 0, got = 0;
    size_t len;

    pair(&a, &b);
    for (unsigned round = 0; round < 20; round++) {
        /* until the kernel takes no more, and some more */
        for (unsigned more = 0; more < 5; more += otter_att_socket_room(&a) ? 0 : 1) {
            memcpy(pdu, &sent, sizeof(sent));
            otter_att_socket_send(&a, pdu, sizeof(pdu));
            sent++;
        }
        assert_false(a.broken);
        assert_int_equal(otter_att_socket_events(&a, true), POLLIN | POLLOUT);
        while (otter_att_socket_receive(&b, pdu, &len) == OTTER_OK) {
            assert_memory_equal(pdu, &got, sizeof(got));
            got++;
            otter_att_socket_flush(&a);
        }
        assert_int_equal(got, sent);
        assert_int_equal(otter_att_socket_events(&a, false), 0);
    }
    otter_att_socket_close(&a);
    otter_att_socket_close(&b);
}

/* Hanging up with our PDU unread: what was sent before that still arrives, then the end. */
static void the_last_words_of_who_hangs_up_arrive(void **state)
{
    struct otter_att_socket a, b;
    uint8_t pdu[OTTER_GATT_MTU_MAX];
    size_t len;

    pair(&a, &b);
    otter_att_socket_send(&b, (const uint8_t *)"unread", 6);
    for (uint8_t i = 0; i < 3; i++) {
        otter_att_socket_send(&a, &i, 1);
    }
    otter_att_socket_close(&a);
    for (uint8_t i = 0; i < 3; i++) {
        otter_att_socket_send(&b, (const uint8_t *)"nobody there", 12);
        assert_int_equal(otter_att_socket_receive(&b, pdu, &len), OTTER_OK);
        assert_int_equal(pdu[0], i);
    }
    assert_int_equal(otter_att_socket_receive(&b, pdu, &len), OTTER_ERR_LINK);
    otter_att_socket_close(&b);
}

static void one_who_never_reads_is_dropped(void **state)
{
    struct otter_att_socket a, b;
    const uint8_t pdu[OTTER_GATT_MTU_MAX] = {0};
    unsigned sent = 0;

    pair(&a, &b);
    while (!a.broken && sent < 100000) {
        otter_att_socket_send(&a, pdu, sizeof(pdu));
        sent++;
    }
    assert_true(a.broken);
    assert_int_equal(a.count, OTTER_ATT_QUEUE);
    otter_att_socket_close(&a);
    otter_att_socket_close(&b);
}

static void longer_than_any_pdu(void **state)
{
    struct otter_att_socket a, b;
    uint8_t pdu[OTTER_GATT_MTU_MAX];
    uint8_t big[OTTER_GATT_MTU_MAX + 1] = {0};
    size_t len;

    pair(&a, &b);
    assert_int_equal(send(a.fd, big, sizeof(big), 0), sizeof(big));
    assert_int_equal(otter_att_socket_receive(&b, pdu, &len), OTTER_ERR_LINK);
    otter_att_socket_close(&a);
    otter_att_socket_close(&b);
}

static void listening(void **state)
{
    char folder[] = P_tmpdir "/otter-XXXXXX";
    char path[64], long_path[200];

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/s", folder);
    assert_int_equal(otter_att_socket_connect(path), -1);
    assert_int_equal(errno, ENOENT);

    int listener = otter_att_socket_listen(path);
    assert_true(listener >= 0);
    int fd = otter_att_socket_connect(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(otter_att_socket_listen(path), -1); /* it is in use */
    assert_int_equal(errno, EADDRINUSE);
    close(listener);
    assert_int_equal(otter_att_socket_connect(path), -1);
    assert_int_equal(errno, ECONNREFUSED);
    listener = otter_att_socket_listen(path); /* what is left of it is replaced */
    assert_true(listener >= 0);
    close(listener);
    unlink(path);

    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(otter_att_socket_listen(path), -1); /* a file is not */
    unlink(path);
    rmdir(folder);

    memset(long_path, 'x', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = '\0';
    assert_int_equal(otter_att_socket_listen(long_path), -1);
    assert_int_equal(errno, ENAMETOOLONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_packet_is_one_pdu),
        cmocka_unit_test(what_waits_keeps_its_order),
        cmocka_unit_test(the_last_words_of_who_hangs_up_arrive),
        cmocka_unit_test(one_who_never_reads_is_dropped),
        cmocka_unit_test(longer_than_any_pdu),
        cmocka_unit_test(listening),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
