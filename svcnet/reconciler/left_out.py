"""What an operator must know of Services that ask too much of a node."""

from __future__ import annotations

from collections.abc import Mapping

from svcnet import checks
from svcnet.words import count_noun

MOST_TOLD = 5


def left_out(found: Mapping[tuple[str, str], str], lacks: str) -> tuple[str, ...]:
    """Return a warning for each Service that is left out, and so `lacks` something.

    `found` says why each is; of very many the number is told.
    """
    names = sorted(found)
    told = [
        f"Service {'/'.join(name)} has no {lacks}: it {found[name]}" for name in names[:MOST_TOLD]
    ]
    if more := names[MOST_TOLD:]:
        services = count_noun(len(more), "more Service has", "more Services have")
        told.append(f"{services} no {lacks}, since they ask too much of a node")
    return tuple(map(checks.TOO_MANY_ENTRIES.line, told))
