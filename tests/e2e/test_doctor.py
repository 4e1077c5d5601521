# SPDX-License-Identifier: Apache-2.0
"""What otter doctor finds, and what it says is to be done."""
import json
import os

from lab import otter


def checks(area, env=None, code=None):
    """The checks of an area by name, and the exit code."""
    done = otter("doctor", "--json", area, env={**os.environ, **(env or {})}, check=code)
    answer = json.loads(done.stdout)
    assert answer["schema"] == "otter.doctor/1"
    assert answer["ok"] == (done.returncode == 0)
    return {check["check"]: check for check in answer["checks"]}


def test_all_areas_are_told():
    shown = otter("doctor").stdout
    for heading in "Bluetooth", "Serial ports", "Servers", "Files":
        assert heading in shown.splitlines(), shown
    areas = {c["area"] for c in json.loads(otter("doctor", "--json").stdout)["checks"]}
    assert areas == {"bluetooth", "serial", "https", "files"}


def test_usage_errors():
    assert "no area" in otter("doctor", "zigbee", check=2).stderr
    otter("doctor", "serial", "https", check=2)


def test_no_bus():
    found = checks("bluetooth", {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere"}, 1)
    assert found["service"]["state"] == "bad" and "system bus" in found["service"]["found"]
    assert "dbus" in found["service"]["advice"]


def test_files(folder):
    assert checks("files", {"XDG_RUNTIME_DIR": folder}, 0)["sockets"]["state"] == "ok"
    assert checks("files", {"XDG_RUNTIME_DIR": "/nowhere"}, 0)["sockets"]["state"] == "warning"
