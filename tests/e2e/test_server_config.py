# SPDX-License-Identifier: Apache-2.0
"""otterd.conf: the settings, the file that packages bring, and what is said of mistakes."""
import os
import re
import subprocess

import pytest

from otterd import OTTERD, ROOT, Server

SHIPPED = os.path.join(ROOT, "packaging", "otterd.conf")
# Options that choose what to do, and no settings.
LINE = {"dir", "config", "name", "force", "routes", "completion", "version", "help-all", "help"}


def settings():
    listing = subprocess.run([OTTERD, "--help-all"], capture_output=True, text=True, check=True)
    return set(re.findall(r"^  (?:-\w,)? *--([a-z-]+)", listing.stdout, re.M)) - LINE


def write(tmp_path, text):
    (tmp_path / "otterd.conf").write_text(text)
    return str(tmp_path / "otterd.conf")


def test_shipped_file_shows_every_setting():
    with open(SHIPPED, encoding="ascii") as file:
        shown = set(re.findall(r"^#([a-z-]+) = ", file.read(), re.M))
    assert shown == settings()


def test_shipped_file_is_understood(tmp_path):
    """Also with every default in force: uncommented, it starts the same server."""
    with open(SHIPPED, encoding="ascii") as file:
        text = re.sub(r"^#([a-z-]+ = )", r"\1", file.read(), flags=re.M)
    text = re.sub(r"^(cert|key|users|user) = .*\n", "", text, flags=re.M)
    with Server("--config", write(tmp_path, text)) as server:
        assert server.ask("GET", "/healthz", user=None)[0] == 200


def test_settings_work_and_the_command_line_goes_before(tmp_path):
    config = write(tmp_path, " open-metrics=yes\r\n\n  # a comment\nmax-upload = 1K\n"
                   "listen = 127.0.0.1:1\nlisten = 127.0.0.1:2\nverbose = no\nlog = json\n")
    with Server("--config", config) as server:
        assert server.ask("GET", "/metrics", user=None)[0] == 200
        assert server.ask("PUT", "/files/a.bin", bytes(2000))[0] == 413
        assert '"port"' in server.text()
        assert server.text().count("listening") == 1


def test_file_in_the_folder_of_init_is_found(tmp_path):
    subprocess.run([OTTERD, "init", "--name", "localhost", tmp_path], check=True,
                   stdout=subprocess.DEVNULL)
    write(tmp_path, "open-metrics = yes\n")
    with Server(etc=str(tmp_path)) as server:
        assert server.ask("GET", "/metrics", user=None)[0] == 200


@pytest.mark.parametrize("text, words", [
    ("lisen = 443\n", "otterd.conf:1: lisen: there is no such setting: otterd.conf(5)"),
    ("\n\nlisten 443\n", "otterd.conf:3: listen 443: a line is: setting = value"),
    ("listen =\n", "otterd.conf:1: listen: it needs a value"),
    ("plain = true\n", "otterd.conf:1: plain: it takes yes or no"),
    ("threads = many\n", "otterd.conf:1: threads: the value does not make sense"),
    ("max-upload = 12Q\n", "otterd.conf:1: max-upload: the value"),
    ("log = xml\n", "otterd.conf:1: log: the value"),
    ("help = yes\n", "no such setting"), ("dir = /tmp\n", "no such setting"),
    ("listen = 1\n" * 9, "otterd.conf:9: listen: the value"),
    ("threads = 0\n", "--threads takes 1 to 64"),
    ("# \0 binary\n", "no text"), ("#" * 70000, "no text of less than 65536 bytes")])
def test_mistakes_are_told_with_their_line(tmp_path, text, words):
    done = subprocess.run([OTTERD, "--config", write(tmp_path, text)], capture_output=True,
                          text=True, timeout=20, check=False)
    assert done.returncode == 2 and words in done.stderr, done.stderr


def test_named_file_must_be_there(tmp_path):
    done = subprocess.run([OTTERD, "--config", tmp_path / "none.conf"], capture_output=True,
                          text=True, timeout=20, check=False)
    assert done.returncode == 2 and "none.conf: No such file" in done.stderr
