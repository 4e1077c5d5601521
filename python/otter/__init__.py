# SPDX-License-Identifier: Apache-2.0
"""Over-the-air firmware updates for ESP32, from Python.

    import otter

    with otter.Hosted("/dev/esps0") as device:
        print(device.version())
        with open("firmware.bin", "rb") as image:
            device.update(image)

The work is done by the C library libotter, found as the system finds libraries, or by the path in
OTTER_LIBRARY. Nothing is built or installed: put this folder on PYTHONPATH.
"""
from .hosted import Hosted, HostedError, Refused, Version

__all__ = ["Hosted", "HostedError", "Refused", "Version"]
