# SPDX-License-Identifier: Apache-2.0
"""ESP-Hosted, black box: otter against otter-device on a pseudo-terminal or a Unix socket, the
step-by-step commands, the C example and the Python module."""
import fcntl
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading

import pytest

import lab
from lab import BUILD, DEVICE, OTTER, PATIENCE, Lines, Update, otter, update

os.environ["no_proxy"] = "127.0.0.1"
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIBRARY = os.path.join(BUILD, "packaging", "libotter.so.0")
QUICK = ["--answer-timeout", "1", "--begin-timeout", "1"]


class HostedDevice(lab.Device):
    """A virtual device on an ESP-Hosted line. kind: "pty" or "unix"."""

    def __init__(self, folder, *args, kind="pty", flash=None, delay=20, **more):
        self.kind, self.delay, self.ready_flash = kind, delay, flash
        super().__init__(folder, *args, **more)

    def start(self, *args, ready=True):
        self.flash = self.ready_flash or self.flash
        self.line = ("unix:" if self.kind == "unix" else "") + self.socket
        self.target = "hosted:" + self.line
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(
            [DEVICE, "--flash", self.flash, "--create", "--app-version", self.version, "--hosted",
             self.line, "--restart-delay", str(self.delay), *map(str, args)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.log = Lines(self.process.stdout)
        if ready:
            self.log.wait("ready: hosted:")


@pytest.fixture(name="device")
def make_device(folder):
    made = []

    def make(*args, **more):
        made.append(HostedDevice(folder, *args, **more))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def digest_number(image):
    """The fifth number of the version: which image it is."""
    with open(image, "rb") as file:
        return str(int.from_bytes(file.read()[-32:-28], "big"))


@pytest.mark.parametrize("kind", ["pty", "unix"])
def test_update(device, image, kind):
    d, new = device(kind=kind), image("1.1.0", size=300_001)
    result = update(d.target, new)
    assert result["exit_code"] == 0 and result["message"] == "updated; the device is back"
    assert result["old_version"].startswith("1.0.0.0.")
    assert result["new_version"] == "1.1.0.0." + digest_number(new)
    assert d.runs("1.1.0") and d.holds(new)


def test_a_line_has_one_user(device, image):
    d = device()
    line = os.open(d.socket, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(line, fcntl.LOCK_EX)
    result = update(d.target, image("1.1.0"))
    os.close(line)
    assert result["exit_code"] == 5 and "another program" in result["message"]
    assert update(d.target + "?baud=921600", image("1.1.0"))["exit_code"] == 0


@pytest.mark.parametrize("kind", ["pty", "unix"])
def test_a_second_device_takes_nothing_from_the_first(device, kind):
    """Neither on the same flash nor, where that can be told, on the same line."""
    first = device(kind=kind)
    again = device(kind=kind, flash=first.flash, ready=False)
    again.log.wait("in use by another program")
    assert again.process.wait(PATIENCE) == 1
    otter("hosted", "version", first.target, check=0)
    if kind == "unix":
        other = device(kind=kind, flash=first.flash + ".other", ready=False)
        other.log.wait("Address already in use")
        assert other.process.wait(PATIENCE) == 1
        otter("hosted", "version", first.target, check=0)


def test_a_device_replaces_only_links_to_terminals(device, folder):
    file = pathlib.Path(folder, "file")
    file.write_text("mine")
    link = pathlib.Path(folder, "kitchen")
    link.symlink_to(file)
    one = device(ready=False)
    one.log.wait("File exists")
    assert one.process.wait(PATIENCE) == 1 and os.readlink(link) == str(file)
    # one that a killed device has left is taken over; on leaving each removes its own only
    link.unlink()
    one = device()
    one.process.kill()
    one.process.wait(PATIENCE)
    one = device()
    otter("hosted", "version", one.target, check=0)
    link.unlink()
    link.symlink_to("/dev/pts/4000")  # not the device's own, whichever that is
    one.process.terminate()
    assert one.process.wait(PATIENCE) == 0 and os.readlink(link) == "/dev/pts/4000"


def test_update_from_standard_input(device, image):
    d, new = device(), image("1.1.0")
    with open(new, "rb") as file:
        result = subprocess.run([OTTER, "update", d.target, "-"], stdin=file, check=False,
                                capture_output=True, timeout=PATIENCE)
    assert result.returncode == 0, result
    assert d.holds(new)


def test_many_updates_in_a_row(device, image):
    d = device()
    for version in ("1.1.0", "1.2.0", "1.2.1", "0.9.0"):
        new = image(version)
        assert update(d.target, new)["exit_code"] == 0
    assert d.holds(new)


def test_the_commands_one_by_one(device, image):
    d, new = device(delay=5000), image("1.1.0")
    said = otter("hosted", "version", d.line, check=0).stdout
    assert re.fullmatch(r"demo 1\.0\.0\.0\.\d+\n", said)
    shown = json.loads(otter("hosted", "version", "--json", d.target, check=0).stdout)
    assert shown == {"schema": "otter.hosted/1", "name": "demo", "version": said.split()[1]}
    assert "not possible in this state" in otter("hosted", "ota-end", d.line, check=4).stderr
    otter("hosted", "ota-begin", d.line, check=0)
    otter("hosted", "ota-write", d.line, new, check=0)
    otter("hosted", "ota-end", d.line, check=0)
    refused = otter("hosted", "ota-begin", "--json", d.line, check=4)
    assert json.loads(refused.stdout)["code"] < 0
    assert d.holds(new)


def test_a_bad_image_is_told_before_end(device, image, folder):
    d, new = device(), image("1.1.0")
    with open(new, "rb") as file:
        data = bytearray(file.read())
    data[-1] ^= 1
    bad = f"{folder}/bad.bin"
    with open(bad, "wb") as file:
        file.write(data)
    result = update(d.target, bad)
    assert result["exit_code"] == 3 and "SHA-256" in result["message"]
    with open(bad, "wb") as file:
        file.write(data[:-4000])
    assert update(d.target, bad)["exit_code"] == 3
    with open(bad, "wb") as file:
        file.write(b"<html>" * 100)
    assert "nothing was sent" in update(d.target, bad)["message"]
    assert "boots next" not in d.log.text()
    assert update(d.target, new)["exit_code"] == 0
    assert d.holds(new)


def test_the_device_refuses(device, image):
    d = device()
    result = update(d.target, image("1.1.0", chip="esp32s3"))
    assert result["exit_code"] == 4 and "another chip" in result["message"]
    result = update(d.target, image("1.1.0", project="other"))
    assert result["exit_code"] == 4
    assert d.runs("1.0.0")


def test_an_update_that_rolls_back(device, image):
    d = device("--self-test", "fail")
    result = update(d.target, image("1.1.0"))
    assert result["exit_code"] == 6 and "rolled back" in result["message"]
    assert d.runs("1.0.0")


def test_a_roll_back_to_the_same_version_text(device, image):
    d = device("--self-test", "fail")
    result = update(d.target, image("1.0.0", seed=99))
    assert result["exit_code"] == 6 and "rolled back" in result["message"]


def test_W04_host_is_killed_in_the_middle(device, image):
    d, new = device("--silence", "300", "--flash-speed", "real"), image("1.1.0", size=400_000)
    job = Update(d.target, new)
    job.wait_percent(5)
    job.signal(signal.SIGKILL)
    d.log.wait("update: ended, given up by the sender")
    assert update(d.target, new)["exit_code"] == 0
    assert d.holds(new)


def test_ctrl_c_ends_cleanly(device, image):
    d, new = device("--flash-speed", "real"), image("1.1.0", size=1_000_000)
    job = Update(d.target, new)
    job.wait_percent(1)
    job.signal(signal.SIGINT)
    result = job.end()
    assert result["exit_code"] == 1 and "cancelled" in result["message"]
    assert d.runs("1.0.0")


def test_one_update_at_a_time_on_all_transports(device, image, folder):
    d, new = device("--att", f"{folder}/att", delay=1), image("1.1.0")
    otter("hosted", "ota-begin", d.line, check=0)
    assert update("att:" + f"{folder}/att", new)["exit_code"] == 4
    assert update(d.target, new)["exit_code"] == 0
    assert d.holds(new)


def big_flash(folder, image):
    """8 MB with two slots of 3 MB."""
    table = f"{folder}/table.csv"
    with open(table, "w", encoding="ascii") as file:
        file.write("otadata,data,ota,0xd000,0x2000\nota_0,app,ota_0,0x10000,3M\n"
                   "ota_1,app,ota_1,0x310000,3M\n")
    path = f"{folder}/big.flash"
    otter("flash", "create", "-p", table, "--size", "8M", "-i", image, "-o", path, check=0)
    return path


def test_an_image_of_2_mb(device, image, folder):
    old, new = image("1.0.0"), image("1.1.0", size=2 << 20)
    d = device(flash=big_flash(folder, old))
    assert update(d.target, new)["exit_code"] == 0
    assert d.holds(new)


# The length is not on the wire, so it is the image's own segment headers that say it: the first one
# of an image far too large, one of the last where it is a few bytes.
@pytest.mark.parametrize("size, sent", [(15 << 20, 0), ((3 << 20) + 16, 3 << 20)])
def test_an_image_beyond_the_slot_is_refused_where_it_says_so(device, image, folder, size, sent):
    old, new = image("1.0.0"), image("1.1.0", size=size)
    d = device(flash=big_flash(folder, old))
    result = update(d.target, new)
    assert result["exit_code"] == 4 and "does not fit" in result["message"]
    assert result["sent"] <= sent
    assert d.runs("1.0.0")


# --- devices that do not behave -------------------------------------------------------------------


class FakeDevice:
    """A socket that answers each read with the next of some bytes, the last for ever."""

    def __init__(self, folder, *answers):
        self.path = f"{folder}/fake"
        self.answers = list(answers)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.target = f"hosted:unix:{self.path}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        line, _ = self.listener.accept()
        with line:
            while line.recv(65536):
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if answer is None:
                    return
                line.sendall(answer)


@pytest.mark.parametrize("answer, sentence", [
    (b"", "not a byte came back"),
    (b"login: ", "bytes came back that are not ESP-Hosted"),
    (b"\x01\x08\x00ctrlResp\x02\xff\xff" + b"A" * 70000, "not ESP-Hosted"),
    (None, "the line to the device is lost"),
], ids=["nothing", "text", "endless", "gone"])
def test_a_device_that_answers_nothing_or_garbage(folder, image, answer, sentence):
    fake = FakeDevice(folder, answer)
    result = update(*QUICK, fake.target, image("1.1.0"))
    assert result["exit_code"] == 5
    assert sentence in result["message"]


@pytest.mark.parametrize("address, code", [
    ("hosted:", 2), ("hosted:/dev/ttyUSB0?baud=1", 2), ("hosted:/dev/ttyUSB0?speed=9600", 2),
    ("hosted:/nowhere/esps0", 5), ("hosted:unix:/nowhere", 5), ("hosted:/etc/hostname", 5),
    ("hosted:/dev/null?baud=9600", 5),
])
def test_addresses(image, address, code):
    result = update(address, image("1.1.0"))
    assert result["exit_code"] == code and result["message"]


# --- programs of others ---------------------------------------------------------------------------


def test_the_example_in_c(device, image):
    d, new = device(), image("1.1.0")
    program = os.path.join(BUILD, "examples/host/hosted_update")
    done = subprocess.run([program, d.line, new], check=False, timeout=PATIENCE,
                          capture_output=True, text=True)
    assert done.returncode == 0, done
    d.log.wait("1.1.0 confirmed")
    assert d.holds(new)


def python(*args):
    """Runs a Python program with the module."""
    env = {**os.environ, "OTTER_LIBRARY": LIBRARY, "PYTHONPATH": f"{ROOT}/python"}
    with open(LIBRARY, "rb") as file:
        library = file.read()
    if b"__asan_init" in library:
        # The sanitizers' run time must be there before Python is; Python's leaks are not ours.
        compiler, name = ("gcc", "libasan.so") if b"libasan.so" in library else \
            ("clang", "libclang_rt.asan-x86_64.so")
        env["LD_PRELOAD"] = subprocess.run(
            [compiler, "-print-file-name=" + name], check=True, capture_output=True,
            text=True).stdout.strip()
        env["ASAN_OPTIONS"] = "detect_leaks=0"
    return subprocess.run([sys.executable, *args], env=env, check=False, timeout=PATIENCE,
                          capture_output=True, text=True)


def test_python_commands(device, image):
    d, new = device(), image("1.1.0")
    done = python(f"{ROOT}/python/examples/ota_commands.py", new, d.line)
    assert done.returncode == 0, done
    d.log.wait("1.1.0 confirmed")
    assert d.holds(new)


def test_python_from_a_url(device, image, folder):
    d, new = device(), image("1.1.0")
    server = subprocess.Popen(  # pylint: disable=consider-using-with
        [sys.executable, "-u", "-m", "http.server", "-b", "127.0.0.1", "-d", folder, "0"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        port = server.stdout.readline().split(" port ")[1].split()[0]
        url = f"http://127.0.0.1:{port}/{os.path.basename(new)}"
        done = python(f"{ROOT}/python/examples/ota_update.py", url, d.line)
        wrong = python(f"{ROOT}/python/examples/ota_update.py", url + "x", d.line)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    assert done.returncode == 0, done
    assert wrong.returncode == 1 and "404" in wrong.stderr
    d.log.wait("1.1.0 confirmed")
    assert d.holds(new)


def test_python_errors(device):
    d = device()
    done = python("-c", f"""
import otter
seen = []
device = otter.Hosted({d.line!r}, on_event=lambda number, data: seen.append(number))
assert device.version()[:5] == ("demo", 1, 0, 0, 0)
try:
    device.end()
except otter.Refused as error:
    assert error.resp == -3 and "refused" in str(error)
device.begin()
try:
    device.write(b"not an image" * 100)
except otter.HostedError as error:
    print(error)
device.close()
try:
    otter.Hosted("/nowhere")
except otter.HostedError as error:
    print(error)
""")
    assert done.returncode == 0, done
    assert "refused to write" in done.stdout and "/nowhere" in done.stdout
