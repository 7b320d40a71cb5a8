"""One service port in IPVS mode: its virtual servers, and its entries in the sets.

Source of the behaviour: ``syncProxyRules`` and ``syncEndpoint`` in
pkg/proxy/ipvs/proxier.go of Kubernetes v1.30.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from attrs import frozen

from svcnet.addresses import canonical_address
from svcnet.graph import Balance, Dispatch, Fragment, NodeSettings
from svcnet.graph.settings import contains
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


@frozen
class VirtualServer:
    """An address and port that the kernel balances; ``timeout`` is persistence in seconds."""

    key: ServerKey
    scheduler: str
    flags: int
    timeout: int
    real_servers: tuple[RealServer, ...]


@frozen
class HealthCheck:
    """A port on which the node answers for a Service, from its ready endpoints here."""

    service: str
    port: int
    local_endpoints: frozenset[str]


Entry = tuple[SetDefinition, str]


@frozen
class Part:
    """What one service port adds to a node in IPVS mode.

    ``out_filter`` are its rules in the chain KUBE-IPVS-OUT-FILTER.
    """

    fragment: Fragment
    servers: tuple[VirtualServer, ...]
    entries: tuple[Entry, ...]
    out_filter: tuple[str, ...] = ()
    health_check: HealthCheck | None = None


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
    entries: list[Entry] = []
    servers: list[VirtualServer] = []
    out_filter: list[str] = []
    serve = _Servers(fragment, settings)
    protocol = fragment.name.protocol
    for endpoint in fragment.local_endpoints:
        address = canonical_address(endpoint.address)
        text = f"{address},{protocol.lower()}:{endpoint.port},{address}"
        entries.append((sets.LOOP_BACK, text))
    for dispatch in fragment.dispatches:
        if dispatch.frontend == "node-port":
            if node_addresses:
                entries += _node_port(fragment, dispatch, node_addresses)
                servers += [serve.outside(a, dispatch.port) for a in node_addresses]
            continue
        inside = dispatch.frontend == "cluster-ip"
        server = (serve.inside if inside else serve.outside)(dispatch.address, dispatch.port)
        servers.append(server)
        if inside or not settings.is_node_address(dispatch.address):
            entries.append((sets.IPVS_IPS, dispatch.address))
        entries += _portal(fragment, dispatch, settings)
        if dispatch.frontend == "load-balancer" and _keeps_node_out(fragment, settings):
            out_filter.append(_out_filter(server.key))
    if fragment.health_check is not None and not _is_passed_over(fragment, node_addresses):
        entries.append((sets.HEALTH_CHECK_NODE_PORT, str(fragment.health_check.port)))
    # One address in several roles is one virtual server, as the last of them wants it.
    distinct = tuple({server.key: server for server in servers}.values())
    return Part(fragment, distinct, tuple(entries), tuple(out_filter), _health_check(fragment))


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
            t.id: RealServer(canonical_address(t.address), t.port, t.weight) for t in translates
        }
        cluster, local = fragment.cluster, fragment.local
        internal_local = fragment.dispatches[0].target in ("local", "drop")
        self.internal = self._of(local or cluster if internal_local else cluster)
        self.external = (
            self._of(local or cluster) if fragment.policy.external_local else self._of(cluster)
        )

    def _of(self, balance: Balance | None) -> tuple[RealServer, ...]:
        """Return the real servers of a choice.

        Where policy Local finds no local endpoint, kube-proxy takes those of the whole
        cluster instead: https://github.com/kubernetes/kubernetes/pull/97081
        """
        if balance is None:
            return ()
        if len(balance.targets) == len(self.all):
            return tuple(self.all.values())
        return tuple([self.all[target] for target in balance.targets])

    def inside(self, address: str, port: int) -> VirtualServer:
        return self._server(address, port, self.internal)

    def outside(self, address: str, port: int) -> VirtualServer:
        return self._server(address, port, self.external)

    def _server(self, address: str, port: int, real: tuple[RealServer, ...]) -> VirtualServer:
        key = ServerKey(address, port, self.fragment.name.protocol)
        return VirtualServer(key, self.scheduler, self.flags, self.timeout, real)


def _portal(fragment: Fragment, dispatch: Dispatch, settings: NodeSettings) -> Iterator[Entry]:
    """Yield the set entries of an address and port that is not a node port."""
    policy = fragment.policy
    protocol = fragment.name.protocol.lower()
    portal = f"{dispatch.address},{protocol}:{dispatch.port}"
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
            for cidr in policy.source_ranges:
                yield sets.LOAD_BALANCER_SOURCE_CIDR, f"{portal},{cidr}"
            if _lets_node_in(fragment, settings):
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


def _keeps_node_out(fragment: Fragment, settings: NodeSettings) -> bool:
    return bool(fragment.policy.source_ranges) and not _lets_node_in(fragment, settings)


def _lets_node_in(fragment: Fragment, settings: NodeSettings) -> bool:
    return any(contains(cidr, settings.node_ip) for cidr in fragment.policy.source_ranges)


def _out_filter(key: ServerKey) -> str:
    """Return the rule that keeps the node itself out, whose source is the address itself."""
    return (
        f"-A KUBE-IPVS-OUT-FILTER -s {key.address} -m ipvs --vaddr {key.address} "
        f"--vproto {key.protocol.lower()} --vport {key.port} -j DROP"
    )


def _is_passed_over(fragment: Fragment, node_addresses: tuple[str, ...]) -> bool:
    """Whether kube-proxy leaves a service port at its node port, which no address serves."""
    has_node_port = any(d.frontend == "node-port" for d in fragment.dispatches)
    return has_node_port and not node_addresses


def _health_check(fragment: Fragment) -> HealthCheck | None:
    if fragment.health_check is None:
        return None
    ready = frozenset(endpoint.address for endpoint in fragment.local_endpoints if endpoint.ready)
    name = fragment.name
    return HealthCheck(f"{name.namespace}/{name.name}", fragment.health_check.port, ready)
