"""The small cluster's node with virtual servers on it, and clients that ask them."""

from __future__ import annotations

from attrs import define, field

from svcnet.compiler import compile_state, node_view
from svcnet.graph import RuleGraph, diff
from svcnet.models import (
    ClusterState,
    IPFamily,
    KubeProxyConfiguration,
)
from svcnet.models.state import ClusterObject
from svcnet.testing import make_node
from tests.kernel.netns import (
    CLUSTER_IP,
    HOST,
    NODE,
    PLACES,
    Both,
    Cluster,
)
from tests.kernel.scenarios import DEFAULTS
from tests.kernel.ways import IPVSRules

PATIENCE = 10.0
JUST_THE_NODE = ClusterState.of([make_node("node-a", NODE.v4, NODE.v6)])


@define
class Balancer:
    """The node with virtual servers on it, and clients that ask them.

    Answers are the endpoints' names, one a connection, in order.
    """

    cluster: Cluster
    family: IPFamily
    rules: IPVSRules
    graph: RuleGraph | None = None
    config: KubeProxyConfiguration = DEFAULTS
    state: ClusterState = JUST_THE_NODE
    held: list[str] = field(factory=list)

    def serve(self, *objects: ClusterObject) -> None:
        """Put Services on the node, or follow their change."""
        before, graph = self.graph, self.change(*objects)
        if before is None:
            self.rules.put(graph)
        else:
            self.rules.follow(diff(before, graph))

    def change(self, *objects: ClusterObject) -> RuleGraph:
        """Change what is wanted, and nothing on the node."""
        self.state = self.state.apply(objects)
        view = node_view(self.state, self.config, HOST, node="node-a", family=self.family)
        self.graph = compile_state(self.state, view)
        return self.graph

    def ask(
        self, count: int, source: str = "client", destination: Both = CLUSTER_IP, **how: object
    ) -> list[str]:
        """Connect `count` times from each address of `source`, one after the other."""
        place = PLACES[source]
        names = []
        for address in place.addresses:
            names += self.cluster.agents[place.namespace](
                "attempt",
                count=count,
                sequential=True,
                **self.route(address, destination),
                **{"port": 80, "protocol": "TCP", **how},
            )
        return [name_in(answer) for answer in names]

    def hold(self, count: int) -> list[str]:
        """Open `count` connections from the client and hold them."""
        names = []
        for _ in range(count):
            (source,) = PLACES["client"].addresses
            route = self.route(source, CLUSTER_IP)
            answer = self.cluster.agents["client"]("open", hold=len(self.held), port=80, **route)
            names.append(name_in(answer))
            self.held.append(names[-1])
        return names

    def exchange(self, endpoint: str) -> bool:
        """Whether every held connection with an endpoint carries bytes."""
        holds = [number for number, name in enumerate(self.held) if name == endpoint]
        assert holds, f"no connection with {endpoint} is held"
        agent = self.cluster.agents["client"]
        return all(agent("exchange", hold=hold, timeout=2.0) for hold in holds)

    def release(self, endpoint: str, *, abort: bool = False) -> None:
        """Close every held connection with an endpoint."""
        holds = [number for number, name in enumerate(self.held) if name == endpoint]
        self.held = ["" if name == endpoint else name for name in self.held]
        self.cluster.agents["client"]("close", holds=holds, abort=abort)

    def route(self, source: Both, destination: Both) -> dict[str, object]:
        ends = {"source": source.of(self.family), "destination": destination.of(self.family)}
        return {**ends, "timeout": PATIENCE}

    def clear(self) -> None:
        """Take everything from the node again."""
        self.cluster.agents["client"]("close")
        self.held.clear()
        if self.graph is not None:
            self.rules.flush()
            self.graph = None


def name_in(answer: list[str]) -> str:
    """Return the endpoint's name in an answer, or what came instead of one."""
    return answer[1] if answer[0] == "reply" else answer[0]
