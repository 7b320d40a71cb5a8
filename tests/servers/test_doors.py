"""The loop that takes clients, and what it does without room and without descriptors."""

from __future__ import annotations

import ast
import errno
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from svcnet.servers.doors import ADMITTED_AT_ONCE, OUT_OF_DESCRIPTORS, Shortage, admit

SERVERS = Path(__file__).parent.parent.parent / "svcnet/servers"

GONE = (errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN, errno.EHOSTUNREACH)
UNHEARD_OF = (errno.EPERM, errno.EINVAL, errno.EIO)


@define
class Queue:
    """A door at which each of `waiting` is a client, or an error of the kernel."""

    waiting: list[str | int]
    room: int
    inside: list[str] = field(factory=list)
    rests: int = 0

    def has_room(self) -> bool:
        return len(self.inside) < self.room

    def take(self) -> str:
        if not self.waiting:
            raise BlockingIOError
        first = self.waiting.pop(0)
        if isinstance(first, int):
            raise OSError(first, "as the kernel says")
        return first

    def serve(self, client: str) -> None:
        self.inside.append(client)

    def rest(self) -> None:
        self.rests += 1


clients = st.text("abc", min_size=1, max_size=2)
errors = st.sampled_from([*GONE, *UNHEARD_OF, *OUT_OF_DESCRIPTORS])


@given(st.lists(clients | errors, max_size=2 * ADMITTED_AT_ONCE), st.integers(0, 80))
def test_what_comes_in(waiting: list[str | int], room: int) -> None:
    """In their order, never more than there is room for, and a bounded number of tries."""
    door = Queue(list(waiting), room)
    admit(door)
    taken = waiting[: len(waiting) - len(door.waiting)]
    assert door.inside == [each for each in taken if isinstance(each, str)]
    assert len(door.inside) <= room
    assert len(taken) <= ADMITTED_AT_ONCE
    ends = [each for each in taken if isinstance(each, int) and each not in GONE]
    assert len(ends) == door.rests <= 1
    assert not ends or taken[-1] == ends[0]
    assert door.rests or not door.waiting or not door.has_room() or len(taken) == ADMITTED_AT_ONCE


@pytest.mark.parametrize("each", ["a", errno.ECONNABORTED])
def test_many_who_wait_do_not_keep_others_waiting(each: str | int) -> None:
    """Whether they come in or have gone: after some of them others have their turn."""
    door = Queue([each] * 1_000, 1_000)
    admit(door)
    assert len(door.waiting) == 1_000 - ADMITTED_AT_ONCE
    assert not door.rests


@pytest.mark.parametrize("number", GONE)
def test_a_client_that_has_gone_keeps_nobody_out(number: int) -> None:
    door = Queue([number, "a", number, "b"], 9)
    admit(door)
    assert door.inside == ["a", "b"]
    assert not door.rests


@pytest.mark.parametrize("number", [*OUT_OF_DESCRIPTORS, *UNHEARD_OF])
def test_an_error_that_may_last_is_not_tried_again_at_once(number: int) -> None:
    """Whatever the kernel says of the socket itself: a loop that asked on would only burn time."""
    door = Queue(["a", number, "b"], 9)
    admit(door)
    assert door.inside == ["a"]
    assert door.rests == 1


@define
class Looking:
    """Who looks away in a shortage, and a clock for it."""

    log: list[str] = field(factory=list)
    timers: list[tuple[float, Callable[[], None]]] = field(factory=list)

    def shortage(self) -> Shortage:
        return Shortage(
            lambda seconds, action: self.timers.append((seconds, action)),
            lambda: self.log.append("away"),
            lambda: self.log.append("back"),
        )

    def pass_time(self) -> None:
        timers, self.timers = self.timers, []
        for _, action in sorted(timers, key=lambda timer: timer[0]):
            action()


def test_a_shortage_ends_with_time() -> None:
    looking = Looking()
    shortage = looking.shortage()
    shortage.begin(1)
    shortage.begin(1)
    shortage.wait(lambda: looking.log.append("waited"), 1)
    assert looking.log == ["away"]
    assert len(looking.timers) == 1
    looking.pass_time()
    assert looking.log == ["away", "back", "waited"]


def test_a_shortage_ends_at_once_when_somebody_ends() -> None:
    """However many end, it is over once, and the time that was to pass ends no later one."""
    looking = Looking()
    shortage = looking.shortage()
    shortage.relieve()
    assert not looking.timers
    shortage.begin(5)
    for _ in range(3):
        shortage.relieve()
    assert [seconds for seconds, _ in looking.timers] == [5, 0]
    stale, fresh = (action for _, action in looking.timers)
    fresh()
    assert looking.log == ["away", "back"]
    shortage.begin(5)
    stale()
    assert looking.log == ["away", "back", "away"]


def test_who_waits_and_needs_more_waits_again() -> None:
    """What is called when a shortage is over may begin the next one, and is not called twice."""
    looking = Looking()
    shortage = looking.shortage()

    def again() -> None:
        looking.log.append("tried")
        shortage.wait(again, 1)

    shortage.wait(again, 1)
    looking.pass_time()
    assert looking.log == ["away", "back", "tried", "away"]
    looking.pass_time()
    assert looking.log == ["away", "back", "tried", "away", "back", "tried", "away"]


def test_a_closed_shortage_calls_nobody() -> None:
    looking = Looking()
    shortage = looking.shortage()
    shortage.wait(lambda: looking.log.append("waited"), 1)
    shortage.close()
    shortage.relieve()
    looking.pass_time()
    assert looking.log == ["away"]


def functions(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each function of a module with the name of each thing that it calls."""
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    yield function.name, node.func.attr


def test_every_server_takes_its_clients_by_the_one_loop() -> None:
    """Nobody accepts but at a door."""
    found = {
        (path.name, function)
        for path in SERVERS.rglob("*.py")
        for function, call in functions(path)
        if call in {"accept", "_accept", "sock_accept", "start_server", "start_unix_server"}
    }
    assert found == {("clients.py", "accept"), ("clients.py", "take"), ("entrance.py", "take")}
