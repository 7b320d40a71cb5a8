"""The rules that do not depend on any Service."""

from __future__ import annotations

from attrs import frozen

from svcnet.brief import Brief
from svcnet.graph import NodeSettings
from svcnet.renderers.iptables import names

_LAST = '"kubernetes service nodeports; NOTE: this must be the last rule in this chain"'


@frozen(repr=False)
class Table(Brief):
    """The part of one table that no service port owns: chain names, first and last rules."""

    name: str
    chains: tuple[str, ...]
    first: str
    last: str


def filter_table(settings: NodeSettings) -> Table:
    """Return the fixed part of the filter table."""
    mark = f"{settings.masquerade_mark:#010x}"
    firewall = (
        # route_localnet, which node ports on 127.0.0.1 need, would let neighbours reach
        # the host's loopback services: https://issue.k8s.io/90259
        '-A KUBE-FIREWALL -m comment --comment "block incoming localnet connections" '
        "-d 127.0.0.0/8 ! -s 127.0.0.0/8 "
        "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP\n"
    )
    # Packets that conntrack calls invalid are not translated back and would reset the
    # connection at the client: https://github.com/kubernetes/kubernetes/issues/74839
    counter = f"-m nfacct --nfacct-name {names.INVALID_DROPPED} " if settings.nfacct else ""
    invalid = f"-A KUBE-FORWARD -m conntrack --ctstate INVALID {counter}-j DROP\n"
    return Table(
        name="filter",
        chains=names.FILTER_CHAINS + ((names.FIREWALL,) if settings.localhost_node_ports else ()),
        first=firewall if settings.localhost_node_ports else "",
        last=("" if settings.conntrack_tcp_be_liberal else invalid)
        + '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" '
        f"-m mark --mark {mark}/{mark} -j ACCEPT\n"
        '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" '
        "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n",
    )


def nat_table(settings: NodeSettings) -> Table:
    """Return the fixed part of the nat table; the node port jumps are its last rules."""
    mark = f"{settings.masquerade_mark:#010x}"
    random_fully = " --random-fully" if settings.random_fully else ""
    return Table(
        name="nat",
        chains=names.NAT_CHAINS,
        first=f"-A KUBE-POSTROUTING -m mark ! --mark {mark}/{mark} -j RETURN\n"
        f"-A KUBE-POSTROUTING -j MARK --xor-mark {mark}\n"
        '-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" '
        f"-j MASQUERADE{random_fully}\n"
        f"-A KUBE-MARK-MASQ -j MARK --or-mark {mark}\n",
        last="".join(
            f"-A KUBE-SERVICES -m comment --comment {_LAST} {destination} -j KUBE-NODEPORTS\n"
            for destination in _node_port_destinations(settings)
        ),
    )


def _node_port_destinations(settings: NodeSettings) -> list[str]:
    if settings.node_port_addresses is not None:
        return [f"-d {address}" for address in settings.node_port_addresses]
    if settings.family == "IPv6":
        return ["-m addrtype --dst-type LOCAL ! -d ::1/128"]
    if not settings.localhost_node_ports:
        return ["-m addrtype --dst-type LOCAL ! -d 127.0.0.0/8"]
    return ["-m addrtype --dst-type LOCAL"]
