# SPDX-License-Identifier: Apache-2.0
"""otterd as people use it: the first server's session, its statuses, its data; ranges; JSON."""
import contextlib
import hashlib
import http.client
import itertools
import json
import os
import re
import shutil
import sqlite3
import ssl
import subprocess
import tempfile
import threading

import pytest

from otterd import (BUILD, Certificates, DEVICE, DEVICE_PASSWORD, OTTERD, PASSWORD, ROOT, Server, USER,
                    basic, check_store, drain, eventually, image)

OCTETS = {"Content-Type": "application/octet-stream"}
CSV = {"Content-Type": "text/csv"}


@pytest.fixture(scope="module", autouse=True)
def certificates():
    yield
    Certificates.remove()


@pytest.fixture(name="server", scope="module")
def fixture_server():
    with Server("--verbose") as server:
        yield server


# --- the first server's README, command by command ----------------------------------------------


def test_readme_session(tmp_path):
    """Its folders, its environment, its self-signed certificate, its curl lines."""
    app, data = tmp_path / "app", tmp_path / "data"
    app.mkdir()
    data.mkdir()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-keyout", "ca_key.pem",
                    "-out", "ca_cert.pem", "-days", "365", "-nodes", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1"], cwd=app, check=True,
                   capture_output=True)
    firmware = tmp_path / "esp32-fuota.bin"
    firmware.write_bytes(image("0.1.1", 816384))
    server = Server(start=False, data=str(data), cwd=str(app))
    server.env = {"US_AUTH_USERNAME": USER, "US_AUTH_PASSWORD": PASSWORD, "US_SERVER_PORT": "0"}
    server.command = lambda: [OTTERD] + (["--user", "root"] if os.geteuid() == 0 else [])
    with server:
        server.start()

        def curl(*arguments, path):
            done = subprocess.run(
                ["curl", "-u", f"{USER}:{PASSWORD}", "--cacert", str(app / "ca_cert.pem"),
                 "--verbose", "--no-progress-meter", *arguments,
                 f"https://127.0.0.1:{server.port}{path}"],
                capture_output=True, check=True, timeout=60)
            status = re.findall(r"^< HTTP/1\.[01] (\d+)", done.stderr.decode(), re.M)
            fields = dict(re.findall(r"^< ([A-Za-z-]+): (.*?)\r?$", done.stderr.decode(), re.M))
            return int(status[-1]), done.stdout, fields

        status, body, fields = curl("--request", "GET", path="/devices")
        assert (status, body, fields["Content-Type"]) == (200, b"", "text/csv")
        status, body, _ = curl("--request", "PUT", "--data-binary", f"@{firmware}", "--header",
                               "Content-Type: application/octet-stream",
                               path="/files/esp32-fuota.bin.0.1.1")
        assert (status, body) == (200, b"")
        status, body, _ = curl("--request", "PUT", "--data",
                               '"00001","0.1.0","esp32-fuota.bin.0.1.1"', "--header",
                               "Content-Type: text/csv", path="/devices/00001")
        assert (status, body) == (200, b"")
        status, body, fields = curl("--request", "GET", path="/devices/00001?app_ver=0.1.0")
        assert (status, body) == (200, b"esp32-fuota.bin.0.1.1")
        assert (fields["Content-Type"], fields["Content-Length"]) == ("text/csv", "21")
        status, body, fields = curl("--request", "GET", path="/files/esp32-fuota.bin.0.1.1")
        assert status == 200 and body == firmware.read_bytes()
        assert fields["Content-Type"] == "application/octet-stream"
        assert curl("--request", "GET", path="/devices/00001?app_ver=0.1.1")[:2] == (204, b"")
        status, body, _ = curl("--request", "GET", path="/devices")
        assert (status, body) == (200, b'"00001","0.1.0","esp32-fuota.bin.0.1.1"\n')
        assert curl("--request", "DELETE", path="/devices/00001")[0] == 200
        assert curl("--request", "DELETE", path="/devices/00001")[0] == 404
        assert curl("--request", "GET", path="/devices/00001?app_ver=0.1.0")[0] == 404


def test_the_published_devices_requests(server):
    """What the first device's esp_http_client and esp_https_ota send, byte for byte."""
    firmware = image("0.1.1", 816384)
    assert server.ask("PUT", "/files/esp32-fuota.bin.0.1.1", firmware)[0] == 200
    assert server.ask("PUT", "/devices/10001", '"10001","0.1.0","esp32-fuota.bin.0.1.1"')[0] == 200
    context = server.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    for path, status, kind, body in (
            ("/devices/10001?app_ver=0.1.0", 200, "text/csv", b"esp32-fuota.bin.0.1.1"),
            ("/files/esp32-fuota.bin.0.1.1", 200, "application/octet-stream", firmware),
            ("/devices/10001?app_ver=0.1.1", 204, None, b""),
            ("/devices/unknown?app_ver=0.1.0", 404, None, None)):
        with server.connect(context=context) as sock:
            sock.sendall(f"GET {path} HTTP/1.1\r\nUser-Agent: ESP32 HTTP Client/1.0\r\n"
                         f"Host: localhost\r\nAuthorization: {basic()}\r\nContent-Length: 0\r\n\r\n"
                         .encode())
            answer = http.client.HTTPResponse(sock)
            answer.begin()
            got = answer.read()
        assert answer.status == status and (kind is None or answer.headers["Content-Type"] == kind)
        if status != 204:
            assert int(answer.headers["Content-Length"]) == len(got)
        assert body is None or got == body


# --- statuses -----------------------------------------------------------------------------------

# method, path, body, who ("" nobody, "x" wrong, "u" right), status, body. A row marked FAULT is one
# where the first server does something else, and its list of faults says why we do not.
ROWS = [
    ("GET", "/devices", None, "", 403, None),
    ("GET", "/devices", None, "x", 403, None),
    ("GET", "/devices/00001?app_ver=0.1.0", None, "", 403, None),
    ("GET", "/files/fw.bin", None, "x", 403, None),
    ("PUT", "/files/fw.bin", b"abc", "x", 403, None),
    ("PUT", "/devices/00001", b'"00001","0.1.0","fw.bin"', "", 403, None),
    ("DELETE", "/devices/00001", None, "x", 403, None),
    ("GET", "/devices", None, "u", 200, b""),
    ("GET", "/devices/", None, "u", 200, b""),
    ("GET", "/devices/00001?app_ver=0.1.0", None, "u", 404, None),
    ("GET", "/files/fw.bin", None, "u", 404, None),
    ("DELETE", "/devices/00001", None, "u", 404, None),
    ("PUT", "/files/fw.bin", image("0.1.1"), "u", 200, b""),
    ("PUT", "/devices/00001", b'"00001","0.1.0","fw.bin"', "u", 200, b""),
    ("GET", "/devices", None, "u", 200, b'"00001","0.1.0","fw.bin"\n'),
    ("GET", "/devices/00001?app_ver=0.1.0", None, "u", 200, b"fw.bin"),
    ("GET", "/devices/00001?app_ver=0.1.0&x=y", None, "u", 200, b"fw.bin"),
    ("GET", "/devices/00001?x=y&app_ver=0%2e1.0", None, "u", 200, b"fw.bin"),
    ("GET", "/devices/00001/?app_ver=0.1.0", None, "u", 200, b"fw.bin"),
    ("GET", "/devices/00001?app_ver=0.1.1", None, "u", 204, b""),
    ("GET", "/devices/00001?app_ver=0.1", None, "u", 204, b""),
    ("GET", "/devices/00001", None, "u", 400, None),
    ("GET", "/devices/00001?", None, "u", 400, None),
    ("GET", "/devices/00001?app_ver", None, "u", 400, None),
    ("GET", "/devices/00001?app_ver=", None, "u", 400, None),
    ("GET", "/devices/00001?app_verx=1", None, "u", 400, None),
    ("GET", "/devices/00001?app_ver=1&app_ver=2", None, "u", 400, None),
    ("GET", "/devices/00001/x?app_ver=0.1.0", None, "u", 400, None),
    ("GET", "/devices/00002?app_ver=0.1.0", None, "u", 404, None),
    ("GET", "/files/fw.bin", None, "u", 200, image("0.1.1")),
    ("GET", "/files/fw.bin/", None, "u", 200, image("0.1.1")),
    ("GET", "/files/fw2.bin", None, "u", 404, None),
    ("GET", "/files", None, "u", 400, None),
    ("GET", "/files/a/b", None, "u", 400, None),
    ("PUT", "/files", b"abc", "u", 400, None),
    ("PUT", "/files/a/b", b"abc", "u", 400, None),
    ("PUT", "/devices", b'"a","b","c"', "u", 400, None),
    ("PUT", "/devices/a/b", b'"a","b","c"', "u", 400, None),
    ("DELETE", "/devices", None, "u", 400, None),
    ("DELETE", "/devices/a/b", None, "u", 400, None),
    ("PUT", "/devices/00002", b'"00002","0.1.0"', "u", 400, None),
    ("PUT", "/devices/00002", b'"00002","0.1.0","a","b"', "u", 400, None),
    ("PUT", "/devices/00002", b"00002,0.1.0,fw.bin\r\n", "u", 200, b""),
    ("GET", "/devices/00002?app_ver=0.1.0", None, "u", 200, b"fw.bin"),
    ("PUT", "/devices/00002", b'"00002","v1:2+3","gone.bin"', "u", 200, b""),
    ("GET", "/devices/00002?app_ver=v1:2%2b3", None, "u", 404, None),
    ("GET", "/devices/00002?app_ver=0.1.0", None, "u", 204, b""),
    ("PUT", "/devices/other", b'"00003","1","fw.bin"', "u", 200, b""),
    ("GET", "/devices/00003?app_ver=1", None, "u", 200, b"fw.bin"),
    ("GET", "/devices/other?app_ver=1", None, "u", 404, None),
    ("PUT", "/files/fw.bin", image("0.1.2"), "u", 200, b""),
    ("GET", "/files/fw.bin", None, "u", 200, image("0.1.2")),
    ("DELETE", "/devices/00003", None, "u", 200, b""),
    ("GET", "/devices", None, "u", 200,
     b'"00001","0.1.0","fw.bin"\n"00002","v1:2+3","gone.bin"\n'),
    # FAULT: SQL from strings. The first server empties its table here.
    ("DELETE", "/devices/device_id", None, "u", 404, None),
    ("GET", "/devices/device_id?app_ver=0.1.0", None, "u", 404, None),
    # FAULT: the database is handed out.
    ("GET", "/files/devices.db", None, "u", 404, None),
    # FAULT: anything is taken for firmware, and an empty file too.
    ("PUT", "/files/page.html", b"<html></html>", "u", 400, None),
    ("PUT", "/files/empty.bin", b"", "u", 400, None),
    ("PUT", "/devices/00002", b"", "u", 400, None),
]


def test_sixty_requests_answer_as_the_first_server_does():
    assert len(ROWS) == 60
    users = {"": None, "x": (USER, "wrong"), "u": (USER, PASSWORD)}
    with Server() as server:
        for method, path, body, who, status, wanted in ROWS:
            got, answer, fields = server.ask(method, path, body, users[who])
            assert got == status, (method, path, answer)
            assert wanted is None or answer == wanted, (method, path, answer)
            if got != 204:
                assert int(fields["Content-Length"]) == len(answer)


def test_content_length_counts_bytes():
    with Server() as server:
        name = "fw-\u00e4\u20ac.bin"
        quoted = "/files/fw-%C3%A4%E2%82%AC.bin"
        assert server.ask("PUT", quoted, image())[0] == 200
        body = f'"d\u00e4","1","{name}"'.encode()
        assert server.ask("PUT", "/devices/d", body)[0] == 200
        status, answer, fields = server.ask("GET", "/devices/d%C3%A4?app_ver=1")
        assert (status, answer.decode()) == (200, name)
        assert int(fields["Content-Length"]) == len(name.encode())


# --- files --------------------------------------------------------------------------------------


def test_ranges_entity_tags_and_head(server):
    data = image("2.0.0", 200000)
    assert server.ask("PUT", "/files/range.bin", data, headers=OCTETS)[0] == 200
    path, size = "/files/range.bin", len(data)
    status, body, fields = server.ask("HEAD", path)
    assert (status, body, int(fields["Content-Length"])) == (200, b"", size)
    etag = fields["ETag"]
    assert etag == f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    assert fields["Accept-Ranges"] == "bytes" and fields["Cache-Control"]

    def get(**headers):
        status, body, fields = server.ask(
            "GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        return status, body, fields["Content-Range"]

    assert get(Range="bytes=0-9") == (206, data[:10], f"bytes 0-9/{size}")
    assert get(Range="bytes=100000-") == (206, data[100000:], f"bytes 100000-{size - 1}/{size}")
    assert get(Range="bytes=-5") == (206, data[-5:], f"bytes {size - 5}-{size - 1}/{size}")
    status, _, where = get(Range=f"bytes={size}-")
    assert (status, where) == (416, f"bytes */{size}")
    assert get(Range="bytes=0-1,5-6") == (200, data, None)
    assert get(Range="bytes=9-1") == (200, data, None)
    assert get(Range="bytes=7-8", If_Range=etag)[0] == 206
    assert get(Range="bytes=7-8", If_Range='"another"') == (200, data, None)
    assert get(Range="bytes=7-8", If_Range="W/" + etag) == (200, data, None)
    assert get(If_None_Match=etag)[:2] == (304, b"")
    assert get(If_None_Match='"another"')[:2] == (200, data)


def test_a_device_that_runs_the_image_already_is_offered_nothing(server):
    """Two releases may carry the same version text: the digest tells."""
    data = image("3.0.0", 5000)
    digest = hashlib.sha256(data[:-32]).hexdigest()
    assert data[-32:].hex() == digest
    server.ask("PUT", "/files/same.bin", data)
    server.ask("PUT", "/devices/same", b'"same","3.0.0","same.bin"')
    status, _, fields = server.ask("GET", "/devices/same?app_ver=3.0.0")
    assert (status, fields["Otter-Image-SHA256"]) == (200, digest)
    running = {"Otter-Running": digest}
    assert server.ask("GET", "/devices/same?app_ver=3.0.0", headers=running)[0] == 204
    other = {"Otter-Running": "0" * 64}
    assert server.ask("GET", "/devices/same?app_ver=3.0.0", headers=other)[0] == 200
    bad = {"Otter-Running": "x"}
    assert server.ask("GET", "/devices/same?app_ver=3.0.0", headers=bad)[0] == 400


def test_real_firmware_is_recognised(server):
    folder = os.environ.get("OTTER_FIRMWARE", os.path.join(ROOT, "..", "shared", "firmware"))
    path = os.path.join(folder, "esp32c6-side-0.2.4.bin")
    if not os.path.exists(path):
        pytest.skip("sample firmware is not here (OTTER_FIRMWARE)")
    assert server.curl("-T", path, path="/api/v1/images/side.bin")[0] == 201
    status, body, _ = server.ask("GET", "/api/v1/images/side.bin")
    said = json.loads(body)
    assert status == 200 and said["size"] == os.path.getsize(path)
    assert said["image"]["chip"] == "ESP32-C6"
    assert said["image"]["project"] == "arduino-lib-builder"
    with open(path, "rb") as file:
        assert said["sha256"] == hashlib.sha256(file.read()).hexdigest()


def test_damaged_images_are_refused(server):
    data = image("1.0.0", 60000)
    for bad in (data[:-1], data[:1000], data[:500] + b"\0\1" + data[502:], data + bytes(20000)):
        assert server.ask("PUT", "/files/bad.bin", bad)[0] == 400
        status, body, _ = server.ask("PUT", "/api/v1/images/bad.bin", bad)
        assert status == 422 and "image" in json.loads(body)["error"]
    assert server.ask("GET", "/files/bad.bin")[0] == 404
    assert server.ask("PUT", "/files/padded.bin", data + b"\xff" * 4096)[0] == 200


def test_encrypted_images_are_recognised(server, tmp_path):
    key, plain, path = (tmp_path / name for name in ("key.pem", "fw.bin", "fw.enc"))
    plain.write_bytes(image("2.0.0", 20000))
    otter = os.path.join(BUILD, "cli", "otter")
    subprocess.run([otter, "key", "generate", "--type", "ecdsa256", "-o", key], check=True)
    subprocess.run([otter, "image", "encrypt", "--key", key, "-o", path, plain], check=True)
    data = path.read_bytes()
    assert server.ask("PUT", "/files/fw.enc", data)[0] == 200
    assert server.ask("GET", "/files/fw.enc")[1] == data
    with server.connect() as sock:  # the first bytes one by one
        head = (f"PUT /files/fw2.enc HTTP/1.1\r\nHost: a\r\nAuthorization: {basic()}\r\n"
                f"Connection: close\r\nContent-Length: {len(data)}\r\n\r\n")
        sock.sendall(head.encode())
        for at in range(600):
            sock.sendall(data[at:at + 1])
        sock.sendall(data[600:])
        assert drain(sock).startswith(b"HTTP/1.1 200 ")
    said = json.loads(server.ask("GET", "/api/v1/images/fw2.enc")[1])
    assert (said["format"], said["image"], said["size"]) == ("encrypted", None, len(data))
    for bad in (data[:-1], data + b"x", data[:512], data[:300], data[:3], data[:3] + b"\xe9" * 600,
                data[:404] + bytes(4) + data[408:], data[:500] + b"\1" + data[501:]):
        assert server.ask("PUT", "/files/bad.enc", bad)[0] == 400
    assert server.ask("GET", "/files/bad.enc")[0] == 404


def test_any_file_is_taken_when_allowed():
    with Server("--any-file") as server:
        assert server.ask("PUT", "/files/notes.txt", b"hello")[0] == 200
        assert server.ask("GET", "/files/notes.txt")[1] == b"hello"
        said = json.loads(server.ask("GET", "/api/v1/images/notes.txt")[1])
        assert (said["format"], said["image"]) == ("other", None)
        assert server.ask("PUT", "/files/empty", b"")[0] == 200
        assert server.ask("GET", "/files/empty")[:2] == (200, b"")


# --- JSON ---------------------------------------------------------------------------------------


def call(server, method, path, body=None, **more):
    status, answer, _ = server.ask(method, "/api/v1" + path,
                                   None if body is None else json.dumps(body), **more)
    return status, json.loads(answer) if answer else None


def test_json_api():
    with Server() as server:
        data = image("1.1.0", 3000, project="lamp", chip=9)
        assert call(server, "GET", "/images") == (200, {"images": [], "next": None})
        status, said = server.ask("PUT", "/api/v1/images/lamp-1.1.0.bin", data)[:2]
        assert status == 201
        said = json.loads(said)
        assert said["image"]["version"] == "1.1.0" and said["image"]["chip"] == "ESP32-S3"
        assert server.ask("PUT", "/api/v1/images/lamp-1.1.0.bin", data)[0] == 200
        assert call(server, "GET", "/images")[1]["images"] == [said | {
            "uploaded": call(server, "GET", "/images/lamp-1.1.0.bin")[1]["uploaded"]}]
        assert call(server, "GET", "/images/none")[0] == 404

        lamp = {"from": "1.0.0", "image": "lamp-1.1.0.bin"}
        assert call(server, "PUT", "/devices/a%20b/assignment", lamp)[0] == 204
        assert server.ask("GET", "/devices/a%20b?app_ver=1.0.0")[1] == b"lamp-1.1.0.bin"
        assert call(server, "PUT", "/devices/x/assignment", lamp | {"image": "no"})[0] == 409
        for bad in ({}, {"from": "1"}, lamp | {"more": "x"}, lamp | {"from": 1}, [], "text",
                    lamp | {"from": "a\nb"}, lamp | {"image": "../x"}, lamp | {"from": "x" * 256}):
            assert call(server, "PUT", "/devices/x/assignment", bad)[0] == 400, bad
        assert server.ask("PUT", "/api/v1/devices/x/assignment", b"{")[0] == 400

        device = (DEVICE, DEVICE_PASSWORD)
        server.ask("GET", "/devices/new?app_ver=1.0.0", user=device)
        report = {"result": "updated", "version": "1.1.0", "running": "ab" * 32}
        assert call(server, "POST", "/devices/a%20b/report", report, user=device)[0] == 204
        assert call(server, "POST", "/devices/a%20b/report", {"result": "?"}, user=device)[0] == 400
        known = call(server, "GET", "/devices/a%20b")[1]
        assert known["version"] == "1.1.0" and known["last_result"]["result"] == "updated"
        assert known["last_seen"] and known["address"] == "127.0.0.1"

        since = wait_for(lambda: call(server, "GET", "/devices?changed_since=0")[1],
                         lambda said: len(said["devices"]) == 2)["next"]
        assert call(server, "GET", f"/devices?changed_since={since}")[1]["devices"] == []
        assert call(server, "POST", "/assign-all", lamp | {"from": "9"}) == (200, {"devices": 2})
        changed = call(server, "GET", f"/devices?changed_since={since}")[1]["devices"]
        assert {d["id"] for d in changed} == {"a b", "new"}
        assert all(d["assignment"]["from"] == "9" for d in changed)

        assert call(server, "DELETE", "/images/lamp-1.1.0.bin")[0] == 409
        assert call(server, "DELETE", "/devices/new/assignment")[0] == 204
        assert call(server, "DELETE", "/devices/new/assignment")[0] == 404
        assert call(server, "DELETE", "/devices/new")[0] == 204
        assert call(server, "DELETE", "/devices/new")[0] == 404
        assert call(server, "DELETE", "/images/lamp-1.1.0.bin?force=1")[0] == 204
        assert os.listdir(os.path.join(server.data, "blobs")) == []
        status = call(server, "GET", "/status")[1]
        assert (status["images"], status["devices"], status["assigned"]) == (0, 1, 1)


def wait_for(get, good, tries=200):
    """The first answer that is good; asks again, as what it waits for has no event to wait on."""
    import time
    for _ in range(tries):
        answer = get()
        if good(answer):
            return answer
        time.sleep(0.05)
    raise AssertionError(answer)


def test_no_change_is_missed_when_devices_are_removed():
    def report(device, version):
        body = json.dumps({"result": "updated", "version": version})
        assert server.ask("POST", f"/api/v1/devices/{device}/report", body)[0] == 204

    def changes(since):
        said = json.loads(server.ask("GET", f"/api/v1/devices?changed_since={since}")[1])
        return [row["id"] for row in said["devices"]], said["next"]

    with Server() as server:
        for device in "abc":
            report(device, "1")
        since = changes(0)[1]
        for device in "cb":
            assert server.ask("DELETE", f"/api/v1/devices/{device}")[0] == 204
        report("a", "2")
        seen, since = changes(since)
        assert seen == ["a"] and changes(since) == ([], since)
        # none is left: numbers begin anew, and what comes then is news
        assert server.ask("DELETE", "/api/v1/devices/a")[0] == 204
        assert changes(since) == ([], 0)
        report("d", "1")
        assert changes(since)[0] == ["d"]  # also to who was not told
        report("d", "2")
        since = changes(since)[1]
        assert server.ask("DELETE", "/api/v1/devices/d")[0] == 204
        since = changes(since)[1]
        for device in "efg":  # more than there were before
            report(device, "1")
        seen, since = changes(since)
        assert seen == ["e", "f", "g"]
        report("d", "1")
        seen, since = changes(since)
        assert seen == ["d"] and changes(since) == ([], since)


def test_lists_come_in_pages():
    with Server() as server:
        client = server.http()
        names = [f"d{i:04}" for i in range(450)]
        with contextlib.closing(server.database()) as database:
            database.executemany("INSERT INTO device_app VALUES(?, '1', 'x\"y')",
                                 [(n,) for n in names])
            database.commit()
        status, body, fields = server.ask("GET", "/devices", client=client)
        assert status == 200 and fields["Transfer-Encoding"] == "chunked"
        assert body.decode().splitlines() == [f'"{n}","1","x""y"' for n in names]
        assert server.raw(b"GET /devices HTTP/1.0\r\nAuthorization: " + basic().encode() +
                          b"\r\n\r\n").partition(b"\r\n\r\n")[2] == body
        got, after = [], ""
        while after is not None:
            _, body, _ = server.ask("GET", f"/api/v1/devices?limit=100&after={after}",
                                    client=client)
            page = json.loads(body)
            got += [d["id"] for d in page["devices"]]
            after = page["next"]
        assert got == names
        for bad in ("limit=0", "limit=1001", "limit=x", "after=%00", "changed_since=-1x"):
            assert server.ask("GET", f"/api/v1/devices?{bad}", client=client)[0] == 400


def test_a_report_is_not_overwritten_by_an_earlier_poll():
    """Polls are noted in batches, a moment later; reports at once."""
    with Server("--threads", "1") as server:
        assert server.ask("GET", "/devices/lamp?app_ver=1.0.0")[0] == 404
        assert call(server, "POST", "/devices/lamp/report",
                    {"result": "updated", "version": "1.1.0"})[0] == 204
        assert server.ask("GET", "/devices/other?app_ver=1.0.0")[0] == 404
        assert eventually(lambda: call(server, "GET", "/devices/other")[0]) == 200  # all are noted
        assert call(server, "GET", "/devices/lamp")[1]["version"] == "1.1.0"


# --- what the first server left behind ----------------------------------------------------------


def test_first_servers_data_is_taken_over():
    folder = tempfile.mkdtemp(prefix="otterd-data-")
    try:
        with contextlib.closing(sqlite3.connect(os.path.join(folder, "devices.db"))) as database:
            database.execute("create table if not exists device_app(device_id text primary key asc, "
                             "app_ver text, update_file_path text)")
            database.execute('insert into device_app values("00001", "0.1.0", "fw.bin")')
            database.execute('insert into device_app values("00002", null, null)')
            database.commit()
        firmware = image("0.1.1", 5000)
        for name, data in (("fw.bin", firmware), ("notes", b"text"), ("a%b", b"odd")):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(data)
        for _ in range(2):
            with Server(data=folder) as server:
                assert server.ask("GET", "/devices/00001?app_ver=0.1.0")[1] == b"fw.bin"
                assert server.ask("GET", "/files/fw.bin")[1] == firmware
                assert server.ask("GET", "/files/notes")[1] == b"text"
                assert server.ask("GET", "/devices/00002?app_ver=1")[0] == 204
                assert server.ask("GET", "/devices")[1].count(b"\n") == 2
        assert sorted(os.listdir(folder)) == [".lock", "a%b", "blobs", "devices.db", "tmp"]
        assert set(check_store(folder)) == {"fw.bin", "notes"}
    finally:
        shutil.rmtree(folder)


def test_a_database_of_an_older_otterd_is_brought_up_to_date():
    with Server() as server:
        assert server.ask("PUT", "/files/fw.bin", image("1"))[0] == 200
        assert server.ask("PUT", "/devices/a", '"a","0","fw.bin"')[0] == 200
        server.stop()
        with contextlib.closing(server.database()) as database:
            now = database.execute("PRAGMA user_version").fetchone()[0]
            for name in ("device_revised", "file_revised"):
                for end in ("", "_in", "_out"):
                    database.execute(f"DROP TRIGGER {name}{end}")
            database.execute("DROP TABLE revision")
            database.execute("ALTER TABLE file DROP COLUMN encrypted")
            database.execute("PRAGMA user_version=2")
        server.start()
        assert server.ask("GET", "/devices/a?app_ver=0")[1] == b"fw.bin"
        assert call(server, "GET", "/images/fw.bin")[1]["format"] == "image"
        with contextlib.closing(server.database()) as database:
            assert database.execute("PRAGMA user_version").fetchone()[0] == now


def test_backup_and_restore(tmp_path):
    """As docs/server.md has it, while changes go on: every name in the copy has its content."""
    images = [image(str(n), 30000, seed=n) for n in range(4)]
    stop = threading.Event()
    with Server() as server:
        assert server.ask("PUT", "/files/fw", images[0])[0] == 200
        assert server.ask("PUT", "/devices/a", '"a","1","fw"')[0] == 200

        def change():
            client = server.http()
            for n in itertools.count():
                server.ask("PUT", f"/files/more{n % 3}", images[n % 4], client=client)
                if stop.is_set():
                    break
            client.close()

        writer = threading.Thread(target=change)
        writer.start()
        blobs = os.path.join(server.data, "blobs")
        subprocess.run(["cp", "-a", blobs, tmp_path], check=False)  # some vanish meanwhile
        with contextlib.closing(server.database()) as lock, \
                contextlib.closing(server.database()) as database, \
                contextlib.closing(sqlite3.connect(tmp_path / "devices.db")) as copy:
            lock.execute("BEGIN IMMEDIATE")
            database.backup(copy)
            subprocess.run(["cp", "-an", blobs, tmp_path], check=True)
            lock.rollback()
        stop.set()
        writer.join()
    assert len(check_store(tmp_path)) >= 1
    with Server(data=str(tmp_path)) as server:
        assert server.ask("GET", "/devices/a?app_ver=1")[1] == b"fw"
        assert server.ask("GET", "/files/fw")[1] == images[0]


def test_a_newer_database_is_left_alone():
    folder = tempfile.mkdtemp(prefix="otterd-data-")
    with contextlib.closing(sqlite3.connect(os.path.join(folder, "devices.db"))) as database:
        database.execute("PRAGMA user_version=1000")
    server = Server(data=folder, start=False)
    done = subprocess.run(server.command(), env={**os.environ, **server.env}, timeout=60,
                          capture_output=True, check=False)
    assert done.returncode == 1 and b"newer otterd" in done.stderr
    shutil.rmtree(folder)


# --- the description ----------------------------------------------------------------------------


def test_openapi_describes_every_route():
    routes = set()
    listed = subprocess.run([OTTERD, "--routes"], capture_output=True, check=True).stdout.decode()
    for method, pattern, role in (line.split() for line in listed.splitlines()):
        if "*" not in pattern and not (pattern in ("/devices", "/files") and role == "device"):
            routes.add((method, re.sub(r"\{[^}]*\}", "{}", pattern)))
    described, path = set(), None
    with open(os.path.join(ROOT, "openapi.yaml"), encoding="utf-8") as file:
        for line in file:
            if found := re.match(r"  (/\S*):$", line):
                path = re.sub(r"\{[^}]*\}", "{}", found.group(1))
            elif path and (found := re.match(r"    (get|put|post|delete):$", line)):
                described.add((found.group(1).upper(), path))
            elif re.match(r"\S", line):
                path = None
    assert described == routes


def test_pipelined_and_half_closed_requests(server):
    one = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    answer = server.raw(one * 50 + b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 51 and answer.count(b"\r\n\r\nok\n") == 51
    with server.connect() as sock:
        for byte in one:
            sock.sendall(bytes([byte]))
        assert sock.recv(1000).startswith(b"HTTP/1.1 200")
        sock.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert drain(sock).endswith(b"Connection: close\r\n\r\nok\n")
