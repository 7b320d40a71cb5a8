"""Admission of connections: whoever has little gets more, however much others take."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from svcnet.servers.userspace.admission import GREED, Admission
from tests import fuzz

SERVICES = [("default", f"s{number}") for number in range(6)]
SOURCES = [f"10.0.0.{number}" for number in range(1, 9)]


def greedy(shares: Admission, service: tuple[str, str], source: str) -> int:
    """Return how many a source gets of a Service that takes all it can get."""
    taken = 0
    while shares.has_room(service) and shares.take(service, source):
        taken += 1
    return taken


def some(capacity: int, services: int) -> Admission:
    shares = Admission(capacity)
    for number in range(services):
        shares.join(("default", str(number)))
    return shares


class AnyUse(RuleBasedStateMachine):
    """Services come and go, the capacity changes, and connections begin and end."""

    @initialize(capacity=st.integers(0, 300))
    def begin(self, capacity: int) -> None:
        self.shares = Admission(capacity)
        self.joined: list[tuple[str, str]] = []
        self.open: list[tuple[tuple[str, str], str]] = []

    @rule(service=st.sampled_from(SERVICES))
    def join(self, service: tuple[str, str]) -> None:
        self.shares.join(service)
        self.joined.append(service)

    @precondition(lambda self: self.joined)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        service = data.draw(st.sampled_from(self.joined))
        self.shares.leave(service)
        self.joined.remove(service)

    @rule(capacity=st.integers(0, 300))
    def change(self, capacity: int) -> None:
        self.shares.capacity = capacity

    @rule(
        service=st.sampled_from(SERVICES),
        source=st.sampled_from(SOURCES),
        number=st.integers(1, 60),
    )
    def come(self, service: tuple[str, str], source: str, number: int) -> None:
        for _ in range(number):
            is_below = len(self.open) < self.shares.capacity
            has = sum(each == service for each, _ in self.open)
            of_source = sum(each == source for _, each in self.open)
            has_room = self.shares.has_room(service)
            assert is_below or not has_room
            if is_below and service in self.joined and has < self.shares.part:
                assert has_room, "a Service that has less than its part"
            if is_below and not has:
                assert has_room, "a Service that has nothing"
            if not has_room:
                break
            took = self.shares.take(service, source)
            assert took or of_source, "a source that has nothing"
            if not took:
                break
            self.open.append((service, source))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.open))
        self.open.remove(one)
        self.shares.give(*one)

    @invariant()
    def counts(self) -> None:
        assert len(self.shares) == len(self.open)
        for service in SERVICES:
            assert self.shares.of(service) == sum(each == service for each, _ in self.open)

    def teardown(self) -> None:
        for one in self.open:
            self.shares.give(*one)
        assert len(self.shares) == 0
        for service in self.joined:
            self.shares.leave(service)
        assert not self.shares._services
        assert not self.shares._sources


TestAnyUse = AnyUse.TestCase
TestAnyUse.settings = settings(
    max_examples=fuzz.examples(150), stateful_step_count=30, deadline=None
)


@settings(max_examples=fuzz.examples(200), deadline=None)
@given(st.integers(50, 5000), st.integers(1, 12))
def test_greedy_sources_leave_a_part(capacity: int, number: int) -> None:
    """However many of one Service's sources take all they get, a known part stays free."""
    shares = some(capacity, 1)
    for source in range(number):
        greedy(shares, ("default", "0"), str(source))
        free = capacity - len(shares)
        assert free >= capacity / (1 + GREED * (source + 1)) - 2 * (source + 1)
    # A source takes at least one, whatever it finds; so it is with many when there is little.
    if len(shares) < capacity:
        assert greedy(shares, ("default", "0"), "honest") >= 1


@settings(max_examples=fuzz.examples(200), deadline=None)
@given(st.integers(50, 5000), st.integers(2, 40), st.integers(1, 39))
def test_greedy_services_leave_each_other_its_part(capacity: int, services: int, many: int) -> None:
    """However many Services take all they get, from ever new sources, others have their parts."""
    shares = some(capacity, services)
    hostile = min(many, services - 1)
    for number in range(hostile):
        for source in range(capacity):
            greedy(shares, ("default", str(number)), f"{number}-{source}")
    for number in range(hostile, services):
        own = ("default", str(number))
        for source in range(shares.part):
            assert shares.has_room(own)
            assert shares.take(own, f"honest-{number}-{source}")


@settings(max_examples=fuzz.examples(100), deadline=None)
@given(st.integers(60, 5000), st.integers(1, 30))
def test_a_source_that_takes_of_every_service_leaves_something(
    capacity: int, services: int
) -> None:
    """A source has no more than two thirds of all, however many Services it takes it of."""
    shares = some(capacity, services)
    for number in range(services):
        greedy(shares, ("default", str(number)), "greedy")
    assert len(shares) <= capacity * 2 / 3 + services


def test_a_service_that_is_alone_has_all() -> None:
    """With one Service and many sources, nothing is kept for others that there are not."""
    shares = some(1000, 1)
    assert sum(greedy(shares, ("default", "0"), str(source)) for source in range(2000)) == 1000


@pytest.mark.parametrize(("services", "most"), [(2, 580), (10, 383), (100, 338)])
def test_what_a_greedy_service_has(services: int, most: int) -> None:
    """It has its part and two thirds of what is shared: the figures of the documents."""
    shares = some(1000, services)
    for source in range(2000):
        greedy(shares, ("default", "0"), str(source))
    assert shares.of(("default", "0")) == pytest.approx(most, abs=5)


def test_shares_grow_again_when_others_need_them_no_more() -> None:
    """What others have given back can be had."""
    shares = some(1000, 2)
    first = greedy(shares, ("default", "0"), "a")
    second = greedy(shares, ("default", "1"), "b")
    for _ in range(second):
        shares.give(("default", "1"), "b")
    for _ in range(first):
        shares.give(("default", "0"), "a")
    assert greedy(shares, ("default", "1"), "b") == first


def test_ports_of_one_service_have_one_part() -> None:
    """A Service of a hundred ports has no more than one of a single port."""
    shares = some(1000, 2)
    for _ in range(99):
        shares.join(("default", "0"))
    assert shares.part == 250
    for _ in range(99):
        shares.leave(("default", "0"))
    assert shares.part == 250
    shares.leave(("default", "0"))
    assert shares.part == 500
