# SPDX-License-Identifier: Apache-2.0
"""Whole updates: otter against otter-device."""
import json
import os
import subprocess

import pytest

from lab import OTTER, PATIENCE, Device, Update, otter, update

FIRMWARE = os.environ.get(
    "OTTER_FIRMWARE", os.path.join(os.path.dirname(__file__), "../../../shared/firmware"))


@pytest.mark.parametrize("protocol", ["espble", "gattota"])
@pytest.mark.parametrize("mtu", [23, 185, 247, 498, 512, 517])
def test_B10_updates_at_every_mtu(device, image, protocol, mtu):
    d = device("--mtu", mtu)
    new = image("1.1.0", size=60_000)
    result = update("--protocol", protocol, d.target, new)
    assert result["outcome"] == "updated" and result["confirmed"] is True
    assert (result["old_version"], result["new_version"]) == ("1.0.0", "1.1.0")
    assert result["sent"] == os.path.getsize(new)
    assert d.holds(new)


@pytest.mark.parametrize("args", [
    ["--response"], ["--window", "1"], ["--packet-size", "20"], ["--packet-size", "463"],
    ["--mtu", "23"], ["--crc-init", "ffff"], ["--response", "--mtu", "23"], ["--retries", "1"],
    ["--retries", "0"],
    ["--protocol", "gattota", "--response"], ["--protocol", "gattota", "--packet-size", "100"],
    ["--protocol", "gattota", "--window", "1"],
], ids=" ".join)
def test_ways_of_sending(device, image, args):
    d = device()
    new = image("1.1.0", size=30_000)
    assert update(*args, d.target, new)["outcome"] == "updated"
    assert d.holds(new)


def test_one_device_takes_update_after_update(device, image):
    d = device()
    for number, protocol in enumerate(["espble", "gattota", "gattota", "espble"]):
        result = update("--protocol", protocol, d.target, image(f"2.{number}.0"))
        assert result["outcome"] == "updated" and result["new_version"] == f"2.{number}.0"
    assert d.runs("2.3.0")


def test_the_same_version_again_is_told_apart_by_its_digest(device, image):
    d = device("--name", "same")
    result = update(d.target, image("1.0.0", seed=77))
    assert result["outcome"] == "updated" and result["confirmed"] is True
    assert (result["old_version"], result["new_version"]) == ("1.0.0", "1.0.0")


def test_no_wait_ends_when_the_device_took_it(device, image):
    d = device("--restart-delay", "60000")
    result = update("--no-wait", d.target, image("1.1.0"))
    assert result["outcome"] == "updated"
    assert result["new_version"] is None and result["confirmed"] is None


def test_a_self_test_that_takes_its_time_is_waited_for(device, image):
    d = device("--self-test-time", "400")
    job = Update(d.target, image("1.1.0"))
    job.log.wait('"phase":"confirming"')
    assert job.end()["confirmed"] is True


def test_once_ends_after_the_confirmed_update(device, image):
    d = device("--once")
    # The device is gone when the tool asks for its verdict: that is told as what it is.
    result = update("--timeout", "1", d.target, image("1.1.0"))
    assert result["exit_code"] == 6 and "did not come back" in result["message"]
    assert d.process.wait(60) == 0
    assert d.runs("1.1.0")


def test_flash_and_link_as_slow_as_real_ones(device, image):
    d = device("--flash-speed", "real", "--link-rate", "60000")
    result = update(d.target, image("1.1.0", size=40_000))
    assert result["outcome"] == "updated"
    assert result["send_seconds"] > 0.5 and result["verify_seconds"] > 0
    assert result["send_seconds"] + result["verify_seconds"] <= result["seconds"]
    assert d.runs("1.1.0")


@pytest.mark.parametrize("window", [1, 4, 16])
def test_B15_flash_slower_than_the_link(device, image, window):
    d = device("--flash-speed", "real", "--window", window)
    new = image("1.1.0", size=50_000)
    result = update(d.target, new)
    assert result["outcome"] == "updated" and result["resent"] == 0
    assert d.holds(new)


def test_standard_input(device, image):
    d = device()
    with open(image("1.1.0"), "rb") as file:
        result = subprocess.run([OTTER, "update", d.target, "-"], stdin=file, check=False,
                                capture_output=True, timeout=PATIENCE)
    assert result.returncode == 0, result.stderr
    assert d.runs("1.1.0")


@pytest.mark.parametrize("legacy", [
    "indicate-only", "zero-ack", "no-window", "early-restart", "field-uuid", "no-identity",
    "no-device-info", "indicate-only,zero-ack,no-window,early-restart,no-identity",
])
@pytest.mark.parametrize("protocol", ["espble", "gattota"])
def test_B17_devices_that_act_like_older_ones(device, image, legacy, protocol):
    d = device("--legacy", legacy)
    new = image("1.1.0", size=50_000)
    result = update("--protocol", protocol, d.target, new)
    assert result["outcome"] == "updated"
    if "no-identity" in legacy:
        assert result["confirmed"] is None and "it does not say" in result["message"]
    elif legacy == "no-device-info":
        assert result["new_version"] is None and "does not say what it runs" in result["message"]
    else:
        assert result["confirmed"] is True
    assert d.holds(new)


def test_a_real_image_goes_over_byte_for_byte(folder):
    old = os.path.join(FIRMWARE, "esp32s3-frame-0.15.0.bin")
    new = os.path.join(FIRMWARE, "esp32s3-frame-0.16.0.bin")
    if not os.path.exists(new):
        pytest.skip("no sample firmware: OTTER_FIRMWARE is not set")
    otter("flash", "create", "--layout", "no-factory", "--image", old, "-o",
          f"{folder}/kitchen.flash", check=0)
    d = Device(folder)
    try:
        result = update(d.target, new)
        assert result["outcome"] == "updated" and result["confirmed"] is True
        # Both releases carry one and the same version text: the digest told them apart.
        assert result["old_version"] == result["new_version"]
        assert d.holds(new)
    finally:
        d.stop()


def test_a_hundred_devices_at_once(folder, image):
    new = image("1.1.0", size=20_000)
    devices = [Device(folder, name=f"d{n:03}", ready=False) for n in range(100)]
    try:
        for d in devices:
            d.log.wait("ready: att:")
        jobs = [Update(d.target, new) for d in devices]
        for job in jobs:
            result = job.end()
            assert result["outcome"] == "updated" and result["confirmed"] is True
        assert len(json.loads(otter("scan", "--json", "att:" + folder, check=0).stdout)
                   ["devices"]) == 100
    finally:
        for d in devices:
            d.process.terminate()
        for d in devices:
            d.stop()
    assert devices[0].runs("1.1.0") and devices[99].runs("1.1.0")
