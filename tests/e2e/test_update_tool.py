# SPDX-License-Identifier: Apache-2.0
"""What otter update and otter scan show and ask, and otter-device's own options."""
import fcntl
import json
import os
import pty
import re
import socket
import struct
import subprocess
import termios

from lab import DEVICE, OTTER, PATIENCE, Lines, Update, otter


def test_json_is_one_event_a_line(device, image):
    d = device()
    job = Update("--verbose", d.target, image("1.1.0", size=20_000))
    job.end()
    events = [json.loads(line) for line in job.log.lines]
    assert all(e["schema"] == "otter.update/1" for e in events)
    phases = [e["phase"] for e in events if e["event"] == "phase"]
    assert phases[:5] == ["connecting", "starting", "sending", "finishing", "restarting"]
    found = next(e for e in events if e["event"] == "device")
    assert found["target"] == d.target
    assert found["device"] == {
        "name": "otter-device", "chip": "ESP32", "project": "demo", "version": "1.0.0", "state": "confirmed",
        "image": found["device"]["image"], "protocols": ["espble", "gattota"]}
    progress = [e["percent"] for e in events if e["event"] == "progress"]
    assert progress == sorted(progress) and progress[-1] == 100
    details = [e["line"] for e in events if e["event"] == "detail"]
    assert any("START, 20" in line for line in details)
    assert any("ACK of START: accepted, window 4" in line for line in details)
    assert any("sector 4, last packet" in line for line in details)
    assert any("ACK of STOP: accepted" in line for line in details)


def test_what_people_read(device, image):
    d = device("--name", "kitchen")
    result = otter("update", d.target, image("1.1.0"), check=0)
    assert "Done: 1.1.0 is running and confirmed. Was 1.0.0." in result.stdout
    assert "Device: kitchen, ESP32, runs demo 1.0.0, confirmed" in result.stderr
    result = otter("update", d.target, image("1.1.0", chip="esp32s3"), check=4)
    assert result.stdout == "" and result.stderr.count("\n") == 2
    assert "for ESP32-S3 and the device is an ESP32;" in result.stderr


def test_scan(device, folder):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stale:
        stale.bind(f"{folder}/stale")
    with open(f"{folder}/file", "w", encoding="ascii"):
        pass
    device("--name", "Attic", name="a")
    device("--name", "Cellar", "--legacy", "no-identity", "--services", "gattota", name="b")
    shown = otter("scan", "att:" + folder, check=0).stdout
    assert f"att:{folder}/a" in shown and "Attic" in shown and "stale" not in shown
    found = json.loads(otter("scan", "--json", "att:" + folder, check=0).stdout)
    assert found["schema"] == "otter.scan/1"
    assert [d["name"] for d in found["devices"]] == ["Attic", "Cellar"]
    assert found["devices"][1]["state"] is None
    assert found["devices"][1]["protocols"] == ["gattota"]


def test_scan_looks_in_the_runtime_folder(device, folder):
    os.mkdir(f"{folder}/otter")
    env = {**os.environ, "XDG_RUNTIME_DIR": folder}
    assert "No device found." in otter("scan", check=0, env=env).stdout
    device(name="otter/hall")
    assert "otter/hall" in otter("scan", check=0, env=env).stdout
    del env["XDG_RUNTIME_DIR"]  # nothing to look through is no failure, unless it was asked for
    assert "otter doctor" in otter("scan", check=0, env=env).stdout
    assert "name the folder" in otter("scan", "att", check=1, env=env).stderr
    otter("scan", "att:/nowhere", check=1)
    otter("scan", "zigbee", check=2)


def talk(command, answers, env, cwd=None, columns=80):
    """Runs a program on a terminal and answers its questions; returns its code and its screen."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(command, stdin=side, stdout=side, stderr=side, env=env, cwd=cwd,
                          start_new_session=True) as process:
        os.close(side)
        screen = ""
        while True:
            try:
                part = os.read(main, 4096).decode()
            except OSError:
                break
            screen += part
            if answers and answers[0][0] in screen:
                os.write(main, answers.pop(0)[1].encode() + b"\n")
        os.close(main)
        return process.wait(PATIENCE), screen


def test_a_narrow_terminal_has_a_row_a_line(device, folder):
    device(name="hall")
    assert "Protocols" in otter("scan", f"att:{folder}", check=0).stdout
    # from inside the folder, whose own name may be long
    code, screen = talk([OTTER, "scan", "att:."], [], {**os.environ, "TERM": "xterm"}, cwd=folder,
                        columns=64)
    last = re.sub(r"\033\[[0-9;?]*[A-Za-z]", "", screen.rsplit("\033[J", 1)[1]).splitlines()
    assert code == 0 and "Protocols" not in last[0] and len(last) == 2 and "1.0.0" in last[1]
    assert len(last[1]) <= 64, last


def test_on_a_terminal_it_asks(device, folder, image):
    os.mkdir(f"{folder}/otter")
    d = device("--link-rate", "100000", name="otter/hall")
    device(name="otter/attic")
    env = {**os.environ, "XDG_RUNTIME_DIR": folder, "TERM": "xterm"}
    new = image("1.1.0", size=120_000)
    code, screen = talk([OTTER, "update"],
                        [("Which one", "9"), ("from 1 to 2", "2"),
                         ("Firmware file", f" '{new}' ")], env)
    assert code == 0, screen
    assert "otter/attic" in screen and "Done" in screen and "%" in screen
    d.log.wait("update: begins")
    assert d.holds(new)


def test_without_a_terminal_it_asks_nothing():
    assert "needs a TARGET and a FILE" in otter("update", check=2).stderr
    assert "needs a TARGET and a FILE" in otter("update", "att:/x", check=2).stderr
    assert "is not a target" in otter("update", "zigbee:1", "x.bin", check=2).stderr


def test_usage_errors():
    for args in (["--mtu", "22"], ["--packet-size", "3"], ["--retries", "255"],
                 ["--crc-init", "1234"], ["--protocol", "smoke"], ["--window", "many"]):
        otter("update", *args, "att:/x", "x.bin", check=2)
    for path in ("/nowhere.bin", "/"):
        assert otter("update", "att:/x", path).returncode == 1


def device_says(*args):
    return subprocess.run([DEVICE, *args], capture_output=True, text=True, timeout=PATIENCE,
                          check=False)


def test_device_usage_errors(folder):
    flash = ["--flash", f"{folder}/f", "--create"]
    for args in (["--att", "x"], flash, [*flash, "--att", "x", "--mtu", "600"],
                 [*flash, "--att", "x", "--legacy", "rusty"], [*flash, "--bogus"],
                 [*flash, "--att", "x", "--chip", "ESP8266"], [*flash, "--att", "x", "more"]):
        result = device_says(*args)
        assert result.returncode == 2 and "otter-device" in result.stderr, args
    assert not os.path.exists(f"{folder}/f")
    assert "--att PATH" in device_says("--help").stdout


def test_device_flash_errors(folder, device):
    with open(f"{folder}/junk", "wb") as file:
        file.write(b"\xff" * 4096 * 1024)
    result = device_says("--flash", f"{folder}/junk", "--att", f"{folder}/s")
    assert result.returncode == 3 and len(result.stderr.splitlines()) == 1
    result = device_says("--flash", f"{folder}/missing", "--att", f"{folder}/s")
    assert result.returncode == 1 and "missing" in result.stderr
    d = device()
    result = device_says("--flash", d.flash, "--att", f"{folder}/s")
    assert result.returncode == 1 and "in use" in result.stderr
    result = device_says("--flash", f"{folder}/new", "--create", "--att", d.socket)
    assert result.returncode == 1 and "taken, by another device" in result.stderr
    result = device_says("--flash", f"{folder}/new", "--create", "--att", f"{folder}/junk")
    assert result.returncode == 1 and os.path.getsize(f"{folder}/junk") == 4096 * 1024


def test_ready_fd_and_a_stale_socket(folder):
    path = f"{folder}/s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stale:
        stale.bind(path)
    read, write = os.pipe()
    with subprocess.Popen([DEVICE, "--flash", f"{folder}/f", "--create", "--att", path,
                           "--ready-fd", str(write)], pass_fds=[write],
                          stdout=subprocess.PIPE, text=True) as process:
        os.close(write)
        assert os.read(read, 100) == b"ready\n"
        assert json.loads(otter("scan", "--json", "att:" + folder, check=0).stdout)["devices"]
        process.terminate()
        Lines(process.stdout).wait("stopped")
        assert process.wait(PATIENCE) == 0
    os.close(read)
    assert not os.path.exists(path)
