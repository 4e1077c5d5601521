# SPDX-License-Identifier: Apache-2.0
"""Bluetooth as far as it can be tested without the kernel's part: the tool over a private system
bus, against a stand-in for bluetoothd (fake_bluez.c) that passes GATT on to virtual devices. What
the real bluetoothd does with it is shown by tests/ble."""
import json
import os
import pty
import shutil
import signal
import subprocess

import pytest

from lab import BUILD, OTTER, PATIENCE, Lines, otter

FAKE = os.path.join(BUILD, "tests/e2e/fake-bluez")
ADDRESS = "24:6F:28:12:34:56"
OTHER = "24:6F:28:12:34:57"
CONFIG = """<busconfig><type>system</type><listen>unix:path=%s</listen>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/>%s
</policy></busconfig>"""
DENY = '<deny send_destination="org.bluez"/>'

if shutil.which("dbus-daemon") is None:
    pytest.skip("there is no dbus-daemon here", allow_module_level=True)


class Bluez:
    """A private system bus with the stand-in on it."""

    def __init__(self, folder):
        self.folder = folder
        self.env = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={folder}/bus",
                    "TERM": "xterm", "XDG_RUNTIME_DIR": folder}
        self.started = []
        self.log = None

    def bus(self, policy=""):
        with open(f"{self.folder}/bus.conf", "w", encoding="ascii") as file:
            file.write(CONFIG % (f"{self.folder}/bus", policy))
        self.run(["dbus-daemon", f"--config-file={self.folder}/bus.conf", "--nofork",
                  "--print-address"]).wait("unix:")

    def run(self, command):
        # pylint: disable=consider-using-with
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True, env=self.env)
        self.started.append(process)
        return Lines(process.stdout)

    def start(self, *options, policy=""):
        self.bus(policy)
        self.log = self.run([FAKE, *options])
        self.log.wait("^ready$")
        return self

    def otter(self, *args, check=None):
        return otter(*args, check=check, env=self.env)

    def update(self, *args, check=0):
        result = self.otter("update", "--json", *args)
        last = json.loads(result.stdout.splitlines()[-1])
        assert result.returncode == check, last
        return last

    def stop(self):
        for process in reversed(self.started):
            process.kill()
            process.wait(PATIENCE)


@pytest.fixture(name="bluez")
def make_bluez(folder):
    one = Bluez(folder)
    yield one
    one.stop()


def entry(device, address=ADDRESS, name="kitchen", advertised="espble+gattota"):
    return ["--device", f"{address},{name},{device.socket},{advertised}"]


# --- updates -------------------------------------------------------------------------------------


@pytest.mark.parametrize("options, args", [
    ([], []), ([], ["--protocol", "gattota"]), ([], ["--response"]), ([], ["--calls"]),
    ([], ["--calls", "--response"]), (["--calls"], []), (["--calls"], ["--protocol", "gattota"]),
    (["--old"], []), (["--old"], ["--protocol", "gattota"]), ([], ["--mtu", "23"]),
    (["--pairing"], []), (["--write-pairing"], []), (["--write-pairing"], ["--protocol", "gattota"]), ([], ["--adapter", "hci0"]),
], ids=lambda words: " ".join(words) or "-")
def test_updates(bluez, device, image, options, args):
    d = device()
    bluez.start(*entry(d), *options)
    new = image("1.1.0", size=30_000)
    result = bluez.update(*args, "ble:" + ADDRESS, new)
    assert result["confirmed"] is True and result["new_version"] == "1.1.0"
    assert d.holds(new)
    said = bluez.log.text()
    assert ("AcquireWrite" in said) == (not {"--calls", "--response"} & {*options, *args})
    assert ("type command" in said) == ("--calls" in options + args and "--response" not in args)
    assert ("Pair " in said) == (options[:1] in (["--pairing"], ["--write-pairing"]))
    assert said.count("StartDiscovery") == said.count("StopDiscovery")


def test_indications(bluez, device, image):
    d = device("--legacy", "indicate-only")
    bluez.start(*entry(d))
    bluez.update("--protocol", "espble", "ble:" + ADDRESS, image("1.1.0", size=20_000))
    assert "StartNotify" in bluez.log.text() and "AcquireNotify" not in bluez.log.text()


def test_by_name_and_back_by_address(bluez, device, image):
    d = device()
    bluez.start(*entry(d, name="esp32"), *entry(device(name="b"), OTHER, "other"))
    new = image("1.1.0", size=20_000)
    bluez.update("ble:esp32", new)
    assert d.holds(new)
    assert "not heard" in bluez.update("ble:nowhere", new, check=5)["message"]


def test_several_of_one_name(bluez, device, image):
    bluez.start(*entry(device()), *entry(device(name="b"), OTHER))
    last = bluez.update("ble:kitchen", image("1.1.0"), check=5)
    assert ADDRESS in last["message"] and OTHER in last["message"]


def test_forget(bluez, device, image):
    bluez.start(*entry(device()))
    bluez.otter("scan", "ble", "--time", "1", check=0)  # now it is known
    start = len(bluez.log.lines)
    bluez.update("--forget", "ble:" + ADDRESS, image("1.1.0", size=20_000))
    said = bluez.log.lines[start:]
    assert said.index(next(x for x in said if x.startswith("removed"))) < \
        said.index(next(x for x in said if x.startswith("Connect")))
    assert sum(x.startswith("removed") for x in said) >= 3  # before, after the restart, at the end


def test_ctrl_c_leaves_nothing_behind(bluez, device, image):
    d = device("--link-rate", "20000")
    bluez.start(*entry(d))
    # pylint: disable=consider-using-with
    job = subprocess.Popen([OTTER, "update", "--json", "ble:" + ADDRESS, image("1.1.0")],
                           stdout=subprocess.PIPE, text=True, env=bluez.env)
    lines = Lines(job.stdout)
    lines.wait('"event":"progress"')
    job.send_signal(signal.SIGINT)
    assert job.wait(PATIENCE) == 1
    bluez.log.wait("^Disconnect ")
    bluez.otter("scan", "ble", "--time", "1", check=0)
    assert bluez.log.text().count("StartDiscovery") == bluez.log.text().count("StopDiscovery")


def test_ctrl_c_ends_a_search(bluez, device):
    bluez.start(*entry(device()))
    # pylint: disable=consider-using-with
    job = subprocess.Popen([OTTER, "scan", "ble", "--time", "600"], stdout=subprocess.PIPE,
                           text=True, env=bluez.env)
    bluez.log.wait("^StartDiscovery")
    job.send_signal(signal.SIGINT)
    assert job.wait(PATIENCE) == 0
    bluez.log.wait("^StopDiscovery")


# --- searching -----------------------------------------------------------------------------------


def scan(bluez, *args):
    found = json.loads(bluez.otter("scan", "ble", "--json", "--time", "1", *args, check=0).stdout)
    return {d["target"][4:]: d for d in found["devices"]}


def test_scan(bluez, device):
    bluez.start(*entry(device()), *entry(device(name="b"), OTHER, "lamp", "-"))
    found = scan(bluez)
    assert list(found) == [ADDRESS]
    assert found[ADDRESS]["rssi"] == -40 and found[ADDRESS]["protocols"] == ["espble", "gattota"]
    assert list(scan(bluez, "--all")) == [ADDRESS, OTHER]
    assert list(scan(bluez, "--adapter", "hci0")) == ["hci0/" + ADDRESS]
    assert "Connect " not in bluez.log.text()


def test_a_device_that_does_not_call_itself_discoverable(bluez, device, image):
    d = device()
    bluez.start(*entry(d, advertised="espble+shy"))
    assert list(scan(bluez)) == [ADDRESS]
    bluez.update("ble:kitchen", image("1.1.0", size=20_000))


def test_a_bluetoothd_without_patterns(bluez, device):
    bluez.start(*entry(device()), *entry(device(name="b"), OTHER, advertised="espble+shy"), "--old")
    assert list(scan(bluez)) == [ADDRESS]  # it tells of no other
    assert bluez.log.text().count("SetDiscoveryFilter") == 2


def test_probe(bluez, device, folder):
    silent = device("--services", "gattota", name="b")
    bluez.start(*entry(device()), *entry(silent, OTHER, "lamp", "-"),
                "--device", f"24:6F:28:12:34:58,away,{folder}/nowhere,-")
    found = scan(bluez, "--probe")
    assert list(found) == [ADDRESS, OTHER]
    assert found[OTHER]["protocols"] == ["gattota"] and found[OTHER]["version"] == "1.0.0"
    assert bluez.log.text().count("Disconnect /") >= 2


def talk(bluez, command, answers):
    main, side = pty.openpty()
    with subprocess.Popen(command, stdin=side, stdout=side, stderr=side, env=bluez.env,
                          start_new_session=True) as process:
        os.close(side)
        screen = ""
        while True:
            try:
                screen += os.read(main, 4096).decode()
            except OSError:
                break
            if answers and answers[0][0] in screen:
                os.write(main, answers.pop(0)[1].encode() + b"\n")
        os.close(main)
        return process.wait(PATIENCE), screen


def test_the_list_of_a_terminal(bluez, device, image):
    d, other = device(), device(name="b")
    bluez.start(*entry(d), *entry(other, OTHER, "lamp", "-"))
    new = image("1.1.0", size=20_000)
    code, screen = talk(bluez, [OTTER, "update"],
                        [("1 more that do not say so", "a"), ("-50 dBm", "2"), ("Firmware", new)])
    assert code == 0, screen
    assert "-40 dBm" in screen and "lamp" in screen
    assert other.holds(new)
    code, screen = talk(bluez, [OTTER, "update"], [("Which one", ADDRESS), ("Firmware", new)])
    assert code == 0 and d.holds(new), screen
    code, screen = talk(bluez, [OTTER, "scan", "ble", "--time", "1"], [])
    assert code == 0 and "-40 dBm" in screen and "\x1b[" in screen


# --- what goes wrong -----------------------------------------------------------------------------

FAILED = "org.bluez.Error.Failed="
FAULTS = {
    "no adapter": (["--adapter", "none"], "no Bluetooth adapter"),
    "adapter off": (["--adapter", "off"], "bluetoothctl power on"),
    "out of range": (["--fail", "Connect=" + FAILED + "le-connection-abort-by-local"],
                     "off, out of range, or connected to somebody else"),
    "pairing refused": (["--pairing", "--fail",
                         "Pair=org.bluez.Error.AuthenticationFailed=Authentication Failed"],
                        "pairing was refused"),
    "writing needs pairing": (["--fail", "WriteValue=org.bluez.Error.NotPermitted=Not paired"],
                              "bluetoothctl pair"),
    "writing needs pairing, refused": (
        ["--write-pairing", "--fail",
         "Pair=org.bluez.Error.AuthenticationRejected=Authentication Rejected"],
        "pairing did not succeed"),
    "another program": (["--fail", "AcquireNotify=org.bluez.Error.NotPermitted=Notify acquired"],
                        "another program on this machine"),
    "written by another program": (
        ["--fail", "AcquireWrite=org.bluez.Error.NotPermitted=Write acquired"],
        "another program on this machine"),
    "another central": (["--fail", "WriteValue=" + FAILED + "Operation failed with ATT error: 0xfe"],
                        "serving somebody else"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_in_words(bluez, device, image, fault):
    options, words = FAULTS[fault]
    bluez.start(*entry(device()), *options)
    result = bluez.otter("update", "ble:" + ADDRESS, image("1.1.0", size=20_000))
    assert result.returncode in (4, 5), result.stderr
    assert words in result.stderr, result.stderr


def test_no_daemon_and_no_permission(bluez, image):
    bluez.bus()
    result = bluez.otter("update", "ble:" + ADDRESS, image("1.1.0"), check=5)
    assert "bluetoothd) is not running" in result.stderr
    bluez.stop()
    bluez.start(policy=DENY)
    result = bluez.otter("update", "ble:" + ADDRESS, image("1.1.0"), check=5)
    assert "usermod -aG bluetooth" in result.stderr


def test_the_connection_and_the_daemon_go(bluez, device, image):
    for end in ("device", "daemon"):
        d = device("--link-rate", "20000", name=end)
        bluez.start(*entry(d))
        # pylint: disable=consider-using-with
        job = subprocess.Popen([OTTER, "update", "--json", "ble:" + ADDRESS, image("1.1.0")],
                               stdout=subprocess.PIPE, text=True, env=bluez.env)
        lines = Lines(job.stdout)
        lines.wait('"event":"progress"')
        (d.process if end == "device" else bluez.started[-1]).kill()
        assert job.wait(PATIENCE) == 5
        last = lines.lines[lines.wait('"event":"result"')]
        words = "connection is lost" if end == "device" else "bluetoothd) has ended"
        assert words in last, last
        bluez.stop()
        bluez.started.clear()


# --- otter doctor --------------------------------------------------------------------------------


def doctor(bluez, check):
    answer = json.loads(bluez.otter("doctor", "--json", "bluetooth", check=check).stdout)
    return {one["check"]: one for one in answer["checks"]}


@pytest.mark.parametrize("options, state, words", [
    ([], "ok", ""), (["--adapter", "off"], "bad", "power on"),
    (["--adapter", "none"], "bad", "plug one in"), (["--no-le"], "bad", "use another adapter")])
def test_doctor_adapters(bluez, options, state, words):
    found = doctor(bluez.start(*options), 0 if state == "ok" else 1)
    assert found["service"]["state"] == "ok" and found["adapter"]["state"] == state
    assert words in (found["adapter"]["advice"] or "")


def test_doctor_service_and_permission(bluez):
    bluez.bus()
    found = doctor(bluez, 1)
    assert "not running" in found["service"]["found"] and found["service"]["advice"]
    bluez.stop()
    bluez.start(policy=DENY)
    found = doctor(bluez, 1)
    assert found["permission"]["state"] == "bad" and found["permission"]["advice"]
