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
