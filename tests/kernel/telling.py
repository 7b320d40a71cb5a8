"""A run that meets one fault after another, and what it tells of each."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from tests.kernel.api import API, api, endpoints, node, service
from tests.kernel.applying import write_host
from tests.kernel.chaos import CONFIG
from tests.kernel.foreign import words
from tests.kernel.ipvs.netlink import own_namespace
from tests.kernel.nursery import Run, nursery
from tests.kernel.tools import FailingTools

PATIENCE_SECONDS = 60
LONGEST_LINE = 3000
TOOL_SECONDS = 3.0
"""How long a tool may take, so that one that hangs is found out soon."""


@define
class Node:
    """A run that follows a server, its log, and what can be done to both."""

    folder: Path
    server: API
    tools: FailingTools
    run: Run
    listing: tuple[str, ...]
    changes: int = 0
    read: int = field(default=0, init=False)

    def lines(self) -> list[dict[str, Any]]:
        """Return what was told since this was asked last."""
        found = self.run.log.read_text().splitlines(keepends=True)[self.read :]
        whole = [line for line in found if line.endswith("\n")]
        self.read += len(whole)
        assert all(len(line) < LONGEST_LINE for line in whole), whole
        return [json.loads(line) for line in whole]

    def change(self) -> None:
        """Have the endpoints of a Service be others."""
        self.changes += 1
        self.server.put(endpoints("web", f"10.244.1.{self.changes % 250 + 1}"))

    def followed(self) -> bool:
        """Whether the machine has the last change."""
        wanted = f"10.244.1.{self.changes % 250 + 1}:8080".encode()
        return wanted in words(*self.listing)


Act = Callable[[Node], object]


@frozen
class Case:
    """A fault: how it begins and ends, and what is told of it.

    ``tells`` is what a warning must say, None where there is nothing to warn of; ``most`` are
    the warnings of all kinds. ``over`` is what an operator reads at the end.
    """

    name: str
    begin: Act
    end: Act
    tells: str | None
    over: str = ""
    most: int = 1


def tools_fail(name: str, how: int, then: Act | None = None) -> Act:
    """Have a tool fail in one way from now on, do something or none, and have it be run."""

    def act(made: Node) -> None:
        made.tools.fail(100, how, name)
        if then is not None:
            then(made)
        made.change()

    return act


def tools_work(made: Node) -> None:
    made.tools.fail(0)


def nothing(made: Node) -> None:
    made.change()


@contextmanager
def made_node(folder: Path, listing: tuple[str, ...], *options: str) -> Iterator[Node]:
    """Have a run in a network namespace of its own; the command `listing` prints its rules."""
    config = folder / "config.yaml"
    config.write_text(CONFIG)
    tools = FailingTools(folder / "tools")
    with own_namespace(), api() as server, nursery(tools.make(), TOOL_SECONDS) as runs:
        server.stand_behind_a_proxy()
        server.put(node("n1", "192.0.2.10"), service("web", "10.96.0.10"))
        server.put(endpoints("web", "10.244.1.1"))
        where = ("--kubernetes", "--kubeconfig", server.kubeconfig(folder))
        usual = ("--node", "n1", "--config", config, "--host", write_host(folder))
        run = runs.start(folder / "log", "run", *where, *usual, "--family", "ipv4", *options)
        run.wait_for_words('"event":"synced"')
        yield Node(folder, server, tools, run, listing)
        run.end()


def check(made: Node, case: Case) -> None:
    """Have a fault begin and end, and look at what is told of it."""
    made.lines()
    case.begin(made)
    told: list[dict[str, Any]] = []
    wait(made, told, lambda: case.tells is None or said(told, case.tells, "warning"))
    # A fault that goes on is not told again and again.
    time.sleep(0.5)
    case.end(made)
    wait(made, told, made.followed)
    wait(made, told, lambda: not case.over or said(told, case.over, "info"))
    warnings = [line for line in told if line["level"] != "info"]
    assert len(warnings) <= case.most, json.dumps(warnings)
    assert bool(warnings) is (case.tells is not None) or case.tells is None
    assert "Traceback" not in str(told)
    assert "fault of svcnet" not in str(told)


def wait(made: Node, told: list[dict[str, Any]], condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        told += made.lines()
        if condition():
            return
        assert time.monotonic() < deadline, told
        time.sleep(0.05)


def said(told: list[dict[str, Any]], pattern: str, level: str) -> bool:
    return any(line["level"] == level and said_in(line, pattern) for line in told)


def said_in(line: dict[str, Any], pattern: str) -> bool:
    texts = (
        line["event"],
        " ".join(map(str, (line["event"], line.get("error"), line.get("what")))),
    )
    return any(re.search(pattern, text, re.DOTALL) for text in texts)
