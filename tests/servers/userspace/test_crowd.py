"""Flows that have to go: those of whoever has most, silent longest first."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from svcnet.servers.tally import Tally
from svcnet.servers.userspace.crowd import GREEDY_PART, Crowd
from tests import fuzz

SERVICES = [("default", name) for name in "abc"]


class AnyCrowd(RuleBasedStateMachine):
    """Flows come, speak and go; whoever has to go is who should."""

    @initialize(limit=st.sampled_from([1, 3, 10, 130]))
    def begin(self, limit: int) -> None:
        self.crowd: Crowd[int] = Crowd(limit)
        self.there: dict[int, tuple[tuple[str, str], str]] = {}
        self.next = 0

    @rule(
        service=st.sampled_from(SERVICES),
        source=st.sampled_from(["x", "y", "z"]),
        number=st.integers(1, 5),
    )
    def come(self, service: tuple[str, str], source: str, number: int) -> None:
        for _ in range(number):
            if self.crowd.is_full():
                self.one_goes()
            self.next += 1
            self.crowd.add(self.next, service, source)
            self.there[self.next] = (service, source)

    def one_goes(self) -> None:
        gone = self.crowd.first_to_go()
        assert gone is not None
        service, source = self.there[gone]
        of_service = [each for each, _ in self.there.values()]
        assert of_service.count(service) == max(map(of_service.count, SERVICES))
        sources = [from_ for of, from_ in self.there.values() if of == service]
        most = max(map(sources.count, sources))
        if most > self.crowd.limit // GREEDY_PART:
            assert sources.count(source) == most
            rivals = [each for each, place in self.there.items() if place == (service, source)]
        else:
            rivals = [each for each, (of, _) in self.there.items() if of == service]
        assert gone == rivals[0]
        self.crowd.remove(gone)
        del self.there[gone]

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def speak(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(list(self.there)))
        self.crowd.touch(one)
        self.there[one] = self.there.pop(one)

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(list(self.there)))
        self.crowd.remove(one)
        del self.there[one]

    @invariant()
    def counts(self) -> None:
        assert len(self.crowd) == len(self.there) <= self.crowd.limit
        for service in SERVICES:
            assert self.crowd.of(service) == sum(of == service for of, _ in self.there.values())


TestAnyCrowd = AnyCrowd.TestCase
TestAnyCrowd.settings = settings(
    max_examples=fuzz.examples(150), stateful_step_count=40, deadline=None
)


@settings(max_examples=fuzz.examples(100), deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=80))
def test_tally(steps: list[tuple[bool, int]]) -> None:
    """The greatest is a key that is there most often, whatever came and went."""
    tally: Tally[int] = Tally()
    there: list[int] = []
    for comes, key in steps:
        if comes:
            tally.add(key)
            there.append(key)
        elif key in there:
            tally.remove(key)
            there.remove(key)
        assert all(tally[each] == there.count(each) for each in range(5))
        if there:
            assert there.count(tally.greatest()) == max(map(there.count, there))


def test_forged_sources_do_not_end_the_flows_of_an_honest_one() -> None:
    """Whoever speaks keeps its flows of a Service that thousands of addresses flood."""
    crowd: Crowd[object] = Crowd(1024)
    honest = [object() for _ in range(10)]
    for each in honest:
        crowd.add(each, SERVICES[0], "honest")
    chance = random.Random(1)
    for number in range(5000):
        if crowd.is_full():
            gone = crowd.first_to_go()
            assert gone not in honest
            crowd.remove(gone)
        crowd.add(object(), SERVICES[0], str(number))
        if not number % 100:
            for each in chance.sample(honest, 10):
                crowd.touch(each)
