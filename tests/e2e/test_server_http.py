# SPDX-License-Identifier: Apache-2.0
"""otterd's edges: malformed requests (row S10), who may do what, starting, stopping, leaks."""
import contextlib
import json
import os
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import pytest

from otterd import (Certificates, DEVICE, DEVICE_PASSWORD, OTTERD, PASSWORD, SANITIZED, Server,
                    USER, basic, drain, eventually, image)

NO_ENVIRONMENT = dict.fromkeys(["US_AUTH_USERNAME", "US_AUTH_PASSWORD", "OTTERD_DEVICE_USERNAME",
                                "OTTERD_DEVICE_PASSWORD"])
ACCOUNT = ["--user", "root"] if os.geteuid() == 0 else []


@pytest.fixture(scope="module", autouse=True)
def certificates():
    yield
    Certificates.remove()


pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")


@pytest.fixture(name="server", scope="module")
def fixture_server():
    with Server() as server:
        yield server


# --- S10 ----------------------------------------------------------------------------------------

AUTH = f"Authorization: {basic()}\r\n".encode()
HOST = b"Host: a\r\n"
LATER = b"GET /healthz HTTP/1.1\r\nHost: smuggled\r\nConnection: close\r\n\r\n"

MALFORMED = [
    (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\nHost:\r\n\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    (b"GET /healthz HTTP/1.1\n" + HOST + b"\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\nHost: a\n\n", 400),
    (b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\rb\r\n\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n", 400),
    (b"GET /health\0z HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: \x01\r\n\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\n" + HOST + b"nocolon\r\n\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\n" + HOST + b": empty\r\n\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\n" + HOST + b"a b: c\r\n\r\n", 400),
    (b"\r\nGET /healthz HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET  /healthz HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET /healthz  HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET /healthz\r\n\r\n", 400),
    (b"GET /healthz HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    (b"GET /healthz HTTP/1.9\r\n" + HOST + b"\r\n", 505),
    (b"GET /healthz FTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"get /healthz HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    (b"TRACE /healthz HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    (b"CONNECT a:443 HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    (b"G@T /healthz HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET http://a/healthz HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET healthz HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    (b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    (b"GET /" + b"a" * 9000, 414),
    (b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 9000, 431),
    (b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 70 + b"\r\n", 431),
    (b"PUT /devices/a HTTP/1.1\r\n" + HOST + AUTH + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\n"
     b"abc", 400),
    (b"PUT /devices/a HTTP/1.1\r\n" + HOST + AUTH + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n"
     b"abc", 400),
    (b"PUT /devices/a HTTP/1.1\r\n" + HOST + AUTH + b"Content-Length: 3, 3\r\n\r\nabc", 400),
    (b"PUT /devices/a HTTP/1.1\r\n" + HOST + AUTH + b"Content-Length: +3\r\n\r\nabc", 400),
    (b"PUT /devices/a HTTP/1.1\r\n" + HOST + AUTH + b"Content-Length: 0x3\r\n\r\nabc", 400),
    (b"PUT /devices/a HTTP/1.1\r\n" + HOST + AUTH + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", 400),
    (b"PUT /devices/a HTTP/1.1\r\n" + HOST + AUTH + b"Content-Length: 3\r\n"
     b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"PUT /devices/a HTTP/1.1\r\n" + HOST + AUTH + b"Transfer-Encoding: chunked\r\n"
     b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"PUT /devices/a HTTP/1.1\r\n" + HOST + AUTH + b"Transfer-Encoding: chunked, gzip\r\n\r\n"
     b"0\r\n\r\n", 501),
    (b"PUT /devices/a HTTP/1.1\r\n" + HOST + AUTH + b"Transfer-Encoding:\x0bchunked\r\n\r\n"
     b"0\r\n\r\n", 400),
    (b"PUT /devices/a HTTP/1.0\r\n" + HOST + AUTH + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     400),
    (b"PUT /devices/a HTTP/1.1\r\n" + HOST + AUTH + b"Transfer-Encoding: chunked\r\n\r\n"
     b"0x1\r\na\r\n0\r\n\r\n", 400),
    (b"PUT /devices/a HTTP/1.1\r\n" + HOST + AUTH + b"Transfer-Encoding: chunked\r\n\r\n"
     b"1\r\nab\r\n0\r\n\r\n", 400),
    (b"PUT /devices/a HTTP/1.1\r\n" + HOST + AUTH + b"Transfer-Encoding: chunked\r\n\r\n"
     b"fffffffffffffffff\r\na", 400),
    (b"GET /healthz HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello", 400),
    (b"GET /healthz HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"PUT /devices/a HTTP/1.1\r\n" + HOST + AUTH + b"Expect: tea\r\nContent-Length: 1\r\n\r\nx", 417),
    (b"GET /healthz HTTP/1.1\r\n" + HOST + AUTH + AUTH + b"\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(1, 200)), 400),
]


def test_S10_malformed_requests(server):
    assert len(MALFORMED) >= 40
    for data, status in MALFORMED:
        said = server.raw(data + LATER)
        assert said.startswith(b"HTTP/1.1 %d " % status), (data[:99], said[:60])
        # nothing after a malformed request is answered: it might not be a request at all
        assert len(re.findall(rb"HTTP/1\.1 \d\d\d ", said)) == 1 and b"Connection: close" in said, data[:99]
    assert server.ask("GET", "/healthz", user=None)[0] == 200


def test_S10_garbage_and_plain_http_on_the_tls_port(server):
    for data in (b"GET / HTTP/1.0\r\n\r\n", bytes(5000), b"\x16\x03\x01", os.urandom(3000)):
        with socket.create_connection(("127.0.0.1", server.port), 20) as sock:
            with contextlib.suppress(OSError):  # it may be closed already
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                drain(sock)
    assert server.ask("GET", "/healthz", user=None)[0] == 200


def test_S10_credentials_of_every_shape(server):
    import base64
    encode = base64.b64encode
    for field in (b"", b"Basic", b"Basic ", b"Basic !!!!", b"Basic YQ", b"Basic YQ==", b"Bearer abc",
                  b"Basic " + encode(b":"), b"Basic " + encode(b":x"), b"Basic " + encode(b"x" * 3000),
                  b"Basic " + encode(USER.encode() + b":" + PASSWORD.encode() + b"\0"),
                  b"Basic " + encode(USER.encode() + b"\0:x"), b"Basic " + encode(b"n" * 65 + b":x"),
                  b"Basic " + encode(b"\xff\xfe:x")[:-1], b"Digest username=x"):
        said = server.raw(b"GET /metrics HTTP/1.1\r\n" + HOST + b"Connection: close\r\n"
                          b"Authorization: " + field + b"\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 401 "), (field, said[:60])
        assert b"WWW-Authenticate: Basic" in said
    said = server.raw(b"GET /metrics HTTP/1.1\r\n" + HOST + b"Connection: close\r\n"
                      b"authorization: bASIC " + basic().encode()[6:] + b"\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 200 ")


def test_old_tls_is_refused(server):
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        context = server.context()
        context.set_ciphers("ALL:@SECLEVEL=0")
        try:
            context.minimum_version = context.maximum_version = version
        except ValueError:
            continue  # this OpenSSL cannot speak it at all
        with pytest.raises(OSError):
            server.connect(context=context).close()
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = server.context()
        context.minimum_version = context.maximum_version = version
        with server.connect(context=context) as sock:
            sock.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert drain(sock).startswith(b"HTTP/1.1 200 ")


# --- who may do what ----------------------------------------------------------------------------


def test_a_devices_credentials_can_poll_download_and_report_and_nothing_else(server):
    device = (DEVICE, DEVICE_PASSWORD)
    assert server.ask("PUT", "/files/fw.bin", image("1"))[0] == 200
    assert server.ask("PUT", "/devices/d1", '"d1","1","fw.bin"')[0] == 200
    listed = subprocess.run([OTTERD, "--routes"], capture_output=True, check=True).stdout.decode()
    for method, pattern, role in (line.split() for line in listed.splitlines()):
        path = pattern.replace("{}", "d1" if "devices" in pattern else "fw.bin").replace("*", "x/y")
        body = "{}" if method in ("PUT", "POST") else None
        status, _, _ = server.ask(method, path, body, device)
        assert (status == 403) == (role == "admin"), (method, path, status)
        assert server.ask(method, path, body, None)[0] == \
            (200 if role == "none" else 403 if re.match("/(devices|files)", path) else 401)
    assert server.ask("GET", "/devices/d1?app_ver=1", user=device)[0] == 200
    assert server.ask("GET", "/files/fw.bin", user=device)[0] == 200
    assert server.ask("PUT", "/files/fw.bin", image("2"), device)[0] == 403
    assert server.ask("POST", "/healthz", "")[0] == 405
    assert server.ask("DELETE", "/files/fw.bin")[2]["Allow"] == "GET, HEAD, PUT"
    assert server.ask("GET", "/nothing")[0] == 404


def test_metrics_can_be_open():
    with Server("--open-metrics") as server:
        text = server.ask("GET", "/metrics", user=None)[1].decode()
    names = re.findall(r"^# TYPE (\S+) (?:counter|gauge)$", text, re.M)
    assert len(names) == len(set(names)) > 10
    for line in text.splitlines():
        assert line.startswith("# ") or re.fullmatch(r'[a-z_0-9]+(\{[a-z]+="[a-z0-9]+"\})? \d+', line)


# --- init, passwd, users ------------------------------------------------------------------------


def test_init_gives_all_that_is_needed():
    folder = tempfile.mkdtemp()
    etc = os.path.join(folder, "etc")
    try:
        done = subprocess.run([OTTERD, "init", "--name", "localhost", "--name", "fd00::7", etc],
                              capture_output=True, check=True)
        assert b"otterd --dir" in done.stdout and b"--cacert" in done.stdout
        for name in ("ca-key.pem", "server-key.pem", "users", "admin.login", "device.login"):
            assert os.stat(os.path.join(etc, name)).st_mode & 0o077 in (0, 0o040)
        with open(os.path.join(etc, "admin.login"), encoding="ascii") as file:
            admin = file.read().strip()
        with open(os.path.join(etc, "users"), encoding="ascii") as file:
            users = file.read()
        assert admin.split(":")[1] not in users and "admin:admin:$y$" in users
        assert admin.split(":")[1].encode() not in done.stdout
        with Server(etc=etc, env=NO_ENVIRONMENT) as server:
            assert server.curl(path="/api/v1/status", user=admin)[0] == 200
            with open(os.path.join(etc, "device.login"), encoding="ascii") as file:
                device = file.read().strip()
            assert server.curl(path="/api/v1/status", user=device)[0] == 403
            assert server.curl(path="/devices/x?app_ver=1", user=device)[0] == 404
        # again: a new certificate, the same CA and credentials
        before = {n: open(os.path.join(etc, n), "rb").read() for n in os.listdir(etc)}
        subprocess.run([OTTERD, "init", etc], capture_output=True, check=True)
        after = {n: open(os.path.join(etc, n), "rb").read() for n in os.listdir(etc)}
        assert {n for n in before if before[n] != after[n]} == {"server.pem", "server-key.pem"}
        os.unlink(os.path.join(etc, "ca-key.pem"))
        assert subprocess.run([OTTERD, "init", etc], capture_output=True,
                              check=False).returncode == 1
        for bad in (["init"], ["init", "--name", "a,b", etc], ["init", etc, "more"],
                    ["passwd", "x"], ["passwd", "x", "name", "king"], ["fly"], ["--fly"],
                    ["--threads", "0"], ["--max-upload", "1Q"], ["--log", "loud"]):
            assert subprocess.run([OTTERD, *bad], capture_output=True,
                                  check=False).returncode == 2, bad
    finally:
        shutil.rmtree(folder)


def test_a_certificate_is_signed_by_the_key_of_its_ca(tmp_path):
    """Another CA's key, brought by mistake, would make a certificate that no device trusts."""
    def init(folder):
        return subprocess.run([OTTERD, "init", folder], check=False, capture_output=True, text=True)

    one, other = tmp_path / "one", tmp_path / "other"
    assert init(one).returncode == 0 and init(other).returncode == 0
    before = (one / "server.pem").read_bytes(), (one / "server-key.pem").read_bytes()
    right = (one / "ca-key.pem").read_bytes()
    shutil.copy(other / "ca-key.pem", one / "ca-key.pem")
    done = init(one)
    assert done.returncode == 1 and "is not the key of" in done.stderr, done.stderr
    assert ((one / "server.pem").read_bytes(), (one / "server-key.pem").read_bytes()) == before
    (one / "ca-key.pem").write_bytes(right)
    assert init(one).returncode == 0


def test_users_change_without_a_restart(tmp_path):
    users = str(tmp_path / "users")

    def passwd(name, role, password):
        subprocess.run([OTTERD, "passwd", users, name, role], input=password.encode(), check=True)

    passwd("ann", "admin", "one")
    passwd("dev", "device", "two")
    with Server("--users", users, env=NO_ENVIRONMENT) as server:
        client = server.http()
        assert server.ask("GET", "/metrics", user=("ann", "one"), client=client)[0] == 200
        assert server.ask("GET", "/metrics", user=("dev", "two"))[0] == 403
        passwd("ann", "admin", "three")
        passwd("dev", "remove", "")
        server.process.send_signal(signal.SIGHUP)
        server.wait_log("users.*read again")
        # what was right before is not remembered, on an open connection either
        assert server.ask("GET", "/metrics", user=("ann", "one"), client=client)[0] == 401
        assert server.ask("GET", "/metrics", user=("ann", "three"), client=client)[0] == 200
        assert server.ask("GET", "/metrics", user=("dev", "two"))[0] == 401
        with open(users, "w", encoding="ascii") as file:
            file.write("nonsense\n")
        server.process.send_signal(signal.SIGHUP)
        server.wait_log("the old ones stay")
        assert server.ask("GET", "/metrics", user=("ann", "three"))[0] == 200
    with open(users, encoding="ascii") as file:
        assert file.read() == "nonsense\n"


def test_nobody_is_lost_when_a_password_is_set(tmp_path):
    users = tmp_path / "users"

    def passwd(name, file=users):
        return subprocess.run([OTTERD, "passwd", file, name, "device"], input=b"x", check=False,
                              capture_output=True)

    assert passwd("ann").returncode == 0
    users.write_bytes(users.read_bytes().rstrip(b"\n"))  # as some editors leave a last line
    assert passwd("bob").returncode == 0
    lines = users.read_text().splitlines()
    assert [line.split(":")[0] for line in lines] == ["ann", "bob"], lines
    # what cannot be read is not replaced by a file without those who were in it
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    done = passwd("cat", loop)
    assert done.returncode == 1 and b"cannot read" in done.stderr, done.stderr
    assert loop.is_symlink() and not (tmp_path / "loop.new").exists()
    folder = tmp_path / "folder"
    folder.mkdir()
    done = passwd("cat", folder)
    assert done.returncode == 1 and b"cannot read" in done.stderr, done.stderr


def test_users_stay_when_their_file_cannot_be_read(tmp_path):
    users = tmp_path / "users"
    subprocess.run([OTTERD, "passwd", users, "ann", "admin"], input=b"one", check=True)
    with Server("--users", str(users), env=NO_ENVIRONMENT) as server:
        users.unlink()
        users.mkdir()  # it can be opened, and then not read
        server.process.send_signal(signal.SIGHUP)
        server.wait_log("the old ones stay")
        assert server.ask("GET", "/metrics", user=("ann", "one"))[0] == 200


# --- starting and stopping ----------------------------------------------------------------------


def start_fails(server):
    env = {k: v for k, v in {**os.environ, **server.env}.items() if v is not None}
    done = subprocess.run(server.command(), env=env, timeout=60, capture_output=True, check=False)
    assert done.returncode == 1, done.stderr
    return done.stderr.decode()


def test_a_start_that_cannot_work_says_why(server, tmp_path):
    assert "nobody may log in" in start_fails(Server(env=NO_ENVIRONMENT, start=False))
    assert "another otterd" in start_fails(Server(data=server.data, start=False))
    assert "otterd init" in start_fails(Server(etc=str(tmp_path), start=False))
    taken = Server("--threads", "1", start=False)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        taken.command = lambda line=taken.command(): line + [
            "--listen", f"127.0.0.1:{sock.getsockname()[1]}"]
        assert "cannot listen" in start_fails(taken)
    # nor does another otterd share the port, which would get every second connection
    beside = Server(start=False)
    beside.command = lambda line=beside.command(): [
        f"127.0.0.1:{server.port}" if word == "127.0.0.1:0" else word for word in line]
    assert "Address already in use" in start_fails(beside)
    # its own addresses may overlap
    both = Server(start=False)
    both.options = ["--listen", "0.0.0.0:0"]
    with both:
        both.start()
        port, line = both.port, both.command()
        both.stop()
        both.command = lambda: line[:-2] + ["--listen", f"0.0.0.0:{port}", "--listen",
                                            f"127.0.0.1:{port}"]
        both.start()
        assert both.ask("GET", "/healthz")[0] == 200
    plain = Server("--plain", "--listen", "0.0.0.0:0", start=False)
    assert "loopback" in start_fails(plain)
    if os.geteuid() == 0:
        assert "no account" in start_fails(Server("--user", "no-such-account", start=False))


def test_plain_behind_a_proxy():
    with Server(tls=False) as server:
        assert server.curl("-T", "-", path="/files/none", check=False)[0] == 400
        assert server.ask("PUT", "/files/fw.bin", image("1", 300000))[0] == 200
        assert server.curl(path="/files/fw.bin") == (200, image("1", 300000))
        with server.connect() as sock:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            sock.shutdown(socket.SHUT_WR)
            assert drain(sock).endswith(b"ok\n")


def half_closed(server, head, body):
    """What comes back when the client closes its side right behind the request."""
    raw = socket.create_connection(("127.0.0.1", server.port), 30)
    if not server.tls:
        raw.sendall(head + body)
        raw.shutdown(socket.SHUT_WR)
        with raw:
            return drain(raw)
    got, put, answer = ssl.MemoryBIO(), ssl.MemoryBIO(), b""
    tls = server.context().wrap_bio(got, put, server_hostname="localhost")

    def until_done(call):
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                raw.sendall(put.read())
                if more := raw.recv(65536):
                    got.write(more)
                else:
                    got.write_eof()

    with raw:
        until_done(tls.do_handshake)
        tls.write(head + body)
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.unwrap()  # the goodbye of this side
        raw.sendall(put.read())
        with contextlib.suppress(ssl.SSLError, ConnectionResetError):
            while piece := until_done(lambda: tls.read(65536)):
                answer += piece
    return answer


@pytest.mark.parametrize("tls", [False, True])
def test_who_sends_nothing_more_is_answered(tls):
    """The client has closed its side while its password, or what it sent, was being looked at."""
    data = image("1", 50000)

    def ask(method, path, body=b"", sent=None):
        head = f"{method} {path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n".encode()
        return half_closed(server, head + HOST + AUTH + b"\r\n", body[:sent])[9:12]

    with Server(tls=tls) as server:
        assert ask("GET", "/api/v1/status") == b"200"
        assert ask("PUT", "/devices/lamp", b'"lamp","1","fw.bin"') == b"200"
        assert ask("PUT", "/files/fw.bin", data) == b"200"
        assert ask("PUT", "/files/fw.bin", data, sent=40000) == b""
        assert ask("PUT", "/files/fw.bin", data, sent=0) == b""
        assert server.ask("GET", "/files/fw.bin")[1] == data


def test_json_log_is_json():
    with Server("--log", "json", "--verbose") as server:
        server.ask("GET", "/devices/%22%0a%22?app_ver=1")
        server.raw(b'GET /a"b\\c HTTP/1.1\r\nHost: a\r\nX: \xff\r\nConnection: close\r\n\r\n')
        server.stop()
        events = [json.loads(line) for line in server.log]
    assert {"listening", "answer", "stopping", "stopped"} <= {e["event"] for e in events}
    assert '/a"b\\c' in [e.get("target") for e in events]


def test_long_values_do_not_break_the_log():
    """A line is JSON, and has its fields, however long the escapes make what came from outside."""
    report = json.dumps({"result": "failed", "detail": "é" * 127, "version": "ü" * 127})
    with Server("--log", "json", "--verbose", "--any-file") as server:
        server.ask("GET", "/files/" + "%C3%A9" * 127)
        server.raw(b"GET /files/" + b"\xc3\xa9" * 900 + b" HTTP/1.1\r\nHost: a\r\nAuthorization: "
                   + basic().encode() + b"\r\nConnection: close\r\n\r\n")
        assert server.ask("PUT", "/files/" + "%C3%A9" * 127, b"x" * 100)[0] == 200
        assert server.ask("POST", "/api/v1/devices/" + "%C3%A9" * 127 + "/report", report)[0] == 204
        server.stop()
        events = [json.loads(line) for line in server.log]
    answers = [e for e in events if e["event"] == "answer"]
    assert [e["status"] for e in answers] == [404, 404, 200, 204] and all("ms" in e for e in answers)
    uploads = [e for e in events if e["event"] == "upload"]
    assert len(uploads) == 1 and len(uploads[0]["file"]) == 254 and "version" in uploads[0]


def test_long_values_that_fit_are_all_in_the_log():
    """A plain value is not left out for the room that its escapes would take, if it had any."""
    long, plain = "é" * 127, "f" * 255
    with Server("--log", "json") as server:
        line = f'"{long}","{long}","{plain}"'.encode()
        assert server.ask("PUT", "/devices/" + "%C3%A9" * 127, line)[0] == 200
        server.stop()
        events = [json.loads(line) for line in server.log]
    assert [e["file"] for e in events if "device" in e and "from" in e] == [plain]


def test_graceful_stop_lets_downloads_finish():
    data = image("1", 8 << 20)
    # the times are what is not tested here
    with Server("--grace", "1000", "--rate-window", "1000", "--head-timeout", "1000") as server:
        assert server.ask("PUT", "/files/fw.bin", data)[0] == 200
        idle = server.http()
        assert server.ask("GET", "/healthz", user=None, client=idle)[0] == 200
        with server.connect() as sock, server.connect() as upload:
            sock.sendall(b"GET /files/fw.bin HTTP/1.1\r\n" + HOST + AUTH + b"\r\n")
            got = sock.recv(10000)
            new = image("2", 50000)
            upload.sendall(b"PUT /files/new.bin HTTP/1.1\r\n" + HOST + AUTH +
                           b"Content-Length: %d\r\n\r\n" % len(new) + new[:1000])
            assert eventually(lambda: len(os.listdir(os.path.join(server.data, "tmp"))), 1) == 1
            server.process.send_signal(signal.SIGTERM)
            server.wait_log("stopping")
            assert eventually(lambda: refused(server), True)
            upload.sendall(new[1000:])
            assert drain(upload).startswith(b"HTTP/1.1 200 ")
            got += drain(sock)
        assert got.partition(b"\r\n\r\n")[2] == data
        assert server.process.wait(30) == 0
        server.wait_log("all done")
        assert idle.sock.recv(10) == b""


def refused(server):
    try:
        server.connect().close()
        return False
    except OSError:
        return True


def test_stop_does_not_wait_for_ever():
    with Server("--grace", "1") as server:
        assert server.ask("PUT", "/files/fw.bin", image("1", 12 << 20))[0] == 200
        with server.connect() as sock:
            sock.sendall(b"GET /files/fw.bin HTTP/1.1\r\n" + HOST + AUTH + b"\r\n")
            sock.recv(1000)
            before = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - before < 15


def test_systemd_is_told(tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(20)
        with Server(env={"NOTIFY_SOCKET": path}) as server:
            assert notify.recv(100) == b"READY=1"
            assert notify.recv(100) == b"WATCHDOG=1"
            server.process.send_signal(signal.SIGTERM)
            said = b""
            while said != b"STOPPING=1":
                said = notify.recv(100)
                assert said in (b"WATCHDOG=1", b"STOPPING=1")


def as_root():
    """What makes a command run as root: nothing, sudo, or None where neither will do."""
    if os.geteuid() == 0:
        return []
    with contextlib.suppress(OSError):
        if subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0:
            return ["sudo", "-n"]
    return None


class RootServer(Server):
    """otterd started as root by whoever may do so."""

    def command(self):
        keep = [f"{name}={value}" for name, value in self.env.items()]
        return [*as_root(), "env", *keep, *super().command()] if as_root() else super().command()

    def server_pid(self):
        """Of otterd itself, whatever started it."""
        pid = self.process.pid
        while True:
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
                found = children.read().split()
            if not found:
                return pid
            pid = int(found[0])

    def stop(self, how=signal.SIGTERM):
        if as_root() and self.process.poll() is None:
            subprocess.run([*as_root(), "kill", f"-{int(how)}", str(self.server_pid())], check=True)
            self.process.wait(60)
        return super().stop(how)


def test_privileges_are_dropped():
    if as_root() is None:  # then there are none to drop, and none to be had
        assert "only root" in start_fails(Server("--user", "nobody", start=False))
        return
    folder = tempfile.mkdtemp(prefix="otterd-data-")
    os.chmod(folder, 0o755)
    try:
        with RootServer("--user", "nobody", data=os.path.join(folder, "new")) as server:
            with open(f"/proc/{server.server_pid()}/status", encoding="ascii") as status:
                text = status.read()
            uid = pwd.getpwnam("nobody").pw_uid
            assert re.search(rf"^Uid:\s+{uid}\s+{uid}\s+{uid}\s+{uid}$", text, re.M)
            assert re.search(r"^Groups:\s*(\d+\s*)?$", text, re.M)
            assert re.search(r"^CapEff:\s+0+$", text, re.M)
            assert re.search(r"^NoNewPrivs:\s+1$", text, re.M)
            assert server.ask("PUT", "/files/fw.bin", image("1"))[0] == 200
        modes = subprocess.run([*as_root(), "stat", "-c", "%a %U", server.data,
                                os.path.join(server.data, "devices.db")],
                               capture_output=True, text=True, check=True).stdout
        assert modes == "700 nobody\n600 nobody\n"
    finally:
        subprocess.run([*as_root(), "rm", "-rf", folder], check=True)


def test_nobody_but_root_becomes_another(tmp_path):
    """An ordinary user who names another account is told so; his own is fine."""
    if os.geteuid() != 0:
        assert "only root" in start_fails(Server("--user", "root", start=False))
        with Server("--user", pwd.getpwuid(os.geteuid()).pw_name) as server:
            assert server.ask("GET", "/healthz", user=None)[0] == 200
        return
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    shutil.copytree(Certificates.path(), tmp_path / "etc")
    shutil.copy(OTTERD, tmp_path / "otterd")
    subprocess.run(["chmod", "-R", "a+rX", tmp_path / "etc"], check=True)
    server = Server("--user", "root", etc=str(tmp_path / "etc"), data=str(tmp_path), start=False)
    done = subprocess.run([tmp_path / "otterd", *server.command()[1:]], user="nobody", timeout=60,
                          env={**os.environ, **server.env}, capture_output=True, check=False)
    assert done.returncode == 1 and b"only root" in done.stderr, done.stderr


# --- over a long time ---------------------------------------------------------------------------


def test_memory_and_descriptors_stay_flat():
    """Polls, uploads, refusals and broken connections: thousands here, 100,000 in the benchmark."""
    rounds = int(os.environ.get("OTTER_ROUNDS", "150" if SANITIZED else "600"))
    images = [image(str(n), 20000, seed=n) for n in range(3)]
    with Server("--max-devices", "50") as server:
        def work(number):
            client = server.http()
            for n in range(rounds):
                name = f"/files/fw{number}"
                assert server.ask("PUT", name, images[n % 3], client=client)[0] == 200
                for k in range(5):
                    assert server.ask("GET", f"/devices/x{n}-{k}?app_ver=1", client=client)[0] == 404
                assert server.ask("GET", name, client=client)[0] == 200
                if n % 10 == 0:
                    server.raw(MALFORMED[n // 10 % len(MALFORMED)][0])
                    with server.connect() as sock:
                        sock.sendall(b"PUT " + name.encode() + b" HTTP/1.1\r\n" + HOST + AUTH +
                                     b"Content-Length: 30000\r\n\r\n" + images[0][:9000])
            client.close()

        def both():
            threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        both()
        memory, descriptors = server.status_of("VmRSS"), server.descriptors()
        threads = server.status_of("Threads")
        both()
        eventually(lambda: server.descriptors() <= descriptors, True)
        assert server.descriptors() <= descriptors and server.status_of("Threads") == threads
        # a sanitizer keeps what is freed for a while, and finds leaks in its own way
        assert SANITIZED or server.status_of("VmRSS") - memory < 1500
        with contextlib.closing(server.database()) as database:
            assert database.execute("SELECT count(*) FROM device").fetchone()[0] <= 50
        assert os.listdir(os.path.join(server.data, "tmp")) == []
