"""Whatever happened to a table of nftables, the next look leaves what is wanted, and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

import svcnet
from svcnet.errors import ApplyError
from svcnet.executors.children import Overdue
from svcnet.executors.machine import Netlink, Output
from svcnet.graph import RuleGraph
from svcnet.models import ClusterState, ServicePort
from svcnet.modes.nftables import NFTABLES
from svcnet.netfilter.nft import ElementState, ScriptError, SetState
from svcnet.reconciler import Keeper
from svcnet.testing import FakeMachine, make_node, make_service, make_slice
from tests.fuzz import examples

NEW, OLD = "6.18.0", "6.1.0-13-amd64"
WEB = make_service("web", "10.96.0.10", ports=(ServicePort(80, "http", node_port=30080),))
STICKY = evolve(WEB, session_affinity="ClientIP")
DNS = make_service("dns", "10.96.0.11", ports=(ServicePort(53, "http", "UDP"),))
CHECKED = evolve(WEB, type="LoadBalancer", external_traffic_policy="Local")
"""What its health is asked by is nothing to the table."""
GRAPHS: tuple[RuleGraph, ...] = tuple(
    svcnet.compile(ClusterState.of([make_node(), *objects]))
    for objects in (
        [],
        [WEB],
        [WEB, make_slice("web", "10.244.1.5", "10.244.1.6"), DNS],
        [WEB, make_slice("web", "10.244.1.7"), DNS, make_slice("dns", "10.244.1.8")],
        [STICKY, make_slice("web", "10.244.1.5", "10.244.1.7")],
        [STICKY, make_slice("web", "10.244.1.5"), DNS, make_slice("dns", "10.244.1.8")],
        [evolve(CHECKED, health_check_node_port=32000)],
        [evolve(CHECKED, health_check_node_port=32001)],
    )
)
TABLE = "ip kube-proxy"
DAMAGES = (
    f"delete table {TABLE}",
    f"flush table {TABLE}",
    f"flush chain {TABLE} services",
    f"insert rule {TABLE} services drop",
    f"flush map {TABLE} service-ips",
    f"delete element {TABLE} cluster-ips {{ 10.96.0.10 }}",
    f"add element {TABLE} cluster-ips {{ 192.0.2.77 }}",
    f"add element {TABLE} service-ips {{ 192.0.2.77 . tcp . 80 : drop }}",
    f"add chain {TABLE} z {{ type filter hook forward priority 9 ; policy drop ; }}",
    f"add chain {TABLE} service-z\nadd rule {TABLE} service-z drop",
    f"add set {TABLE} z {{ type ipv4_addr ; }}",
)
OTHERS = "add table ip foreign\nadd chain ip foreign c\nadd rule ip foreign c drop\n"


class ListedMachine(FakeMachine):
    """A machine on which something happens once its table is listed, before anybody knows.

    That is by nft, or by the kernel's own answers at any of some moments.
    """

    def __init__(self, release: str) -> None:
        super().__init__()
        self.kernel.settings["/proc/sys/kernel/osrelease"] = f"{release}\n"
        self.meanwhile: list[Callable[[], object]] = []
        self.listings = 0
        self.moment = 0

    def netlink(self, protocol: int) -> Netlink:
        self.moment -= 1
        if self.moment == 0:
            self.happen()
        return super().netlink(protocol)

    def happen(self) -> None:
        meanwhile, self.meanwhile = self.meanwhile, []
        for work in meanwhile:
            work()

    def run(self, path: str, *options: str, **given: Any) -> Output:
        done = super().run(path, *options, **given)
        if "list" in options:
            self.listings += 1
            self.happen()
        return done

    def damage(self, text: str) -> None:
        """Do what somebody else does; what is not there cannot be damaged."""
        with suppress(ScriptError):
            self.kernel.nft.load(f"{text}\n")

    def table(self) -> list[tuple[object, ...]]:
        """Return what the table has, without numbers that tell how it came about."""
        found = self.kernel.nft.state.table("ip", "kube-proxy")
        if found is None:
            return []
        chains = [
            (name, each.hook, *(rule[:2] for rule in each.rules))
            for name, each in sorted(found.chains.items())
        ]
        sets = [
            (name, each.type, each.value, each.timeout, *sorted(one[:3] for one in all_of(each)))
            for name, each in sorted(found.sets.items())
        ]
        return [*chains, *sets]


def all_of(found: SetState) -> Iterable[ElementState]:
    return found.elements.values()


def wanted(graph: RuleGraph, release: str) -> list[tuple[object, ...]]:
    """Return the table that an empty machine gets."""
    fresh = ListedMachine(release)
    NFTABLES.executor(fresh).apply(NFTABLES.full(graph))
    return fresh.table()


graphs = st.lists(st.sampled_from(GRAPHS), max_size=3)


@pytest.mark.parametrize("release", [NEW, OLD])
def test_a_look_goes_on_beside_steps(release: str) -> None:
    """Whenever they come, what was damaged before is put right, and steps are not undone."""

    @settings(max_examples=examples(60), deadline=None)
    @given(
        st.sampled_from(GRAPHS),
        st.lists(st.sampled_from(DAMAGES) | st.integers(0, 9), max_size=2),
        *(graphs, graphs, graphs),
        st.none() | st.integers(1, 12),
    )
    def goes_on(
        first: RuleGraph,
        damages: list[str | int],
        before: list[RuleGraph],
        meanwhile: list[RuleGraph],
        after: list[RuleGraph],
        moment: int | None,
    ) -> None:
        machine = ListedMachine(release)
        machine.damage(OTHERS)
        keeper = Keeper(NFTABLES.executor(machine).adapter("IPv4"))
        now = first

        def step(graph: RuleGraph) -> None:
            nonlocal now
            now = graph
            try:
                keeper.step(graph, None)
            except ApplyError:
                keeper.whole(graph)

        keeper.whole(first)
        if moment is not None:
            keeper.look(first)
            machine.moment = 0
        own = [name for block in NFTABLES.full(first).blocks.values() for name in block.chains]
        for damage in damages:
            text = damage
            if isinstance(text, int):
                text = "".join(f"flush chain {TABLE} {name}" for name in own[text:][:1])
            machine.damage(text)
        inspection = keeper.inspection(first)
        assert inspection is not None
        for graph in before:
            step(graph)
        machine.meanwhile = [partial(step, graph) for graph in meanwhile]
        machine.moment = moment or 0
        inspection.read()
        machine.meanwhile = []
        for graph in after:
            step(graph)
        if keeper.repair(inspection) is None:
            keeper.look(now)
        if release == OLD:
            # What could not be deleted yet goes with a look that has nothing else to do.
            keeper.look(now)
        assert machine.table() == wanted(now, release)
        assert "nothing has changed" in keeper.look(now).text
        assert machine.kernel.nft.state.table("ip", "foreign") is not None

    goes_on()


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.tuples(st.sampled_from(GRAPHS), st.booleans()), max_size=6))
def test_no_step_looks_like_somebody_else(history: list[tuple[RuleGraph, bool]]) -> None:
    """What svcnet writes, and what others do to their tables, is no reason to list; damage is."""
    machine = ListedMachine(NEW)
    adapter = NFTABLES.executor(machine).adapter("IPv4")
    keeper = Keeper(adapter)
    keeper.whole(GRAPHS[0])
    graph = GRAPHS[0]
    for graph, by_others in history:
        if by_others:
            machine.damage(OTHERS)
        keeper.step(graph, None)
        assert not keeper.is_disturbed()
    assert "nothing has changed" in keeper.look(graph).text
    machine.damage(f"add chain {TABLE} z")
    assert keeper.is_disturbed()
    assert keeper.look(graph).differed == {"chains": 1}
    assert not keeper.is_disturbed()


@pytest.mark.parametrize("graph", GRAPHS[1::2])
@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_right_is_not_listed_again(graph: RuleGraph, damage: str) -> None:
    """Once a look has found all right, damage is found without nft, and found to be the same."""
    found = []
    for is_known in (False, True):
        machine = ListedMachine(NEW)
        keeper = Keeper(NFTABLES.executor(machine).adapter("IPv4"))
        keeper.whole(GRAPHS[0] if is_known else graph)
        if is_known:
            keeper.look(GRAPHS[0])
            keeper.step(graph, None)
            assert not keeper.is_disturbed()
        machine.damage(damage)
        listings = machine.listings
        done = keeper.look(graph)
        assert machine.listings == listings + (not is_known and done.kind != "none")
        assert machine.table() == wanted(graph, NEW)
        found.append((done.kind, dict(done.differed), done.services))
    assert found[0] == found[1]


class BusyMachine(ListedMachine):
    """A machine on which nft never ends to list, since somebody commits all the time."""

    def run(self, path: str, *options: str, **given: Any) -> Output:
        if "list" in options:
            self.kernel.commit("busy")
            raise Overdue("nft took more than 30 s")
        return super().run(path, *options, **given)


@pytest.mark.parametrize("most", [10_000, -1])
@pytest.mark.parametrize("damage", [*DAMAGES, ""])
def test_a_listing_that_never_ends_keeps_nobody_from_serving(
    damage: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there is written anew, in one transaction or over it; then all is right."""
    monkeypatch.setattr("svcnet.executors.nftables.plan.MOST_LINES", most)
    graph = GRAPHS[5]
    machine = BusyMachine(NEW)
    NFTABLES.executor(machine).apply(NFTABLES.full(GRAPHS[4]))
    machine.damage(damage)
    keeper = Keeper(NFTABLES.executor(machine).adapter("IPv4"))
    keeper.whole(graph)
    assert machine.table() == wanted(graph, NEW)
    assert "nothing has changed" in keeper.look(graph).text
    machine.damage(damage)
    keeper.look(graph)
    assert machine.table() == wanted(graph, NEW)
