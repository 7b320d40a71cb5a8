"""What a run tells of full Services: once, with name and number, and once when it is over."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.graph import FragmentName
from svcnet.modes.proxy import LOOK_SECONDS
from svcnet.modes.userspace.crowding import LINE_SECONDS, QUIET_SECONDS, Crowding
from svcnet.servers.userspace import Refusals

WEB = FragmentName("shop", "web", "http", "TCP")
DNS = FragmentName("shop", "dns", "dns", "UDP")


def test_a_full_service_is_told_once_and_again_when_it_is_over() -> None:
    """However long it lasts and however many are turned away, two lines say so."""
    crowding = Crowding()
    told = []
    for second in range(0, 300, 5):
        refused = min(second, 100) * 7
        told += crowding.look(second, {WEB: Refusals(refused, 1 if refused else 0, 0, 1234)})
    first, second_line = told
    assert first == (
        "no room for more: shop/web:http/TCP has 1234 connections, the others wait and sources"
        " with too many are reset"
    )
    assert second_line == "room again: shop/web:http/TCP"
    assert crowding.turned_away == 701


def test_flows_that_end_others() -> None:
    """Of datagrams it is told that flows were ended, and how many there are."""
    (line,) = Crowding().look(0, {DNS: Refusals(0, 0, 5, 64)})
    assert line == "no room for more: shop/dns:dns/UDP has 64 flows, new ones end others"


def test_nothing_is_told_of_nothing() -> None:
    """While there is room for all, and of a Service that is gone, there is no line."""
    crowding = Crowding()
    assert crowding.look(0, {}) == []
    assert len(crowding.look(5, {WEB: Refusals(1, 0, 0, 1)})) == 1
    assert crowding.look(10, {}) == []
    assert len(crowding.look(100, {})) == 1
    assert crowding.look(105, {WEB: Refusals()}) == []


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sets(st.integers(0, 200), max_size=200), min_size=1, max_size=40))
def test_few_lines_whatever_is_full(steps: list[set[int]]) -> None:
    """Whatever Services are full when, there are few lines, and each is short."""
    crowding, counts = Crowding(), dict.fromkeys(range(201), 0)
    told = []
    for number, full in enumerate(steps):
        for each in full:
            counts[each] += 1
        now = number * LOOK_SECONDS
        refusals = {
            FragmentName("shop", f"web-{each}", "", "TCP"): Refusals(count, 0, 0, 10)
            for each, count in counts.items()
            if count
        }
        told += crowding.look(now, refusals)
    seconds = len(steps) * LOOK_SECONDS
    begun = [line for line in told if line.startswith("no room")]
    assert len(begun) <= seconds / LINE_SECONDS + 1
    assert len(told) - len(begun) <= seconds / LOOK_SECONDS
    assert all(len(line) < 600 for line in told)
    assert bool(told) == any(steps)
    crowding.look(seconds + QUIET_SECONDS + LINE_SECONDS, {})
    assert crowding._full == {}
