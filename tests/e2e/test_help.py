# SPDX-License-Identifier: Apache-2.0
"""What the programs say of themselves: help that fits a screen, manual pages and completion that
name every command and option. All is compared with the help that lists everything."""
import os
import re
import subprocess

import pytest

import shells
from tool import BUILD, OTTER, ROOT, otter

PROGRAMS = {"otter": OTTER, "otterd": os.path.join(BUILD, "server", "otterd"),
            "otter-device": os.path.join(BUILD, "device", "otter-device")}
MAN = os.path.join(ROOT, "docs", "man")


def run(program, *args):
    done = subprocess.run([PROGRAMS[program], *args], capture_output=True, text=True, timeout=20,
                          check=True)
    assert done.stderr == ""
    return done.stdout


def words_of(listing):
    """The commands of an overview: single ones and groups."""
    return re.findall(r"^  otter ([a-z]+)  ", listing, re.M), \
        re.findall(r"^  otter ([a-z]+) COMMAND", listing, re.M)


def commands():
    single, groups = words_of(run("otter", "--help"))
    for group in groups:
        if group != "help":
            single += re.findall(rf"^  otter ({group} \S+) ", run("otter", "help", group), re.M)
    return single


COMMANDS = commands()
GROUPS = sorted({command.split()[0] for command in COMMANDS})


def options(text):
    """Long options of a help text that lists them: name to argument, None without."""
    found = re.findall(r"^  (?:-\w,)? *--([a-z-]+) ?(\S+)?  ", text, re.M)
    return {name: arg or None for name, arg in found}


def options_of(command):
    return options(run("otter", "help", "--all", *command.split()))


def options_of_program(program):
    return options(run(program, "--help-all"))


def test_help_has_help():
    assert run("otter", "help", "help") == run("otter", "--help")
    assert "source <(otter completion bash)" in run("otter", "help", "completion")
    assert run("otter", "completion", "--help") == run("otter", "help", "completion")


def test_every_command_is_listed():
    assert "image info" in COMMANDS and "update" in COMMANDS and len(COMMANDS) >= 28


# --- a screen of 24 lines of 80 columns ----------------------------------------------------------

HELPS = [("otter", "--help"), ("otterd", "--help"), ("otter-device", "--help")] + \
        [("otter", "help", group) for group in GROUPS] + \
        [("otter", *command.split(), "--help") for command in COMMANDS]


@pytest.mark.parametrize("call", HELPS, ids=" ".join)
def test_help_fits_a_screen(call):
    lines = run(*call).splitlines()
    # 23, as the prompt that comes next is a line, too
    assert len(lines) <= 23 and max(map(len, lines)) <= 80, (len(lines), max(lines, key=len))


@pytest.mark.parametrize("command", COMMANDS)
def test_ways_to_ask_for_help(command):
    said = {run("otter", "help", *command.split()), run("otter", *command.split(), "--help"),
            run("otter", *command.split(), "-h")}
    assert len(said) == 1
    assert said.pop().startswith("Usage: otter " + command)


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_left_out_is_said(command):
    short = run("otter", command.split()[0], *command.split()[1:], "--help")
    left_out = set(options_of(command)) - set(options(short))
    assert ("help --all" in short) == bool(left_out)


# --- the manual ----------------------------------------------------------------------------------


def page(name):
    with open(os.path.join(MAN, name), encoding="ascii") as file:
        return file.read().replace("\\-", "-")


@pytest.mark.parametrize("command", COMMANDS)
def test_manual_names_every_option(command):
    text = page(f"otter-{command.split()[0]}.1")
    assert f".Nm otter {command}\n" in text
    for option in options_of(command):
        assert option == "help" or f"-{option}" in text, option


@pytest.mark.parametrize("name, section", [("otterd", 8), ("otter-device", 1)])
def test_manual_names_every_option_of(name, section):
    text = page(f"{name}.{section}")
    for option in options_of_program(name):
        assert f"Fl -{option}" in text, option


@pytest.mark.parametrize("group", GROUPS)
def test_overview_names_every_page(group):
    assert f".Xr otter-{group} 1" in page("otter.1")


# --- completion, by the shells themselves --------------------------------------------------------


def questions():
    """(line to complete, words that must be offered, whether nothing else may be)."""
    yield "otter ", set(GROUPS) | {"help", "completion"}, True
    for group in GROUPS:
        members = {c.split()[1] for c in COMMANDS if c.startswith(group + " ")}
        if members:
            yield f"otter {group} ", members, True
    for command in COMMANDS:
        yield f"otter {command} --", {"--" + name for name in options_of(command)}, True
        for name, arg in options_of(command).items():
            if "|" in (arg or ""):
                yield f"otter {command} --{name} ", set(arg.split("|")), True
    yield "otter image create --chip ESP32-C", \
        {"ESP32-C2", "ESP32-C3", "ESP32-C5", "ESP32-C6", "ESP32-C61"}, True
    yield "otter image create --se", {"--seed", "--secure-version"}, True
    for program in ["otterd", "otter-device"]:
        yield f"{program} --", {"--" + name for name in options_of_program(program)}, True
        for name, arg in options_of_program(program).items():
            if "|" in (arg or ""):
                yield f"{program} --{name} ", set(arg.split("|")), True
    yield "otterd ", {"init", "passwd"}, False


def script(shell):
    return "\n".join([run("otter", "completion", shell), run("otterd", "--completion", shell),
                      run("otter-device", "--completion", shell)])


@pytest.mark.parametrize("shell", shells.SHELLS)
def test_completion_knows_everything(shell):
    asked = list(questions())
    offered = shells.SHELLS[shell](script(shell), [line for line, _, _ in asked])
    for (line, expected, all_of_it), words in zip(asked, offered):
        words = {word.rstrip("=") for word in words}
        assert expected <= words, (line, expected - words, words)
        assert not all_of_it or words == expected, (line, words - expected)


@pytest.mark.parametrize("shell", shells.SHELLS)
def test_completion_of_files(shell, tmp_path, monkeypatch):
    """Where a file is asked for, files are offered; bash does this when no word is."""
    (tmp_path / "firmware.bin").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    line = "otter image info firmw"
    if shell == "zsh":
        zsh = shells.Zsh(str(tmp_path), script(shell))
        found = zsh.complete(line)
        zsh.close()
    elif shell == "bash":
        found = shells.bash(script(shell), [line])[0] or ["firmware.bin"]
        assert "-o default" in script(shell)
    else:
        done = subprocess.run(["fish", "--no-config", "-c", script(shell) + f"\ncomplete -C'{line}'"],
                              capture_output=True, text=True, timeout=60, check=True)
        found = done.stdout.split()
    assert found == ["firmware.bin"]


def test_completion_knows_its_shells():
    assert b"bash, zsh and fish" in otter("completion", "tcsh", code=2).stderr
