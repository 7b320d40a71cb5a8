"""Child processes: whatever one does, who started it goes on, and knows."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE, Popen, run

import pytest

from svcnet.errors import ApplyError
from svcnet.executors import children
from svcnet.executors.children import Deadline, Interruption, Overdue, deadline, run_child, under
from svcnet.executors.namespace import NoNamespace, in_own_namespace

Script = Callable[[str], str]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Make a program of lines of shell, and return its path."""

    def write(text: str) -> str:
        path = tmp_path / "tool"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return write


@pytest.fixture
def alive(tmp_path: Path) -> Callable[[], bool]:
    """Tell whether what a script has started with its number in a file lives, for a while."""

    def ask() -> bool:
        number = (tmp_path / "number").read_text().strip()
        for _ in range(1000):
            if not Path(f"/proc/{number}").exists():
                return False
            if Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return False
            time.sleep(0.01)
        return True

    return ask


def test_bytes_come_back_as_they_were(script: Script) -> None:
    """What is no UTF-8 passes both ways."""
    given = bytes(range(256)) * 3
    done = run_child(script("cat"), stdin=given)
    assert done.text.encode("utf-8", "surrogateescape") == given
    assert run_child(script("cat"), stdin=done.text) == done


def test_neither_side_blocks(script: Script) -> None:
    """Megabytes go in and come out at once, and complaints beside them."""
    given = b"0123456789abcdef" * (1 << 18)
    done = run_child(script("tee /dev/stderr"), stdin=given)
    assert done.text.encode() == given
    assert len(done.complaint) <= 2000


@pytest.mark.parametrize("text", ["exec 0<&-", "true", "head -c 1"])
def test_input_need_not_be_read(script: Script, text: str) -> None:
    """A child that ends without reading what it is given has ended well."""
    assert run_child(script(text), stdin=b"x" * (1 << 20)).code == 0


def test_how_it_ended_in_words(script: Script) -> None:
    """Its own words, its exit code, or the signal."""
    assert str(run_child(script("echo 'a  b' >&2; echo c >&2; exit 2"))) == "a b c"
    assert str(run_child(script("exit 2"))) == "exit code 2"
    assert str(run_child(script("kill -9 $$"))) == "killed by SIGKILL"
    assert str(run_child(script("echo oh >&2; kill -11 $$"))) == "killed by SIGSEGV: oh"
    assert run_child(script("printf '\\033[2J\\351' >&2")).complaint == r"\x1b[2J\udce9"


@pytest.mark.parametrize(
    "text",
    [
        "sleep 60",
        "exec >&- 2>&-; sleep 60",
        "sleep 60 | cat",
        "trap '' TERM INT; while :; do sleep 1; done",
    ],
)
def test_all_of_it_is_killed_at_the_limit(
    script: Script, alive: Callable[[], bool], text: str, tmp_path: Path
) -> None:
    """A child that hangs goes, and so does what it has started."""
    path = script(f"sleep 60 & echo $! > {tmp_path}/number\n{text}")
    started = time.monotonic()
    with pytest.raises(Overdue, match="tool: killed, for it had not ended after 0 s"):
        run_child(path, seconds=0.3)
    assert time.monotonic() - started < 5
    assert not alive()


def test_what_it_leaves_behind_holds_nobody_up(script: Script, alive: Callable[[], bool]) -> None:
    """A child that has ended is done, though what it started has its pipes still."""
    folder = Path(script("")).parent
    done = run_child(script(f"echo a; sleep 60 & echo $! > {folder}/number"))
    assert done.text == "a\n"
    assert not alive()


@pytest.mark.parametrize("text", ["exit 3", "exec >&- 2>&-; sleep 0.1; exit 3"])
def test_an_old_kernel_does_as_well(
    script: Script, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the end of a process is no event, it is looked for."""

    def refuse(*_: object) -> int:
        raise OSError(38, "Function not implemented")

    assert run_child(script(text)).code == 3
    monkeypatch.setattr("os.pidfd_open", refuse)
    assert run_child(script(text)).code == 3


def test_output_has_an_end(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that prints without end is killed when it has printed too much."""
    monkeypatch.setattr(children, "MOST_OUTPUT", 1 << 20)
    with pytest.raises(Overdue, match="tool: killed, for it printed more than 1048576 bytes"):
        run_child(script("exec yes"))


def test_complaints_are_read_to_their_end(script: Script) -> None:
    """What is too much of standard error is thrown away; the child is not held up by it."""
    assert run_child(script("yes | head -c 10000000 >&2")).code == 0


def test_the_limit_grows_with_the_input(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has more to do has more time for it."""
    monkeypatch.setattr(children, "SECONDS", 0.0)
    monkeypatch.setattr(children, "SECONDS_A_MEBIBYTE", 60.0)
    assert run_child(script("cat >/dev/null"), stdin=b"x" * (1 << 20)).code == 0
    with pytest.raises(Overdue):
        run_child(script("cat"))


def test_a_deadline_that_comes_ends_it(script: Script) -> None:
    """It has the grace that is left, and no child is started after that."""
    ends = Deadline()
    threading.Timer(0.1, ends.set, (0.3,)).start()
    started = time.monotonic()
    with under(ends):
        with pytest.raises(Interruption, match="tool: killed, because svcnet ends and it did not"):
            run_child(script("sleep 60"))
        assert 0.3 <= time.monotonic() - started < 5
        with pytest.raises(Interruption, match="tool: not started, because svcnet ends"):
            run_child(script("true"))
        with under(Deadline(60)):
            assert run_child(script("true")).code == 0
    assert run_child(script("true")).code == 0


def test_a_child_that_works_has_its_grace(script: Script) -> None:
    """What is through in time is not touched."""
    ends = Deadline()
    with under(ends):
        ends.set(30)
        ends.set(60)
        assert ends.seconds_left <= 30
        assert run_child(script("sleep 0.1; echo done")).text == "done\n"


def test_a_deadline_holds_in_a_namespace_of_its_own(script: Script) -> None:
    """Trying things elsewhere is part of the work."""
    with under(Deadline()) as _:
        mine = deadline()
        try:
            assert in_own_namespace(deadline) is mine
        except NoNamespace:
            pytest.skip("needs leave to make network namespaces")


def test_what_cannot_be_started_is_said(tmp_path: Path) -> None:
    """A file that is no program, and one that has gone, are errors with their path."""
    rubbish = tmp_path / "rubbish"
    rubbish.write_bytes(b"\x7fELF nonsense")
    rubbish.chmod(0o755)
    for path in (rubbish, tmp_path / "gone"):
        with pytest.raises(ApplyError, match=str(path)):
            run_child(str(path))


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_no_pipe_stays_open(script: Script) -> None:
    """However a child ends, no descriptor of it is left."""
    before = descriptors()
    for text in ("true", "kill -9 $$", "sleep 60"):
        with suppress(Overdue):
            run_child(script(text), stdin=b"x" * (1 << 20), seconds=0.2)
    assert descriptors() == before


def test_an_interrupt_kills_it(script: Script, alive: Callable[[], bool], tmp_path: Path) -> None:
    """Ctrl-C, which the child does not hear by itself, ends it as well."""
    path = script(f"echo $$ > {tmp_path}/number; exec sleep 60")
    program = f"from svcnet.executors.children import run_child; run_child({path!r})"
    with Popen([sys.executable, "-c", program], stderr=PIPE) as started:
        while not (tmp_path / "number").exists():
            time.sleep(0.01)
        started.send_signal(2)
        assert b"KeyboardInterrupt" in started.communicate(timeout=10)[1]
    assert not alive()


def test_an_interrupt_while_it_starts_kills_it(
    script: Script, alive: Callable[[], bool], tmp_path: Path
) -> None:
    """Ctrl-C finds the child, however soon it comes: here the child itself sends it."""
    path = script(f"echo $$ > {tmp_path}/number; kill -2 $PPID; exec sleep 60")
    program = f"""
import subprocess, time
from svcnet.executors.children import run_child

class SlowPopen(subprocess.Popen):
    def __init__(self, *given, **options):
        super().__init__(*given, **options)
        time.sleep(0.2)

subprocess.Popen = SlowPopen
run_child({path!r})
"""
    done = run([sys.executable, "-c", program], stderr=PIPE, check=False)
    assert b"KeyboardInterrupt" in done.stderr
    assert not alive()
