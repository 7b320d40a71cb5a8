"""Whatever happened to rules, a keeper's next look leaves what an empty machine would get."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import svcnet
from svcnet import modes
from svcnet.errors import ApplyError
from svcnet.executors.commits import Commits
from svcnet.executors.iptables import Variant, concerns
from svcnet.executors.machine import Output
from svcnet.graph import NodeSettings, RuleGraph
from svcnet.models import ClusterState, ServicePort
from svcnet.modes import Executor
from svcnet.modes.adapter import Adapter
from svcnet.modes.userspace.adapter import UserspaceAdapter
from svcnet.reconciler import Keeper
from svcnet.renderers import userspace
from svcnet.renderers.iptables import Layout
from svcnet.renderers.userspace import ProxyTable
from svcnet.testing import (
    FakeIPTables,
    FakeMachine,
    FakeRestoreError,
    make_node,
    make_service,
    make_slice,
)
from tests.fuzz import examples

MODE = modes.get("iptables")
WEB = make_service("web", "10.96.0.10", ports=(ServicePort(80, "http", node_port=30080),))
DNS = make_service("dns", "10.96.0.11", ports=(ServicePort(53, "http", "UDP"),))
GRAPHS: tuple[RuleGraph, ...] = tuple(
    svcnet.compile(ClusterState.of([make_node(), *objects]))
    for objects in (
        [],
        [WEB],
        [WEB, make_slice("web", "10.244.1.5", "10.244.1.6"), DNS],
        [WEB, make_slice("web", "10.244.1.7"), DNS, make_slice("dns", "10.244.1.8")],
    )
)
JUMP = '-m comment --comment "kubernetes service portals" -j KUBE-SERVICES'
DAMAGES = (
    *("-F KUBE-SERVICES", "-F KUBE-NODEPORTS", "-F KUBE-POSTROUTING", "-F KUBE-MARK-MASQ"),
    *("-F OUTPUT", "-F PREROUTING", "-A KUBE-SERVICES -j RETURN", "-I KUBE-POSTROUTING -j ACCEPT"),
    *(":KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]", ":KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]"),
    *(
        f"-A PREROUTING {JUMP}",
        "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x1/0x1",
    ),
    "-A KUBE-SERVICES -d 192.0.2.1/32 -j KUBE-NODEPORTS",
)
FOREIGN = "*nat\n:MINE - [0:0]\n-A MINE -s 192.0.2.1/32 -j RETURN\n-A OUTPUT -j MINE\nCOMMIT\n"

Event = tuple[str, int]
events = st.one_of(
    st.tuples(st.sampled_from(["step", "whole"]), st.integers(0, len(GRAPHS) - 1)),
    st.tuples(st.just("damage"), st.integers(0, len(DAMAGES) - 1)),
    st.tuples(st.sampled_from(["look", "apply", "cleanup", "refuse"]), st.just(0)),
)


Way = tuple[Variant, str]
WAYS: tuple[Way, ...] = (
    ("nft", "kube-proxy"),
    ("legacy", "kube-proxy"),
    ("nft", "flat"),
)
"""A variant of iptables, and a layout."""


@pytest.fixture(autouse=True)
def split(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have two rules make a tree in the flat layout."""
    monkeypatch.setattr("svcnet.renderers.iptables.FLAT", Layout("flat", 1))


def executor_of(machine: FakeMachine, way: Way) -> Executor[Any]:
    given = dict(zip(("variant", "layout"), way, strict=True))
    return MODE.executor(machine, MODE.settings(given=given))


def happen(
    machine: FakeMachine, executor: Executor[Any], keeper: Keeper, graph: RuleGraph, event: Event
) -> RuleGraph:
    """Have something happen; return the graph that is wanted then."""
    what, number = event
    variant = executor.settings.given["variant"]
    match what:
        case "step":
            graph = GRAPHS[number]
            keeper.step(graph, None)
        case "whole":
            graph = GRAPHS[number]
            keeper.whole(graph)
        case "look":
            keeper.look(graph)
        case "apply":
            executor.apply(MODE.full(graph, executor.settings))
        case "cleanup":
            for part in executor.cleanup("IPv4"):
                part()
        case "refuse":
            machine.capabilities.clear()
            try:
                keeper.whole(graph)
            finally:
                machine.capabilities.update(FakeMachine().capabilities)
        case _:
            # A chain that is not there, or no longer, cannot be damaged.
            with suppress(FakeRestoreError):
                machine.load(f"*nat\n{DAMAGES[number]}\nCOMMIT\n", variant)
    return graph


def jumps_aside(tables: FakeIPTables) -> dict[str, dict[str, list[str]]]:
    """Return tables in which rules of others' chains are in no order: jumps are put anywhere."""
    return {
        table: {
            chain: rules if chain.startswith("KUBE-") else sorted(rules)
            for chain, rules in chains.items()
        }
        for table, chains in tables.order_free().items()
    }


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_rules_do_not_remember(way: Way) -> None:
    """Steps, damage, cleanups and refusals leave no trace, but for what others wrote."""
    variant = way[0]

    @settings(max_examples=examples(30), deadline=None)
    @given(st.lists(events, max_size=8))
    def forgets(history: list[Event]) -> None:
        machine, fresh = FakeMachine(), FakeMachine()
        machine.load(FOREIGN, variant)
        executor, graph = executor_of(machine, way), GRAPHS[0]
        keeper = Keeper(executor.adapter("IPv4"))
        for event in history:
            with suppress(ApplyError):
                graph = happen(machine, executor, keeper, graph, event)
        keeper.look(graph)
        other = executor_of(fresh, way)
        fresh.load(foreign(machine, variant), variant)
        other.apply(MODE.full(graph, other.settings))
        assert jumps_aside(machine.tables(variant)) == jumps_aside(fresh.tables(variant))
        assert keeper.look(graph).kind == "none"

    forgets()


class ServingProxy:
    """A proxy that says it serves whatever it is given."""

    def __init__(self) -> None:
        self.table = userspace.full(RuleGraph(NodeSettings("IPv4")))

    def update(self, table: ProxyTable, *_: object, **__: object) -> ProxyTable:
        ports = {name: 40_000 + number for number, name in enumerate(sorted(table.ports))}
        self.table = table.with_ports(ports)
        return self.table

    def let_go(self) -> None:
        pass


def iptables_adapter(machine: FakeMachine) -> Adapter:
    return executor_of(machine, WAYS[0]).adapter("IPv4")


def userspace_adapter(machine: FakeMachine) -> Adapter:
    commits = Commits(machine, concerns)
    proxy: Any = ServingProxy()
    return UserspaceAdapter(proxy, userspace.PortChoice(), variant="nft", commits=commits)


@pytest.mark.parametrize("adapter", [iptables_adapter, userspace_adapter])
def test_damage_after_a_whole_write(adapter: Callable[[FakeMachine], Adapter]) -> None:
    """It is noticed without a look before, the first time and again, and what others do is none."""
    machine = FakeMachine()
    keeper = Keeper(adapter(machine))
    for graph in GRAPHS[1:]:
        keeper.whole(graph)
        machine.kernel.commit("docker")
        assert not keeper.is_disturbed()
        machine.load("*nat\n-F OUTPUT\nCOMMIT\n", "nft")
        assert keeper.is_disturbed()


class ListedMachine(FakeMachine):
    """A machine on which something happens once a variant is listed, before anybody knows."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.save = f"iptables-{variant}-save"
        self.meanwhile: list[Callable[[], object]] = []

    def run(self, path: str, *options: str, **given: Any) -> Output:
        done = super().run(path, *options, **given)
        if path.endswith(self.save):
            meanwhile, self.meanwhile = self.meanwhile, []
            for work in meanwhile:
                work()
        return done


graphs = st.lists(st.sampled_from(GRAPHS), max_size=3)


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_a_look_goes_on_beside_steps(way: Way) -> None:
    """Whenever they come, what was damaged before is put right, and steps are not undone."""
    variant = way[0]

    @settings(max_examples=examples(100), deadline=None)
    @given(
        st.sampled_from(GRAPHS),
        st.lists(st.sampled_from(DAMAGES) | st.integers(0, 9), min_size=1, max_size=2),
        *(graphs, graphs, graphs),
    )
    def goes_on(
        first: RuleGraph,
        damages: list[str | int],
        before: list[RuleGraph],
        meanwhile: list[RuleGraph],
        after: list[RuleGraph],
    ) -> None:
        machine, fresh = ListedMachine(variant), FakeMachine()
        machine.load(FOREIGN, variant)
        executor = executor_of(machine, way)
        keeper = Keeper(executor.adapter("IPv4"))
        wanted = first

        def step(graph: RuleGraph) -> None:
            nonlocal wanted
            wanted = graph
            try:
                keeper.step(graph, None)
            except ApplyError:
                keeper.whole(graph)

        keeper.whole(first)
        keeper.look(first)
        nat = machine.tables(variant).tables["nat"]
        own = [each for each in nat if each[5:8] in ("SVC", "SEP", "FLA")]
        for damage in damages:
            text = (
                damage if isinstance(damage, str) else "".join(f"-F {c}" for c in own[damage:][:1])
            )
            with suppress(FakeRestoreError):
                machine.load(f"*nat\n{text}\nCOMMIT\n", variant)
        inspection = keeper.inspection(first)
        assert inspection is not None
        for graph in before:
            step(graph)
        machine.meanwhile = [partial(step, graph) for graph in meanwhile]
        inspection.read()
        machine.meanwhile = []
        for graph in after:
            step(graph)
        if keeper.repair(inspection) is None:
            keeper.look(wanted)
        fresh.load(foreign(machine, variant), variant)
        executor_of(fresh, way).apply(MODE.full(wanted, executor.settings))
        assert jumps_aside(machine.tables(variant)) == jumps_aside(fresh.tables(variant))
        assert keeper.look(wanted).kind == "none"
        assert "nothing has changed" in keeper.look(wanted).text

    goes_on()


def foreign(machine: FakeMachine, variant: Variant) -> str:
    """Return restore text for what is there and not ours."""
    nat = machine.tables(variant).tables["nat"]
    others = [
        f"-A {chain} {rule}\n"
        for chain, rules in nat.items()
        if not chain.startswith("KUBE-")
        for rule in rules
        if "KUBE-" not in rule
    ]
    return "".join(("*nat\n:MINE - [0:0]\n", *others, "COMMIT\n"))
