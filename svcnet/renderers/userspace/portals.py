"""The portal rules: iptables rules that redirect traffic for Services to the proxy's ports.

Chains, comments and the order of matches are those of Kubernetes's userspace proxy
(pkg/proxy/userspace/proxier.go, last in v1.25), with IPv6 beside IPv4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from types import MappingProxyType

from attrs import field, frozen

from svcnet.addresses import BITS, host_network
from svcnet.family import IPFamily
from svcnet.graph import Fragment, FragmentName, NodeSettings, Origin
from svcnet.graph.fragment import HEALTH_CHECK
from svcnet.netfilter.jumps import Jump, comment, lines_on_clean_machine, of_table
from svcnet.netfilter.restore import append, declare, transaction
from svcnet.netfilter.rules import Rule
from svcnet.netfilter.save_form import save_rule
from svcnet.renderers.userspace.table import (
    Backend,
    ListenerName,
    Portal,
    ProxiedPort,
    ProxyTable,
    Role,
)

CHAINS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "filter": ("KUBE-NODEPORT-NON-LOCAL",),
        "nat": (
            "KUBE-PORTALS-CONTAINER",
            "KUBE-PORTALS-HOST",
            "KUBE-NODEPORT-CONTAINER",
            "KUBE-NODEPORT-HOST",
        ),
    }
)
"""The chains of this mode, by table."""

OPEN_COMMENT = "Ensure that non-local NodePort traffic can flow"
PORTALS_COMMENT = "handle ClusterIPs; NOTE: this must be before the NodePort rules"
NODE_PORTS_COMMENT = "handle service NodePorts; NOTE: this must be the last rule in the chain"
_LOCAL = "-m addrtype --dst-type LOCAL "
_NOT_BRIDGED = "-m physdev ! --physdev-is-in "
_FROM_PODS = {"cidr": "-s {} ", "bridge": "-i {} ", "prefix": "-i {}+ ", "none": ""}


@frozen
class PortalRules:
    """All rules of this mode in one IP family, in their order.

    ``table`` is what they lead to the ports of, which says what they come from.
    """

    family: IPFamily
    rules: tuple[Rule, ...]
    jumps: tuple[Jump, ...]
    table: ProxyTable | None = field(default=None, repr=False, eq=False)

    def origin_of(self, rule: Rule) -> Origin | None:
        """Return what in the input caused a rule, None for one that is not of these.

        Its text is as it is written here, or as iptables-save prints it.
        """
        found = self._cause(rule)
        if found is None:
            return None
        fragment, part = found
        return fragment.origin_of(part)

    def _cause(self, rule: Rule) -> tuple[Fragment, str] | None:
        return self._causes.get((rule.chain, save_rule(rule.text, self.family)))

    def origin_of_line(self, line: str) -> Origin | None:
        """Return what caused a line that appends or removes a rule, None for any other."""
        return self.origin_of(_rule(line))

    def service_port_of_line(self, line: str) -> FragmentName | None:
        """Return the service port that such a line is for, None for any other."""
        found = self._cause(_rule(line))
        return None if found is None else found[0].name

    @cached_property
    def _causes(self) -> Mapping[tuple[str, str], tuple[Fragment, str]]:
        """The service port of each rule, and what of it the rule is for."""
        table = self.table
        if table is None:
            return {}
        return {
            (rule.chain, save_rule(rule.text, self.family)): (fragment, rule.cause)
            for name, fragment in table.fragments.items()
            if name in table.services
            for rule in service_rules(table.services[name], table.ports, table.settings)
        }


def _rule(line: str) -> Rule:
    _, _, rest = line.strip().partition(" ")
    chain, _, text = rest.partition(" ")
    return Rule("", chain, text)


def portal_rules(table: ProxyTable) -> PortalRules:
    """Return all rules that lead to the ports of `table`."""
    return PortalRules(
        table.family,
        tuple(
            rule
            for service in table
            for rule in service_rules(service, table.ports, table.settings)
        ),
        jumps(table.settings),
        table,
    )


def service_rules(
    service: ProxiedPort, ports: Mapping[ListenerName, int], settings: NodeSettings
) -> tuple[Rule, ...]:
    """Return the rules of one service port, in their order."""
    here = _Here(service, ports, settings)
    found = [rule for portal in service.portals for rule in here.portal(portal)]
    if service.health_check:
        # Not of old: the port is the node's own, and rules that close the node's ports
        # must not close it (KEP-3458 has them answer for every Service of type LoadBalancer).
        found.append(here.health_check(service.health_check))
    return tuple(found)


@frozen
class _Here:
    """One service port's rules on one node."""

    service: ProxiedPort
    ports: Mapping[ListenerName, int]
    settings: NodeSettings

    @property
    def about(self) -> str:
        return self.service.name.service_port

    def portal(self, portal: Portal) -> Iterator[Rule]:
        match portal.frontend:
            case "node-port":
                yield from self.node_port(portal)
            case "external-ip":
                yield from self.external_ip(portal)
            case _:
                yield from self.container("KUBE-PORTALS-CONTAINER", portal, "")
                yield self.host("KUBE-PORTALS-HOST", portal, "")

    def external_ip(self, portal: Portal) -> Iterator[Rule]:
        """Traffic that came in over no bridge, and whatever an address of the node is for.

        What the pods behind a bridge send to an address elsewhere is to leave the node.
        """
        yield from self.container("KUBE-PORTALS-CONTAINER", portal, _NOT_BRIDGED)
        yield from self.container("KUBE-PORTALS-CONTAINER", portal, _LOCAL)
        yield self.host("KUBE-PORTALS-HOST", portal, _LOCAL)

    def node_port(self, portal: Portal) -> Iterator[Rule]:
        yield from self.container("KUBE-NODEPORT-CONTAINER", portal, "")
        yield self.host("KUBE-NODEPORT-HOST", portal, "")
        for role in dict.fromkeys((portal.role, portal.near)):
            # It says nothing of the node port: it is there for the port's listener.
            yield self.let_in(self.matches(self.about, self.port(role)), "")

    def container(self, chain: str, portal: Portal, match: str) -> Iterator[Rule]:
        """Traffic from elsewhere, after that of pods of the node if theirs goes elsewhere."""
        pods = _FROM_PODS[self.settings.local_detector.kind] if portal.near != portal.role else ""
        if pods:
            source = pods.format(self.settings.local_detector.value)
            yield self.redirect(chain, portal, source + match, portal.near)
        yield self.redirect(chain, portal, match, portal.role)

    def redirect(self, chain: str, portal: Portal, match: str, role: Role) -> Rule:
        target = f"-j REDIRECT --to-ports {self.port(role)}"
        return Rule("nat", chain, f"{self.head(portal)}{match}{target}", portal.part)

    def host(self, chain: str, portal: Portal, match: str) -> Rule:
        """Traffic of the node itself.

        Redirected it would go to a loopback address, and answers of datagrams would come
        from another: so it is translated to an address of the node.
        """
        there = Backend(self.settings.node_ip, self.port(portal.near))
        text = f"{self.head(portal)}{match}-j DNAT --to-destination {there}"
        return Rule("nat", chain, text, portal.part)

    def health_check(self, port: int) -> Rule:
        """Let those in who ask for the endpoints of this node; by HTTP, whatever is served."""
        about = f"{self.about} health check node port"
        return self.let_in(self.matches(about, port, "tcp"), HEALTH_CHECK)

    def let_in(self, match: str, part: str) -> Rule:
        """Let new connections to one of the node's own ports in, whatever rules follow."""
        text = f"{match}-m state --state NEW -j ACCEPT"
        return Rule("filter", "KUBE-NODEPORT-NON-LOCAL", text, part)

    def head(self, portal: Portal) -> str:
        head = self.matches(self.about, portal.port)
        if not portal.address:
            return head
        return f"{head}-d {host_network(portal.address)} "

    def matches(self, about: str, port: int, protocol: str = "") -> str:
        protocol = protocol or self.service.name.protocol.lower()
        return f"{comment(about)}-p {protocol} -m {protocol} --dport {port} "

    def port(self, role: Role) -> int:
        return self.ports[ListenerName(self.service.name, role)]


def jumps(settings: NodeSettings) -> tuple[Jump, ...]:
    """Return the jumps from built-in chains, in the order in which they are made.

    Portals are matched before all else and node ports after all else.
    """
    first, last = comment(PORTALS_COMMENT), comment(NODE_PORTS_COMMENT)
    # The match of the state is not of old. Packets of open connections need not go through
    # the chain; and it has the kernel go on tracking connections when the last Service goes,
    # without which those that are open would not be translated any more, and break.
    open_ports = f"-m state --state NEW {comment(OPEN_COMMENT)}"
    return (
        Jump("filter", "INPUT", open_ports, "KUBE-NODEPORT-NON-LOCAL"),
        Jump("nat", "PREROUTING", first, "KUBE-PORTALS-CONTAINER"),
        Jump("nat", "OUTPUT", first, "KUBE-PORTALS-HOST"),
        *(
            Jump("nat", chain, f"{destination}{last}", target, "last")
            for chain, target in (
                ("PREROUTING", "KUBE-NODEPORT-CONTAINER"),
                ("OUTPUT", "KUBE-NODEPORT-HOST"),
            )
            for destination in _node_port_destinations(settings)
        ),
    )


def _node_port_destinations(settings: NodeSettings) -> list[str]:
    """Return the matches of addresses that serve node ports; of old that was every local one."""
    if settings.node_port_addresses is not None:
        width = BITS[settings.family]
        return [f"-d {address}/{width} " for address in settings.node_port_addresses]
    if settings.family == "IPv6":
        return [f"! -d ::1/128 {_LOCAL}"]
    return [_LOCAL if settings.localhost_node_ports else f"! -d 127.0.0.0/8 {_LOCAL}"]


def text(rules: PortalRules, *, with_jumps: bool = False) -> str:
    """Return the rules as text for ``iptables-restore --noflush`` (``ip6tables-`` for IPv6)."""
    return "".join(_table_text(rules, table, with_jumps) for table in CHAINS)


def _table_text(rules: PortalRules, table: str, with_jumps: bool) -> str:
    # By chain, so that a reader finds each whole; within one, order is all that counts.
    lines = [
        append(rule.chain, [rule.text])
        for chain in CHAINS[table]
        for rule in rules.rules
        if rule.table == table and rule.chain == chain
    ]
    if with_jumps:
        lines.append(lines_on_clean_machine(of_table(rules.jumps, table)))
    return transaction(table, declare(CHAINS[table]), *lines)
