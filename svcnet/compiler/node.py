"""One node's view of a cluster: who it is, and what its configuration comes to."""

from __future__ import annotations

from ipaddress import ip_address
from math import ceil

from attrs import field, frozen

from svcnet.addresses import host_network, network_of
from svcnet.brief import Brief
from svcnet.errors import AbsentError, UsageError
from svcnet.family import IP_FAMILIES, family_of
from svcnet.graph import IPVSSettings, LocalDetector, NodeSettings
from svcnet.models import (
    Budget,
    ClusterState,
    Host,
    IPFamily,
    IPVSConfiguration,
    KubeProxyConfiguration,
    Node,
    RuleSettings,
)
from svcnet.models.config import PRIMARY

LOOPBACK: dict[IPFamily, str] = {"IPv4": "127.0.0.1", "IPv6": "::1"}


@frozen(repr=False)
class NodeView(Brief):
    """Everything besides a service port itself that its fragment depends on.

    ``zone`` is the node's topology zone. ``allows_external_ips`` is the feature gate
    AllowServiceExternalIPs: without it external IPs lead nowhere. ``budget`` is how much Services
    may ask of the node.
    """

    settings: NodeSettings
    zone: str = ""
    allows_external_ips: bool = True
    budget: Budget = field(factory=Budget)

    @property
    def family(self) -> IPFamily:
        """The IP family that rules are made for."""
        return self.settings.family


def node_name(state: ClusterState, config: KubeProxyConfiguration, name: str = "") -> str:
    """Return the name of the node that rules are for.

    That is `name`, else ``hostnameOverride``, else the only Node of the input, else
    the empty string: a node on which no endpoint is local. Raises UsageError when
    several Nodes leave it open.
    """
    chosen = name or config.hostname_override
    if chosen:
        return chosen
    if len(state.nodes) > 1:
        names = ", ".join(sorted(state.nodes))
        raise UsageError(f"the input has several Nodes ({names}): say which one with --node")
    return next(iter(state.nodes), "")


def node_families(
    state: ClusterState, config: KubeProxyConfiguration, name: str
) -> tuple[IPFamily, ...]:
    """Return the families that the Node called `name` has addresses of, its first one's first.

    The first one is ``bindAddress`` where that is set. Of a node without known addresses they are
    those of the Services' cluster IPs, IPv4 first, and without any of these IPv4.
    """
    node = state.nodes.get(name, Node(name))
    found = [family_of(address) for address in _node_addresses(node, config)]
    if not node.addresses:
        services = state.services.values()
        found += [f for f in IP_FAMILIES if any(item.cluster_ip(f) for item in services)]
    return tuple(dict.fromkeys(found)) or IP_FAMILIES[:1]


def node_view(
    state: ClusterState,
    config: KubeProxyConfiguration | None = None,
    host: Host | None = None,
    *,
    node: str = "",
    family: IPFamily | None = None,
    rules: RuleSettings | None = None,
) -> NodeView:
    """Return the view that one node has of a cluster, for one IP family.

    `rules` are what a mode takes of `config`; without, those of section ``iptables``.

    `node` names it, else :func:`svcnet.compiler.node_name` tells which. Without
    `family` it is the first of :func:`node_families`. Raises AbsentError when `node` is
    asked for by name and the input has Nodes but not that one.
    """
    config = config or KubeProxyConfiguration()
    host = host or Host()
    rules = rules or config.rule_settings
    name = node_name(state, config, node)
    if node and state.nodes and node not in state.nodes:
        raise AbsentError(f"the input has no Node {node!r}, only {', '.join(sorted(state.nodes))}")
    found = state.nodes.get(name, Node(name))
    family = family or node_families(state, config, name)[0]
    own = _of_family(_node_addresses(found, config), family)
    addresses = _host_addresses(host, own, family)
    node_port_cidrs = _node_port_cidrs(rules, own, family)
    match_all = not node_port_cidrs or any(network_of(c).prefixlen == 0 for c in node_port_cidrs)
    return NodeView(
        settings=NodeSettings(
            family=family,
            node_name=name,
            node_ip=own[0] if own else LOOPBACK[family],
            addresses=addresses,
            node_port_addresses=None if match_all else _matching(addresses, node_port_cidrs, rules),
            localhost_node_ports=family == "IPv4" and _serves_localhost(rules, node_port_cidrs),
            local_detector=_local_detector(config, found, family),
            masquerade_mark=1 << rules.masquerade_bit,
            masquerade_all=rules.masquerade_all,
            random_fully=host.iptables_random_fully,
            conntrack_tcp_be_liberal=host.conntrack_tcp_be_liberal
            or config.conntrack.tcp_be_liberal,
            nfacct=host.nfacct,
            ipvs=_ipvs(config.ipvs, family),
            service_cidrs=_service_cidrs(state, family) if rules.reads_service_cidrs else (),
        ),
        zone=found.zone,
        allows_external_ips=config.feature("AllowServiceExternalIPs", True),
    )


def _service_cidrs(state: ClusterState, family: IPFamily) -> tuple[str, ...]:
    """Return the CIDRs of all ServiceCIDRs, each once, in text order."""
    found = {cidr for item in state.service_cidrs.values() for cidr in item.cidrs}
    return tuple(sorted(_of_family(tuple(found), family)))


def _of_family(texts: tuple[str, ...], family: IPFamily) -> tuple[str, ...]:
    return tuple(text for text in texts if family_of(text) == family)


def _node_addresses(node: Node, config: KubeProxyConfiguration) -> tuple[str, ...]:
    """Return the node's own addresses, the one that it is known by first (``detectNodeIPs``)."""
    chosen = config.bind_address
    others = tuple(address for address in node.addresses if address != chosen)
    return (chosen, *others) if chosen else others


def _node_port_cidrs(
    rules: RuleSettings, own: tuple[str, ...], family: IPFamily
) -> tuple[str, ...]:
    """Return the CIDRs of the addresses that answer node ports, none for all.

    ``primary`` is the node's first address. Where that is not known, all answer.
    """
    if rules.node_port_addresses != (PRIMARY,):
        return _of_family(rules.node_port_addresses, family)
    if not own or ip_address(own[0]).is_loopback:
        return ()
    return (host_network(own[0]),)


def _host_addresses(host: Host, own: tuple[str, ...], family: IPFamily) -> tuple[str, ...]:
    if host.addresses is None:
        return (*own, LOOPBACK[family])
    return _of_family(host.addresses, family)


def _serves_localhost(rules: RuleSettings, cidrs: tuple[str, ...]) -> bool:
    """Whether node ports answer on IPv4 loopback: asked for, and within nodePortAddresses."""
    networks = map(network_of, cidrs)
    loopback = ip_address(LOOPBACK["IPv4"])
    inside = not cidrs or any(loopback in net or net.is_loopback for net in networks)
    return rules.localhost_node_ports and inside


def _matching(
    addresses: tuple[str, ...], cidrs: tuple[str, ...], rules: RuleSettings
) -> tuple[str, ...]:
    """Return the host's addresses that nodePortAddresses picks, in text order."""
    networks = [network_of(cidr) for cidr in cidrs]
    picked = set()
    for text in addresses:
        address = ip_address(text)
        if address.is_loopback and (address.version == 6 or not rules.localhost_node_ports):
            continue
        if any(address in network for network in networks):
            picked.add(text)
    return tuple(sorted(picked))


def _ipvs(config: IPVSConfiguration, family: IPFamily) -> IPVSSettings:
    timeouts = (config.tcp_timeout, config.tcp_fin_timeout, config.udp_timeout)
    tcp, fin, udp = (ceil(seconds or 0) for seconds in timeouts)
    return IPVSSettings(
        scheduler=config.scheduler,
        strict_arp=config.strict_arp,
        exclude_cidrs=_of_family(config.exclude_cidrs, family),
        timeouts=(tcp, fin, udp),
    )


def _local_detector(config: KubeProxyConfiguration, node: Node, family: IPFamily) -> LocalDetector:
    """Return how local pods are recognised (KEP-2450); a mode without its value detects none."""
    detect = config.detect_local
    match config.detect_local_mode:
        case "BridgeInterface":
            return LocalDetector("bridge", detect.bridge_interface)
        case "InterfaceNamePrefix":
            return LocalDetector("prefix", detect.interface_name_prefix)
        case "NodeCIDR":
            cidrs = _of_family(node.pod_cidrs, family)
        case _:
            cidrs = _of_family(config.cluster_cidrs, family)
    return LocalDetector("cidr", cidrs[0]) if cidrs else LocalDetector()
