"""Names that only the executor uses, beside those that the renderer gives."""

from __future__ import annotations

from svcnet.renderers.ipvs.sets import SETS

DRAIN = 900
"""Seconds after which a removed endpoint goes though it has connections."""
MAX_DRAINING = 1 << 22
"""How many endpoints may be removed in that time; a bound costs the kernel nothing."""


def draining(family: str) -> str:
    """Return the set of real servers that wait for their connections to end.

    An entry goes when the wait is over: the kernel counts its seconds, whoever is there to
    see it. That the set exists says that svcnet has made the others.
    """
    return "SVCNET-DRAINING" if family == "IPv4" else "SVCNET-6-DRAINING"


def all_sets(family: str) -> tuple[str, ...]:
    """Return the names of all sets of a family."""
    return (draining(family), *(definition.name_in(family) for definition in SETS))
