"""The portal rules: iptables rules that redirect traffic for Services to the proxy's ports.

Chains, comments and the order of matches are those of Kubernetes's userspace proxy
(pkg/proxy/userspace/proxier.go, last in v1.25), with IPv6 beside IPv4.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from attrs import frozen

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


@frozen
class Rule:
    """One rule of one of these chains; ``text`` is the rule without ``-A CHAIN``."""

    table: str
    chain: str
    text: str


@frozen
class Jump:
    """A rule of a built-in chain that leads to one of these; ``place`` is where it belongs.

    Portals are matched before all else and node ports after all else.
    """

    table: str
    chain: str
    text: str
    place: Literal["first", "last"]


@frozen
class PortalRules:
    """All rules of this mode in one IP family, in their order."""

    family: str
    rules: tuple[Rule, ...]
    jumps: tuple[Jump, ...]


_PORTALS = (
    '-m comment --comment "handle ClusterIPs; NOTE: this must be before the NodePort rules" -j '
)
_NODE_PORTS = (
    "-m addrtype --dst-type LOCAL -m comment --comment "
    '"handle service NodePorts; NOTE: this must be the last rule in the chain" -j '
)
JUMPS = (
    Jump("nat", "PREROUTING", f"{_PORTALS}KUBE-PORTALS-CONTAINER", "first"),
    Jump("nat", "OUTPUT", f"{_PORTALS}KUBE-PORTALS-HOST", "first"),
    Jump("nat", "PREROUTING", f"{_NODE_PORTS}KUBE-NODEPORT-CONTAINER", "last"),
    Jump("nat", "OUTPUT", f"{_NODE_PORTS}KUBE-NODEPORT-HOST", "last"),
    Jump(
        "filter",
        "INPUT",
        '-m comment --comment "Ensure that non-local NodePort traffic can flow" '
        "-j KUBE-NODEPORT-NON-LOCAL",
        "first",
    ),
)
"""The rules of built-in chains that lead to the chains of this mode."""
