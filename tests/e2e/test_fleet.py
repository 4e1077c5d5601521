# SPDX-License-Identifier: Apache-2.0
"""A crowd of virtual devices on a real otterd. OTTER_FLEET=1000x1M makes it as large as that."""
import json
import os
import signal
import subprocess
import time

import pytest

import lab
import otterd
from lab import otter

COUNT, SIZE = os.environ.get("OTTER_FLEET", "100x256K").split("x")
COUNT = int(COUNT)


@pytest.fixture(name="server")
def make_server():
    with otterd.Server("--max-per-address", "8192") as server:
        yield server
    otterd.Certificates.remove()


def test_fleet_updates_without_an_error(server, image):
    env = {**os.environ, "OTTER_SERVER": f"https://localhost:{server.port}",
           "OTTER_CACERT": os.path.join(server.etc, "ca.pem")}
    admin = {**env, "OTTER_LOGIN": f"{otterd.USER}:{otterd.PASSWORD}"}
    device = {**env, "OTTER_LOGIN": f"{otterd.DEVICE}:{otterd.DEVICE_PASSWORD}"}

    # They are there, and nothing is offered. (A poll that finds the server still checking the
    # first credentials may be told to come again.)
    with subprocess.Popen([lab.OTTER, "fleet", "-n", str(COUNT), "--poll", "2", "--json"],
                          env=device, stdout=subprocess.PIPE, text=True) as first:
        while server.ask("GET", "/api/v1/status")[1].count(b'"devices":%d,' % COUNT) == 0:
            assert first.poll() is None
            time.sleep(0.2)
        first.send_signal(signal.SIGINT)
        counts = json.loads(first.communicate()[0])
    assert counts["offers"] == 0 and counts["no_updates"] >= COUNT
    assert all("429" in cause["cause"] for cause in counts["causes"]), counts

    # All of them are to have the new image; all get it.
    path = image("1.1.0", size=SIZE, seed=1)
    otter("server", "upload", path, "--name", "app", env=admin, check=0)
    said = otter("server", "assign", "--all", "app", "--from", "1.0.0", "--json", env=admin,
                 check=0)
    known = json.loads(said.stdout)["devices"]
    assert known == COUNT
    done = otter("fleet", "-n", COUNT, "--once", "--poll", 5 + COUNT // 50, "--time", 300,
                  "--json", env=device)
    counts = json.loads(done.stdout)
    print({name: counts[name] for name in counts if name not in ("schema", "devices")})
    assert done.returncode == 0, counts
    assert counts["errors"] == 0 and counts["retries"] == 0, counts
    assert counts["updates"] == counts["finished"] == counts["reports"] == COUNT
    assert counts["bytes"] == COUNT * os.path.getsize(path)

    rows = json.loads(otter("server", "devices", "--json", env=admin, check=0).stdout)["devices"]
    assert len(rows) == COUNT
    assert {(row["version"], row["last_result"]["result"]) for row in rows} == \
        {("1.1.0", "updated")}


def test_fleet_counts_what_goes_wrong(server):
    env = {**os.environ, "OTTER_CACERT": os.path.join(server.etc, "ca.pem"),
           "OTTER_SERVER": f"https://localhost:{server.port}", "OTTER_LOGIN": "no:body"}
    done = otter("fleet", "-n", 3, "--time", 2, "--poll", 1, "--json", env=env, check=1)
    counts = json.loads(done.stdout)
    assert counts["errors"] >= 3 and counts["updates"] == 0
    assert {cause["cause"] for cause in counts["causes"]} <= {"the server answers 403",
                                                              "the server answers 429"}
    otter("fleet", "-n", 0, env=env, check=2)
    otter("fleet", "--prefix", "a/b", env=env, check=1)
    assert lab.otter("fleet", check=2, env={}).stderr.startswith("otter: which server?")
