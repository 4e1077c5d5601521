# SPDX-License-Identifier: Apache-2.0
"""otter image info, verify, create."""
import hashlib
import os
import pty
import shutil
import struct
import subprocess
import tempfile

import pytest

from tool import (FAILED, INVALID, NO_FIRMWARE, OK, OTTER, USAGE, base_name, create_image,
                  firmware, otter, parse_image, read_json, say)

CHIPS = {"ESP32": 0, "ESP32-S2": 2, "ESP32-C3": 5, "ESP32-S3": 9, "ESP32-C2": 12, "ESP32-C6": 13,
         "ESP32-H2": 16, "ESP32-P4": 18, "ESP32-C61": 20, "ESP32-C5": 23}
APPS = [f for f in firmware("*.bin") if not f.endswith("-partitions.bin")]
IMAGE_FIELDS = {"schema", "file", "valid", "chip", "project", "version", "sha256", "size",
                "segments"}


@pytest.fixture
def image(tmp_path):
    return create_image(tmp_path / "app.bin", version="1.2.3", project="lamp", size=20000)


# --- real images ---------------------------------------------------------------------------------


@pytest.mark.skipif(not APPS, reason=NO_FIRMWARE)
@pytest.mark.parametrize("path", APPS, ids=base_name)
def test_real_image(path):
    with open(path, "rb") as file:
        data = file.read()
    facts, real = read_json("image", "info", path), parse_image(data)
    assert facts["schema"] == "otter.image/1" and IMAGE_FIELDS <= set(facts)
    assert facts["valid"] is True and "error" not in facts
    assert CHIPS[facts["chip"]] == real["chip_id"]
    assert facts["size"] == real["size"] == len(data)
    assert facts["sha256"] == real["sha256"] == data[-32:].hex()
    assert [(s["address"], s["offset"], s["length"]) for s in facts["segments"]] == \
        real["segments"]
    if "bootloader" in path:
        assert facts["project"] is None and facts["version"] is None
        assert b"bootloader" in otter("image", "info", path).stdout
    else:
        assert facts["project"] == "arduino-lib-builder"
        assert facts["version"] == data[48:80].split(b"\0")[0].decode()
    otter("image", "verify", path)


@pytest.mark.skipif(not APPS, reason=NO_FIRMWARE)
@pytest.mark.parametrize("path", firmware("*-partitions.bin"), ids=base_name)
def test_a_partition_table_is_recognised(path):
    assert "this is a partition table" in say("image", "info", path, code=INVALID)
    assert read_json("image", "verify", path, code=INVALID)["valid"] is False


# --- create --------------------------------------------------------------------------------------


@pytest.mark.parametrize("chip", CHIPS)
def test_create_for_every_chip(chip, tmp_path):
    path = create_image(tmp_path / "a", chip=chip.lower().replace("-", ""), size=100000)
    data = path.read_bytes()
    assert parse_image(data)["chip_id"] == CHIPS[chip]
    assert read_json("image", "info", path)["chip"] == chip


@pytest.mark.parametrize("size", [0, 1, 1024, 1040, 65535, 65536, 1 << 20, 5000000, 16 << 20])
def test_create_of_a_size(size, tmp_path):
    path = create_image(tmp_path / "a", size=size)
    real = os.path.getsize(path)
    assert real == max((size + 15) // 16 * 16, real) and real % 16 == 0
    assert real - size < 16 or size < 1024
    facts = read_json("image", "info", path)
    assert facts["size"] == real and len(facts["segments"]) >= 3
    for s in facts["segments"]:
        if s["memory"].startswith("flash"):
            assert s["address"] % 0x10000 == s["offset"] % 0x10000


def test_create_is_repeatable(tmp_path):
    a = create_image(tmp_path / "a", seed=7).read_bytes()
    b = create_image(tmp_path / "b", seed=7).read_bytes()
    c = create_image(tmp_path / "c", seed=8).read_bytes()
    assert a == b and a != c


def test_create_sets_what_is_asked(tmp_path):
    create_image(tmp_path / "a", project="p" * 32, version="v" * 32, secure_version=9, min_rev=301,
                 max_rev=399, chip="ESP32-C3")
    facts = read_json("image", "info", tmp_path / "a")
    assert facts["project"] == "p" * 32 and facts["version"] == "v" * 32
    assert (facts["secure_version"], facts["min_chip_rev"], facts["max_chip_rev"]) == (9, 301, 399)
    text = otter("image", "info", tmp_path / "a").stdout.decode()
    assert "revision v3.1 to v3.99" in text


def test_create_to_standard_output(tmp_path):
    made = otter("image", "create", "-o", "-").stdout
    parse_image(made)
    assert read_json("image", "info", "-", stdin=made)["valid"]
    assert b"standard input" in otter("image", "verify", "-", stdin=made).stdout


@pytest.mark.parametrize("args", [
    [], ["-o", "a", "b"], ["--size", "17M", "-o", "a"], ["--size", "-1", "-o", "a"],
    ["--size", "1x", "-o", "a"], ["--chip", "z80", "-o", "a"], ["--version", "v" * 33, "-o", "a"],
    ["--seed", "99999999999", "-o", "a"], ["--json", "-o", "-"]])
def test_create_usage(args, tmp_path):
    otter("image", "create", *args, code=USAGE, cwd=tmp_path)
    assert not os.listdir(tmp_path)


def test_create_replaces_or_keeps(tmp_path):
    """A file that cannot be replaced keeps its bytes, and no copy is left behind."""
    create_image(tmp_path / "a", seed=1)
    create_image(tmp_path / "a", seed=2)
    assert os.listdir(tmp_path) == ["a"]
    otter("image", "create", "-o", tmp_path, code=FAILED)
    otter("image", "create", "-o", tmp_path / "none" / "a", code=FAILED)
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_output_that_cannot_be_written(image):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([OTTER, "image", "info", image], stdout=full, stderr=subprocess.PIPE,
                              check=False)
    assert done.returncode == FAILED and b"cannot write the output" in done.stderr


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 23, 24, 31, 32, 100, 288, 19000, 19967, 19999])
def test_truncated(image, length):
    image.write_bytes(image.read_bytes()[:length])
    for command in "info", "verify":
        text = say("image", command, image, code=INVALID)
        assert "is cut short" in text or (length == 0 and "is empty" in text)
        facts = read_json("image", command, image, code=INVALID)
        assert facts["valid"] is False and facts["error"] in text and facts["sha256"] is None


def test_trailing_bytes_are_not_part_of_it(image):
    size = os.path.getsize(image)
    with open(image, "ab") as file:
        file.write(b"\xff" * 1000)
    facts = read_json("image", "info", image)
    assert facts["valid"] and facts["size"] == size and facts["file_size"] == size + 1000
    assert b"1,000 B" in otter("image", "info", image).stdout.replace(b"1000 bytes", b"1,000 B")


def test_signature_is_seen(image):
    assert read_json("image", "info", image)["signed"] is False
    data = image.read_bytes()
    data = data.ljust((len(data) + 4095) // 4096 * 4096, b"\xff") + b"\xe7\x02".ljust(4096, b"\0")
    facts = read_json("image", "info", "-", stdin=data)
    assert facts["valid"] and facts["signed"] and facts["size"] == os.path.getsize(image)
    assert b"Secure Boot v2" in otter("image", "info", "-", stdin=data).stdout


def test_no_digest_is_not_valid(tmp_path):
    """Byte 23 is not harmless: without the SHA-256 an 8-bit checksum would be all there is."""
    otter("image", "create", "--no-digest", "-o", tmp_path / "a")
    assert "carries no SHA-256" in say("image", "verify", tmp_path / "a", code=INVALID)
    assert read_json("image", "info", tmp_path / "a", code=INVALID)["valid"] is False


def test_byte_23_flipped(image):
    data = bytearray(image.read_bytes())
    for bit in range(8):
        flipped = bytearray(data)
        flipped[23] ^= 1 << bit
        otter("image", "verify", "-", stdin=bytes(flipped), code=INVALID)


def test_directory(tmp_path):
    assert "is a directory" in say("image", "info", tmp_path, code=INVALID)


def test_missing(tmp_path):
    assert "No such file" in say("image", "info", tmp_path / "none", code=FAILED)


def test_unreadable(image):
    os.chmod(image, 0)
    if os.geteuid() != 0:
        assert "Permission denied" in say("image", "info", image, code=FAILED)
        return
    with tempfile.TemporaryDirectory() as folder:  # root reads everything: be someone else
        os.chmod(folder, 0o755)
        program = shutil.copy(OTTER, folder)
        done = subprocess.run([program, "image", "info", image], user=65534, capture_output=True,
                              check=False)
    assert done.returncode == FAILED and b"Permission denied" in done.stderr


def test_3_gb_file_is_refused_before_it_is_read(tmp_path):
    with open(tmp_path / "big", "wb") as file:
        file.truncate(3 << 30)
    assert "too large" in say("image", "info", tmp_path / "big", code=INVALID)


def test_endless_standard_input(image):
    data = image.read_bytes() + bytes(40 << 20)
    assert "too large" in say("image", "info", "-", stdin=data, code=INVALID)


@pytest.mark.parametrize("start, kind", [
    (b"\x7fELF", "ELF file"), (b"PK\x03\x04", "ZIP"), (b"\x1f\x8b", "gzip"),
    (b"<!DOCTYPE html>", "web page"), (b":020000", "Intel HEX"), (b"\xff" * 64, "erased flash"),
    (b"\xff" * 0x8000 + b"\xaa\x50", "a whole flash"), (b"hello", "not an ESP32 application")],
    ids=lambda value: value if isinstance(value, str) else "")
def test_what_it_is_instead(start, kind, tmp_path):
    (tmp_path / "a").write_bytes(start + bytes(4000))
    assert kind in say("image", "info", tmp_path / "a", code=INVALID)


HOSTILE = [b"\x1b[31mred\x07", b"a\nb", b"\xc2\x9b31m", b"\xe2\x80\xaeevil", b"\xff\xfe\xfd",
           b"\xf0\x9f", b"caf\xc3\xa9", b"\r\x08\x7f"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_never_reach_a_terminal(text, image):
    """A project name is whatever someone put into the image."""
    data = bytearray(image.read_bytes()[:-32])
    old = bytes(data[80:112])
    data[80:112] = text.ljust(32, b"\0")
    for a, b in zip(old, data[80:112]):
        data[-1] ^= a ^ b
    image.write_bytes(bytes(data) + hashlib.sha256(data).digest())
    shown = otter("image", "info", image).stdout
    for line in shown.split(b"\n"):
        for char in line.decode():  # and it is UTF-8
            assert char.isprintable(), line
    assert read_json("image", "info", image)["valid"]
    assert (b"caf\xc3\xa9" in shown) == (text == b"caf\xc3\xa9")


def test_segment_lengths_that_lie(image):
    data = bytearray(image.read_bytes())
    for length, words in ((0xFFFFFFFC, "segment"), (0x1000000, "segment"), (5, "segment"),
                          (0x00FFFFFC, "cut short")):
        struct.pack_into("<I", data, 28, length)
        assert words in say("image", "info", "-", stdin=bytes(data), code=INVALID)


# --- the program itself --------------------------------------------------------------------------


def test_version():
    assert otter("--version").stdout.startswith(b"otter ")


@pytest.mark.parametrize("args, words", [
    (["imge", "info"], 'did you mean "otter image"'),
    (["image", "crate"], 'did you mean "otter image create"'),
    (["image", "create", "--verison", "1"], "did you mean --version"),
    (["image", "create", "--size"], "--size needs a value"),
    (["image", "info", "--json=1", "a"], "takes no value"),
    (["image", "info"], "needs FILE"), (["image", "info", "a", "b"], 'with "b"'),
    (["image", "info", "-z", "a"], "no option -z"), (["frobnicate"], "otter help"),
    (["--frobnicate"], "no option"), ([], "otter image COMMAND"), (["image"], "otter image verify"),
    (["help", "image", "nfo"], "otter image info"), (["completion", "tcsh"], "bash")])
def test_usage_errors(args, words):
    assert words in say(*args, code=USAGE)


def test_colour_only_on_a_terminal(image):
    assert b"\x1b" not in otter("image", "info", image).stdout
    for no_colour in "", "1":
        pid, fd = pty.fork()
        if pid == 0:
            os.environ.update(TERM="xterm", NO_COLOR=no_colour)
            os.execv(OTTER, [OTTER, "image", "info", str(image)])
        said = b""
        try:
            while chunk := os.read(fd, 4096):
                said += chunk
        except OSError:
            pass
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == OK
        assert (b"\x1b[" in said) == (no_colour == "")
