#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The three commands of an ESP-Hosted update, one by one.

    ota_commands.py FILE [DEVICE]

DEVICE is /dev/esps0 unless it is given.
"""
import sys

import otter

CHUNK = 4000  # bytes of one write request


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    path, address = sys.argv[1], (sys.argv[2:] or ["/dev/esps0"])[0]
    try:
        with open(path, "rb") as image, otter.Hosted(address) as device:
            device.begin()
            for chunk in iter(lambda: image.read(CHUNK), b""):
                device.write(chunk)
            device.end()
    except (OSError, otter.HostedError) as error:
        sys.exit(f"ota_commands.py: {error}")
    print("The device took the update and restarts in 5 seconds.")


if __name__ == "__main__":
    main()
