# SPDX-License-Identifier: Apache-2.0
"""otter-device --fuota against a server that misbehaves: rows H01 to H12, real sockets, real TLS."""
import base64
import contextlib
import os
import socket
import ssl
import threading
import time
import warnings

import pytest

import lab
import rogue
from rogue import Site

IMAGE_SIZE = 150_000
SLOT_1 = 0x190000  # of the layout that --create makes: two slots of 1.5 MB
SLOT_SIZE = 0x180000
OTADATA = (0xD000, 0xF000)


@pytest.fixture(name="update")
def make_update(image):
    """The image that is offered, as a path and as bytes."""
    path = image("1.1.0", size=IMAGE_SIZE)
    with open(path, "rb") as file:
        return path, file.read()


@pytest.fixture(name="server")
def make_server(update):
    made = rogue.Rogue(Site.get().good, update[1])
    yield made
    made.close()


@pytest.fixture(name="puller")
def make_puller(device):
    def make(server, *args, **more):
        return device(*Site.get().options(server), *args, **more)
    return make


def kept(one):
    """The device still runs what it ran, and nothing else may boot."""
    assert one.runs("1.0.0")


def over(one, pattern=""):
    """The line that tells how the first attempt ended, when it ended badly."""
    return one.log.lines[one.log.wait(rf"fuota: .*{pattern}.*; the next check in")]


# --- the update itself ------------------------------------------------------------------------

def test_pull(server, puller, update):
    one = puller(server, "--device-id", "room/1".replace("/", " "))
    one.log.wait("1.1.0 confirmed")
    checks = server.wait(2, "/devices/room%201?app_ver=")
    assert checks[0].path.endswith("app_ver=1.0.0") and checks[1].path.endswith("app_ver=1.1.0")
    login = "Basic " + base64.b64encode(rogue.LOGIN.encode()).decode()
    assert all(r.headers["authorization"] == login for r in server.requests)
    report = server.wait(1, "/api/v1/devices/room%201/report")[0]
    assert b'"result": "updated"' in report.body and b'"version": "1.1.0"' in report.body
    assert one.holds(update[0])


def test_pull_rolls_back(server, puller):
    one = puller(server, "--self-test", "fail")
    one.log.wait("rolling back")
    report = server.wait(1, "/api/v1/devices/kitchen/report")[0]
    assert b'"result": "rolled-back"' in report.body
    kept(one)


@pytest.mark.parametrize("self_test, code, result", [("pass", 0, b"updated"),
                                                     ("fail", 6, b"rolled-back")])
def test_pull_once_tells_the_result(server, puller, self_test, code, result):
    """--once ends when the server has been told, not before."""
    one = puller(server, "--once", "--self-test", self_test)
    assert one.process.wait(lab.PATIENCE) == code
    reports = [r for r in server.requests if r.method == "POST"]
    assert len(reports) == 1 and b'"result": "%s"' % result in reports[0].body


def test_pull_once_does_not_wait_for_ever(server, puller):
    server.report_status = 503
    one = puller(server, "--once")
    before = time.monotonic()
    assert one.process.wait(lab.PATIENCE) == 0
    assert time.monotonic() - before < 30
    assert server.wait(2, "/api/"), "it is tried again"


def test_pull_several_roots(server, puller):
    site = Site.get()
    other = rogue.Authority(site.folder, "second")
    one = puller(server, "--cacert", other.cert)
    one.log.wait("1.1.0 confirmed")


def test_pull_interval_of_the_server(server, puller):
    server.on_check = lambda request: request.send(204, b"", "Otter-Poll: 900")
    line = over(puller(server), "no update")
    assert 810 <= float(line.rsplit(" ", 2)[1]) <= 990, line


# --- one session, one loop --------------------------------------------------------------------

def test_another_transport_is_updating(server, puller, image):
    """One update at a time, whatever way it comes; and that is no fault of the image."""
    server.on_check = lambda request: request.send(204)
    one = puller(server, "--link-rate", 100_000)
    ble = lab.Update("--no-wait", one.target, image("1.0.5", size=300_000))
    ble.wait_percent(5)
    server.on_check = server.check
    over(one, "(busy|another|already)")
    assert ble.end()["exit_code"] == 0
    assert not [r for r in server.requests if r.method == "POST" and b"failed" in r.body]


def test_a_silent_server_holds_nobody_up(puller, image):
    """It takes the connection and says nothing, not even TLS: the other ways in work on."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        one = puller(f"https://localhost:{silent.getsockname()[1]}")
        silent.accept()
        path = image("1.2.0")
        assert lab.update(one.target, path)["exit_code"] == 0
        assert one.holds(path)


# --- H01: body cut short ----------------------------------------------------------------------

@pytest.mark.parametrize("ranges", [True, False], ids=["resumes", "starts over"])
def test_h01_body_cut_short(server, puller, update, ranges):
    cuts = [0, 1, 23, 4095, 4096, 70_001, IMAGE_SIZE - 1]

    def file(request):
        if not cuts:
            return server.file(request)
        first = request.first() if ranges else 0
        end = max(cuts.pop(0), first)
        size = len(server.image)
        headers = [f"ETag: {server.etag}"]
        if first:
            headers.append(f"Content-Range: bytes {first}-{size - 1}/{size}")
        request.head(206 if first else 200, *headers, length=size - first)
        request.sock.sendall(server.image[first:end])
        return True

    server.on_file = file
    one = puller(server)
    one.log.wait("1.1.0 confirmed")
    if ranges:
        assert one.log.text().count("goes on from byte") >= 4
        # The first cuts leave nothing, or a byte.
        assert one.log.text().count("update: begins") <= 3, one.log.text()
    assert one.holds(update[0])


def stalls_after(server, count, hold):
    """The first answer brings count bytes and then nothing, until hold is set."""
    def file(request):
        server.on_file = server.file
        request.head(200, f"ETag: {server.etag}", length=len(server.image))
        request.sock.sendall(server.image[:count])
        hold.wait(60)
        return True
    return file


def killed_at(one, server, kept_bytes):
    """Kills the device once so many bytes of its download are remembered."""
    path = one.flash + ".download"
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(FileNotFoundError, IndexError), open(path, encoding="utf8") as file:
            if int(file.read().split()[2]) >= kept_bytes:
                break
        assert time.monotonic() < deadline, one.log.text()
        time.sleep(0.01)
    one.kill()


def test_h01_goes_on_after_a_restart(server, puller, image):
    path = image("1.1.0", size=400_000)
    with open(path, "rb") as file:
        server.image = file.read()
    hold = threading.Event()
    server.on_file = stalls_after(server, 300_000, hold)
    one = puller(server)
    killed_at(one, server, 200_000)
    hold.set()
    one.start(*Site.get().options(server))
    one.log.wait("1.1.0 confirmed")
    asked = [request.headers.get("range") for request in server.wait(2, "/files/")]
    first = int(asked[1].removeprefix("bytes=").removesuffix("-"))
    assert first >= 196_608 and first % 4096 == 0
    assert one.holds(path)
    assert not os.path.exists(one.flash + ".download")


def test_h01_what_was_kept_is_not_what_is_there(server, puller, image):
    """The flash was changed in between: the digest tells, and the next try starts over."""
    path = image("1.1.0", size=400_000)
    with open(path, "rb") as file:
        server.image = file.read()
    hold = threading.Event()
    server.on_file = stalls_after(server, 300_000, hold)
    one = puller(server)
    killed_at(one, server, 200_000)
    hold.set()
    with open(one.flash, "r+b") as flash:
        flash.seek(SLOT_1 + 100_000)
        flash.write(b"\x00" * 16)
    one.start(*Site.get().options(server))
    one.log.wait("1.1.0 confirmed")
    asked = [request.headers.get("range") for request in server.wait(3, "/files/")]
    assert asked[1] is not None and asked[2] is None
    assert one.holds(path)


def test_h01_changed_on_the_server_in_between(server, puller, image):
    path = image("1.1.0", size=400_000)
    with open(path, "rb") as file:
        server.image = file.read()
    hold = threading.Event()
    server.on_file = stalls_after(server, 300_000, hold)
    one = puller(server)
    killed_at(one, server, 200_000)
    hold.set()
    path = image("1.1.0", size=390_000, seed=9)
    with open(path, "rb") as file:
        server.image = file.read()
    server.etag = '"two"'
    one.start(*Site.get().options(server))
    one.log.wait("1.1.0 confirmed")
    assert one.holds(path)


def test_h01_never_whole(server, puller):
    def file(request):
        request.head(200, length=len(server.image))
        request.sock.sendall(server.image[:-1])
        return True

    server.on_file = file
    one = puller(server)
    assert len(server.wait(4, "/files/")) >= 4
    kept(one)


# --- H02: Content-Length that is not true -----------------------------------------------------

def test_h02_length_too_short(server, puller):
    server.on_file = lambda request: request.send(200, server.image[:-1000])
    one = puller(server)
    over(one)
    assert b'"result": "failed"' in server.wait(1, "/api/")[0].body
    kept(one)


def test_h02_length_too_long(server, puller):
    def file(request):
        request.head(200, length=len(server.image) + 1000)
        request.sock.sendall(server.image)
        return True

    server.on_file = file
    one = puller(server)
    one.log.wait(f"cut after {IMAGE_SIZE // 16 * 16}|cut after {len(server.image)}")
    kept(one)


@pytest.mark.parametrize("whole", [True, False])
def test_h02_length_absent(server, puller, whole):
    def file(request):
        request.head(200)
        request.sock.sendall(server.image if whole else server.image[:100_000])
        return True

    server.on_file = file
    one = puller(server)
    if whole:
        one.log.wait("1.1.0 confirmed")
    else:
        over(one)
        kept(one)


# --- H03: redirects ---------------------------------------------------------------------------

@pytest.mark.parametrize("to", ["http://localhost:1/", "ftp://localhost/x", "file:///etc/passwd"])
def test_h03_redirect_away_from_https(server, puller, to):
    server.on_check = lambda request: request.send(302, b"", f"Location: {to}")
    one = puller(server)
    over(one, "answers 302")
    kept(one)


def test_h03_redirect_loop(server, puller):
    server.on_check = lambda request: request.send(307, b"", f"Location: {request.path}")
    one = puller(server)
    over(one, "answers 307")
    # Five are followed; what comes after that is the next attempt.
    requests = server.wait(7, "/devices/")
    assert requests[6].at - requests[5].at > 0.04, "no pause after the cap"
    kept(one)


def test_h03_other_host_gets_no_credentials(server, puller, update):
    other = rogue.Rogue(Site.get().good, update[1])
    server.on_file = lambda request: request.send(302, b"", f"Location: {other.url}/files/app.bin")
    one = puller(server)
    one.log.wait("1.1.0 confirmed")
    asked = other.wait(1, "/files/")
    assert all("authorization" not in r.headers and "otter-running" not in r.headers for r in asked)
    other.close()


# --- H04, H05: certificates and TLS -----------------------------------------------------------

def bad_certificate(kind):
    site = Site.get()
    if kind == "expired":
        return site.ca.server("expired", days=-1)
    if kind == "wrong-host":
        return site.ca.server("elsewhere", host="elsewhere.example")
    if kind == "other-ca":
        return rogue.Authority(site.folder, "other").server("stranger")
    own = rogue.Authority(site.folder, "own")
    return own.cert, own.key


@pytest.mark.parametrize("kind", ["expired", "wrong-host", "self-signed", "other-ca"])
def test_h04_certificate(puller, update, kind):
    server = rogue.Rogue(bad_certificate(kind), update[1])
    one = puller(server)
    line = over(one)
    assert "certificate" in line or "SSL" in line, line
    assert "--cacert" not in line, "it was given"
    one.stop()
    assert server.requests == [], "credentials may have been sent"
    server.close()


def test_h05_old_tls(puller, update):
    def old(context):
        warnings.simplefilter("ignore", DeprecationWarning)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1

    server = rogue.Rogue(Site.get().good, update[1], tls=old)
    one = puller(server)
    over(one)
    one.stop()
    with server.news:
        assert server.news.wait_for(lambda: server.failures, 60)
    assert server.requests == []
    server.close()


# --- H06: slow --------------------------------------------------------------------------------

def drip(request, body, stop):
    """A byte a second; no event tells when the device has had enough but that it hangs up."""
    for byte in body:
        try:
            request.sock.sendall(bytes([byte]))
        except OSError:
            break
        if stop.wait(1):
            break
    return True


def test_h06_a_byte_a_second(server, puller, device):
    stop = threading.Event()

    def check(request):
        request.head(200, length=200)
        return drip(request, b"a" * 200, stop)

    def file(request):
        request.head(200, length=len(server.image))
        return drip(request, server.image, stop)

    slow_check = rogue.Rogue(Site.get().good)
    slow_check.on_check = check
    server.on_file = file
    waits = puller(slow_check)
    pulls = device(*Site.get().options(server), name="attic")
    over(waits, "(slow|time)")
    pulls.log.wait("cut after .* bytes: .*tries again")
    stop.set()
    kept(waits)
    kept(pulls)
    slow_check.close()


# --- H07: not now -----------------------------------------------------------------------------

@pytest.mark.parametrize("status", [429, 503])
def test_h07_retry_after(server, puller, status):
    answers = [lambda r: r.send(status, b"", "Retry-After: 2"), server.check]
    server.on_check = lambda request: answers.pop(0 if len(answers) > 1 else -1)(request) \
        if len(answers) > 1 else server.check(request)
    one = puller(server)
    first, second = server.wait(2, "/devices/")[:2]
    assert 2.0 <= second.at - first.at < 10
    one.log.wait("1.1.0 confirmed")


def test_h07_backs_off(server, puller):
    server.on_check = lambda request: request.send(500)
    one = puller(server)
    over(one, "answers 500")
    at = [request.at for request in server.wait(6, "/devices/")]
    gaps = [b - a for a, b in zip(at, at[1:])]
    # 100 ms doubled each time, and between half and all of that.
    for i, gap in enumerate(gaps[:5]):
        assert gap >= 0.05 * 2 ** i - 0.01, gaps
    assert gaps[4] > gaps[0]
    kept(one)


# --- H08, H09: what is not an image, or too much ----------------------------------------------

def test_h08_html_page(server, puller):
    page = b"<!DOCTYPE html><html>Sign in to the hotel's network</html>" + b" " * IMAGE_SIZE
    server.on_file = lambda request: request.send(200, page, "Content-Type: text/html")
    one = puller(server)
    line = over(one)
    assert "not an ESP32" in line, line
    kept(one)


def outside(flash):
    """What an update must leave alone: all but the other slot and otadata."""
    return flash[:OTADATA[0]] + flash[OTADATA[1]:SLOT_1] + flash[SLOT_1 + SLOT_SIZE:]


@pytest.mark.parametrize("length", [None, 64 * 1024 * 1024, SLOT_SIZE + 1, 2 ** 40])
def test_h09_longer_than_the_slot(server, puller, length):
    sent = [0]

    def file(request):
        request.head(200, length=length)
        piece = server.image
        try:
            while sent[0] < 64 * 1024 * 1024:
                request.sock.sendall(piece)
                sent[0] += len(piece)
                piece = b"\xff" * 65536
        except OSError:
            pass
        return True

    server.on_file = file
    one = puller(server, ready=False)
    one.log.wait("ready: fuota")
    with open(one.flash, "rb") as flash:
        before = outside(flash.read())
    over(one)
    kept(one)
    assert sent[0] < 32 * 1024 * 1024
    with open(one.flash, "rb") as flash:
        assert outside(flash.read()) == before


# --- H10: ranges ------------------------------------------------------------------------------

@pytest.mark.parametrize("answer", ["other range", "other total", "whole", "changed", "416"])
def test_h10_answers_to_a_range(server, puller, update, answer):
    half = IMAGE_SIZE // 2
    size = len(update[1])

    def file(request):
        first = request.first()
        if len(server.wait(1, "/files/")) == 1:  # the first request is cut in the middle
            request.head(200, f"ETag: {server.etag}", length=size)
            request.sock.sendall(server.image[:half])
            return True
        if not first:
            return server.file(request)
        assert request.headers["if-range"] == '"one"'
        if answer == "other range":
            return request.send(206, server.image[10:], f"Content-Range: bytes 10-{size - 1}/{size}")
        if answer == "other total":
            return request.send(206, server.image[first:],
                                f"Content-Range: bytes {first}-{size}/{size + 1}")
        if answer == "changed":
            return request.send(206, server.image[first:], 'ETag: "two"',
                                f"Content-Range: bytes {first}-{size - 1}/{size}")
        if answer == "416":
            return request.send(416, b"", f"Content-Range: bytes */{size}")
        return request.send(200, server.image, 'ETag: "two"')

    server.on_file = file
    one = puller(server)
    one.log.wait("1.1.0 confirmed")
    assert one.log.text().count("update: begins") == 2, one.log.text()  # it started over, once
    assert one.holds(update[0])


# --- H11: what the check answers --------------------------------------------------------------

GOOD_NAMES = ["a", "a" * 255, "app.bin\r\n", "folder/app.bin", "with space", "per%cent", "f\u00fcr"]
BAD_NAMES = ["", "a" * 256, "a" * 4096, "../devices.db", "a/../b", "..", "a\"b", "a\\b", "a\x01b",
             "a\x00b", "a\rb", "\n"]


@pytest.mark.parametrize("name", GOOD_NAMES, ids=["short", "255", "line end", "folder", "space", "percent", "utf8"])
def test_h11_good_file_name(server, puller, name):
    server.on_check = lambda request: request.send(200, name.encode())
    puller(server)
    path = server.wait(1, "/files/")[0].path
    quoted = "".join(c if c.isascii() and (c.isalnum() or c in "-._~:/") else
                     "".join(f"%{b:02X}" for b in c.encode()) for c in name.rstrip("\r\n"))
    assert path == "/files/" + quoted


def test_h11_bad_file_names(server, puller):
    names = list(BAD_NAMES)
    server.on_check = lambda request: request.send(200, names.pop(0).encode()) if names \
        else request.send(204)
    one = puller(server, "--poll", "100ms", "--backoff", "1ms")
    server.wait(len(BAD_NAMES) + 1, "/devices/")
    kept(one)
    assert not [r for r in server.requests if r.path.startswith("/files")]


# --- H12: the server goes away ----------------------------------------------------------------

def test_h12_server_goes_away(server, puller, update):
    def check(request):
        server.close()
        server.on_check = server.check
        request.send(200, b"app.bin")
        return True

    server.on_check = check
    one = puller(server)
    one.log.wait("cut after 0 bytes: .*tries again")
    server.open()
    one.log.wait("1.1.0 confirmed")
    assert one.holds(update[0])
