#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The plain way to serve the same poll: Python's http.server, a thread a connection, SQLite. Written
for bench/server.py, as something to compare with.

    plain_server.py PORT CERTIFICATE KEY DATABASE FOLDER CREDENTIALS
"""
import base64
import http.server
import os
import socketserver
import sqlite3
import ssl
import sys
import threading
from urllib.parse import parse_qs, urlparse

PORT, CERTIFICATE, KEY, DATABASE, FOLDER, CREDENTIALS = sys.argv[1:]
EXPECTED = "Basic " + base64.b64encode(CREDENTIALS.encode()).decode()
LOCAL = threading.local()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def answer(self, status, body=b"", kind="text/csv"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def do_GET(self):  # pylint: disable=invalid-name # http.server wants it so
        if self.headers.get("Authorization") != EXPECTED:
            return self.answer(403)
        url = urlparse(self.path)
        _, kind, name = url.path.split("/", 2)
        if kind == "files":
            with open(os.path.join(FOLDER, os.path.basename(name)), "rb") as file:
                return self.answer(200, file.read(), "application/octet-stream")
        if not hasattr(LOCAL, "database"):
            LOCAL.database = sqlite3.connect(DATABASE)
        row = LOCAL.database.execute(
            "SELECT app_ver, update_file_path FROM device_app WHERE device_id = ?",
            (name,)).fetchone()
        if row is None:
            return self.answer(404)
        version = parse_qs(url.query).get("app_ver", [""])[0]
        return self.answer(200, row[1].encode()) if version == row[0] else self.answer(204)

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def get_request(self):
        sock, address = super().get_request()
        return CONTEXT.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, *_):  # pylint: disable=arguments-differ
        pass


CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
CONTEXT.load_cert_chain(CERTIFICATE, KEY)
Server(("127.0.0.1", int(PORT)), Handler).serve_forever()
