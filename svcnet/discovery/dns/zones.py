"""Every record of a cluster by its name, and what a change does to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from attrs import field, frozen

from svcnet.discovery.dns.names import is_reverse, within
from svcnet.discovery.dns.options import DNSOptions


class Record(NamedTuple):
    """One resource record of class IN; ``data`` is text as in a zone file."""

    name: str
    ttl: int
    type: str
    data: str

    def __str__(self) -> str:
        return f"{self.name} {self.ttl} IN {self.type} {self.data}"


def addresses_of(name: str, addresses: Iterable[str], ttl: int) -> dict[str, tuple[Record, ...]]:
    """Return A and AAAA records for addresses, each once."""
    found: dict[str, tuple[Record, ...]] = {}
    unique = dict.fromkeys(addresses)
    for type, six in (("A", False), ("AAAA", True)):
        rrset = tuple([Record(name, ttl, type, a) for a in unique if (":" in a) is six])
        if rrset:
            found[type] = rrset
    return found


@frozen
class Entry:
    """What is at one name: its records by type, and why it is there.

    ``service`` is ``namespace/name``, or empty for what a zone has by itself. An entry
    without records is an empty non-terminal: it exists, and so its answer is NODATA.
    """

    rule: str
    service: str = ""
    records: Mapping[str, tuple[Record, ...]] = field(factory=dict)


@frozen
class Zones:
    """The zones of a state, indexed for :func:`lookup`.

    ``entries`` are by absolute name. ``absent`` has reasons for the names of Services that
    do not exist although the Service does. ``headless`` has ``namespace/name`` by the names of
    headless Services.
    """

    options: DNSOptions
    entries: Mapping[str, Entry]
    namespaces: frozenset[str]
    absent: Mapping[str, str] = field(factory=dict)
    headless: Mapping[str, str] = field(factory=dict)
    _longest_first: tuple[str, ...] = field(init=False, repr=False, eq=False)
    _reverse: frozenset[str] = field(init=False, repr=False, eq=False)

    @_longest_first.default
    def _sort(self) -> tuple[str, ...]:
        return tuple(sorted(self.options.zones, key=len, reverse=True))

    @_reverse.default
    def _choose_reverse(self) -> frozenset[str]:
        return frozenset(filter(is_reverse, self.options.zones))

    def zone_of(self, name: str) -> str | None:
        """Return the smallest zone that has the absolute `name`, None if none does."""
        for zone in self._longest_first:
            # Nearly all that end so are in the zone.
            if name.endswith(zone) and within(name, zone):
                return zone
        return None

    def is_reverse(self, zone: str) -> bool:
        """Return whether one of the zones is one of addresses."""
        return zone in self._reverse

    def __iter__(self) -> Iterator[Record]:
        """Yield every record, in the order of names."""
        for name in sorted(self.entries):
            for rrset in self.entries[name].records.values():
                yield from rrset


@frozen
class Difference:
    """Records that go and come, in the order of names; a changed one is in both."""

    removed: tuple[Record, ...]
    added: tuple[Record, ...]

    def __bool__(self) -> bool:
        return bool(self.removed or self.added)

    def __str__(self) -> str:
        signed = [("-", record) for record in self.removed]
        signed += [("+", record) for record in self.added]
        signed.sort(key=lambda line: (line[1].name, line[1].type, line[0] == "+"))
        return "".join(f"{sign} {record}\n" for sign, record in signed)


def difference(old: Zones, new: Zones) -> Difference:
    """Return the records that only one of two clusters has."""
    before, after = set(old), set(new)
    return Difference(tuple(sorted(before - after)), tuple(sorted(after - before)))
