"""How much a command tells beside its result, in which colours, and of what goes on."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from svcnet.cli import main
from svcnet.cli.manner import PATIENCE
from tests.cli.test_help import verbs

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = str(ROOT / "examples/my-service")
RED = "\x1b[31m"


def svcnet(*arguments: str, **env: str) -> Result:
    return CliRunner(env=env).invoke(main, arguments)


def on_terminal(
    arguments: Sequence[str], *, code: str = "from svcnet.cli import main; main()", **env: str
) -> str:
    """Return all that a command writes whose output and error are a terminal of its own."""
    outer, inner = pty.openpty()
    command = [sys.executable, "-c", code, *arguments]
    environment = {**os.environ, "TERM": "xterm", **env}
    environment = {name: value for name, value in environment.items() if value}
    with subprocess.Popen(command, stdout=inner, stderr=inner, stdin=inner, env=environment):
        os.close(inner)
        text = b""
        while True:
            try:
                part = os.read(outer, 1 << 16)
            except OSError:  # nobody has the terminal any more
                break
            if not part:
                break
            text += part
    os.close(outer)
    return text.decode()


@pytest.mark.parametrize("verb", [path for path, _ in verbs()])
def test_every_verb_takes_the_options(verb: str) -> None:
    """Before the verb or behind it, and of --color the word; an error is coloured as they say."""
    words = verb.split()
    for arguments in (["--color", "always", "-q", *words], [*words, "--color", "always", "-q"]):
        told = svcnet(*arguments, "--verbose", NO_COLOR="1")
        assert told.exit_code == 2
        assert RED in told.stderr
    assert "\x1b" not in svcnet(*words, "--color", "never", "-v", "--quiet").stderr


@pytest.mark.parametrize(
    ("env", "is_painted"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colors_of_a_terminal(env: dict[str, str], is_painted: bool) -> None:
    """A terminal gets them, unless it, or its user, wants none."""
    told = on_terminal(["render", "/none"], **{"NO_COLOR": "", **env})
    assert "/none" in told
    assert (RED in told) is is_painted


@pytest.mark.parametrize("verb", ["render", "golden"])
def test_a_difference_has_colours(verb: str, tmp_path: Path) -> None:
    """What comes and what goes, where colours are wanted; without them it is the same text."""
    golden = tmp_path / "iptables.ipv4.txt"
    golden.write_text("*filter\nCOMMIT\n")
    (tmp_path / "golden.toml").write_text(f'manifests = ["{EXAMPLE}"]\nnodes = ["node-a"]\n')
    asked: tuple[str, ...] = ("render", EXAMPLE, "--check", str(golden))
    if verb == "golden":
        (tmp_path / "node-a.iptables.ipv4.txt").write_text("*filter\nCOMMIT\n")
        asked = ("golden", "check", str(tmp_path))
    plain, painted = svcnet(*asked), svcnet(*asked, "--color", "always")
    assert plain.exit_code == painted.exit_code == 1
    assert "\x1b[32m+:KUBE-" in painted.stdout
    assert "\x1b" not in plain.stdout
    assert re.sub(r"\x1b\[[0-9;]*m", "", painted.stdout) == plain.stdout


def test_what_is_told_quietly(tmp_path: Path) -> None:
    """Counts and remarks go, warnings and errors stay, and so does the result."""
    file = tmp_path / "some.yaml"
    text = (ROOT / "examples/my-service/service.yaml").read_text()
    file.write_text(f"{text}---\nkind: ConfigMap\napiVersion: v1\nmetadata: {{name: a}}\n")
    loud, quiet = svcnet("render", str(file)), svcnet("render", "-q", str(file))
    assert loud.stdout == quiet.stdout != ""
    assert "passed over: 1 ConfigMap" in loud.stderr
    assert "passed over" not in quiet.stderr
    told = [line for line in loud.stderr.splitlines() if ": warning: " in line]
    assert quiet.stderr.splitlines() == told
    assert "error" in svcnet("render", "-q", "/none").stderr


def test_how_long_each_part_took() -> None:
    told = svcnet("render", "-v", EXAMPLE).stderr
    assert "reading: " in told
    assert "compiling: " in told
    assert svcnet("render", EXAMPLE).stderr == ""


SLOW = f"""
import sys, time
from svcnet.cli import main, manner, render
read = render.read_inputs
def slowly(asked):
    line = manner.manner().progress
    while line is not None and not line.is_shown:
        time.sleep(0.01)
    if line is None:
        time.sleep({PATIENCE} + 0.4)
    asked.strict.tell("warning: told meanwhile")
    return read(asked)
render.read_inputs = slowly
main()
"""


def test_what_goes_on_is_shown_on_a_terminal() -> None:
    """Once it takes long, on a line that is gone before anything else is told."""
    told = on_terminal(
        ["render", EXAMPLE, "--check", f"{EXAMPLE}/golden.iptables.txt"], code=SLOW, NO_COLOR="1"
    )
    shown, _, rest = told.partition("\r\x1b[Kwarning: told meanwhile")
    assert "reading, " in shown, told
    assert "\n" not in shown
    assert rest.endswith(("\r\n", "\x1b[K"))


@pytest.mark.parametrize("option", ["-q", "no terminal", "dumb"])
def test_what_goes_on_is_shown_nowhere_else(option: str) -> None:
    arguments = ["render", EXAMPLE, "--check", f"{EXAMPLE}/golden.iptables.txt"]
    if option == "no terminal":
        command = [sys.executable, "-c", SLOW, *arguments]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    elif option == "dumb":
        told = on_terminal(arguments, code=SLOW, TERM="dumb")
    else:
        told = on_terminal([*arguments, option], code=SLOW)
    assert "reading" not in told
    assert "told meanwhile" in told
