"""What the table has that no Service caused: the hooks, the sets and maps, and who looks at them.

Source of the behaviour: ``setupNFTables`` in pkg/proxy/nftables/proxier.go of Kubernetes v1.36.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen

from svcnet.addresses import network_of
from svcnet.brief import Brief
from svcnet.graph import NodeSettings
from svcnet.netfilter.nft import NFTChain, NFTElement, NFTHook, NFTObject, NFTRule, NFTSet
from svcnet.renderers.nftables import names
from svcnet.renderers.nftables.words import NodeWords, words

COMMENT = "rules for kube-proxy"
"""The comment of the table."""

HOOKS = (
    # Destinations before translation, for the ranges of sources of load balancers.
    NFTChain(names.FILTER_PREROUTING_PRE_DNAT, NFTHook("filter", "prerouting", -110)),
    NFTChain(names.FILTER_OUTPUT_PRE_DNAT, NFTHook("filter", "output", -110)),
    NFTChain(names.FILTER_INPUT, NFTHook("filter", "input", 0)),
    NFTChain(names.FILTER_FORWARD, NFTHook("filter", "forward", 0)),
    NFTChain(names.FILTER_OUTPUT, NFTHook("filter", "output", 0)),
    NFTChain(names.NAT_PREROUTING, NFTHook("nat", "prerouting", -100)),
    NFTChain(names.NAT_OUTPUT, NFTHook("nat", "output", -100)),
    NFTChain(names.NAT_POSTROUTING, NFTHook("nat", "postrouting", 100)),
)
"""The chains that the kernel calls."""

_NEW = "ct state new "
_JUMPS = (
    (names.NODE_PORT_ENDPOINTS_CHECK, _NEW, (names.FILTER_INPUT,)),
    (
        names.SERVICE_ENDPOINTS_CHECK,
        _NEW,
        (names.FILTER_INPUT, names.FILTER_FORWARD, names.FILTER_OUTPUT),
    ),
    (
        names.FIREWALL_CHECK,
        _NEW,
        (names.FILTER_PREROUTING_PRE_DNAT, names.FILTER_OUTPUT_PRE_DNAT),
    ),
    (names.SERVICES, "", (names.NAT_OUTPUT, names.NAT_PREROUTING)),
    (names.MASQUERADING, "", (names.NAT_POSTROUTING,)),
    (names.CLUSTER_IPS_CHECK, _NEW, (names.FILTER_FORWARD, names.FILTER_OUTPUT)),
)


@frozen(repr=False)
class FixedParts(Brief):
    """What no Service caused, in the order in which it is made.

    ``node_port_ips`` is the set of addresses that answer node ports, and ``node_ports`` its
    elements; None where all addresses do, and then the set is not there.
    """

    first: tuple[NFTObject, ...]
    node_port_ips: NFTSet
    node_ports: tuple[NFTElement, ...] | None
    rest: tuple[NFTObject, ...]

    @property
    def objects(self) -> tuple[NFTObject, ...]:
        """All that is there."""
        if self.node_ports is None:
            return self.first + self.rest
        return (*self.first, self.node_port_ips, *self.node_ports, *self.rest)


def rules_of(parts: FixedParts) -> Mapping[str, list[NFTRule]]:
    """Return the rules of the fixed part, by chain."""
    found: dict[str, list[NFTRule]] = {}
    for made in parts.objects:
        if type(made) is NFTRule:
            found.setdefault(made.chain, []).append(made)
    return found


def make_fixed_parts(settings: NodeSettings) -> FixedParts:
    """Return the fixed part for a node."""
    say = words(settings)
    return FixedParts(
        first=tuple(_first(settings, say)),
        node_port_ips=NFTSet(
            names.NODE_PORT_IPS, say.address, comment="IPs that accept NodePort traffic"
        ),
        node_ports=_node_ports(settings),
        rest=(*_no_endpoints(settings, say), *_firewall(say), *_services(settings, say)),
    )


def _first(settings: NodeSettings, say: NodeWords) -> Iterator[NFTObject]:
    yield from HOOKS
    yield from _jumps()
    yield from _masquerading(settings, say)
    yield from _cluster_ips(settings, say)


def _jumps() -> Iterator[NFTObject]:
    for chain, when, callers in _JUMPS:
        yield NFTChain(chain)
        for caller in callers:
            yield NFTRule(caller, f"{when}jump {chain}")


def _masquerading(settings: NodeSettings, say: NodeWords) -> Iterator[NFTObject]:
    yield NFTSet(
        names.HAIRPIN_CONNECTIONS,
        f"{say.address} . {say.address} . inet_proto . inet_service",
        comment="service hairpin connections",
    )
    mark = f"{settings.masquerade_mark:#010x}"
    yield NFTRule(
        names.MASQUERADING,
        f"mark and {mark} != 0 mark set mark xor {mark} masquerade fully-random",
    )
    yield NFTRule(
        names.MASQUERADING,
        f"ct status dnat {say.ip} saddr . {say.ip} daddr . meta l4proto . th dport "
        f"@{names.HAIRPIN_CONNECTIONS} masquerade fully-random",
    )


def _cluster_ips(settings: NodeSettings, say: NodeWords) -> Iterator[NFTObject]:
    """Cluster IPs on ports that no Service has, and those that no Service has at all."""
    yield NFTSet(names.CLUSTER_IPS, say.address, comment="Active ClusterIPs")
    yield NFTRule(
        names.CLUSTER_IPS_CHECK,
        f"{say.ip} daddr @{names.CLUSTER_IPS} reject",
        "Reject traffic to invalid ports of ClusterIPs",
    )
    if settings.service_cidrs:
        cidrs = ",".join(sorted(settings.service_cidrs, key=network_of))
        yield NFTRule(
            names.CLUSTER_IPS_CHECK,
            f"{say.ip} daddr {{ {cidrs} }} drop",
            "Drop traffic to unallocated ClusterIPs",
        )


def _node_ports(settings: NodeSettings) -> tuple[NFTElement, ...] | None:
    """Return the addresses that answer node ports; loopback never does, in no family."""
    addresses = settings.node_port_addresses
    if addresses is None:
        return None
    return tuple(
        NFTElement(names.NODE_PORT_IPS, address)
        for address in dict.fromkeys(addresses)
        if address != "::1" and not address.startswith("127.")
    )


def _of_node_port(settings: NodeSettings, say: NodeWords) -> str:
    """Return the match of destinations that answer node ports, if they are the node's own."""
    if settings.node_port_addresses is None:
        return f"{say.ip} daddr != {say.loopback}"
    return f"{say.ip} daddr @{names.NODE_PORT_IPS}"


def _no_endpoints(settings: NodeSettings, say: NodeWords) -> Iterator[NFTObject]:
    yield NFTSet(
        names.NO_ENDPOINT_SERVICES,
        f"{say.address} . inet_proto . inet_service",
        "verdict",
        "vmap to drop or reject packets to services with no endpoints",
    )
    yield NFTSet(
        names.NO_ENDPOINT_NODE_PORTS,
        "inet_proto . inet_service",
        "verdict",
        "vmap to drop or reject packets to service nodeports with no endpoints",
    )
    yield NFTChain(
        names.REJECT,
        comment=f"helper for @{names.NO_ENDPOINT_SERVICES} / @{names.NO_ENDPOINT_NODE_PORTS}",
    )
    yield NFTRule(names.REJECT, "reject")
    yield NFTRule(
        names.SERVICE_ENDPOINTS_CHECK,
        f"{say.ip} daddr . meta l4proto . th dport vmap @{names.NO_ENDPOINT_SERVICES}",
    )
    yield NFTRule(
        names.NODE_PORT_ENDPOINTS_CHECK,
        f"{_of_node_port(settings, say)} "
        f"meta l4proto . th dport vmap @{names.NO_ENDPOINT_NODE_PORTS}",
    )


def _firewall(say: NodeWords) -> Iterator[NFTObject]:
    yield NFTSet(
        names.FIREWALL_IPS,
        f"{say.address} . inet_proto . inet_service",
        "verdict",
        "destinations that are subject to LoadBalancerSourceRanges",
    )
    yield NFTRule(
        names.FIREWALL_CHECK,
        f"{say.ip} daddr . meta l4proto . th dport vmap @{names.FIREWALL_IPS}",
    )


def _services(settings: NodeSettings, say: NodeWords) -> Iterator[NFTObject]:
    yield NFTSet(
        names.SERVICE_IPS,
        f"{say.address} . inet_proto . inet_service",
        "verdict",
        "ClusterIP, ExternalIP and LoadBalancer IP traffic",
    )
    yield NFTSet(
        names.SERVICE_NODE_PORTS, "inet_proto . inet_service", "verdict", "NodePort traffic"
    )
    to_cluster_ip = f"{say.ip} daddr @{names.CLUSTER_IPS}"
    if settings.masquerade_all:
        yield NFTRule(
            names.SERVICES, f"{to_cluster_ip} {say.mark}", "masquerade all clusterIP traffic"
        )
    elif say.not_pod:
        yield NFTRule(
            names.SERVICES,
            f"{to_cluster_ip} {say.not_pod} {say.mark}",
            "masquerade clusterIP traffic from outside cluster",
        )
    yield NFTRule(
        names.SERVICES,
        f"{say.ip} daddr . meta l4proto . th dport vmap @{names.SERVICE_IPS}",
    )
    local = "fib daddr type local " if settings.node_port_addresses is None else ""
    yield NFTRule(
        names.SERVICES,
        f"{local}{_of_node_port(settings, say)} "
        f"meta l4proto . th dport vmap @{names.SERVICE_NODE_PORTS}",
    )
