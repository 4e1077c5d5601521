#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Updates an ESP32 from a URL, over the ESP-Hosted control path.

    ota_update.py http://192.168.0.106:9999/network_adapter.bin [DEVICE]

DEVICE is /dev/esps0 unless it is given. The firmware is passed on as it arrives; the device
verifies it before it takes it. `otter update` also checks it on the way, and takes a broken
download up where it stopped.
"""
import sys
import urllib.request

import otter


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    url, address = sys.argv[1], (sys.argv[2:] or ["/dev/esps0"])[0]
    try:
        with urllib.request.urlopen(url, timeout=30) as image, otter.Hosted(address) as device:
            device.update(image, progress=lambda sent: print(f"\r{sent:,} bytes", end=""))
    except (OSError, otter.HostedError) as error:
        sys.exit(f"\nota_update.py: {error}")
    print("\nThe device took the update and restarts in 5 seconds.")


if __name__ == "__main__":
    main()
