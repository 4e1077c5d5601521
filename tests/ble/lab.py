# SPDX-License-Identifier: Apache-2.0
"""In the guest: the Bluetooth stack with emulated controllers (air.c), and the programs under
test."""
import json
import os
import re
import signal
import subprocess
import time

BUILD = os.environ.get("OTTER_BUILD", "build")
CENTRAL, DEVICE, OTHER = "hci0", "hci1", "hci2"
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
    """The kernel's Bluetooth, three controllers, dbus-daemon, bluetoothd, btmon."""

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
        self.air = subprocess.Popen([f"{BUILD}/tests/ble/air", "3"])

    def trace(self):
        self.monitor = subprocess.Popen(["btmon", "-w", "/out/btmon.snoop"],
                                        stdout=subprocess.DEVNULL)

    def start(self, mtu=517):
        with open("/etc/bluetooth/main.conf", "w", encoding="ascii") as file:
            file.write(CONFIG % mtu)
        with open("/out/bluetoothd.log", "ab") as log:
            self.daemon = subprocess.Popen(["/usr/libexec/bluetooth/bluetoothd", "-n",
                                            "--noplugin=" + PLUGINS], stdout=log, stderr=log)
        for adapter in (CENTRAL, DEVICE, OTHER):
            power = ("dbus-send", "--system", "--print-reply", "--dest=org.bluez",
                     "/org/bluez/" + adapter, "org.freedesktop.DBus.Properties.Set",
                     "string:org.bluez.Adapter1", "string:Powered", "variant:boolean:true")
            until(adapter, lambda: not call(*power, check=False).startswith("Error"))

    def stop(self):
        self.daemon.terminate()
        self.daemon.wait()


def disconnect(adapter=CENTRAL):
    call("dbus-send", "--system", "--print-reply", "--dest=org.bluez",
         f"/org/bluez/{adapter}/dev_{ADDRESS.replace(':', '_')}", "org.bluez.Device1.Disconnect")


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
        self.process = subprocess.Popen(
            [f"{BUILD}/cli/otter", "update", f"ble:{adapter}/{ADDRESS}", image, "--json", *options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def read(self):
        """The next event, or None."""
        line = self.process.stdout.readline()
        if not line:
            return None
        event = json.loads(line)
        self.events.append(event)
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
