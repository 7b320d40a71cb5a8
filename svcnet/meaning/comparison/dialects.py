"""What each mode does otherwise than a graph says."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from svcnet.graph import RuleGraph
from svcnet.meaning.comparison.balancer import IPVSDialect
from svcnet.meaning.comparison.intent import Dialect, IptablesDialect, NFTablesDialect
from svcnet.meaning.comparison.proxy import UserspaceDialect

_DIALECTS: Mapping[str, type[Dialect]] = MappingProxyType(
    {
        "iptables": IptablesDialect,
        "ipvs": IPVSDialect,
        "nftables": NFTablesDialect,
        "userspace": UserspaceDialect,
    }
)


def dialect_of(graph: RuleGraph, mode: str) -> Dialect:
    """Return what rules of a mode do otherwise than a graph says; nothing of an unknown mode."""
    return _DIALECTS.get(mode, Dialect)(graph)
