"""The iptables rules of IPVS mode: few, and the same whatever the number of Services.

They say which packets are masqueraded and which let in, by the sets that the packets'
addresses are in. Source: ``writeIptablesRules`` and ``createAndLinkKubeChain`` in
pkg/proxy/ipvs/proxier.go of Kubernetes v1.36.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from svcnet.addresses import host_network
from svcnet.family import IPFamily
from svcnet.graph import LocalDetector, NodeSettings
from svcnet.netfilter.jumps import Jump, comment
from svcnet.renderers.ipvs import sets
from svcnet.renderers.ipvs.part import ServerKey
from svcnet.renderers.ipvs.sets import SetDefinition

NAT_CHAINS = (
    "KUBE-SERVICES",
    "KUBE-POSTROUTING",
    "KUBE-NODE-PORT",
    "KUBE-LOAD-BALANCER",
    "KUBE-MARK-MASQ",
)
FILTER_CHAINS = (
    "KUBE-FORWARD",
    "KUBE-NODE-PORT",
    "KUBE-PROXY-FIREWALL",
    "KUBE-SOURCE-RANGES-FIREWALL",
    "KUBE-IPVS-FILTER",
    "KUBE-IPVS-OUT-FILTER",
)


JUMPS = (
    Jump("nat", "OUTPUT", comment("kubernetes service portals"), "KUBE-SERVICES"),
    Jump("nat", "PREROUTING", comment("kubernetes service portals"), "KUBE-SERVICES"),
    Jump("nat", "POSTROUTING", comment("kubernetes postrouting rules"), "KUBE-POSTROUTING"),
    Jump("filter", "FORWARD", comment("kubernetes forwarding rules"), "KUBE-FORWARD"),
    Jump("filter", "INPUT", comment("kubernetes health check rules"), "KUBE-NODE-PORT"),
    Jump("filter", "INPUT", comment("kube-proxy firewall rules"), "KUBE-PROXY-FIREWALL"),
    Jump("filter", "FORWARD", comment("kube-proxy firewall rules"), "KUBE-PROXY-FIREWALL"),
    Jump("filter", "INPUT", comment("kubernetes ipvs access filter"), "KUBE-IPVS-FILTER"),
    Jump("filter", "OUTPUT", comment("kubernetes ipvs access filter"), "KUBE-IPVS-OUT-FILTER"),
)
"""Every jump, in the order in which kube-proxy puts each at the head of its chain."""


class _SetRule(NamedTuple):
    """A rule that is there when its set has entries."""

    definition: SetDefinition
    chain: str
    match: str
    target: str
    protocol: str = ""


_NAT_SET_RULES = (
    _SetRule(sets.LOOP_BACK, "KUBE-POSTROUTING", "dst,dst,src", "MASQUERADE"),
    _SetRule(sets.LOAD_BALANCER, "KUBE-SERVICES", "dst,dst", "KUBE-LOAD-BALANCER"),
    _SetRule(sets.LOAD_BALANCER_LOCAL, "KUBE-LOAD-BALANCER", "dst,dst", "RETURN"),
    _SetRule(sets.NODE_PORT_LOCAL_TCP, "KUBE-NODE-PORT", "dst", "RETURN", "tcp"),
    _SetRule(sets.NODE_PORT_TCP, "KUBE-NODE-PORT", "dst", "KUBE-MARK-MASQ", "tcp"),
    _SetRule(sets.NODE_PORT_LOCAL_UDP, "KUBE-NODE-PORT", "dst", "RETURN", "udp"),
    _SetRule(sets.NODE_PORT_UDP, "KUBE-NODE-PORT", "dst", "KUBE-MARK-MASQ", "udp"),
    _SetRule(sets.NODE_PORT_LOCAL_SCTP, "KUBE-NODE-PORT", "dst,dst", "RETURN", "sctp"),
    _SetRule(sets.NODE_PORT_SCTP, "KUBE-NODE-PORT", "dst,dst", "KUBE-MARK-MASQ", "sctp"),
)
_FILTER_SET_RULES = (
    _SetRule(
        sets.LOAD_BALANCER_FW, "KUBE-PROXY-FIREWALL", "dst,dst", "KUBE-SOURCE-RANGES-FIREWALL"
    ),
    _SetRule(
        sets.LOAD_BALANCER_SOURCE_CIDR, "KUBE-SOURCE-RANGES-FIREWALL", "dst,dst,src", "RETURN"
    ),
    _SetRule(sets.LOAD_BALANCER_SOURCE_IP, "KUBE-SOURCE-RANGES-FIREWALL", "dst,dst,src", "RETURN"),
)


def restore_text(
    settings: NodeSettings, filled: Collection[SetDefinition], out_filter: Iterable[str]
) -> str:
    """Return the text for ``iptables-restore --noflush``.

    `filled` are the sets that have entries, `out_filter` the rules of
    KUBE-IPVS-OUT-FILTER.
    """
    lines = [
        "*nat",
        *(f":{chain} - [0:0]" for chain in NAT_CHAINS),
        *_nat_rules(settings, filled),
        "COMMIT",
        "*filter",
        *(f":{chain} - [0:0]" for chain in FILTER_CHAINS),
        *_filter_rules(settings, filled, out_filter),
        "COMMIT",
    ]
    return "\n".join(lines) + "\n"


def with_servers(text: str, servers: Iterable[ServerKey]) -> str:
    """Return restore text whose filter lets in what others' virtual servers are for.

    On a Service's address everything that is no service port is refused, as such an address
    is the node's own.
    """
    lines = [f"-A KUBE-IPVS-FILTER {_to(key)} -j RETURN\n" for key in servers]
    before, first, after = text.partition("-A KUBE-IPVS-FILTER ")
    return f"{before}{''.join(lines)}{first}{after}"


def _to(key: ServerKey) -> str:
    """Return a match for a virtual server; port 0 stands for all."""
    address = host_network(key.address)
    protocol = key.protocol.lower()
    port = f" -m {protocol} --dport {key.port}" if key.port else ""
    return f"-d {address} -p {protocol}{port}"


def with_set(text: str, name: str, other: str) -> str:
    """Return restore text that names one set in place of another."""
    return text.replace(f" --match-set {name} ", f" --match-set {other} ")


def _nat_rules(settings: NodeSettings, filled: Collection[SetDefinition]) -> Iterator[str]:
    family = settings.family
    loopback = "127.0.0.0/8" if family == "IPv4" else "::1/128"
    yield f"-A KUBE-SERVICES -s {loopback} -j RETURN"
    yield from _set_rules(_NAT_SET_RULES, family, filled)
    if sets.CLUSTER_IP in filled:
        yield f"-A KUBE-SERVICES {_cluster_ip_match(settings)} -j KUBE-MARK-MASQ"
    if sets.EXTERNAL_IP in filled:
        match = _match(sets.EXTERNAL_IP, family, "dst,dst")
        yield f"-A KUBE-SERVICES {match} -j KUBE-MARK-MASQ"
        yield from _external_ip_accepts(match)
    if sets.EXTERNAL_IP_LOCAL in filled:
        yield from _external_ip_accepts(_match(sets.EXTERNAL_IP_LOCAL, family, "dst,dst"))
    yield "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT"
    yield "-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ"
    # Whatever else the nat table would do to a virtual server's packets, IPVS comes first.
    for definition in (sets.CLUSTER_IP, sets.LOAD_BALANCER):
        if definition in filled:
            name = definition.name_in(family)
            yield f"-A KUBE-SERVICES -m set --match-set {name} dst,dst -j ACCEPT"
    mark = f"{settings.masquerade_mark:#010x}"
    random_fully = " --random-fully" if settings.random_fully else ""
    yield f"-A KUBE-POSTROUTING -m mark ! --mark {mark}/{mark} -j RETURN"
    yield f"-A KUBE-POSTROUTING -j MARK --xor-mark {mark}"
    yield (
        '-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" '
        f"-j MASQUERADE{random_fully}"
    )
    yield f"-A KUBE-MARK-MASQ -j MARK --or-mark {mark}"


def _filter_rules(
    settings: NodeSettings, filled: Collection[SetDefinition], out_filter: Iterable[str]
) -> Iterator[str]:
    family = settings.family
    mark = f"{settings.masquerade_mark:#010x}"
    yield from _set_rules(_FILTER_SET_RULES, family, filled)
    yield "-A KUBE-SOURCE-RANGES-FIREWALL -j DROP"
    yield from out_filter
    yield (
        '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" '
        f"-m mark --mark {mark}/{mark} -j ACCEPT"
    )
    yield (
        '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" '
        "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    )
    health_check = _match(sets.HEALTH_CHECK_NODE_PORT, family, "dst")
    yield f"-A KUBE-NODE-PORT {health_check} -j ACCEPT"
    # The addresses of Services are the node's own in this mode. What is not a service
    # port must not reach the host's processes: https://issue.k8s.io/72236
    for definition in (
        sets.LOAD_BALANCER,
        sets.CLUSTER_IP,
        sets.EXTERNAL_IP,
        sets.EXTERNAL_IP_LOCAL,
        sets.HEALTH_CHECK_NODE_PORT,
    ):
        sides = "dst" if definition.type == "bitmap:port" else "dst,dst"
        name = definition.name_in(family)
        yield f"-A KUBE-IPVS-FILTER -m set --match-set {name} {sides} -j RETURN"
    yield (
        "-A KUBE-IPVS-FILTER -m conntrack --ctstate NEW "
        f"-m set --match-set {sets.IPVS_IPS.name_in(family)} dst -j REJECT"
    )


def _set_rules(
    rules: Iterable[_SetRule], family: IPFamily, filled: Collection[SetDefinition]
) -> Iterator[str]:
    for rule in rules:
        if rule.definition in filled:
            protocol = f"-p {rule.protocol} " if rule.protocol else ""
            match = _match(rule.definition, family, rule.match)
            yield f"-A {rule.chain} {protocol}{match} -j {rule.target}"


def _match(definition: SetDefinition, family: IPFamily, sides: str) -> str:
    name = definition.name_in(family)
    return f'-m comment --comment "{definition.comment}" -m set --match-set {name} {sides}'


def _cluster_ip_match(settings: NodeSettings) -> str:
    """Return which packets to cluster IPs are masqueraded.

    Where pods cannot be told from others, those whose source is a cluster IP too: the
    node's own, to which the address on the dummy device is the nearest.
    """
    if settings.masquerade_all:
        return _match(sets.CLUSTER_IP, settings.family, "dst,dst")
    if settings.local_detector.kind != "none":
        match = _match(sets.CLUSTER_IP, settings.family, "dst,dst")
        return f"{match} {_not_local(settings.local_detector)}"
    return _match(sets.CLUSTER_IP, settings.family, "src,dst")


def _not_local(detector: LocalDetector) -> str:
    if detector.kind == "cidr":
        return f"! -s {detector.value}"
    return f"! -i {detector.value}{'+' if detector.kind == 'prefix' else ''}"


def _external_ip_accepts(match: str) -> Iterator[str]:
    """Yield rules that end the nat table's work for packets to external IPs.

    Those from off the machine, as far as a bridge tells, and those to an address that
    the host holds anyway.
    """
    yield (
        f"-A KUBE-SERVICES {match} -m physdev ! --physdev-is-in "
        "-m addrtype ! --src-type LOCAL -j ACCEPT"
    )
    yield f"-A KUBE-SERVICES {match} -m addrtype --dst-type LOCAL -j ACCEPT"
