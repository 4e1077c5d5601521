# SPDX-License-Identifier: Apache-2.0
"""What goes wrong, and how it ends: every time with one whole image that boots, and a fresh
attempt that succeeds."""
import signal
import socket
import struct

import pytest

from lab import Update, otter, update

SLOW = ("--link-rate", "100000")  # so that there is a middle to break things in


@pytest.mark.parametrize("self_test,line", [
    ("fail", "self-test: failed, rolling back"),
    ("crash", "self-test: crashed"),
    ("hang", "self-test: watchdog reset"),
])
@pytest.mark.parametrize("protocol", ["espble", "gattota"])
def test_F12_F13_an_image_that_fails_its_self_test_is_rolled_back(device, image, self_test, line,
                                                                  protocol):
    d = device("--self-test", self_test, "--self-test-timeout", "200")
    result = update("--protocol", protocol, d.target, image("1.1.0"))
    assert result["outcome"] == "rolled-back" and result["exit_code"] == 6
    assert result["confirmed"] is False and result["new_version"] == "1.0.0"
    assert "rolled back" in result["message"]
    d.log.wait(line)
    scan = otter("scan", "att:" + d.folder, check=0).stdout
    assert "rolled back" in scan
    assert d.runs("1.0.0")
    d.start()
    assert update(d.target, image("1.2.0"))["outcome"] == "updated"
    assert d.runs("1.2.0")


def test_F12_a_self_test_that_fails_while_the_tool_watches(device, image):
    d = device("--self-test", "fail", "--self-test-time", "300")
    job = Update(d.target, image("1.1.0"))
    job.log.wait('"phase":"confirming"')
    assert job.end()["outcome"] == "rolled-back"


def test_a_second_rollback_in_a_row_is_told_too(device, image):
    d = device("--self-test", "fail")
    assert update(d.target, image("1.1.0"))["outcome"] == "rolled-back"
    # It says the same before and after: that takes a while to be sure of.
    assert update(d.target, image("1.2.0"))["outcome"] == "rolled-back"


def test_a_device_that_does_not_restart(device, image):
    d = device("--restart-delay", "60000")
    result = update("--timeout", "1", d.target, image("1.1.0"))
    assert result["exit_code"] == 6 and "did not restart within 1 s" in result["message"]


def test_once_tells_a_rollback(device, image):
    d = device("--once", "--self-test", "fail")
    update("--no-wait", d.target, image("1.1.0"))
    assert d.process.wait(60) == 6
    assert d.runs("1.0.0")


@pytest.mark.parametrize("make,code,words", [
    ({"chip": "esp32s3"}, 4, "ESP32-S3"),
    ({"project": "garage"}, 4, "garage"),
])
def test_F11_wrong_chip_or_project_is_not_sent(device, image, make, code, words):
    d = device()
    result = update(d.target, image("1.1.0", **make))
    assert result["exit_code"] == code and words in result["message"]
    assert "nothing was sent" in result["message"]
    assert "update: begins" not in d.log.text()


@pytest.mark.parametrize("protocol", ["espble", "gattota"])
@pytest.mark.parametrize("make", [{"chip": "esp32s3"}, {"project": "garage"}])
def test_F11_the_device_refuses_it_too(device, image, make, protocol):
    d = device()
    result = update("--force", "--protocol", protocol, d.target, image("1.1.0", **make))
    assert result["exit_code"] == 4 and "refused" in result["message"]
    d.log.wait("update: ended")
    assert update(d.target, image("1.2.0"))["outcome"] == "updated"
    assert d.runs("1.2.0")


def test_F11_an_older_version_by_policy(device, image):
    d = device("--not-older", version="2.0.0")
    assert update(d.target, image("1.9.0"))["exit_code"] == 4
    assert update(d.target, image("2.0.1"))["outcome"] == "updated"


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text"])
def test_a_bad_image_is_not_sent(device, image, damage):
    d = device()
    path = image("1.1.0")
    with open(path, "r+b") as file:
        data = bytearray(file.read())
        if damage == "truncated":
            data = data[:-1]
        elif damage == "flipped":
            data[5000] ^= 1
        elif damage == "empty":
            data = b""
        else:
            data = b"<html>404 Not Found</html>" * 50
        file.seek(0)
        file.truncate()
        file.write(data)
    result = update(d.target, path)
    assert result["exit_code"] == 3 and result["outcome"] == "bad-image"
    assert "connected" not in d.log.text()


def test_F10_an_image_larger_than_the_slot_is_refused_at_once(device, image):
    d = device()
    result = update(d.target, image("1.1.0", size=1_600_000))
    assert result["exit_code"] == 4 and result["sent"] == 0
    assert update(d.target, image("1.1.1", size=1_572_864))["outcome"] == "updated"


def test_F14_an_update_while_the_image_is_on_trial_is_refused(device, image):
    d = device("--self-test-time", "60000")
    job = Update(d.target, image("1.1.0"))
    job.log.wait('"phase":"confirming"')
    result = update(d.target, image("1.2.0"))
    assert result["exit_code"] == 4 and "has not confirmed" in result["message"]
    job.signal(signal.SIGTERM)
    assert job.end()["exit_code"] == 6


def test_the_device_dies_in_the_middle(device, image):
    d = device(*SLOW)
    job = Update(d.target, image("1.1.0"))
    job.wait_percent(30)
    d.kill()
    result = job.end()
    assert result["exit_code"] == 5 and "keeps its firmware" in result["message"]
    assert d.runs("1.0.0")
    d.start()
    assert update(d.target, image("1.1.0"))["outcome"] == "updated"
    assert d.runs("1.1.0")


@pytest.mark.parametrize("protocol", ["espble", "gattota"])
def test_ctrl_c_stops_cleanly(device, image, protocol):
    d = device(*SLOW)
    job = Update("--protocol", protocol, d.target, image("1.1.0", size=200_000))
    job.wait_percent(20)
    job.signal(signal.SIGINT)
    result = job.end()
    assert result["outcome"] == "cancelled" and result["exit_code"] == 1
    d.log.wait("update: ended")
    assert update(d.target, image("1.2.0"))["outcome"] == "updated"
    assert d.runs("1.2.0")


def test_a_second_ctrl_c_ends_at_once(device, image):
    d = device("--link-rate", "20000")
    job = Update("--mtu", "23", d.target, image("1.1.0"))
    job.wait_percent(5)
    job.signal(signal.SIGINT)
    job.signal(signal.SIGINT)
    assert job.end()["outcome"] == "cancelled"
    d.log.wait("client 1 gone")
    assert d.runs("1.0.0")


@pytest.mark.parametrize("first", ["espble", "gattota"])
@pytest.mark.parametrize("second", ["espble", "gattota"])
def test_B09_a_second_client_is_refused(device, image, first, second):
    d = device(*SLOW)
    job = Update("--protocol", first, d.target, image("1.1.0", size=150_000))
    job.wait_percent(10)
    with job.paused():
        result = update("--protocol", second, d.target, image("1.2.0"))
    assert result["exit_code"] == 4 and "refused" in result["message"]
    assert job.end()["outcome"] == "updated"
    assert d.runs("1.1.0")


@pytest.mark.parametrize("first,second", [("att", "hosted"), ("hosted", "att")])
def test_B09_one_update_across_all_transports(device, folder, image, first, second):
    d = device(*SLOW, "--flash-speed", "real", "--hosted", f"unix:{folder}/h")
    targets = {"att": d.target, "hosted": f"hosted:unix:{folder}/h"}
    job = Update(targets[first], image("1.1.0", size=150_000))
    job.wait_percent(10)
    with job.paused():
        result = update(targets[second], image("1.2.0"))
    assert result["exit_code"] == 4 and "refused" in result["message"]
    assert job.end()["outcome"] == "updated"
    assert d.runs("1.1.0")


class RawEspble:
    """A client that sends what it is told to, and waits for nothing but what ATT makes it wait for.
    """

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(path)
        self.ask(struct.pack("<BH", 2, 247))
        self.handle = {uuid: self.value_handle(uuid) for uuid in (0x8020, 0x8022)}

    def ask(self, pdu):
        self.socket.send(pdu)
        while (answer := self.socket.recv(600))[0] in (0x1B, 0x1D):
            pass
        return answer

    def value_handle(self, uuid):
        """Reading it by its type is refused, and the refusal says where it is."""
        answer = self.ask(struct.pack("<BHHH", 8, 1, 0xFFFF, uuid))
        return struct.unpack("<BBHB", answer)[2]

    @staticmethod
    def crc(data, crc=0):
        for byte in data:
            crc ^= byte << 8
            for _ in range(8):
                crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
        return crc

    def start(self, length):
        body = struct.pack("<HI12x", 1, length)
        answer = self.ask(struct.pack("<BH", 0x12, self.handle[0x8022]) + body +
                          struct.pack("<H", self.crc(body)))
        assert answer == b"\x13"

    def packets(self, firmware, payload=238):
        for sector in range(0, len(firmware), 4096):
            data = firmware[sector:sector + 4096]
            parts = [data[i:i + payload] for i in range(0, len(data), payload)]
            for seq, part in enumerate(parts):
                last = seq == len(parts) - 1
                yield struct.pack("<HB", sector // 4096, 255 if last else seq) + part + \
                    (struct.pack("<H", self.crc(data)) if last else b"")

    def send(self, packet):
        self.socket.send(struct.pack("<BH", 0x52, self.handle[0x8020]) + packet)


def test_B07_the_link_is_lost_after_every_packet(device, image):
    d = device()
    path = image("1.1.0", size=12_000)
    with open(path, "rb") as file:
        firmware = file.read()
    count, gone = 0, -1
    while True:
        client = RawEspble(d.socket)
        client.start(len(firmware))
        packets = list(client.packets(firmware))
        for packet in packets[:count]:
            client.send(packet)
        client.socket.close()
        if count == len(packets):
            break
        # The next one would be a second client as long as the device has not seen this one go.
        gone = d.log.wait("client .* gone", gone + 1)
        count += 1
    # All of them arrived before the link went: that is an update.
    d.log.wait("self-test: passed, 1.1.0 confirmed")
    assert count > 40 and d.log.text().count("whole and verified") == 1
    assert d.holds(path)


def test_the_tool_dies_in_the_middle(device, image):
    d = device(*SLOW)
    job = Update(d.target, image("1.1.0"))
    job.wait_percent(30)
    job.process.kill()
    d.log.wait("update: ended")
    assert update(d.target, image("1.2.0"))["outcome"] == "updated"
    assert d.runs("1.2.0")


def test_nobody_there(folder, image):
    result = update(f"att:{folder}/nobody", image("1.1.0"))
    assert result["exit_code"] == 5 and "no such socket" in result["message"]
    result = update("att:" + "x" * 200, image("1.1.0"))
    assert result["exit_code"] == 2


def test_a_device_that_never_comes_back(device, image):
    d = device("--self-test", "hang", "--self-test-timeout", "60000")
    result = update("--timeout", "1", d.target, image("1.1.0"))
    assert result["exit_code"] == 6 and "did not come back" in result["message"]


def test_a_device_without_update_services(folder, image):
    """A peer that answers everything with Request Not Supported."""
    path = f"{folder}/peer"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen(1)
        job = Update("att:" + path, image("1.1.0"))
        peer, _ = listener.accept()
        with peer:
            while pdu := peer.recv(600):
                error = 0x0A if pdu[0] == 0x10 else 6
                peer.send(struct.pack("<BBHB", 1, pdu[0], 0, error))
            result = job.end()
    assert result["exit_code"] == 4 and "no update service" in result["message"]


def test_raw_clients_cannot_hurt_it(device, image):
    """Strange PDUs, floods and hang-ups beside an update that goes on."""
    d = device(*SLOW)
    job = Update(d.target, image("1.1.0", size=150_000))
    job.wait_percent(10)
    for pdus in ([b"\x00"], [b"\xff" * 517], [b"\x16\x08\x00\x00\x00abc", b"\x18\x01"],
                 [b"\x12\x09\x00\x01\x00"] * 50, [b"\x52\x08\x00" + b"z" * 20] * 300,
                 [b"\x02\x01\x00", b"\x10\x00\x00\xff\xff\x00\x28"], [b"x" * 600]):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.connect(d.socket)
            s.setblocking(False)
            for pdu in pdus:
                try:
                    s.send(pdu)
                except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                    break
    assert job.end()["outcome"] == "updated"
    assert d.runs("1.1.0")
