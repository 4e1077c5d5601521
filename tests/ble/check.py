# SPDX-License-Identifier: Apache-2.0
"""Central against peripheral through the real bluetoothd. Runs in the guest; see machine."""
import os
import signal
import sys
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # pylint: disable=wrong-import-position

EXIT_OK, EXIT_LINK = 0, 5


def good(result):
    code, last = result
    assert code == EXIT_OK, (code, last)
    assert last["confirmed"] is True, last
    return last


def same_image(device, slot, path):
    """What is in the device's flash, byte by byte."""
    copy = "/tmp/extracted.img"
    lab.call(f"{lab.BUILD}/cli/otter", "flash", "extract", device.flash, slot, "-o", copy)
    with open(copy, "rb") as got, open(path, "rb") as wanted:
        sent = wanted.read()
        assert got.read()[:len(sent)] == sent, "the image in flash is another one"


def test_scan(_stack):
    with lab.Device("kitchen"):
        text = lab.call(f"{lab.BUILD}/cli/otter", "scan", "ble", "--json")
    assert '"ble:%s"' % lab.ADDRESS in text and "kitchen" in text, text
    assert "espble" in text and "gattota" in text, text


def test_espble(_stack):
    path = lab.image("1.1.0", "256K")
    with lab.Device("espble") as device:
        last = good(lab.update(path, "--protocol", "espble"))
        assert last["new_version"] == "1.1.0" and last["resent"] == 0, last
        device.stop()
        same_image(device, "ota_1", path)


def test_gattota(_stack):
    path = lab.image("1.2.0", "256K")
    with lab.Device("gattota") as device:
        last = good(lab.update(path, "--protocol", "gattota"))
        assert last["resent"] == 0, last
        device.stop()
        same_image(device, "ota_1", path)


def test_disconnect_in_the_middle(_stack):
    path = lab.image("1.5.0", "512K")
    with lab.Device("broken") as device:
        first = lab.Update(path, "--protocol", "espble")
        first.reach(25)
        first.process.send_signal(signal.SIGSTOP)  # or it would be done before
        lab.disconnect()
        first.process.send_signal(signal.SIGCONT)
        code, last = first.end()
        assert code == EXIT_LINK, (code, last)
        good(lab.update(path, "--protocol", "espble"))
        device.stop()
        same_image(device, "ota_1", path)


def test_pairing(_stack):
    with lab.Device("paired", "--pairing"):
        good(lab.update(lab.image("1.6.0", "64K"), "--protocol", "espble"))


TESTS = [(name, value) for name, value in list(globals().items()) if name.startswith("test_")]


def main(names):
    stack = lab.Stack()
    stack.trace()
    stack.start()
    failed = 0
    chosen = [test for test in TESTS if not names or test[0] in names]
    for name, test in chosen:
        begun = lab.now()
        try:
            test(stack)
            print(f"ok {name} ({lab.now() - begun:.1f} s)", flush=True)
        except Exception:  # pylint: disable=broad-except # the next one is to run, too
            failed += 1
            print(f"FAILED {name}\n{traceback.format_exc()}", flush=True)
    print(f"ble: {len(chosen) - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
