# SPDX-License-Identifier: Apache-2.0
"""In the guest: the Bluetooth stack with emulated controllers, and the programs under test.

btvirt gives every connection the same handle: a controller can have one at a time, and a second
central (B09) makes the kernel fall over."""
import glob
import json
import os
import re
import signal
import subprocess
import threading
import time

BUILD = os.environ.get("OTTER_BUILD", "build")
CENTRAL, DEVICE = "hci0", "hci1"
ADDRESS = "00:AA:01:01:00:01"  # of DEVICE
CONFIG = """[General]
ControllerMode = le
Name = lab
[GATT]
Cache = always
ExchangeMTU = %d
Channels = 1
"""
PLUGINS = ("a2dp,avrcp,sap,hog,input,network,midi,wiimote,sixaxis,neard,policy,autopair,vcp,mcp,bap,"
           "battery")


def now():
    return time.monotonic()


def until(what, condition, limit=30.0, step=0.02):
    """Waits for a state that nothing tells of."""
    end = now() + limit
    while not condition():
        if now() > end:
            raise AssertionError(f"{what}: not within {limit:.0f} s")
        time.sleep(step)


def call(*command, check=True):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {done.stdout}")
    return done.stdout


class Stack:
    """The kernel's Bluetooth, dbus-daemon, btvirt with two controllers, bluetoothd, btmon."""

    def __init__(self):
        call("modprobe", "-a", "hci_vhci", "cmac", "algif_hash", "algif_skcipher", "ecb", "uhid")
        # The emulated link has no air time: without room a fast sender loses frames.
        for name in ("rmem_max", "wmem_max", "rmem_default", "wmem_default"):
            with open("/proc/sys/net/core/" + name, "w", encoding="ascii") as file:
                file.write("16777216")
        call("busybox", "ip", "link", "set", "lo", "up")
        os.makedirs("/run/dbus", exist_ok=True)
        call("dbus-daemon", "--system", "--fork", "--nopidfile")
        self.monitor = None
        self.daemon = None
        self.controllers()

    def controllers(self):
        """Bringing up an emulated controller fails now and then."""
        for _ in range(5):
            with open("/out/btvirt.log", "ab") as log:
                emulator = subprocess.Popen(["btvirt", "-L", "-l2"], stdout=log, stderr=log)
            try:
                until("controllers", lambda: len(glob.glob("/sys/class/bluetooth/hci*")) == 2 and
                      call("hciconfig").count("BD Address: 00:AA") == 2, 5, 0.05)
                return
            except AssertionError:
                emulator.kill()
                emulator.wait()
        raise AssertionError("no emulated controllers")

    def trace(self):
        self.monitor = subprocess.Popen(["btmon", "-w", "/out/btmon.snoop"],
                                        stdout=subprocess.DEVNULL)

    def start(self, mtu=517):
        with open("/etc/bluetooth/main.conf", "w", encoding="ascii") as file:
            file.write(CONFIG % mtu)
        with open("/out/bluetoothd.log", "ab") as log:
            self.daemon = subprocess.Popen(["/usr/libexec/bluetooth/bluetoothd", "-n",
                                            "--noplugin=" + PLUGINS], stdout=log, stderr=log)
        until("bluetoothd", lambda: DEVICE in call(
            "dbus-send", "--system", "--print-reply", "--dest=org.bluez", "/",
            "org.freedesktop.DBus.ObjectManager.GetManagedObjects", check=False))
        for adapter in (CENTRAL, DEVICE):
            call("dbus-send", "--system", "--print-reply", "--dest=org.bluez",
                 "/org/bluez/" + adapter, "org.freedesktop.DBus.Properties.Set",
                 "string:org.bluez.Adapter1", "string:Powered", "variant:boolean:true")

    def stop(self):
        self.daemon.terminate()
        self.daemon.wait()


def disconnect(adapter=CENTRAL):
    call("dbus-send", "--system", "--print-reply", "--dest=org.bluez",
         f"/org/bluez/{adapter}/dev_{ADDRESS.replace(':', '_')}", "org.bluez.Device1.Disconnect")


class Kicker:
    """btvirt tells of an advertisement only when advertising begins: has it begin again and again,
    as often as a real device would be heard."""

    def __enter__(self):
        self.enough = threading.Event()
        self.thread = threading.Thread(target=self.work)
        self.thread.start()
        return self

    def work(self):
        while not self.enough.wait(0.5):
            for on in ("00", "01"):
                call("hcitool", "-i", DEVICE, "cmd", "0x08", "0x000a", on, check=False)

    def __exit__(self, *_):
        self.enough.set()
        self.thread.join()


class Device:
    """otter-device on DEVICE."""

    def __init__(self, name, *options):
        self.flash = f"/tmp/{name}.bin"
        self.log = f"/out/{name}.log"
        ready, ours = os.pipe()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [f"{BUILD}/device/otter-device", "--flash", self.flash, "--create", "--name", name,
                 "--ble", DEVICE, "--ready-fd", str(ours), *options],
                pass_fds=[ours], stdout=log, stderr=log)
        os.close(ours)
        self.ready = os.fdopen(ready, "rb", 0)
        if not self.ready.readline():
            raise AssertionError("the device does not start: " + self.text())

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(30) != 0:
            raise AssertionError("the device: " + self.text())
        self.ready.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()


class Update:
    """otter update, and what it says."""

    def __init__(self, image, *options, adapter=CENTRAL):
        self.events = []
        self.kicker = Kicker().__enter__()
        self.process = subprocess.Popen(
            [f"{BUILD}/cli/otter", "update", f"ble:{adapter}/{ADDRESS}", image, "--json", *options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def read(self):
        """The next event, or None."""
        line = self.process.stdout.readline()
        if not line:
            self.kicker.__exit__()
            return None
        event = json.loads(line)
        self.events.append(event)
        if event.get("event") == "device":
            self.kicker.__exit__()
        return event

    def reach(self, percent):
        """Goes on until this much is sent."""
        while (event := self.read()) is not None:
            if event.get("event") == "progress" and event["done"] * 100 >= event["total"] * percent:
                return
        raise AssertionError(f"it ended before: {self.events[-1:]}")

    def end(self):
        """The exit code and the last event."""
        while self.read() is not None:
            pass
        return self.process.wait(), self.events[-1] if self.events else {}


def update(image, *options, **more):
    return Update(image, *options, **more).end()


def image(version, size):
    path = f"/tmp/{version}-{size}.img"
    if not os.path.exists(path):
        call(f"{BUILD}/cli/otter", "image", "create", "--version", version, "--size", size,
             "--seed", str(len(version) + int(re.sub(r"\D", "", version))), "-o", path)
    return path
