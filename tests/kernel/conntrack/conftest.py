"""The small cluster's node, which keeps rules and its connection table as svcnet does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import pytest
from attrs import define, field

from svcnet.compiler import compile_state, node_view
from svcnet.executors.conntrack import DeletionReport, delete, observe
from svcnet.executors.iptables import apply
from svcnet.family import IP_FAMILIES
from svcnet.graph import NodeSettings, RuleGraph
from svcnet.models import ClusterState, IPFamily
from svcnet.models.state import ClusterObject
from svcnet.renderers import iptables
from svcnet.renderers.conntrack import DeletionPlan, Flow, plan
from svcnet.testing import make_node
from tests.kernel.netns import CLIENT, HOST, NODE, Both, Cluster
from tests.kernel.ways import Tables

Value = TypeVar("Value")


@define
class Node:
    """The node in one family: its rules, and the graph that its entries were cleaned for."""

    cluster: Cluster
    family: IPFamily
    graph: RuleGraph = field()
    cleaned: RuleGraph | None = None

    @graph.default
    def _nothing(self) -> RuleGraph:
        return RuleGraph(NodeSettings(family=self.family))

    def put(self, *objects: ClusterObject) -> None:
        """Put the rules of a cluster on the node, by svcnet's own executor."""
        self.graph = self.compile(*objects)
        artifact = iptables.full(self.graph)
        self.inside(lambda: apply(artifact, variant="nft"))

    def compile(self, *objects: ClusterObject) -> RuleGraph:
        state = ClusterState.of([*objects, make_node("node-a", NODE.v4, NODE.v6)])
        return compile_state(state, node_view(state, host=HOST, node="node-a", family=self.family))

    def plan(self) -> DeletionPlan:
        return self.inside(lambda: plan(observe(self.family), self.graph, self.cleaned))

    def clean(self) -> tuple[DeletionPlan, DeletionReport]:
        """Plan, delete, and remember for which graph."""
        found = self.plan()
        report = self.inside(lambda: delete(found))
        self.cleaned = self.graph
        return found, report

    def flows(self) -> set[Flow]:
        return set(self.inside(lambda: list(observe(self.family))))

    def inside(self, work: Callable[[], Value]) -> Value:
        """Return what `work` gives in the node's namespace."""
        results: list[Value] = []
        self.cluster.inside("node", lambda: results.append(work()))
        return results[0]

    def ask(self, to: Both, port: int, source_port: int) -> str:
        """Return who answers a client's datagram from a source port; how it ends if nobody."""
        result = self.send("attempt", to, port, protocol="UDP", count=1, source_port=source_port)
        end = result[0]
        return str(end[1] if end[0] == "reply" else end[0])

    def ask_all(self, to: Both, port: int, source_ports: Iterable[int]) -> dict[int, str]:
        return {source_port: self.ask(to, port, source_port) for source_port in source_ports}

    def ask_until(self, to: Both, port: int, *endpoints: str) -> dict[int, str]:
        """Ask from one source port after the other until each endpoint has answered one."""
        answers: dict[int, str] = {}
        for source_port in range(5000, 5200):
            answers[source_port] = self.ask(to, port, source_port)
            if set(answers.values()) == set(endpoints):
                return answers
        raise AssertionError(f"asked for {endpoints}: {answers}")

    def send(self, do: str, to: Both, port: int, **options: Any) -> Any:
        return self.cluster.agents["client"](
            do,
            source=CLIENT.of(self.family),
            destination=to.of(self.family),
            port=port,
            timeout=5,
            **options,
        )

    def tables(self, text: str, *options: str) -> None:
        """Load rules of the host's own."""
        tool = "iptables" if self.family == "IPv4" else "ip6tables"
        self.cluster.run("node", f"{tool}-nft-restore", *options, stdin=text)

    def clear(self) -> None:
        for agent in self.cluster.agents.values():
            agent("close")
        Tables(self.cluster, self.family, "nft").flush()
        self.tables("*raw\nCOMMIT\n")
        self.cluster.run("node", "conntrack", "-F")


@pytest.fixture(params=IP_FAMILIES)
def node(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Node]:
    made = Node(cluster, request.param)
    try:
        yield made
    finally:
        made.clear()
