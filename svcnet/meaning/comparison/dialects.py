"""What each mode does otherwise than a graph says."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from svcnet.graph import RuleGraph
from svcnet.meaning.comparison.balancer import IPVSDialect
from svcnet.meaning.comparison.intent import (
    Dialect,
    IptablesDialect,
    NFTablesDialect,
    TreesDialect,
)
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
    """Return what a graph means in a mode; in an unknown one that is what it means by itself."""
    return _DIALECTS.get(mode, Dialect)(graph)


def dialects_of(graph: RuleGraph, mode: str) -> tuple[Dialect, ...]:
    """Return what a graph means in each layout of a mode, as far as they differ."""
    first = dialect_of(graph, mode)
    return (first, TreesDialect(graph)) if mode == "iptables" else (first,)
