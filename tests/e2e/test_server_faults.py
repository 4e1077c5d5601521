# SPDX-License-Identifier: Apache-2.0
"""otterd under faults: rows S01 to S09 and S11 to S13 of the fault list, each by its number."""
import base64
import contextlib
import hashlib
import http.client
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from otterd import (BUILD, Certificates, DEVICE, DEVICE_PASSWORD, PASSWORD, SANITIZED, Server, USER,
                    basic, check_store, drain, eventually, image)

FAULTS = os.path.join(BUILD, "tests", "e2e", "libfaults.so")
KILLS = int(os.environ.get("OTTER_KILLS", "60" if SANITIZED else "500"))


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
    for name, role, password in ((USER, "admin", PASSWORD), (DEVICE, "device", DEVICE_PASSWORD)):
        subprocess.run([os.path.join(BUILD, "server", "otterd"), "passwd", str(path), name, role],
                       input=password.encode(), check=True)
    return ["--users", str(path)]


NO_ENVIRONMENT = dict.fromkeys(["US_AUTH_USERNAME", "US_AUTH_PASSWORD", "OTTERD_DEVICE_USERNAME",
                                "OTTERD_DEVICE_PASSWORD"])


# --- S01 ----------------------------------------------------------------------------------------


class Killed:
    """Uploads and changes against a server that is killed at random moments."""

    def __init__(self, users, seed, rounds):
        self.random = random.Random(seed)
        self.seed, self.rounds, self.problem = seed, rounds, None
        self.server = Server(*users, env=NO_ENVIRONMENT, start=False)
        self.images = [image(f"1.0.{n}", 2000 + 40000 * n, seed=n) for n in range(5)]
        self.hashes = [hashlib.sha256(i).hexdigest() for i in self.images]
        # Of files and devices: what an answer promised, and what was begun after that.
        self.sure, self.tried = {}, {}

    def change(self, client, key, value, *request):
        """One change: after its answer the value is promised; before, it may be there or not."""
        self.tried.setdefault(key, set()).add(value)
        status, _, _ = self.server.ask(*request, client=client)
        assert status in (200, 204) or (status == 404 and value is None), (request[:2], status)
        self.sure[key], self.tried[key] = value, set()

    def write(self, name, number, stop):
        """One client: changes its own file and devices until the server goes away."""
        choose = random.Random(self.seed * 1000 + number)
        try:
            client = self.server.http(20)
            while not stop.is_set():
                self.some_changes(client, name, choose)
        except (OSError, http.client.HTTPException):
            pass  # it was killed
        except BaseException as problem:  # pylint: disable=broad-except # told by the main thread
            self.problem = f"seed {self.seed}: {problem!r}"

    def some_changes(self, client, name, choose):
        which = choose.randrange(len(self.images))
        self.change(client, name, self.hashes[which], "PUT", f"/files/{name}", self.images[which])
        device = f"{name}{choose.randrange(10)}"
        self.change(client, device, (str(which), name), "PUT", f"/devices/{device}",
                    f'"{device}","{which}","{name}"')
        if choose.randrange(3) == 0:
            device = f"{name}{choose.randrange(10)}"
            self.change(client, device, None, "DELETE", f"/devices/{device}")
        if choose.randrange(5) == 0:
            self.change(client, name, None, "DELETE", f"/api/v1/images/{name}?force=1")

    def look(self):
        """What is there after a kill is what was promised, or was being done."""
        there = check_store(self.server.data)
        with contextlib.closing(self.server.database()) as database:
            there |= {row[0]: row[1:] for row in database.execute("SELECT * FROM device_app")}
        for key in self.tried.keys() | self.sure.keys() | there.keys():
            allowed = self.tried.get(key, set()) | {self.sure.get(key)}
            assert there.get(key) in allowed, (key, there.get(key), allowed)
            self.sure[key], self.tried[key] = there.get(key), set()

    def one(self, number):
        self.server.start()
        names = ["a", "b"]
        stop = threading.Event()
        threads = [threading.Thread(target=self.write, args=(n, number * 10 + i, stop))
                   for i, n in enumerate(names)]
        for thread in threads:
            thread.start()
        time.sleep(self.random.random() ** 2 * 0.12)  # the random moment
        self.server.stop(signal.SIGKILL)
        stop.set()
        for thread in threads:
            thread.join()
        self.look()

    def run(self):
        number = -1
        try:
            for number in range(self.rounds):
                self.one(number)
            self.server.start()
            there = check_store(self.server.data)
            for name, sha256 in there.items():
                body = self.server.ask("GET", f"/files/{name}")[1]
                assert hashlib.sha256(body).hexdigest() == sha256
            assert sorted(os.listdir(os.path.join(self.server.data, "blobs"))) == \
                sorted(set(there.values()))
            assert os.listdir(os.path.join(self.server.data, "tmp")) == []
            self.server.close()
        except BaseException as problem:  # pylint: disable=broad-except # told by the main thread
            self.problem = self.problem or f"seed {self.seed}, kill {number}: {problem!r}"


def test_S01_kill_at_any_moment(users):
    seed = int(os.environ.get("OTTER_SEED", random.randrange(1 << 30)))
    runs = [Killed(users, seed + n, KILLS // 2) for n in range(2)]
    threads = [threading.Thread(target=run.run) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [run.problem for run in runs if run.problem] == [], f"repeat with OTTER_SEED={seed}"


# --- S02 ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(megabytes):
    """A file system of its own."""
    folder = tempfile.mkdtemp(prefix="otterd-disk-")
    root = [] if os.geteuid() == 0 else ["env", "sudo", "-n"]
    done = subprocess.run([*root, "mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=777",
                           "tmpfs", folder], capture_output=True, check=False)
    if done.returncode != 0:
        os.rmdir(folder)
        pytest.skip("no right to mount a small file system here")
    try:
        yield folder
    finally:
        subprocess.run([*root, "umount", folder], check=True)
        os.rmdir(folder)


def test_S02_disk_full():
    old, large = image("1", 500000), image("2", 7 << 20)
    with small_disk(6) as folder, Server(data=folder) as server:
        assert server.ask("PUT", "/files/fw.bin", old)[0] == 200
        for _ in range(3):
            assert server.curl("-T", "-", "-H", "Expect:", path="/files/none", check=False)[0] > 0
            status, _, _ = server.ask("PUT", "/files/fw.bin", large)
            assert status == 507
            assert server.ask("GET", "/files/fw.bin")[1] == old
        with open(os.path.join(folder, "ballast"), "wb", buffering=0) as ballast:
            with contextlib.suppress(OSError):
                while True:
                    ballast.write(bytes(4096))
        said = [server.ask("PUT", f"/devices/{n}", f'"{n}","{"v" * 200}","fw.bin"')[0]
                for n in range(300)]
        assert set(said) <= {200, 507, 503} and said[-1] in (507, 503)
        assert server.ask("GET", "/files/fw.bin")[1] == old
        assert server.ask("GET", "/healthz", user=None)[0] == 200
        os.unlink(os.path.join(folder, "ballast"))
        assert eventually(lambda: server.ask("PUT", "/devices/1", '"1","v","fw.bin"')[0]) == 200
        assert server.ask("PUT", "/files/fw.bin", image("3", 600000))[0] == 200
        check_store(folder)


def test_S02_read_only(tmp_path):
    """The data folder loses its write permission, and has none at the start."""
    data = tmp_path / "data"
    data.mkdir()
    account = []
    if os.geteuid() == 0:  # root may write anywhere
        account = ["--user", "nobody"]
        shutil.chown(data, "nobody")
        for parent in data.parents:
            if parent != Path(tempfile.gettempdir()) and tmp_path.parent.parent in \
                    [parent, *parent.parents]:
                parent.chmod(0o755)
    with Server(*account, data=str(data)) as server:
        assert server.ask("PUT", "/files/fw.bin", image("1", 5000))[0] == 200
        for folder in (data / "tmp", data / "blobs"):
            folder.chmod(0o500)
            assert server.ask("PUT", "/files/fw.bin", image("2", 5000))[0] == 503
            assert server.ask("GET", "/files/fw.bin")[1] == image("1", 5000)
            folder.chmod(0o700)
        assert server.ask("PUT", "/files/fw.bin", image("2", 5000))[0] == 200
        assert os.listdir(data / "tmp") == []
    check_store(data)
    data.chmod(0o500)
    (data / ".lock").chmod(0o400)
    server = Server(*account, data=str(data), start=False)
    done = subprocess.run(server.command(), env={**os.environ, **server.env}, timeout=60,
                          capture_output=True, check=False)
    data.chmod(0o700)
    assert done.returncode == 1 and str(data).encode() in done.stderr, done.stderr


def test_S02_sync_fails(tmp_path):
    switch = tmp_path / "faults"
    old, new = image("1", 5000), image("2", 5000)
    with Server(env={"LD_PRELOAD": FAULTS, "OTTER_FAULTS": str(switch)}) as server:
        assert server.ask("PUT", "/files/fw.bin", old)[0] == 200
        switch.write_text("f")
        for _ in range(3):
            assert server.ask("PUT", "/files/fw.bin", new)[0] == 503
            status, _, fields = server.ask("PUT", "/devices/1", '"1","1","fw.bin"')
            assert status == 503 and fields["Retry-After"]
            assert server.ask("GET", "/files/fw.bin")[1] == old
        switch.write_text("-")
        assert eventually(lambda: server.ask("PUT", "/files/fw.bin", new)[0]) == 200
        assert eventually(lambda: server.ask("PUT", "/devices/1", '"1","1","fw.bin"')[0]) == 200
        assert server.ask("GET", "/files/fw.bin")[1] == new
        assert os.listdir(os.path.join(server.data, "tmp")) == []
        check_store(server.data)


# --- S03, S04 -----------------------------------------------------------------------------------

CLIMBERS = ["..", "../x", "%2e%2e", "%2e%2e/x", ".%2e/x", "..%2fx", "%2fetc%2fpasswd", "a%2fb",
            "/etc/passwd", "a%00b", "%00", "a%5c..%5cb", "a\\b", "%252e%252e%252fx", "a%0ab",
            "a%0d%0ab", "a%22b", "%ff%fe", "a%", "a%zz", "a" * 10000, "%41" * 3000, "a" * 256, "./a",
            "a/./b", "a//b", "a/../../b", "....//x", "%c0%ae%c0%ae/x"]


def test_S03_paths_do_not_climb(tmp_path):
    with Server(data=str(tmp_path / "data")) as server:
        def listing():
            return {n for n in os.listdir(server.data) if not n.startswith("devices.db-")}

        before = listing()
        body = image("1", 3000)
        for path in CLIMBERS:
            for prefix in ("/files/", "/api/v1/images/", "/devices/"):
                for method in ("GET", "PUT", "DELETE"):
                    data = body if method == "PUT" else b""
                    length = f"Content-Length: {len(data)}\r\n" if method == "PUT" else ""
                    said = server.raw(
                        f"{method} {prefix}{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                        f"Authorization: {basic()}\r\n{length}\r\n".encode("latin1") + data)
                    assert re.match(rb"HTTP/1\.1 4\d\d ", said), (method, prefix, path, said[:99])
        assert listing() == before and os.listdir(tmp_path) == ["data"]
        assert server.ask("GET", "/api/v1/images")[1] == b'{"images":[],"next":null}'


def test_S03_symbolic_links_are_not_followed(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(image("secret"))
    data = tmp_path / "data"
    data.mkdir()
    (data / "link.bin").symlink_to(secret)
    (data / "pipe").symlink_to("/dev/zero")
    with Server(data=str(data)) as server:
        assert server.ask("GET", "/files/link.bin")[0] == 404
        assert server.ask("PUT", "/files/fw.bin", image("1"))[0] == 200
        blob = data / "blobs" / hashlib.sha256(image("1")).hexdigest()
        blob.unlink()
        blob.symlink_to(secret)
        assert server.ask("GET", "/files/fw.bin")[0] == 503
    assert secret.read_bytes() == image("secret")


STRANGE = ["device_id", "*", "%", "_", "'", "''", '"', '""', "' OR 1=1 --", '" OR 1=1 --', ";",
           "1; DROP TABLE device_app", "x'; DELETE FROM device_app; --", "null", "NULL", "?1",
           "$id", ":id", "rowid", "a,b", "a\tb"[:1] + " b", "\u00e4\u20ac\U0001F600", "a" * 255, "\\",
           "\\'", "(SELECT 1)", "0x41", "true", " lead", "trail ", "a&b=c", "a+b", "#", "100%25"]


def test_S04_metacharacters_are_literal():
    from urllib.parse import quote
    with Server() as server:
        client = server.http()
        names = {}
        assert server.ask("PUT", "/files/plain.bin", image("1"), client=client)[0] == 200
        for text in STRANGE:
            quoted = quote(text, safe="")
            row = ",".join('"' + part.replace('"', '""') + '"' for part in (text, text, "plain.bin"))
            assert server.ask("PUT", f"/devices/{quoted}", row.encode(), client=client)[0] == 200
            names[text] = quoted
        listed = server.ask("GET", "/devices", client=client)[1].decode().splitlines()
        assert len(listed) == len(STRANGE)
        for text, quoted in names.items():
            ask = f"/devices/{quoted}?app_ver={quoted}"
            assert server.ask("GET", ask, client=client)[:2] == (200, b"plain.bin"), text
            assert server.ask("GET", f"/devices/{quoted}?app_ver=x", client=client)[0] == 204
            said = json.loads(server.ask("GET", f"/api/v1/devices/{quoted}", client=client)[1])
            assert said["id"] == text and said["assignment"]["from"] == text
        for text, quoted in names.items():
            assert server.ask("DELETE", f"/devices/{quoted}", client=client)[0] == 200, text
            assert server.ask("DELETE", f"/devices/{quoted}", client=client)[0] == 404, text
        assert server.ask("GET", "/devices", client=client)[1] == b""
        for path in ("it's;--.bin", "a&b.bin", "(1).bin"):
            assert server.ask("PUT", "/files/" + quote(path), image(path), client=client)[0] == 200
            assert server.ask("GET", "/files/" + quote(path), client=client)[1] == image(path)


# --- S05, S06 -----------------------------------------------------------------------------------


def put(fields, path="/files/fw.bin"):
    lines = "".join(f"{k}: {v}\r\n" for k, v in fields.items())
    return (f"PUT {path} HTTP/1.1\r\nHost: a\r\nAuthorization: {basic()}\r\n{lines}\r\n").encode()


def chunked(data, sizes):
    pieces, at = [], 0
    while at < len(data):
        size = next(sizes)
        piece = data[at:at + size]
        pieces.append(b"%x;x=y\r\n%s\r\n" % (len(piece), piece))
        at += len(piece)
    return b"".join(pieces) + b"0\r\nTrailer: yes\r\n\r\n"


def test_S05_bodies_of_every_shape():
    old, new = image("1", 20000), image("2", 30000)
    choose = random.Random(5)
    with Server("--verbose") as server:
        def now():
            return server.ask("GET", "/files/fw.bin")[1]

        def closed(data):
            with server.connect() as sock:
                sock.sendall(data)
                sock.unwrap()  # the client is done: the body is cut short
                return drain(sock)

        assert server.ask("PUT", "/files/fw.bin", old)[0] == 200
        length = {"Content-Length": str(len(new))}
        for bad in ({}, {"Content-Length": ""}, {"Content-Length": "x"}, {"Content-Length": "-1"},
                    {"Content-Length": "1,1"}, {"Transfer-Encoding": "gzip"},
                    {"Transfer-Encoding": "identity"}, length | {"Transfer-Encoding": "chunked"},
                    length | {"Expect": "200-ok"}):
            said = server.raw(put(bad) + new)
            assert re.match(rb"HTTP/1\.1 (4\d\d|501) ", said), (bad, said[:99])
            assert now() == old
        for cut in (0, 1, 24, 1000, len(new) - 1):
            with contextlib.suppress(OSError):
                assert b" 200 " not in closed(put(length) + new[:cut])
            with contextlib.suppress(OSError):
                body = chunked(new, iter(lambda: 4096, 0))
                assert b" 200 " not in closed(put({"Transfer-Encoding": "chunked"}) + body[:cut])
            assert now() == old
        # too long a body: the rest is the next request, and a bad one
        said = server.raw(put(length) + new + b"surplus\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 200 ") and b"HTTP/1.1 400 " in said
        assert now() == new
        # chunked, at any sizes, in any pieces
        server.ask("PUT", "/files/fw.bin", old)
        body = chunked(new, iter(lambda: choose.choice([1, 2, 100, 5000]), 0))
        with server.connect() as sock:
            sock.sendall(put({"Transfer-Encoding": "chunked"}))
            at = 0
            while at < len(body):
                step = choose.choice([1, 3, 100, 1460, 9000])
                sock.sendall(body[at:at + step])
                at += step
            assert sock.recv(100).startswith(b"HTTP/1.1 200 ")
        assert now() == new
        server.ask("PUT", "/files/fw.bin", old)
        bad = chunked(new, iter(lambda: 1000, 0)).replace(b"\r\n3e8;", b"\r\nzz;", 3)
        assert server.raw(put({"Transfer-Encoding": "chunked"}) + bad).startswith(b"HTTP/1.1 400 ")
        assert now() == old
        # split over many packets
        with server.connect() as sock:
            for at in range(0, 2000):
                sock.sendall((put(length) + new)[at:at + 1])
            sock.sendall((put(length) + new)[2000:])
            assert sock.recv(100).startswith(b"HTTP/1.1 200 ")
        assert now() == new


def test_S05_expect_100_continue():
    new = image("2", 30000)
    with Server() as server:
        go_on = put({"Content-Length": str(len(new)), "Expect": "100-continue"})
        with server.connect() as sock:
            sock.sendall(go_on)
            assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
            sock.sendall(new)
            assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
        # not asked to go on by whom it may not, nor for what is too large
        for bad in (go_on.replace(basic().encode(), basic(USER, "wrong").encode()),
                    go_on.replace(str(len(new)).encode(), b"99999999"),
                    go_on.replace(b"/files/fw.bin", b"/files/a/b")):
            said = server.raw(bad)
            assert re.match(rb"HTTP/1\.1 4\d\d ", said) and b"100 Continue" not in said
            assert b"Connection: close" in said


def test_S06_large_uploads_are_refused_at_once():
    with Server("--max-upload", "1M") as server:
        before = time.monotonic()
        said = server.raw(put({"Content-Length": str(10 << 30)}))
        assert said.startswith(b"HTTP/1.1 413 ") and b"Connection: close" in said
        assert time.monotonic() - before < 5
        assert server.curl("-X", "PUT", "-H", "Content-Length: 10000000000", "--data-binary", "x",
                           "-H", "Expect: 100-continue", path="/files/x", check=False)[0] == 413
        body = chunked(image("1", 2 << 20), iter(lambda: 65536, 0))
        assert server.raw(put({"Transfer-Encoding": "chunked"}) + body).startswith(
            b"HTTP/1.1 413 ")
        assert server.ask("PUT", "/devices/a", b"x" * 70000)[0] == 413
        assert os.listdir(os.path.join(server.data, "tmp")) == []


# --- S08 ----------------------------------------------------------------------------------------


def test_S08_guessing_is_slowed_down_and_nothing_secret_is_logged():
    with Server("--verbose") as server:
        logged_in = server.http()
        assert server.ask("GET", "/devices", client=logged_in)[0] == 200
        said = [server.ask("GET", "/devices", user=(USER, f"secret-guess-{n}"))[0]
                for n in range(14)]
        assert said[:10] == [403] * 10 and said[-1] == 429, said
        status, _, fields = server.ask("GET", "/devices", user=("nobody", "x"))
        assert status == 429 and int(fields["Retry-After"]) >= 1
        # over its allowance the address learns nothing, not even from the right password ...
        assert server.ask("GET", "/devices")[0] == 429
        # ... but who was in stays in, other addresses are served, and it passes
        assert server.ask("GET", "/devices", client=logged_in)[0] == 200
        with server.connect(source="127.0.0.9") as sock:
            sock.sendall(f"GET /devices HTTP/1.1\r\nHost: a\r\nAuthorization: {basic()}\r\n\r\n"
                         .encode())
            assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert eventually(lambda: server.ask("GET", "/devices")[0], seconds=20) == 200
        assert server.metric("otterd_slowed_logins_total") >= 3
        text = server.text()
    for secret in (PASSWORD, "secret-guess", DEVICE_PASSWORD, basic()[6:],
                   base64.b64encode(b"nobody:x").decode()):
        assert secret not in text
    assert "user=server_username" in text


def test_S08_many_guesses_at_once():
    """Attempts are spent before the password is looked at: none slip through side by side."""
    with Server() as server:
        socks = [server.connect() for _ in range(60)]
        for n, sock in enumerate(socks):
            sock.sendall(f"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                         f"Authorization: {basic(USER, str(n))}\r\n\r\n".encode())
        said = [drain(sock)[9:12] for sock in socks]
        assert set(said) == {b"401", b"429"} and 10 <= said.count(b"401") <= 14
        for sock in socks:
            sock.close()


def test_S08_a_fleet_that_comes_at_once_is_not_guessing():
    with Server() as server:
        socks = [server.connect() for _ in range(60)]
        for sock in socks:
            sock.sendall(f"GET /devices/a?app_ver=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                         f"Authorization: {basic(DEVICE, DEVICE_PASSWORD)}\r\n\r\n".encode())
        assert {drain(sock)[9:12] for sock in socks} == {b"404"}
        for sock in socks:
            sock.close()


# --- S09 ----------------------------------------------------------------------------------------


def test_S09_each_reader_gets_one_version():
    images = [image(str(n), 3 << 20, seed=n) for n in range(3)]
    hashes = {hashlib.sha256(i).hexdigest() for i in images}
    problems, done = [], threading.Event()
    with Server() as server:
        assert server.ask("PUT", "/files/fw.bin", images[0])[0] == 200

        def read(pause):
            client = server.http()
            while not done.is_set():
                client.request("GET", "/files/fw.bin", headers={"Authorization": basic()})
                answer = client.getresponse()
                sha256 = hashlib.sha256()
                while piece := answer.read(200000):
                    sha256.update(piece)
                    time.sleep(pause)
                if f'"{sha256.hexdigest()[:32]}"' != answer.headers["ETag"] or \
                        sha256.hexdigest() not in hashes:
                    problems.append(sha256.hexdigest())
            client.close()

        readers = [threading.Thread(target=read, args=(p,)) for p in (0, 0, 0.002, 0.02)]
        for reader in readers:
            reader.start()
        client = server.http()
        for n in range(12):
            assert server.ask("PUT", "/files/fw.bin", images[n % 3], client=client)[0] == 200
        done.set()
        for reader in readers:
            reader.join()
        assert problems == []
        assert len(os.listdir(os.path.join(server.data, "blobs"))) == 1


# --- S11 ----------------------------------------------------------------------------------------


def certificate_of(server, session=None):
    context = server.context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # sessions are at hand at once
    raw = socket.create_connection(("127.0.0.1", server.port), 20)
    with context.wrap_socket(raw, session=session) as sock:
        return sock.getpeercert(True), sock.session, sock.session_reused


def test_S11_certificate_is_renewed_without_a_restart():
    etc = tempfile.mkdtemp(prefix="otterd-etc-")
    otterd = os.path.join(BUILD, "server", "otterd")
    try:
        subprocess.run([otterd, "init", "--name", "localhost", etc], check=True,
                       capture_output=True)
        with open(os.path.join(etc, "admin.login"), encoding="ascii") as file:
            login = tuple(file.read().strip().split(":"))
        with Server(etc=etc, env=NO_ENVIRONMENT) as server:
            client = server.http()
            assert server.ask("GET", "/metrics", user=login, client=client)[0] == 200
            first, _, _ = certificate_of(server)
            subprocess.run([otterd, "init", "--name", "localhost", etc], check=True,
                           capture_output=True)
            server.process.send_signal(signal.SIGHUP)
            server.wait_log("certificate.*read again")
            second, _, _ = certificate_of(server)
            assert first != second
            # a broken file changes nothing
            key = os.path.join(etc, "server-key.pem")
            os.rename(key, key + ".away")
            with open(key, "w", encoding="ascii") as file:
                file.write("nonsense")
            server.process.send_signal(signal.SIGHUP)
            server.wait_log("old one stays in use")
            assert certificate_of(server)[0] == second
            os.rename(key + ".away", key)
            # it is noticed without a signal, too
            subprocess.run([otterd, "init", "--name", "localhost", etc], check=True,
                           capture_output=True)
            assert eventually(lambda: certificate_of(server)[0] != second, True, 20)
            assert server.ask("GET", "/metrics", user=login, client=client)[0] == 200
    finally:
        shutil.rmtree(etc)


def test_S11_a_certificate_that_cannot_be_read_yet_is_read_later():
    """The files do not change any more, but what kept the server from reading them passes."""
    etc = tempfile.mkdtemp(prefix="otterd-etc-")
    otterd = os.path.join(BUILD, "server", "otterd")

    def init():
        subprocess.run([otterd, "init", "--name", "localhost", etc], check=True,
                       capture_output=True)

    try:
        init()
        with Server(etc=etc, env=NO_ENVIRONMENT) as server:
            first, _, _ = certificate_of(server)
            limits = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
            init()
            server.wait_log("old one stays in use")
            resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limits)
            assert eventually(lambda: certificate_of(server)[0] != first, True, 25)
            assert server.text().count("old one stays in use") == 1
    finally:
        shutil.rmtree(etc)


def test_S11_tickets_outlive_the_certificate():
    with Server() as server:
        context = server.context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        session = None
        for step in range(4):
            raw = socket.create_connection(("127.0.0.1", server.port), 20)
            with context.wrap_socket(raw, server_hostname="localhost", session=session) as sock:
                assert sock.session_reused == (step > 0)
                session = sock.session
            count = server.text().count("read again, good")
            server.process.send_signal(signal.SIGHUP)
            server.wait_log(f"(?s)(read again, good.*){{{count + 1}}}")


def test_S11_clock_jumps(tmp_path):
    clock = tmp_path / "faults"
    with Server("--idle-timeout", "5", env={"LD_PRELOAD": FAULTS, "OTTER_FAULTS": str(clock)}) as server:
        client = server.http()
        assert server.ask("PUT", "/files/fw.bin", image("1"), client=client)[0] == 200
        assert server.ask("PUT", "/devices/a", '"a","1","fw.bin"', client=client)[0] == 200
        for jump in (86400 * 400, -86400 * 400, 3600, -3600, 0):
            clock.write_text(f"-{jump}")
            said = {server.ask("GET", "/devices/a?app_ver=1", client=client)[0] for _ in range(20)}
            assert said == {200}
            assert server.ask("PUT", "/devices/a", '"a","1","fw.bin"')[0] == 200
            assert server.ask("GET", "/files/fw.bin")[0] == 200
        said = json.loads(server.ask("GET", "/api/v1/devices/a")[1])
        assert said["last_seen"] or eventually(lambda: json.loads(server.ask(
            "GET", "/api/v1/devices/a")[1])["last_seen"] is not None, True)


# --- S12 ----------------------------------------------------------------------------------------


def test_S12_a_hundred_thousand_devices(users):
    with Server(*users, env=NO_ENVIRONMENT) as server:
        server.ask("PUT", "/files/fw.bin", image("2"))
        server.ask("PUT", "/devices/d0", '"d0","1","fw.bin"')
        client = server.http()
        choose = random.Random(12)

        def poll(count, ids):
            times = []
            for _ in range(count):
                path = f"/devices/d{choose.randrange(ids)}?app_ver=1"
                before = time.perf_counter()
                status, body, _ = server.ask("GET", path, client=client)
                times.append(time.perf_counter() - before)
                assert (status, body) == (200, b"fw.bin")
            return statistics.median(times)

        few = min(poll(300, 1) for _ in range(3))
        with contextlib.closing(server.database()) as database:
            database.executemany("INSERT OR IGNORE INTO device_app VALUES(?, '1', 'fw.bin')",
                                 ((f"d{n}",) for n in range(100000)))
            database.executemany("INSERT OR IGNORE INTO device(id, changed) VALUES(?, 1)",
                                 ((f"d{n}",) for n in range(100000)))
            database.commit()
        many = min(poll(1000, 100000) for _ in range(3))
        memory = server.status_of("VmRSS")
        poll(3000, 100000)
        assert SANITIZED or server.status_of("VmRSS") - memory < 8000
        assert many < 2 * few + 0.0005, (few, many)
        _, body, _ = server.ask("GET", "/devices", client=client)
        assert body.count(b"\n") == 100000
        assert SANITIZED or server.status_of("VmRSS") - memory < 8000


# --- S13 ----------------------------------------------------------------------------------------


def test_S13_database_locked():
    with Server() as server:
        server.ask("PUT", "/files/fw.bin", image("1"))
        server.ask("PUT", "/devices/a", '"a","1","fw.bin"')
        with contextlib.closing(server.database()) as other:
            other.isolation_level = None
            other.execute("BEGIN EXCLUSIVE")
            for _ in range(2):
                status, _, fields = server.ask("PUT", "/devices/a", '"a","2","fw.bin"')
                assert status == 503 and int(fields["Retry-After"]) > 0
                status, _, _ = server.ask("PUT", "/files/fw.bin", image("2"))
                assert status == 503
                assert server.ask("GET", "/devices/a?app_ver=1")[1] == b"fw.bin"
                assert server.ask("GET", "/files/fw.bin")[1] == image("1")
            other.execute("ROLLBACK")
        assert server.ask("PUT", "/devices/a", '"a","2","fw.bin"')[0] == 200
        assert server.ask("PUT", "/files/fw.bin", image("2"))[0] == 200
        check_store(server.data)
        assert len(os.listdir(os.path.join(server.data, "blobs"))) == 1


def test_S13_database_lost_for_a_while():
    with Server() as server:
        server.ask("PUT", "/files/fw.bin", image("1"))
        server.ask("PUT", "/devices/a", '"a","1","fw.bin"')
        path = os.path.join(server.data, "devices.db")
        for _ in range(2):
            os.rename(path, path + ".away")
            assert eventually(lambda: server.ask("GET", "/devices/a?app_ver=1")[0], 503) == 503
            assert eventually(lambda: server.ask("PUT", "/devices/a", '"a","2","x"')[0], 503) == 503
            assert eventually(lambda: server.ask("GET", "/healthz", user=None)[2]["Retry-After"],
                              "5") == "5"
            os.rename(path + ".away", path)
            assert eventually(lambda: server.ask("GET", "/devices/a?app_ver=1")[0]) == 200
            assert eventually(lambda: server.ask("PUT", "/devices/a", '"a","1","fw.bin"')[0]) == 200
        check_store(server.data)


def test_S13_a_start_without_the_database_destroys_nothing(tmp_path):
    """Restored in the wrong order, say: the contents are there, and what names them is not yet."""
    data = image("1")
    with Server() as server:
        assert server.ask("PUT", "/files/fw.bin", data)[0] == 200
        server.stop()
        database = Path(server.data, "devices.db")
        database.rename(tmp_path / "devices.db")
        with pytest.raises(AssertionError, match="put it back"):
            server.start()
        assert not database.exists()
        database.touch()  # a copy that broke off
        with pytest.raises(AssertionError, match="put it back"):
            server.start()
        assert database.stat().st_size == 0
        (tmp_path / "devices.db").rename(database)
        server.start()
        assert server.ask("GET", "/files/fw.bin")[1] == data


def test_S13_a_start_leaves_alone_what_is_no_content(tmp_path):
    """blobs on a file system of its own has a lost+found, which no database needs to name."""
    (tmp_path / "blobs" / "lost+found").mkdir(parents=True)
    (tmp_path / "blobs" / "notes").write_text("mine")
    with Server(data=str(tmp_path)) as server:
        assert server.ask("PUT", "/files/fw.bin", image("1"))[0] == 200
        server.stop()
        (tmp_path / "blobs" / ("ab" * 32)).write_text("no name stands for this")
        server.start()
        assert "sweep" in server.text() and server.text().count("removed") == 1
    assert (tmp_path / "blobs" / "notes").read_text() == "mine"
    assert len(list((tmp_path / "blobs").iterdir())) == 3


def test_S13_database_replaced_by_something_else():
    with Server() as server:
        server.ask("PUT", "/devices/a", '"a","1","fw.bin"')
        path = os.path.join(server.data, "devices.db")
        os.rename(path, path + ".away")
        with open(path, "wb") as file:
            file.write(b"this is no database" * 500)
        assert eventually(lambda: server.ask("GET", "/devices/a?app_ver=1")[0], 503) == 503
        assert eventually(lambda: server.ask("PUT", "/devices/a", '"a","2","x"')[0], 503) == 503
        assert eventually(lambda: server.ask("GET", "/devices/a?app_ver=1")[1],
                          b"the database is damaged\n") == b"the database is damaged\n"
        os.rename(path + ".away", path)
        assert eventually(lambda: server.ask("GET", "/devices/a?app_ver=x")[0], 204) == 204
        check_store(server.data)
