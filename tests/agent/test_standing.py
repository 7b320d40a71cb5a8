"""What an operator is told of an API server, and how often."""

from __future__ import annotations

from io import StringIO
from typing import Final

from svcnet import checks
from svcnet.agent.log import Teller
from svcnet.agent.repeats import APART_SECONDS, MOST_AT_ONCE
from svcnet.agent.standing import (
    MOST_OBJECTS,
    MOST_REASONS,
    PAUSE_SECONDS,
    Standing,
    UnusableObjects,
)
from svcnet.cli.log import logger
from svcnet.errors import Diagnostic
from svcnet.sources.kubernetes import KINDS, ObjectChanges, Status

GONE: Final = "unreachable"


class Said:
    """Takes what is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, text: str, *, warning: bool = False) -> bool:
        self.lines.append(("! " if warning else "") + text)
        return True


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_cut_is_one_line_though_one_kind_is_back_before_the_next_is_gone() -> None:
    """That befalls one kind after the other in moments; a second cut is told again."""
    said, clock = Said(), Clock()
    standing = Standing(said, clock)
    for _ in range(2):
        for kind in KINDS:
            standing.take(Status(kind, GONE, "cut"))
            standing.take(Status(kind, "synced"))
            clock.now += 0.01
    assert (
        said.lines == ["! API server: unreachable: cut; the rules stay", "API server: synced"] * 2
    )
    said.lines.clear()
    clock.now += 100
    standing.take(Status("Node", GONE, "cut"))
    assert len(said.lines) == 1


def test_a_second_outage_is_told_at_once() -> None:
    """However soon it comes, and though it has the same reason."""
    said, clock = Said(), Clock()
    standing = Standing(said, clock)
    for _ in range(3):
        for kind in KINDS:
            standing.take(Status(kind, GONE, "Connection refused"))
        for kind in KINDS:
            standing.take(Status(kind, "synced"))
        clock.now += 1
    assert len(said.lines) == 6


def test_outages_that_come_again_and_again_are_told_now_and_then() -> None:
    """A server that cuts each watch after a second is ten lines at first, and then one a minute."""
    stream, clock = StringIO(), Clock()
    standing = Standing(Teller(logger(stream), clock).say, clock)
    for _ in range(600):
        for kind in KINDS:
            standing.take(Status(kind, GONE, "cut"))
        for kind in KINDS:
            standing.take(Status(kind, "synced"))
        clock.now += 1
    lines = stream.getvalue().splitlines()
    cuts = [line for line in lines if "cut" in line]
    assert len(cuts) == len(lines) / 2 <= MOST_AT_ONCE + 600 / APART_SECONDS
    assert '"passed_over":59' in cuts[-1]


def test_an_outage_is_one_line_and_its_end_another() -> None:
    """Though it befalls all kinds, and each comes back by itself."""
    said = Said()
    standing = Standing(said, Clock())
    for kind in KINDS:
        standing.take(Status(kind, "synced"))
    assert said.lines == [f"{kind}: synced" for kind in KINDS]
    said.lines.clear()
    for why in ("Connection refused", "does not answer in time", "Connection refused"):
        for kind in KINDS:
            standing.take(Status(kind, GONE, why))
    for kind in KINDS:
        standing.take(Status(kind, "synced"))
    assert said.lines == [
        "! API server: unreachable: Connection refused; the rules stay",
        "! API server: unreachable: does not answer in time; the rules stay",
        "API server: synced",
    ]


def test_a_refusal_is_of_a_kind() -> None:
    """Who may not see Nodes is told so, whatever other kinds are."""
    said = Said()
    standing = Standing(said, Clock())
    standing.take(Status("Node", "refused", "403 Forbidden"))
    standing.take(Status("Service", "refused", "403 Forbidden"))
    assert [line.split(": ")[1] for line in said.lines] == ["Node", "Service"]


def test_what_is_done_without_is_no_outage() -> None:
    """It is told once until it comes, and outages of the rest are told as ever."""
    said, clock = Said(), Clock()
    standing = Standing(said, clock)
    for _ in range(3):
        standing.take(Status("ServiceCIDR", "refused", "404: none", needed=False))
    told = "! API server: ServiceCIDR: refused: 404: none; the rules do without"
    assert said.lines == [told]
    for _ in range(2):
        said.lines.clear()
        clock.now += 100
        for kind in ("Service", "ServiceCIDR"):
            standing.take(Status(kind, GONE, "cut", needed=kind == "Service"))
        standing.take(Status("Service", "synced"))
        standing.take(Status("ServiceCIDR", "refused", "404: none", needed=False))
        assert said.lines == [
            "! API server: unreachable: cut; the rules stay",
            "API server: synced",
        ]
    said.lines.clear()
    standing.take(Status("ServiceCIDR", "synced", needed=False))
    standing.take(Status("ServiceCIDR", "refused", "404: none", needed=False))
    assert said.lines == ["ServiceCIDR: synced", told]


def test_a_server_that_says_something_else_each_time() -> None:
    """Its words do not fill a log."""
    said = Said()
    standing = Standing(said, Clock())
    for number in range(1000):
        standing.take(Status("Node", GONE, f"500 no {number}"))
    assert len(said.lines) == MOST_REASONS


def test_objects_that_cannot_be_used() -> None:
    """The first are told, then nothing for a while; later again."""
    now, said = [0.0], Said()
    unusable = UnusableObjects(said, lambda: now[0])
    for number in range(1000):
        wrong = Diagnostic(
            "/api/v1/services", 0, f"Service a/b{number}", "spec", "is wrong", check=checks.TYPE
        )
        unusable.take(ObjectChanges(diagnostics=(wrong,)))
    assert len(said.lines) == MOST_OBJECTS + 1
    assert said.lines[-1].startswith("! of objects that cannot be used nothing is told for")
    now[0] = PAUSE_SECONDS + 1
    unusable.take(ObjectChanges(diagnostics=(wrong,), more=7))
    assert said.lines[-2:] == [
        f"! {wrong}; what was there of it stays",
        "! 7 more objects cannot be used",
    ]


def test_odd_objects_are_used() -> None:
    """A warning does not say that the object is left out, for it is not."""
    said = Said()
    odd = Diagnostic(
        "/api/v1/nodes", 0, "Node a", "status", "is odd", "warning", check=checks.NODE_ADDRESS
    )
    UnusableObjects(said, lambda: 0.0).take(ObjectChanges(diagnostics=(odd,)))
    assert said.lines == [f"! {odd}"]
