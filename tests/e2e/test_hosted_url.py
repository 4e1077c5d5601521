# SPDX-License-Identifier: Apache-2.0
"""Firmware from a URL, streamed to a device: a server that cuts, stalls, redirects, lies about its
length, and comes back. Whatever happens, the update completes or fails clearly, and what boots is
the old image or the new one."""
import http.server
import os
import ssl
import subprocess
import threading
import time

import pytest

from lab import Update, update
from test_hosted import HostedDevice

os.environ["no_proxy"] = "127.0.0.1,localhost"

SIZE = 600_000  # of the image


class Server:
    """Serves one file at /fw.bin. Each request is given to the next function of script, the last
    one for ever: function(request), see Request."""

    def __init__(self, data, *script, port=0, tls=None, etag='"one"'):
        self.data, self.script, self.etag = data, list(script) or [Request.whole], etag
        self.seen = []  # (path, Range, If-Range)
        self.times = []  # of the same
        self.stop_stalling = threading.Event()
        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", port), Request)
        self.httpd.owner = self
        self.scheme = "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            self.httpd.socket = context.wrap_socket(self.httpd.socket, server_side=True)
            self.scheme = "https"
        self.port = self.httpd.server_address[1]
        self.url = f"{self.scheme}://127.0.0.1:{self.port}/fw.bin"
        threading.Thread(target=self.httpd.serve_forever, args=[0.02], daemon=True).start()

    def close(self):
        self.stop_stalling.set()
        self.httpd.shutdown()
        self.httpd.server_close()


class Request(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # pylint: disable=invalid-name
        owner = self.server.owner
        owner.seen.append((self.path, self.headers["Range"], self.headers["If-Range"]))
        owner.times.append(time.monotonic())
        step = owner.script.pop(0) if len(owner.script) > 1 else owner.script[0]
        self.close_connection = True
        try:
            step(self)
        except ConnectionError:
            pass  # the client had enough

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass

    @property
    def data(self):
        return self.server.owner.data

    def head(self, status, length, **more):
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        if self.server.owner.etag:
            self.send_header("ETag", self.server.owner.etag)
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def first(self):
        """Where the client wants to begin."""
        return int((self.headers["Range"] or "bytes=0-")[6:-1])

    def ranged(self, end=None):
        """The file from where the client asks, up to end."""
        first, total = self.first(), len(self.data)
        if first > 0:
            self.head(206, total - first, Content_Range=f"bytes {first}-{total - 1}/{total}")
        else:
            self.head(200, total)
        self.wfile.write(self.data[first:end])

    def whole(self):
        self.head(200, len(self.data))
        self.wfile.write(self.data)

    def html(self):
        self.head(200, 600, Content_Type="text/html")
        self.wfile.write(b"<html>" * 100)

    def unavailable(self):
        self.head(503, 3)
        self.wfile.write(b"no\n")

    def missing(self):
        self.head(404, 0)

    def empty(self):
        self.head(200, 0)

    def to_itself(self):
        self.head(302, 0, Location=self.path)

    def without_length(self):
        self.head(200, None)
        self.wfile.write(self.data)

    def without_length_cut(self):
        self.head(200, None)
        self.wfile.write(self.data[:SIZE // 2])

    def chunked_cut(self):
        self.head(200, None, Transfer_Encoding="chunked")
        self.wfile.write(b"%x\r\n" % len(self.data) + self.data[:SIZE // 2])

    def length_too_long(self):
        self.head(200, len(self.data) + 1000)
        self.wfile.write(self.data)

    def length_too_short(self):
        self.head(200, len(self.data) - 1000)
        self.wfile.write(self.data)

    def length_huge(self):
        self.head(200, 1 << 40)
        self.wfile.write(self.data)

    def endless(self):
        self.head(200, None)
        self.wfile.write(self.data)
        while not self.server.owner.stop_stalling.is_set():
            self.wfile.write(bytes(65536))

    def another_range(self):
        first, total = self.first() + 7, len(self.data)
        self.head(206, total - first, Content_Range=f"bytes {first}-{total - 1}/{total}")
        self.wfile.write(self.data[first:])


def cut(at):
    """Ends the connection after the file's byte number at; ranges are honoured."""
    return lambda request: Request.ranged(request, at)


def cut_whole(at):
    """The same for a server that knows no ranges."""
    def step(request):
        request.head(200, len(request.data))
        request.wfile.write(request.data[:at])
    return step


def stall(at):
    """Sends the file up to at, then nothing more."""
    def step(request):
        request.ranged(at)
        request.wfile.flush()
        request.server.owner.stop_stalling.wait(60)
    return step


def busy(retry_after):
    return lambda request: request.head(503, 0, Retry_After=retry_after)


def redirect(to, status=302):
    return lambda request: request.head(status, 0, Location=to)


def changed(request):
    """The file is another one now."""
    request.server.owner.etag = '"two"'
    request.whole()


@pytest.fixture(name="device")
def make_device(folder):
    device = HostedDevice(folder)
    yield device
    device.stop()


@pytest.fixture(name="new")
def make_new(image):
    return image("1.1.0", size=SIZE)


@pytest.fixture(name="serve")
def make_server(new):
    """serve(step, ...): a server of the new image."""
    made = []
    with open(new, "rb") as file:
        data = file.read()

    def make(*script, **more):
        made.append(Server(data, *script, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_whole(device, serve, new):
    server = serve()
    result = update(device.target, server.url)
    assert result["exit_code"] == 0 and result["sent"] == SIZE
    assert len(server.seen) == 1
    assert device.holds(new)


@pytest.mark.parametrize("etag", ['"one"', None])
def test_cut_and_resumed_by_range(device, serve, new, etag):
    server = serve(cut(100_000), cut(100_001), cut(350_000), Request.ranged, etag=etag)
    assert update(device.target, server.url)["exit_code"] == 0
    assert [r for _, r, _ in server.seen] == \
        [None, "bytes=100000-", "bytes=100001-", "bytes=350000-"]
    assert server.seen[1][2] == etag
    assert device.holds(new)


def test_cut_and_no_ranges(device, serve, new):
    server = serve(cut_whole(1000), cut_whole(300_000), Request.whole)
    assert update(device.target, server.url)["exit_code"] == 0
    assert len(server.seen) == 3
    assert device.holds(new)


def test_stalled(device, serve, new):
    server = serve(stall(200_000), stall(400_000), Request.ranged)
    assert update("--source-timeout", "1", device.target, server.url)["exit_code"] == 0
    assert len(server.seen) == 3
    assert device.holds(new)


def test_busy_for_a_while(device, serve, new):
    server = serve(cut(200_000), Request.unavailable, Request.unavailable, Request.ranged)
    assert update(device.target, server.url)["exit_code"] == 0
    assert device.holds(new)


def test_busy_and_says_for_how_long(device, serve, new):
    server = serve(cut(200_000), busy("3"), Request.ranged)
    assert update(device.target, server.url)["exit_code"] == 0
    assert server.times[2] - server.times[1] >= 3
    assert device.holds(new)


def test_busy_for_longer_than_is_waited(device, serve):
    server = serve(cut(200_000), busy("3600"), Request.ranged)
    result = update(device.target, server.url)
    assert result["exit_code"] == 1 and "again in 3600 seconds" in result["message"]
    assert len(server.seen) == 2
    assert device.runs("1.0.0")


def test_goes_away_and_comes_back(device, serve, new):
    server = serve(stall(200_000))
    job = Update("--verbose", device.target, server.url)
    job.wait_percent(30)
    server.close()
    job.log.wait("download broke off after 200000 bytes")
    job.log.wait("Failed to connect")
    again = serve(Request.ranged, port=server.port)
    assert job.end()["exit_code"] == 0
    assert again.seen[-1][1] == "bytes=200000-"
    assert device.holds(new)


def test_gone_for_good(device, serve):
    server = serve(cut(200_000), cut(200_000))
    result = update("--source-timeout", "1", device.target, server.url)
    assert result["exit_code"] == 1
    assert "broke off after 200000 of 600000 bytes" in result["message"]
    assert "keeps the firmware it has" in result["message"]
    assert device.runs("1.0.0")


@pytest.mark.parametrize("step, sentence", [
    (changed, "changed on the server"),
    (Request.another_range, "another part of the file"),
    (Request.missing, "404"),
])
def test_resumed_with_something_else(device, serve, step, sentence):
    server = serve(cut(200_000), step)
    result = update(device.target, server.url)
    assert result["exit_code"] == 1 and sentence in result["message"]
    assert device.runs("1.0.0")


def test_redirects(device, serve, new):
    target = serve()
    server = serve(redirect("/a"), redirect("/b", 301), redirect(target.url, 307))
    assert update(device.target, server.url)["exit_code"] == 0
    assert [path for path, _, _ in server.seen] == ["/fw.bin", "/a", "/b"]
    assert device.holds(new)


@pytest.mark.parametrize("step, sentence", [
    (Request.to_itself, "more than 5 redirects"),
    (redirect("file:///etc/passwd"), "redirect to something that is not"),
    (redirect("ftp://127.0.0.1/fw.bin"), "redirect to something that is not"),
    (Request.missing, "404"),
    (Request.unavailable, "503"),
    (Request.empty, "empty"),
    (Request.length_huge, "larger than 16 MiB"),
])
def test_refused_before_anything_is_sent(device, serve, step, sentence):
    result = update(device.target, serve(step).url)
    assert result["exit_code"] == 1 and sentence in result["message"]
    assert "update:" not in device.log.text()


def test_a_web_page(device, serve):
    result = update(device.target, serve(Request.html).url)
    assert result["exit_code"] == 3 and "nothing was sent" in result["message"]
    assert "update:" not in device.log.text()


@pytest.mark.parametrize("step, code, sentence", [
    (Request.length_too_long, 1, "broke off after 600000 of 601000 bytes"),
    (Request.length_too_short, 3, "keeps the firmware it has"),
    (Request.without_length_cut, 3, "keeps the firmware it has"),
    (Request.chunked_cut, 1, "keeps the firmware it has"),
    (Request.endless, 4, "keeps the firmware it has"),
])
def test_lengths_that_lie(device, serve, step, code, sentence):
    result = update("--source-timeout", "1", device.target, serve(step).url)
    assert result["exit_code"] == code and sentence in result["message"], result
    assert device.runs("1.0.0")


def test_no_length(device, serve, new):
    assert update(device.target, serve(Request.without_length).url)["exit_code"] == 0
    assert device.holds(new)


def test_a_name_that_leads_nowhere(device):
    result = update(device.target, "http://127.0.0.1:1/fw.bin")
    assert result["exit_code"] == 1 and "fw.bin" in result["message"]


@pytest.fixture(name="certificate")
def make_certificate(folder):
    path = f"{folder}/server.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", path, "-out", path + ".crt"], check=True, capture_output=True)
    with open(path, "a", encoding="ascii") as file, \
            open(path + ".crt", encoding="ascii") as crt:
        file.write(crt.read())
    return path


def test_https(device, serve, new, certificate):
    server = serve(tls=certificate)
    result = update(device.target, server.url)
    assert result["exit_code"] == 1 and "--cacert names the CA" in result["message"]
    result = update("--cacert", "/nowhere.crt", device.target, server.url)
    assert result["exit_code"] == 1 and "no certificate in /nowhere.crt" in result["message"]
    result = update(device.target, "ftp://localhost/app.bin")
    assert result["exit_code"] == 1 and "https:// are" in result["message"]
    assert not server.seen
    result = update("--cacert", certificate + ".crt", device.target,
                    server.url.replace("127.0.0.1", "localhost"))
    assert result["exit_code"] == 1 # another host than the certificate says
    down = serve(redirect(serve().url), tls=certificate)
    result = update("--cacert", certificate + ".crt", device.target, down.url)
    assert result["exit_code"] == 1 and "redirect" in result["message"]
    assert "update:" not in device.log.text()
    assert update("--cacert", certificate + ".crt", device.target, server.url)["exit_code"] == 0
    assert device.holds(new)
