"""What nf_tables has on a machine, as values: tables with their chains, rules, sets and elements.

Texts of rules and keys of elements are in the form of :mod:`svcnet.netfilter.nft.canonical`,
whoever wrote or printed them. A ``line`` is where it was read, 0 where that is no text; a
``handle`` is the kernel's number for it, 0 where none was told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import NamedTuple, TypeAlias

from attrs import field, frozen

from svcnet.brief import Brief
from svcnet.netfilter.nft.families import NFTFamily


class ListingError(ValueError):
    """A text that is no listing of nft, or is cut off; ``line`` is where it shows."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.line = line
        self.message = message


class UnknownLine(NamedTuple):
    """What was not understood, as it was read."""

    line: int
    text: str


class HookState(NamedTuple):
    """Where the kernel calls a chain, and what becomes of packets at its end."""

    type: str
    hook: str
    priority: int
    policy: str = "accept"
    devices: tuple[str, ...] = ()


class RuleState(NamedTuple):
    """A rule; ``source`` is how it was written or printed, ``text`` the one form of that."""

    text: str
    comment: str = ""
    handle: int = 0
    line: int = 0
    source: str = ""


class ElementState(NamedTuple):
    """An element of a set, or with a ``value`` of a map; times are in seconds.

    ``timeout`` is its own one, None if it has none beside the set's. ``state`` has what it counts
    or limits, without numbers.
    """

    key: str
    value: str = ""
    comment: str = ""
    timeout: float | None = None
    expires: float | None = None
    state: str = ""
    line: int = 0


@frozen(repr=False)
class ChainState(Brief):
    """A chain with its rules in order; one without a hook is called by rules and elements only."""

    name: str
    hook: HookState | None = None
    comment: str = ""
    rules: tuple[RuleState, ...] = ()
    handle: int = 0
    line: int = 0


@frozen(repr=False)
class SetState(Brief):
    """A set, or with a type of values a map.

    ``type`` is what elements or keys are, such as ``ipv4_addr . inet_service``, or ``typeof`` and
    fields. ``options`` are all other lines of it, such as ``policy memory`` or ``auto-merge``.
    """

    name: str
    type: str
    value: str = ""
    flags: frozenset[str] = frozenset()
    timeout: float = 0
    size: int = 0
    comment: str = ""
    elements: Mapping[str, ElementState] = field(factory=dict)
    options: tuple[str, ...] = ()
    handle: int = 0
    line: int = 0

    @property
    def kind(self) -> str:
        """The word for it in lines: ``set`` or ``map``."""
        return "map" if self.value else "set"


class OtherState(NamedTuple):
    """What else a table has: counters, quotas, limits, helpers, flowtables, as text."""

    kind: str
    name: str
    text: str
    line: int = 0


@frozen(repr=False)
class TableState(Brief):
    """A table, with chains and sets by name in the order in which they were made.

    ``last_handle`` is the last one that lines which were carried out gave to anything in it.
    """

    family: NFTFamily
    name: str
    comment: str = ""
    flags: frozenset[str] = frozenset()
    chains: Mapping[str, ChainState] = field(factory=dict)
    sets: Mapping[str, SetState] = field(factory=dict)
    others: tuple[OtherState, ...] = ()
    unknown: tuple[UnknownLine, ...] = ()
    handle: int = 0
    line: int = 0
    last_handle: int = field(default=0, eq=False, repr=False)

    def __str__(self) -> str:
        return f"{self.family} {self.name}"


TableKey: TypeAlias = tuple[NFTFamily, str]
"""The family and name of a table."""


@frozen(repr=False)
class NFTState(Brief):
    """All tables that were read, by family and name, in their order."""

    tables: Mapping[TableKey, TableState] = field(factory=dict)

    def table(self, family: NFTFamily, name: str) -> TableState | None:
        """Return a table, None if there is none."""
        return self.tables.get((family, name))

    def unknown(self) -> Iterator[UnknownLine]:
        """Yield what was not understood in any table."""
        return chain.from_iterable(each.unknown for each in self.tables.values())


def types_of(type_: str) -> tuple[str, ...]:
    """Return the types of the parts of a key; what ``typeof`` names, as types where they matter."""
    if not type_.startswith("typeof "):
        return tuple(type_.split(" . "))
    return tuple(_type_of(field) for field in type_.removeprefix("typeof ").split(" . "))


def _type_of(name: str) -> str:
    is_protocol = name.endswith(("l4proto", "protocol", "nexthdr"))
    return "inet_proto" if is_protocol else name
