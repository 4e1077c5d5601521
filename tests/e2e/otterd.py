# SPDX-License-Identifier: Apache-2.0
"""otterd under test: a running server, raw connections to it, curl, and images to give it.

OTTERD_UNDER runs it under another program: "valgrind -q --leak-check=full --error-exitcode=9"."""
import base64
import contextlib
import hashlib
import http.client
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import struct
import subprocess
import tempfile
import threading
import time

BUILD = os.path.abspath(os.environ.get("OTTER_BUILD", "build"))
OTTERD = os.path.join(BUILD, "server", "otterd")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
with open(OTTERD, "rb") as program:
    SANITIZED = b"__asan_init" in program.read()
USER, PASSWORD = "server_username", "server_password"
DEVICE, DEVICE_PASSWORD = "device_username", "device_password"


def image(version="1.0.0", size=0, seed=1, project="otter-test", chip=0):
    """A valid ESP32 application image of about size bytes."""
    desc = struct.pack("<II8x", 0xABCD5432, 0)
    desc += version.encode().ljust(32, b"\0") + project.encode().ljust(32, b"\0")
    desc += b"12:00:00".ljust(16, b"\0") + b"Jan  1 2026".ljust(16, b"\0")
    desc += b"v5.1".ljust(32, b"\0") + bytes(32) + bytes(80)
    filling = random.Random(seed).randbytes(max(0, (size - 360) // 4 * 4))
    data = desc + filling
    segment = struct.pack("<II", 0x3FFB0000, len(data)) + data
    head = struct.pack("<BBBBI", 0xE9, 1, 2, 0x20, 0x40080000)
    head += struct.pack("<B3xHBHH4xB", 0xEE, chip, 0, 0, 0xFFFF, 1)
    body = head + segment
    body += bytes(15 - len(body) % 16)
    checksum = 0xEF
    for byte in data:
        checksum ^= byte
    body += bytes([checksum])
    return body + hashlib.sha256(body).digest()


def basic(user=USER, password=PASSWORD):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Certificates:
    """One folder of `otterd init`, made once a run."""
    folder = None

    @classmethod
    def path(cls, name=""):
        if cls.folder is None:
            cls.folder = tempfile.mkdtemp(prefix="otterd-etc-")
            subprocess.run([OTTERD, "init", "--name", "localhost", cls.folder], check=True,
                           stdout=subprocess.DEVNULL)
            os.unlink(os.path.join(cls.folder, "users"))
        return os.path.join(cls.folder, name)

    @classmethod
    def remove(cls):
        if cls.folder is not None:
            shutil.rmtree(cls.folder)
            cls.folder = None


class Server:
    """A running otterd. Its data folder lives until close()."""

    def __init__(self, *options, data=None, env=None, cwd=None, tls=True, etc=None, start=True):
        self.own_data = data is None
        self.data = data or tempfile.mkdtemp(prefix="otterd-data-")
        self.etc = etc or Certificates.path()
        self.options = list(options)
        self.cwd = cwd
        self.tls = tls
        self.env = {"US_AUTH_USERNAME": USER, "US_AUTH_PASSWORD": PASSWORD,
                    "OTTERD_DEVICE_USERNAME": DEVICE, "OTTERD_DEVICE_PASSWORD": DEVICE_PASSWORD,
                    **(env or {})}
        self.process = self.reader = self.port = None
        self.log = []
        if start:
            self.start()

    def command(self):
        line = [*os.environ.get("OTTERD_UNDER", "").split(), OTTERD, "--dir", self.etc, "--data", self.data, "--listen", "127.0.0.1:0"]
        if os.geteuid() == 0 and "--user" not in self.options:
            line += ["--user", "root"]
        return line + ([] if self.tls else ["--plain"]) + self.options

    def start(self):
        env = {k: v for k, v in {**os.environ, **self.env}.items() if v is not None}
        self.process = subprocess.Popen(self.command(), stderr=subprocess.PIPE, env=env,
                                        cwd=self.cwd, stdin=subprocess.DEVNULL)
        ready = threading.Event()
        self.port = None
        self.reader = threading.Thread(target=self.read_log, args=(self.process.stderr, ready))
        self.reader.start()
        ready.wait(60)
        if not self.port:
            self.stop(signal.SIGKILL)
            raise AssertionError("".join(self.log))

    def read_log(self, stream, ready):
        for line in stream:
            text = line.decode(errors="replace")
            self.log.append(text)
            found = re.search(r"listening.*port\D+(\d+)", text)
            if found:
                self.port = int(found.group(1))
                ready.set()
        ready.set()
        stream.close()

    def text(self):
        return "".join(self.log)

    def wait_log(self, pattern, seconds=20):
        end = time.monotonic() + seconds
        while not re.search(pattern, self.text()):
            assert time.monotonic() < end, f"no {pattern} in\n{self.text()}"
            time.sleep(0.02)

    def stop(self, how=signal.SIGTERM):
        """Ends the server; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(60)
        self.reader.join()
        return code

    def close(self):
        if self.process is not None and self.process.poll() is None:
            assert self.stop() == 0, self.text()
        elif self.process is not None:
            self.reader.join()
        assert "ERROR: " not in self.text() and "runtime error" not in self.text(), self.text()
        if self.own_data:
            shutil.rmtree(self.data, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- talking to it --------------------------------------------------------------------------

    def context(self):
        context = ssl.create_default_context(cafile=os.path.join(self.etc, "ca.pem"))
        context.check_hostname = True
        return context

    def connect(self, timeout=30, source=None, context=None):
        """A connection, with TLS when the server has it."""
        raw = socket.create_connection(("127.0.0.1", self.port), timeout,
                                       (source, 0) if source else None)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self.tls:
            return raw
        return (context or self.context()).wrap_socket(raw, server_hostname="localhost")

    def http(self, timeout=60):
        """An http.client connection that is kept alive."""
        client = http.client.HTTPConnection("localhost", self.port, timeout=timeout)
        client.sock = self.connect(timeout)
        return client

    def ask(self, method, path, body=None, user=(USER, PASSWORD), headers=(), client=None):
        """One request; returns (status, body, headers)."""
        own = client is None
        client = client or self.http()
        fields = {**dict(headers)}
        if user:
            fields["Authorization"] = basic(*user)
        try:
            client.request(method, path, body, fields)
            answer = client.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            if own:
                client.close()

    def raw(self, data, timeout=30):
        """Sends bytes as they are and returns all that comes back until the server closes."""
        with contextlib.closing(self.connect(timeout)) as sock:
            sock.sendall(data)
            return drain(sock)

    def curl(self, *arguments, path, user=f"{USER}:{PASSWORD}", check=True):
        """curl as people use it; returns (status, body)."""
        line = ["curl", "--silent", "--show-error", "--write-out", "\\n%{http_code}"]
        if self.tls:
            line += ["--cacert", os.path.join(self.etc, "ca.pem")]
        if user:
            line += ["-u", user]
        scheme = "https" if self.tls else "http"
        done = subprocess.run([*line, *arguments, f"{scheme}://localhost:{self.port}{path}",
                               "--resolve", f"localhost:{self.port}:127.0.0.1"],
                              capture_output=True, check=check, timeout=120)
        body, _, status = done.stdout.rpartition(b"\n")
        return int(status), body

    # --- looking into it ------------------------------------------------------------------------

    def database(self):
        return sqlite3.connect(os.path.join(self.data, "devices.db"), timeout=20)

    def status_of(self, field):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(re.search(rf"^{field}:\s+(\d+)", status.read(), re.M).group(1))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def metric(self, name):
        _, body, _ = self.ask("GET", "/metrics")
        return int(re.search(rf"^{re.escape(name)} (\d+)", body.decode(), re.M).group(1))


def drain(sock):
    """What comes until the other side closes, however it does that."""
    pieces = []
    try:
        while piece := sock.recv(65536):
            pieces.append(piece)
    except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
        pass
    return b"".join(pieces)


def check_store(folder):
    """What must hold whatever happened: the database is sound and every row has its content."""
    with contextlib.closing(sqlite3.connect(os.path.join(folder, "devices.db"))) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = database.execute("SELECT name, sha256, size FROM file").fetchall()
        assigned = "SELECT id, from_version, file FROM device WHERE assigned ORDER BY id"
        assert database.execute(assigned).fetchall() == \
            database.execute("SELECT device_id, ifnull(app_ver, ''), ifnull(update_file_path, '') "
                             "FROM device_app ORDER BY device_id").fetchall()
    for name, sha256, size in rows:
        with open(os.path.join(folder, "blobs", sha256), "rb") as content:
            data = content.read()
        assert len(data) == size, name
        assert hashlib.sha256(data).hexdigest() == sha256, name
    return {name: sha256 for name, sha256, _ in rows}


def eventually(ask, wanted=200, seconds=10):
    """Asks until the answer is the wanted one: a store that was lost is looked for once a second."""
    end = time.monotonic() + seconds
    while (got := ask()) != wanted and time.monotonic() < end:
        time.sleep(0.1)
    return got
