# SPDX-License-Identifier: Apache-2.0
"""An update server that misbehaves as a test wants it to: real sockets, real TLS."""
import contextlib
import os
import re
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import lab

OTTERD = os.path.join(lab.BUILD, "server", "otterd")
LOGIN = "device:secret"


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


class Authority:
    """A CA, and the certificates it signs: good ones and others."""

    def __init__(self, folder, name="ca"):
        self.folder = folder
        self.cert = os.path.join(folder, name + ".pem")
        self.key = os.path.join(folder, name + ".key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", self.key, "-out", self.cert, "-days", "30", "-subj", f"/CN=Test {name}",
                "-addext", "basicConstraints=critical,CA:TRUE")

    def server(self, name, host="localhost", days=30):
        """The certificate and key of a server; days below 0: it has expired."""
        base = os.path.join(self.folder, name)
        with open(base + ".ext", "w", encoding="ascii") as ext:
            ext.write(f"subjectAltName=DNS:{host}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", base + ".key", "-out", base + ".csr", "-subj", f"/CN={host}")
        openssl("x509", "-req", "-in", base + ".csr", "-CA", self.cert, "-CAkey", self.key,
                "-CAcreateserial", "-days", str(days), "-extfile", base + ".ext",
                "-out", base + ".pem")
        return base + ".pem", base + ".key"


class Request:
    """One request, and the ways to answer it."""

    def __init__(self, sock, head):
        lines = head.decode("latin-1").split("\r\n")
        self.sock = sock
        self.method, self.path, _ = lines[0].split(" ")
        self.headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:] if line)}
        self.at = time.monotonic()
        self.body = b""

    def head(self, status, *headers, length=None):
        """Status line and headers; length None: none is sent, and the connection ends the body."""
        lines = [f"HTTP/1.1 {status} X", *headers]
        lines += ["Connection: close"] if length is None else [f"Content-Length: {length}"]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        return length is None

    def send(self, status, body=b"", *headers):
        self.head(status, *headers, length=len(body))
        self.sock.sendall(body)

    def first(self):
        """Where the Range that is asked for begins; 0 without one."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        return int(found.group(1)) if found else 0


class Rogue:
    """Offers `image` as app.bin, with Range and ETag, as a good server does. A test replaces
    on_check or on_file, which answer a Request; True from them: close the connection."""

    def __init__(self, cert, image=b"", tls=None):
        self.image = image
        self.etag = '"one"'
        self.requests = []
        self.failures = []  # of TLS handshakes
        self.report_status = 204
        self.on_check = self.check
        self.on_file = self.file
        self.news = threading.Condition()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*cert)
        if tls:
            tls(self.context)
        self.port = 0
        self.open()

    @property
    def url(self):
        return f"https://localhost:{self.port}"

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), reuse_port=True)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, raw):
        raw.settimeout(lab.PATIENCE)
        try:
            with self.context.wrap_socket(raw, server_side=True) as sock:
                while self.one(sock):
                    pass
        except ssl.SSLError as error:
            self.note(self.failures, error)
        except OSError:
            pass
        finally:
            raw.close()

    def one(self, sock):
        head = b""
        while b"\r\n\r\n" not in head:
            piece = sock.recv(4096)
            if not piece:
                return False
            head += piece
        head, _, body = head.partition(b"\r\n\r\n")
        request = Request(sock, head)
        while len(body) < int(request.headers.get("content-length", 0)):
            body += sock.recv(4096)
        request.body = body
        self.note(self.requests, request)
        if request.method == "POST":
            return request.send(self.report_status)
        on = self.on_check if request.path.startswith("/devices/") else self.on_file
        return not on(request)

    def note(self, where, what):
        with self.news:
            where.append(what)
            self.news.notify_all()

    def wait(self, count, kind="/"):
        """The first count requests whose path begins so, once they are there."""
        def found():
            return [r for r in self.requests if r.path.startswith(kind)]
        with self.news:
            assert self.news.wait_for(lambda: len(found()) >= count, lab.PATIENCE), \
                [(r.method, r.path) for r in self.requests]
            return found()

    def check(self, request):
        if "app_ver=1.0.0" in request.path:
            return request.send(200, b"app.bin")
        return request.send(204)

    def file(self, request):
        first = request.first()
        if first and request.headers.get("if-range", self.etag) == self.etag:
            size = len(self.image)
            return request.send(206, self.image[first:],
                                f"Content-Range: bytes {first}-{size - 1}/{size}",
                                f"ETag: {self.etag}")
        return request.send(200, self.image, f"ETag: {self.etag}")


class Site:
    """Certificates of a test run, made once."""
    made = None

    @classmethod
    def get(cls):
        if cls.made is None:
            folder = tempfile.mkdtemp(prefix="otter-site-")
            cls.made = cls(folder)
        return cls.made

    def __init__(self, folder):
        self.folder = folder
        self.ca = Authority(folder)
        self.good = self.ca.server("good")
        self.login = os.path.join(folder, "login")
        with open(self.login, "w", encoding="ascii") as login:
            login.write(LOGIN + "\n")

    def options(self, server, name="kitchen"):
        """What a device needs to pull from a server."""
        url = server if isinstance(server, str) else server.url
        return ["--fuota", url, "--cacert", self.ca.cert, "--login", self.login,
                "--device-id", name, "--poll", "1s", "--backoff", "100ms"]
