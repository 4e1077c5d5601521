# SPDX-License-Identifier: Apache-2.0
"""otter flash create, info, update, boot, confirm, extract."""
import fcntl
import hashlib
import os
import random
import signal
import struct
import subprocess
import time
import zlib

import pytest

from tool import (FAILED, INVALID, NO_FIRMWARE, OK, OTTER, REFUSED, USAGE, base_name, create_image,
                  firmware, otter, read_json, say)

TWO_OTA = [("nvs", 1, 2, 0x9000, 0x4000), ("otadata", 1, 0, 0xD000, 0x2000),
           ("phy_init", 1, 1, 0xF000, 0x1000), ("factory", 0, 0, 0x10000, 0x100000),
           ("ota_0", 0, 0x10, 0x110000, 0x100000), ("ota_1", 0, 0x11, 0x210000, 0x100000)]
NO_FACTORY = [("nvs", 1, 2, 0x9000, 0x4000), ("otadata", 1, 0, 0xD000, 0x2000),
              ("ota_0", 0, 0x10, 0x10000, 0x180000), ("ota_1", 0, 0x11, 0x190000, 0x180000)]
OTADATA = 0xD000
NEW, PENDING, VALID, INVALID_STATE, ABORTED = range(5)


def read_table(path):
    """The partition table of a flash, read without any of Otter's code."""
    with open(path, "rb") as file:
        file.seek(0x8000)
        data = file.read(0xC00)
    rows = []
    for at in range(0, len(data), 32):
        row = data[at:at + 32]
        if row[:2] == b"\xaa\x50":
            kind, subtype, offset, size = struct.unpack_from("<BBII", row, 2)
            rows.append((row[12:28].split(b"\0")[0].decode(), kind, subtype, offset, size))
        elif row[:2] == b"\xeb\xeb":
            assert row[16:] == hashlib.md5(data[:at]).digest()
        else:
            assert row == b"\xff" * 32
            return rows
    raise AssertionError("no end row")


def read_otadata(path):
    """(seq, state) of both copies; None for a copy that is blank or whose crc is wrong."""
    copies = []
    with open(path, "rb") as file:
        for copy in range(2):
            file.seek(OTADATA + copy * 0x1000)
            seq, _, state, crc = struct.unpack("<I20sII", file.read(32))
            # esp_rom_crc32_le(UINT32_MAX, ...) is zlib's crc32 started with 0xFFFFFFFF
            good = crc == zlib.crc32(struct.pack("<I", seq), 0xFFFFFFFF)
            copies.append((seq, state) if good and seq != 0xFFFFFFFF else None)
    return copies


def write_otadata(path, copy, seq, state):
    raw = struct.pack("<I20sII", seq, b"\xff" * 20, state,
                      zlib.crc32(struct.pack("<I", seq), 0xFFFFFFFF))
    with open(path, "r+b") as file:
        file.seek(OTADATA + copy * 0x1000)
        file.write(raw.ljust(0x1000, b"\xff"))


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def boots(path):
    """What a flash boots next, and nothing is written by asking."""
    before = digest(path)
    boot = read_json("flash", "info", path)["boot"]
    assert digest(path) == before
    return boot["slot"], boot["version"]


@pytest.fixture
def v1(tmp_path):
    return create_image(tmp_path / "v1.bin", version="1.0.0", seed=1, size="100K")


@pytest.fixture
def v2(tmp_path):
    return create_image(tmp_path / "v2.bin", version="1.1.0", seed=2, size="120K")


@pytest.fixture(params=["two-ota", "no-factory"])
def flash(request, tmp_path, v1):
    path = tmp_path / "flash.bin"
    otter("flash", "create", "--layout", request.param, "--image", v1, "-o", path)
    return path


@pytest.fixture
def two_ota(tmp_path, v1):
    path = tmp_path / "flash.bin"
    otter("flash", "create", "--image", v1, "-o", path)
    return path


# --- create --------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout, rows", [("two-ota", TWO_OTA), ("no-factory", NO_FACTORY)])
def test_built_in_layouts(layout, rows, tmp_path):
    otter("flash", "create", "--layout", layout, "-o", tmp_path / "f")
    assert read_table(tmp_path / "f") == rows
    assert os.path.getsize(tmp_path / "f") == 4 << 20
    facts = read_json("flash", "info", tmp_path / "f")
    assert [(p["name"], p["offset"], p["size"]) for p in facts["partitions"]] == \
        [(r[0], r[3], r[4]) for r in rows]
    assert facts["boot"]["slot"] is None
    assert all(slot["erased"] and slot["image"] is None for slot in facts["slots"])


def test_csv_of_esp_idf(tmp_path):
    """Automatic offsets, suffixes, empty fields, flags, a negative size, numbers for names."""
    (tmp_path / "t.csv").write_bytes(
        b"\xef\xbb\xbf# ESP-IDF Partition Table\r\n# Name, Type, SubType, Offset, Size, Flags\r\n"
        b"nvs,data,nvs,,24K,,\r\n  phy_init , data , phy , , 0x1000\r\n\r\n"
        b"otadata,data,ota,,8k\notaA,app,ota_0,,1M,encrypted\notaB, 0, 0x11, , 1M,\n"
        b"mine,0x40,0x7f,,4096,readonly:encrypted\nstorage,data,spiffs,,-0x400000\n")
    otter("flash", "create", "-p", tmp_path / "t.csv", "-o", tmp_path / "f")
    assert read_table(tmp_path / "f") == [
        ("nvs", 1, 2, 0x9000, 0x6000), ("phy_init", 1, 1, 0xF000, 0x1000),
        ("otadata", 1, 0, 0x10000, 0x2000), ("otaA", 0, 0x10, 0x20000, 0x100000),
        ("otaB", 0, 0x11, 0x120000, 0x100000), ("mine", 0x40, 0x7F, 0x220000, 0x1000),
        ("storage", 1, 0x82, 0x221000, 0x1DF000)]
    parts = {p["name"]: p for p in read_json("flash", "info", tmp_path / "f")["partitions"]}
    assert parts["otaA"]["encrypted"] and not parts["otaA"]["readonly"]
    assert parts["mine"]["readonly"] and parts["mine"]["encrypted"]
    assert parts["mine"]["type"] == "0x40" and parts["storage"]["subtype"] == "spiffs"


@pytest.mark.parametrize("csv, words", [
    ("", "no partition in it"),
    ("a,app,factory,0x10000,1M\nb,app,ota_0,0x80000,1M", "line 2: b begins at 0x80000, but"),
    ("a,data,nvs,0x8000,4K", "line 1: a begins at 0x8000, but what is before it ends at 0x9000"),
    ("a,app,factory,0x11000,1M", "no multiple of 0x10000"),
    ("a,app,factory,,1Q", 'the size "1Q"'), ("a,app,factory,,", 'the size ""'),
    ("a,app,factory,x,1M", 'the offset "x"'), ("a,app,ota_16,,1M", 'subtype "ota_16"'),
    ("a,app,,,1M", 'no app subtype ""'), ("a,apple,0,,1M", 'not "apple"'),
    ("a,app,factory,,1M,secret", 'not "secret"'), (",app,factory,,1M", "1 to 16 characters"),
    ("a234567890123456x,app,factory,,1M", "1 to 16 characters"),
    ("a,app,factory,,5M", "a ends at 0x510000, after the flash's end at 0x400000"),
    ("a,data,nvs,,4K\na,data,phy,,4K", "same label"),
    ("a,app,ota_1,,1M", "ota slots"), ("a,data,ota,,4K", "otadata of the table"),
    ("boot,bootloader,primary,,4K", "leave this row out"), ("a" * 300, "not a line"),
    ("a,app,factory,,99999999999999999999", "the size"), ("\0\1\2", "not a line"),
    ("a,data,nvs,0xFFFFF000,8K", "no room")])
def test_bad_csv(csv, words, tmp_path):
    (tmp_path / "t.csv").write_text(csv)
    text = say("flash", "create", "--size", "4M", "-p", tmp_path / "t.csv", "-o", tmp_path / "f",
               code=INVALID)
    assert words in text and not os.path.exists(tmp_path / "f")


def test_too_many_partitions(tmp_path):
    rows = "".join(f"p{i},data,nvs,,4K\n" for i in range(96))
    (tmp_path / "t.csv").write_text(rows)
    assert "too many" in say("flash", "create", "-p", tmp_path / "t.csv", "-o", tmp_path / "f",
                             code=INVALID)


@pytest.mark.parametrize("path", firmware("*-partitions.bin"), ids=base_name)
def test_real_tables(path, tmp_path):
    size = read_json("flash", "create", "-p", path, "-o", tmp_path / "f")["size"]
    assert size == os.path.getsize(tmp_path / "f") == (8 if "s3-frame" in path else 4) << 20
    with open(path, "rb") as real, open(tmp_path / "f", "rb") as made:
        made.seek(0x8000)
        assert made.read(0xC00) == real.read().ljust(0xC00, b"\xff")


@pytest.mark.parametrize("args", [
    [], ["--size", "5000", "-o", "f"], ["--size", "1", "-o", "f"], ["--layout", "x", "-o", "f"],
    ["--layout", "two-ota", "-p", "x", "-o", "f"], ["-o", "-"], ["-o", "a", "b"]])
def test_create_usage(args, tmp_path):
    otter("flash", "create", *args, code=USAGE, cwd=tmp_path)
    assert not os.listdir(tmp_path)


def test_image_that_does_not_belong(tmp_path, v1):
    large = create_image(tmp_path / "large", size="1100K")
    text = say("flash", "create", "-i", large, "-o", tmp_path / "f", code=INVALID)
    assert "1,126,400 bytes" in text and "larger slots" in text
    v1.write_bytes(v1.read_bytes()[:-1])
    assert "cut short" in say("flash", "create", "-i", v1, "-o", tmp_path / "f", code=INVALID)
    assert not os.path.exists(tmp_path / "f")


# --- update, boot, confirm -----------------------------------------------------------------------


def test_the_story(flash, v2):
    first = read_json("flash", "boot", flash)["boot"]
    assert first["version"] == "1.0.0" and first["reason"] == "blank" and not first["on_trial"]
    updated = read_json("flash", "update", flash, v2)
    assert updated["updated"] and updated["schema"] == "otter.flash/1"
    assert updated["from"]["version"] == "1.0.0" and updated["to"]["version"] == "1.1.0"
    assert updated["to"]["sha256"] == v2.read_bytes()[-32:].hex()
    assert boots(flash) == (updated["to"]["slot"], "1.1.0")
    text = otter("flash", "boot", "--confirm", flash).stdout.decode()
    assert "1.1.0" in text and "Confirmed" in text
    assert (read_otadata(flash)[0] or read_otadata(flash)[1])[1] in (NEW, VALID)
    info = read_json("flash", "info", flash)
    assert info["boot"]["version"] == "1.1.0" and info["on_trial"] is None
    active = info["otadata"]["copies"][info["otadata"]["active"]]
    assert active["state"] == "valid" and active["valid"] and active["crc_valid"]


def test_info_fields(two_ota, v1):
    facts = read_json("flash", "info", two_ota)
    assert facts["schema"] == "otter.flash/1" and facts["valid"] is True
    assert {"partitions", "otadata", "slots", "boot", "size", "file"} <= set(facts)
    factory = facts["slots"][0]
    assert factory["slot"] == "factory" and factory["offset"] == 0x10000
    image = factory["image"]
    assert image["valid"] and image["sha256"] == v1.read_bytes()[-32:].hex()
    assert image["size"] == os.path.getsize(v1) and image["project"] == "demo"
    assert facts["boot"]["tried"] == [{"slot": "factory", "error": None}]


def test_F12_not_confirmed_goes_back(flash, v2):
    otter("flash", "update", flash, v2)
    assert read_json("flash", "boot", flash)["boot"]["on_trial"] is True
    info = read_json("flash", "info", flash)
    assert info["on_trial"] == info["otadata"]["copies"][info["otadata"]["active"]]["slot"]
    assert info["boot"]["version"] == "1.0.0"
    assert b"is on trial" in otter("flash", "info", flash).stdout
    back = read_json("flash", "boot", flash)["boot"]
    assert back["version"] == "1.0.0" and "did not confirm" in back["why"][0]
    assert ABORTED in [c[1] for c in read_otadata(flash) if c]


def test_F13_self_test_says_no(flash, v2):
    otter("flash", "update", flash, v2)
    done = read_json("flash", "boot", "--fail", flash)
    assert [boot["version"] for boot in done["boots"]] == ["1.1.0", "1.0.0"]
    assert done["verdict"] == "rolled back" and done["boot"]["version"] == "1.0.0"
    assert INVALID_STATE in [c[1] for c in read_otadata(flash) if c]
    otter("flash", "update", flash, v2)
    assert read_json("flash", "boot", "--confirm", flash)["boot"]["version"] == "1.1.0"


def test_F14_update_while_on_trial(flash, v2):
    otter("flash", "update", flash, v2)
    before = digest(flash)
    assert "was not booted yet" in say("flash", "update", flash, v2, code=REFUSED)
    assert "not booted yet" in say("flash", "confirm", flash, code=REFUSED)
    assert digest(flash) == before
    otter("flash", "boot", flash)
    before = digest(flash)
    text = say("flash", "update", flash, v2, code=REFUSED)
    assert "is on trial" in text and "otter flash confirm" in text
    refused = read_json("flash", "update", flash, v2, code=REFUSED)
    assert refused["updated"] is False and refused["error"] in text
    assert digest(flash) == before
    assert read_json("flash", "confirm", flash)["verdict"] == "confirmed"
    assert VALID in [c[1] for c in read_otadata(flash) if c]
    assert "nothing to confirm" in say("flash", "confirm", flash, code=FAILED)
    otter("flash", "update", flash, v2)


def test_confirm_can_give_up(flash, v2):
    otter("flash", "update", flash, v2)
    otter("flash", "boot", flash)
    assert read_json("flash", "confirm", "--fail", flash)["verdict"] == "rolled back"
    assert boots(flash)[1] == "1.0.0"


def test_fail_without_a_trial_changes_nothing(flash):
    otter("flash", "boot", flash)
    before = digest(flash)
    assert read_json("flash", "boot", "--fail", flash)["verdict"] == "none"
    assert digest(flash) == before
    otter("flash", "boot", "--fail", "--confirm", flash, code=USAGE)


def test_without_rollback(two_ota, v2):
    otter("flash", "update", "--no-rollback", two_ota, v2)
    assert read_otadata(two_ota)[0] == (1, 0xFFFFFFFF)
    assert not read_json("flash", "boot", "--no-rollback", two_ota)["boot"]["on_trial"]
    otter("flash", "update", "--no-rollback", two_ota, v2)


def test_many_updates_alternate(two_ota, tmp_path):
    slots = []
    for n in range(5):
        image = create_image(tmp_path / "n.bin", version=f"2.0.{n}", seed=n, size=5000)
        slots.append(read_json("flash", "update", two_ota, image)["to"]["slot"])
        otter("flash", "boot", "--confirm", two_ota)
        assert boots(two_ota) == (slots[-1], f"2.0.{n}")
    assert slots == ["ota_0", "ota_1"] * 2 + ["ota_0"]
    assert sorted(c[0] for c in read_otadata(two_ota)) == [4, 5]


# --- what an update refuses ----------------------------------------------------------------------


def refuse(flash, image, words, *options, code=REFUSED):
    """Refused with this sentence; and the flash boots as it did, and takes a good one."""
    before = boots(flash)
    text = say("flash", "update", *options, flash, image, code=code)
    assert words in text
    assert boots(flash) == before


def test_F11_wrong_chip(two_ota, tmp_path):
    other = create_image(tmp_path / "o", chip="esp32c6")
    refuse(two_ota, other, "is for ESP32-C6, but")
    otter("flash", "update", "--chip", "z80", two_ota, other, code=USAGE)


def test_F11_wrong_project(two_ota, tmp_path):
    other = create_image(tmp_path / "o", project="toaster")
    refuse(two_ota, other, "is of project toaster, but")
    refuse(two_ota, other, "is of project toaster, but", "--project", "lamp")
    otter("flash", "update", "--project", "any", two_ota, other)
    otter("flash", "boot", "--confirm", two_ota)
    otter("flash", "update", "--project", "toaster", two_ota, other)


def test_F11_wrong_revision(two_ota, tmp_path):
    other = create_image(tmp_path / "o", min_rev=301)
    refuse(two_ota, other, "needs chip revision v3.1 or later")
    otter("flash", "update", "--chip-rev", 301, two_ota, other)


def test_F11_older(two_ota, v2, tmp_path):
    otter("flash", "update", two_ota, v2)
    otter("flash", "boot", "--confirm", two_ota)
    old = create_image(tmp_path / "o", version="1.0.9")
    refuse(two_ota, old, "is 1.0.9, which is before the running 1.1.0", "--not-older")
    otter("flash", "update", two_ota, old)


def test_F11_secure_version(tmp_path):
    secure = create_image(tmp_path / "s", secure_version=2)
    otter("flash", "create", "-i", secure, "-o", tmp_path / "f")
    plain = create_image(tmp_path / "p", secure_version=1)
    refuse(tmp_path / "f", plain, "lower secure version")


def test_F10_size_of_the_slot(two_ota, tmp_path):
    large = create_image(tmp_path / "l", size=0x100000 + 16)
    before = digest(two_ota)
    refuse(two_ota, large, "has 1,048,592 bytes, and ota_0 only 1,048,576")
    assert digest(two_ota) == before, "refused before anything is erased"
    otter("flash", "update", two_ota, create_image(tmp_path / "e", size=0x100000))
    otter("flash", "boot", "--confirm", two_ota)
    otter("flash", "update", two_ota, create_image(tmp_path / "e", size=0x100000, seed=3))


def test_bad_images(two_ota, v2, tmp_path):
    data = v2.read_bytes()
    before = digest(two_ota)
    for bad, words in ((data[:-1], "cut short"), (data[:1000], "cut short"), (b"", "is empty"),
                       (bytes([0xEA]) + data[1:], "not an ESP32"),
                       (data[:5000] + bytes([data[5000] ^ 1]) + data[5001:], "is damaged")):
        v2.write_bytes(bad)
        refuse(two_ota, v2, words, code=INVALID)
    otter("image", "create", "--no-digest", "-o", tmp_path / "n")
    refuse(two_ota, tmp_path / "n", "carries no SHA-256", code=INVALID)
    refuse(two_ota, tmp_path, "is a directory", code=INVALID)
    refuse(two_ota, tmp_path / "none", "No such file", code=FAILED)
    assert digest(two_ota) == before


def test_trailing_bytes(two_ota, v2):
    with open(v2, "ab") as file:
        file.write(bytes(4000))
    otter("flash", "update", two_ota, v2)
    otter("flash", "boot", "--confirm", two_ota)
    with open(v2, "ab") as file:
        file.write(bytes(20000))
    refuse(two_ota, v2, "too much data follows", code=INVALID)


def test_image_from_standard_input(two_ota, v2):
    otter("flash", "update", two_ota, "-", stdin=v2.read_bytes())
    assert boots(two_ota) == ("ota_0", "1.1.0")


def test_nothing_to_update(tmp_path, v1):
    otter("flash", "create", "-o", tmp_path / "f")
    assert "nothing boots" in say("flash", "update", tmp_path / "f", v1, code=INVALID)
    assert "nothing boots" in say("flash", "boot", tmp_path / "f", code=INVALID)
    assert read_json("flash", "boot", tmp_path / "f", code=INVALID)["boot"]["slot"] is None


def test_no_second_slot(tmp_path, v1):
    (tmp_path / "t.csv").write_text("nvs,data,nvs,,16K\nfactory,app,factory,,1M\n")
    otter("flash", "create", "-p", tmp_path / "t.csv", "-i", v1, "-o", tmp_path / "f")
    assert boots(tmp_path / "f") == ("factory", "1.0.0")
    assert "cannot be updated" in say("flash", "update", tmp_path / "f", v1, code=INVALID)


# --- power and signals ---------------------------------------------------------------------------


def test_killed_at_any_moment(flash, v2, tmp_path):
    """Killed at 50 random moments of an update: old or new boots, whole, and the next succeeds.
    Two in three by SIGKILL; Ctrl-C ends it in words."""
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    large = create_image(tmp_path / "large", version="1.1.0", size="500K", seed=9)
    start = time.monotonic()
    otter("flash", "update", flash, large)
    whole = time.monotonic() - start
    otter("flash", "boot", "--confirm", flash)
    seen = {"1.1.0": 0, "2.0.0": 0}
    new = create_image(tmp_path / "new", version="2.0.0", size="500K", seed=10)
    fresh = flash.read_bytes()
    for n in range(50):
        flash.write_bytes(fresh)
        run = subprocess.Popen([OTTER, "flash", "update", str(flash), str(new)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            run.wait(rng.uniform(0, whole))
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGINT if n % 3 == 0 else signal.SIGKILL)
        said = run.communicate()[1]
        assert run.returncode != FAILED or b"stopped: " in said and b"still boots" in said, said
        slot, version = boots(flash)
        assert version in seen, f"repeat with seed {seed}, round {n}: {slot} boots {version}"
        seen[version] += 1
        if version == "1.1.0":
            otter("flash", "update", flash, new)
        assert read_json("flash", "boot", "--confirm", flash)["boot"]["version"] == "2.0.0", \
            f"repeat with seed {seed}, round {n}"
    assert seen["1.1.0"] > 0, "no update was cut: the moments are too late"


def test_interrupted(two_ota, tmp_path):
    """Ctrl-C while the image comes in by a pipe, and while it is written."""
    before = digest(two_ota)
    run = subprocess.Popen([OTTER, "flash", "update", str(two_ota), "-"], stdin=subprocess.PIPE,
                           stderr=subprocess.PIPE)
    run.stdin.write(b"\xe9")
    run.stdin.flush()
    run.send_signal(signal.SIGINT)
    run.stdin.close()
    run.wait(timeout=20)
    assert run.returncode != OK
    assert digest(two_ota) == before


def test_flash_in_use(two_ota, v2):
    with open(two_ota, "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)  # as a program that writes it
        assert "in use" in say("flash", "info", two_ota, code=FAILED)
        assert "in use" in say("flash", "update", two_ota, v2, code=FAILED)
        fcntl.flock(other, fcntl.LOCK_SH)  # as one that reads it
        otter("flash", "info", two_ota)
        assert "in use" in say("flash", "boot", two_ota, code=FAILED)
        before = os.stat(two_ota).st_ino  # who has it open would go on with a file without a name
        assert "in use" in say("flash", "create", "-o", two_ota, code=FAILED)
        assert os.stat(two_ota).st_ino == before
    otter("flash", "update", two_ota, v2)


def test_create_killed_keeps_the_old_file(tmp_path):
    """The old bytes or the new ones, nothing between."""
    otter("flash", "create", "--size", "16M", "-o", tmp_path / "f")
    whole = {digest(tmp_path / "f")}
    otter("flash", "create", "--size", "8M", "-o", tmp_path / "g")
    whole.add(digest(tmp_path / "g"))
    rng = random.Random(5)
    for n in range(20):
        size = "8M" if n % 2 else "16M"
        run = subprocess.Popen([OTTER, "flash", "create", "--size", size, "-o",
                                str(tmp_path / "f")], stdout=subprocess.DEVNULL)
        try:
            run.wait(rng.uniform(0, 0.05))
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL if n % 4 < 2 else signal.SIGINT)
            run.wait()
            if n % 4 >= 2:
                assert not [f for f in os.listdir(tmp_path) if f.startswith("f.")], \
                    "a signal that can be caught leaves no copy behind"
        assert digest(tmp_path / "f") in whole
        for left in os.listdir(tmp_path):
            if left.startswith("f."):
                os.unlink(tmp_path / left)


# --- otadata by hand -----------------------------------------------------------------------------


@pytest.mark.parametrize("copies, slot", [
    ([(1, VALID), None], "ota_0"), ([(2, VALID), None], "ota_1"), ([None, (1, VALID)], "ota_0"),
    ([(1, VALID), (2, VALID)], "ota_1"), ([(3, VALID), (2, VALID)], "ota_0"),
    ([(3, ABORTED), (2, VALID)], "ota_1"), ([(3, INVALID_STATE), (2, ABORTED)], "factory"),
    ([(2, VALID), (2, ABORTED)], "ota_1"), ([(0xFFFFFFFE, VALID), (1, VALID)], "ota_1")])
def test_selection(copies, slot, two_ota, v1):
    with open(two_ota, "r+b") as file:
        for offset in (0x110000, 0x210000):
            file.seek(offset)
            file.write(v1.read_bytes())
    for i, copy in enumerate(copies):
        if copy:
            write_otadata(two_ota, i, *copy)
    facts = read_json("flash", "info", two_ota)
    assert facts["boot"]["slot"] == slot
    for i, copy in enumerate(copies):
        assert facts["otadata"]["copies"][i]["seq"] == (copy[0] if copy else None)
        assert facts["otadata"]["copies"][i]["crc_valid"] is (copy is not None)


def test_fallback_is_told(two_ota):
    write_otadata(two_ota, 0, 2, VALID)
    boot = read_json("flash", "info", two_ota)["boot"]
    assert boot["slot"] == "factory" and boot["selected"] == "ota_1" and boot["fell_back"]
    assert [t["slot"] for t in boot["tried"]] == ["ota_1", "ota_0", "factory"]
    text = otter("flash", "boot", two_ota).stdout.decode()
    assert "ota_1 does not boot: this is not an ESP32 application image" in text


# --- extract -------------------------------------------------------------------------------------


def test_extract(two_ota, v1, v2, tmp_path):
    otter("flash", "update", two_ota, v2)
    for slot, image in (("factory", v1), ("ota_0", v2)):
        otter("flash", "extract", two_ota, slot, "-o", tmp_path / "x")
        assert (tmp_path / "x").read_bytes() == image.read_bytes()
    whole = otter("flash", "extract", "--whole", two_ota, "ota_0", "-o", "-").stdout
    assert whole == v2.read_bytes().ljust(0x100000, b"\xff")
    made = read_json("flash", "extract", two_ota, "otadata", "-o", tmp_path / "x")
    assert made["size"] == 0x2000 and os.path.getsize(tmp_path / "x") == 0x2000
    assert "holds no valid image" in say("flash", "extract", two_ota, "ota_1", "-o",
                                         tmp_path / "y", code=INVALID)
    assert "there are nvs, otadata" in say("flash", "extract", two_ota, "ota_7", "-o",
                                           tmp_path / "y", code=FAILED)
    otter("flash", "extract", two_ota, "ota_0", code=USAGE)
    assert not os.path.exists(tmp_path / "y")


# --- real images ---------------------------------------------------------------------------------


@pytest.mark.skipif(not firmware("esp32-weather-*"), reason=NO_FIRMWARE)
def test_a_real_board(tmp_path):
    old, new = firmware("esp32-weather-0.1.1[23].bin")
    table, = firmware("esp32-weather-partitions.bin")
    bootloader, = firmware("esp32-weather-bootloader.bin")
    path = tmp_path / "board"
    # the table starts with ota_0 ("app0") and has no factory
    otter("flash", "create", "-p", table, "--bootloader", bootloader, "-i", old, "-o", path)
    facts = read_json("flash", "info", path)
    assert facts["bootloader_chip"] == "ESP32" and facts["boot"]["slot"] == "ota_0"
    otter("flash", "boot", path)
    otter("flash", "update", path, new)
    otter("flash", "boot", "--confirm", path)
    otter("flash", "extract", path, "ota_1", "-o", tmp_path / "x")
    with open(new, "rb") as file:
        assert (tmp_path / "x").read_bytes() == file.read()
    for other in firmware("esp32c6-side-0*.bin") + firmware("esp32s3-frame-0*.bin"):
        refuse(path, other, "runs on ESP32")


# --- bad flash files -----------------------------------------------------------------------------

COMMANDS = [["info"], ["boot"], ["confirm"], ["update", None, "v1.bin"],
            ["extract", None, "ota_0", "-o", "x"]]


def every_command(path, words, code, tmp_path):
    for command in COMMANDS:
        args = [path if a is None else a for a in command]
        args = args if path in args else args + [path]
        before = digest(path) if os.path.isfile(path) and os.path.getsize(path) < 1 << 28 else None
        text = say("flash", *args, code=code, cwd=tmp_path)
        assert words in text, (command, text)
        assert before is None or digest(path) == before


def test_bad_flash_files(two_ota, v1, tmp_path):
    data = two_ota.read_bytes()
    path = tmp_path / "bad"
    for bad, words in (
            (b"", "0 bytes"), (data[:1000], "64 KiB"), (data[:-1], "cut short"),
            (data[:0x100000], "after the flash's end"), (v1.read_bytes(), "otter image info"),
            (v1.read_bytes().ljust(1 << 20, b"\xff"), "otter image info"),
            (b"\xff" * (4 << 20), "no partition table"),
            (data[:0x8005] + b"\0" + data[0x8006:], "is not valid"),
            (data[:0x800C] + b"X" + data[0x800D:], "MD5 is wrong")):
        path.write_bytes(bad)
        every_command(path, words, INVALID, tmp_path)
    assert read_json("flash", "info", path, code=INVALID)["valid"] is False


def test_overlapping_partitions(two_ota, tmp_path):
    data = bytearray(two_ota.read_bytes())
    struct.pack_into("<I", data, 0x8000 + 5 * 32 + 4, 0x200000)  # ota_1 into ota_0
    struct.pack_into("<16s", data, 0x8000 + 6 * 32 + 16, hashlib.md5(data[0x8000:0x80C0]).digest())
    two_ota.write_bytes(data)
    every_command(two_ota, "the partitions ota_0 and ota_1 overlap at 0x200000", INVALID, tmp_path)


def test_no_flash_file(tmp_path):
    every_command(tmp_path, "directory", INVALID, tmp_path)
    every_command(tmp_path / "none", "No such file", FAILED, tmp_path)
    with open(tmp_path / "big", "wb") as file:
        file.truncate(3 << 30)
    every_command(tmp_path / "big", "128 MiB", INVALID, tmp_path)


def test_hostile_labels(two_ota, v1):
    data = bytearray(two_ota.read_bytes())
    data[0x800C:0x801C] = b"\x1b[31m\x07\xff\n".ljust(16, b"\0")
    data[0x80C0 + 16:0x80E0] = hashlib.md5(data[0x8000:0x80C0]).digest()
    two_ota.write_bytes(data)
    shown = otter("flash", "info", two_ota).stdout.decode()
    assert all(c.isprintable() or c == "\n" for c in shown) and "\\x1b[31m" in shown
    read_json("flash", "info", two_ota)
