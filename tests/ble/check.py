# SPDX-License-Identifier: Apache-2.0
"""Central against peripheral through the real bluetoothd. Runs in the guest; see machine."""
import glob
import json
import os
import pty
import re
import signal
import subprocess
import sys
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # pylint: disable=wrong-import-position

OTTER = f"{lab.BUILD}/cli/otter"
TARGET = f"ble:{lab.CENTRAL}/{lab.ADDRESS}"
EXIT_OK, EXIT_REFUSED, EXIT_LINK = 0, 4, 5


def good(result):
    code, last = result
    assert code == EXIT_OK, (code, last)
    assert last["confirmed"] is True, last
    return last


def same_image(device, slot, path):
    """What is in the device's flash, byte by byte."""
    copy = "/tmp/extracted.img"
    lab.call(OTTER, "flash", "extract", device.flash, slot, "-o", copy)
    with open(copy, "rb") as got, open(path, "rb") as wanted:
        sent = wanted.read()
        assert got.read()[:len(sent)] == sent, "the image in flash is another one"


def whole_update(path, *options, device=()):
    """A device, an update of it, and what is in its flash then."""
    with lab.Device("kitchen", *device, new=True) as kitchen:
        last = good(lab.update(path, *options))
        kitchen.stop()
        same_image(kitchen, "ota_1", path)
    return last


def test_scan(_stack):
    with lab.Device("kitchen"):
        text = lab.call(OTTER, "scan", "ble", "--json")
    assert '"ble:%s"' % lab.ADDRESS in text and "kitchen" in text, text
    assert "espble" in text and "gattota" in text, text


def test_doctor(_stack):
    report = json.loads(lab.call(OTTER, "doctor", "--json", check=False))
    rows = [row for row in report["checks"] if row["area"] == "bluetooth"]
    assert rows and all(row["state"] == "ok" for row in rows), rows


def test_espble(_stack):
    last = whole_update(lab.image("1.1.0", "256K"), "--protocol", "espble")
    assert last["new_version"] == "1.1.0" and last["resent"] == 0, last


def test_gattota(_stack):
    last = whole_update(lab.image("1.2.0", "256K"), "--protocol", "gattota")
    assert last["resent"] == 0, last


def on_terminal(*command):
    """Runs a program on a terminal; returns its code and what it drew."""
    main, side = pty.openpty()
    with subprocess.Popen(command, stdin=side, stdout=side, stderr=side) as process:
        os.close(side)
        screen = b""
        try:
            while part := os.read(main, 4096):
                screen += part
        except OSError:  # the program has closed it
            pass
        os.close(main)
        return process.wait(), screen.decode()


def test_a_real_image_with_its_progress_bar(_stack):
    found = sorted(glob.glob(lab.FIRMWARE + "/esp32-weather-0.1.1[23].bin"))
    flash = "/tmp/board.bin"
    if found:
        old, new = found
        lab.call(OTTER, "flash", "create", "-p", lab.FIRMWARE + "/esp32-weather-partitions.bin",
                 "-i", old, "-o", flash)
    else:  # as large as that one
        new = lab.image("1.3.0", "1435K")
        lab.call(OTTER, "flash", "create", "-l", "no-factory", "-i", lab.image("1.0.0", "64K"), "-o", flash)
    with lab.Device("board", flash=flash) as board:
        code, screen = on_terminal(OTTER, "update", TARGET, new)
        assert code == EXIT_OK, screen
        percent = [int(n) for n in re.findall(r"(\d+) ?%", screen)]
        assert len(set(percent)) > 5 and percent == sorted(percent), screen
        assert re.search(r"[KM]iB/s", screen) and "Done" in screen, screen
        board.stop()
        same_image(board, "ota_1", new)


def test_MTU_23(stack):
    """bluetoothd gathers notifications for a client that takes several in one PDU, and cuts the
    20 bytes of an espble ACK to 18 for that: with indications it does not."""
    path = lab.image("1.4.0", "16K")
    stack.toggle_mtu()
    try:
        for protocol, device in ("espble", ("--legacy", "indicate-only")), ("gattota", ()):
            whole_update(path, "--protocol", protocol, device=device)
    finally:
        stack.toggle_mtu()


def test_write_requests(_stack):
    path = lab.image("1.4.1", "64K")
    for protocol in ("espble", "gattota"):
        whole_update(path, "--protocol", protocol, "--response")


def test_without_descriptors(_stack):
    path = lab.image("1.4.3", "64K")
    for protocol in ("espble", "gattota"):
        whole_update(path, "--protocol", protocol, "--calls")


def test_indications(_stack):
    path = lab.image("1.4.2", "64K")
    whole_update(path, "--protocol", "espble", device=("--legacy", "indicate-only"))


def paused_at(update, percent):
    update.reach(percent)
    update.process.send_signal(signal.SIGSTOP)
    return update


def test_disconnect_in_the_middle(_stack):
    path = lab.image("1.5.0", "256K")
    with lab.Device("broken") as device:
        first = paused_at(lab.Update(path, "--protocol", "espble"), 25)  # or it would be done before
        lab.disconnect()
        first.process.send_signal(signal.SIGCONT)
        code, last = first.end()
        assert code == EXIT_LINK, (code, last)
        good(lab.update(path, "--protocol", "espble"))
        device.stop()
        same_image(device, "ota_1", path)


def test_out_of_range_in_the_middle(stack):
    path = lab.image("1.5.1", "256K")
    with lab.Device("far") as device:
        first = paused_at(lab.Update(path, "--protocol", "gattota"), 25)
        stack.out_of_range()
        device.wait("client 1 gone")
        first.process.send_signal(signal.SIGCONT)
        code, last = first.end()
        assert code == EXIT_LINK, (code, last)
        good(lab.update(path, "--protocol", "gattota"))
        device.stop()
        same_image(device, "ota_1", path)


def test_the_tool_is_killed(_stack):
    path = lab.image("1.5.2", "256K")
    with lab.Device("orphan") as device:
        first = paused_at(lab.Update(path, "--protocol", "espble"), 25)
        first.process.kill()
        first.process.wait()
        good(lab.update(path, "--protocol", "espble"))
        device.stop()
        same_image(device, "ota_1", path)


def test_the_device_loses_power(_stack):
    path = lab.image("1.5.3", "256K")
    device = lab.Device("dark")
    first = paused_at(lab.Update(path, "--protocol", "espble"), 25)
    device.kill()
    lab.disconnect()
    first.process.send_signal(signal.SIGCONT)
    code, last = first.end()
    assert code == EXIT_LINK, (code, last)
    with lab.Device("dark") as device:
        good(lab.update(path, "--protocol", "espble"))
        device.stop()
        same_image(device, "ota_1", path)


def second_central(protocol, path):
    first = paused_at(lab.Update(path, "--protocol", protocol), 25)
    lab.advertise()
    code, last = lab.update(lab.image("9.9.9", "16K"), "--protocol", protocol, adapter=lab.OTHER)
    assert code == EXIT_REFUSED, (code, last)
    first.process.send_signal(signal.SIGCONT)
    return first.end()


def test_B09_a_second_central_is_refused(stack):
    path = lab.image("1.6.0", "128K")
    for protocol in ("espble", "gattota"):
        stack.restart()
        with lab.Device("shared-" + protocol) as device:
            last = good(second_central(protocol, path))
            assert last["new_version"] == "1.6.0", last
            device.stop()
            same_image(device, "ota_1", path)


def test_one_who_only_listens_subscribed_first(_stack):
    """bluetoothd gave the descriptor for what is sent for that one: the answers come by signals."""
    path = lab.image("1.6.1", "64K")
    with lab.Device("popular", new=True) as device:
        listener = lab.Stranger()
        for uuid in (0x8020, 0x8022):
            assert listener.subscribe(listener.handle(uuid)) == 0, uuid
        lab.advertise()
        code, last = lab.update(path, "--protocol", "espble", "--no-wait")
        assert code == EXIT_OK and last["resent"] == 0, (code, last)
        listener.close()
        device.stop()
        same_image(device, "ota_1", path)


def test_pairing(_stack):
    whole_update(lab.image("1.7.0", "64K"), "--protocol", "espble", device=("--pairing",))


def test_B20_who_is_not_paired_is_refused(_stack):
    with lab.Device("locked", "--pairing") as device:
        stranger = lab.Stranger()
        for uuid in (0x8022, 0x8020):
            for request in (True, False):
                answer = stranger.write(stranger.handle(uuid), bytes(20), request)
                assert answer in ((0x05, 0x0F) if request else (None,)), (uuid, request, answer)
        assert stranger.alive()
        stranger.close()
        assert "connected" not in device.text(), device.text()


TESTS = [(name, value) for name, value in list(globals().items()) if name.startswith("test_")]


def main(names):
    stack = lab.Stack()
    stack.trace()
    failed = 0
    chosen = [test for test in TESTS if not names or test[0] in names]
    for name, test in chosen:
        begun = lab.now()
        try:
            stack.restart()
            test(stack)
            assert stack.alive(), "bluetoothd has ended"
            print(f"ok {name} ({lab.now() - begun:.1f} s)", flush=True)
        except Exception:  # pylint: disable=broad-except # the next one is to run, too
            failed += 1
            print(f"FAILED {name}\n{traceback.format_exc()}", flush=True)
    stack.monitor.terminate()
    stack.monitor.wait()
    print(f"ble: {len(chosen) - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
