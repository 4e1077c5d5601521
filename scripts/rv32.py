# SPDX-License-Identifier: Apache-2.0
"""The device library built for a 32-bit RISC-V, and what its objects say of themselves: sections,
symbols, and GCC's record of calls and stack frames. Used by scripts/footprint and
scripts/check-layers."""
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDER = os.path.join(ROOT, "build-rv32")
TOOL = "riscv64-unknown-elf-"
INDIRECT = "__indirect_call"


def run(*command, cwd=ROOT):
    """The output of a command; ends the program with its messages when it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(" ".join(command) + "\n" + done.stdout + done.stderr)
    return done.stdout


class Object:
    """One compiled source of src/. name is its path below src/: esp/image.c."""

    def __init__(self, name, path):
        self.name, self.path = name, path
        self.sections = {}  # name: (bytes, writable)
        self.undefined, self.defined, self.functions = set(), set(), set()
        self.frames, self.calls = {}, {}  # function: bytes, function: callees
        self.dynamic = set()  # functions whose frame has no fixed size
        self.tables = {}  # type of a constant table: functions it points to
        self.read_sections()
        self.read_symbols()
        self.read_calls()
        self.read_tables()

    def read_sections(self):
        listing = run(TOOL + "objdump", "-h", "-w", self.path)
        for line in listing.splitlines():
            field = line.split(None, 7)
            if len(field) == 8 and field[0].isdigit() and "ALLOC" in field[7]:
                self.sections[field[1]] = (int(field[2], 16), "READONLY" not in field[7])

    def read_symbols(self):
        for line in run(TOOL + "nm", self.path).splitlines():
            kind, name = line[8:].split()
            if kind == "U":
                self.undefined.add(name)
            elif kind.isupper():
                self.defined.add(name)
            if kind == "T":
                self.functions.add(name)

    def read_calls(self):
        """The .ci file beside the object: a graph with the frame size in each node's label."""
        with open(self.path[:-2] + ".ci", encoding="utf-8") as graph:
            text = graph.read()
        for title, size, how in re.findall(
                r'node: \{ title: "([^"]+)" label: "[^"]*\\n(\d+) bytes \(([^)]*)\)', text):
            self.frames[title] = int(size)
            self.calls.setdefault(title, set())
            if how != "static":
                self.dynamic.add(title)
        for source, target in re.findall(r'sourcename: "([^"]+)" targetname: "([^"]+)"', text):
            self.calls.setdefault(source, set()).add(target)

    def read_tables(self):
        """Functions that constant tables point to, by the table's struct type."""
        source = os.path.join(ROOT, "src", self.name)
        if not os.path.exists(source):
            return
        with open(source, encoding="utf-8") as file:
            text = file.read()
        static = {title.rsplit(":", 1)[-1]: title for title in self.frames}
        for kind, table in re.findall(r"const struct (otter_\w+) (\w+)(?:\[\w*\])? =", text):
            for section in self.sections:
                if re.fullmatch(r"\.s?rodata\." + table + r"(\.\d+)?", section):
                    listing = run(TOOL + "objdump", "-r", "-j", section, self.path)
                    targets = re.findall(r"R_RISCV_32\s+(?:\.text\.)?(\w+)", listing)
                    self.tables.setdefault(kind, set()).update(
                        static[t] for t in targets if t in static)


def build():
    """Builds src/ and returns its objects, in the order of src/meson.build."""
    if not os.path.exists(os.path.join(FOLDER, "build.ninja")):
        run("meson", "setup", FOLDER, "--cross-file", "scripts/rv32imc.ini", "-Dhost=false",
            "-Dbuildtype=minsize")
    run("ninja", "-C", FOLDER)
    objects = []
    for target in json.loads(run("meson", "introspect", FOLDER, "--targets")):
        if target["name"].startswith("layer-"):
            for source in target["target_sources"][0]["sources"]:
                name = os.path.relpath(source, os.path.join(ROOT, "src"))
                path = os.path.join(target["filename"][0] + ".p", name.replace("/", "_") + ".o")
                objects.append(Object(name, path))
    return objects


class CallGraph:
    """Calls over all objects. An indirect call leads to the functions of the constant tables that
    it can mean: the state table of the same file, or the sinks of core when a protocol calls.
    What the port provides (hash, slots, events) is outside and not followed."""

    def __init__(self, objects):
        self.frames, self.calls = {}, {}
        sinks = set().union(*(o.tables.get("otter_sink_ops", set()) for o in objects))
        for obj in objects:
            self.frames.update(obj.frames)
            actions = obj.tables.get("otter_fsm_row", set())
            driver = "otter_fsm_event:" + obj.name  # as this file's tables have it
            self.calls[driver] = actions
            for function, callees in obj.calls.items():
                callees = set(callees)
                if "otter_fsm_event" in callees and actions:
                    callees.add(driver)
                if INDIRECT in callees and obj.name.startswith("proto/"):
                    callees |= sinks
                self.calls[function] = callees
        for driver in [f for f in self.calls if f.startswith("otter_fsm_event:")]:
            self.frames[driver] = self.frames.get("otter_fsm_event", 0)

    def deepest(self, function, path=()):
        """Bytes of stack below a call of function, its own frame included, and the path there.
        Raises Recursion."""
        if function in path:
            raise Recursion(path[path.index(function):] + (function,))
        best = (0, ())
        for callee in self.calls.get(function, ()):
            best = max(best, self.deepest(callee, path + (function,)))
        return best[0] + self.frames.get(function, 0), (function,) + best[1]


class Recursion(Exception):
    """A function that can come back to itself; the argument is the cycle."""


if __name__ == "__main__":
    build()
