#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the hand-made seeds of the image, partition, otadata, ATT and identity targets into corpus/. The hash in
them is the stand-in of fuzz.c. What a fuzzer found on its way is added beside them."""
import os
import struct
import zlib

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")
BLANK = b"\xff"


def fnv(data, size):
    state = 0x811C9DC5
    for byte in data:
        state = (state ^ byte) * 0x01000193 & 0xFFFFFFFF
    return bytes((state >> i % 4 * 8 ^ i) & 0xFF for i in range(size))


def save(target, name, data):
    folder = os.path.join(CORPUS, target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


# --- image --------------------------------------------------------------------------------------


def description(version=b"1.0.0"):
    return struct.pack("<II8x32s32s16s16s32s32sHHB75x", 0xABCD5432, 0, version, b"demo",
                       b"12:00:00", b"Jan  1 2025", b"v5.4", bytes(range(32)), 0, 65535, 16)


def image(segments, chip=5, digest=True):
    out = struct.pack("<BBBBI4xHBHH4xB", 0xE9, len(segments), 2, 0x20, 0x42000020, chip, 0, 0,
                      65535, digest)
    checksum = 0xEF
    for address, data in segments:
        out += struct.pack("<II", address, len(data)) + data
        for byte in data:
            checksum ^= byte
    out += bytes(15 - len(out) % 16) + bytes([checksum])
    return out + (fnv(out, 32) if digest else b"")


def image_input(data, limit=0x100000, seed=1):
    return struct.pack("<II", limit, seed) + data


def image_seeds():
    plain = image([(0x3C000020, description()), (0x3FC80000, b"data" * 8)])
    save("image", "two-segments", image_input(plain))
    save("image", "ends-at-limit", image_input(plain, len(plain)))
    save("image", "above-limit", image_input(plain, len(plain) - 1))
    save("image", "trailing-bytes", image_input(plain + b"\xff" * 40))
    save("image", "truncated", image_input(plain[:-1]))
    save("image", "no-digest", image_input(image([(0x3C000020, description())], digest=False)))
    save("image", "no-description", image_input(image([(0x40380000, b"code" * 4)])))
    save("image", "empty-segments", image_input(image([(0x40380000, b"")] * 16)))
    save("image", "bad-mapping", image_input(image([(0x3C000030, description())])))
    save("image", "segment-above-16-MiB",
         image_input(plain[:28] + struct.pack("<I", 0x1000000) + plain[32:]))


# --- partition table ----------------------------------------------------------------------------


def row(kind, subtype, offset, size, label, flags=0):
    return struct.pack("<HBBII16sI", 0x50AA, kind, subtype, offset, size, label, flags)


TWO_OTA = [row(1, 2, 0x9000, 0x4000, b"nvs"), row(1, 0, 0xD000, 0x2000, b"otadata"),
           row(1, 1, 0xF000, 0x1000, b"phy_init"), row(0, 0, 0x10000, 0x100000, b"factory"),
           row(0, 0x10, 0x110000, 0x100000, b"ota_0"), row(0, 0x11, 0x210000, 0x100000, b"ota_1")]
NO_FACTORY = [row(1, 2, 0x9000, 0x4000, b"nvs"), row(1, 0, 0xD000, 0x2000, b"otadata"),
              row(0, 0x10, 0x10000, 0x180000, b"ota_0"), row(0, 0x11, 0x190000, 0x180000, b"ota_1")]


def table(rows, flash=0x400000, md5=True):
    out = b"".join(rows)
    if md5:
        out += b"\xeb\xeb" + BLANK * 14 + fnv(out, 16)
    return struct.pack("<I", flash) + out + BLANK * 32


def partition_seeds():
    save("partition", "two-ota", table(TWO_OTA))
    save("partition", "no-factory-no-md5", table(NO_FACTORY, md5=False))
    save("partition", "any-flash-size", table(NO_FACTORY, flash=0))
    save("partition", "outside-flash", table(TWO_OTA, flash=0x200000))
    save("partition", "overlap", table(TWO_OTA + [row(1, 0x82, 0x300000, 0x20000, b"spiffs")]))
    save("partition", "gap-in-slots", table([TWO_OTA[1], row(0, 0x11, 0x10000, 0x10000, b"b")]))
    save("partition", "full-label", table([row(0, 0, 0x10000, 0x10000, b"sixteen-letters!")]))
    save("partition", "wraps", table([row(0, 0, 0xFFFF0000, 0x10000, b"end")], flash=0))
    save("partition", "bad-md5", table(TWO_OTA)[:-33] + b"\0" + BLANK * 32)
    save("partition", "no-end-row", table(TWO_OTA)[:-32])
    many = [row(0, 0x10 + i, 0x10000 * (i + 1), 0x10000, b"ota_%d" % i) for i in range(16)]
    save("partition", "sixteen-slots", table(many))


# --- otadata ------------------------------------------------------------------------------------


def copy(seq, state=0xFFFFFFFF, crc=None):
    if crc is None:
        crc = zlib.crc32(struct.pack("<I", seq), 0xFFFFFFFF)
    return struct.pack("<I20sII", seq, BLANK * 20, state, crc)


def otadata(slot, slots, first, second, mend=0):
    return bytes([slot, slots, mend]) + first + second


def otadata_seeds():
    blank = BLANK * 32
    save("otadata", "blank", otadata(0, 2, blank, blank))
    save("otadata", "first-update", otadata(1, 2, copy(1, 2), blank))
    save("otadata", "other-copy", otadata(0, 2, copy(1, 2), copy(2, 2)))
    save("otadata", "in-place", otadata(1, 2, copy(1, 2), copy(2, 1)))
    save("otadata", "tie", otadata(1, 2, copy(2, 2), copy(2, 2)))
    save("otadata", "aborted", otadata(1, 2, copy(1, 2), copy(2, 4)))
    save("otadata", "bad-crc", otadata(1, 2, copy(1, 2, 0), copy(2, 2, 0)))
    save("otadata", "mended-crc", otadata(2, 3, copy(7, 0, 0), copy(8, 1, 0), mend=7))
    save("otadata", "last-seq", otadata(0, 2, copy(0xFFFFFFFE, 2), copy(0xFFFFFFFD, 2)))
    save("otadata", "sixteen-slots", otadata(15, 16, copy(0xFFFFFFF0, 2), blank))
    save("otadata", "seq-0-three-slots", otadata(2, 3, copy(0, 2), blank))
    save("otadata", "seq-0", otadata(0, 2, copy(0, 2), blank))


# --- fuota --------------------------------------------------------------------------------------

OK, PART, NOTHING, MOVED, BUSY = 0, 1, 2, 3, 7  # statuses, as fuzz_fuota.c numbers them
LENGTH, RANGE, ETAG, LOCATION, RETRY = 0, 1, 2, 3, 4  # header names


def answer(status, headers=(), body=b"", end=0, seconds=0):
    out = bytes([status, len(headers)])
    for name, value in headers:
        out += bytes([name, len(value)]) + value
    return out + struct.pack("<H", len(body)) + body + bytes([end, seconds])


def fuota_seeds():
    offer = answer(OK, [(LENGTH, b"5")], b"a.bin")
    save("fuota", "update", offer + answer(OK, [(LENGTH, b"100")], bytes(100)))
    save("fuota", "no-update", answer(NOTHING, [(RETRY, b"60")]) + answer(4))
    save("fuota", "resume", offer + answer(OK, [(LENGTH, b"100"), (ETAG, b'"x"')], bytes(40), 2) +
         answer(PART, [(RANGE, b"bytes 40-99/100"), (ETAG, b'"x"')], bytes(60)))
    save("fuota", "redirect", answer(MOVED, [(LOCATION, b"https://other/x")]) +
         answer(MOVED, [(LOCATION, b"/y")]) + offer + answer(OK, body=bytes(50)))
    save("fuota", "busy", answer(BUSY, [(RETRY, b"Fri, 31 Dec 1999 23:59:59 GMT"),
                                        (5, b"Fri, 31 Dec 1999 23:50:00 GMT")]) + offer)
    save("fuota", "slow", offer + answer(OK, body=b"x", end=3, seconds=40))


# --- requests to otterd -------------------------------------------------------------------------


def http_seeds():
    head = b"PUT /files/a%20b?app_ver=1.0&x=%41 HTTP/1.1\r\nHost: [::1]:1\r\n"
    save("http", "length", b"\0" + head + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
    save("http", "chunked", b"\1" + head + b"Transfer-Encoding: chunked\r\n\r\n"
         b"5;a=b\r\nhello\r\n0a\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n")
    save("http", "range", b"\2GET /files/a HTTP/1.1\r\nHost: a\r\nRange: bytes=5-9\r\n"
         b'If-Range: "x"\r\nIf-None-Match: *\r\nAuthorization: Basic eDp5\r\n\r\n')
    save("http", "old", b"\3GET /devices/1?app_ver=1 HTTP/1.0\r\nConnection: keep-alive, x\r\n\r\n")
    save("http", "two", b"\4" + (b"DELETE /a/../b HTTP/1.1\r\nHost: a\r\n\r\n" * 2))
    save("http", "folded", b"\5GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n")
    save("http", "both", b"\6" + head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n")
    save("http", "csv", b"\xff\"00001\",\"0.1.0\",\"a\"\"b\"\r\n")
    save("http", "csv-bare", b"\xff1,2,\xc3\xa4\n")


# --- ATT and the identity text ------------------------------------------------------------------


def pdus(*steps):
    """Steps of the ATT targets: text is a PDU in hexadecimal, a number is that step."""
    out = b""
    for step in steps:
        pdu = b"" if isinstance(step, int) else bytes.fromhex(step)
        out += bytes([step]) if isinstance(step, int) else bytes([len(pdu)]) + pdu
    return out


def att_seeds():
    save("att_server", "discover", pdus("02F700", "100100FFFF0028", "080100FFFF0328",
                                        "060100FFFF00281880", "04010013 00", "080100FFFF2080"))
    save("att_server", "read", pdus("0A0600", "0C06001600", "0A0300", "0A0900", "0A6300"))
    save("att_server", "write", pdus("12090001AABB", "520900AA", "120A000100", "120A0000", "1205000100"))
    save("att_server", "indicate", pdus("12040002 00", 0xF0, 0xF0, "1E", 0xF0, 0xF1, 0xF2))
    save("att_server", "hold", pdus(0xF8, "12030001", "52030001", "0A0300", 0xF9, "12030001", 0xFA,
                                    "12030001"))
    save("att_server", "refused", pdus("1603000000AA", "1801", "7E01", "3E", "02", "12", "", "D20300"))
    save("att_client", "discover",
         pdus(0xF0, "03F700", 0xF1, "110601000500001806000A001880", "01100B000A",
              "0907020002030000 2A", "010804000A", "0907070030080020 80", "010809000A",
              "050109000229"))
    save("att_client", "read", pdus(0xF2, "0B" + "41" * 22, "0D" + "42" * 22, "0D43", 0xF2, "010A030002"))
    save("att_client", "write", pdus(0xF3, "13", 0xF3, "0112030003", 0xF4))
    save("att_client", "unasked", pdus("1B030001", "1D030001", "02F700", "0A0100", "13", "520100"))
    save("att_client", "lost", pdus(0xF2, 0xF5, 0xF5, 0xF5, 0xF5, 0xF2, 0xF6))


def identity_seeds():
    for state in ("confirmed", "pending", "rolled-back"):
        save("identity", state, f"otter/1 {state} 0123456789abcdef demo".encode())
    save("identity", "other", b"v1.0.0")
    save("identity", "words", b"otter/1 confirmed rolled-back buffered encrypted decrypts signed no-older "
         b"ask-older 56789abc93abcdef demo")


# --- ESP-Hosted ---------------------------------------------------------------------------------


def frame(message, endpoint=b"ctrlResp", length=None):
    return b"\x01\x08\x00" + endpoint + b"\x02" + \
        struct.pack("<H", len(message) if length is None else length) + message


def in_steps(data):
    return b"".join(bytes([len(data[i:i + 0xEF])]) + data[i:i + 0xEF]
                    for i in range(0, len(data), 0xEF))


BEGIN = frame(b"\x08\x01\x10\x74\x18\x05\xa2\x07\x00")
WRITE = frame(b"\x08\x01\x10\x75\x18\x06\xaa\x07\x05\x0a\x03abc")
END = frame(b"\x10\x76\x18\x07")
VERSION = frame(b"\x08\x01\x10\x7b\x18\x08\xda\x07\x00")
EVENT = frame(b"\x08\x03\x10\xad\x02\xea\x12\x00", b"ctrlEvnt")
# answers to the host's first request, which has uid 2^31 - 2
BEGUN = frame(b"\x08\x02\x10\xd8\x01\x18\xfe\xff\xff\xff\x07\xc2\x0d\x00")
TOLD = frame(b"\x08\x02\x10\xdf\x01\x18\xfe\xff\xff\xff\x07\xfa\x0d\x0a\x12\x04name\x18\x01\x38\x05")


def hosted_seeds():
    head = struct.pack("<HI", 4096, 7)
    save("hosted_wire", "requests", head + BEGIN + WRITE + END + VERSION)
    save("hosted_wire", "answers", head + EVENT + BEGUN + TOLD)
    save("hosted_wire", "garbage", head + b"login: \x01\x08\x01" + WRITE + b"\x01\x01" + END)
    save("hosted_wire", "lengths", head + frame(b"", length=0) + frame(b"A" * 70, length=65535) +
         frame(b"x") + WRITE)
    save("hosted_wire", "small-room", struct.pack("<HI", 64, 7) + frame(b"A" * 65) + WRITE)
    save("hosted_device", "update", b"\x00\x00\x00\x01" + b"\xf1" + b"\xf0\xa0\x0f" * 3 + b"\xf2\xf4\x0d")
    save("hosted_device", "stream", b"\x00\x00\x00\x02" + in_steps(BEGIN + WRITE + WRITE + END + VERSION))
    save("hosted_device", "sizes", b"\x00\x00\x00\x03" + b"\xf1\xf0\x00\x00\xf0\xa1\x0f\xf0\xe8\xfd")
    save("hosted_device", "silence", b"\x00\x00\x00\x04" + b"\xf6\xf1\xf0\x10\x00\xf5\xf4\x1f\xf3")
    save("hosted_host", "answers", b"\xf0" + in_steps(EVENT + BEGUN) + b"\xf1\xf6\x00\xf2\xf6\x03")
    save("hosted_host", "version", b"\xf3" + in_steps(TOLD))
    save("hosted_host", "times-out", b"\xf0\x05hello\xf4\xf4\xf4\xf0\xf5\xf0")


# --- BLE ----------------------------------------------------------------------------------------


def sector(number, size=4096, payload=241, conn=0):
    return struct.pack("<BBHHB", 3, conn, number, size, payload)


def ble_seeds():
    wait, stop = b"\x04\x64\x00", b"\x02\x00"
    start = b"\x01\x00" + struct.pack("<I", 5096)
    update = start + wait + sector(0) + sector(1, 1000) + wait + stop + wait * 10
    save("espble_device", "update", b"\x03" + update)
    save("espble_device", "window-of-one", b"\x00" + update)
    save("espble_device", "python", b"\x01\x01\x04" + struct.pack("<I", 5096) +
         sector(0, conn=4) + sector(1, 1000, conn=4) + b"\x02\x04" + wait)
    save("espble_device", "link-lost", b"\x02" + start + sector(0) + sector(1, 1000) + b"\x05\x00" +
         wait)
    save("espble_device", "second-central", b"\x02" + start + sector(0) + b"\x01\x01\x00\x10\x00\x00" +
         sector(0, conn=1) + wait + sector(2) + sector(1, 900) + b"\x06" + sector(0) * 5 + b"\x06" + wait)
    save("espble_device", "raw", b"\x00" + start + b"\x00\x00\x00" + struct.pack("<H", 5) +
         b"\x00\x00\xff\x12\x34" + b"\x00\x00\x02" + struct.pack("<H", 20) + bytes(20) + wait)
    request, done = b"\x01\x00\x01", b"\x01\x00\x04"
    chunk = b"\x00\x00" + struct.pack("<H", 244)
    rest = b"\x02\x64\x00"
    save("gattota_device", "update", b"\x00\x00" + b"\x00\x00\x02\x00" + request + rest + chunk * 9 + done +
         rest * 10)
    save("gattota_device", "no-waiting", b"\x10\x01" + request + chunk * 30 + done + rest)
    save("gattota_device", "twice", b"\x10\x01" + chunk + request + chunk + request + b"\x04" + chunk +
         done + b"\x04\x03\x00" + rest + done + rest)
    begin = struct.pack("<IHB", 9000, 247, 12)
    room, poll = b"\x01\xff", b"\x00\x01\x00"
    good = begin + room + b"\x06\x00\x05\x01" + room + b"\x04" * 3 + room + b"\x06\x00" + b"\x05\x02" + poll
    save("espble_host", "update", good)
    save("espble_host", "times-out", begin + room + b"\x06\x00" + b"\x00\xff\x7f" * 9)
    save("espble_host", "complaint", begin + room + b"\x06\x00\x05\x01" + room +
         b"\x02" + struct.pack("<4H", 0, 1, 0, 0) + poll + b"\x00\x90\x01" + room + b"\x04" * 3 + poll)
    save("espble_host", "cancelled", begin + room + b"\x06\x00\x05\x01\x01\x03\x09\x00" + room + b"\x05\x02" + poll)
    save("gattota_host", "update", struct.pack("<IHB", 3000, 247, 76) + room + b"\x03" + room + b"\x03\x02\x02" +
         (room + b"\x03") * 6 + room + b"\x03\x02\x05" + poll)
    save("gattota_host", "again-as-requests", struct.pack("<IHB", 3000, 23, 12) + room + b"\x03" + room +
         b"\x03\x02\x02" + room + b"\x02\x06" + poll + b"\x03" + poll + b"\x03\x02\x02" + poll)


# --- signature sector ---------------------------------------------------------------------------


def signature_block(covered, ecdsa=False):
    head = bytes([0xE7, 3 if ecdsa else 2, 0, 0]) + fnv(covered, 32)
    body = head + (b"\x02" + b"K" * 64 + b"S" * 64 if ecdsa else b"K" * 776 + b"S" * 384)
    body += bytes(1196 - len(body))
    return body + struct.pack("<I16x", zlib.crc32(body))


def signature_seeds():
    covered = b"i" * 100 + BLANK * 3996
    one = signature_block(covered)
    both = one + signature_block(covered, ecdsa=True)
    for name, answer, sector in (("rsa", 1, one), ("does-not-hold", 0, one), ("two", 1, both),
                                 ("ecdsa", 1, signature_block(covered, ecdsa=True)),
                                 ("unsigned", 1, b""), ("damaged", 1, one[:-1] + b"x"),
                                 ("gap", 1, BLANK * 1216 + one)):
        save("signature", name, struct.pack("<IB", 100, answer) + covered + sector.ljust(4096, BLANK))
    save("signature", "short", struct.pack("<IB", 100, 1) + covered + one)
    save("signature", "wraps", struct.pack("<IB", 0xFFFFFFFF, 1) + covered + one.ljust(4096, BLANK))


# --- encrypted image ----------------------------------------------------------------------------


def encrypted_seeds():
    def file(size, body, key=b"K" * 384):
        return struct.pack("<I", 0x0788B6CF) + key + b"I" * 16 + struct.pack("<I", size) + \
            b"T" * 16 + bytes(88) + body

    body = bytes(range(256)) * 6
    ecies = b"P" * 64 + b"S" * 32 + bytes(288)
    for name, length, flags, data in (
            ("rsa", len(body) + 512, 2, file(len(body), body)),
            ("ecies", len(body) + 512, 3, file(len(body), body, ecies)),
            ("ecies-not-zero", len(body) + 512, 3, file(len(body), body)),
            ("no-length", 0xFFFFFFFF, 2, file(len(body), body)),
            ("padded", 0xFFFFFFFF, 2, file(len(body), body + b"x" * 999)),
            ("wrong-tag", len(body) + 512, 0, file(len(body), body)),
            ("short", 0xFFFFFFFF, 2, file(len(body) + 1, body)),
            ("largest", 0xFFFFFFFE, 2, file(0xFFFFFFFF, body)),
            ("not-encrypted", 4096, 2, b"\xe9" * 600),
            ("both-encrypted", len(body) + 512, 6, file(len(body), body)),
            ("both-plain", 600, 6, b"\xe9" * 600),
            ("both-four-bytes", 4, 6, b"\xe9" * 4),
            ("both-just-fits", 1512, 14, file(1000, body[:1000])),
            ("both-too-large", 1512, 14, b"\xe9" * 1512)):
        save("encrypted", name, struct.pack("<IBI", length, flags, 7) + data)


if __name__ == "__main__":
    encrypted_seeds()
    signature_seeds()
    ble_seeds()
    hosted_seeds()
    att_seeds()
    identity_seeds()
    image_seeds()
    partition_seeds()
    otadata_seeds()
    fuota_seeds()
    http_seeds()
