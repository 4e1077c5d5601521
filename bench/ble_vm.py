# SPDX-License-Identifier: Apache-2.0
"""Updates through the real bluetoothd beside a plain AcquireWrite loop and beside one write with
response a packet. Runs in the guest (tests/ble/machine), whose clock counts instructions: ratios
repeat, the figures themselves are of no real machine."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/ble"))
import lab  # pylint: disable=wrong-import-position

SIZES = (500_000, 1_500_000)


def update(size, *options):
    """Bytes a second of image data: until the device has taken them all, and with its verification
    of what is in its flash."""
    said = "/tmp/said"
    with lab.Device("bench", new=True), open(said, "w+", encoding="ascii") as out:
        # Into a file, so that nothing but the update runs meanwhile.
        subprocess.run([f"{lab.BUILD}/cli/otter", "update", f"ble:{lab.CENTRAL}/{lab.ADDRESS}",
                        lab.image("1.1.0", str(size)), "--json", *options], stdout=out, check=True)
        out.seek(0)
        last = json.loads(out.readlines()[-1])
    return (last["sent"] / last["send_seconds"],
            last["sent"] / (last["send_seconds"] + last["verify_seconds"]))


def pump(size):
    with lab.Device("bench", new=True):
        result = json.loads(lab.call(f"{lab.BUILD}/bench/ble-pump", f"{lab.CENTRAL}/{lab.ADDRESS}",
                                     str(size)))
    return result["bytes"] / result["seconds"]


def main():
    stack = lab.Stack()
    stack.start()
    print(f"{'':34}{'kB/s':>8}{'of loop':>9}{'x seeds':>9}{'verified':>12}{'of loop':>9}", flush=True)
    good = True
    for size in SIZES:
        most = pump(size)
        print(f"{size // 1000:5} kB  {'AcquireWrite loop':25}{most / 1000:8.0f}", flush=True)
        for protocol in ("espble", "gattota"):
            seeds = update(size, "--protocol", protocol, "--response")
            ours = update(size, "--protocol", protocol)
            good = good and ours[0] >= 0.85 * most and ours[0] >= 1.5 * seeds[0]
            for name, speed in (protocol + ", each with response", seeds), (protocol, ours):
                print(f"{size // 1000:5} kB  {name:25}{speed[0] / 1000:8.0f}{speed[0] / most:9.2f}"
                      f"{speed[0] / seeds[0]:9.2f}{speed[1] / 1000:12.0f}{speed[1] / most:9.2f}",
                      flush=True)
    print("goal: 0.85 of the loop, 1.5 times the seeds' way: " + ("met" if good else "NOT met"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
