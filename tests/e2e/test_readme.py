# SPDX-License-Identifier: Apache-2.0
"""Commands that the documentation shows below <!-- tested --> do what is said, typed as they are:
ports are replaced by free ones, and what goes to the background is waited for."""
import os
import re
import socket
import subprocess

import pytest

import tool

WAIT = r"""
until grep -Eq 'ready|listening|Serving' job{0}.log; do
    kill -0 $! || {{ cat job{0}.log >&2; exit 1; }}
    sleep 0.05
done
"""


def blocks():
    """The indented lines below each mark, with the page's name."""
    for page in "README.md", "docs/start-operator.md", "docs/start-technician.md":
        with open(os.path.join(tool.ROOT, page), encoding="utf-8") as file:
            found = re.findall(r"<!-- tested -->\n\n((?:(?: {4}.*)?\n)+)", file.read())
        assert found, page
        for number, block in enumerate(found, 1):
            yield pytest.param(re.sub(r"(?m)^    ", "", block), id=f"{page}-{number}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def script(block):
    for port in "8443", "9999":
        block = block.replace(port, free_port())
    if os.geteuid() == 0:
        block = re.sub(r"(?m)^(otterd --dir .*?)( &.*)?$", r"\1 --user root\2", block)
    lines, job = [], 0
    for line in block.replace("\\\n", "").splitlines():
        background = re.fullmatch(r"(.*\S) &(?:\s+#.*)?", line)
        if background:
            job += 1
            lines.append(f"{background[1]} >job{job}.log 2>&1 &" + WAIT.format(job))
        else:
            lines.append(line)
    return "set -e\ntrap 'kill $(jobs -p); wait' EXIT\n" + "\n".join(lines)


@pytest.mark.parametrize("block", blocks())
def test_commands_work(folder, block):
    programs = ":".join(os.path.join(tool.BUILD, part) for part in ("cli", "device", "server"))
    done = subprocess.run(["bash", "-c", script(block)], cwd=folder, capture_output=True, text=True,
                          env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}",
                               "PYTHONUNBUFFERED": "1"}, timeout=120, check=False)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "running and confirmed" in done.stdout or "updated" in done.stdout, done.stdout
