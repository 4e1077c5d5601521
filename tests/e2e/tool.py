# SPDX-License-Identifier: Apache-2.0
"""What the black-box tests of the programs share: the programs, sample firmware, and an
independent reading of the ESP32 image format."""
import glob
import hashlib
import json
import os
import struct
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("OTTER_BUILD", os.path.join(ROOT, "build"))
OTTER = os.path.join(BUILD, "cli", "otter")
FIRMWARE = os.environ.get("OTTER_FIRMWARE", os.path.join(ROOT, "..", "shared", "firmware"))
NO_FIRMWARE = "no sample firmware: name its folder in OTTER_FIRMWARE"

OK, FAILED, USAGE, INVALID, REFUSED = 0, 1, 2, 3, 4


def firmware(pattern):
    """Sample files by name; tests that need them are left out when there are none."""
    return sorted(glob.glob(os.path.join(FIRMWARE, pattern)))


def base_name(path):
    """For test names; with no sample firmware there is no path."""
    return os.path.basename(path) if isinstance(path, str) else "none"


def otter(*args, code=OK, cwd=None, stdin=None, env=None):
    """Runs otter and holds its exit code and the form of its complaints."""
    done = subprocess.run([OTTER, *map(str, args)], cwd=cwd, input=stdin, capture_output=True,
                          env={**os.environ, **(env or {})}, timeout=60, check=False)
    said = done.stderr.decode()
    assert done.returncode == code, (args, done.returncode, said, done.stdout[-500:])
    if code == OK:
        assert said == "", said
    elif code != USAGE:
        lines = said.splitlines()
        assert len(lines) == 1 and lines[0].startswith("otter: "), said
    return done


def say(*args, **options):
    """The sentence of a run that must fail."""
    return otter(*args, **options).stderr.decode()


def read_json(*args, code=OK, **options):
    return json.loads(otter(*args, "--json", code=code, **options).stdout)


def create_image(path, **options):
    args = []
    for name, value in options.items():
        args += ["--" + name.replace("_", "-"), value]
    otter("image", "create", *args, "-o", path)
    return path


def parse_image(data):
    """Facts of an image, read without any of Otter's code. Asserts what must hold."""
    assert data[0] == 0xE9 and data[23] == 1
    at, checksum, segments = 24, 0xEF, []
    for _ in range(data[1]):
        address, length = struct.unpack_from("<II", data, at)
        segments.append((address, at + 8, length))
        for byte in data[at + 8:at + 8 + length]:
            checksum ^= byte
        at += 8 + length
    end = (at + 16) // 16 * 16
    assert data[end - 1] == checksum
    digest = data[end:end + 32]
    assert hashlib.sha256(data[:end]).digest() == digest
    return {"chip_id": struct.unpack_from("<H", data, 12)[0], "segments": segments,
            "size": end + 32, "sha256": digest.hex()}
