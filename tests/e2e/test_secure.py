# SPDX-License-Identifier: Apache-2.0
"""Keys, signed images, and devices that demand them."""
import hashlib
import json
import os
import stat
import struct
import subprocess
import zlib

import pytest

import rogue
from lab import Device, make_image, otter, update


@pytest.fixture(scope="module", name="keys")
def make_keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    for name, kind in (("rsa", "rsa3072"), ("ec", "ecdsa256"), ("stranger", "ecdsa256")):
        otter("key", "generate", "--type", kind, "--public", folder / f"{name}.pub", "-o",
              folder / f"{name}.pem", check=0)
    return folder


@pytest.fixture(name="device")
def make_device(tmp_path):
    devices = []

    def start(*args, **more):
        devices.append(Device(tmp_path, *args, **more))
        return devices[-1]
    yield start
    for one in devices:
        one.stop()


def signed(folder, version, *keys, **more):
    path = make_image(folder / f"{version}.bin", version, **more)
    for i, key in enumerate(keys):
        otter("image", "sign", *(["--append"] if i else []), "--key", key, path, check=0)
    return path


def test_a_private_key_is_for_its_owner_and_never_replaced(keys):
    assert stat.S_IMODE(os.stat(keys / "rsa.pem").st_mode) == 0o600
    before = (keys / "rsa.pem").read_bytes()
    result = otter("key", "generate", "-o", keys / "rsa.pem", check=1)
    assert "never replaced" in result.stderr and (keys / "rsa.pem").read_bytes() == before


def test_the_public_key_replaces_no_private_one(keys, tmp_path):
    before = (keys / "rsa.pem").read_bytes()
    new = tmp_path / "new.pem"
    result = otter("key", "generate", "-o", new, "--public", keys / "rsa.pem", check=1)
    assert "never replaced" in result.stderr and (keys / "rsa.pem").read_bytes() == before
    assert not new.exists()
    same = f"{tmp_path}/../{tmp_path.name}/new.pem"
    otter("key", "generate", "--type", "ecdsa256", "-o", new, "--public", same, check=1)
    assert "PRIVATE KEY" in new.read_text()


def test_the_key_of_an_hmac_key(tmp_path):
    """The same 32 bytes make the same key, derived here once more by hand."""
    secret = tmp_path / "hmac.bin"
    secret.write_bytes(bytes(range(32)))
    otter("key", "generate", "--from-hmac", secret, "-o", tmp_path / "a.pem", "--public",
          tmp_path / "a.pub", check=0)
    salt = bytes.fromhex("0e2160642dae76d33448e43d7720123d9f3b1eceb88e573a4e8f7fb94ff0c869")
    number = hashlib.pbkdf2_hmac("sha256", secret.read_bytes(), salt, 2048).hex()
    shown = subprocess.run(["openssl", "pkey", "-in", tmp_path / "a.pem", "-text", "-noout"],
                           capture_output=True, text=True, check=True).stdout
    assert number.lstrip("0") in shown.replace(":", "").replace(" ", "").replace("\n", "")
    image = make_image(tmp_path / "i.bin", "1.1.0")
    file = encrypted(tmp_path, image, tmp_path / "a.pub")
    otter("image", "decrypt", "--key", tmp_path / "a.pem", "-o", tmp_path / "out", file, check=0)
    assert (tmp_path / "out").read_bytes() == image.read_bytes()
    secret.write_bytes(bytes(31))
    otter("key", "generate", "--from-hmac", secret, "-o", tmp_path / "b.pem", check=1)
    otter("key", "generate", "--from-hmac", secret, "--type", "rsa3072", "-o", tmp_path / "b.pem",
          check=2)


def test_digest_of_private_and_public_key(keys, tmp_path):
    for name in ("rsa", "ec"):
        digest = otter("key", "digest", keys / f"{name}.pem", check=0).stdout.strip()
        said = json.loads(otter("key", "digest", "--json", keys / f"{name}.pub", check=0).stdout)
        assert said["digest"] == digest and said["schema"] == "otter.key/1"
        otter("key", "digest", "-o", tmp_path / "digest", keys / f"{name}.pem", check=0)
        assert (tmp_path / "digest").read_bytes().hex() == digest


def test_the_layout_of_a_signed_file(keys, tmp_path):
    """Read without any of Otter's code."""
    plain = make_image(tmp_path / "plain.bin", "1.0.0", size=10_000)
    data = plain.read_bytes()
    for name, version in (("rsa", 2), ("ec", 3)):
        out = tmp_path / f"{name}.bin"
        otter("image", "sign", "--key", keys / f"{name}.pem", "-o", out, plain, check=0)
        file = out.read_bytes()
        assert len(file) == 12288 + 4096 and file[:len(data)] == data
        assert file[len(data):12288] == b"\xff" * (12288 - len(data))
        block = file[12288:12288 + 1216]
        assert block[:4] == bytes([0xE7, version, 0, 0])
        assert block[4:36] == hashlib.sha256(file[:12288]).digest()
        assert struct.unpack("<I", block[1196:1200])[0] == zlib.crc32(block[:1196])
        assert block[1200:] == bytes(16) and file[12288 + 1216:] == b"\xff" * (4096 - 1216)
        part = block[36:812] if version == 2 else block[36:101]
        digest = otter("key", "digest", keys / f"{name}.pem", check=0).stdout.strip()
        assert hashlib.sha256(part).hexdigest() == digest


def test_verify_with_a_key(keys, tmp_path):
    image = signed(tmp_path, "1.1.0", keys / "rsa.pem", keys / "ec.pem")
    for name in ("rsa.pem", "rsa.pub", "ec.pem", "ec.pub"):
        otter("image", "verify", "--key", keys / name, image, check=0)
    result = otter("image", "verify", "--key", keys / "stranger.pub", image, check=3)
    assert "a key that is not trusted" in result.stderr
    plain = make_image(tmp_path / "plain.bin", "1.1.0")
    result = otter("image", "verify", "--json", "--key", keys / "rsa.pub", plain, check=3)
    assert json.loads(result.stdout)["signature_valid"] is False
    result = otter("image", "sign", "--key", keys / "rsa.pub", plain, check=1)
    assert "the private one is needed" in result.stderr


def test_three_signatures_and_no_more(keys, tmp_path):
    image = signed(tmp_path, "1.1.0", keys / "rsa.pem", keys / "ec.pem", keys / "stranger.pem")
    result = otter("image", "sign", "--append", "--key", keys / "ec.pem", image, check=3)
    assert "three signatures already" in result.stderr
    otter("image", "sign", "--key", keys / "ec.pem", image, check=0)
    otter("image", "verify", "--key", keys / "rsa.pem", image, check=3)


@pytest.mark.parametrize("protocol", ["espble", "gattota"])
@pytest.mark.parametrize("key", ["rsa", "ec"])
def test_a_device_takes_what_a_trusted_key_signed(device, keys, tmp_path, protocol, key):
    d = device("--require-signature", "--trust", keys / "rsa.pub", "--trust", keys / "ec.pub")
    image = signed(tmp_path, "1.1.0", keys / f"{key}.pem")
    assert update("--protocol", protocol, d.target, image)["exit_code"] == 0
    assert d.holds(image)


def test_the_tool_says_beforehand_what_the_device_demands(device, keys, tmp_path):
    d = device("--require-signature", "--trust", keys / "rsa.pub")
    plain = make_image(tmp_path / "plain.bin", "1.1.0")
    result = update(d.target, plain)
    assert result["exit_code"] == 4
    assert "takes signed images only; nothing was sent" in result["message"]
    assert d.runs("1.0.0")


@pytest.mark.parametrize("protocol", ["espble", "gattota"])
def test_a_device_refuses_what_is_not_signed_well(device, keys, tmp_path, protocol):
    d = device("--require-signature", "--trust", keys / "rsa.pub")
    plain = make_image(tmp_path / "plain.bin", "1.1.0")
    stranger = signed(tmp_path, "1.2.0", keys / "stranger.pem")
    damaged = signed(tmp_path, "1.3.0", keys / "rsa.pem")
    with open(damaged, "r+b") as file:
        file.seek(-4096 + 900, os.SEEK_END)
        file.write(b"x")
    for image, why in ((plain, "not signed"), (stranger, "not trusted"), (damaged, "damaged")):
        result = update("--force", "--protocol", protocol, d.target, image)
        assert result["exit_code"] == 4, result
        d.log.wait("update: ended, .*" + why)
    good = signed(tmp_path, "1.4.0", keys / "rsa.pem")
    assert update(d.target, good)["exit_code"] == 0
    assert d.holds(good)


def test_signed_over_hosted(device, keys, tmp_path):
    line = tmp_path / "line"
    d = device("--require-signature", "--trust", keys / "ec.pub", "--hosted", line)
    plain = make_image(tmp_path / "plain.bin", "1.1.0")
    stranger = signed(tmp_path, "1.2.0", keys / "stranger.pem")
    for image, why in ((plain, "not signed"), (stranger, "not trusted")):
        result = update(f"hosted:{line}", image)
        assert result["exit_code"] == 4 and why in result["message"], result
    image = signed(tmp_path, "1.3.0", keys / "ec.pem")
    assert update(f"hosted:{line}", image)["exit_code"] == 0
    d.log.wait("1.3.0 confirmed")
    assert d.holds(image)


def test_a_replayed_older_image_is_refused(device, keys, tmp_path):
    """Signed, whole, and older: by secure version always, by version text when policy says so."""
    d = device("--require-signature", "--trust", keys / "ec.pub", "--not-older")
    new = tmp_path / "new.bin"
    otter("image", "create", "--version", "2.0.0", "--secure-version", 2, "-o", new, check=0)
    otter("image", "sign", "--key", keys / "ec.pem", new, check=0)
    assert update(d.target, new)["exit_code"] == 0
    old = tmp_path / "old.bin"
    for version, secure, why in (("3.0.0", 1, "lower secure version"), ("1.9.0", 2, "older")):
        otter("image", "create", "--version", version, "--secure-version", secure, "-o", old,
              check=0)
        otter("image", "sign", "--key", keys / "ec.pem", old, check=0)
        assert update("--force", d.target, old)["exit_code"] == 4
        d.log.wait("update: ended, .*" + why)
    assert d.holds(new)


def test_a_device_without_the_demand_takes_both(device, keys, tmp_path):
    d = device()
    assert update(d.target, signed(tmp_path, "1.1.0", keys / "rsa.pem"))["exit_code"] == 0
    assert update(d.target, make_image(tmp_path / "plain.bin", "1.2.0"))["exit_code"] == 0
    assert d.runs("1.2.0")


def encrypted(folder, image, key):
    path = folder / (image.name + ".enc")
    otter("image", "encrypt", "--key", key, "-o", path, image, check=0)
    return path


@pytest.mark.parametrize("key", ["rsa", "ec"])
def test_encrypt_and_decrypt(keys, tmp_path, key):
    image = make_image(tmp_path / "i.bin", "1.1.0")
    file = encrypted(tmp_path, image, keys / f"{key}.pub")
    data = file.read_bytes()
    assert data[:4] == bytes.fromhex("cfb68807") and len(data) == 512 + 100_000
    assert struct.unpack_from("<I", data, 404)[0] == 100_000 and data[424:512] == bytes(88)
    otter("image", "decrypt", "--key", keys / f"{key}.pem", "-o", tmp_path / "out", file, check=0)
    assert (tmp_path / "out").read_bytes() == image.read_bytes()
    for at in (0, 10, 390, 405, 410, 430, 600, -1):
        bad = bytearray(data)
        bad[at] ^= 1
        (tmp_path / "bad").write_bytes(bad)
        otter("image", "decrypt", "--key", keys / f"{key}.pem", "-o", tmp_path / "none",
              tmp_path / "bad", check=3)
    otter("image", "decrypt", "--key", keys / "stranger.pem", "-o", tmp_path / "none", file,
          check=3)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("protocol", ["espble", "gattota"])
@pytest.mark.parametrize("key", ["rsa", "ec"])
def test_a_device_takes_what_is_encrypted_for_it(device, keys, tmp_path, protocol, key):
    d = device("--require-encryption", "--key", keys / f"{key}.pem")
    image = make_image(tmp_path / "i.bin", "1.1.0")
    result = update("--protocol", protocol, d.target, encrypted(tmp_path, image, keys / f"{key}.pub"))
    assert result["exit_code"] == 0 and result["confirmed"] is True, result
    assert d.holds(image)


def test_signed_and_encrypted(device, keys, tmp_path):
    d = device("--require-signature", "--trust", keys / "ec.pub", "--require-encryption", "--key",
               keys / "rsa.pem")
    unsigned = make_image(tmp_path / "u.bin", "1.1.0")
    result = update(d.target, encrypted(tmp_path, unsigned, keys / "rsa.pub"))
    assert result["exit_code"] == 4
    d.log.wait("update: ended, .*not signed")
    image = signed(tmp_path, "1.2.0", keys / "ec.pem")
    result = update(d.target, image)
    assert result["exit_code"] == 4 and "encrypted images only; nothing was sent" in result["message"]
    assert update(d.target, encrypted(tmp_path, image, keys / "rsa.pub"))["exit_code"] == 0
    assert d.holds(image)


def test_a_device_refuses_what_it_cannot_decrypt(device, keys, tmp_path):
    d = device("--require-encryption", "--key", keys / "rsa.pem")
    image = make_image(tmp_path / "i.bin", "1.1.0")
    good = encrypted(tmp_path, image, keys / "rsa.pub")
    (tmp_path / "tag").write_bytes(good.read_bytes()[:408] + bytes(16) + good.read_bytes()[424:])
    other = encrypted(tmp_path, make_image(tmp_path / "o.bin", "1.1.0"), keys / "ec.pub")
    for file, args, why in ((image, ["--force"], "is not encrypted"), (other, [], ""),
                            (tmp_path / "tag", [], "is damaged")):
        result = update(*args, d.target, file)
        assert result["exit_code"] == 4, result
        d.log.wait("update: refused, .*" + why)
    assert d.runs("1.0.0")
    d.start("--require-encryption", "--key", keys / "rsa.pem")
    assert update(d.target, good)["exit_code"] == 0
    assert d.holds(image)


def test_encrypted_over_hosted(device, keys, tmp_path):
    line = tmp_path / "line"
    d = device("--require-encryption", "--key", keys / "rsa.pem", "--hosted", line)
    image = make_image(tmp_path / "i.bin", "1.1.0")
    assert update(f"hosted:{line}", image)["exit_code"] == 4
    assert update(f"hosted:{line}", encrypted(tmp_path, image, keys / "rsa.pub"))["exit_code"] == 0
    d.log.wait("confirmed")
    assert d.holds(image)


def test_the_tool_knows_what_a_device_does_not_take(device, keys, tmp_path):
    d = device()
    image = make_image(tmp_path / "i.bin", "1.1.0")
    file = encrypted(tmp_path, image, keys / "rsa.pub")
    result = update(d.target, file)
    assert result["exit_code"] == 4 and "takes plain images" in result["message"]
    file.write_bytes(file.read_bytes()[:-1])
    assert update(d.target, file)["exit_code"] == 3


def test_encrypted_and_pulled(device, keys, tmp_path):
    image = signed(tmp_path, "1.1.0", keys / "rsa.pem")
    file = encrypted(tmp_path, image, keys / "ec.pub")
    server = rogue.Rogue(rogue.Site.get().good, file.read_bytes())
    try:
        d = device(*rogue.Site.get().options(server), "--require-encryption", "--key",
                   keys / "ec.pem", "--require-signature", "--trust", keys / "rsa.pub")
        d.log.wait("1.1.0 confirmed")
        assert d.holds(image)
    finally:
        server.close()


@pytest.mark.parametrize("protocol", ["espble", "gattota"])
def test_a_device_that_takes_both(device, keys, tmp_path, protocol):
    """It has a key and demands nothing: the first bytes of an image tell its kind."""
    d = device("--key", keys / "ec.pem")
    plain = make_image(tmp_path / "p.bin", "1.1.0")
    assert update("--protocol", protocol, d.target, plain)["exit_code"] == 0
    image = make_image(tmp_path / "i.bin", "1.2.0")
    file = encrypted(tmp_path, image, keys / "ec.pub")
    assert update("--protocol", protocol, d.target, file)["exit_code"] == 0
    (tmp_path / "tag").write_bytes(file.read_bytes()[:408] + bytes(16) + file.read_bytes()[424:])
    assert update("--protocol", protocol, d.target, tmp_path / "tag")["exit_code"] == 4
    d.log.wait("update: refused, .*is damaged")
    assert d.holds(image)


def test_a_device_that_takes_both_over_hosted(device, keys, tmp_path):
    line = tmp_path / "line"
    d = device("--key", keys / "rsa.pem", "--hosted", line)
    plain = make_image(tmp_path / "p.bin", "1.1.0")
    assert update(f"hosted:{line}", plain)["exit_code"] == 0
    d.log.wait("1.1.0 confirmed")
    image = make_image(tmp_path / "i.bin", "1.2.0")
    assert update(f"hosted:{line}", encrypted(tmp_path, image, keys / "rsa.pub"))["exit_code"] == 0
    d.log.wait("1.2.0 confirmed")
    assert d.holds(image)


@pytest.mark.parametrize("kind", ["plain", "encrypted"])
def test_a_device_that_takes_both_pulls(device, keys, tmp_path, kind):
    image = make_image(tmp_path / "i.bin", "1.1.0")
    file = image if kind == "plain" else encrypted(tmp_path, image, keys / "ec.pub")
    server = rogue.Rogue(rogue.Site.get().good, file.read_bytes())
    try:
        d = device(*rogue.Site.get().options(server), "--key", keys / "ec.pem")
        d.log.wait("1.1.0 confirmed")
        assert d.holds(image)
    finally:
        server.close()


def versions(folder):
    """An older image, one that is older only by its secure version, and a newer one."""
    made = {}
    for name, version, secure in (("old", "1.9.0", 2), ("insecure", "3.0.0", 1), ("new", "2.0.0", 2)):
        made[name] = folder / f"{name}.bin"
        otter("image", "create", "--version", version, "--secure-version", secure, "-o", made[name],
              check=0)
    return made


def test_the_host_asks_for_an_older_version_and_the_device_refuses(device, tmp_path):
    image = versions(tmp_path)
    d = device("--not-older")
    assert update(d.target, image["new"])["exit_code"] == 0
    result = update("--allow-downgrade", d.target, image["old"])
    assert result["exit_code"] == 4 and "takes no older one; nothing was sent" in result["message"]
    assert update("--allow-downgrade", "--force", d.target, image["old"])["exit_code"] == 4
    d.log.wait("update: ended, .*older")
    assert d.runs("2.0.0")


@pytest.mark.parametrize("protocol", ["espble", "gattota"])
def test_the_host_asks_for_an_older_version_and_the_device_takes_it(device, tmp_path, protocol):
    image = versions(tmp_path)
    d = device("--older-if-asked")
    way = ("--protocol", protocol, d.target)
    assert update(*way, image["new"])["exit_code"] == 0
    result = update(*way, image["old"])
    assert result["exit_code"] == 4 and "--allow-downgrade asks it" in result["message"]
    assert update("--force", *way, image["old"])["exit_code"] == 4
    d.log.wait("update: ended, .*older")
    assert update("--allow-downgrade", *way, image["insecure"])["exit_code"] == 4
    d.log.wait("update: ended, .*lower secure version")
    assert update("--force", *way, image["old"])["exit_code"] == 4  # asked once, not for ever
    assert update("--allow-downgrade", *way, image["old"])["exit_code"] == 0
    d.log.wait("of an older version, as asked")
    assert d.holds(image["old"])


def test_an_older_encrypted_version_is_asked_for_too(device, keys, tmp_path):
    image = versions(tmp_path)
    d = device("--older-if-asked", "--require-encryption", "--key", keys / "ec.pem")
    file = {name: encrypted(tmp_path, path, keys / "ec.pub") for name, path in image.items()}
    assert update(d.target, file["new"])["exit_code"] == 0
    assert update(d.target, file["old"])["exit_code"] == 4
    assert update("--allow-downgrade", d.target, file["old"])["exit_code"] == 0
    assert d.holds(image["old"])


def test_a_wired_device_cannot_be_asked(device, tmp_path):
    image = versions(tmp_path)
    line = tmp_path / "line"
    d = device("--older-if-asked", "--hosted", line)
    assert update(d.target, image["new"])["exit_code"] == 0
    result = update("--allow-downgrade", f"hosted:{line}", image["old"])
    assert result["exit_code"] == 4 and "older than policy allows" in result["message"]
    d.log.wait("update: ended, .*older")
    assert d.runs("2.0.0")
