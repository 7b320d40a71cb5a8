"""One service port in IPVS mode: its virtual servers, and its entries in the sets.

Source of the behaviour: ``syncProxyRules`` and ``syncEndpoint`` in
pkg/proxy/ipvs/proxier.go of Kubernetes v1.36.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple, TypeAlias

from attrs import field, frozen

from svcnet.addresses import canonical_address, contains
from svcnet.brief import Brief
from svcnet.graph import Balance, Dispatch, Fragment, NodeSettings
from svcnet.graph.fragment import local_endpoint, source_range
from svcnet.netfilter.rules import Rule
from svcnet.renderers.ipvs import sets
from svcnet.renderers.ipvs.sets import SetDefinition

# IP_VS_SVC_F_PERSISTENT, and IP_VS_SVC_F_SCHED2, which for scheduler mh means that the
# client's port counts too (include/uapi/linux/ip_vs.h).
PERSISTENT = 0x0001
SOURCE_HASH = 0x0010


class ServerKey(NamedTuple):
    """What tells a virtual server from all others; ``protocol`` is TCP, UDP or SCTP."""

    address: str
    port: int
    protocol: str


class RealServer(NamedTuple):
    """One endpoint of a virtual server; with weight 0 it gets no new connections.

    ``address`` is canonical text, by which the kernel's list is compared, whatever spelling
    an EndpointSlice has.
    """

    address: str
    port: int
    weight: int = 1


# The constructor that takes a tuple of the fields, half the cost of naming each.
_new = partial(tuple.__new__, RealServer)


@frozen(repr=False)
class VirtualServer(Brief):
    """An address and port that the kernel balances; ``timeout`` is persistence in seconds.

    ``part`` is the id of the node that it is made for, and ``targets`` are those of the real
    servers' nodes, in their order.
    """

    key: ServerKey
    scheduler: str
    flags: int
    timeout: int
    real_servers: tuple[RealServer, ...]
    part: str = field(default="", eq=False, repr=False)
    targets: tuple[str, ...] = field(default=(), eq=False, repr=False)


@frozen
class HealthCheckPort:
    """A port on which the node answers for a Service, from its ready endpoints here."""

    service: str
    port: int
    local_endpoints: frozenset[str]


Entry = tuple[SetDefinition, str]
OUT_FILTER = "KUBE-IPVS-OUT-FILTER"
"""The chain of what the node itself may not reach."""


@frozen
class Part:
    """What one service port adds to a node in IPVS mode.

    ``entry_parts`` are what of the service port each entry is for, as
    :meth:`svcnet.graph.Fragment.origin_of` takes it. ``out_filter`` are its rules in the chain
    KUBE-IPVS-OUT-FILTER, with what they are for as their cause.
    """

    fragment: Fragment
    servers: tuple[VirtualServer, ...]
    entries: tuple[Entry, ...]
    entry_parts: tuple[str, ...] = field(repr=False)
    out_filter: tuple[Rule, ...] = ()
    health_check: HealthCheckPort | None = None

    def server(self, key: ServerKey) -> VirtualServer:
        """Return the virtual server that has a key; it must have one."""
        return next(server for server in self.servers if server.key == key)


def node_port_addresses(settings: NodeSettings) -> tuple[str, ...]:
    """Return the node's addresses that get a virtual server for each node port.

    Never loopback: the kernel does not route replies to 127.0.0.0/8 from elsewhere.
    """
    if settings.node_port_addresses is not None:
        found = settings.node_port_addresses
    else:
        found = tuple(a for a in settings.addresses if not a.lower().startswith("fe80:"))
    kept = [a for a in found if a != "::1" and not a.startswith("127.")]
    return tuple(dict.fromkeys(kept))


def render_service_port(
    fragment: Fragment, settings: NodeSettings, node_addresses: tuple[str, ...]
) -> Part:
    """Return what one service port adds; `node_addresses` are those that serve node ports."""
    servers: list[VirtualServer] = []
    out_filter: list[Rule] = []
    # What an entry is for stands at the same place in `parts`.
    entries: list[Entry] = []
    parts: list[str] = []
    serve = _Servers(fragment, settings)
    protocol = fragment.name.protocol
    ranges = fragment.policy.source_ranges
    lets_node_in = any(contains(cidr, settings.node_ip) for cidr in ranges) if ranges else False
    for number, endpoint in enumerate(fragment.local_endpoints):
        address = canonical_address(endpoint.address)
        text = f"{address},{protocol.lower()}:{endpoint.port},{address}"
        entries.append((sets.LOOP_BACK, text))
        parts.append(local_endpoint(number))
    for dispatch in fragment.dispatches:
        if dispatch.frontend == "node-port":
            if node_addresses:
                entries += _node_port(fragment, dispatch, node_addresses)
                parts += [dispatch.id] * (len(entries) - len(parts))
                servers += [serve.outside(dispatch, address) for address in node_addresses]
            continue
        inside = dispatch.frontend == "cluster-ip"
        server = (serve.inside if inside else serve.outside)(dispatch, dispatch.address)
        servers.append(server)
        if inside or not settings.is_node_address(dispatch.address):
            entries.append((sets.IPVS_IPS, dispatch.address))
        portal = f"{dispatch.address},{protocol.lower()}:{dispatch.port}"
        entries += _portal(fragment, dispatch, portal, lets_node_in)
        parts += [dispatch.id] * (len(entries) - len(parts))
        if ranges and dispatch.frontend == "load-balancer":
            entries += [(sets.LOAD_BALANCER_SOURCE_CIDR, f"{portal},{cidr}") for cidr in ranges]
            parts += map(source_range, range(len(ranges)))
            if not lets_node_in:
                out_filter.append(_out_filter(server))
    check = fragment.health_check
    if check is not None and not _is_passed_over(fragment, node_addresses):
        entries.append((sets.HEALTH_CHECK_NODE_PORT, str(check.port)))
        parts.append(check.id)
    # One address in several roles is one virtual server, as the last of them wants it.
    distinct = tuple({server.key: server for server in servers}.values())
    return Part(
        fragment, distinct, tuple(entries), tuple(parts), tuple(out_filter), _health_check(fragment)
    )


class _Servers:
    """Makes the virtual servers of one service port, which differ in address and endpoints."""

    def __init__(self, fragment: Fragment, settings: NodeSettings) -> None:
        self.fragment = fragment
        self.scheduler = fragment.policy.scheduler or settings.ipvs.scheduler
        self.timeout = fragment.policy.affinity
        self.flags = (PERSISTENT if self.timeout else 0) | (
            SOURCE_HASH if self.scheduler == "mh" else 0
        )
        translates = fragment.translates
        self.all = {
            t.id: _new((canonical_address(t.address), t.port, t.weight)) for t in translates
        }
        cluster, local = fragment.cluster, fragment.local
        internal_local = fragment.dispatches[0].target in ("local", "drop")
        inside = local or cluster if internal_local else cluster
        outside = local or cluster if fragment.policy.external_local else cluster
        self.internal = self._of(inside)
        self.external = self.internal if outside is inside else self._of(outside)

    def _of(self, balance: Balance | None) -> _Reals:
        """Return the real servers of a choice, and their ids.

        Where policy Local finds no local endpoint, kube-proxy takes those of the whole
        cluster instead: https://github.com/kubernetes/kubernetes/pull/97081
        """
        if balance is None:
            return _NO_REALS
        if len(balance.targets) == len(self.all):
            # Both are in the order of the endpoints' texts.
            return tuple(self.all.values()), balance.targets
        return tuple([self.all[target] for target in balance.targets]), balance.targets

    def inside(self, dispatch: Dispatch, address: str) -> VirtualServer:
        return self._server(dispatch, address, self.internal)

    def outside(self, dispatch: Dispatch, address: str) -> VirtualServer:
        return self._server(dispatch, address, self.external)

    def _server(self, dispatch: Dispatch, address: str, reals: _Reals) -> VirtualServer:
        key = ServerKey(address, dispatch.port, self.fragment.name.protocol)
        found, targets = reals
        return VirtualServer(
            key, self.scheduler, self.flags, self.timeout, found, dispatch.id, targets
        )


_Reals: TypeAlias = tuple[tuple[RealServer, ...], tuple[str, ...]]
_NO_REALS: _Reals = ((), ())


def _portal(
    fragment: Fragment, dispatch: Dispatch, portal: str, lets_node_in: bool
) -> Iterator[Entry]:
    """Yield the set entries of an address and port that is not a node port.

    A load balancer's address that `lets_node_in` is a source of its own, too.
    """
    policy = fragment.policy
    match dispatch.frontend:
        case "cluster-ip":
            yield sets.CLUSTER_IP, portal
        case "external-ip":
            yield (sets.EXTERNAL_IP_LOCAL if policy.external_local else sets.EXTERNAL_IP), portal
        case "load-balancer":
            yield sets.LOAD_BALANCER, portal
            if policy.external_local:
                yield sets.LOAD_BALANCER_LOCAL, portal
            if not policy.source_ranges:
                return
            yield sets.LOAD_BALANCER_FW, portal
            if lets_node_in:
                yield sets.LOAD_BALANCER_SOURCE_IP, f"{portal},{dispatch.address}"


def _node_port(
    fragment: Fragment, dispatch: Dispatch, addresses: tuple[str, ...]
) -> Iterator[Entry]:
    """Yield a node port's set entries; for SCTP there is no bitmap, so each address has one."""
    protocol = fragment.name.protocol
    every, local = sets.NODE_PORT_SETS[protocol]
    texts = [str(dispatch.port)]
    if protocol == "SCTP":
        texts = [f"{address},sctp:{dispatch.port}" for address in addresses]
    for text in texts:
        yield every, text
        if fragment.policy.external_local:
            yield local, text


def _out_filter(server: VirtualServer) -> Rule:
    """Return the rule that keeps the node itself out, whose source is the address itself."""
    address, port, protocol = server.key
    text = (
        f"-s {address} -m ipvs --vaddr {address} --vproto {protocol.lower()} --vport {port} -j DROP"
    )
    return Rule("filter", OUT_FILTER, text, server.part)


def _is_passed_over(fragment: Fragment, node_addresses: tuple[str, ...]) -> bool:
    """Whether kube-proxy leaves a service port at its node port, which no address serves."""
    has_node_port = any(d.frontend == "node-port" for d in fragment.dispatches)
    return has_node_port and not node_addresses


def _health_check(fragment: Fragment) -> HealthCheckPort | None:
    if fragment.health_check is None:
        return None
    ready = frozenset(endpoint.address for endpoint in fragment.local_endpoints if endpoint.ready)
    name = fragment.name
    return HealthCheckPort(f"{name.namespace}/{name.name}", fragment.health_check.port, ready)
