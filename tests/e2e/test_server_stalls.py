# SPDX-License-Identifier: Apache-2.0
"""otterd and clients that stall: row S07 of the fault list."""
import contextlib
import os
import resource
import signal
import socket
import statistics
import subprocess
import time

import pytest

from otterd import (BUILD, Certificates, PASSWORD, Server, USER, basic, drain, eventually, image)

NO_ENVIRONMENT = dict.fromkeys(["US_AUTH_USERNAME", "US_AUTH_PASSWORD", "OTTERD_DEVICE_USERNAME",
                                "OTTERD_DEVICE_PASSWORD"])


@pytest.fixture(scope="module", autouse=True)
def setup():
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, max(4096, resource.getrlimit(
        resource.RLIMIT_NOFILE)[1])))
    yield
    Certificates.remove()


@pytest.fixture(name="users", scope="module")
def fixture_users(tmp_path_factory):
    """A users file, so that a start needs no hashing."""
    path = tmp_path_factory.mktemp("users") / "users"
    for name, role, password in ((USER, "admin", PASSWORD),):
        subprocess.run([os.path.join(BUILD, "server", "otterd"), "passwd", str(path), name, role],
                       input=password.encode(), check=True)
    return ["--users", str(path)]


def put(fields, path="/files/fw.bin"):
    lines = "".join(f"{k}: {v}\r\n" for k, v in fields.items())
    return (f"PUT {path} HTTP/1.1\r\nHost: a\r\nAuthorization: {basic()}\r\n{lines}\r\n").encode()


def stall_tcp(server):
    return socket.create_connection(("127.0.0.1", server.port))


def stall_handshake(server):
    sock = stall_tcp(server)
    sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60))
    return sock


def stall_head(server):
    sock = server.connect(context=server.shared)
    sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Long: a")
    return sock


def stall_body(server):
    sock = server.connect(context=server.shared)
    sock.sendall(put({"Content-Length": "400"}, "/devices/s") + b'"s",')
    return sock


def stall_reading(server):
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.settimeout(30)
    raw.connect(("127.0.0.1", server.port))
    sock = server.shared.wrap_socket(raw, server_hostname="localhost")
    sock.sendall(f"GET /files/large.bin HTTP/1.1\r\nHost: a\r\nAuthorization: {basic()}\r\n\r\n"
                 .encode())
    return sock


def median_latency(server, client, count=150):
    times = []
    for _ in range(count):
        before = time.perf_counter()
        status, _, _ = server.ask("GET", "/devices/poller?app_ver=1", client=client)
        times.append(time.perf_counter() - before)
        assert status == 204
    return statistics.median(times)


def latency_among_stalled(server, client, usual, idle):
    """While nearly all of them hang there; None when they were gone before it was as usual."""
    now = float("inf")
    while now > 2 * usual:
        if server.descriptors() < idle + 450:
            return None
        now = min(now, median_latency(server, client))
    return now


def stall_all(stall, users, patience):
    """False: the first were sent away before the last had come, as on a machine that is too busy, or
    before others were served as quickly as usual."""
    with Server("--head-timeout", str(8 * patience), "--rate-window", str(5 * patience),
                "--min-rate", str(4096 // patience), *users, env=NO_ENVIRONMENT) as server:
        server.shared = server.context()
        assert server.ask("PUT", "/files/large.bin", image("1", 12 << 20))[0] == 200
        assert server.ask("PUT", "/devices/poller", '"poller","2","large.bin"')[0] == 200
        client = server.http()
        server.ask("GET", "/devices/poller?app_ver=1", client=client)
        idle = server.descriptors()
        usual = median_latency(server, client)
        stalled = [stall(server) for _ in range(500)]
        try:
            # a fresh client gets in
            assert server.ask("GET", "/healthz", user=None)[0] == 200
            # and the one that was there is served as before
            if latency_among_stalled(server, client, usual, idle) is None:
                return False
            end = time.monotonic() + 60 * patience
            while server.descriptors() > idle + 5 and time.monotonic() < end:
                time.sleep(0.1)
            assert server.descriptors() <= idle + 5
        finally:
            for sock in stalled:
                sock.close()
    return True


@pytest.mark.parametrize("stall", [stall_tcp, stall_handshake, stall_head, stall_body,
                                   stall_reading])
def test_S07_stalled_connections(stall, users):
    assert any(stall_all(stall, users, patience) for patience in (1, 4, 16)), \
        "others were served at more than twice the usual latency while 500 clients stalled"


def test_S07_caps_on_connections():
    with Server("--max-per-address", "5", "--max-connections", "8") as server:
        held = [server.connect(source="127.0.0.1") for _ in range(5)]
        with pytest.raises(OSError):
            server.connect(source="127.0.0.1")
        held += [server.connect(source="127.0.0.2") for _ in range(3)]
        with pytest.raises(OSError):
            server.connect(source="127.0.0.3")
        for sock in held:
            sock.close()
        eventually(lambda: refused(server), False)
        assert server.ask("GET", "/healthz", user=None)[0] == 200


def test_S07_who_is_held_up_by_the_machine_is_not_late():
    """The server stands still for longer than any deadline, and its clients with it: then they go
    on. Who does nothing is closed all the same."""
    data = image("1", 3000)
    with Server("--head-timeout", "2", "--rate-window", "2", "--idle-timeout", "2") as server:
        with contextlib.ExitStack() as stack:
            head, body, idle, silent = [stack.enter_context(server.connect()) for _ in range(4)]
            head.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n")
            body.sendall(put({"Content-Length": str(len(data))}) + data[:1000])
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert idle.recv(1000).startswith(b"HTTP/1.1 200 ")
            server.process.send_signal(signal.SIGSTOP)
            time.sleep(4)  # longer than all of these is what is tested
            server.process.send_signal(signal.SIGCONT)
            head.sendall(b"Connection: close\r\n\r\n")
            body.sendall(data[1000:])
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            for sock in (head, body, idle):
                assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
            assert drain(silent) == b""


def refused(server):
    try:
        server.connect().close()
        return False
    except OSError:
        return True


def test_S07_slow_bodies_are_cut_off_and_slow_enough_ones_are_not():
    data = image("1", 3000)
    with Server("--rate-window", "2", "--min-rate", "300") as server:
        with server.connect() as slow, server.connect() as slower:
            slow.sendall(put({"Content-Length": str(len(data))}, "/files/slow"))
            slower.sendall(put({"Content-Length": str(len(data))}, "/files/slower"))
            at = 0
            with contextlib.suppress(OSError):
                while at < len(data):
                    slow.sendall(data[at:at + 100])
                    at += 100
                    with contextlib.suppress(OSError):
                        slower.sendall(data[at // 10:at // 10 + 1])
                    time.sleep(0.1)  # the rate is what is tested
            assert slow.recv(100).startswith(b"HTTP/1.1 200 ")
            assert drain(slower) == b""
        assert server.ask("GET", "/files/slower")[0] == 404
