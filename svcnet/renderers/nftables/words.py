"""What rules say in the words of one IP family, and of one node."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from svcnet.graph import LocalDetector, NodeSettings
from svcnet.netfilter.nft import NFTRule, interface


@frozen
class NodeWords:
    """The words that all rules of a node have in common.

    ``ip`` is the header's and the table's family, ``address`` the type of addresses. ``mark`` is
    the statement that asks for masquerading. ``pod`` matches what this node's pods send and
    ``not_pod`` what others do, both empty where nothing tells.
    """

    ip: Literal["ip", "ip6"]
    address: Literal["ipv4_addr", "ipv6_addr"]
    loopback: str
    mark: str
    pod: str
    not_pod: str


def words(settings: NodeSettings) -> NodeWords:
    """Return the words for a node."""
    is_four = settings.family == "IPv4"
    ip: Literal["ip", "ip6"] = "ip" if is_four else "ip6"
    pod, not_pod = _detection(settings.local_detector, ip)
    return NodeWords(
        ip=ip,
        address="ipv4_addr" if is_four else "ipv6_addr",
        loopback="127.0.0.0/8" if is_four else "::1",
        mark=f"mark set mark or {settings.masquerade_mark:#010x}",
        pod=pod,
        not_pod=not_pod,
    )


def keep_source(chain: str, to_cluster: str, say: NodeWords) -> list[NFTRule]:
    """Return the rules for traffic from outside that keeps its source, where a Service asks so.

    They are for what this node and its pods send, which goes on by `to_cluster`.
    """
    local = "fib saddr type local"
    rules = [
        NFTRule(chain, f"{local} {say.mark}", "masquerade local traffic"),
        NFTRule(chain, f"{local} {to_cluster}", "short-circuit local traffic"),
    ]
    if say.pod:
        rules.insert(0, NFTRule(chain, f"{say.pod} {to_cluster}", "short-circuit pod traffic"))
    return rules


def _detection(detector: LocalDetector, ip: str) -> tuple[str, str]:
    match detector.kind:
        case "cidr":
            return f"{ip} saddr {detector.value}", f"{ip} saddr != {detector.value}"
        case "bridge":
            name = interface(detector.value)
        case "prefix":
            name = interface(f"{detector.value}*")
        case _:
            return "", ""
    return f"iifname {name}", f"iifname != {name}"
