"""Output depends on the state, never on the path to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.compiler import NodeView, compile_state, node_view, recompile
from svcnet.graph import RuleGraph, diff, dump
from svcnet.models import ClusterState, Endpoint, KubeProxyConfiguration, Node
from svcnet.models.state import ClusterObject
from svcnet.renderers.iptables import delta, full
from svcnet.sources import load, load_config
from svcnet.testing import FakeIPTables, make_node, make_service, make_slice
from tests import strategies

CASES = Path(__file__).parents[1] / "conformance" / "cases"
NAMED = ("kitchen-sink", "services-many-shuffled", "then-service-deleted", "lb-source-ranges")

Step = tuple[Sequence[ClusterObject], Sequence[ClusterObject]]


class Replay:
    """A node that follows a cluster step by step: the state, its graph, its tables."""

    def __init__(self, view: NodeView) -> None:
        self.view = view
        self.state = ClusterState.of(())
        self.graph = compile_state(self.state, view)
        self.artifact = full(self.graph)
        self.tables = FakeIPTables()
        self.tables.restore(self.artifact.text)

    def step(self, changed: Sequence[ClusterObject], removed: Sequence[ClusterObject] = ()) -> None:
        touched = self.state.services_of([*changed, *removed])
        after = self.state.apply(changed, removed)
        graph, names = recompile(self.graph, self.state, after, self.view, touched)
        self.tables.restore(delta(diff(self.graph, graph, names)).text)
        self.state, self.graph = after, graph
        self.artifact = full(graph, reuse=self.artifact)

    def check(self) -> None:
        """Compare with what comes of the same state at once."""
        cold = compile_state(ClusterState.of(self.state), self.view)
        assert self.graph == cold
        assert self.graph.endpoint_count == cold.endpoint_count
        assert dump(self.graph) == dump(cold)
        assert self.artifact.text == full(cold).text
        tables = FakeIPTables()
        tables.restore(full(cold).text)
        assert self.tables.order_free() == tables.order_free()


def steps_of(objects: Sequence[ClusterObject], how: str) -> list[Step]:
    """Return one way to arrive at `objects`."""
    match how:
        case "merged":
            return [(objects, ())]
        case "split":
            return [([item], ()) for item in objects]
        case "reversed":
            return [([item], ()) for item in reversed(objects)]
        case "empty steps":
            return [step for item in objects for step in (((), ()), ([item], ()), ((), ()))]
        case "there and back":
            return [(objects, ()), ((), objects[::2]), (objects[::2], ())]
        case _:
            raise AssertionError(how)


@pytest.mark.parametrize("how", ["merged", "split", "reversed", "empty steps", "there and back"])
@pytest.mark.parametrize("name", NAMED)
def test_named_states(name: str, how: str) -> None:
    """A named state, replayed in many ways, always ends in the bytes of the cold text."""
    loaded = load([CASES / name / "objects.yaml"])
    view = node_view(loaded.state, load_config(CASES / name / "config.yaml"))
    replay = Replay(view)
    for changed, removed in steps_of(loaded.objects, how):
        replay.step(changed, removed)
    replay.check()
    assert replay.artifact.text == (CASES / name / "iptables.ipv4.txt").read_text()


steps = st.lists(
    st.tuples(st.lists(strategies.objects, max_size=4), st.lists(st.integers(0, 20), max_size=2)),
    max_size=8,
)


@settings(max_examples=150, deadline=None)
@given(strategies.nodes, strategies.configurations, steps)
def test_any_history(
    node: Node,
    config: KubeProxyConfiguration,
    history: list[tuple[list[ClusterObject], list[int]]],
) -> None:
    """Any history of changes ends where its last state alone would have."""
    replay = Replay(node_view(ClusterState.of([node]), config, node="node-a"))
    for changed, indexes in history:
        present = list(replay.state)
        removed = [present[i % len(present)] for i in indexes if present]
        replay.step(changed, removed)
        replay.check()


@settings(max_examples=100, deadline=None)
@given(strategies.clusters, st.randoms(use_true_random=False))
def test_order_of_objects_means_nothing(objects: list[ClusterObject], random: object) -> None:
    """The same objects in another order give the same bytes."""
    unique = list(ClusterState.of([*objects, make_node()]))
    shuffled = list(unique)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    texts = {full(cold(items)).text for items in (unique, shuffled, unique[::-1])}
    assert len(texts) == 1


@settings(max_examples=150, deadline=None)
@given(
    strategies.clusters,
    strategies.nodes,
    strategies.configurations,
    strategies.nodes,
    strategies.configurations,
)
def test_delta_follows_a_change_of_settings(
    objects: list[ClusterObject],
    node: Node,
    config: KubeProxyConfiguration,
    other_node: Node,
    other_config: KubeProxyConfiguration,
) -> None:
    """A delta between two configurations of a node leaves what the new one's text would."""
    old = cold([*objects, node], config)
    new = cold([*objects, other_node], other_config)
    stepped, fresh = FakeIPTables(), FakeIPTables()
    stepped.restore(full(old).text)
    stepped.restore(delta(diff(old, new)).text)
    fresh.restore(full(new).text)
    left, wanted = stepped.order_free(), fresh.order_free()
    if old.settings.localhost_node_ports and not new.settings.localhost_node_ports:
        # It stays as it is: nobody takes route_localnet back, and it keeps neighbours off.
        [rule] = left["filter"].pop("KUBE-FIREWALL")
        assert rule.endswith("-j DROP")
    assert left == wanted


def cold(
    objects: Sequence[ClusterObject], config: KubeProxyConfiguration | None = None
) -> RuleGraph:
    state = ClusterState.of(objects)
    return compile_state(state, node_view(state, config, node="node-a"))


def test_a_change_reuses_every_other_fragment() -> None:
    """One changed slice makes one new fragment; all others are the same objects."""
    objects: list[ClusterObject] = [make_node()]
    for number in range(20):
        objects += [
            make_service(f"s{number}", f"10.96.0.{number}"),
            make_slice(f"s{number}", "10.244.1.5@node-a"),
        ]
    before = ClusterState.of(objects)
    view = node_view(before)
    graph = compile_state(before, view)
    changed = make_slice("s7", "10.244.1.5@node-a", "10.244.2.6")
    after = before.apply([changed])
    new, names = recompile(graph, before, after, view, before.services_of([changed]))
    assert {name.name for name in names} == {"s7"}
    for name, fragment in new.fragments.items():
        assert (fragment is graph.fragments[name]) == (name.name != "s7")


def test_a_change_that_means_nothing_changes_nothing() -> None:
    """A slice that only gained an endpoint without effect leaves the very same graph."""
    before = ClusterState.of([make_node(), make_service(), make_slice("web", "10.244.1.5")])
    view = node_view(before)
    graph = compile_state(before, view)
    changed = make_slice("web", Endpoint(("10.244.1.5",), terminating=True), name="web-2")
    after = before.apply([changed])
    new, names = recompile(graph, before, after, view, before.services_of([changed]))
    assert not names
    assert not diff(graph, new)
    assert delta(diff(graph, new)).text == ""


def test_crossing_the_large_cluster_bound_rewrites_comments() -> None:
    """At more than 1,000 endpoints the comments of every service port go, by delta too."""
    many = [f"10.244.{n // 250}.{n % 250 + 1}" for n in range(999)]
    objects: list[ClusterObject] = [
        make_node(),
        make_service(),
        make_slice("web", *many[:998]),
        make_service("db", "10.96.0.11"),
        make_slice("db", "10.245.0.1", "10.245.0.2"),
    ]
    replay = Replay(node_view(ClusterState.of(objects)))
    replay.step(objects)
    assert "web:http -> " in replay.artifact.text
    replay.step([make_slice("web", *many)])
    assert "web:http -> " not in replay.artifact.text
    assert "db:http -> " not in replay.artifact.text
    replay.check()
