# SPDX-License-Identifier: Apache-2.0
"""Asks bash, zsh and fish what they would complete."""
import os
import pty
import select
import subprocess
import tempfile
import time

SEPARATOR = "=== next"


def bash(script, lines):
    """What each line, ending in the word to complete, is completed to: a list of words a line."""
    ask = [script, """
        complete_it() {
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            "$(complete -p "$1" | sed 's/.* -F \\([^ ]*\\) .*/\\1/')"
            printf '%s\\n' "${COMPREPLY[@]}" """ + f"""'{SEPARATOR}'
        }}"""]
    for line in lines:
        ask.append("complete_it " + " ".join(f"'{word}'" for word in line.split(" ")))
    done = subprocess.run(["bash", "--norc", "-c", "\n".join(ask)], capture_output=True, text=True,
                          timeout=60, check=True)
    assert not done.stderr, done.stderr
    return answers(done.stdout, lines)


def fish(script, lines):
    ask = [script] + [f"complete -C'{line}'; echo '{SEPARATOR}'" for line in lines]
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(["fish", "--no-config", "-c", "\n".join(ask)], capture_output=True,
                              text=True, timeout=120, check=True, cwd=home,
                              env={**os.environ, "HOME": home})
    assert not done.stderr, done.stderr
    return [[word.split("\t")[0] for word in words] for words in answers(done.stdout, lines)]


def answers(output, lines):
    found = output.split(SEPARATOR + "\n")
    assert len(found) == len(lines) + 1 and found[-1] == "", output[-2000:]
    return [[word for word in words.splitlines() if word] for words in found[:-1]]


# What completion would offer is printed between two marks instead of being put on the line.
ZSH = """
PS1= PS2= RPS1=
HISTFILE=
unsetopt beep
autoload -Uz compinit
compinit -u -D
zstyle ':completion:*' insert-tab false
zstyle ':completion:*' list-separator ''
zstyle ':completion:*' verbose no
compadd() {
    if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then
        builtin compadd "$@"
        return
    fi
    typeset -a hits
    builtin compadd -A hits "$@"
    print -rl -- "<"$^hits">"
}
mark() {
    print -r -- "<mark>"
    compprefuncs=(mark) # each completion empties both
    comppostfuncs=(mark)
}
compprefuncs=(mark)
comppostfuncs=(mark)
bindkey '^I' complete-word
bindkey '^U' kill-whole-line
"""


class Zsh:
    """A zsh on a terminal of its own; one for all questions, as it is slow to start."""

    def __init__(self, folder, script):
        setup = os.path.join(folder, "setup.zsh")
        with open(setup, "w", encoding="utf-8") as file:
            file.write(ZSH + script)
        pid, self.fd = pty.fork()
        if pid == 0:
            os.chdir(folder)
            os.environ.update(TERM="dumb", HOME=folder, ZDOTDIR=folder)
            os.execvp("zsh", ["zsh", "-f", "-i"])
        self.pid = pid
        os.write(self.fd, f"source {setup}; print '<rea''dy>'\n".encode())
        self.read("<ready>", 1)

    def read(self, mark, times):
        said, end = "", time.monotonic() + 30
        while said.count(mark) < times:
            assert time.monotonic() < end, said[-2000:]
            if select.select([self.fd], [], [], 1)[0]:
                said += os.read(self.fd, 65536).decode(errors="replace")
        return said

    def complete(self, line):
        os.write(self.fd, b"\x15" + line.encode() + b"\t")
        said = self.read("<mark>", 2).split("<mark>")[1]
        return [word.strip()[1:-1] for word in said.splitlines() if word.strip().startswith("<")]

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def zsh(script, lines):
    with tempfile.TemporaryDirectory() as folder:
        shell = Zsh(folder, script)
        try:
            return [shell.complete(line) for line in lines]
        finally:
            shell.close()


SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}
