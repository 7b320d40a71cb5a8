"""Which packets a rule of somebody else is for, so that one can be found that no packet meets."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from svcnet.meaning.spans import Span


class RuleAim(NamedTuple):
    """The destinations that a rule names: addresses, or ports where it names none.

    It ``refuses`` if packets end at it.
    """

    addresses: tuple[Span, ...] = ()
    ports: tuple[Span, ...] = ()
    refuses: bool = False

    def __bool__(self) -> bool:
        return bool(self.addresses or self.ports)


RuleAims = Mapping[object, RuleAim]
"""Rules of others that decide, each with what it or a rule that leads to it names."""


class AimIndex:
    """Whether one of some aims is at a destination."""

    def __init__(self, aims: Iterable[RuleAim]) -> None:
        found = list(aims)
        self._addresses = _bounds(span for aim in found for span in aim.addresses)
        self._ports = _bounds(s for aim in found if not aim.addresses for s in aim.ports)

    def has(self, address: int, port: int) -> bool:
        """Return whether a destination is at least near to what one of the aims names."""
        return _is_inside(self._addresses, address) or _is_inside(self._ports, port)


def _bounds(spans: Iterable[Span]) -> list[int]:
    """Return where ranges begin and, behind each, where they have ended, joined and in order."""
    found: list[int] = []
    for first, last in sorted(spans):
        if found and first <= found[-1]:
            found[-1] = max(found[-1], last + 1)
        else:
            found += [first, last + 1]
    return found


def _is_inside(bounds: list[int], number: int) -> bool:
    return bisect_right(bounds, number) % 2 == 1
