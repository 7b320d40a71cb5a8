"""Completion in the shells that people have: each is asked as its user would ask it."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
TYPED = (
    ("svcnet rend", "svcnet render "),
    ("svcnet dns lo", "svcnet dns lookup "),
    ("svcnet render --upd", "svcnet render --update "),
    ("svcnet render --sect", "svcnet render --section "),
    ("svcnet render --mode nf", "svcnet render --mode nftables "),
    ("svcnet render -q exa", "svcnet render -q examples/"),
    ("svcnet render --ignore empty-fi", "svcnet render --ignore empty-file "),
    ("svcnet help expl", "svcnet help explain "),
)
"""What is typed before Tab, and what the line is then."""

SHELLS = {
    "bash": ("bash", "--norc", "--noprofile", "-i"),
    "zsh": ("zsh", "-f", "-i"),
}
SECONDS = 60
"""After so long without a letter nothing more comes."""

READY = "ready to complete"


def page() -> str:
    return (ROOT / "docs/howto/complete-in-your-shell.md").read_text("utf-8")


def script(shell: str) -> str:
    """Return what the page has somebody put into the file of a shell."""
    _, _, rest = page().partition(f"`~/{FILES[shell]}`:\n\n```text\n")
    text, _, _ = rest.partition("```")
    assert text
    return text


FILES = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/completions/svcnet.fish"}


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A home of its own, a folder with examples, and svcnet on the PATH."""
    (tmp_path / "work/examples").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "HOME": str(tmp_path), "TERM": "dumb", "PATH": path, "PS1": "", "PS2": ""}


def need(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed; Debian's package {shell} has it")


class Terminal:
    """A shell on a terminal, of which is read until it has printed something."""

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self.text = ""

    def type(self, text: str) -> None:
        os.write(self._leader, text.encode())

    def wait(self, text: str) -> None:
        """Read until `text` has come."""
        while text not in self.text:
            assert select.select([self._leader], [], [], SECONDS)[0], (text, self.text)
            self.text += os.read(self._leader, 4096).decode()
        self.text = self.text.partition(text)[2]


@contextmanager
def terminal(shell: str, environment: dict[str, str]) -> Iterator[Terminal]:
    leader, follower = pty.openpty()
    with subprocess.Popen(
        SHELLS[shell],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=environment,
        start_new_session=True,
    ) as process:
        os.close(follower)
        try:
            yield Terminal(leader)
        finally:
            process.kill()
            os.close(leader)


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_completes(shell: str, environment: dict[str, str]) -> None:
    """With what the page says, after what is typed and Tab, the line is the one that is meant."""
    need(shell)
    with terminal(shell, environment) as there:
        if shell == "zsh":
            there.type("autoload -Uz compinit && compinit -u\n")
        there.type(f"{script(shell)}echo ready' 'to' 'complete\n")
        there.wait(READY)
        for typed, meant in TYPED:
            # Of a line that is taken back nothing is run.
            there.type(f"{typed}\t")
            there.wait(meant)
            there.type("\x15")


def test_fish_completes(environment: dict[str, str]) -> None:
    """fish says itself what it would offer."""
    need("fish")
    home = Path(environment["HOME"])
    file = home / FILES["fish"]
    file.parent.mkdir(parents=True)
    file.write_text(script("fish"))
    for typed, meant in TYPED:
        done = subprocess.run(
            ["fish", "--command", f"complete --do-complete '{typed}'"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        offered = [line.split("\t")[0] for line in done.stdout.splitlines()]
        assert meant.split()[-1].rstrip() in offered, (typed, done.stdout, done.stderr)
