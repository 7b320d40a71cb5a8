"""What a run tells of what goes on: when it begins, when it is over, and seldom in between."""

from __future__ import annotations

import io
from typing import Any

import orjson
import pytest
from attrs import define, evolve, field

from svcnet import checks
from svcnet.agent.log import SELDOM_SECONDS, Teller
from svcnet.agent.repeats import APART_SECONDS, MOST_AT_ONCE, MOST_SUBJECTS, Repeats
from svcnet.cli.log import logger
from svcnet.errors import Diagnostic, InputError
from svcnet.graph import NodeSettings, RuleGraph
from svcnet.inputs.feed import MOST_LINES, first_lines
from svcnet.modes import SyncResult
from svcnet.reconciler import AllClearEvent, RefusalEvent, SyncEvent, WarningEvent

GRAPH = RuleGraph(NodeSettings("IPv4"))
REFUSED = RefusalEvent(
    "IPv4", "iptables", "iptables-nft-restore: no", GRAPH, full=True, retry_in=2.0
)
STEP = evolve(REFUSED, full=False)
SYNCED = SyncEvent("IPv4", "iptables", "retry", SyncResult("full", "done"), GRAPH, None, 0.1)
DRIFT = evolve(SYNCED, trigger="check", done=SyncResult("delta", "done", differed={"nat": 1}))


@define
class Told:
    """A teller whose lines are kept, and its clock."""

    now: float = 0.0
    stream: io.StringIO = field(factory=io.StringIO)
    teller: Teller = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.teller = Teller(logger(self.stream), lambda: self.now)

    def lines(self) -> list[dict[str, Any]]:
        """Return what was told since this was asked last."""
        found = [orjson.loads(line) for line in self.stream.getvalue().splitlines()]
        self.stream.seek(0)
        self.stream.truncate()
        return found

    def events(self) -> list[str]:
        return [line["event"] for line in self.lines()]


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_refusal_that_goes_on_is_told_seldom(told: Told) -> None:
    """The same refusal is one line, another now and then, and one when it is over."""
    told.teller.tell(STEP)
    told.teller.tell(REFUSED)
    assert told.events() == ["refused"]
    for _ in range(1000):
        told.now += SELDOM_SECONDS / 100
        told.teller.tell(STEP)
        told.teller.tell(REFUSED)
    again = told.lines()
    assert [line["event"] for line in again] == ["refused"] * 10
    assert again[-1]["times"] == 1001
    told.teller.tell(SYNCED)
    [over] = told.lines()
    assert (over["event"], over["refused_before"]) == ("synced", 1001)
    told.teller.tell(REFUSED)
    assert told.events() == ["refused"]


def test_a_step_that_is_refused_alone_is_told(told: Told) -> None:
    """Where the whole was taken, or refused for another reason, that of the step is told too."""
    told.teller.tell(STEP)
    told.teller.tell(SYNCED)
    step = "a step was refused, all is looked through instead"
    assert told.events() == [step, "synced"]
    told.teller.tell(STEP)
    told.teller.tell(evolve(REFUSED, error="something else"))
    assert told.events() == [step, "refused"]


def test_the_end_is_told_even_where_nothing_was_to_do(told: Told) -> None:
    """A look that finds all right after a refusal says so; any other says nothing."""
    look = evolve(SYNCED, trigger="check", done=SyncResult("none", "nothing to change"))
    told.teller.tell(look)
    assert told.events() == []
    told.teller.tell(REFUSED)
    told.teller.tell(look)
    assert told.events() == ["refused", "synced"]


def test_another_reason_is_told_at_once_but_not_without_end(told: Told) -> None:
    """Reasons that differ each time are told up to a bound, then one a minute."""
    for number in range(1000):
        told.teller.tell(evolve(REFUSED, error=f"line {number} failed"))
    assert len(told.lines()) == MOST_AT_ONCE
    told.now += APART_SECONDS
    told.teller.tell(evolve(REFUSED, error="line 1000 failed"))
    [line] = told.lines()
    assert line["times"] == 1001


def test_families_are_told_apart(told: Told) -> None:
    """What one family is refused for is not known of the other."""
    told.teller.tell(REFUSED)
    told.teller.tell(evolve(REFUSED, family="IPv6"))
    assert len(told.lines()) == 2


def test_a_fight_over_rules_is_told_seldom(told: Told) -> None:
    """Who changes rules at each look is told of a few times, and then once a minute."""
    for _ in range(1000):
        told.now += 1
        told.teller.tell(DRIFT)
    lines = told.lines()
    drifts = [line for line in lines if line["event"].startswith("somebody else")]
    assert len(lines) == 2 * len(drifts)
    assert len(drifts) == MOST_AT_ONCE + 1000 // int(APART_SECONDS)
    assert drifts[-1]["passed_over"] == APART_SECONDS - 1


def test_a_warning_has_a_beginning_and_an_end(told: Told) -> None:
    """Both are told, and of one that comes and goes all the time not each."""
    for _ in range(1000):
        told.teller.tell(WarningEvent("IPv4", "no"))
        told.teller.tell(AllClearEvent("IPv4", "no"))
    lines = told.lines()
    assert [line["event"] for line in lines[:2]] == ["no", "no longer so"]
    assert len(lines) == 2 * MOST_AT_ONCE


def test_what_is_said_of_input_is_bounded(told: Told) -> None:
    """A program that writes wrong manifests all the time does not fill the log."""
    error = InputError(
        Diagnostic("a.yaml", n, "", "", "is wrong", check=checks.TYPE) for n in range(1000)
    )
    for _ in range(1000):
        told.teller.say(first_lines(error), warning=True)
    lines = told.lines()
    assert len(lines) == MOST_AT_ONCE
    assert lines[0]["event"].count("\n") == MOST_LINES
    assert lines[0]["event"].endswith("and 980 more")


def test_subjects_are_bounded() -> None:
    """What is remembered of lines does not grow with what there is to tell."""
    repeats = Repeats(lambda: 0.0)
    assert all(repeats.passed_over(number) == 0 for number in range(10 * MOST_SUBJECTS))
    assert len(repeats._subjects) == MOST_SUBJECTS
