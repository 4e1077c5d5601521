# SPDX-License-Identifier: Apache-2.0
import shutil
import tempfile

import pytest

import lab


@pytest.fixture(name="folder")
def make_folder():
    """A folder with a short path: a socket's path has 107 bytes at most."""
    path = tempfile.mkdtemp(prefix="otter-")
    yield path
    shutil.rmtree(path)


@pytest.fixture(name="device")
def make_device(folder):
    """Makes virtual devices, and ends those that still run."""
    made = []

    def make(*args, **more):
        made.append(lab.Device(folder, *args, **more))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture(name="image")
def make_image(folder):
    """An image file of a version: image("1.1.0", size=..., chip=..., project=...)."""
    def make(version, **more):
        return lab.make_image(f"{folder}/{len(more)}-{version}.bin", version, **more)
    return make
