"""Short ways to tables of IPVS mode, and a machine that has them, as plain dictionaries."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, field

from svcnet.compiler import compile_state, node_view
from svcnet.graph import RuleGraph
from svcnet.models import ClusterState, Host, KubeProxyConfiguration
from svcnet.models.state import ClusterObject
from svcnet.netfilter.ipvs.messages import (
    DelDest,
    DelService,
    Dest,
    IPVSService,
    Message,
    NewDest,
    NewService,
    SetConfig,
    SetDest,
    SetService,
    Timeouts,
)
from svcnet.renderers.ipvs import IPVSDelta, IPVSTables, additions, full, program, removals
from svcnet.renderers.ipvs.part import Entry
from svcnet.testing import make_node


def graph_of(
    objects: Sequence[ClusterObject],
    config: KubeProxyConfiguration | None = None,
    host: Host | None = None,
) -> RuleGraph:
    """Return the graph of node-a for some objects."""
    state = ClusterState.of(objects)
    return compile_state(state, node_view(state, config, host, node="node-a"))


def tables_of(*objects: ClusterObject, host: Host | None = None, **config: object) -> IPVSTables:
    """Return the tables of a few objects on node-a, 192.0.2.10."""
    configuration = KubeProxyConfiguration(**config)  # type: ignore[arg-type]
    return full(graph_of([make_node(), *objects], configuration, host))


@define
class Machine:
    """Virtual servers, set entries and rules; what a kernel would refuse is an AssertionError."""

    servers: dict[object, tuple[IPVSService, dict[object, Dest]]] = field(factory=dict)
    entries: set[Entry] = field(factory=set)
    bounds: dict[str, int] = field(factory=dict)
    rules: str = ""
    sysctls: dict[str, int] = field(factory=dict)
    timeouts: Timeouts = field(factory=Timeouts)

    @classmethod
    def of(cls, tables: IPVSTables) -> Machine:
        """Return a machine that has what `tables` say."""
        machine = cls(
            entries=set(tables.uses),
            bounds={found.name: found.max_elements for found in tables.sets.values()},
            rules=tables.restore_text,
            sysctls=dict(tables.sysctls),
        )
        for message in program(tables):
            machine.receive(message)
        return machine

    def step(self, delta: IPVSDelta) -> None:
        """Do what a step says."""
        assert not set(delta.added) & self.entries
        assert set(delta.removed) <= self.entries
        self.entries = (self.entries | set(delta.added)) - set(delta.removed)
        self.bounds |= {found.name: found.max_elements for found in delta.resized}
        self.rules = delta.rules or self.rules
        self.sysctls |= delta.sysctls
        for message in [*additions(delta), *removals(delta)]:
            self.receive(message)

    def receive(self, message: Message) -> None:
        """Do what the kernel does for one message."""
        match message:
            case NewService(service):
                assert service.key not in self.servers
                self.servers[service.key] = service, {}
            case SetService(service):
                self.servers[service.key] = service, self.servers[service.key][1]
            case DelService(service):
                del self.servers[service.key]
            case NewDest(service, dest):
                dests = self.servers[service.key][1]
                assert dest.key not in dests
                dests[dest.key] = dest
            case SetDest(service, dest):
                dests = self.servers[service.key][1]
                assert dests[dest.key] != dest
                dests[dest.key] = dest
            case DelDest(service, dest):
                del self.servers[service.key][1][dest.key]
            case SetConfig(timeouts):
                self.timeouts = Timeouts(
                    timeouts.tcp or self.timeouts.tcp,
                    timeouts.tcp_fin or self.timeouts.tcp_fin,
                    timeouts.udp or self.timeouts.udp,
                )
            case _:
                raise AssertionError(message)
