# SPDX-License-Identifier: Apache-2.0
"""otter server against a real otterd, and a device that pulls what was published there."""
import contextlib
import json
import os
import pty
import signal
import subprocess
import threading

import pytest

import lab
import otterd
import rogue
import tool
from lab import DEVICE, Lines, otter

LINK_FAILED = 5
ADMIN = f"{otterd.USER}:{otterd.PASSWORD}"


@pytest.fixture(name="server")
def make_server():
    with otterd.Server() as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def remove_certificates():
    yield
    otterd.Certificates.remove()


@pytest.fixture(name="ask")
def make_ask(server):
    """Runs `otter server ...` with what it needs in the environment."""
    env = {**os.environ, "OTTER_SERVER": f"https://localhost:{server.port}",
           "OTTER_CACERT": os.path.join(server.etc, "ca.pem"), "OTTER_LOGIN": ADMIN}

    def ask(*args, check=tool.OK, **more):
        changed = {**env, **more}
        return otter("server", *args, check=check,
                     env={name: value for name, value in changed.items() if value is not None})
    ask.env = env
    return ask


def rows(ask, what, *args):
    return json.loads(ask(*args, "--json").stdout)[what]


def test_images(ask, image):
    path = image("1.1.0")
    assert "No image yet" in ask("list").stdout
    said = ask("upload", path).stdout
    assert said.startswith("Uploaded 0-1.1.0.bin: 100,000 bytes") and "demo 1.1.0 for ESP32" in said
    assert ask("upload", path, "--name", "app").stdout.startswith("Uploaded app")
    assert ask("upload", path, "--name", "app").stdout.startswith("Replaced app")
    listed = rows(ask, "images", "list")
    assert [row["name"] for row in listed] == ["0-1.1.0.bin", "app"]
    assert listed[1]["image"]["version"] == "1.1.0" and listed[1]["size"] == 100_000
    assert "app" in ask("list").stdout
    assert ask("remove", "app").stdout == "Removed app.\n"
    assert "no such" in ask("remove", "app", check=tool.REFUSED).stderr
    odd = "b\u00e4r \u2603.bin"
    ask("upload", path, "--name", odd)
    assert odd in [row["name"] for row in rows(ask, "images", "list")]
    ask("remove", odd)


def test_upload_shows_its_progress(ask, image):
    """On a terminal, a line that ends at 100 %."""
    path = image("1.1.0", size=1_000_000)
    ours, theirs = pty.openpty()
    with subprocess.Popen([lab.OTTER, "server", "upload", path], env=ask.env, stderr=theirs,
                          stdout=subprocess.DEVNULL) as upload:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # a terminal whose other end is closed
            while piece := os.read(ours, 4096):
                shown += piece
        assert upload.wait(lab.PATIENCE) == 0
    os.close(ours)
    assert b"Uploading" in shown and b"100%" in shown, shown


def test_upload_refused(ask, folder, image):
    junk = os.path.join(folder, "junk.bin")
    with open(junk, "wb") as file:
        file.write(os.urandom(3_000_000))
    assert "not an ESP32 image" in ask("upload", junk, check=tool.INVALID).stderr
    ask("upload", folder + "/nothing", check=tool.FAILED)
    ask("upload", folder, check=tool.FAILED)
    with open(image("1.1.0"), "rb") as file, open(junk, "wb") as cut:
        cut.write(file.read()[:50_000])
    ask("upload", junk, check=tool.INVALID)
    assert rows(ask, "images", "list") == []


def test_assignments(ask, image):
    ask("upload", image("1.1.0"), "--name", "app")
    assert "No device yet" in ask("devices").stdout
    said = ask("assign", "kitchen", "app", check=tool.FAILED).stderr
    assert "say with --from" in said and said.count("\n") == 1
    assert "no image" in ask("assign", "kitchen", "x", "--from", "1", check=tool.REFUSED).stderr
    said = ask("assign", "kitchen", "app", "--from", "1.0.0").stdout
    assert "kitchen has not asked yet" in said
    ask("assign", "attic", "app", "--from", "1.0.0")
    ask("assign", "--all", "app", "--from", "0.9.0")
    found = {row["id"]: row["assignment"] for row in rows(ask, "devices", "devices")}
    assert found == {name: {"from": "0.9.0", "image": "app"} for name in ("kitchen", "attic")}
    assert "--force" in ask("remove", "app", check=tool.REFUSED).stderr
    ask("unassign", "kitchen")
    ask("remove", "--device", "attic")
    assert [row["id"] for row in rows(ask, "devices", "devices")] == ["kitchen"]
    ask("remove", "app")


def test_usage(ask):
    for args in (["assign"], ["assign", "--all", "app"], ["assign", "kitchen"], ["upload"],
                 ["list", "--url", "http://x"], ["list", "--url", "https://a:b@x"]):
        ask(*args, check=tool.USAGE)
    assert "which server?" in ask("list", check=tool.USAGE, OTTER_SERVER=None).stderr


def test_credentials(ask, server, folder):
    path = os.path.join(folder, "login")
    with open(path, "w", encoding="ascii") as file:
        file.write(ADMIN + "\n")
    ask("list", "--login", path, OTTER_LOGIN="wrong:wrong")
    ask("list", OTTER_LOGIN=None, US_AUTH_USERNAME=otterd.USER, US_AUTH_PASSWORD=otterd.PASSWORD)
    assert "credentials" in ask("list", check=tool.REFUSED, OTTER_LOGIN="a:b").stderr
    assert "--login" in ask("list", check=tool.REFUSED, OTTER_LOGIN=None).stderr
    device = f"{otterd.DEVICE}:{otterd.DEVICE_PASSWORD}"
    assert "administrator" in ask("list", check=tool.REFUSED, OTTER_LOGIN=device).stderr
    assert "NAME:PASSWORD" in ask("list", check=tool.FAILED, OTTER_LOGIN="secret").stderr
    for said in (ask("list", check=tool.FAILED, OTTER_LOGIN="secret").stderr, server.text()):
        assert otterd.PASSWORD not in said and "secret" not in said


def test_no_connection(ask, server):
    assert "--cacert" in ask("list", check=LINK_FAILED, OTTER_CACERT=None).stderr
    ask("list", "--url", "https://localhost:1", check=LINK_FAILED)
    ask("list", "--cacert", server.data + "/devices.db", check=tool.FAILED)


def test_pages(ask, server):
    """More devices than fit in one answer."""
    client = server.http()
    for i in range(1203):
        body = f'"device-{i:04}","1.0.0",""'
        status, _, _ = server.ask("PUT", f"/devices/device-{i:04}", body, client=client)
        assert status == 200
    client.close()
    found = [row["id"] for row in rows(ask, "devices", "devices")]
    assert found == [f"device-{i:04}" for i in range(1203)]


@pytest.fixture(name="false")
def make_rogue():
    server = rogue.Rogue(rogue.Site.get().good)
    yield server
    server.close()


def environment(server):
    return {**os.environ, "OTTER_SERVER": server.url, "OTTER_CACERT": rogue.Site.get().ca.cert,
            "OTTER_LOGIN": ADMIN}


def test_a_list_that_does_not_go_on_is_given_up(false):
    page = json.dumps({"devices": [{"id": "a"}], "next": "a"}).encode()
    false.on_file = lambda request: request.send(200, page)
    result = otter("server", "devices", env=environment(false), check=tool.FAILED)
    assert "makes no sense" in result.stderr and len(false.requests) == 2


@pytest.mark.parametrize("signals", [1, 2])
def test_watching_ends_whatever_the_server_does(false, signals):
    """With one Ctrl-C when there is always more to come, with two when no answer comes at all."""
    silence = threading.Event()
    numbers = iter(range(1000, 1_000_000_000, 1000))

    def answer(request):
        if signals == 2:
            return silence.wait(lab.PATIENCE)
        more = [{"id": f"device-{i}"} for i in range(1000)]
        return request.send(200, json.dumps({"devices": more, "next": next(numbers)}).encode())

    false.on_file = answer
    with subprocess.Popen([lab.OTTER, "server", "watch"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, env=environment(false)) as watch:
        try:
            false.wait(1 if signals == 2 else 3)
            watch.send_signal(signal.SIGINT)
            if signals == 2:
                with pytest.raises(subprocess.TimeoutExpired):
                    watch.wait(0.3)
                watch.send_signal(signal.SIGINT)
            assert watch.wait(20) == (0 if signals == 1 else -signal.SIGINT)
        finally:
            watch.kill()
            silence.set()


def test_story(ask, server, folder, image):
    """otterd, an image is published, the device notices, updates, confirms, the server shows it."""
    # pylint: disable=consider-using-with
    ask("upload", image("1.1.0", size=300_000), "--name", "app-1.1.0")
    watch = subprocess.Popen([lab.OTTER, "server", "watch", "--interval", "0", "--until", "1.1.0"],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             env=ask.env)
    seen = Lines(watch.stdout)
    seen.wait("Watching")
    login = f"{otterd.DEVICE}:{otterd.DEVICE_PASSWORD}"
    device = subprocess.Popen(
        [DEVICE, "--flash", folder + "/flash", "--create", "--name", "kitchen", "--fuota",
         ask.env["OTTER_SERVER"], "--cacert", ask.env["OTTER_CACERT"], "--poll", "200ms"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "OTTER_LOGIN": login})
    log = Lines(device.stdout)
    try:
        seen.wait("kitchen: runs 1.0.0")
        ask("assign", "kitchen", "app-1.1.0")
        log.wait("1.1.0 confirmed")
        assert watch.wait(lab.PATIENCE) == 0
        seen.wait("kitchen: updated, runs 1.1.0")
        assert "kitchen: runs 1.1.0 already" in ask("watch", "--until", "1.1.0").stdout
        assert "kitchen runs 1.1.0 now, and so is not offered it" in \
            ask("assign", "kitchen", "app-1.1.0", "--from", "1.0.0").stdout
        row = rows(ask, "devices", "devices")[0]
        assert row["version"] == "1.1.0" and row["last_result"]["result"] == "updated"
        shown = ask("devices").stdout
        assert "kitchen" in shown and "1.1.0" in shown and "updated" in shown
    finally:
        device.terminate()
        device.wait(lab.PATIENCE)
        watch.kill()
        watch.wait(lab.PATIENCE)
    assert login not in log.text()


def test_a_device_says_what_it_was_not_given(server, folder):
    env = {name: value for name, value in os.environ.items() if name != "OTTER_LOGIN"}
    roots = ["--cacert", os.path.join(server.etc, "ca.pem")]
    for more, words in (([], "--cacert names the CA"), (roots, "--login names the credentials")):
        command = [DEVICE, "--flash", folder + "/flash", "--create", "--name", "kitchen", "--fuota",
                   f"https://localhost:{server.port}", "--poll", "100ms", *more]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as device:
            log = Lines(device.stdout)
            log.wait(words)
            device.terminate()
            log.thread.join(lab.PATIENCE)


def test_an_image_that_was_rolled_back_is_not_pulled_again(ask, folder, image):
    ask("upload", image("1.1.0"), "--name", "bad")
    ask("upload", image("1.1.1"), "--name", "good")
    ask("assign", "kitchen", "bad", "--from", "1.0.0")
    login = f"{otterd.DEVICE}:{otterd.DEVICE_PASSWORD}"
    command = [DEVICE, "--flash", folder + "/flash", "--create", "--name", "kitchen", "--fuota",
               ask.env["OTTER_SERVER"], "--cacert", ask.env["OTTER_CACERT"], "--poll", "100ms"]
    env = {**os.environ, "OTTER_LOGIN": login}
    with subprocess.Popen([*command, "--self-test", "fail"], stdout=subprocess.PIPE, text=True,
                          env=env) as device:
        log = Lines(device.stdout)
        log.wait("no update", log.wait("rolling back"))
        device.terminate()
        log.thread.join(lab.PATIENCE)
    assert log.text().count("update: begins") == 1
    assert rows(ask, "devices", "devices")[0]["last_result"]["result"] == "rolled-back"
    ask("assign", "kitchen", "good", "--from", "1.0.0")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as device:
        log = Lines(device.stdout)
        log.wait("1.1.1 confirmed")
        device.terminate()
        log.thread.join(lab.PATIENCE)
