# SPDX-License-Identifier: Apache-2.0
"""In the guest: the Bluetooth stack with emulated controllers (air.c), and the programs under
test."""
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

BUILD = os.environ.get("OTTER_BUILD", "build")
FIRMWARE = os.environ.get("OTTER_FIRMWARE", "")
CENTRAL, DEVICE, OTHER = "hci0", "hci1", "hci2"
ADDRESS = "00:AA:01:01:00:01"  # of DEVICE
CONFIG = """[General]
ControllerMode = le
Name = lab
[GATT]
Cache = always
ExchangeMTU = 517
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

    def start(self):
        with open("/etc/bluetooth/main.conf", "w", encoding="ascii") as file:
            file.write(CONFIG)
        with open("/out/bluetoothd.log", "ab") as log:
            self.daemon = subprocess.Popen(["/usr/libexec/bluetooth/bluetoothd", "-n",
                                            "--noplugin=" + PLUGINS], stdout=log, stderr=log)
        for adapter in (CENTRAL, DEVICE, OTHER):
            power = ("dbus-send", "--system", "--print-reply", "--dest=org.bluez",
                     "/org/bluez/" + adapter, "org.freedesktop.DBus.Properties.Set",
                     "string:org.bluez.Adapter1", "string:Powered", "variant:boolean:true")
            until(adapter, lambda: not call(*power, check=False).startswith("Error"))

    def restart(self):
        """bluetoothd anew, and with nothing known from before."""
        if self.daemon is not None:
            self.daemon.terminate()
            self.daemon.wait()
        for entry in os.scandir("/var/lib/bluetooth"):
            shutil.rmtree(entry.path)
        self.start()

    def alive(self):
        return self.daemon.poll() is None


    def out_of_range(self):
        """Every link is lost, as when a device goes out of range."""
        self.air.send_signal(signal.SIGUSR1)

    def toggle_mtu(self):
        """From now on both ends believe the other has an MTU of 23, or no longer so. bluetoothd
        itself does not start with less than 48."""
        self.air.send_signal(signal.SIGUSR2)


def disconnect(adapter=CENTRAL):
    call("dbus-send", "--system", "--print-reply", "--dest=org.bluez",
         f"/org/bluez/{adapter}/dev_{ADDRESS.replace(':', '_')}", "org.bluez.Device1.Disconnect")


def advertise():
    """A controller stops once it is connected; a peripheral for several goes on."""
    call("hcitool", "-i", DEVICE, "cmd", "0x08", "0x000a", "01")


class Device:
    """otter-device on DEVICE."""

    def __init__(self, name, *options, flash=None, new=False):
        self.flash = flash or f"/tmp/{name}.bin"
        self.log = f"/out/{name}.log"
        if new and os.path.exists(self.flash):
            os.unlink(self.flash)
        ready, ours = os.pipe()
        with open(self.log, "ab") as log:
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

    def wait(self, words):
        until(f"{words!r} from the device", lambda: words in self.text())

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.ready.close()

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


class Stranger:
    """A central on OTHER that speaks ATT by itself, and pairs with nobody."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_BLUETOOTH, socket.SOCK_SEQPACKET,
                                    socket.BTPROTO_L2CAP)
        libc = ctypes.CDLL(None, use_errno=True)
        for function, address in (libc.bind, "00:AA:01:01:00:02"), (libc.connect, ADDRESS):
            # struct sockaddr_l2: family, psm, address, channel (4: ATT), type (1: LE public)
            to = struct.pack("<HH6sHBx", socket.AF_BLUETOOTH, 0,
                             bytes.fromhex(address.replace(":", ""))[::-1], 4, 1)
            if function(self.socket.fileno(), to, len(to)) != 0:
                raise OSError(ctypes.get_errno(), f"L2CAP {address}")
        self.socket.settimeout(30)

    def ask(self, pdu):
        self.socket.send(pdu)
        while True:
            answer = self.socket.recv(600)
            if answer[0] & 1 and answer[0] not in (0x1B, 0x1D, 0x23):
                return answer
            if not answer[0] & 1:  # a request of bluetoothd's: not known here
                self.socket.send(bytes((1, answer[0], 0, 0, 6)))

    def handle(self, uuid):
        """Of a characteristic's value."""
        start = 1
        while (answer := self.ask(struct.pack("<BHHH", 8, start, 0xFFFF, 0x2803)))[0] == 9:
            for i in range(2, len(answer), answer[1]):
                start, value = struct.unpack_from("<HxH", answer, i)
                if answer[1] == 7 and struct.unpack_from("<H", answer, i + 5)[0] == uuid:
                    return value
            start += 1
        raise AssertionError(f"no characteristic {uuid:04x}")

    def write(self, handle, value, request):
        """The ATT error, or 0; None for a command."""
        pdu = struct.pack("<BH", 0x12 if request else 0x52, handle) + value
        if not request:
            self.socket.send(pdu)
            return None
        answer = self.ask(pdu)
        return 0 if answer[0] == 0x13 else answer[4]

    def subscribe(self, handle):
        """To a characteristic's value: its CCCD comes right behind. The ATT error, or 0."""
        return self.write(handle + 1, b"\x01\x00", True)

    def alive(self):
        """An answer behind whatever was sent before it."""
        return self.ask(struct.pack("<BH", 0x0A, 1)) is not None

    def close(self):
        self.socket.close()
