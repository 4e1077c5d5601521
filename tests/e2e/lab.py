# SPDX-License-Identifier: Apache-2.0
"""Runs the real programs: virtual devices, and the tool against them. Nothing here sleeps: a test
waits for a line, an exit or an event."""
import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time

BUILD = os.path.abspath(os.environ.get(
    "OTTER_BUILD", os.path.join(os.path.dirname(__file__), "../../build")))
OTTER = os.path.join(BUILD, "cli/otter")
DEVICE = os.path.join(BUILD, "device/otter-device")
PATIENCE = 60  # seconds before a wait is given up: two busy cores, sanitizers


def otter(*args, check=None, **more):
    """Runs the tool to its end. check: the exit code it must have."""
    result = subprocess.run([OTTER, *map(str, args)], capture_output=True, text=True,
                            timeout=PATIENCE * 2, stdin=subprocess.DEVNULL, check=False, **more)
    if check is not None:
        assert result.returncode == check, (args, result.returncode, result.stdout, result.stderr)
    return result


def make_image(path, version, project="demo", chip="esp32", size=100_000, seed=None):
    seed = seed if seed is not None else sum(map(ord, version)) + size
    otter("image", "create", "--project", project, "--version", version, "--chip", chip,
          "--size", size, "--seed", seed, "-o", path, check=0)
    return path


class Lines:
    """What a program prints, line by line, to be waited for."""

    def __init__(self, stream):
        self.lines = []
        self.ended = False
        self.turn = threading.Condition()
        self.thread = threading.Thread(target=self.read, args=(stream,), daemon=True)
        self.thread.start()

    def read(self, stream):
        for line in stream:
            with self.turn:
                self.lines.append(line.rstrip("\n"))
                self.turn.notify_all()
        with self.turn:
            self.ended = True
            self.turn.notify_all()

    def wait(self, pattern, start=0):
        """The index of the first line from start on that matches."""
        deadline = time.monotonic() + PATIENCE
        with self.turn:
            while True:
                for i in range(start, len(self.lines)):
                    if re.search(pattern, self.lines[i]):
                        return i
                left = deadline - time.monotonic()
                if self.ended or left <= 0:
                    raise AssertionError(f"no line like {pattern!r} in:\n" + "\n".join(self.lines))
                self.turn.wait(left)

    def text(self):
        with self.turn:
            return "\n".join(self.lines)


class Device:
    """A virtual device, ready to be updated."""

    def __init__(self, folder, *args, name="kitchen", version="1.0.0", ready=True):
        self.folder = str(folder)
        self.name = name
        self.version = version
        self.flash = os.path.join(self.folder, name + ".flash")
        self.socket = os.path.join(self.folder, name)
        self.target = "att:" + self.socket
        self.process = None
        self.start(*args, ready=ready)

    def start(self, *args, ready=True):
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(
            [DEVICE, "--flash", self.flash, "--create", "--app-version", self.version, "--att",
             self.socket, "--restart-delay", "20", *map(str, args)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.log = Lines(self.process.stdout)
        if ready:
            self.log.wait("ready: att:")

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)

    def stop(self):
        """Ends it in order; returns its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(PATIENCE)
        self.log.thread.join(PATIENCE)
        return self.process.returncode

    def flash_info(self):
        self.stop()
        return json.loads(otter("flash", "info", "--json", self.flash, check=0).stdout)

    def runs(self, version):
        """True when what boots is this version, whole and verified. The device is stopped."""
        info = self.flash_info()
        booting = [s for s in info["slots"] if s["slot"] == info["boot"]["slot"]]
        return bool(booting) and booting[0]["image"]["valid"] and \
            booting[0]["image"]["version"] == version

    def holds(self, image):
        """True when what boots is this file, byte for byte."""
        info = self.flash_info()
        slot = next(s for s in info["slots"] if s["slot"] == info["boot"]["slot"])
        with open(image, "rb") as file:
            wanted = file.read()
        with open(self.flash, "rb") as file:
            file.seek(slot["offset"])
            return file.read(len(wanted)) == wanted


class Update:
    """`otter update --json` while it runs."""

    def __init__(self, *args):
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen([OTTER, "update", "--json", *map(str, args)],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        stdin=subprocess.DEVNULL, text=True)
        self.log = Lines(self.process.stdout)

    def wait_percent(self, percent):
        """Until at least this much has been sent."""
        index = -1
        while True:
            index = self.log.wait('"event":"progress"', index + 1)
            if json.loads(self.log.lines[index])["percent"] >= percent:
                return

    def signal(self, number):
        self.process.send_signal(number)

    @contextlib.contextmanager
    def paused(self):
        """Stands still in the middle, however fast or slow this machine is."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def end(self):
        """The result event; its exit code is the program's."""
        self.process.wait(PATIENCE * 2)
        self.log.thread.join(PATIENCE)
        result = json.loads(self.log.lines[-1])
        assert result["event"] == "result"
        assert result["exit_code"] == self.process.returncode
        return result


def update(*args):
    return Update(*args).end()
