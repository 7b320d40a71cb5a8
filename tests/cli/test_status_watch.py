"""``svcnet status --watch``: keys scroll and filter, and nothing that tells rows apart is cut."""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from svcnet.agent.reporter import Reporter
from svcnet.cli.log import logger
from svcnet.cli.status_view import rows, view
from svcnet.cli.status_watch import StatusWatch
from svcnet.compiler import compile_state, node_view
from svcnet.graph import RuleGraph
from svcnet.models import ClusterState
from svcnet.modes import SyncResult, get
from svcnet.reconciler import Journal, SyncEvent, status_document
from svcnet.testing import make_service, make_slice

NAMES = [f"a-service-with-a-rather-long-name-web-{number}" for number in range(1, 41)]
SECONDS = 60
UP, DOWN, PAGE_DOWN, HOME, END = "\x1b[A", "\x1b[B", "\x1b[6~", "\x1b[H", "\x1b[F"


def graph() -> RuleGraph:
    services = [
        make_service(name, cluster_ips=(f"10.96.0.{number}",))
        for number, name in enumerate(NAMES, 1)
    ]
    slices = [make_slice(name, "10.244.1.5", "10.244.1.6") for name in NAMES]
    state = ClusterState.of([*services, *slices])
    return compile_state(state, node_view(state, family="IPv4"))


def event() -> SyncEvent:
    return SyncEvent("IPv4", "ipvs", "start", SyncResult("full", ""), graph(), None, 0.1)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    journal = Journal(lambda: 1_000_000_000.0)
    journal.take(event())
    found = status_document(journal.record)
    found["input"]["source"] = "/etc/svcnet/manifests"
    return found


def text_of(drawn: Any, width: int, height: int = 100) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height)
    return [
        "".join(segment.text for segment in line).rstrip() for line in console.render_lines(drawn)
    ]


def letters(lines: list[str]) -> str:
    """Return what stands in the first column of a table."""
    return "".join(re.findall(r"^│ (\S+)", "\n".join(lines), re.MULTILINE))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_names_are_whole_and_in_the_order_of_people(document: dict[str, Any], width: int) -> None:
    """In each width every name is there, letter by letter, and web-2 comes before web-10."""
    lines = text_of(view(document), width)
    assert max(map(len, lines)) <= width
    assert letters(lines) == "".join(row[0] for row in rows(document))
    assert [re.split("[/:]", row[0])[1] for row in rows(document)] == NAMES


class Shown:
    """A watch, and what is seen of it."""

    def __init__(self, document: dict[str, Any], width: int, height: int) -> None:
        self.watch = StatusWatch(lambda: document, has_keys=True)
        self.width, self.height = width, height

    def type(self, *keys: str) -> list[str]:
        for key in keys:
            assert self.watch.press(key)
        lines = text_of(self.watch.draw(self.height), self.width)
        assert len(lines) <= self.height
        return lines

    def names(self, *keys: str) -> list[str]:
        """Return the numbers of the Services that are shown."""
        return re.findall(r"-web-([0-9]+):", letters(self.type(*keys)))


@pytest.fixture(params=[(60, 24), (80, 24), (120, 40)], ids=str)
def shown(
    document: dict[str, Any], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Shown:
    width, height = request.param
    monkeypatch.setenv("COLUMNS", str(width))
    return Shown(document, width, height)


def test_keys_scroll(shown: Shown) -> None:
    """By a row and by a page, to both ends, and never beyond; each row is seen on the way."""
    first = shown.names()
    assert first[0] == "1"
    assert shown.names(DOWN)[0] == "2"
    assert shown.names(UP, UP, UP) == first
    assert str(len(first) + 1) in shown.names(PAGE_DOWN)
    last = shown.names(END)
    assert last[-1] == "40"
    assert shown.names(DOWN, PAGE_DOWN, "G") == last
    assert shown.names(HOME) == first
    seen = list(first)
    for _ in range(100):
        if seen[-1] == "40":
            break
        seen += [name for name in shown.names(PAGE_DOWN) if name not in seen]
    assert seen == [str(number) for number in range(1, 41)]


def test_keys_filter(shown: Shown) -> None:
    """Only rows with what is typed behind / are shown; Enter keeps that, Esc takes it away."""
    lines = shown.type("/", *"WEB-4")
    assert lines[-1].startswith("filter: WEB-4_") or "filter: WEB-4_" in "".join(lines[-3:])
    assert shown.names() == ["4", "40"]
    assert "1-2 of 2 service ports with 'WEB-4', of 40" in " ".join(shown.type("\r")[-3:])
    assert shown.names("/", "\x7f", *"39", "\r") == ["39"]
    assert shown.names("/", *"zzz", "\r") == []
    assert shown.names("\x1b")[0] == "1"
    assert not shown.watch.press("q")


def test_any_key_is_taken(shown: Shown) -> None:
    for key in ("\x1b[99~", "\x00", "é", "\x1bOZ", "Q", "/", "\x1b", "\t"):
        assert shown.type(key)


def test_a_run_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = StatusWatch(lambda: "no svcnet \x1b[2J answers", has_keys=True)
    assert text_of(watch.draw(24), 80) == ["no svcnet \\x1b[2J answers"]
    assert watch.press(DOWN)


@contextmanager
def report(path: Path) -> Iterator[None]:
    """Have a report answer at a socket, from a thread of its own."""
    ready, over = threading.Event(), threading.Event()

    async def serve() -> None:
        with ExitStack() as stack:
            reporter = Reporter(logger(io.StringIO()), get("ipvs"))
            reporter.take(event())
            reporter.serve(path, stack)
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    ready.wait()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_on_a_terminal(tmp_path: Path) -> None:
    """Keys are told at the bottom, do what they say, and the terminal is then as it was."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(follower)
    text = ""

    def wait(wanted: str) -> None:
        nonlocal text
        while wanted not in text:
            assert select.select([leader], [], [], SECONDS)[0], text
            text += os.read(leader, 1 << 16).decode(errors="replace")
        text = text.partition(wanted)[2]

    with report(tmp_path / "socket"):
        command = [sys.executable, "-m", "svcnet", "status", "--watch", "--socket", "socket"]
        environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
        environment.pop("COLUMNS", None)
        with subprocess.Popen(
            ["setsid", "--ctty", "--wait", *command],
            cwd=tmp_path,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env=environment,
        ) as process:
            wait("/ filters, q ends")
            os.write(leader, b"/web-39")
            wait("filter: web-39_")
            os.write(leader, b"\r")
            wait("1-1 of 1 service port")
            os.write(leader, b"\x1b[B")
            os.write(leader, b"q")
            assert process.wait(SECONDS) == 0
    assert termios.tcgetattr(follower) == before
    os.close(leader)
    os.close(follower)
