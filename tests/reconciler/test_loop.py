"""When the loop does what, with a machine that only takes notes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from threading import Event as Flag
from time import monotonic, sleep

import pytest
from attrs import define, evolve, field

from svcnet import checks, modes
from svcnet.checks import Check
from svcnet.compiler import node_view
from svcnet.errors import ApplyError
from svcnet.executors.children import Interruption, deadline
from svcnet.family import IPFamily
from svcnet.graph import FragmentName, RuleGraph
from svcnet.models import Budget, ClusterState, NamespacedName
from svcnet.models.state import ClusterObject
from svcnet.modes import Inspection, Pace, SyncResult
from svcnet.reconciler import (
    BeginEvent,
    Change,
    Event,
    FamilyState,
    Follower,
    InSyncEvent,
    Leftovers,
    Loop,
    QueueEvent,
    RefusalEvent,
    Snapshot,
    SweepEvent,
    SyncEvent,
    WarningEvent,
)
from svcnet.testing import make_service, make_slice

QUICK = Pace(min_sync=0.1, sync_period=0.25)
QUIET = Pace(min_sync=0.1, sync_period=60)
WEB = Change(endpoints=frozenset([NamespacedName("shop", "web")]))


@define
class Notes:
    """A target that notes what it is asked for, and refuses or warns as told."""

    family: IPFamily = "IPv4"
    mode: str = "notes"
    stage: str = "notes"
    steps: list[tuple[RuleGraph, frozenset[FragmentName] | None]] = field(factory=list)
    looks: list[RuleGraph] = field(factory=list)
    refuses: int = 0
    refuses_steps: bool = False
    found: SyncResult = field(default=SyncResult("none", ""))

    def step(self, graph: RuleGraph, names: frozenset[FragmentName] | None) -> SyncResult:
        self.steps.append((graph, names))
        if self.refuses or self.refuses_steps:
            raise ApplyError("no")
        return SyncResult("delta", "done")

    def whole(self, graph: RuleGraph) -> SyncResult:
        self.looks.append(graph)
        if self.refuses:
            self.refuses -= 1
            raise ApplyError("no")
        return self.found

    def look(self, graph: RuleGraph) -> SyncResult:
        return self.whole(graph)

    def inspection(self, graph: RuleGraph) -> Inspection | None:
        return None

    def repair(self, inspection: Inspection) -> SyncResult | None:
        return inspection.repair()

    def is_disturbed(self) -> bool:
        return False


class Slow(Notes):
    """A target whose looks take longer than the shortest time between two."""

    def whole(self, graph: RuleGraph) -> SyncResult:
        sleep(0.1)
        return super().whole(graph)


@define
class Inspected(Notes):
    """A target whose looks read until they are let go on, and are overtaken as told."""

    reading: Flag = field(factory=Flag)
    go_on: Flag = field(factory=Flag)
    repairs: list[int] = field(factory=list)
    is_overtaken: bool = False
    disturbed: int = 0

    def inspection(self, graph: RuleGraph) -> Inspection | None:
        return Inspection(self._read, self._repair)

    def is_disturbed(self) -> bool:
        self.disturbed -= 1
        return self.disturbed >= 0

    def _read(self) -> None:
        self.reading.set()
        while not self.go_on.wait(0.01):
            if deadline().seconds_left <= 0:
                raise Interruption("no time")

    def _repair(self) -> SyncResult | None:
        self.repairs.append(len(self.steps))
        return None if self.is_overtaken else self.found


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what will be so."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


def snapshot(*addresses: str) -> Snapshot:
    objects: list[ClusterObject] = [make_service(), make_slice("web", *addresses)]
    state = ClusterState.of(objects)
    return Snapshot(state, {"IPv4": node_view(state, family="IPv4")})


def kept(notes: Notes) -> FamilyState:
    return FamilyState(Follower("IPv4"), notes)


def run(
    notes: Notes,
    pace: Pace,
    script: Callable[[Loop], Awaitable[None]],
    leftovers: Leftovers | None = None,
    ignored: tuple[Check, ...] = (),
) -> list[Event]:
    """Run a loop while a script goes on; return what was told."""
    told: list[Event] = []

    async def main() -> None:
        family = evolve(kept(notes), leftovers=leftovers)
        loop = Loop([family], pace, told.append, ignored)
        task = asyncio.create_task(loop.run())
        await script(loop)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())
    return told


def test_nothing_is_done_before_there_is_a_state() -> None:
    """Without a first state the machine is left alone."""
    notes = Notes()
    run(notes, QUICK, lambda _: asyncio.sleep(0.5))
    assert not notes.steps
    assert not notes.looks


def test_the_first_change_is_followed_at_once_and_a_burst_together() -> None:
    """States that come faster than the pace are passed over, but for the last."""
    notes = Notes()
    states = [snapshot(f"10.244.1.{number}") for number in range(1, 30)]

    async def script(loop: Loop) -> None:
        loop.follow(states[0])
        await asyncio.sleep(0.05)
        assert len(notes.steps) == 1
        for state in states[1:]:
            loop.follow(state, WEB)
            await asyncio.sleep(0.002)
        await asyncio.sleep(0.3)

    run(notes, QUIET, script)
    assert 2 <= len(notes.steps) <= 4
    last, names = notes.steps[-1]
    (fragment,) = last.fragments.values()
    assert "10.244.1.29" in str(fragment)
    assert names == frozenset(last.fragments)


def test_the_machine_is_looked_through_now_and_then() -> None:
    """After a quiet time the whole is compared, and what somebody else did is a warning."""
    notes = Notes(found=SyncResult("delta", "2 lines"))

    async def script(loop: Loop) -> None:
        loop.follow(snapshot("10.244.1.5"))
        await asyncio.sleep(0.9)

    told = run(notes, QUICK, script)
    assert 2 <= len(notes.looks) <= 4
    checks = [event for event in told if isinstance(event, SyncEvent) and event.trigger == "check"]
    assert checks
    assert all(event.done.kind == "delta" for event in checks)


def test_changes_without_end_put_off_no_look() -> None:
    """A cluster that never rests is looked through as often as one that does."""
    notes = Notes()

    async def script(loop: Loop) -> None:
        loop.follow(snapshot("10.244.1.5"))
        for number in range(60):
            await asyncio.sleep(0.02)
            loop.follow(snapshot(f"10.244.1.{number}"), WEB)

    begun = monotonic()
    run(notes, QUICK, script)
    most = (monotonic() - begun) / QUICK.sync_period + 1
    assert 3 <= len(notes.looks) <= most


def test_what_is_refused_is_tried_again_ever_more_rarely() -> None:
    """What is refused is tried as a whole, then after longer and longer times."""
    notes = Notes(refuses=3)

    async def script(loop: Loop) -> None:
        loop.follow(snapshot("10.244.1.5"))
        await asyncio.sleep(1.5)

    told = run(notes, QUIET, script)
    assert len(notes.steps) == 1
    assert len(notes.looks) == 4
    refused = [event for event in told if isinstance(event, RefusalEvent)]
    assert [event.full for event in refused] == [False, True, True, True]
    assert {event.stage for event in refused} == {"notes"}
    waits = [event.retry_in for event in refused[1:]]
    assert waits == sorted(set(waits))
    (synced,) = (event for event in told if isinstance(event, SyncEvent))
    assert synced.trigger == "retry"
    assert synced.lag > sum(waits[:2])


def test_a_pace_without_pauses_has_them_after_refusals() -> None:
    """With minSyncPeriod 0, as mode ipvs has it, a refusal is no reason to try without end."""
    notes = Notes(refuses=10**6)

    async def script(loop: Loop) -> None:
        loop.follow(snapshot("10.244.1.5"))
        await asyncio.sleep(1)

    run(notes, Pace(min_sync=0, sync_period=60), script)
    assert 2 <= len(notes.looks) <= 5


@pytest.mark.parametrize("period", [0.0, -30.0, 1e-9, float("nan")])
def test_no_period_makes_the_loop_spin(period: float) -> None:
    """Whatever the period, there are pauses between looks, and a change is followed."""
    notes = Notes()

    async def script(loop: Loop) -> None:
        loop.follow(snapshot("10.244.1.5"))
        await asyncio.sleep(0.35)
        loop.follow(snapshot("10.244.1.6"), WEB)
        await asyncio.sleep(0.3)

    run(notes, Pace(min_sync=period, sync_period=period), script)
    assert 1 <= len(notes.looks) <= 3
    assert len(notes.steps) == 2


def test_long_looks_leave_time_for_changes() -> None:
    """Where a look takes longer than the period, changes are still followed between two."""
    notes = Slow()

    async def script(loop: Loop) -> None:
        loop.follow(snapshot("10.244.1.5"))
        for number in range(6, 11):
            await asyncio.sleep(0.2)
            loop.follow(snapshot(f"10.244.1.{number}"), WEB)
        await asyncio.sleep(0.1)

    run(notes, Pace(min_sync=0, sync_period=0), script)
    assert len(notes.steps) >= 5
    assert len(notes.looks) <= 3


def has_steps(notes: Notes, count: int) -> bool:
    return len(notes.steps) == count


async def begin_to_look(loop: Loop, notes: Inspected) -> None:
    loop.follow(snapshot("10.244.1.5"))
    await until(notes.reading.is_set)


def test_what_is_refused_during_a_look_is_told_as_tried_again() -> None:
    """What a look puts right of it was no work of others."""
    notes = Inspected(found=SyncResult("delta", "2 lines"))

    async def script(loop: Loop) -> None:
        await begin_to_look(loop, notes)
        notes.refuses = 1
        loop.follow(snapshot("10.244.1.6"), WEB)
        await until(lambda: not notes.refuses)
        notes.go_on.set()
        await until(lambda: len(notes.looks) == 2)

    told = run(notes, QUICK, script)
    assert not notes.repairs
    assert [each.trigger for each in told if isinstance(each, SyncEvent)] == ["start", "retry"]


def test_no_change_waits_for_a_look() -> None:
    """What comes while the machine is read is followed meanwhile, and then it is put right."""
    notes = Inspected(found=SyncResult("delta", "2 lines"))

    async def script(loop: Loop) -> None:
        await begin_to_look(loop, notes)
        for number in (6, 7):
            loop.follow(snapshot(f"10.244.1.{number}"), WEB)
            await until(partial(has_steps, notes, number - 4))
        assert not notes.repairs
        notes.go_on.set()
        await until(lambda: bool(notes.repairs))
        await asyncio.sleep(0.05)

    told = run(notes, QUICK, script)
    assert notes.repairs[0] == 3
    assert not notes.looks
    checks = [event for event in told if isinstance(event, SyncEvent) and event.trigger == "check"]
    assert checks[0].graph is notes.steps[-1][0]


def test_what_changes_overtake_is_looked_at_alone() -> None:
    """A look that cannot use what it has read looks again while nothing is changed."""
    notes = Inspected(is_overtaken=True)
    notes.go_on.set()

    async def script(loop: Loop) -> None:
        await begin_to_look(loop, notes)
        await until(lambda: bool(notes.looks))

    run(notes, QUICK, script)
    assert notes.repairs


def test_what_is_not_read_in_time_is_looked_at_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool that begins anew with each change may never end."""
    monkeypatch.setattr("svcnet.reconciler.loop.READING_SECONDS", 0.05)
    notes = Inspected()

    async def script(loop: Loop) -> None:
        await begin_to_look(loop, notes)
        await until(lambda: bool(notes.looks))

    run(notes, QUICK, script)
    assert not notes.repairs


def test_an_end_waits_for_no_look() -> None:
    """What is only read is broken off."""
    notes = Inspected()
    run(notes, QUICK, lambda loop: begin_to_look(loop, notes))
    assert not notes.repairs
    assert not notes.looks


def test_what_was_read_before_a_refusal_is_of_no_use() -> None:
    """Where a change is refused meanwhile, all is put right as a whole."""
    notes = Inspected()

    async def script(loop: Loop) -> None:
        await begin_to_look(loop, notes)
        notes.refuses, notes.refuses_steps = 1, True
        loop.follow(snapshot("10.244.1.6"), WEB)
        await until(lambda: len(notes.looks) == 1)
        notes.go_on.set()
        await until(lambda: len(notes.looks) == 2)

    told = run(notes, QUICK, script)
    assert not notes.repairs
    assert [event.full for event in told if isinstance(event, RefusalEvent)] == [False, True]


@pytest.mark.parametrize("error", [ApplyError("no"), KeyError("nat")])
def test_what_cannot_be_read_is_a_refusal(error: Exception) -> None:
    """It is told and tried again, as a look."""

    class Unread(Inspected):
        def _read(self) -> None:
            raise error

    notes = Unread()

    async def script(loop: Loop) -> None:
        loop.follow(snapshot("10.244.1.5"))
        await until(lambda: bool(notes.looks))
        await asyncio.sleep(0.05)

    told = run(notes, QUICK, script)
    assert [event.full for event in told if isinstance(event, RefusalEvent)] == [True]
    triggers = [event.trigger for event in told if isinstance(event, SyncEvent)]
    assert triggers[:2] == ["start", "check"]


def test_who_is_disturbed_is_looked_at_soon() -> None:
    """What others surely did is not left until the period is over, but looks have pauses."""
    notes = Inspected(disturbed=1)
    notes.go_on.set()

    async def script(loop: Loop) -> None:
        loop.follow(snapshot("10.244.1.5"))
        await until(lambda: bool(notes.repairs))
        loop._plan_next_look(monotonic() - 1000)
        notes.disturbed = 1
        assert loop._rested_at - monotonic() > 3000

    run(notes, QUIET, script)
    assert len(notes.repairs) == 1


def test_who_is_disturbed_while_changes_come_is_looked_at_soon() -> None:
    """Changes that come all the time do not hide what somebody else did."""

    async def act(loop: Loop) -> None:
        for number in range(60):
            loop.follow(snapshot(f"10.0.0.{number % 250}"), WEB)
            await asyncio.sleep(0.05)
            if notes.repairs:
                return

    notes = Inspected(disturbed=1)
    notes.go_on.set()
    run(notes, Pace(min_sync=0.01, sync_period=60), act)
    assert len(notes.repairs) == 1


def test_refusals_without_end_are_borne() -> None:
    """After thousands of refusals the loop still waits, and no longer than the longest time."""
    loop = Loop([kept(Notes())], QUIET, lambda _: None)
    loop._kept[0].refusals = 5000
    before = monotonic()
    loop._plan_retry()
    assert loop._retry_at is not None
    assert 59 < loop._retry_at - before < 61


def test_a_step_that_is_refused_is_done_as_a_whole() -> None:
    """The machine is looked through when a step fails, and that is a warning."""
    notes = Notes(found=SyncResult("full", "all"))

    async def script(loop: Loop) -> None:
        loop.follow(snapshot("10.244.1.5"))
        await asyncio.sleep(0.2)
        notes.refuses_steps = True
        loop.follow(snapshot("10.244.1.6"), WEB)
        await asyncio.sleep(0.3)

    told = run(notes, QUIET, script)
    assert len(notes.looks) == 1
    (refused,) = (event for event in told if isinstance(event, RefusalEvent))
    assert not refused.full
    assert [str(name) for name in refused.services] == ["shop/web:http/TCP"]


def test_what_is_queued_taken_done_and_settled_is_told_in_this_order() -> None:
    """Each state that is followed is told of four times, with the time that it took."""

    async def script(loop: Loop) -> None:
        loop.follow(snapshot("10.244.1.5"))
        await asyncio.sleep(0.2)
        loop.follow(snapshot("10.244.1.6"), WEB, [1.0])
        loop.follow(snapshot("10.244.1.7"), WEB, [2.0])
        await asyncio.sleep(0.2)

    told = run(Notes(), QUIET, script)
    kinds = [type(event) for event in told]
    assert kinds == [
        QueueEvent,
        BeginEvent,
        SyncEvent,
        InSyncEvent,
        QueueEvent,
        QueueEvent,
        BeginEvent,
        SyncEvent,
        InSyncEvent,
    ]
    first, second = (event for event in told if isinstance(event, SyncEvent))
    assert (first.trigger, first.change) == ("start", None)
    assert second.trigger == "change"
    assert [str(name) for name in second.services] == ["shop/web:http/TCP"]
    assert second.happened == (1.0, 2.0)
    assert 0 < second.stages["compile"] <= second.seconds <= second.lag < 1


def test_only_what_changed_is_compiled_again() -> None:
    """Services that nothing touches keep their fragments as the same objects."""
    follower = Follower("IPv4")
    other: list[ClusterObject] = [make_service("db", "10.96.0.11"), make_slice("db", "10.244.1.9")]

    def with_other(address: str) -> Snapshot:
        state = ClusterState.of([make_service(), make_slice("web", address), *other])
        return Snapshot(state, {"IPv4": node_view(state, family="IPv4")})

    first = follower.follow(with_other("10.244.1.5"), frozenset())
    second = follower.follow(with_other("10.244.1.6"), WEB.all_services)
    assert second.names is not None
    (changed,) = second.names
    assert changed[:2] == ("shop", "web")
    for name, fragment in second.graph.fragments.items():
        assert (fragment is first.graph.fragments[name]) is (name != changed)


class StubbornLeftovers(Leftovers):
    """Leftovers of which the machine refuses the first removal."""

    def __init__(self, notes: Notes) -> None:
        super().__init__(modes.get(modes.DEFAULT).executor(), notes.family)
        self.synced_at: list[int] = []
        self._notes = notes

    def remove(self, found: object = None) -> tuple[str, ...]:
        self.synced_at.append(len(self._notes.steps) + len(self._notes.looks))
        if len(self.synced_at) == 1:
            raise ApplyError("no")
        return ("3 chains",) if len(self.synced_at) == 2 else ()


def test_leftovers_go_once_the_new_mode_serves() -> None:
    """They are removed after a sync has succeeded, and again after the next if that was refused."""
    notes = Notes(refuses=1)
    leftovers = StubbornLeftovers(notes)

    async def script(loop: Loop) -> None:
        loop.follow(snapshot("10.244.1.5"))
        await asyncio.sleep(1.2)

    told = run(notes, QUICK, script, leftovers)
    assert leftovers.synced_at[0] >= 2
    warned = [event.text for event in told if isinstance(event, WarningEvent)]
    assert warned == ["what another mode may have left stays: no [S915 machine-state]"]
    assert [event for event in told if isinstance(event, SweepEvent)] == [
        SweepEvent("IPv4", ("3 chains",))
    ]


def test_services_that_ask_too_much_are_told_once() -> None:
    """A Service without rules is a warning, one of each for a few, and said again only when new."""
    notes = Notes()
    names = [f"s{number}" for number in range(8)]
    addresses = [f"10.244.1.{number}" for number in range(4)]

    def large(count: int) -> Snapshot:
        objects = [make_service(name, f"10.96.0.{n}") for n, name in enumerate(names)]
        slices = [make_slice(name, *addresses) for name in names[:count]]
        state = ClusterState.of([*objects, *slices])
        view = evolve(node_view(state, family="IPv4"), budget=Budget(3, 100))
        return Snapshot(state, {"IPv4": view})

    async def script(loop: Loop) -> None:
        for count in (0, 1, 1, 8):
            loop.follow(large(count), Change(endpoints=frozenset(large(8).state.services)))
            await asyncio.sleep(0.4)

    told = run(notes, QUICK, script)
    warned = [event.text for event in told if isinstance(event, WarningEvent)]
    assert [text.partition(":")[0] for text in warned] == [
        *(f"Service shop/{name} has no rules" for name in names[:5]),
        "3 more Services have no rules, since they ask too much of a node [S709 too-many-entries]",
    ]
    assert all(text.endswith(" [S709 too-many-entries]") for text in warned)
    last = next(event for event in reversed(told) if isinstance(event, SyncEvent))
    assert len(last.graph.fragments) == 0
    assert list(last.done.warnings) == warned
    ignored = run(notes, QUICK, script, ignored=(checks.TOO_MANY_ENTRIES,))
    assert not any(isinstance(event, WarningEvent) for event in ignored)


def test_a_fault_of_svcnets_own_ends_nothing() -> None:
    """What nobody foresaw is told in a line that asks for a report, and tried again."""

    @define
    class Mistaken(Notes):
        def whole(self, graph: RuleGraph) -> SyncResult:
            done = super().whole(graph)
            if len(self.looks) == 1:
                raise KeyError("nat\n")
            return done

    notes = Mistaken(refuses_steps=True)

    async def script(loop: Loop) -> None:
        loop.follow(snapshot("10.0.0.1"))
        while len(notes.looks) < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)

    told = run(notes, QUICK, script)
    [refused] = [event for event in told if isinstance(event, RefusalEvent) and event.full]
    assert "a fault of svcnet's own, please report it: KeyError: 'nat\\n'" in refused.error
    assert "loop.py:" in refused.error
    assert "\n" not in refused.error
    assert any(isinstance(event, SyncEvent) for event in told)
